//! Planes to interleaved pixels: scaled first, converted at the small size, turned for display; each function that needs it does it once a frame.

use std::borrow::Cow;

use arrow::buffer::Buffer;
use datafusion_common::DataFusionError;
use fast_image_resize::PixelType;

use crate::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use crate::model::kernels::{Work, fastest};
use crate::planes::{Yuv, cut_plane, decode_jpeg, plane, scaled_plane, shared_plane, turned};

/// Pictures of more pixels count as damaged: what a broken header names must not take all memory.
pub const MAX_PIXELS: u64 = 1 << 27;

/// A picture whose planes do not hold what its format says: too few bytes, a broken JPEG, or more than `MAX_PIXELS`.
///
/// It is no mistake of the query: a SQL function gives NULL for it. It travels through DataFusion's errors and is found by `Damaged::caused`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(String);

impl Damaged {
    pub(crate) fn new(message: impl Into<String>) -> Damaged {
        Damaged(message.into())
    }

    /// Whether an error says that a picture is damaged.
    pub fn caused(error: &DataFusionError) -> bool {
        matches!(error.find_root(), DataFusionError::External(cause) if cause.is::<Damaged>())
    }
}

impl From<Damaged> for DataFusionError {
    fn from(damaged: Damaged) -> DataFusionError {
        DataFusionError::External(Box::new(damaged))
    }
}

/// Which colour comes first in a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV's models want it.
    Bgr,
}

/// Interleaved pixels, 3 bytes each, row by row without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// width x height x 3 bytes; shared with the picture where nothing had to change.
    pub data: Buffer,
}

impl Pixels {
    /// The bytes to write into; they are copied if a picture shares them.
    pub fn into_bytes(self) -> Vec<u8> {
        owned(self.data)
    }

    /// The same pixels as a picture; they must be in RGB order.
    pub fn into_picture(self) -> Picture {
        rgb8(self.width, self.height, 0, self.data)
    }
}

/// Bytes to write into, or to give away: copied only where others have them too.
pub(crate) fn owned(bytes: Buffer) -> Vec<u8> {
    bytes.into_vec().unwrap_or_else(|shared| shared.to_vec())
}

/// A picture of RGB8.
pub(crate) fn rgb8(width: u32, height: u32, rotation: u16, data: Buffer) -> Picture {
    let (format, range, matrix) = (PixelFormat::Rgb8, ColorRange::Full, ColorMatrix::Bt601);
    Picture { format, width, height, range, matrix, rotation, planes: [Some(data), None, None] }
}

/// A rectangle of whole pixels that lies inside a picture as displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Left column.
    pub x: u32,
    /// Upper row.
    pub y: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

/// Errs unless a picture of that size has pixels, and not too many.
pub fn sized(width: u32, height: u32) -> Result<(), Damaged> {
    match u64::from(width) * u64::from(height) {
        0 => Err(Damaged::new(format!("a picture of {width}x{height} has no pixels"))),
        1..=MAX_PIXELS => Ok(()),
        _ => Err(Damaged::new(format!("a picture of {width}x{height} has more than {MAX_PIXELS} pixels"))),
    }
}

/// The picture with a JPEG decoded to RGB8; any other as it is. Errs if the file is broken or is not of the size that the picture says.
pub fn decoded(picture: &Picture) -> Result<Picture, Damaged> {
    if picture.format != PixelFormat::Jpeg {
        return Ok(picture.clone());
    }
    sized(picture.width, picture.height)?;
    Ok(rgb8(picture.width, picture.height, picture.rotation, Buffer::from_vec(decode_jpeg(picture)?)))
}

/// The picture as displayed, scaled to `size` where one is given. Errs if the planes do not hold what the format says.
pub fn render(picture: &Picture, order: Order, size: Option<(u32, u32)>) -> Result<Pixels, Damaged> {
    let (width, height) = match size {
        Some((width, height)) if picture.turned() => (height, width),
        Some(size) => size,
        None => (picture.width, picture.height),
    };
    let (from, to) = ((picture.width, picture.height), (width, height));
    sized(from.0, from.1)?;
    sized(width, height)?;
    let upright = match picture.format {
        PixelFormat::Jpeg => return render(&decoded(picture)?, order, size),
        PixelFormat::I420 | PixelFormat::Nv12 => Buffer::from_vec(Yuv::of(picture)?.scaled(to)?.converted(picture, order)?),
        PixelFormat::Rgb8 if from == to => ordered(shared_plane(picture, 0, 3)?, order),
        PixelFormat::Rgb8 => {
            let scaled = scaled_plane(plane(picture, 0, 3)?, from, to, PixelType::U8x3)?.into_owned();
            ordered(Buffer::from_vec(scaled), order)
        }
        PixelFormat::Gray8 => {
            let luma = scaled_plane(plane(picture, 0, 1)?, from, to, PixelType::U8)?;
            Buffer::from_vec(each_pixel(&luma, &Gray))
        }
    };
    let (width, height, data) = turned(width, height, upright, 3, picture.rotation);
    Ok(Pixels { width, height, data })
}

