//! RGB pixels to draw on: rectangles, lines and letters; what lies outside the picture is left out.

use arrow::buffer::Buffer;
use datafusion_common::Result;

use super::glyphs::{GLYPH_SIDE, glyph};
use crate::out_of_range::out_of_range;
use crate::pixels::Pixels;

/// A colour, red first.
pub(super) type Color = [u8; 3];

/// Green, rare on faces and walls: what is drawn where the query names no colour.
pub(super) const GREEN: Color = [0, 255, 0];
/// What letters on a green ground are drawn in.
pub(super) const BLACK: Color = [0, 0, 0];

/// The shorter side of the picture for each pixel of a letter's dots.
const SIDE_PER_DOT: u32 = 480;
/// Far outside is far outside: places are clamped, so that sums of them stay numbers.
const FAR: f64 = 1e6;

const NAMED: [(&str, Color); 8] = [
    ("black", [0, 0, 0]),
    ("blue", [0, 0, 255]),
    ("cyan", [0, 255, 255]),
    ("green", GREEN),
    ("magenta", [255, 0, 255]),
    ("red", [255, 0, 0]),
    ("white", [255, 255, 255]),
    ("yellow", [255, 255, 0]),
];

/// The colour that a text names: '#rrggbb', or one of eight words.
pub(super) fn color(function: &str, text: &str) -> Result<Color> {
    let text = text.trim();
    if let Some((_, color)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok(*color);
    }
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()));
    match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
        Some(rgb) => Ok([(rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8]),
        None => {
            let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            out_of_range!("{function} needs a colour '#rrggbb' or one of {}, not '{text}'", names.join(", "))
        }
    }
}

/// A place in whole pixels; None if it is none.
pub(super) fn place(at: f64) -> Option<i64> {
    at.is_finite().then(|| at.round().clamp(-FAR, FAR) as i64)
}

/// Pixels to draw on.
pub(super) struct Canvas {
    width: i64,
    height: i64,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(pixels: Pixels) -> Canvas {
        Canvas { width: pixels.width.into(), height: pixels.height.into(), rgb: pixels.into_bytes() }
    }

    pub(super) fn into_pixels(self) -> Pixels {
        Pixels { width: self.width as u32, height: self.height as u32, data: Buffer::from_vec(self.rgb) }
    }

    /// Pixels in a row.
    pub(super) fn width(&self) -> i64 {
        self.width
    }

    /// The shorter side in steps of so many pixels, at least one.
    pub(super) fn units(&self, step: u32) -> i64 {
        let step = i64::from(step);
        ((self.width.min(self.height) + step / 2) / step).max(1)
    }

    /// The side of a letter's dots where the query names no size.
    pub(super) fn dot(&self) -> i64 {
        self.units(SIDE_PER_DOT)
    }

    /// One colour from `left` and `top` up to, and without, `right` and `bottom`.
    pub(super) fn fill(&mut self, left: i64, top: i64, right: i64, bottom: i64, color: Color) {
        let (left, right) = (left.clamp(0, self.width), right.clamp(0, self.width));
        for y in top.clamp(0, self.height)..bottom.clamp(0, self.height) {
            let (from, to) = ((y * self.width + left) as usize * 3, (y * self.width + right) as usize * 3);
            if let Some(row) = self.rgb.get_mut(from..to) {
                row.as_chunks_mut::<3>().0.fill(color);
            }
        }
    }

    /// A line between two pixels, both drawn, `width` pixels wide (Bresenham 1965).
    pub(super) fn line(&mut self, from: (i64, i64), to: (i64, i64), width: i64, color: Color) {
        let Some(((x, y), to)) = self.clipped(from, to, width) else { return };
        let (mut x, mut y) = (x, y);
        let (dx, dy) = ((to.0 - x).abs(), -(to.1 - y).abs());
        let (step_x, step_y) = ((to.0 - x).signum(), (to.1 - y).signum());
        let (before, mut error) = ((width - 1) / 2, dx + dy);
        loop {
            self.fill(x - before, y - before, x - before + width, y - before + width, color);
            if (x, y) == to {
                return;
            }
            let twice = 2 * error;
            if twice >= dy {
                error += dy;
                x += step_x;
            }
            if twice <= dx {
                error += dx;
                y += step_y;
            }
        }
    }

