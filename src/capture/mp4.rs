//! MP4 and MOV, fragmented ones too: the table of samples with the edit list applied, whole up to where a truncated file ends.

mod boxes;
mod codec;
mod samples;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use framesql_udfs::orientation::Orientation;
use tracing::warn;

use self::boxes::{boxes, find, header, u16_at, u32_at, u64_at};
use self::samples::Raw;
use super::{Codec, Sample, Track, damaged, no_video};
use crate::error::{Error, Result};

/// A header longer than this is damage: it would list more samples than are read.
const MOST_HEADER_BYTES: u64 = 1 << 30;

/// Whether a file begins like an MP4 or MOV.
pub fn recognises(head: &[u8]) -> bool {
    matches!(head.get(4..8), Some(b"ftyp" | b"moov" | b"mdat" | b"wide" | b"free" | b"skip" | b"styp" | b"pnot"))
}

/// Reads the table of the first video track. Errs if there is none, if its codec is not decoded, and if the file's index is not in it.
pub fn open(path: &Path) -> Result<Track> {
    let mut file = File::open(path).map_err(|e| Error::io(format!("could not open file \"{}\"", path.display()), e))?;
    let failed = |e| Error::io(format!("could not read file \"{}\"", path.display()), e);
    let length = file.metadata().map_err(failed)?.len();
    let mut movie: Option<(Vec<u8>, Trak)> = None;
    let mut raw = Vec::new();
    let mut at = 0;
    while at < length {
        let mut head = [0; 16];
        let n = usize::try_from(length - at).unwrap_or(usize::MAX).min(head.len());
        let head = head.get_mut(..n).unwrap_or_default();
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(head)).map_err(failed)?;
        let Some((size, name, header_bytes)) = header(head) else { break };
        let end = if size == 0 { length } else { at.saturating_add(size) };
        if matches!(&name, b"moov" | b"moof") {
            // A box that is cut off is read as far as it is there; its tables hold what was written of them.
            let content = end.min(length).saturating_sub(at.saturating_add(header_bytes as u64));
            if content > MOST_HEADER_BYTES {
                return Err(damaged(path, "its index is larger than any that can be"));
            }
            let mut bytes = vec![0; content as usize];
            file.seek(SeekFrom::Start(at + header_bytes as u64)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
            match &movie {
                None if &name == b"moov" => {
                    let trak = Trak::first_video(&bytes)
                        .ok_or_else(|| if end > length { damaged(path, "its index is cut off") } else { no_video(path) })?;
                    raw = samples::listed(trak.stbl(&bytes)).ok_or_else(|| too_many(path))?;
                    movie = Some((bytes, trak));
                }
                Some((moov, trak)) if &name == b"moof" => {
                    let defaults = samples::defaults(moov, trak.id);
                    if !samples::add_fragment(&mut raw, &bytes, at, trak.id, defaults) {
                        return Err(too_many(path));
                    }
                }
                _ => {}
            }
        }
        at = end;
    }
    let Some((moov, trak)) = movie else { return Err(damaged(path, "its index (the moov box) is not in it")) };
    let Some((name, entry)) = &trak.entry else { return Err(damaged(path, "it does not say how its pictures are coded")) };
    let codec = codec::of(path, &mut file, *name, entry, &raw)?;
    Ok(table(path, length, codec, &moov, &trak, &raw))
}

fn too_many(path: &Path) -> Error {
    damaged(path, "its index lists more pictures than a week of video has")
}

/// The video track of a movie header.
struct Trak {
    id: u32,
    /// Which of the traks it is.
    at: usize,
    timescale: u32,
    width: u32,
    height: u32,
    orientation: Orientation,
    /// The name and content of the first sample entry.
    entry: Option<([u8; 4], Vec<u8>)>,
}

impl Trak {
    /// The first track whose handler is video; a picture that belongs to a music file counts as one.
    fn first_video(moov: &[u8]) -> Option<Trak> {
        let traks = boxes(moov).filter(|(name, _)| name == b"trak").map(|(_, trak)| trak).enumerate();
        traks.filter_map(|(at, trak)| Trak::read(at, trak)).next()
    }

    fn read(at: usize, trak: &[u8]) -> Option<Trak> {
        let handler = find(trak, &[b"mdia", b"hdlr"])?;
        if handler.get(8..12) != Some(b"vide") {
            return None;
        }
        let (tkhd, mdhd) = (find(trak, &[b"tkhd"])?, find(trak, &[b"mdia", b"mdhd"])?);
        // Version 1 has times of 8 bytes.
        let wide = |content: &[u8]| content.first() == Some(&1);
        let id = u32_at(tkhd, if wide(tkhd) { 20 } else { 12 })?;
        let timescale = u32_at(mdhd, if wide(mdhd) { 20 } else { 12 })?;
        let matrix = |n: usize| u32_at(tkhd, (if wide(tkhd) { 52 } else { 40 }) + 4 * n).map_or(0, u32::cast_signed);
        let orientation = Orientation::of_matrix([0, 1, 3, 4].map(matrix));
        let entry = find(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])
            .and_then(|stsd| boxes(stsd.get(8..)?).next())
            .map(|(name, e)| (name, e.to_vec()));
        let side = |at: usize| entry.as_ref().and_then(|(_, e)| u16_at(e, at)).map_or(0, u32::from);
        let (width, height) = (side(24), side(26));
        Some(Trak { id, at, timescale, width, height, orientation, entry })
    }

    fn within<'a>(&self, moov: &'a [u8]) -> &'a [u8] {
        boxes(moov).filter(|(name, _)| name == b"trak").nth(self.at).map_or(&[], |(_, trak)| trak)
    }

    fn stbl<'a>(&self, moov: &'a [u8]) -> &'a [u8] {
        find(self.within(moov), &[b"mdia", b"minf", b"stbl"]).unwrap_or_default()
    }
}