/// A part of the picture, given as displayed: GRAY8 stays GRAY8, all else becomes RGB8, and only that part is converted.
pub fn cut(picture: &Picture, area: Area) -> Result<Picture, Damaged> {
    sized(picture.width, picture.height)?;
    let (displayed, stored) = (picture.displayed(), stored_area(picture, area));
    if u64::from(area.x) + u64::from(area.width) > u64::from(displayed.0)
        || u64::from(area.y) + u64::from(area.height) > u64::from(displayed.1)
    {
        return Err(Damaged::new(format!("a picture of {}x{} has no such part", displayed.0, displayed.1)));
    }
    sized(area.width, area.height)?;
    let data = match picture.format {
        PixelFormat::Jpeg => return cut(&decoded(picture)?, area),
        PixelFormat::Gray8 => {
            let data = cut_plane(&shared_plane(picture, 0, 1)?, picture.width, stored, 1);
            let planes = [Some(data), None, None];
            return Ok(Picture { width: stored.width, height: stored.height, planes, ..picture.clone() });
        }
        PixelFormat::Rgb8 => cut_plane(&shared_plane(picture, 0, 3)?, picture.width, stored, 3),
        PixelFormat::I420 | PixelFormat::Nv12 => {
            // Four pixels share one chroma sample: a part that starts at an odd column or row is converted with its neighbours.
            let (left, top) = (stored.x % 2, stored.y % 2);
            let even = Area { x: stored.x - left, y: stored.y - top, width: stored.width + left, height: stored.height + top };
            let part = Yuv::of(picture)?.part(even).converted(picture, Order::Rgb)?;
            cut_plane(&Buffer::from_vec(part), even.width, Area { x: left, y: top, ..stored }, 3)
        }
    };
    Ok(rgb8(stored.width, stored.height, picture.rotation, data))
}

/// Where a part of the picture as displayed lies in its planes.
fn stored_area(picture: &Picture, area: Area) -> Area {
    let Area { x, y, width, height } = area;
    let rest = |side: u32, from: u32, length: u32| side.saturating_sub(from).saturating_sub(length);
    match picture.rotation {
        90 => Area { x: y, y: rest(picture.height, x, width), width: height, height: width },
        180 => Area { x: rest(picture.width, x, width), y: rest(picture.height, y, height), width, height },
        270 => Area { x: rest(picture.width, y, height), y: x, width: height, height: width },
        _ => area,
    }
}

/// The picture in GRAY8, 0 to 255, turned as it was: the Y plane of video, shared where it has the full range; of RGB by BT.601, or by the matrix of the video
/// that it was made of.
pub fn luma(picture: &Picture) -> Result<Picture, Damaged> {
    sized(picture.width, picture.height)?;
    let data = match picture.format {
        PixelFormat::Jpeg => return luma(&decoded(picture)?),
        PixelFormat::I420 | PixelFormat::Nv12 if picture.range == ColorRange::Limited => {
            Buffer::from_vec(full_range(plane(picture, 0, 1)?))
        }
        PixelFormat::I420 | PixelFormat::Nv12 | PixelFormat::Gray8 => shared_plane(picture, 0, 1)?,
        PixelFormat::Rgb8 => {
            Buffer::from_vec(fastest(LumaOfRgb { from: plane(picture, 0, 3)?.as_chunks::<3>().0, weights: weights(picture.matrix) }))
        }
    };
    Ok(Picture { format: PixelFormat::Gray8, range: ColorRange::Full, planes: [Some(data), None, None], ..picture.clone() })
}

/// `luma` as displayed, nothing left to turn: for what is not the same made turned or turned made.
pub(crate) fn displayed_luma(picture: &Picture) -> Result<Picture, Damaged> {
    let gray = luma(picture)?;
    let (width, height, data) = turned(gray.width, gray.height, shared_plane(&gray, 0, 1)?, 1, gray.rotation);
    Ok(Picture { width, height, rotation: 0, planes: [Some(data), None, None], ..gray })
}

/// Two pictures whose luma is compared: one in RGB whose matrix nobody knows, as of a file, has that of the other.
pub(crate) fn of_one_matrix(a: Picture, b: Picture) -> (Picture, Picture) {
    let known = |picture: &Picture, other: &Picture| {
        if picture.format == PixelFormat::Rgb8 && picture.matrix == ColorMatrix::Bt601 { other.matrix } else { picture.matrix }
    };
    let (of_a, of_b) = (known(&a, &b), known(&b, &a));
    (Picture { matrix: of_a, ..a }, Picture { matrix: of_b, ..b })
}

