//! The synthetic camera: boxes that move over a textured ground, the frame number drawn in, and the exact truth of where they are.

use datafusion::arrow::buffer::Buffer;
use framesql_udfs::detection::{Box as Bbox, Detection};
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};

use crate::error::{Error, Result};

/// What the camera shows.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Frames in a second.
    pub fps: f64,
    /// How many frames there are; None is endless.
    pub n_frames: Option<u64>,
    objects: Vec<Object>,
    ground: Vec<u8>,
}

/// A box that goes to and fro.
#[derive(Clone, Debug)]
struct Object {
    size: (u32, u32),
    start: (u32, u32),
    /// Pixels a frame.
    speed: (u32, u32),
    luma: u8,
    chroma: (u8, u8),
}

/// SplitMix64: the same numbers for the same seed on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(n.max(1))) as u32
    }
}

impl Pattern {
    /// Errs if the size is odd, below 32 pixels or above 8192, the rate is not above 0 and at most 1000, or there are more than 1000 boxes.
    pub fn new(size: (u32, u32), fps: f64, n_frames: Option<u64>, n_boxes: u32, seed: u64) -> Result<Pattern> {
        let (width, height) = size;
        let good = |side: u32| side.is_multiple_of(2) && (32..=8192).contains(&side);
        if !good(width) || !good(height) {
            return Err(Error::Option {
                message: format!("the size of a pattern cannot be {width}x{height}"),
                hint: Some("Width and height are even, 32 to 8192: size = '640x360'.".into()),
            });
        }
        if !(fps > 0.0 && fps <= 1000.0) {
            return Err(Error::Option {
                message: format!("a pattern cannot have {fps} frames a second"),
                hint: Some("fps is above 0 and at most 1000.".into()),
            });
        }
        // Each is drawn into each frame.
        if n_boxes > 1000 {
            return Err(Error::Option {
                message: format!("a pattern cannot have {n_boxes} boxes"),
                hint: Some("boxes is at most 1000.".into()),
            });
        }
        let mut numbers = Numbers(seed);
        let objects = (0..n_boxes)
            .map(|_| {
                // Even sizes and places: chroma has half the resolution.
                let mut even = |least: u32, most: u32| (least + numbers.below(most.saturating_sub(least) + 1)) & !1;
                let size = (even(width / 10, width / 4).max(8), even(height / 10, height / 3).max(8));
                let start = (even(0, width - size.0), even(0, height - size.1));
                let speed = (even(2, 9), even(2, 5));
                Object { size, start, speed, luma: 60 + even(0, 150) as u8, chroma: (even(16, 238) as u8, even(16, 238) as u8) }
            })
            .collect();
        let texture =
            |at: u32| (70 + (at % width * 40 / width) + (at / width * 40 / height) + ((at % width / 8 + at / width / 8) % 2) * 12) as u8;
        Ok(Pattern { width, height, fps, n_frames, objects, ground: (0..width * height).map(texture).collect() })
    }

    /// When a frame is shown, µs.
    pub fn pts_us(&self, frame_no: u64) -> i64 {
        (frame_no as f64 * 1e6 / self.fps).round() as i64
    }

    /// Where the boxes are; later ones lie over earlier ones.
    pub fn truth(&self, frame_no: u64) -> Vec<Detection> {
        let detection = |(at, object): (usize, &Object)| {
            let (x, y) = object.place(frame_no, self.width, self.height);
            Detection {
                label: "box".to_owned(),
                score: 1.0,
                bbox: Bbox { x: x as f32, y: y as f32, w: object.size.0 as f32, h: object.size.1 as f32 },
                landmarks: None,
                track_id: Some(at as i64),
            }
        };
        self.objects.iter().enumerate().map(detection).collect()
    }

