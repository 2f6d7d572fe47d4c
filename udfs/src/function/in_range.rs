//! `in_range(frame, low float8[], high float8[]) -> FRAME`: which pixels have a colour between two others.

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::{Picture, PixelFormat, frame_type};
use crate::out_of_range::out_of_range;
use crate::pixels::{Pixel, each_pixel};

sql_function!(
    InRange, "in_range", arguments: [Frame, Numbers, Numbers], required: 3, returns: frame_type(),
    syntax: "in_range(frame, low float8[], high float8[]) -> FRAME",
    description: "White where red, green and blue (of hsv: hue, saturation and value) are each at least low's and at most high's, black elsewhere, as OpenCV's inRange. Each bound is a list of three numbers, and another number of them, or NaN, is an error. NULL for a NULL frame, bound or number in one, or a picture that cannot be decoded. The frame is derived, of luma only.",
    example: "SELECT cardinality(connected_components(in_range(frame, [200, 0, 0], [255, 80, 80]))) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let (Some(low), Some(high)) = (bound(arguments.numbers(1, row))?, bound(arguments.numbers(2, row))?) else { return Ok(None) };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        // The first sample that is inside, and how many more are.
        let inside = |at: usize| {
            let (low, high) = (low[at], high[at]);
            let mut all = (0..=255_u8).filter(|v| (low..=high).contains(&f64::from(*v)));
            all.next().map(|first| (first, all.count() as u8))
        };
        let data = match (inside(0), inside(1), inside(2)) {
            (Some(r), Some(g), Some(b)) => each_pixel(&samples.data, &Inside([r, g, b])),
            _ => vec![0; samples.width * samples.height],
        };
        let picture = Samples { data: Buffer::from_vec(data), ..samples }.into_picture();
        Ok(Some(Picture { format: PixelFormat::Gray8, ..picture }))
    })
}

/// Of each colour the least that is inside, and how many more are.
struct Inside([(u8, u8); 3]);

impl Pixel<3, 1> for Inside {
    #[inline(always)]
    fn of(&self, [r, g, b]: [u8; 3]) -> [u8; 1] {
        let [of_r, of_g, of_b] = self.0;
        let inside = |value: u8, (first, more): (u8, u8)| value.wrapping_sub(first) <= more;
        [if inside(r, of_r) & inside(g, of_g) & inside(b, of_b) { 255 } else { 0 }]
    }
}

fn bound(given: Option<Vec<Option<f64>>>) -> Result<Option<[f64; 3]>> {
    match given.as_deref() {
        None => Ok(None),
        Some(all) if all.iter().flatten().any(|n| n.is_nan()) => out_of_range!("in_range needs bounds of numbers, not NaN"),
        Some([a, b, c]) => Ok(a.zip(*b).zip(*c).map(|((a, b), c)| [a, b, c])),
        Some(other) => out_of_range!("in_range needs bounds of three numbers, not {}", other.len()),
    }
}