/// The bytes of `luma`, row by row as they are stored: for figures that do not ask which way is up.
pub fn luma_bytes(picture: &Picture) -> Result<Buffer, Damaged> {
    let gray = luma(picture)?;
    shared_plane(&gray, 0, 1)
}

/// A picture of luma with each of its samples made anew: `make` gives as many as it is given.
pub(crate) fn mapped(gray: &Picture, make: impl FnOnce(&Buffer) -> Vec<u8>) -> Result<Picture, Damaged> {
    let data = Buffer::from_vec(make(&shared_plane(gray, 0, 1)?));
    Ok(Picture { planes: [Some(data), None, None], ..gray.clone() })
}

/// The luma of the picture as displayed, scaled to `size`, row by row.
pub(crate) fn luma_of_size(picture: &Picture, size: (u32, u32)) -> Result<Buffer, Damaged> {
    let gray = luma(picture)?;
    let (width, height) = if gray.turned() { (size.1, size.0) } else { size };
    sized(width, height)?;
    let all = shared_plane(&gray, 0, 1)?;
    let scaled = match scaled_plane(&all, (gray.width, gray.height), (width, height), PixelType::U8)? {
        Cow::Owned(scaled) => Buffer::from_vec(scaled),
        Cow::Borrowed(_) => all.clone(),
    };
    Ok(turned(width, height, scaled, 1, gray.rotation).2)
}

/// The luma of the picture as displayed, at its size, row by row.
pub(crate) fn upright_luma(picture: &Picture) -> Result<Buffer, Damaged> {
    luma_of_size(picture, picture.displayed())
}

/// Luma of 16 to 235 made 0 to 255, rounded to the nearest.
pub(crate) fn full_range(luma: &[u8]) -> Vec<u8> {
    each_pixel(luma, &FullRange)
}

/// How many samples there are of each value. There are no more than a picture has.
pub(crate) fn counted(samples: &[u8]) -> [u32; 256] {
    // Neighbours are alike: counted in one place, each would wait for the one before.
    let mut counts = [[0_u32; 256]; 4];
    let (fours, rest) = samples.as_chunks::<4>();
    for four in fours {
        counts.iter_mut().zip(four).for_each(|(counts, value)| counts[usize::from(*value)] += 1);
    }
    let [mut all, other, more, last] = counts;
    rest.iter().for_each(|value| all[usize::from(*value)] += 1);
    all.iter_mut().zip(other.iter().zip(more.iter().zip(&last))).for_each(|(all, (a, (b, c)))| *all += a + b + c);
    all
}

/// What is made of a pixel by itself: of `N` bytes `M`.
pub(crate) trait Pixel<const N: usize, const M: usize> {
    /// Makes it. `#[inline(always)]`.
    fn of(&self, pixel: [u8; N]) -> [u8; M];
}

/// What is made of each pixel.
pub(crate) fn each_pixel<const N: usize, const M: usize>(from: &[u8], pixel: &impl Pixel<N, M>) -> Vec<u8> {
    fastest(EachPixel::<_, N, M> { from: from.as_chunks::<N>().0, pixel }).into_flattened()
}

struct EachPixel<'a, P, const N: usize, const M: usize> {
    from: &'a [[u8; N]],
    pixel: &'a P,
}

impl<P: Pixel<N, M>, const N: usize, const M: usize> Work for EachPixel<'_, P, N, M> {
    type Made = Vec<[u8; M]>;

    #[inline(always)]
    fn run(self) -> Vec<[u8; M]> {
        const PART: usize = 512;
        let mut made = Vec::with_capacity(self.from.len());
        let mut part = [[0; M]; PART];
        for from in self.from.chunks(PART) {
            for (to, from) in part.iter_mut().zip(from) {
                *to = self.pixel.of(*from);
            }
            made.extend_from_slice(&part[..from.len()]);
        }
        made
    }
}

/// What red, green and blue weigh in luma, in 32768ths. That of BT.601 is rounded as OpenCV's cvtColor does.
fn weights(matrix: ColorMatrix) -> [u16; 3] {
    match matrix {
        ColorMatrix::Bt601 => [9798, 19_235, 3735],
        ColorMatrix::Bt709 => [6966, 23_436, 2366],
        ColorMatrix::Bt2020 => [8608, 22_217, 1943],
    }
}