    /// The picture, I420 of limited range.
    pub fn picture(&self, frame_no: u64) -> Picture {
        let (w, h) = (self.width as usize, self.height as usize);
        let mut luma = self.ground.clone();
        let mut chroma = [vec![128_u8; w / 2 * (h / 2)], vec![128_u8; w / 2 * (h / 2)]];
        for object in &self.objects {
            let (x, y) = object.place(frame_no, self.width, self.height);
            fill(&mut luma, w, (x, y), object.size, object.luma);
            let (half_place, half_size) = ((x / 2, y / 2), (object.size.0 / 2, object.size.1 / 2));
            let [u, v] = &mut chroma;
            fill(u, w / 2, half_place, half_size, object.chroma.0);
            fill(v, w / 2, half_place, half_size, object.chroma.1);
        }
        draw_number(&mut luma, w, h, frame_no);
        let [u, v] = chroma;
        Picture {
            format: PixelFormat::I420,
            width: self.width,
            height: self.height,
            range: ColorRange::Limited,
            matrix: ColorMatrix::Bt601,
            rotation: 0,
            planes: [Some(Buffer::from_vec(luma)), Some(Buffer::from_vec(u)), Some(Buffer::from_vec(v))],
        }
    }
}

impl Object {
    fn place(&self, frame_no: u64, width: u32, height: u32) -> (u32, u32) {
        let bounce = |start: u32, speed: u32, room: u32| {
            let room = u64::from(room & !1);
            if room == 0 {
                return 0;
            }
            let travelled = (u64::from(start) + frame_no.wrapping_mul(u64::from(speed))) % (2 * room);
            (if travelled > room { 2 * room - travelled } else { travelled }) as u32
        };
        (bounce(self.start.0, self.speed.0, width - self.size.0), bounce(self.start.1, self.speed.1, height - self.size.1))
    }
}

fn fill(plane: &mut [u8], stride: usize, (x, y): (u32, u32), (w, h): (u32, u32), value: u8) {
    for row in plane.chunks_exact_mut(stride).skip(y as usize).take(h as usize) {
        if let Some(part) = row.get_mut(x as usize..(x + w) as usize) {
            part.fill(value);
        }
    }
}

/// Digits of 3 x 5 dots, a row a number, the leftmost dot in the highest bit.
const DIGITS: [[u8; 5]; 10] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 7, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 1, 1, 1],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
];

fn draw_number(luma: &mut [u8], width: usize, height: usize, number: u64) {
    let dot = (height / 60).max(1);
    for (place, digit) in number.to_string().bytes().enumerate() {
        let Some(rows) = DIGITS.get(usize::from(digit.wrapping_sub(b'0'))) else { continue };
        for (y, bits) in rows.iter().enumerate() {
            for x in (0..3).filter(|x| bits >> (2 - x) & 1 == 1) {
                let corner = (((place * 4 + x + 1) * dot) as u32, ((y + 1) * dot) as u32);
                if corner.0 as usize + dot <= width {
                    fill(luma, width, corner, (dot as u32, dot as u32), 235);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_shows_the_same_and_the_truth_is_where_the_box_is() {
        let make = |seed| Pattern::new((64, 48), 25.0, None, 1, seed).unwrap();
        let (a, b) = (make(7), make(7));
        for frame_no in [0, 1, 999, 123_456_789] {
            let (pa, pb) = (a.picture(frame_no), b.picture(frame_no));
            assert_eq!(pa.planes, pb.planes);
            let truth = a.truth(frame_no);
            let bbox = truth[0].bbox;
            assert!(bbox.x >= 0.0 && bbox.x + bbox.w <= 64.0 && bbox.y >= 0.0 && bbox.y + bbox.h <= 48.0);
            // The lower right pixel of the box has its colour (the frame number is drawn at the upper left).
            let at = (bbox.y + bbox.h - 1.0) as usize * 64 + (bbox.x + bbox.w - 1.0) as usize;
            assert_eq!(pa.planes[0].as_ref().unwrap().as_slice()[at], a.objects[0].luma);
        }
        assert_ne!(make(8).truth(0), a.truth(0));
        assert_eq!(a.pts_us(25), 1_000_000);
        assert!(Pattern::new((63, 48), 25.0, None, 1, 0).is_err() && Pattern::new((64, 48), 0.0, None, 1, 0).is_err());
    }
}
