//! What a line says: the graph gives each step along it a probability a character; repetitions and blanks go (CTC, greedy).

use tract_onnx::pb;

use prost::Message as _;

use super::rect::{Point, sides};
use crate::model::output::Tensor;
use crate::pixels::Pixels;

/// The height of the input, px.
const HEIGHT: usize = 48;
/// The least width of the input, px.
const LEAST_WIDTH: usize = 320;
/// Widths are rounded up to multiples of it, so that few shapes are planned for.
const WIDTH_STEP: usize = 160;
/// A longer line is squeezed into it, px.
const GREATEST_WIDTH: usize = 1920;
/// A line that is so much higher than wide is turned to the left: it is written downwards.
const UPRIGHT: f32 = 1.5;

/// The characters in the order of the graph's classes, the blank first: its own list, as its file carries it. Errs for a file without one.
pub(super) fn alphabet(file: &[u8]) -> Result<Vec<String>, String> {
    let model = pb::ModelProto::decode(file).map_err(|e| e.to_string())?;
    let list = model.metadata_props.iter().find(|entry| entry.key == "character").ok_or("its file names no characters")?;
    let characters = list.value.lines().map(str::to_owned);
    Ok([String::new()].into_iter().chain(characters).chain([" ".to_owned()]).collect())
}

/// The input of the graph for a line between these corners, from the upper left one clockwise, of a picture with blue first: its shape `[1, 3, 48, width]` and its
/// numbers, each (value / 255 - 0.5) / 0.5, zeros to the right of the line.
pub(super) fn input(pixels: &Pixels, corners: &[Point; 4]) -> ([usize; 4], Vec<f32>) {
    let [mut from, mut right, _, mut down] = *corners;
    let (mut width, mut height) = sides(corners);
    if height >= width * UPRIGHT {
        // The right side becomes the top.
        (from, right, down) = (corners[1], corners[2], corners[0]);
        (width, height) = (height, width);
    }
    let wanted = ((HEIGHT as f32 * width / height.max(1.0)).ceil() as usize).clamp(1, GREATEST_WIDTH);
    let padded = wanted.div_ceil(WIDTH_STEP).max(LEAST_WIDTH / WIDTH_STEP) * WIDTH_STEP;
    let mut numbers = vec![0.0; 3 * HEIGHT * padded];
    let across = ((right.0 - from.0) / wanted as f32, (right.1 - from.1) / wanted as f32);
    let below = ((down.0 - from.0) / HEIGHT as f32, (down.1 - from.1) / HEIGHT as f32);
    for row in 0..HEIGHT {
        for column in 0..wanted {
            let (u, v) = (column as f32 + 0.5, row as f32 + 0.5);
            let colours = between(pixels, from.0 + u * across.0 + v * below.0 - 0.5, from.1 + u * across.1 + v * below.1 - 0.5);
            for (colour, value) in colours.into_iter().enumerate() {
                if let Some(number) = numbers.get_mut((colour * HEIGHT + row) * padded + column) {
                    *number = value / 127.5 - 1.0;
                }
            }
        }
    }
    ([1, 3, HEIGHT, padded], numbers)
}

/// The colours at a place between pixels; beyond the picture those of its edge.
fn between(pixels: &Pixels, x: f32, y: f32) -> [f32; 3] {
    let (column, row) = (x.floor(), y.floor());
    let (right, down) = (x - column, y - row);
    let pixel = |dx: f32, dy: f32| {
        let place = |at: f32, most: u32| at.clamp(0.0, most.saturating_sub(1) as f32) as usize;
        let start = (place(row + dy, pixels.height) * pixels.width as usize + place(column + dx, pixels.width)) * 3;
        match pixels.data.as_slice().get(start..start + 3) {
            Some([a, b, c]) => [f32::from(*a), f32::from(*b), f32::from(*c)],
            _ => [0.0; 3],
        }
    };
    let (upper, lower) = ([pixel(0.0, 0.0), pixel(1.0, 0.0)], [pixel(0.0, 1.0), pixel(1.0, 1.0)]);
    let mix = |at: usize| {
        let value = |pixel: &[f32; 3]| pixel.get(at).copied().unwrap_or(0.0);
        let row = |[left, end]: &[[f32; 3]; 2]| value(left) * (1.0 - right) + value(end) * right;
        row(&upper) * (1.0 - down) + row(&lower) * down
    };
    [mix(0), mix(1), mix(2)]
}

