//! `draw_boxes(frame, boxes) -> FRAME`: the picture with every box drawn on it.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use datafusion_common::Result;

use super::boxes::BoxLists;
use super::call::{Arguments, Decoder, sql_function};
use super::glyphs::{GLYPH_HEIGHT, GLYPH_WIDTH, glyph};
use crate::detection::Box;
use crate::frame::frame_type;
use crate::pixels::{Order, Pixels, render};

/// The colour of lines and of what captions stand on: green, rare on faces and walls.
const LINE: [u8; 3] = [0, 255, 0];
/// The colour of letters.
const LETTER: [u8; 3] = [0, 0, 0];
/// The shorter side of the picture for each pixel of line width.
const SIDE_PER_LINE: u32 = 240;
/// The shorter side of the picture for each pixel of a letter's dots.
const SIDE_PER_DOT: u32 = 480;
/// Letters of a caption; a label may be any text.
const LONGEST_CAPTION: usize = 40;

sql_function!(
    DrawBoxes, "draw_boxes", arguments: [Frame, Boxes], required: 2, returns: frame_type(),
    syntax: "draw_boxes(frame, boxes) -> FRAME",
    description: "The picture with every box drawn on it in green (0, 255, 0). Lines lie inside the box and are 1/240 of the picture's shorter side wide, at least 1 pixel (3 at \
1280x720). A DETECTION has a caption on top: label, score, and # with the track_id where it has one. boxes is a box or a list of boxes, each a BOX, a DETECTION, a struct \
of numbers x, y, w, h (or of four without names), or a list of four numbers, in pixels of the frame. Boxes that are NULL or have no area are left out; NULL for boxes \
leaves the pixels as they are. NULL for a NULL frame or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(draw_boxes(frame, detect_faces(frame))) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (boxes, mut decoder) = (BoxLists::try_new(arguments.array(1)?)?, Decoder::default());
    let captions = Captions::of(boxes.values())?;
    arguments.derive(|row, picture| {
        let drawn: Vec<(usize, Box)> = boxes.row(row).filter(|(_, b)| b.w > 0.0 && b.h > 0.0).collect();
        if drawn.is_empty() {
            return Ok(Some(picture.clone()));
        }
        let mut canvas = Canvas::new(render(&decoder.decode(picture)?, Order::Rgb, None)?);
        for (at, bbox) in &drawn {
            canvas.draw(bbox, captions.as_ref().map(|c| c.text(*at)).as_deref());
        }
        Ok(Some(canvas.into_pixels().into_picture()))
    })
}

/// What detections say of themselves.
struct Captions {
    labels: Option<ArrayRef>,
    scores: Option<ArrayRef>,
    tracks: Option<ArrayRef>,
}

impl Captions {
    /// None where the values are plain boxes.
    fn of(values: &ArrayRef) -> Result<Option<Captions>> {
        let Some(rows) = values.as_struct_opt().filter(|rows| rows.column_by_name("box").is_some()) else { return Ok(None) };
        let field = |name: &str, to: DataType| rows.column_by_name(name).map(|column| cast(column, &to)).transpose();
        let (labels, scores) = (field("label", DataType::Utf8)?, field("score", DataType::Float32)?);
        Ok(Some(Captions { labels, scores, tracks: field("track_id", DataType::Int64)? }))
    }

    /// `face 0.93 #5`, without what is not known.
    fn text(&self, at: usize) -> String {
        let valid = |array: &&ArrayRef| at < array.len() && array.is_valid(at);
        let label = self.labels.as_ref().filter(valid).map(|l| l.as_string::<i32>().value(at).to_owned());
        let score = self.scores.as_ref().filter(valid).map(|s| format!("{:.2}", s.as_primitive::<Float32Type>().value(at)));
        let track = self.tracks.as_ref().filter(valid).map(|t| format!("#{}", t.as_primitive::<Int64Type>().value(at)));
        let all: Vec<String> = [label, score, track].into_iter().flatten().filter(|text| !text.is_empty()).collect();
        all.join(" ").chars().take(LONGEST_CAPTION).collect()
    }
}

/// RGB pixels to draw on.
struct Canvas {
    width: i64,
    height: i64,
    rgb: Vec<u8>,
}

impl Canvas {
    fn new(pixels: Pixels) -> Canvas {
        Canvas { width: pixels.width.into(), height: pixels.height.into(), rgb: pixels.into_bytes() }
    }

    fn into_pixels(self) -> Pixels {
        Pixels { width: self.width as u32, height: self.height as u32, data: Buffer::from_vec(self.rgb) }
    }

