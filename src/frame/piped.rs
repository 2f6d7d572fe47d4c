//! Pictures of a video out of an ffmpeg child, each given to the row that it belongs to by its time.

use std::sync::Arc;

use framesql_udfs::frame::Picture;

use super::decoder::Pipe;
use super::order::Video;
use crate::capture::Codec;
use crate::capture::file::Packets;
use crate::decode::ffmpeg::{Coded, Decoded, Feed, FfmpegDecoder, Input};
use crate::error::Result;
use crate::metrics::SourceCounters;

/// Samples are decoded through rather than left out when they are fewer: starting a child takes as long.
const MOST_DECODED_THROUGH: usize = 64;
/// Samples travel under their rank in display order instead of their time, which two of them may share, this many ms apart: a time in between
/// is one that ffmpeg made up.
const RANK_MS: u64 = 10;

/// Reads the pictures of one child after another: a new one is started where much can be left out.
#[derive(Debug)]
pub(super) struct PipedDecoder {
    video: Arc<Video>,
    counters: Arc<SourceCounters>,
    child: Option<FfmpegDecoder>,
    /// The sample that the child has come to.
    reached: usize,
    /// A picture that is shown later than the one asked for, and its place; it has none if its size is another.
    ahead: Option<(usize, Option<Picture>)>,
}

impl PipedDecoder {
    /// No child is started before a picture is asked for.
    pub(super) fn new(video: &Arc<Video>, counters: &Arc<SourceCounters>) -> PipedDecoder {
        PipedDecoder { video: Arc::clone(video), counters: Arc::clone(counters), child: None, reached: 0, ahead: None }
    }

    /// The picture at that place of the display order; None if the child gave none, `failed` is told why. Places are asked for in ascending order.
    /// Errs if the child died.
    pub(super) fn picture(&mut self, pipe: &Pipe, place: usize, failed: &dyn Fn(&str)) -> Result<Option<Picture>> {
        let video = Arc::clone(&self.video);
        let Some(wanted) = video.in_order(place) else { return Ok(None) };
        let start = match pipe.input {
            // Where ffmpeg finds its way in the file itself, it begins at the beginning.
            Input::File(_) => None,
            Input::Samples(_) => video.keyframe_for(wanted, place, self.reached),
        };
        let child = match (&mut self.child, start) {
            (Some(child), None) => child,
            (Some(child), Some(start)) if start <= self.reached.saturating_add(MOST_DECODED_THROUGH) => child,
            (child, start) => {
                // The old child is ended first, so that there is never more than one.
                *child = None;
                self.ahead = None;
                let feed = feed(&video, start.unwrap_or(0), &self.counters)?;
                child.insert(FfmpegDecoder::start(&pipe.ffmpeg, &pipe.input, &video.path, pipe.look, feed)?)
            }
        };
        self.reached = wanted;
        let (mut strange, mut ended) = (false, false);
        loop {
            match self.ahead.take() {
                Some((at, picture)) if at == place => {
                    if picture.is_none() {
                        failed("its size is another than that of the first picture, which is not followed through ffmpeg");
                    }
                    return Ok(picture);
                }
                Some(later) if later.0 > place => {
                    self.ahead = Some(later);
                    break;
                }
                // What is shown before was not asked for.
                _ => {}
            }
            let Some(Decoded { time_us, picture }) = child.next(&self.counters)? else {
                ended = true;
                break;
            };
            match place_of(&video, time_us) {
                Some(at) => self.ahead = Some((at, picture)),
                None => strange = true,
            }
        }
        failed(match (ended, strange, child.said()) {
            (true, _, said) if !said.is_empty() => said,
            (_, true, _) => "ffmpeg gave a picture with a time that none has",
            _ => "ffmpeg gave no picture",
        });
        Ok(None)
    }
}

/// The place in display order of the picture with that time.
fn place_of(video: &Video, time_us: i64) -> Option<usize> {
    match &video.track.codec {
        Codec::Demuxed(demuxed) => video.at_time(time_us.saturating_sub(demuxed.start_us)),
        _ => {
            let (ms, rest) = (u64::try_from(time_us).ok()? / 1_000, time_us % 1_000);
            let rank = (rest == 0 && ms.is_multiple_of(RANK_MS)).then_some(ms / RANK_MS)?;
            video.ranked(usize::try_from(rank).ok()?)
        }
    }
}

/// The samples from that one on.
fn feed(video: &Arc<Video>, start: usize, counters: &Arc<SourceCounters>) -> Result<Feed> {
    if let Codec::Demuxed(_) = video.track.codec {
        return Ok(Box::new(|_| Ok(None)));
    }
    let (video, counters) = (Arc::clone(video), Arc::clone(counters));
    let mut packets = Packets::open(&video.path, &video.track)?;
    let mut next = start;
    Ok(Box::new(move |bytes| {
        while let (Some(sample), Some(rank)) = (video.track.samples.get(next), video.rank(next)) {
            next += 1;
            // What cannot be read is left out: its row finds no picture.
            if packets.read(sample, bytes)? {
                counters.frames_demuxed.add(1);
                return Ok(Some(Coded { at_ms: rank as u64 * RANK_MS, keyframe: sample.keyframe }));
            }
        }
        Ok(None)
    }))
}
