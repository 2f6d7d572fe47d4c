//! The sample tables of an MP4, of its header and of its fragments, as one list in decoding order.

use super::boxes::{boxes, entries, find, u32_at, u64_at};

/// More pictures than this are refused: a week at 25 frames a second, and 800 MB of table.
const MOST_SAMPLES: usize = 1 << 24;

/// One sample, its times in units of the track's timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) offset: u64,
    pub(super) size: u32,
    /// When it is decoded.
    pub(super) decoded_at: i64,
    /// When it is shown, on the media's own time.
    pub(super) shown_at: i64,
    pub(super) duration: u32,
    pub(super) keyframe: bool,
}

/// The samples that `stbl` lists. None if there are too many; those that its tables do not place are left out.
pub(super) fn listed(stbl: &[u8]) -> Option<Vec<Raw>> {
    let table = |name: &[u8; 4]| find(stbl, &[name]);
    let Some(sizes) = table(b"stsz") else { return Some(Vec::new()) };
    let (Some(one_size), Some(count)) = (u32_at(sizes, 4), u32_at(sizes, 8)) else { return Some(Vec::new()) };
    let listed_sizes = sizes.get(12..).unwrap_or_default().chunks_exact(4).map(|size| u32_at(size, 0).unwrap_or(0));
    let sizes: Box<dyn Iterator<Item = u32>> = if one_size == 0 { Box::new(listed_sizes) } else { Box::new(std::iter::repeat(one_size)) };
    let mut deltas = entries::<2>(table(b"stts")).flat_map(|[n, delta]| std::iter::repeat_n(delta, n as usize));
    let mut shifts = entries::<2>(table(b"ctts")).flat_map(|[n, shift]| std::iter::repeat_n(shift.cast_signed(), n as usize));
    let mut keyframes = table(b"stss").map(|stss| entries::<1>(Some(stss)).map(|[number]| number).peekable());
    let mut places = places(stbl);

    let (mut samples, mut decoded_at, mut delta) = (Vec::new(), 0_i64, 0);
    let mut chunk_end = None;
    for (number, size) in (1..=count).zip(sizes) {
        let Some(chunk_start) = places.next() else { break };
        // The first sample of a chunk stands at its beginning, the others behind one another.
        let offset: u64 = chunk_start.or(chunk_end).unwrap_or(0);
        chunk_end = Some(offset.saturating_add(u64::from(size)));
        // Where the list of times is cut off the last one goes on.
        delta = deltas.next().unwrap_or(delta);
        let keyframe = keyframes.as_mut().is_none_or(|k| {
            while k.next_if(|n| *n < number).is_some() {}
            k.next_if_eq(&number).is_some()
        });
        if samples.len() == MOST_SAMPLES {
            return None;
        }
        let shown_at = decoded_at.saturating_add(i64::from(shifts.next().unwrap_or(0)));
        samples.push(Raw { offset, size, decoded_at, shown_at, duration: delta, keyframe });
        decoded_at = decoded_at.saturating_add(i64::from(delta));
    }
    Some(samples)
}

/// For each sample in turn: where its chunk begins if it is the first of the chunk, else None. It ends where the chunks end.
fn places(stbl: &[u8]) -> impl Iterator<Item = Option<u64>> + '_ {
    let wide = find(stbl, &[b"co64"]);
    let chunks: Box<dyn Iterator<Item = u64>> = match wide {
        Some(_) => Box::new(entries::<2>(wide).map(|[high, low]| u64::from(high) << 32 | u64::from(low))),
        None => Box::new(entries::<1>(find(stbl, &[b"stco"])).map(|[offset]| u64::from(offset))),
    };
    let mut runs = entries::<3>(find(stbl, &[b"stsc"])).peekable();
    let mut per_chunk = 0;
    (1_u32..).zip(chunks).flat_map(move |(chunk, offset)| {
        while let Some([_, n, _]) = runs.next_if(|[first, _, _]| *first <= chunk) {
            per_chunk = n;
        }
        (0..per_chunk).map(move |at| (at == 0).then_some(offset))
    })
}