    /// The part of a line that may be seen, so that one of millions of pixels takes no longer than the picture is wide; None if none.
    fn clipped(&self, from: (i64, i64), to: (i64, i64), width: i64) -> Option<((i64, i64), (i64, i64))> {
        let (mut first, mut last) = (0.0_f64, 1.0_f64);
        let (dx, dy) = ((to.0 - from.0) as f64, (to.1 - from.1) as f64);
        let margin = width as f64;
        let sides = [
            (-dx, from.0 as f64 + margin),
            (dx, self.width as f64 + margin - from.0 as f64),
            (-dy, from.1 as f64 + margin),
            (dy, self.height as f64 + margin - from.1 as f64),
        ];
        // Liang and Barsky: how far along the line each side of the picture is crossed.
        for (direction, distance) in sides {
            if direction == 0.0 {
                if distance < 0.0 {
                    return None;
                }
            } else if direction < 0.0 {
                first = first.max(distance / direction);
            } else {
                last = last.min(distance / direction);
            }
        }
        let at = |t: f64| ((from.0 as f64 + t * dx).round() as i64, (from.1 as f64 + t * dy).round() as i64);
        (first <= last).then(|| (at(first), at(last)))
    }

    /// A text whose upper left corner is there, with letters of dots of that side, on a ground where one is given.
    pub(super) fn write(&mut self, left: i64, top: i64, text: &str, dot: i64, color: Color, ground: Option<Color>) {
        if let Some(ground) = ground {
            let (width, height) = extent(text, dot);
            self.fill(left, top, left + width, top + height, ground);
        }
        for (at, letter) in text.chars().enumerate() {
            let (x, y) = (left + dot + (at * GLYPH_SIDE) as i64 * dot, top + dot);
            for (row, bits) in glyph(letter).into_iter().enumerate() {
                for column in (0..GLYPH_SIDE).filter(|column| bits >> column & 1 == 1) {
                    let (x, y) = (x + column as i64 * dot, y + row as i64 * dot);
                    self.fill(x, y, x + dot, y + dot, color);
                }
            }
        }
    }
}

/// Width and height of a text with its ground: a dot of it on each side.
pub(super) fn extent(text: &str, dot: i64) -> (i64, i64) {
    (((text.chars().count() * GLYPH_SIDE) as i64 + 2) * dot, (GLYPH_SIDE as i64 + 2) * dot)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A black picture after some drawing: `#` where it is white.
    fn drawn(width: u32, height: u32, draw: impl FnOnce(&mut Canvas)) -> Vec<String> {
        let mut canvas = Canvas::new(Pixels { width, height, data: Buffer::from_vec(vec![0_u8; (width * height * 3) as usize]) });
        draw(&mut canvas);
        let row = |row: &[u8]| row.chunks(3).map(|p| if p == [255; 3] { '#' } else { '.' }).collect();
        canvas.into_pixels().data.chunks(width as usize * 3).map(row).collect()
    }

    #[test]
    fn a_line_has_both_its_ends_and_no_gap() {
        let white = [255; 3];
        assert_eq!(drawn(6, 3, |c| c.line((0, 0), (5, 2), 1, white)), ["##....", "..##..", "....##"]);
        assert_eq!(drawn(4, 3, |c| c.line((2, 2), (2, 2), 1, white)), ["....", "....", "..#."]);
        assert_eq!(drawn(4, 4, |c| c.line((1, 1), (2, 1), 2, white)), ["....", ".###", ".###", "...."]);
        // From far outside to far outside, and past the picture.
        assert_eq!(drawn(4, 2, |c| c.line((-1_000_000, 1), (1_000_000, 1), 1, white)), ["....", "####"]);
        assert_eq!(drawn(4, 2, |c| c.line((-1_000_000, -9), (1_000_000, -9), 1, white)), ["....", "...."]);
    }

    #[test]
    fn letters_are_written_and_unknown_ones_are_questioned() {
        let letter = drawn(10, 10, |c| c.write(0, 0, "f", 1, [255; 3], None));
        assert_eq!(&letter[1..5], ["...###....", "..##.##...", "..##......", ".####....."]);
        assert_eq!(drawn(9, 9, |c| c.write(0, 0, "\u{4e2d}", 1, [255; 3], None)), drawn(9, 9, |c| c.write(0, 0, "?", 1, [255; 3], None)));
        assert_eq!(extent("ab", 2), (36, 20));
    }

    #[test]
    fn colours_have_names_and_numbers() {
        assert_eq!(color("draw_line", "Red").unwrap(), [255, 0, 0]);
        assert_eq!(color("draw_line", "#0a10fF").unwrap(), [10, 16, 255]);
        for wrong in ["", "#fff", "#12345g", "purple", "#1234567"] {
            assert!(color("draw_line", wrong).is_err(), "{wrong}");
        }
    }
}
