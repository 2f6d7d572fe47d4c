//! `draw_boxes(frame, boxes) -> FRAME`: the picture with every box drawn on it.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use datafusion_common::Result;

use super::boxes::BoxLists;
use super::call::{Arguments, Decoder, sql_function};
use super::canvas::{BLACK, Canvas, GREEN, extent};
use crate::detection::Box;
use crate::frame::frame_type;
use crate::pixels::{Order, render};

/// The shorter side of the picture for each pixel of line width.
const SIDE_PER_LINE: u32 = 240;
/// Letters of a caption; a label may be any text.
const LONGEST_CAPTION: usize = 40;

sql_function!(
    DrawBoxes, "draw_boxes", arguments: [Frame, Boxes], required: 2, returns: frame_type(),
    syntax: "draw_boxes(frame, boxes) -> FRAME",
    description: "The picture with every box drawn on it in green (0, 255, 0). Lines lie inside the box and are 1/240 of the picture's shorter side wide, at least 1 pixel (3 at \
1280x720). A DETECTION has a caption on top: label, score, and # with the track_id where it has one, moved to the left where it would leave the picture. boxes is a box or a list of boxes, each a BOX, a DETECTION, a struct \
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
            draw(&mut canvas, bbox, captions.as_ref().map(|c| c.text(*at)).as_deref());
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

/// One box, its lines inside, and what stands on it.
fn draw(canvas: &mut Canvas, bbox: &Box, caption: Option<&str>) {
    // Far outside is far outside: clamped, so that sums of edges stay numbers.
    let edge = |at: f32, length: f32| ((f64::from(at) + f64::from(length)).round()).clamp(-1e9, 1e9) as i64;
    let (left, top) = (edge(bbox.x, 0.0), edge(bbox.y, 0.0));
    let (right, bottom) = (edge(bbox.x, bbox.w).max(left + 1), edge(bbox.y, bbox.h).max(top + 1));
    let line = canvas.units(SIDE_PER_LINE).min(right - left).min(bottom - top);
    canvas.fill(left, top, right, top + line, GREEN);
    canvas.fill(left, bottom - line, right, bottom, GREEN);
    canvas.fill(left, top, left + line, bottom, GREEN);
    canvas.fill(right - line, top, right, bottom, GREEN);
    if let Some(text) = caption.filter(|text| !text.is_empty()) {
        // Above the box, or below its upper edge where the picture has no room above.
        let dot = canvas.dot();
        let (width, height) = extent(text, dot);
        // As far left as it takes to be read to its end, the score; of a box beside the picture nothing is seen.
        let left = if left < canvas.width() { left.min((canvas.width() - width).max(0)) } else { left };
        canvas.write(left, if top >= height { top - height } else { top }, text, dot, BLACK, Some(GREEN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::Pixels;
    use arrow::buffer::Buffer;

    fn drawn(width: u32, height: u32, bbox: Box, caption: Option<&str>) -> Vec<String> {
        let black = Pixels { width, height, data: Buffer::from_vec(vec![7_u8; (width * height * 3) as usize]) };
        let mut canvas = Canvas::new(black);
        draw(&mut canvas, &bbox, caption);
        let letter = |p: &[u8]| {
            if *p == GREEN {
                '#'
            } else if *p == BLACK {
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
        let rows = drawn(12, 13, Box { x: 1.0, y: 10.0, w: 10.0, h: 3.0 }, Some("f"));
        let expected = [
            ".##########.",
            ".###ooo####.",
            ".##oo#oo###.",
            ".##oo######.",
            ".#oooo#####.",
            ".##oo######.",
            ".##oo######.",
            ".#oooo#####.",
            ".##########.",
            ".##########.",
            ".##########.",
            ".#........#.",
            ".##########.",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_caption_is_read_to_its_end_at_the_right_edge() {
        let rows = drawn(12, 13, Box { x: 8.0, y: 10.0, w: 4.0, h: 3.0 }, Some("f"));
        let expected = [
            "..##########",
            "..###ooo####",
            "..##oo#oo###",
            "..##oo######",
            "..#oooo#####",
            "..##oo######",
            "..##oo######",
            "..#oooo#####",
            "..##########",
            "..##########",
            "........####",
            "........#..#",
            "........####",
        ];
        assert_eq!(rows, expected);
        // One that is wider than the picture begins at its left edge, and one that begins outside stays there.
        assert_eq!(drawn(9, 13, Box { x: 8.0, y: 10.0, w: 1.0, h: 3.0 }, Some("f"))[1], "###ooo###");
        assert_eq!(drawn(12, 13, Box { x: -3.0, y: 10.0, w: 5.0, h: 3.0 }, Some("f"))[1], "ooo####.....");
        assert_eq!(drawn(12, 13, Box { x: 12.0, y: 10.0, w: 5.0, h: 3.0 }, Some("f"))[1], "............");
    }
}
