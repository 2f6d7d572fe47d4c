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

    /// What a matrix of a container says of x' = ax + cy and y' = bx + dy, as (a, b, c, d); what is no quarter turn and no mirror is left as it is stored.
    pub fn of_matrix(matrix: [i32; 4]) -> Orientation {
        let (mirrored, rotation) = match matrix.map(i32::signum) {
            [0, 1, -1, 0] => (false, 90),
            [-1, 0, 0, -1] => (false, 180),
            [0, -1, 1, 0] => (false, 270),
            [-1, 0, 0, 1] => (true, 0),
            [0, -1, -1, 0] => (true, 90),
            [1, 0, 0, -1] => (true, 180),
            [0, 1, 1, 0] => (true, 270),
            _ => (false, 0),
        };
        Orientation { mirrored, rotation }
    }

    /// The picture of a decoder as it is held: told its rotation, and mirrored. A JPEG is not mirrored, as its pixels are not there yet.
    pub fn held(self, picture: Picture) -> Picture {
        let picture = Picture { rotation: self.rotation, ..picture };
        if self.mirrored { mirrored(&picture) } else { picture }
    }

    /// What a picture's file says, once its head is read; nothing is said where it cannot be read.
    pub fn noted(decoder: &mut impl ImageDecoder) -> Orientation {
        Orientation::of_exif(decoder.orientation().map_or(1, |o| u16::from(o.to_exif())))
    }
}

/// A picture with left and right exchanged; a JPEG as it is.
pub fn mirrored(picture: &Picture) -> Picture {
    let half = picture.width.div_ceil(2);
    // Of each plane the width, and the bytes of a pixel.
    let planes = match picture.format {
        PixelFormat::Rgb8 => [(picture.width, 3), (0, 1), (0, 1)],
        PixelFormat::Gray8 => [(picture.width, 1), (0, 1), (0, 1)],
        PixelFormat::I420 => [(picture.width, 1), (half, 1), (half, 1)],
        PixelFormat::Nv12 => [(picture.width, 1), (half, 2), (0, 1)],
        PixelFormat::Jpeg => return picture.clone(),
    };
    let mirror = |at: usize| {
        let (plane, (width, n_bytes)) = (picture.planes.get(at)?.as_ref()?, *planes.get(at)?);
        let mut bytes = Vec::with_capacity(plane.len());
        for row in plane.as_slice().chunks_exact((width as usize * n_bytes).max(1)) {
            row.rchunks_exact(n_bytes).for_each(|pixel| bytes.extend_from_slice(pixel));
        }
        Some(Buffer::from_vec(bytes))
    };
    Picture { planes: std::array::from_fn(mirror), ..picture.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ColorMatrix, ColorRange};
    use crate::pixels::{Order, render};

    #[test]
    fn a_matrix_says_what_exif_says_by_a_number() {
        // What becomes of the top left and the top right corner of EXIF's eight, as a matrix has it.
        let all = [[1, 0, 0, 1], [-1, 0, 0, 1], [-1, 0, 0, -1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0], [0, -1, -1, 0], [0, -1, 1, 0]];
        for (number, matrix) in (1..).zip(all) {
            assert_eq!(Orientation::of_matrix(matrix.map(|n| n * 65_536)), Orientation::of_exif(number), "{number}");
        }
        assert_eq!(Orientation::of_matrix([46_341, 46_341, -46_341, 46_341]), Orientation::default());
    }

    #[test]
    fn each_matrix_puts_each_pixel_where_it_says() {
        let pixel = |x: i32, y: i32| [10 * x as u8, 10 * y as u8, 7];
        let (width, height) = (5, 3);
        let stored: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
        let picture = Picture {
            format: PixelFormat::Rgb8,
            width: width as u32,
            height: height as u32,
            range: ColorRange::Full,
            matrix: ColorMatrix::Bt601,
            rotation: 0,
            planes: [Some(Buffer::from_vec(stored)), None, None],
        };
        for matrix in
            [[1, 0, 0, 1], [-1, 0, 0, 1], [1, 0, 0, -1], [-1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0], [0, -1, 1, 0], [0, -1, -1, 0]]
        {
            let shown = render(&Orientation::of_matrix(matrix).held(picture.clone()), Order::Rgb, None).unwrap();
            let [a, b, c, d] = matrix;
            for y in 0..height {
                for x in 0..width {
                    // Where that pixel goes; what runs to the left or up begins at the other side.
                    let right = a * x + c * y + if a + c < 0 { shown.width as i32 - 1 } else { 0 };
                    let down = b * x + d * y + if b + d < 0 { shown.height as i32 - 1 } else { 0 };
                    let at = 3 * (down * shown.width as i32 + right) as usize;
                    assert_eq!(shown.data[at..at + 3], pixel(x, y), "{matrix:?} {x} {y}");
                }
            }
        }
    }

    #[test]
    fn luma_and_chroma_are_mirrored_alike() {
        let of = |format, planes: [&[u8]; 3]| Picture {
            format,
            width: 4,
            height: 2,
            range: ColorRange::Full,
            matrix: ColorMatrix::Bt601,
            rotation: 90,
            planes: planes.map(|p| (!p.is_empty()).then(|| Buffer::from_vec(p.to_vec()))),
        };
        let (luma, back) = ([1, 2, 3, 4, 5, 6, 7, 8], [4, 3, 2, 1, 8, 7, 6, 5]);
        let i420 = |luma: &[u8], u: &[u8], v: &[u8]| of(PixelFormat::I420, [luma, u, v]);
        assert_eq!(mirrored(&i420(&luma, &[1, 2], &[3, 4])).planes, i420(&back, &[2, 1], &[4, 3]).planes);
        let nv12 = |luma: &[u8], uv: &[u8]| of(PixelFormat::Nv12, [luma, uv, &[]]);
        assert_eq!(mirrored(&nv12(&luma, &[1, 2, 3, 4])).planes, nv12(&back, &[3, 4, 1, 2]).planes);
    }
}
