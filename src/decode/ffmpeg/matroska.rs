//! Coded pictures as a Matroska stream, which tells a decoder everything that it must know, whatever the codec: what is written to ffmpeg.

use std::io::{Result, Write};

/// What the head of the stream says.
#[derive(Clone, Debug)]
pub struct Track {
    /// Matroska's CodecID.
    pub id: String,
    /// Matroska's CodecPrivate; empty where the codec has no parameters.
    pub private: Vec<u8>,
    /// Width and height of the pictures as coded.
    pub size: (u32, u32),
}

/// An element with its content; sizes are written with 8 bytes, which is always enough (RFC 8794, section 4).
fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    [id, &size(content.len()), content].concat()
}

fn size(length: usize) -> [u8; 8] {
    (1_u64 << 56 | length as u64).to_be_bytes()
}

fn number(id: &[u8], value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// Writes the head; the segment that it opens ends where the stream does. Times are in milliseconds.
pub fn write_head(out: &mut impl Write, track: &Track) -> Result<()> {
    let ebml = [
        number(&[0x42, 0x86], 1),
        number(&[0x42, 0xf7], 1),
        number(&[0x42, 0xf2], 4),
        number(&[0x42, 0xf3], 8),
        element(&[0x42, 0x82], b"matroska"),
        number(&[0x42, 0x87], 4),
        number(&[0x42, 0x85], 2),
    ];
    let info = [number(&[0x2a, 0xd7, 0xb1], 1_000_000), element(&[0x4d, 0x80], b"framesql"), element(&[0x57, 0x41], b"framesql")];
    let video = [number(&[0xb0], u64::from(track.size.0)), number(&[0xba], u64::from(track.size.1))];
    let mut entry = vec![
        number(&[0xd7], 1),
        number(&[0x73, 0xc5], 1),
        number(&[0x83], 1),
        number(&[0x9c], 0),
        element(&[0x86], track.id.as_bytes()),
        element(&[0xe0], &video.concat()),
    ];
    if !track.private.is_empty() {
        entry.push(element(&[0x63, 0xa2], &track.private));
    }
    out.write_all(&element(&[0x1a, 0x45, 0xdf, 0xa3], &ebml.concat()))?;
    // All ones: nobody knows yet how long it is.
    out.write_all(&[0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])?;
    out.write_all(&element(&[0x15, 0x49, 0xa9, 0x66], &info.concat()))?;
    out.write_all(&element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &entry.concat())))
}

/// Writes one picture, in a cluster of its own: so its time may be any. `head` is scratch space.
pub fn write_picture(out: &mut impl Write, at_ms: u64, keyframe: bool, coded: &[u8], head: &mut Vec<u8>) -> Result<()> {
    // Track 1, no time beside the cluster's, and the flag of a keyframe.
    let block = [0x81, 0, 0, if keyframe { 0x80 } else { 0 }];
    let timestamp = number(&[0xe7], at_ms);
    let block_bytes = block.len() + coded.len();
    head.clear();
    head.extend_from_slice(&[0x1f, 0x43, 0xb6, 0x75]);
    head.extend_from_slice(&size(timestamp.len() + 1 + 8 + block_bytes));
    head.extend_from_slice(&timestamp);
    head.push(0xa3);
    head.extend_from_slice(&size(block_bytes));
    head.extend_from_slice(&block);
    out.write_all(head)?;
    out.write_all(coded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Codec, mkv};

    #[test]
    fn what_is_written_is_what_our_own_reader_reads() {
        let track = Track { id: "V_VP9".into(), private: vec![1, 2, 3], size: (64, 48) };
        let (mut bytes, mut head) = (Vec::new(), Vec::new());
        write_head(&mut bytes, &track).unwrap();
        for (at_ms, keyframe, coded) in [(70_000_000_u64, true, &b"abc"[..]), (70_000_020, false, b"d"), (70_000_010, false, &[0; 40_000])]
        {
            write_picture(&mut bytes, at_ms, keyframe, coded, &mut head).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.mkv");
        std::fs::write(&path, &bytes).unwrap();
        let read = mkv::open(&path).unwrap();
        let Codec::Foreign(foreign) = read.codec else { panic!("it is foreign") };
        assert_eq!((foreign.id.as_str(), foreign.private.as_slice(), read.width, read.height), ("V_VP9", &[1, 2, 3][..], 64, 48));
        let rows: Vec<_> = read.samples.iter().map(|s| (s.pts_us, s.size, s.keyframe)).collect();
        assert_eq!(rows, [(0, 3, true), (20_000, 1, false), (10_000, 40_000, false)]);
        assert_eq!(read.n_missing, 0);
    }
}
