//! Reads bar codes across stripes, at whatever angle they lie and be they dark or light: along lines that are sampled across them, each of which is read on its own.

use rxing::common::{BitArray, GlobalHistogramBinarizer};
use rxing::oned::{MultiFormatOneDReader, OneDReader};
use rxing::{Binarizer, DecodeHints, Luma8LuminanceSource};

use super::bars::ends;
use super::stripes::Stripes;

/// So many lines are read, evenly along the bars.
const N_LINES: usize = 15;
/// A text that so many lines say is one; of formats without a check digit stripes of no code can give one, but not the same twice.
const LEAST_ALIKE: usize = 2;
/// A line with fewer edges holds no code: a Codabar of one digit has as many.
const LEAST_EDGES: usize = 24;
/// What is shorter is sampled every half pixel too: askew, a bar of two pixels is not as wide as it is in whole ones, px.
const SHORT: f32 = 600.0;
/// What is read beyond the stripes on either side, at least, px: their outermost squares may not have been taken for stripes, and a code needs its quiet zone.
const MARGIN: f32 = 32.0;

/// A bar code that was read.
pub(super) struct BarCode {
    /// Its format as rxing names it, in lower case.
    pub(super) format: String,
    /// What it says.
    pub(super) text: String,
    /// The points by which it was found, px.
    pub(super) points: Vec<(f32, f32)>,
    n_lines: usize,
}

/// The bar codes in an area of stripes: dark bars on light, or else light ones on dark.
pub(super) fn across(luma: &[u8], width: usize, area: &Stripes) -> Vec<BarCode> {
    let whole = 2.0 * (area.reach.0 + MARGIN.max(area.reach.0 / 4.0));
    let steps: &[f32] = if whole < SHORT { &[1.0, 0.5] } else { &[1.0] };
    for step in steps {
        let lines = Lines::sample(luma, width, area, (whole, *step));
        let dark = lines.read(lines.values.clone());
        let found = if dark.is_empty() { lines.read(lines.values.iter().map(|v| 255 - v).collect()) } else { dark };
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Lines across an area, those near its middle first.
struct Lines<'a> {
    area: &'a Stripes,
    /// Samples in a line.
    length: usize,
    /// From sample to sample, px.
    step: f32,
    /// One line after the other.
    values: Vec<u8>,
}

impl Lines<'_> {
    /// So many pixels long, sampled by that step.
    fn sample<'a>(luma: &[u8], width: usize, area: &'a Stripes, (whole, step): (f32, f32)) -> Lines<'a> {
        let mut lines = Lines { area, length: (whole / step) as usize, step, values: Vec::new() };
        let luma = Luma { luma, width, height: luma.len() / width.max(1) };
        lines.values.reserve(N_LINES * lines.length);
        for line in 0..N_LINES {
            for at in 0..lines.length {
                // Three beside each other along the bars, against noise.
                let sum: f32 = [-1.0, 0.0, 1.0].map(|aside| luma.at(lines.place(at as f32, line, aside))).iter().sum();
                lines.values.push((sum / 3.0).round() as u8);
            }
        }
        lines
    }

    /// Where in the picture a sample of a line is, px, `aside` pixels along the bars.
    fn place(&self, at: f32, line: usize, aside: f32) -> (f32, f32) {
        // 0, 1, -1, 2, -2 …
        let number = line.div_ceil(2) as f32 * if line.is_multiple_of(2) { -1.0 } else { 1.0 };
        let (u, v) = ((at - self.length as f32 / 2.0) * self.step, number / (N_LINES as f32 / 2.0) * self.area.reach.1 + aside);
        let ((x, y), (across_x, across_y)) = (self.area.middle, self.area.across);
        (x + u * across_x - v * across_y, y + u * across_y + v * across_x)
    }

    /// What the lines say; `values` are theirs, as they are or turned light for dark.
    fn read(&self, values: Vec<u8>) -> Vec<BarCode> {
        let Ok(source) = Luma8LuminanceSource::new(values, self.length as u32, N_LINES as u32) else { return Vec::new() };
        let black = GlobalHistogramBinarizer::new(source);
        let hints = DecodeHints { TryHarder: Some(true), ..DecodeHints::default() };
        let mut reader = MultiFormatOneDReader::new(&hints);
        let mut found: Vec<BarCode> = Vec::new();
        for line in 0..N_LINES {
            let Ok(row) = black.get_black_row(line) else { continue };
            let mut row = row.into_owned();
            if edges(&row) < LEAST_EDGES {
                continue;
            }
            for backwards in [false, true] {
                if backwards {
                    row.reverse();
                }
                let Ok(code) = reader.decode_row(line as u32, &row, &hints) else { continue };
                let (format, text) = (format!("{:?}", code.getBarcodeFormat()).to_lowercase(), code.getText());
                if let Some(known) = found.iter_mut().find(|c| c.format == format && c.text == text) {
                    known.n_lines += 1;
                    continue;
                }
                let mut points: Vec<(f32, f32)> = code.getPoints().iter().map(|p| (p.x, p.y)).collect();
                let bit = |x: i64, _| usize::try_from(x).ok().filter(|x| *x < row.get_size()).map(|x| row.get(x));
                if let Some(bars) = points.first().and_then(|first| ends(&format, text, *first, (1, 0), bit)) {
                    points = bars.to_vec();
                }
                let place = |(at, _): (f32, f32)| self.place(if backwards { self.length as f32 - 1.0 - at } else { at }, line, 0.0);
                let points = points.into_iter().map(place).collect();
                found.push(BarCode { format, text: text.to_owned(), points, n_lines: 1 });
            }
        }
        found.retain(|code| code.n_lines >= LEAST_ALIKE);
        found
    }
}

/// How often a line changes between black and white.
fn edges(row: &BitArray) -> usize {
    (1..row.get_size()).filter(|at| row.get(*at) != row.get(at - 1)).count()
}

struct Luma<'a> {
    luma: &'a [u8],
    width: usize,
    height: usize,
}

impl Luma<'_> {
    /// The luma between four pixels; outside the picture that of its border.
    fn at(&self, (x, y): (f32, f32)) -> f32 {
        let inside = |v: f32, size: usize| v.clamp(0.0, size.saturating_sub(1) as f32);
        let (x, y) = (inside(x, self.width), inside(y, self.height));
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.width - 1), (top + 1).min(self.height - 1));
        let pixel = |x: usize, y: usize| self.luma.get(y * self.width + x).copied().map_or(0.0, f32::from);
        let (dx, dy) = (x - left as f32, y - top as f32);
        let above = pixel(left, top) * (1.0 - dx) + pixel(right, top) * dx;
        let below = pixel(left, bottom) * (1.0 - dx) + pixel(right, bottom) * dx;
        above * (1.0 - dy) + below * dy
    }
}
