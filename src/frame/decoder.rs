//! Which decoder a track gets, the built-in one or an ffmpeg child, and what is known of its pictures then.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use framesql_udfs::jpeg_file;
use framesql_udfs::orientation::Orientation;

use super::reader::MediaOptions;
use crate::capture::ffmpeg::{Ffmpeg, missing};
use crate::capture::ffprobe::{self, Stream};
use crate::capture::file::Packets;
use crate::capture::{Codec, Foreign, Track, container, needs_ffmpeg, unsupported_codec};
use crate::decode::ffmpeg::{Input, Look, matroska};
use crate::decode::h264;
use crate::error::{Error, Result};
use crate::settings::{DecoderChoice, FFMPEG};

/// How pictures come out of an ffmpeg child.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) ffmpeg: Ffmpeg,
    pub(super) input: Input,
    pub(super) look: Look,
}

/// What decodes a track.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The codec's name.
    pub(super) codec: String,
    /// The child; None is the built-in decoder.
    pub(super) pipe: Option<Pipe>,
    /// Whether the built-in decoder can decode it, too.
    pub(super) builtin: bool,
}

/// Chooses, and sets the size of the track to that of its pictures. Errs if nothing decodes it that is there and may be used.
pub(super) fn choose(path: &Path, track: &mut Track, options: &MediaOptions) -> Result<Chosen> {
    let builtin = |codec: &str| Ok(Chosen { codec: codec.to_owned(), pipe: None, builtin: true });
    match track.codec.clone() {
        Codec::H264(config) => match h264::check(&config) {
            Ok(None) => builtin("h264"),
            Ok(Some(parameters)) => {
                // The stream knows its size better than the container, which may name the one it is stretched to.
                (track.width, track.height) = parameters.size;
                let fast = options.decoder() == DecoderChoice::Ffmpeg && parameters.plain;
                let pipe = match fast {
                    true => {
                        let look = Look { range: parameters.range, matrix: parameters.matrix, orientation: track.orientation };
                        Some(Pipe { ffmpeg: required(options)?, input: samples(track, H264_ID, config), look })
                    }
                    false => None,
                };
                Ok(Chosen { codec: "h264".to_owned(), pipe, builtin: true })
            }
            Err(kind) => foreign(path, track, Foreign { name: kind, id: H264_ID.to_owned(), private: config }, options),
        },
        Codec::Jpeg => {
            (track.width, track.height) = first_jpeg_size(path, track)?.unwrap_or((track.width, track.height));
            builtin("mjpeg")
        }
        Codec::Gif(_) => builtin("gif"),
        Codec::Foreign(codec) => foreign(path, track, codec, options),
        Codec::Demuxed(demuxed) => {
            let Some(ffmpeg) = usable(options)? else { return Err(container::unread(path, track.container)) };
            let look = look(&demuxed.stream, track.orientation);
            let pipe = Some(Pipe { ffmpeg, input: Input::File(track.container), look });
            Ok(Chosen { codec: demuxed.stream.codec, pipe, builtin: false })
        }
    }
}

/// The table of a container that only ffmpeg reads. Errs if there is no ffmpeg, or none may be used.
pub(super) fn demuxed(path: &Path, kind: &str, demuxer: &'static str, options: &MediaOptions) -> Result<Track> {
    match usable(options)? {
        Some(ffmpeg) => ffprobe::open(&ffmpeg, path, demuxer),
        None => Err(needs_ffmpeg(container::unread(path, kind), options.decoder() != DecoderChoice::Builtin)),
    }
}

/// Matroska's word for H.264.
const H264_ID: &str = "V_MPEG4/ISO/AVC";

fn foreign(path: &Path, track: &mut Track, codec: Foreign, options: &MediaOptions) -> Result<Chosen> {
    let Some(ffmpeg) = usable(options)? else {
        return Err(needs_ffmpeg(unsupported_codec(path, &codec.name), options.decoder() != DecoderChoice::Builtin));
    };
    let stream = ffprobe::stream(&ffmpeg, path, if track.container == "mp4" { "mov" } else { "matroska" })?;
    (track.width, track.height) = (stream.width, stream.height);
    let look = look(&stream, track.orientation);
    let input = samples(track, &codec.id, codec.private);
    Ok(Chosen { codec: stream.codec, pipe: Some(Pipe { ffmpeg, input, look }), builtin: false })
}

fn samples(track: &Track, id: &str, private: Vec<u8>) -> Input {
    Input::Samples(matroska::Track { id: id.to_owned(), private, size: (track.width, track.height) })
}

fn look(stream: &Stream, orientation: Orientation) -> Look {
    Look { range: stream.range, matrix: stream.matrix, orientation }
}

/// ffmpeg, where it may be used and is there.
fn usable(options: &MediaOptions) -> Result<Option<Ffmpeg>> {
    match options.decoder() {
        DecoderChoice::Builtin => Ok(None),
        DecoderChoice::Auto => Ffmpeg::find(&program(options)),
        DecoderChoice::Ffmpeg => required(options).map(Some),
    }
}

/// ffmpeg where it was asked for: it must be there.
fn required(options: &MediaOptions) -> Result<Ffmpeg> {
    let program = program(options);
    Ffmpeg::find(&program)?.ok_or_else(|| missing(&program, &std::io::Error::from_raw_os_error(NO_SUCH_FILE)))
}

/// What the system says of a program that is not on PATH.
const NO_SUCH_FILE: i32 = 2;

fn program(options: &MediaOptions) -> PathBuf {
    options.ffmpeg.clone().unwrap_or_else(|| PathBuf::from(FFMPEG))
}

/// The size of the first JPEG of a track whose header can be read.
fn first_jpeg_size(path: &Path, track: &Track) -> Result<Option<(u32, u32)>> {
    /// Pictures that are tried.
    const TRIED: usize = 16;
    let (mut packets, mut bytes) = (Packets::open(path, track)?, Vec::new());
    for sample in track.samples.iter().take(TRIED) {
        if packets.read(sample, &mut bytes)?
            && let Ok(header) = jpeg_file::header(Cursor::new(&bytes))
        {
            return Ok(Some((header.width, header.height)));
        }
    }
    Ok(None)
}

/// For a source without pixels nothing is decoded, and for one that is no video nothing is chosen.
pub(super) fn refuse_choice(options: &MediaOptions) -> Result<()> {
    match options.decoder {
        Some(_) => Err(Error::Option { message: "option \"decoder\" is only for videos".into(), hint: None }),
        None => Ok(()),
    }
}
