//! The samples of a track in display order, and the least of them that must be decoded to show one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use framesql_udfs::frame::Picture;

use crate::capture::file::Packets;
use crate::capture::{Sample, Track};
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::metrics::SourceCounters;

/// A track and the order in which its samples are shown.
#[derive(Debug)]
pub(super) struct Video {
    pub(super) path: PathBuf,
    pub(super) track: Track,
    /// Indices of the samples on the timeline, in display order.
    order: Vec<usize>,
    /// The place of each sample in that order; those that are not shown have the place of the first that is shown after them.
    shown: Vec<usize>,
    /// Indices of all samples in display order, and the place of each in that order.
    by_time: Vec<usize>,
    ranks: Vec<usize>,
}

impl Video {
    pub(super) fn new(path: &Path, track: Track) -> Video {
        let samples = &track.samples;
        let mut all: Vec<usize> = (0..samples.len()).collect();
        all.sort_by_key(|at| (samples.get(*at).map(|s| s.pts_us), *at));
        let mut shown = vec![0; all.len()];
        let mut ranks = vec![0; all.len()];
        let mut order = Vec::with_capacity(all.len());
        for (rank, at) in all.iter().copied().enumerate() {
            if let Some(ranked) = ranks.get_mut(at) {
                *ranked = rank;
            }
            if let Some(place) = shown.get_mut(at) {
                *place = order.len();
            }
            if samples.get(at).is_some_and(|s| s.shown) {
                order.push(at);
            }
        }
        Video { path: path.to_owned(), track, order, shown, by_time: all, ranks }
    }

    /// Rows that it gives.
    pub(super) fn n_rows(&self) -> usize {
        self.order.len()
    }

    /// The sample at that place of the display order.
    pub(super) fn sample(&self, place: usize) -> Option<&Sample> {
        self.track.samples.get(*self.order.get(place)?)
    }

    /// The index of the sample at that place of the display order.
    pub(super) fn in_order(&self, place: usize) -> Option<usize> {
        self.order.get(place).copied()
    }

    /// How many samples are shown before that one, counting those that are cut away.
    pub(super) fn rank(&self, sample: usize) -> Option<usize> {
        self.ranks.get(sample).copied()
    }

    /// The place in the display order of the sample of that rank; None if it is cut away.
    pub(super) fn ranked(&self, rank: usize) -> Option<usize> {
        let at = *self.by_time.get(rank)?;
        self.track.samples.get(at).filter(|s| s.shown).and_then(|_| self.shown.get(at).copied())
    }

    /// The first place in the display order with that time.
    pub(super) fn at_time(&self, pts_us: i64) -> Option<usize> {
        let time = |at: &usize| self.track.samples.get(*at).map_or(i64::MAX, |s| s.pts_us);
        let place = self.order.partition_point(|at| time(at) < pts_us);
        self.order.get(place).filter(|at| time(at) == pts_us).map(|_| place)
    }

    /// The last keyframe after `decoded` from which the sample at that place of the display order can be decoded: it stands before it in both orders.
    pub(super) fn keyframe_for(&self, sample: usize, place: usize, decoded: usize) -> Option<usize> {
        let starts = |at: &usize| {
            self.track.samples.get(*at).is_some_and(|s| s.keyframe) && self.shown.get(*at).is_some_and(|shown| *shown <= place)
        };
        (decoded + 1..=sample).rev().find(starts)
    }
}

/// Decodes the samples of a video in decoding order, from the keyframe that a row needs.
#[derive(Debug)]
pub(super) struct VideoDecoder {
    packets: Packets,
    decoder: Decoder,
    /// The sample that is decoded next.
    next_sample: usize,
    /// Pictures that are shown later than the one asked for; as many as the stream reorders.
    ready: BTreeMap<usize, Picture>,
    bytes: Vec<u8>,
}

impl VideoDecoder {
    /// Errs if the file has gone. The track is one that the built-in decoder decodes.
    pub(super) fn open(video: &Video) -> Result<VideoDecoder> {
        let decoder = Decoder::new(&video.track).ok_or_else(|| Error::Internal("no built-in decoder for the track".into()))?;
        Ok(VideoDecoder {
            packets: Packets::open(&video.path, &video.track)?,
            decoder,
            next_sample: 0,
            ready: BTreeMap::new(),
            bytes: Vec::new(),
        })
    }

    /// The picture at that place of the display order; None if it cannot be decoded, `failed` is told why. Places are asked for in ascending order.
    pub(super) fn picture(
        &mut self,
        video: &Video,
        place: usize,
        counters: &SourceCounters,
        failed: &dyn Fn(&str),
    ) -> Result<Option<Picture>> {
        // What is shown before was not asked for.
        self.ready = self.ready.split_off(&place);
        let Some(wanted) = video.order.get(place).copied() else { return Ok(None) };
        if self.decoder.seeks()
            && let Some(start) = video.keyframe_for(wanted, place, self.next_sample)
        {
            self.decoder.reset();
            self.next_sample = start;
        }
        while self.next_sample <= wanted {
            let at = self.next_sample;
            self.next_sample += 1;
            let Some(sample) = video.track.samples.get(at) else { break };
            if !self.packets.read(sample, &mut self.bytes)? {
                failed("its bytes cannot be read");
                continue;
            }
            counters.frames_demuxed.add(1);
            match self.decoder.decode(&mut self.bytes, counters) {
                Ok(picture) => {
                    if let Some(shown) = video.shown.get(at).filter(|shown| sample.shown && **shown >= place) {
                        self.ready.insert(*shown, picture);
                    }
                }
                Err(reason) => failed(&reason),
            }
        }
        Ok(self.ready.remove(&place))
    }
}

#[cfg(test)]
mod tests {
    use framesql_udfs::orientation::Orientation;

    use super::*;
    use crate::capture::Codec;

    fn video(samples: &[(i64, bool, bool)]) -> Video {
        let samples = samples
            .iter()
            .map(|(pts_us, keyframe, shown)| Sample { offset: 0, size: 1, pts_us: *pts_us, keyframe: *keyframe, shown: *shown })
            .collect();
        let track = Track {
            container: "mp4",
            codec: Codec::Jpeg,
            width: 2,
            height: 2,
            orientation: Orientation::default(),
            samples,
            n_missing: 0,
            duration_us: 0,
            prefix: Vec::new(),
        };
        Video::new(Path::new("clip.mp4"), track)
    }

    #[test]
    fn a_row_starts_at_the_last_keyframe_before_it_in_both_orders() {
        // Decoded I0 P3 B1 B2 I6 B4 B5: the B-frames behind the second keyframe are shown before it and need the one before.
        let v = video(&[
            (0, true, true),
            (3, false, true),
            (1, false, true),
            (2, false, true),
            (6, true, true),
            (4, false, true),
            (5, false, true),
        ]);
        assert_eq!(v.order, [0, 2, 3, 1, 5, 6, 4]);
        let start = |place: usize| v.keyframe_for(v.order[place], place, 0);
        assert_eq!((start(4), start(6)), (None, Some(4)));
    }

    #[test]
    fn what_an_edit_list_cuts_away_makes_no_row_and_is_still_decoded() {
        let v = video(&[(-2, true, false), (0, false, true), (-1, false, false), (1, true, true), (2, false, false)]);
        assert_eq!((v.n_rows(), v.order.clone()), (2, vec![1, 3]));
        assert_eq!(v.keyframe_for(1, 0, 0), None);
        assert_eq!(v.sample(0).map(|s| s.pts_us), Some(0));
    }
}
