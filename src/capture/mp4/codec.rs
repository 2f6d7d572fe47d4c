//! How the samples of an MP4 are coded: by the sample entry, and for JPEG, which goes by many names, by the first sample.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::boxes::find;
use super::samples::Raw;
use crate::capture::{Codec, Foreign, damaged, unsupported_codec};
use crate::error::Result;

/// The fixed part of a visual sample entry; boxes follow.
const FIXED_BYTES: usize = 78;

/// Reads the first sample entry, by its name and content. Errs if it lacks what a decoder needs, and if the stream is encrypted.
pub(super) fn of(path: &Path, file: &mut File, name: [u8; 4], entry: &[u8], raw: &[Raw]) -> Result<Codec> {
    let details = entry.get(FIXED_BYTES..).unwrap_or_default();
    if matches!(&name, b"avc1" | b"avc3") {
        return match find(details, &[b"avcC"]) {
            Some(config) => Ok(Codec::H264(config.to_vec())),
            None => Err(damaged(path, "the parameters of its H.264 stream are not in it")),
        };
    }
    let mut start = [0; 3];
    let first = raw.iter().find(|s| s.size > 3);
    let read = first.map(|s| file.seek(SeekFrom::Start(s.offset)).and_then(|_| file.read_exact(&mut start)));
    if matches!(read, Some(Ok(()))) && start == [0xff, 0xd8, 0xff] {
        return Ok(Codec::Jpeg);
    }
    let whole = |box_name: &[u8; 4], people: &str| match find(details, &[box_name]) {
        Some(config) => Ok(config.to_vec()),
        None => Err(unsupported_codec(path, &format!("{people} without its parameters"))),
    };
    let (people, id, private) = match &name {
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => ("H.265", "V_MPEGH/ISO/HEVC", whole(b"hvcC", "H.265")?),
        b"av01" => ("AV1", "V_AV1", whole(b"av1C", "AV1")?),
        b"vp08" => ("VP8", "V_VP8", Vec::new()),
        b"vp09" => ("VP9", "V_VP9", Vec::new()),
        b"mp4v" => {
            let Some((kind, private)) = find(details, &[b"esds"]).and_then(described) else {
                return Err(damaged(path, "the parameters of its MPEG stream are not in it"));
            };
            // Object types of ISO/IEC 14496-1, table 5.
            match kind {
                0x60..=0x65 => ("MPEG-2", "V_MPEG2", private),
                0x6a => ("MPEG-1", "V_MPEG1", private),
                _ => ("MPEG-4 part 2", "V_MPEG4/ISO/ASP", private),
            }
        }
        b"encv" => return Err(unsupported_codec(path, "an encrypted stream")),
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => ("ProRes", QUICKTIME, quicktime(name, entry)),
        b"jpeg" | b"mjpa" | b"mjpb" => ("Motion JPEG of another layout", QUICKTIME, quicktime(name, entry)),
        other => {
            let printable: String = other.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' }).collect();
            return Ok(Codec::Foreign(Foreign {
                name: format!("\"{printable}\""),
                id: QUICKTIME.to_owned(),
                private: quicktime(name, entry),
            }));
        }
    };
    Ok(Codec::Foreign(Foreign { name: people.to_owned(), id: id.to_owned(), private }))
}

/// Matroska's word for a codec that is told by QuickTime's sample entry.
const QUICKTIME: &str = "V_QUICKTIME";

/// The sample entry as it stands in the file, with its head.
fn quicktime(name: [u8; 4], entry: &[u8]) -> Vec<u8> {
    let size = u32::try_from(entry.len() + 8).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], &name, entry].concat()
}

/// The object type and the decoder's own parameters in an elementary stream descriptor (ISO/IEC 14496-1, 7.2.6).
fn described(esds: &[u8]) -> Option<(u8, Vec<u8>)> {
    // Version and flags of the box come first.
    let stream = descriptor(esds.get(4..)?, 0x03)?;
    let flags = *stream.get(2)?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let decoder = descriptor(stream.get(at..)?, 0x04)?;
    let private = decoder.get(13..).and_then(|rest| descriptor(rest, 0x05)).unwrap_or_default();
    Some((*decoder.first()?, private.to_vec()))
}

/// The content of the descriptor at the beginning of `bytes`, if it has that tag.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (first, mut rest) = bytes.split_first()?;
    let mut length = 0_usize;
    for _ in 0..4 {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    (*first == tag).then(|| rest.get(..length.min(rest.len()))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_an_mpeg_stream_stand_in_three_descriptors() {
        let decoder = [&[0x04, 0x80, 0x80, 0x80, 17, 0x20, 0x11][..], &[0; 11], &[0x05, 2, 7, 8]].concat();
        let esds = [&[0, 0, 0, 0, 0x03, 0x80, 27, 0, 1, 0x20, 9, 9][..], &decoder].concat();
        assert_eq!(described(&esds), Some((0x20, vec![7, 8])));
        assert_eq!(described(&esds[..9]), None);
        let without = [&[0, 0, 0, 0, 0x03, 18, 0, 1, 0, 0x04, 13, 0x6a][..], &[0; 12]].concat();
        assert_eq!(described(&without), Some((0x6a, Vec::new())));
    }
}
