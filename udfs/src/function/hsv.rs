//! `hsv(frame) -> FRAME`: the picture with hue, saturation and value in the place of red, green and blue.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::frame_type;
use crate::pixels::each_pixel;

sql_function!(
    Hsv, "hsv", arguments: [Frame], required: 1, returns: frame_type(),
    syntax: "hsv(frame) -> FRAME",
    description: "The picture with hue (0 to 179, two degrees each), saturation and value (0 to 255) in the place of red, green and blue, as OpenCV's cvtColor with COLOR_RGB2HSV: for in_range, which finds a colour in any light. Shown as a picture its colours are false. NULL for a NULL frame or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT connected_components(in_range(hsv(frame), [20, 100, 100], [35, 255, 255])) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|_, picture| {
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(samples.with(each_pixel(&samples.data, converted)).into_picture()))
    })
}

#[inline(always)]
fn converted([r, g, b]: [u8; 3]) -> [u8; 3] {
    let value = r.max(g).max(b);
    let chroma = value - r.min(g).min(b);
    // Divisions in 1/4096, rounded as OpenCV does, which has them in tables: a float is as exact. Of what is 0 there is nothing to divide.
    let divided = |by: u8, of: f32| (of / f32::from(by.max(1)) + 8_388_608.0).to_bits() as i32 & 0x7f_ffff;
    let rounded = |v: i32| (v + (1 << 11)) >> 12;
    let saturation = rounded(i32::from(chroma) * divided(value, (255 << 12) as f32));
    let [r, g, b, v, c] = [r, g, b, value, chroma].map(i32::from);
    let sixths = if v == r {
        g - b
    } else if v == g {
        b - r + 2 * c
    } else {
        r - g + 4 * c
    };
    let hue = rounded(sixths * divided(chroma, (30 << 12) as f32));
    [if hue < 0 { hue + 180 } else { hue } as u8, saturation as u8, value]
}