/// What the movie header says of the samples of a track's fragments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// The defaults of `track_id` in `moov`.
pub(super) fn defaults(moov: &[u8], track_id: u32) -> Defaults {
    let extends = find(moov, &[b"mvex"]).unwrap_or_default();
    let Some((_, trex)) = boxes(extends).find(|(name, content)| name == b"trex" && u32_at(content, 4) == Some(track_id)) else {
        return Defaults::default();
    };
    let number = |at: usize| u32_at(trex, at).unwrap_or(0);
    Defaults { duration: number(12), size: number(16), flags: number(20) }
}

/// Adds the samples of `moof`, which begins at `start` in the file, to `samples`. False if there are too many.
pub(super) fn add_fragment(samples: &mut Vec<Raw>, moof: &[u8], start: u64, track_id: u32, defaults: Defaults) -> bool {
    for (_, traf) in boxes(moof).filter(|(name, _)| name == b"traf") {
        let Some(header) = find(traf, &[b"tfhd"]).filter(|h| u32_at(h, 4) == Some(track_id)) else { continue };
        let flags = u32_at(header, 0).unwrap_or(0);
        // The fields that the flags name stand one after another.
        let mut at = 8;
        let mut field = |flag: u32, bytes: usize| {
            let here = (flags & flag != 0).then_some(at);
            at += here.map_or(0, |_| bytes);
            here
        };
        let base = field(0x1, 8).and_then(|at| u64_at(header, at)).unwrap_or(start);
        field(0x2, 4);
        let own = Defaults {
            duration: field(0x8, 4).and_then(|at| u32_at(header, at)).unwrap_or(defaults.duration),
            size: field(0x10, 4).and_then(|at| u32_at(header, at)).unwrap_or(defaults.size),
            flags: field(0x20, 4).and_then(|at| u32_at(header, at)).unwrap_or(defaults.flags),
        };
        let told = find(traf, &[b"tfdt"]).and_then(|t| if t.first() == Some(&1) { u64_at(t, 4) } else { u32_at(t, 4).map(u64::from) });
        let follows = samples.last().map_or(0, |s| s.decoded_at.saturating_add(i64::from(s.duration)));
        let mut decoded_at = told.and_then(|t| i64::try_from(t).ok()).unwrap_or(follows);
        let mut offset = base;
        for (_, trun) in boxes(traf).filter(|(name, _)| name == b"trun") {
            if !add_run(samples, trun, base, &mut offset, &mut decoded_at, own) {
                return false;
            }
        }
    }
    true
}