    /// The shorter side in steps of so many pixels, at least one.
    fn units(&self, step: u32) -> i64 {
        let step = i64::from(step);
        ((self.width.min(self.height) + step / 2) / step).max(1)
    }

    fn draw(&mut self, bbox: &Box, caption: Option<&str>) {
        // Far outside is far outside: clamped, so that sums of edges stay numbers.
        let edge = |at: f32, length: f32| ((f64::from(at) + f64::from(length)).round()).clamp(-1e9, 1e9) as i64;
        let (left, top) = (edge(bbox.x, 0.0), edge(bbox.y, 0.0));
        let (right, bottom) = (edge(bbox.x, bbox.w).max(left + 1), edge(bbox.y, bbox.h).max(top + 1));
        let line = self.units(SIDE_PER_LINE).min(right - left).min(bottom - top);
        self.fill(left, top, right, top + line, LINE);
        self.fill(left, bottom - line, right, bottom, LINE);
        self.fill(left, top, left + line, bottom, LINE);
        self.fill(right - line, top, right, bottom, LINE);
        if let Some(text) = caption.filter(|text| !text.is_empty()) {
            self.write(left, top, text);
        }
    }

    /// A caption above the row `top`, or below it where the picture has no room above.
    fn write(&mut self, left: i64, top: i64, text: &str) {
        let dot = self.units(SIDE_PER_DOT);
        let (width, height) = ((text.chars().count() * (GLYPH_WIDTH + 1) + 1) as i64 * dot, (GLYPH_HEIGHT + 2) as i64 * dot);
        let top = if top >= height { top - height } else { top };
        self.fill(left, top, left + width, top + height, LINE);
        for (at, letter) in text.chars().enumerate() {
            let (x, y) = (left + (at * (GLYPH_WIDTH + 1) + 1) as i64 * dot, top + dot);
            for (row, bits) in glyph(letter).iter().flatten().enumerate() {
                for column in (0..GLYPH_WIDTH).filter(|column| bits >> (GLYPH_WIDTH - 1 - column) & 1 == 1) {
                    let (x, y) = (x + column as i64 * dot, y + row as i64 * dot);
                    self.fill(x, y, x + dot, y + dot, LETTER);
                }
            }
        }
    }

    /// One colour from `left` and `top` up to, and without, `right` and `bottom`; what lies outside is left out.
    fn fill(&mut self, left: i64, top: i64, right: i64, bottom: i64, color: [u8; 3]) {
        let (left, right) = (left.clamp(0, self.width), right.clamp(0, self.width));
        for y in top.clamp(0, self.height)..bottom.clamp(0, self.height) {
            let (from, to) = ((y * self.width + left) as usize * 3, (y * self.width + right) as usize * 3);
            if let Some(row) = self.rgb.get_mut(from..to) {
                row.as_chunks_mut::<3>().0.fill(color);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: u32, height: u32, bbox: Box, caption: Option<&str>) -> Vec<String> {
        let black = Pixels { width, height, data: Buffer::from_vec(vec![7_u8; (width * height * 3) as usize]) };
        let mut canvas = Canvas::new(black);
        canvas.draw(&bbox, caption);
        let letter = |p: &[u8]| {
            if *p == LINE {
                '#'
            } else if *p == LETTER {
                'o'
            } else {
                '.'
            }
        };
        let row = |row: &[u8]| row.chunks(3).map(letter).collect();
        canvas.into_pixels().data.chunks(width as usize * 3).map(row).collect()
    }

    #[test]
    fn lines_lie_inside_the_box_and_outside_the_picture_is_left_out() {
        let bbox = Box { x: 1.0, y: 1.0, w: 4.0, h: 3.0 };
        assert_eq!(drawn(6, 5, bbox, None), ["......", ".####.", ".#..#.", ".####.", "......"]);
        let large = Box { x: -3.0, y: 2.0, w: 6.0, h: 1e30 };
        assert_eq!(drawn(5, 4, large, None), [".....", ".....", "###..", "..#.."]);
        let outside = Box { x: -1e30, y: f32::MAX, w: 1.0, h: 1.0 };
        assert_eq!(drawn(2, 1, outside, Some("face")), [".."]);
    }

    #[test]
    fn a_caption_stands_on_the_box() {
        let rows = drawn(9, 12, Box { x: 1.0, y: 9.0, w: 7.0, h: 3.0 }, Some("f"));
        let expected = [
            ".#######.",
            ".#ooooo#.",
            ".#o#####.",
            ".#o#####.",
            ".#oooo##.",
            ".#o#####.",
            ".#o#####.",
            ".#o#####.",
            ".#######.",
            ".#######.",
            ".#.....#.",
            ".#######.",
        ];
        assert_eq!(rows, expected);
    }
}
