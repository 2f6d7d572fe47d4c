//! A frame beside the one before: the small luma that is kept of every frame, and pairs of them for the functions that compare.

use std::sync::Arc;

use crate::frame::{ColorRange, Picture, PixelFormat};
use crate::pixels::{Damaged, decoded, full_range, luma_of_size, owned};

/// The longest side of the luma that is kept, px: at most 320 x 320 bytes a source are remembered and compared, and the mean over some
/// pixels of a large picture has less noise than each of them. A smaller picture keeps its size.
const LONGEST: u32 = 320;

/// The luma of a frame as displayed, at the size at which frames are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Small {
    full: (u32, u32),
    size: (u32, u32),
    luma: Vec<u8>,
}

impl Small {
    /// Made of a picture. Errs if it is damaged.
    pub fn of(picture: &Picture) -> Result<Small, Damaged> {
        let picture = decoded(picture)?;
        let (full, size) = (picture.displayed(), small(picture.displayed()));
        let video = matches!(picture.format, PixelFormat::I420 | PixelFormat::Nv12);
        let luma = if video && picture.range == ColorRange::Limited {
            // Scaled first and widened to the full range then: fewer samples.
            let as_it_is = Picture { range: ColorRange::Full, ..picture.clone() };
            full_range(&luma_of_size(&as_it_is, size)?)
        } else {
            owned(luma_of_size(&picture, size)?)
        };
        Ok(Small { full, size, luma })
    }

    /// Made of what `full`, `size` and `luma` gave. None if the bytes are not as many as the size has pixels.
    pub fn kept(full: (u32, u32), size: (u32, u32), luma: Vec<u8>) -> Option<Small> {
        let fits = luma.len() as u64 == u64::from(size.0) * u64::from(size.1) && size == small(full);
        fits.then_some(Small { full, size, luma })
    }

    /// Width and height of the picture it was made of, as displayed, px.
    pub fn full(&self) -> (u32, u32) {
        self.full
    }

    /// Its own width and height, px.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The samples, 0 to 255, row by row.
    pub fn luma(&self) -> &[u8] {
        &self.luma
    }
}

fn small((width, height): (u32, u32)) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= LONGEST {
        return (width, height);
    }
    let side = |side: u32| (side * LONGEST).div_ceil(longest).max(1);
    (side(width), side(height))
}

/// A frame and the one before, of one size.
#[derive(Clone, Debug)]
pub struct Pair {
    before: Arc<Small>,
    now: Arc<Small>,
}

impl Pair {
    /// None if the two pictures are of two sizes: they cannot be compared.
    pub fn of(before: &Arc<Small>, now: &Arc<Small>) -> Option<Pair> {
        (before.full == now.full).then(|| Pair { before: Arc::clone(before), now: Arc::clone(now) })
    }

    /// The luma of both, the earlier first.
    pub(crate) fn luma(&self) -> (&[u8], &[u8]) {
        (&self.before.luma, &self.now.luma)
    }

    /// Width and height of each, px.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.now.size.0 as usize, self.now.size.1 as usize)
    }

    /// Pixels of the picture for one of the luma, across and down.
    pub(crate) fn scale(&self) -> (f64, f64) {
        let (full, size) = (self.now.full, self.now.size);
        (f64::from(full.0) / f64::from(size.0.max(1)), f64::from(full.1) / f64::from(size.1.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ColorMatrix;
    use arrow::buffer::Buffer;

    #[test]
    fn large_pictures_are_kept_small_and_small_ones_as_they_are() {
        assert_eq!(
            [small((1920, 1080)), small((1080, 1920)), small((320, 240)), small((5, 4)), small((100_000, 1))],
            [(320, 180), (180, 320), (320, 240), (5, 4), (320, 1)]
        );
        let (format, range, matrix) = (PixelFormat::I420, ColorRange::Limited, ColorMatrix::Bt601);
        let plane = |n: usize, value: u8| Some(Buffer::from_vec(vec![value; n]));
        let planes = [plane(640 * 360, 235), plane(320 * 180, 128), plane(320 * 180, 128)];
        let white = Picture { format, width: 640, height: 360, range, matrix, rotation: 90, planes };
        let kept = Small::of(&white).unwrap();
        assert_eq!((kept.full(), kept.size()), ((360, 640), (180, 320)));
        assert!(kept.luma().iter().all(|y| *y == 255));
        assert_eq!(Small::kept(kept.full(), kept.size(), kept.luma().to_vec()), Some(kept.clone()));
        assert_eq!(Small::kept(kept.full(), (320, 180), kept.luma().to_vec()), None);
    }
}
