//! Matroska and WebM: a walk over the elements that reads headers and goes past the pictures, and after damage goes on at the next cluster.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use framesql_udfs::orientation::Orientation;

use super::{Codec, Foreign, Sample, Track, damaged, no_video, unsupported_codec};
use crate::error::{Error, Result};

/// An element that is read whole: longer ones are damage.
const MOST_LEAF_BYTES: u64 = 1 << 20;

// Elements whose children are walked (RFC 9559, section 5.1).
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const VIDEO: u32 = 0xe0;
const BLOCK_GROUP: u32 = 0xa0;
const ENTERED: [u32; 5] = [SEGMENT, CLUSTER, INFO, TRACKS, BLOCK_GROUP];
/// Entered where no cluster has begun: the description of a track, and within it the three levels of its encodings.
const ENTERED_IN_HEADERS: [u32; 5] = [TRACK_ENTRY, VIDEO, 0x6d80, 0x6240, 0x5034];
// Elements whose content is read.
const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const DEFAULT_DURATION: u32 = 0x0023_e383;
const PIXEL_WIDTH: u32 = 0xb0;
const PIXEL_HEIGHT: u32 = 0xba;
const COMPRESSION: u32 = 0x4254;
const COMPRESSION_SETTINGS: u32 = 0x4255;
const ENCRYPTION: u32 = 0x5035;
const TIMESTAMP: u32 = 0xe7;
const BLOCK_DURATION: u32 = 0x9b;
const READ: [u32; 13] = [
    TIMESTAMP_SCALE,
    TRACK_NUMBER,
    TRACK_TYPE,
    CODEC_ID,
    CODEC_PRIVATE,
    DEFAULT_DURATION,
    PIXEL_WIDTH,
    PIXEL_HEIGHT,
    COMPRESSION,
    COMPRESSION_SETTINGS,
    ENCRYPTION,
    TIMESTAMP,
    BLOCK_DURATION,
];
// Elements that are noted and not read.
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK: u32 = 0xa1;
const REFERENCE_BLOCK: u32 = 0xfb;

/// Whether a file begins like a Matroska file.
pub fn recognises(head: &[u8]) -> bool {
    head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3])
}

/// Reads the table of the first video track. Errs if there is none or its codec is not decoded.
pub fn open(path: &Path) -> Result<Track> {
    let failed = |e| Error::io(format!("could not read file \"{}\"", path.display()), e);
    let file = File::open(path).map_err(|e| Error::io(format!("could not open file \"{}\"", path.display()), e))?;
    let length = file.metadata().map_err(failed)?.len();
    let mut walk = Walk { reader: BufReader::with_capacity(1 << 14, file), at: 0, length };
    let mut table = Table { timestamp_scale: 1_000_000, ..Table::default() };
    table.fill(&mut walk).map_err(failed)?;
    let Some(entry) = table.entry else {
        return Err(if table.tracks_seen { no_video(path) } else { damaged(path, "the description of its tracks is not in it") });
    };
    let codec = entry.codec(path)?;
    let ns = |units: i64| i128::from(units) * i128::from(table.timestamp_scale);
    let us = |ns: i128| i64::try_from((ns + 500).div_euclid(1000)).unwrap_or(i64::MAX);
    let samples: Vec<Sample> = table
        .blocks
        .iter()
        .map(|b| Sample { offset: b.offset, size: b.size, pts_us: us(ns(b.shown_at)), keyframe: b.keyframe, shown: b.shown })
        .collect();
    let duration_us = end_us(&samples, &table.blocks, |units| us(ns(units)), entry.default_duration_ns.map(|d| us(i128::from(d))));
    let (width, height) = entry.size;
    let track = Track {
        container: "mkv",
        codec,
        width,
        height,
        orientation: Orientation::default(),
        samples,
        n_missing: table.n_missing,
        duration_us,
        prefix: entry.prefix,
    };
    Ok(track.starting_at_zero())
}