/// The samples on the timeline of the movie.
fn table(path: &Path, length: u64, codec: Codec, moov: &[u8], trak: &Trak, raw: &[Raw]) -> Track {
    let edits = edits(moov, trak);
    if edits.is_none() {
        warn!(file = %path.display(), "its edit list repeats or reorders pictures: it is read without");
    }
    let edits = edits.unwrap_or_default();
    let us = |units: i64| -> i64 {
        let timescale = i128::from(trak.timescale.max(1));
        i64::try_from((i128::from(units) * 1_000_000 + timescale / 2).div_euclid(timescale)).unwrap_or(i64::MAX)
    };
    let (mut samples, mut n_missing) = (Vec::with_capacity(raw.len()), 0);
    let mut end_us = 0;
    for sample in raw {
        let edit = edits.iter().find(|e| e.holds(sample.shown_at));
        let shown = edits.is_empty() || edit.is_some();
        if sample.size == 0 || sample.offset.checked_add(u64::from(sample.size)).is_none_or(|end| end > length) {
            n_missing += u64::from(shown);
            continue;
        }
        // What is cut away keeps its place among the others: some decoders want to know it.
        let near = || edits.iter().rfind(|e| e.from <= sample.shown_at).or(edits.first());
        let shown_at = edit.or_else(near).map_or(sample.shown_at, |e| e.placed(sample.shown_at));
        let pts_us = us(shown_at);
        if shown {
            end_us = end_us.max(us(shown_at.saturating_add(i64::from(sample.duration))));
        }
        samples.push(Sample { offset: sample.offset, size: u64::from(sample.size), pts_us, keyframe: sample.keyframe, shown });
    }
    let track = Track {
        container: "mp4",
        codec,
        width: trak.width,
        height: trak.height,
        orientation: trak.orientation,
        samples,
        n_missing,
        duration_us: end_us,
        prefix: Vec::new(),
    };
    track.starting_at_zero()
}

/// A stretch of the media that is shown, in units of the track's timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    /// Its first instant on the media's time.
    from: i64,
    /// The instant after its last; the end of time if it is open.
    to: i64,
    /// When `from` is shown.
    at: i64,
}

impl Edit {
    fn holds(&self, shown_at: i64) -> bool {
        (self.from..self.to).contains(&shown_at)
    }

    /// When it is shown; what comes after the end of the edit, right before that.
    fn placed(&self, shown_at: i64) -> i64 {
        shown_at.min(self.to.saturating_sub(1)).saturating_sub(self.from).saturating_add(self.at)
    }
}

/// The edit list of a track; empty where there is none. None if it shows the media in another order than it has.
fn edits(moov: &[u8], trak: &Trak) -> Option<Vec<Edit>> {
    let Some(elst) = find(trak.within(moov), &[b"edts", b"elst"]) else { return Some(Vec::new()) };
    let movie_scale = find(moov, &[b"mvhd"]).and_then(|m| u32_at(m, if m.first() == Some(&1) { 20 } else { 12 })).unwrap_or(0);
    let wide = elst.first() == Some(&1);
    let count = u32_at(elst, 4).unwrap_or(0) as usize;
    let rows = elst.get(8..).unwrap_or_default().chunks_exact(if wide { 20 } else { 12 }).take(count);
    let entries = rows.filter_map(|row| match wide {
        true => Some((u64_at(row, 0)?, u64_at(row, 8)?.cast_signed())),
        false => Some((u64::from(u32_at(row, 0)?), i64::from(u32_at(row, 4)?.cast_signed()))),
    });
    listed_edits(entries, movie_scale, trak.timescale)
}

/// `entries`: duration on the movie's timescale, and the media time or -1 for a stretch without picture.
fn listed_edits(entries: impl Iterator<Item = (u64, i64)>, movie_scale: u32, timescale: u32) -> Option<Vec<Edit>> {
    let (mut edits, mut at) = (Vec::<Edit>::new(), 0_i64);
    for (duration, media_time) in entries {
        let units = u128::from(duration) * u128::from(timescale) / u128::from(movie_scale.max(1));
        let length = i64::try_from(units).unwrap_or(i64::MAX);
        if media_time >= 0 {
            if edits.last().is_some_and(|e| e.to > media_time) {
                return None;
            }
            // A duration of 0 is "all of it": the fragments were not written yet.
            let to = if length == 0 { i64::MAX } else { media_time.saturating_add(length) };
            edits.push(Edit { from: media_time, to, at });
        }
        at = at.saturating_add(length);
    }
    Some(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_list_cuts_and_one_that_repeats_is_not_followed() {
        let cut = listed_edits([(500, -1), (1000, 2000), (1000, 4000)].into_iter(), 1000, 1000).unwrap();
        assert_eq!(cut, [Edit { from: 2000, to: 3000, at: 500 }, Edit { from: 4000, to: 5000, at: 1500 }]);
        assert_eq!((cut[1].holds(3999), cut[1].holds(4000), cut[1].placed(4100)), (false, true, 1600));
        assert_eq!(listed_edits([(1000, 2000), (1000, 1000)].into_iter(), 1000, 1000), None);
        assert_eq!(listed_edits([(0, 1024)].into_iter(), 1000, 12800).unwrap(), [Edit { from: 1024, to: i64::MAX, at: 0 }]);
    }
}
