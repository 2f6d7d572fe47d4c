//! Bytes to pictures or rows: one file a codec or format, and the decoder that a track needs.

pub mod columns;
pub mod csv;
pub mod ffmpeg;
pub mod gif;
pub mod h264;
pub mod ndjson;
pub mod parquet;
pub mod picture;
mod records;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use datafusion::arrow::record_batch::RecordBatch;
use framesql_udfs::frame::Picture;
use framesql_udfs::jpeg_file;
use framesql_udfs::orientation::Orientation;
use framesql_udfs::pixels::sized;

use self::gif::Gif;
use self::h264::H264;
use crate::capture::{Codec, Track};
use crate::error::Error;
use crate::metrics::SourceCounters;

/// The rows of one file, in order, in batches; nothing follows an error.
pub type Rows = Box<dyn Iterator<Item = crate::error::Result<RecordBatch>> + Send>;

/// Rows of a text file from which the types of its columns are found.
const INFER_ROWS: usize = 10_000;

/// What is done with a record that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The query ends with an error that names it.
    #[default]
    Fail,
    /// It is left out and counted.
    Skip,
}

/// The error of a file of rows that cannot be read at all.
fn unreadable(path: &Path, reason: &str) -> Error {
    Error::Media { code: "22023", message: format!("file \"{}\" cannot be read: {reason}", path.display()), hint: None }
}

/// A decoder at some place of a track; it is given the samples in decoding order.
#[derive(Debug)]
pub enum Decoder {
    /// Builds on the pictures since the last keyframe.
    H264(Box<H264>),
    /// Each sample stands alone; how the track is held.
    Jpeg(Orientation),
    /// Builds on all pictures before.
    Gif(Box<Gif>),
}

impl Decoder {
    /// A decoder at the beginning of a track; None if there is none built in for it.
    pub fn new(track: &Track) -> Option<Decoder> {
        Some(match &track.codec {
            Codec::H264(config) => Decoder::H264(Box::new(H264::new(config, track.orientation))),
            Codec::Jpeg => Decoder::Jpeg(track.orientation),
            Codec::Gif(head) => Decoder::Gif(Box::new(Gif::new(head.clone(), (track.width, track.height)))),
            Codec::Foreign(_) | Codec::Demuxed(_) => return None,
        })
    }

    /// Whether decoding may start at any keyframe, not only at the beginning.
    pub fn seeks(&self) -> bool {
        !matches!(self, Decoder::Gif(_))
    }

    /// Forgets all pictures: the next sample is a keyframe.
    pub fn reset(&mut self) {
        match self {
            Decoder::H264(h264) => h264.reset(),
            Decoder::Jpeg(_) => {}
            Decoder::Gif(gif) => gif.reset(),
        }
    }

    /// The picture of one sample; its bytes may be taken. Err is why there is none.
    pub fn decode(&mut self, sample: &mut Vec<u8>, counters: &SourceCounters) -> Result<Picture, String> {
        let picture = match self {
            Decoder::H264(h264) => h264.decode(sample, counters),
            Decoder::Jpeg(held) => jpeg_file::picture(std::mem::take(sample), Some(*held)),
            Decoder::Gif(gif) => gif.decode(sample),
        }?;
        // The functions take no larger one: it counts as failed, and is not a frame of which each gives NULL.
        sized(picture.width, picture.height).map_err(|e| e.to_string())?;
        counters.frames_decoded.add(1);
        Ok(picture)
    }
}

/// What a decoder of foreign bytes gives; one that panics costs a picture, not the query.
fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("the decoder gave up".to_owned()))
}
