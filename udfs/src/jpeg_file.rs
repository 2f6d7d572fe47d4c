//! JPEG files: size and orientation from the header; the pixels are decoded by the functions that need them.

use std::io::{BufRead, Cursor, ErrorKind, Seek};

use arrow::buffer::Buffer;

use crate::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use crate::orientation::{Orientation, mirrored};
use crate::pixels::decoded;

/// What a JPEG file says before its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width as stored, before rotation.
    pub width: u32,
    /// Height as stored, before rotation.
    pub height: u32,
    /// What EXIF says is done to it for display.
    pub orientation: Orientation,
}

/// Reads the header. Err says what is wrong with the file, or which kind of JPEG is not decoded.
pub fn header(mut file: impl BufRead + Seek) -> Result<Header, String> {
    let failed =
        |e: std::io::Error| if e.kind() == ErrorKind::UnexpectedEof { "the file ends in its header".to_owned() } else { e.to_string() };
    let mut soi = [0; 2];
    file.read_exact(&mut soi).map_err(failed)?;
    if soi != [0xff, 0xd8] {
        return Err("it does not begin like a JPEG".to_owned());
    }
    let mut orientation = Orientation::default();
    loop {
        let mut byte = [0];
        file.read_exact(&mut byte).map_err(failed)?;
        if byte != [0xff] {
            return Err("its header is damaged".to_owned());
        }
        while byte == [0xff] {
            file.read_exact(&mut byte).map_err(failed)?;
        }
        let mut length = [0; 2];
        file.read_exact(&mut length).map_err(failed)?;
        let length = u16::from_be_bytes(length).saturating_sub(2);
        match byte {
            [0xc0..=0xc2] => {
                let mut frame = [0; 6];
                file.read_exact(&mut frame).map_err(failed)?;
                let [precision, h0, h1, w0, w1, _] = frame;
                let (width, height) = (u32::from(u16::from_be_bytes([w0, w1])), u32::from(u16::from_be_bytes([h0, h1])));
                return match (precision, width, height) {
                    (8, 1.., 1..) => Ok(Header { width, height, orientation }),
                    (8, _, _) => Err("its header names no size".to_owned()),
                    (bits, _, _) => Err(format!("JPEG of {bits} bits is not decoded")),
                };
            }
            [0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf] => {
                return Err("lossless, hierarchical or arithmetic JPEG is not decoded".to_owned());
            }
            [0xd9 | 0xda] => return Err("its header names no size".to_owned()),
            [0xe1] => {
                let mut segment = vec![0; usize::from(length)];
                file.read_exact(&mut segment).map_err(failed)?;
                orientation = named(&segment).unwrap_or(orientation);
            }
            _ => file.seek_relative(i64::from(length)).map_err(failed)?,
        }
    }
}

/// The whole file as one plane. `said` is what the container says; without it EXIF is asked. A picture that is mirrored is decoded and mirrored here. Err if the header
/// cannot be read, or the pixels of a mirrored one.
pub fn picture(file: Vec<u8>, said: Option<Orientation>) -> Result<Picture, String> {
    let header = header(Cursor::new(&file))?;
    let orientation = said.unwrap_or(header.orientation);
    let picture = Picture {
        format: PixelFormat::Jpeg,
        width: header.width,
        height: header.height,
        range: ColorRange::Full,
        matrix: ColorMatrix::Bt601,
        rotation: orientation.rotation,
        planes: [Some(Buffer::from_vec(file)), None, None],
    };
    if !orientation.mirrored {
        return Ok(picture);
    }
    Ok(mirrored(&decoded(&picture).map_err(|e| e.to_string())?))
}

/// The orientation that an EXIF segment names (tag 0x0112 of the first directory).
fn named(segment: &[u8]) -> Option<Orientation> {
    let tiff = segment.strip_prefix(b"Exif\0\0")?;
    let little = tiff.starts_with(b"II");
    let two = |at: usize| -> Option<u16> {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let four = |at: usize| -> Option<u32> {
        let bytes = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = four(4)? as usize;
    let entries = (0..usize::from(two(directory)?)).map_while(|n| directory.checked_add(2 + 12 * n));
    let entry = entries.take_while(|at| two(*at).is_some()).find(|at| two(*at) == Some(0x0112))?;
    Some(Orientation::of_exif(two(entry.checked_add(8)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(exif: &[u8]) -> Vec<u8> {
        let app1 = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), exif].concat();
        [&[0xff, 0xd8, 0xff, 0xfe, 0, 3, 7][..], &app1, &[0xff, 0xc2, 0, 11, 8, 0, 30, 0, 40, 1, 1, 0x11, 0]].concat()
    }

    #[test]
    fn size_and_rotation_are_read_in_both_byte_orders() {
        let little = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        let rotation = |exif: &[u8]| header(Cursor::new(file(exif))).map(|h| (h.width, h.height, h.orientation.rotation));
        assert_eq!((rotation(little), rotation(big), rotation(b"http")), (Ok((40, 30, 90)), Ok((40, 30, 270)), Ok((40, 30, 0))));
        let turned = picture(file(little), None).unwrap();
        assert_eq!((turned.displayed(), picture(file(little), Some(Orientation::default())).unwrap().displayed()), ((30, 40), (40, 30)));
    }

    #[test]
    fn a_header_that_is_cut_anywhere_is_an_error_and_no_panic() {
        let whole = file(b"Exif\0\0II*\0\xff\xff\xff\xff\xff\xff");
        assert_eq!(header(Cursor::new(&whole)).map(|h| h.orientation), Ok(Orientation::default()));
        for end in 0..whole.len() - 4 {
            assert!(header(Cursor::new(&whole[..end])).is_err(), "{end}");
        }
    }
}
