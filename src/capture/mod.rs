//! Bytes of media and their timestamps, not decoded: one file a container, and the table of samples that they all give.

pub mod container;
pub mod datagen;
pub mod ffmpeg;
pub mod ffprobe;
pub mod file;
pub mod gif;
pub mod identity;
pub mod location;
pub mod mjpeg;
pub mod mkv;
pub mod mp4;
pub mod pattern;
pub mod pictures;
pub mod rows;

use std::path::Path;

use framesql_udfs::orientation::Orientation;

use crate::error::Error;

/// How the samples of a video track are coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264; the payload of the container's avcC box (length size, SPS, PPS).
    H264(Vec<u8>),
    /// Every sample is a JPEG file.
    Jpeg,
    /// Every sample is the blocks of one picture of a GIF; the bytes that stand before the first of them (screen, colours).
    Gif(Vec<u8>),
    /// One that framesql does not decode.
    Foreign(Foreign),
    /// One in a container that framesql does not read either: only ffmpeg finds the samples, whose places are not known.
    Demuxed(Demuxed),
}

/// A codec as Matroska tells it, which is how ffmpeg is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What people call it.
    pub name: String,
    /// Matroska's CodecID.
    pub id: String,
    /// Matroska's CodecPrivate: the parameters of the stream.
    pub private: Vec<u8>,
}

/// A video in a container that ffmpeg reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demuxed {
    /// What ffprobe says of the pictures.
    pub stream: ffprobe::Stream,
    /// The time of the first picture on the container's own clock, µs.
    pub start_us: i64,
}

/// One coded picture in its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where its bytes begin.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
    /// When it is shown, µs after the first.
    pub pts_us: i64,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// Whether it is on the timeline; one that an edit list cuts away is only decoded for those that need it.
    pub shown: bool,
}

/// The video track of a container: everything known before the first picture is read.
#[derive(Debug)]
pub struct Track {
    /// The container, as file names have it: "mp4", "mkv", "mjpeg", "gif", or ffmpeg's word, "avi", "mpegts".
    pub container: &'static str,
    /// The codec.
    pub codec: Codec,
    /// Width of the coded picture, before rotation; 0 where the container does not say.
    pub width: u32,
    /// Height of the coded picture, before rotation; 0 where the container does not say.
    pub height: u32,
    /// How its pictures are held for display.
    pub orientation: Orientation,
    /// The samples in decoding order, those whose bytes are in the file.
    pub samples: Vec<Sample>,
    /// Samples that the container names and whose bytes are not there.
    pub n_missing: u64,
    /// From the first picture to the end of the last, µs.
    pub duration_us: i64,
    /// Bytes that the container took off the beginning of every sample.
    pub prefix: Vec<u8>,
}

impl Track {
    /// The same with its times counted from the first picture shown.
    fn starting_at_zero(mut self) -> Track {
        let first = self.samples.iter().filter(|s| s.shown).map(|s| s.pts_us).min().unwrap_or(0);
        self.samples.iter_mut().for_each(|s| s.pts_us = s.pts_us.saturating_sub(first));
        self.duration_us = self.duration_us.saturating_sub(first).max(0);
        self
    }
}

/// The error for a codec that is not decoded.
pub fn unsupported_codec(path: &Path, codec: &str) -> Error {
    Error::Media {
        code: "0A000",
        message: format!("\"{}\" is coded as {codec}, which framesql does not decode", path.display()),
        hint: Some(format!("Convert it with: {CONVERT}")),
    }
}

/// The error for what ffmpeg could read or decode where it may not be used, or is not there.
pub fn needs_ffmpeg(refusal: Error, may_be_used: bool) -> Error {
    let Error::Media { code, message, .. } = refusal else { return refusal };
    let first = if may_be_used { "Install ffmpeg, which then reads it" } else { "Make the source without decoder = 'builtin'" };
    Error::Media { code, message, hint: Some(format!("{first}, or convert it with: {CONVERT}")) }
}

/// What makes a file that is read by any build.
const CONVERT: &str = "ffmpeg -i in -c:v libx264 -pix_fmt yuv420p out.mp4";

/// The error for a container that holds no picture.
fn no_video(path: &Path) -> Error {
    Error::Media {
        code: "22023",
        message: format!("\"{}\" has no video track", path.display()),
        hint: Some("A source is made of pictures; look at what is in it with: ffprobe file".into()),
    }
}

/// The error for a file whose head or index cannot be read.
fn damaged(path: &Path, how: &str) -> Error {
    Error::Media {
        code: "22023",
        message: format!("\"{}\" is damaged: {how}", path.display()),
        hint: Some("If the recording was interrupted, repair it with untrunc, or record as MKV, which needs no index.".into()),
    }
}
