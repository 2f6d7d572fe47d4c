//! `hsv(frame) -> FRAME`: the picture with hue, saturation and value in the place of red, green and blue.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::frame_type;

sql_function!(
    Hsv, "hsv", arguments: [Frame], required: 1, returns: frame_type(),
    syntax: "hsv(frame) -> FRAME",
    description: "The picture with hue (0 to 179, two degrees each), saturation and value (0 to 255) in the place of red, green and blue, as OpenCV's cvtColor with COLOR_RGB2HSV: for in_range, which finds a colour in any light. Shown as a picture its colours are false. NULL for a NULL frame or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT connected_components(in_range(hsv(frame), [20, 100, 100], [35, 255, 255])) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|_, picture| {
        let mut samples = Samples::rgb(&decoder.decode(picture)?)?;
        // Divisions by tables in 1/4096, rounded as OpenCV does.
        let table =
            |of: f64| -> Vec<i32> { (0..256).map(|at| if at == 0 { 0 } else { (of / f64::from(at)).round_ties_even() as i32 }).collect() };
        let (by_value, by_chroma) = (table(f64::from(255 << 12)), table(f64::from(180 << 12) / 6.0));
        samples.data.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = converted(*pixel, &by_value, &by_chroma));
        Ok(Some(samples.into_picture()))
    })
}

fn converted(pixel: [u8; 3], by_value: &[i32], by_chroma: &[i32]) -> [u8; 3] {
    let [r, g, b] = pixel.map(i32::from);
    let value = r.max(g).max(b);
    let chroma = value - r.min(g).min(b);
    let rounded = |v: i32| (v + (1 << 11)) >> 12;
    let saturation = rounded(chroma * by_value[value as usize]);
    let sixths = if value == r {
        g - b
    } else if value == g {
        b - r + 2 * chroma
    } else {
        r - g + 4 * chroma
    };
    let hue = rounded(sixths * by_chroma[chroma as usize]);
    [if hue < 0 { hue + 180 } else { hue } as u8, saturation as u8, value as u8]
}