fn add_run(samples: &mut Vec<Raw>, trun: &[u8], base: u64, offset: &mut u64, decoded_at: &mut i64, defaults: Defaults) -> bool {
    let (Some(flags), Some(count)) = (u32_at(trun, 0), u32_at(trun, 4)) else { return true };
    let mut at = 8;
    let mut field = |flag: u32| {
        let value = (flags & flag != 0).then(|| u32_at(trun, at));
        at += value.map_or(0, |_| 4);
        value
    };
    if let Some(Some(data_offset)) = field(0x1) {
        *offset = base.saturating_add_signed(i64::from(data_offset.cast_signed()));
    }
    let first_flags = field(0x4).flatten();
    for number in 0..count {
        // A field that is cut off ends the run.
        let (duration, size, own_flags, shift) = (field(0x100), field(0x200), field(0x400), field(0x800));
        if [duration, size, own_flags, shift].contains(&Some(None)) {
            break;
        }
        let value = |field: Option<Option<u32>>, default: u32| field.flatten().unwrap_or(default);
        let size = value(size, defaults.size);
        let flags = if number == 0 { first_flags } else { None }.unwrap_or_else(|| value(own_flags, defaults.flags));
        let duration = value(duration, defaults.duration);
        if samples.len() == MOST_SAMPLES {
            return false;
        }
        let shown_at = decoded_at.saturating_add(i64::from(value(shift, 0).cast_signed()));
        samples.push(Raw { offset: *offset, size, decoded_at: *decoded_at, shown_at, duration, keyframe: flags & 0x1_0000 == 0 });
        *offset = offset.saturating_add(u64::from(size));
        *decoded_at = decoded_at.saturating_add(i64::from(duration));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], numbers: &[u32]) -> Vec<u8> {
        let content: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
        [&(content.len() as u32 + 8).to_be_bytes()[..], name, &content].concat()
    }

    #[test]
    fn times_and_places_come_from_the_runs_of_the_tables() {
        let stbl = [
            boxed(b"stsz", &[0, 0, 5, 10, 20, 30, 40, 50]),
            boxed(b"stts", &[0, 2, 2, 100, 3, 50]),
            boxed(b"ctts", &[0, 2, 1, 100, 4, (-10_i32).cast_unsigned()]),
            boxed(b"stss", &[0, 2, 1, 4]),
            boxed(b"stsc", &[0, 2, 1, 2, 1, 2, 3, 1]),
            boxed(b"stco", &[0, 2, 1000, 5000]),
        ]
        .concat();
        let samples = listed(&stbl).unwrap();
        assert_eq!(samples.iter().map(|s| s.offset).collect::<Vec<_>>(), [1000, 1010, 5000, 5030, 5070]);
        assert_eq!(samples.iter().map(|s| s.decoded_at).collect::<Vec<_>>(), [0, 100, 200, 250, 300]);
        assert_eq!(samples.iter().map(|s| s.shown_at).collect::<Vec<_>>(), [100, 90, 190, 240, 290]);
        assert_eq!(samples.iter().map(|s| s.keyframe).collect::<Vec<_>>(), [true, false, false, true, false]);
    }

    #[test]
    fn a_table_that_claims_four_billion_samples_ends_where_its_chunks_do_or_is_refused() {
        let stbl = |per_chunk: u32| {
            [
                boxed(b"stsz", &[0, 7, u32::MAX]),
                boxed(b"stts", &[0, 1, u32::MAX, 1]),
                boxed(b"stsc", &[0, 1, 1, per_chunk, 1]),
                boxed(b"stco", &[0, 1, 48]),
            ]
            .concat()
        };
        assert_eq!(listed(&stbl(3)).unwrap().len(), 3);
        assert!(listed(&stbl(u32::MAX)).is_none());
        let traf = [boxed(b"tfhd", &[0, 1]), boxed(b"trun", &[0, u32::MAX])].concat();
        let moof = [&(traf.len() as u32 + 8).to_be_bytes()[..], b"traf", &traf].concat();
        assert!(!add_fragment(&mut Vec::new(), &moof, 0, 1, Defaults::default()));
    }

    #[test]
    fn a_run_has_negative_shifts_and_ends_where_it_is_cut_off() {
        let trun = boxed(b"trun", &[0x0100_0000 | 0x1 | 0x4 | 0x200 | 0x800, 3, 64, 0, 10, 0, 20, (-5_i32).cast_unsigned(), 30]);
        let traf = [boxed(b"tfhd", &[0x2_0000 | 0x8 | 0x20, 1, 40, 0x1_0000]), boxed(b"tfdt", &[0, 400]), trun].concat();
        let moof = [&(traf.len() as u32 + 8).to_be_bytes()[..], b"traf", &traf].concat();
        let mut samples = Vec::new();
        assert!(add_fragment(&mut samples, &moof, 1000, 1, Defaults::default()));
        let of = |f: fn(&Raw) -> i64| samples.iter().map(f).collect::<Vec<_>>();
        assert_eq!((of(|s| s.offset as i64), of(|s| s.shown_at)), (vec![1064, 1074], vec![400, 435]));
        assert_eq!(samples.iter().map(|s| s.keyframe).collect::<Vec<_>>(), [true, false]);
    }
}
