//! How a stored picture is held for display: mirrored or not, then turned. A mirrored one is mirrored here, as a frame knows rotation only.

use arrow::buffer::Buffer;
use image::ImageDecoder;

use crate::frame::{Picture, PixelFormat};

/// What is done to a picture for display, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Whether left and right change places.
    pub mirrored: bool,
    /// Degrees to turn clockwise.
    pub rotation: u16,
}

impl Orientation {
    /// EXIF's number, 1 to 8; any other is 1 (EXIF 2.3, section 4.6.4 A, Orientation).
    pub fn of_exif(number: u16) -> Orientation {
        let (mirrored, rotation) = match number {
            2 => (true, 0),
            3 => (false, 180),
            4 => (true, 180),
            5 => (true, 270),
            6 => (false, 90),
            7 => (true, 90),
            8 => (false, 270),
            _ => (false, 0),
        };
        Orientation { mirrored, rotation }
    }

    /// What a picture's file says, once its head is read; nothing is said where it cannot be read.
    pub fn noted(decoder: &mut impl ImageDecoder) -> Orientation {
        Orientation::of_exif(decoder.orientation().map_or(1, |o| u16::from(o.to_exif())))
    }
}

/// A picture of one plane, RGB8 or GRAY8, with left and right exchanged; any other as it is.
pub fn mirrored(picture: &Picture) -> Picture {
    let n_bytes = match picture.format {
        PixelFormat::Rgb8 => 3,
        PixelFormat::Gray8 => 1,
        _ => return picture.clone(),
    };
    let row_bytes = (picture.width as usize * n_bytes).max(1);
    let mirror = |plane: &Buffer| {
        let mut bytes = Vec::with_capacity(plane.len());
        for row in plane.as_slice().chunks_exact(row_bytes) {
            row.rchunks_exact(n_bytes).for_each(|pixel| bytes.extend_from_slice(pixel));
        }
        Buffer::from_vec(bytes)
    };
    let [first, ..] = &picture.planes;
    Picture { planes: [first.as_ref().map(mirror), None, None], ..picture.clone() }
}
