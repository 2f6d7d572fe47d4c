//! `hsv(frame) -> FRAME`: the picture with hue, saturation and value in the place of red, green and blue.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::frame_type;
use crate::pixels::{Pixel, each_pixel};

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
        Ok(Some(samples.with(each_pixel(&samples.data, &Converted)).into_picture()))
    })
}

struct Converted;

impl Pixel<3, 3> for Converted {
    #[inline(always)]
    fn of(&self, [r, g, b]: [u8; 3]) -> [u8; 3] {
        let value = r.max(g).max(b);
        let chroma = value.wrapping_sub(r.min(g).min(b));
        let [r, g, b, v, c] = [i32::from(r), i32::from(g), i32::from(b), i32::from(value), i32::from(chroma)];
        let saturation = rounded(c.wrapping_mul(divided(255 << 12, v)));
        let of_green = b.wrapping_sub(r).wrapping_add(2 * c);
        let of_blue = r.wrapping_sub(g).wrapping_add(4 * c);
        let sixths = if v == r {
            g.wrapping_sub(b)
        } else if v == g {
            of_green
        } else {
            of_blue
        };
        let hue = rounded(sixths.wrapping_mul(divided(30 << 12, c)));
        [(if hue < 0 { hue.wrapping_add(180) } else { hue }) as u8, saturation as u8, value]
    }
}

/// A division in 1/4096, rounded as OpenCV does, which has them in a table: a float is as exact. By 0 it does not matter what comes out, as it is of nothing.
#[inline(always)]
fn divided(of: i32, by: i32) -> i32 {
    // From 2^23 on a float has no fraction: adding that rounds.
    (of as f32 / by.max(1) as f32 + 8_388_608.0).to_bits() as i32 & 0x7f_ffff
}

#[inline(always)]
fn rounded(of: i32) -> i32 {
    of.wrapping_add(1 << 11) >> 12
}