/// When the picture that is shown last ends: by its own duration, the track's, or the time from the one before to it.
fn end_us(samples: &[Sample], blocks: &[Block], us: impl Fn(i64) -> i64, default_us: Option<i64>) -> i64 {
    let mut last_two = [i64::MIN; 2];
    let mut own = None;
    for (sample, block) in samples.iter().zip(blocks) {
        if sample.pts_us >= last_two[1] {
            last_two = [last_two[1], sample.pts_us];
            own = block.duration.map(&us);
        } else {
            last_two[0] = last_two[0].max(sample.pts_us);
        }
    }
    let step = last_two[1].checked_sub(last_two[0]).filter(|_| last_two[0] > i64::MIN);
    last_two[1].max(0).saturating_add(own.or(default_us).or(step).unwrap_or(40_000))
}

struct Walk<R> {
    reader: BufReader<R>,
    at: u64,
    length: u64,
}

impl<R: Read + Seek> Walk<R> {
    fn go_to(&mut self, to: u64) -> std::io::Result<()> {
        match i64::try_from(i128::from(to) - i128::from(self.at)) {
            Ok(by) => self.reader.seek_relative(by)?,
            Err(_) => _ = self.reader.seek(SeekFrom::Start(to))?,
        }
        self.at = to;
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.reader.read_exact(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// A number whose first byte tells its length; `keep` keeps the bit that tells it, as ids do. None where no number can begin or end.
    fn number(&mut self, most_bytes: u32, keep: bool) -> std::io::Result<Option<u64>> {
        if self.at >= self.length {
            return Ok(None);
        }
        let mut first = [0];
        self.read(&mut first)?;
        let n_more = first[0].leading_zeros();
        if n_more >= most_bytes || self.at + u64::from(n_more) > self.length {
            return Ok(None);
        }
        let mut value = u64::from(if keep { first[0] } else { first[0] & (0x7f >> n_more) });
        let mut ones = u32::from(first[0]).count_ones() == 8 - n_more;
        for _ in 0..n_more {
            let mut byte = [0];
            self.read(&mut byte)?;
            value = value << 8 | u64::from(byte[0]);
            ones &= byte[0] == 0xff;
        }
        // All ones is a size that was not known when it was written.
        Ok(Some(if ones && !keep { u64::MAX } else { value }))
    }

    /// Goes to the next cluster after `from`; false if there is none.
    fn find_cluster(&mut self, from: u64) -> std::io::Result<bool> {
        self.go_to(from.min(self.length))?;
        let mut last = 0_u32;
        let mut byte = [0];
        while self.at < self.length {
            self.read(&mut byte)?;
            last = last << 8 | u32::from(byte[0]);
            if last == CLUSTER {
                self.go_to(self.at - 4)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[derive(Clone, Debug, Default)]
struct Entry {
    number: u64,
    kind: u64,
    codec: Vec<u8>,
    private: Option<Vec<u8>>,
    size: (u32, u32),
    default_duration_ns: Option<u64>,
    /// None: not compressed; 3: the bytes of `prefix` were taken off every block.
    compression: Option<u64>,
    encrypted: bool,
    prefix: Vec<u8>,
}

impl Entry {
    fn codec(&self, path: &Path) -> Result<Codec> {
        let name = String::from_utf8_lossy(&self.codec).trim_end_matches('\0').to_owned();
        if self.encrypted || self.compression.is_some_and(|c| c != 3) {
            return Err(unsupported_codec(path, if self.encrypted { "an encrypted stream" } else { "a compressed Matroska track" }));
        }
        match (name.as_str(), &self.private) {
            ("V_MPEG4/ISO/AVC", Some(config)) => Ok(Codec::H264(config.clone())),
            ("V_MPEG4/ISO/AVC", None) => Err(damaged(path, "the parameters of its H.264 stream are not in it")),
            ("V_MJPEG", _) => Ok(Codec::Jpeg),
            // A BITMAPINFOHEADER names the codec in four letters.
            ("V_MS/VFW/FOURCC", Some(header)) if header.get(16..20).is_some_and(|f| f.eq_ignore_ascii_case(b"MJPG")) => Ok(Codec::Jpeg),
            (name, private) => {
                let people = match name {
                    "V_MPEGH/ISO/HEVC" => "H.265",
                    "V_MPEG4/ISO/SP" | "V_MPEG4/ISO/ASP" | "V_MPEG4/ISO/AP" => "MPEG-4 part 2",
                    "V_MPEG1" => "MPEG-1",
                    "V_MPEG2" => "MPEG-2",
                    "V_THEORA" => "Theora",
                    "V_PRORES" => "ProRes",
                    name => name.strip_prefix("V_").unwrap_or(name),
                };
                Ok(Codec::Foreign(Foreign { name: people.to_owned(), id: name.to_owned(), private: private.clone().unwrap_or_default() }))
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Block {
    offset: u64,
    size: u64,
    shown_at: i64,
    duration: Option<i64>,
    keyframe: bool,
    /// Some are only decoded, for others to build on.
    shown: bool,
}

#[derive(Debug, Default)]
struct Table {
    timestamp_scale: u64,
    /// The track that is described at the moment.
    described: Option<Entry>,
    /// The first video track.
    entry: Option<Entry>,
    tracks_seen: bool,
    in_clusters: bool,
    cluster_at: i64,
    blocks: Vec<Block>,
    /// Whether the last block is the one of the group that is walked.
    in_group: bool,
    n_missing: u64,
}

impl Table {
    fn fill<R: Read + Seek>(&mut self, walk: &mut Walk<R>) -> std::io::Result<()> {
        loop {
            let start = walk.at;
            let id = walk.number(4, true)?.map(|id| id as u32);
            let size = walk.number(8, false)?;
            let (Some(id), Some(size)) = (id, size) else {
                if !self.resume(walk, start)? {
                    return Ok(());
                }
                continue;
            };
            let end = if size == u64::MAX { None } else { Some(walk.at.saturating_add(size)) };
            self.end_of_description(id);
            match id {
                _ if ENTERED.contains(&id) || !self.in_clusters && ENTERED_IN_HEADERS.contains(&id) => {
                    self.tracks_seen |= id == TRACKS;
                    self.in_clusters = matches!(id, CLUSTER | BLOCK_GROUP);
                    self.in_group = false;
                    if id == TRACK_ENTRY {
                        self.described = Some(Entry::default());
                    }
                }
                SIMPLE_BLOCK | BLOCK => {
                    let Some(end) = end.filter(|end| *end <= walk.length) else {
                        // Cut off by the end of the file, unless its size is damaged and clusters follow.
                        self.n_missing += u64::from(self.entry.is_some());
                        if !self.resume(walk, start)? {
                            return Ok(());
                        }
                        continue;
                    };
                    self.block(walk, id, end)?;
                    walk.go_to(end)?;
                }
                REFERENCE_BLOCK | BLOCK_DURATION if self.in_group => self.of_group(walk, id, size)?,
                _ => match end.filter(|end| known(id, self.in_clusters) && *end <= walk.length) {
                    Some(end) => {
                        if READ.contains(&id) && size <= MOST_LEAF_BYTES {
                            let mut content = vec![0; size as usize];
                            walk.read(&mut content)?;
                            self.read(id, content);
                        }
                        walk.go_to(end)?;
                    }
                    None => {
                        if !self.resume(walk, start)? {
                            return Ok(());
                        }
                    }
                },
            }
        }
    }

    /// After damage: the next cluster behind `start`; false if there is none.
    fn resume<R: Read + Seek>(&mut self, walk: &mut Walk<R>, start: u64) -> std::io::Result<bool> {
        self.in_group = false;
        self.end_of_description(CLUSTER);
        if start >= walk.length {
            return Ok(false);
        }
        walk.find_cluster(start + 1)
    }

    /// An element of a higher level ends the description of a track.
    fn end_of_description(&mut self, id: u32) {
        if !matches!(id, TRACK_ENTRY | CLUSTER) && id < 0x1000_0000 {
            return;
        }
        if let Some(entry) = self.described.take().filter(|e| e.kind == 1 && self.entry.is_none()) {
            self.entry = Some(entry);
        }
    }

    fn read(&mut self, id: u32, content: Vec<u8>) {
        let unsigned = content.iter().take(8).fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        match (id, &mut self.described) {
            (TIMESTAMP_SCALE, _) => self.timestamp_scale = unsigned.max(1),
            (TIMESTAMP, _) => self.cluster_at = i64::try_from(unsigned).unwrap_or(0),
            (_, None) => {}
            (TRACK_NUMBER, Some(e)) => e.number = unsigned,
            (TRACK_TYPE, Some(e)) => e.kind = unsigned,
            (CODEC_ID, Some(e)) => e.codec = content,
            (CODEC_PRIVATE, Some(e)) => e.private = Some(content),
            (DEFAULT_DURATION, Some(e)) => e.default_duration_ns = Some(unsigned).filter(|d| *d > 0),
            (PIXEL_WIDTH, Some(e)) => e.size.0 = u32::try_from(unsigned).unwrap_or(0),
            (PIXEL_HEIGHT, Some(e)) => e.size.1 = u32::try_from(unsigned).unwrap_or(0),
            (COMPRESSION, Some(e)) => e.compression = Some(unsigned),
            (COMPRESSION_SETTINGS, Some(e)) => {
                e.compression.get_or_insert(0);
                e.prefix = content;
            }
            (ENCRYPTION, Some(e)) => e.encrypted = true,
            _ => {}
        }
    }

    /// The header of a block that ends at `end`: track, time, flags.
    fn block<R: Read + Seek>(&mut self, walk: &mut Walk<R>, id: u32, end: u64) -> std::io::Result<()> {
        self.in_group = false;
        let Some(number) = walk.number(8, false)? else { return Ok(()) };
        if self.entry.as_ref().is_none_or(|e| e.number != number) || walk.at.saturating_add(3) > end {
            return Ok(());
        }
        let mut rest = [0; 3];
        walk.read(&mut rest)?;
        let [t0, t1, flags] = rest;
        let shown_at = self.cluster_at.saturating_add(i64::from(i16::from_be_bytes([t0, t1])));
        // Lacing puts several small frames into a block; no writer does that to video.
        if flags & 0x06 != 0 || walk.at == end {
            self.n_missing += 1;
            return Ok(());
        }
        self.in_group = id == BLOCK;
        let keyframe = id == BLOCK || flags & 0x80 != 0;
        let (offset, size) = (walk.at, end - walk.at);
        let mut shown = flags & 0x08 == 0;
        if self.entry.as_ref().is_some_and(|e| e.codec.starts_with(b"V_VP8")) {
            // VP8 says itself whether a picture is shown (RFC 6386, section 9.1), and not every writer repeats it in the flags.
            let mut first = [0];
            walk.read(&mut first)?;
            shown &= first[0] & 0x10 != 0;
        }
        self.blocks.push(Block { offset, size, shown_at, duration: None, keyframe, shown });
        Ok(())
    }

    /// What a group says of its block: that it refers to another, or how long it is shown.
    fn of_group<R: Read + Seek>(&mut self, walk: &mut Walk<R>, id: u32, size: u64) -> std::io::Result<()> {
        let mut content = vec![0; size.min(8).min(walk.length.saturating_sub(walk.at)) as usize];
        let end = walk.at.saturating_add(size);
        walk.read(&mut content)?;
        if let Some(block) = self.blocks.last_mut() {
            if id == REFERENCE_BLOCK {
                block.keyframe = false;
            } else {
                block.duration = i64::try_from(content.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))).ok();
            }
        }
        walk.go_to(end.min(walk.length))
    }
}

/// Whether an id may stand among the clusters; another is a sign of damage. Headers have many that are passed over.
fn known(id: u32, in_clusters: bool) -> bool {
    let of_cluster = [0x5854, 0xa7, 0xab, 0xaf, 0x75a1, 0xfa, 0xa4, 0x75a2, 0x8e, 0xec, 0xbf, REFERENCE_BLOCK, BLOCK_DURATION, TIMESTAMP];
    let of_segment = [0x1a45_dfa3, 0x114d_9b74, 0x1c53_bb6b, 0x1941_a469, 0x1043_a770, 0x1254_c367];
    !in_clusters || of_cluster.contains(&id) || of_segment.contains(&id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
        [id, &[0x40 | (content.len() >> 8) as u8, content.len() as u8], content].concat()
    }

    fn file() -> (Vec<u8>, Vec<usize>) {
        let entry =
            [element(&[0xd7], &[1]), element(&[0x83], &[1]), element(&[0x86], b"V_MJPEG"), element(&[0xe0], &element(&[0xb0], &[64]))]
                .concat();
        let mut file = element(&[0x1a, 0x45, 0xdf, 0xa3], &[]);
        // A segment of unknown size, as a live recording has it.
        file.extend([0x18, 0x53, 0x80, 0x67, 0xff]);
        file.extend(element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &entry)));
        let mut clusters = Vec::new();
        for second in 0..3_u8 {
            clusters.push(file.len());
            file.extend([0x1f, 0x43, 0xb6, 0x75, 0xff]);
            file.extend(element(&[0xe7], &[second * 50]));
            file.extend(element(&[0xa3], &[0x81, 0, 0, 0x80, 1, 2, 3]));
            file.extend(element(&[0xa3], &[0x82, 0, 1, 0x80, 9]));
            let group = [element(&[0xa1], &[0x81, 0, 20, 0, 4, 5]), element(&[0xfb], &[1])].concat();
            file.extend(element(&[0xa0], &group));
        }
        (file, clusters)
    }

    fn table(file: Vec<u8>) -> Table {
        let length = file.len() as u64;
        let mut table = Table { timestamp_scale: 1_000_000, ..Table::default() };
        table.fill(&mut Walk { reader: BufReader::with_capacity(7, Cursor::new(file)), at: 0, length }).unwrap();
        table
    }

    #[test]
    fn blocks_of_the_first_video_track_are_found_in_groups_and_alone() {
        let (bytes, _) = file();
        let found = table(bytes.clone());
        assert_eq!(
            found.blocks.iter().map(|b| (b.shown_at, b.keyframe)).collect::<Vec<_>>(),
            [(0, true), (20, false), (50, true), (70, false), (100, true), (120, false)]
        );
        let contents: Vec<_> =
            found.blocks.iter().take(2).map(|b| bytes[b.offset as usize..(b.offset + b.size) as usize].to_vec()).collect();
        assert_eq!(contents, [vec![1, 2, 3], vec![4, 5]]);
        assert_eq!(found.entry.unwrap().size, (64, 0));
    }

    #[test]
    fn after_damage_the_walk_goes_on_at_the_next_cluster() {
        let (mut bytes, clusters) = file();
        // The first block of the second cluster gets an id that nobody knows.
        bytes[clusters[1] + 5 + 4] = 0xa5;
        let times: Vec<_> = table(bytes.clone()).blocks.iter().map(|b| b.shown_at).collect();
        assert_eq!(times, [0, 20, 100, 120]);
        bytes.truncate(bytes.len() - 6);
        let found = table(bytes);
        assert_eq!((found.blocks.len(), found.n_missing), (3, 1));
    }
}