/// Luma of RGB. It makes bytes and no pixels of one byte, which the compiler would put together one by one.
struct LumaOfRgb<'a> {
    from: &'a [[u8; 3]],
    /// No longer than they have to be: so the compiler sees that no sum overflows, and does many at once also where it checks that.
    weights: [u16; 3],
}

impl Work for LumaOfRgb<'_> {
    type Made = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        const PART: usize = 512;
        let [of_r, of_g, of_b] = self.weights.map(u32::from);
        let mut made = Vec::with_capacity(self.from.len());
        let mut part = [0; PART];
        for from in self.from.chunks(PART) {
            for (to, pixel) in part.iter_mut().zip(from) {
                let [r, g, b] = *pixel;
                *to = ((u32::from(r) * of_r + u32::from(g) * of_g + u32::from(b) * of_b + 16_384) >> 15) as u8;
            }
            made.extend_from_slice(&part[..from.len()]);
        }
        made
    }
}

/// Luma as RGB.
struct Gray;

impl Pixel<1, 3> for Gray {
    #[inline(always)]
    fn of(&self, [luma]: [u8; 1]) -> [u8; 3] {
        [luma; 3]
    }
}

struct FullRange;

impl Pixel<1, 1> for FullRange {
    #[inline(always)]
    fn of(&self, [luma]: [u8; 1]) -> [u8; 1] {
        // y * 255 / 219 is y + y * 36 / 219; the division by a product, which is exact for what is divided here.
        let y = u16::from(luma.saturating_sub(16).min(219));
        [y.wrapping_add(((u32::from(y.wrapping_mul(36).wrapping_add(109)) * 38_305) >> 23) as u16) as u8]
    }
}

fn ordered(rgb: Buffer, order: Order) -> Buffer {
    if order == Order::Rgb {
        return rgb;
    }
    let mut bytes = owned(rgb);
    bytes.as_chunks_mut::<3>().0.iter_mut().for_each(|p| p.swap(0, 2));
    Buffer::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::buffer::Buffer;

    fn picture(format: PixelFormat, width: u32, height: u32, planes: [Option<Vec<u8>>; 3]) -> Picture {
        let planes = planes.map(|p| p.map(Buffer::from_vec));
        Picture { format, width, height, range: ColorRange::Limited, matrix: ColorMatrix::Bt601, rotation: 0, planes }
    }

    #[test]
    fn a_gray_picture_of_odd_size_stays_gray_in_every_layout() {
        let i420 = picture(PixelFormat::I420, 5, 3, [Some(vec![126; 15]), Some(vec![128; 6]), Some(vec![128; 6])]);
        let nv12 = picture(PixelFormat::Nv12, 5, 3, [Some(vec![126; 15]), Some(vec![128; 12]), None]);
        for gray in [i420, nv12] {
            let pixels = render(&gray, Order::Bgr, None).unwrap();
            assert_eq!((pixels.width, pixels.height), (5, 3));
            assert!(pixels.data.iter().all(|v| v.abs_diff(128) <= 1), "{:?}", pixels.data);
            assert!(luma_bytes(&gray).unwrap().iter().all(|v| *v == 128));
        }
    }

    #[test]
    fn a_quarter_turn_puts_the_left_column_on_top_from_below() {
        // 1 2 3      4 1
        // 4 5 6  ->  5 2
        //            6 3
        let mut gray = picture(PixelFormat::Gray8, 3, 2, [Some(vec![1, 2, 3, 4, 5, 6]), None, None]);
        let displayed = |gray: &Picture| {
            let pixels = render(gray, Order::Rgb, None).unwrap();
            (pixels.width, pixels.height, pixels.data.iter().step_by(3).copied().collect::<Vec<u8>>())
        };
        gray.rotation = 90;
        assert_eq!(displayed(&gray), (2, 3, vec![4, 1, 5, 2, 6, 3]));
        gray.rotation = 180;
        assert_eq!(displayed(&gray), (3, 2, vec![6, 5, 4, 3, 2, 1]));
        gray.rotation = 270;
        assert_eq!(displayed(&gray), (2, 3, vec![3, 6, 2, 5, 1, 4]));
        assert_eq!(render(&gray, Order::Rgb, Some((4, 6))).unwrap().data.len(), 4 * 6 * 3);
    }

    #[test]
    fn planes_that_are_too_short_are_an_error() {
        let short = picture(PixelFormat::I420, 64, 64, [Some(vec![0; 64 * 64]), Some(vec![0; 100]), None]);
        assert!(render(&short, Order::Rgb, None).unwrap_err().to_string().contains("plane 1"));
        let broken = picture(PixelFormat::Jpeg, 8, 8, [Some(vec![0xff, 0xd8, 0xff]), None, None]);
        assert!(render(&broken, Order::Rgb, None).unwrap_err().to_string().contains("JPEG"));
    }
}