/// The text, and the mean probability of its characters, 0 to 1; an empty text has 0. Errs if the graph has not as many classes as characters.
pub(super) fn text(steps: &Tensor, alphabet: &[String]) -> Result<(String, f32), String> {
    let [1, _, n_classes] = steps.shape.as_slice() else {
        return Err(format!("what a line says comes as [1, steps, characters], not {:?}", steps.shape));
    };
    if *n_classes != alphabet.len() {
        return Err(format!("it gives {n_classes} characters and names {}", alphabet.len()));
    }
    let (mut text, mut sum, mut n, mut before) = (String::new(), 0.0, 0_u32, 0);
    for step in steps.values.chunks_exact(*n_classes) {
        let best = step.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (at, p)| if *p > best.1 { (at, *p) } else { best });
        if best.0 != 0 && best.0 != before {
            text.push_str(alphabet.get(best.0).map_or("", String::as_str));
            sum += best.1;
            n += 1;
        }
        before = best.0;
    }
    Ok((text, if n == 0 { 0.0 } else { sum / n as f32 }))
}

#[cfg(test)]
mod tests {
    use arrow::buffer::Buffer;

    use super::*;

    #[test]
    fn repetitions_are_one_character_unless_a_blank_stands_between_them() {
        let alphabet: Vec<String> = ["", "a", "b", " "].map(str::to_owned).to_vec();
        let sure = [1, 1, 0, 1, 2, 3, 3, 0, 2];
        let values = sure.iter().flat_map(|class| (0..4).map(move |at| if at == *class { 0.75 } else { 0.05 })).collect();
        let steps = Tensor { name: "steps".into(), shape: vec![1, sure.len(), 4], values };
        assert_eq!(text(&steps, &alphabet).unwrap(), ("aab b".to_owned(), 0.75));
        assert!(text(&steps, &alphabet[..3]).unwrap_err().contains("4 characters and names 3"));
        let blank = Tensor { name: "steps".into(), shape: vec![1, 1, 4], values: vec![0.9, 0.1, 0.0, 0.0] };
        assert_eq!(text(&blank, &alphabet).unwrap(), (String::new(), 0.0));
    }

    #[test]
    fn a_line_is_cut_out_and_what_is_written_downwards_is_turned() {
        // Columns get brighter to the right.
        let data: Vec<u8> = (0..100_u8 * 2).flat_map(|at| [at % 100; 3]).collect();
        let pixels = Pixels { width: 100, height: 2, data: Buffer::from_vec(data) };
        let (shape, numbers) = input(&pixels, &[(0.0, 0.0), (100.0, 0.0), (100.0, 2.0), (0.0, 2.0)]);
        assert_eq!(shape, [1, 3, 48, 1920]);
        let value = |row: usize, column: usize| (numbers[row * 1920 + column] + 1.0) * 127.5;
        assert!(value(0, 0) < 1.0 && (value(20, 960) - 50.0).abs() < 1.0 && value(47, 1919) > 98.0);
        // The same picture as a column of text: 30 wide, 90 high. Its right edge is the top of the line.
        let data: Vec<u8> = (0..90_u8).flat_map(|row| (0..30_u8).flat_map(move |column| [column, row, 0])).collect();
        let pixels = Pixels { width: 30, height: 90, data: Buffer::from_vec(data) };
        let (shape, numbers) = input(&pixels, &[(0.0, 0.0), (30.0, 0.0), (30.0, 90.0), (0.0, 90.0)]);
        assert_eq!(shape, [1, 3, 48, 320]);
        let value = |colour: usize, row: usize, column: usize| (numbers[(colour * 48 + row) * 320 + column] + 1.0) * 127.5;
        assert!(value(0, 0, 70) > 28.0 && value(0, 47, 70) < 1.0 && value(1, 20, 0) < 1.0 && value(1, 20, 143) > 88.0);
        // Beside the line there is nothing.
        assert_eq!(numbers[200], 0.0);
    }
}
