//! From a picture to the numbers that a graph takes: fitted to its size, in its order of axes and colours or in gray, each value less the mean and divided by std.

use super::description::{Color, Decode, Fit, Layout, ModelDescription};
use crate::frame::Picture;
use crate::pixels::{Damaged, Order, luma_of_size, render};

/// What is left of a letterbox.
const GRAY: u8 = 114;

/// How the pixels of an input lie in the picture that it was made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// Pixels of the picture for one of the input, across and down.
    pub(super) scale: (f32, f32),
    /// Where the picture begins in the input, px.
    pub(super) start: (f32, f32),
    /// Size of the picture as displayed, px.
    pub(super) picture: (u32, u32),
}

/// The way from a picture to the input of one model.
#[derive(Debug)]
pub(super) struct Input {
    width: usize,
    height: usize,
    layout: Layout,
    /// The order of its colours; None is gray.
    order: Option<Order>,
    fit: Fit,
    /// Whether a letterbox stands in the middle: Ultralytics trains and exports its models so.
    centred: bool,
    rest: u8,
    /// What each of the 256 values becomes, a colour each.
    tables: [Vec<f32>; 3],
}

impl Input {
    pub(super) fn new(description: &ModelDescription) -> Input {
        let table = |colour: usize| {
            let (mean, std) = (description.mean.get(colour).copied().unwrap_or(0.0), description.std.get(colour).copied().unwrap_or(1.0));
            (0..=u8::MAX).map(|value| (f32::from(value) - mean) / std).collect()
        };
        Input {
            width: description.width as usize,
            height: description.height as usize,
            layout: description.layout,
            order: match description.color {
                Color::Rgb => Some(Order::Rgb),
                Color::Bgr => Some(Order::Bgr),
                Color::Gray => None,
            },
            fit: description.fitted(),
            centred: description.decode == Decode::Yolov8,
            rest: if description.decode == Decode::Yunet { 0 } else { GRAY },
            tables: [table(0), table(1), table(2)],
        }
    }

    /// Writes the picture into `numbers`, which keeps its memory from one picture to the next. Errs if the picture cannot be decoded.
    pub(super) fn fill(&self, picture: &Picture, numbers: &mut Vec<f32>) -> Result<Placed, Damaged> {
        let size = picture.displayed();
        let (width, height) = self.inner(size);
        let inner = (width as u32, height as u32);
        let data = match self.order {
            Some(order) => render(picture, order, Some(inner))?.data,
            None => luma_of_size(picture, inner)?,
        };
        let n_channels = if self.order.is_some() { 3 } else { 1 };
        let whole = (width, height) == (self.width, self.height);
        // Of an odd rest the smaller half is on the left and above, as Ultralytics' LetterBox has it.
        let (left, top) = if self.centred { ((self.width - width) / 2, (self.height - height) / 2) } else { (0, 0) };
        let n_cells = self.width * self.height;
        numbers.resize(n_cells * n_channels, 0.0);
        if !whole {
            self.clear(numbers);
        }
        let [first, second, third] = &self.tables;
        let value = |table: &[f32], byte: u8| table.get(usize::from(byte)).copied().unwrap_or(0.0);
        for (y, line) in data.as_slice().chunks_exact(width * n_channels).enumerate() {
            let (pixels, start) = (line.as_chunks::<3>().0, (y + top) * self.width + left);
            match self.layout {
                _ if n_channels == 1 => {
                    let cells = numbers.get_mut(start..start + width).unwrap_or_default();
                    cells.iter_mut().zip(line).for_each(|(cell, gray)| *cell = value(first, *gray));
                }
                Layout::Nhwc => {
                    let cells = numbers.get_mut(start * 3..(start + width) * 3).unwrap_or_default();
                    for (cell, [a, b, c]) in cells.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                        *cell = [value(first, *a), value(second, *b), value(third, *c)];
                    }
                }
                Layout::Nchw => {
                    for (colour, table) in self.tables.iter().enumerate() {
                        let start = colour * n_cells + start;
                        let cells = numbers.get_mut(start..start + width).unwrap_or_default();
                        cells
                            .iter_mut()
                            .zip(pixels)
                            .for_each(|(cell, pixel)| *cell = value(table, pixel.get(colour).copied().unwrap_or(0)));
                    }
                }
            }
        }
        let scale = (size.0 as f32 / width as f32, size.1 as f32 / height as f32);
        Ok(Placed { scale, start: (left as f32, top as f32), picture: size })
    }

    /// How much of the input a picture of that size takes, across and down.
    fn inner(&self, (width, height): (u32, u32)) -> (usize, usize) {
        match self.fit {
            Fit::Stretch => (self.width, self.height),
            Fit::Letterbox => {
                let factor = (self.width as f64 / f64::from(width.max(1))).min(self.height as f64 / f64::from(height.max(1)));
                let side = |pixels: u32, most: usize| ((f64::from(pixels) * factor).round() as usize).clamp(1, most);
                (side(width, self.width), side(height, self.height))
            }
        }
    }

    fn clear(&self, numbers: &mut [f32]) {
        if self.order.is_none() {
            return numbers.fill(self.tables[0].get(usize::from(self.rest)).copied().unwrap_or(0.0));
        }
        let rest = self.tables.each_ref().map(|table| table.get(usize::from(self.rest)).copied().unwrap_or(0.0));
        match self.layout {
            Layout::Nhwc => numbers.as_chunks_mut::<3>().0.iter_mut().for_each(|cell| *cell = rest),
            Layout::Nchw => numbers.chunks_exact_mut(self.width * self.height).zip(rest).for_each(|(plane, rest)| plane.fill(rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::description::Task;
    use super::*;
    use crate::pixels::rgb8;
    use arrow::buffer::Buffer;

    fn numbers(change: impl FnOnce(&mut ModelDescription), picture: &Picture) -> (Vec<f32>, Placed) {
        let mut description = ModelDescription::new("m", Task::Raw, 2, 2);
        change(&mut description);
        let mut numbers = Vec::new();
        let placed = Input::new(&description).fill(picture, &mut numbers).unwrap();
        (numbers, placed)
    }

    #[test]
    fn axes_colours_mean_and_std_are_those_of_the_description() {
        let picture = rgb8(2, 2, 0, Buffer::from_vec((1..=12).collect::<Vec<u8>>()));
        let (planes, placed) = numbers(|_| {}, &picture);
        assert_eq!(planes, [1.0, 4.0, 7.0, 10.0, 2.0, 5.0, 8.0, 11.0, 3.0, 6.0, 9.0, 12.0]);
        assert_eq!((placed.scale, placed.picture), ((1.0, 1.0), (2, 2)));
        let turned =
            |d: &mut ModelDescription| (d.layout, d.color, d.mean, d.std) = (Layout::Nhwc, Color::Bgr, [1.0, 0.0, 0.0], [1.0, 2.0, 1.0]);
        assert_eq!(numbers(turned, &picture).0[..6], [2.0, 1.0, 1.0, 5.0, 2.5, 4.0]);
    }

    #[test]
    fn gray_is_one_channel_whatever_the_layout() {
        let picture = rgb8(2, 1, 0, Buffer::from_vec(vec![255_u8, 0, 0, 0, 0, 255]));
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let gray =
                |d: &mut ModelDescription| (d.color, d.layout, d.height, d.mean, d.std) = (Color::Gray, layout, 1, [6.0; 3], [2.0; 3]);
            // OpenCV's cvtColor gives 76 for red and 29 for blue.
            assert_eq!(numbers(gray, &picture).0, [35.0, 11.5]);
            let boxed = |d: &mut ModelDescription| (d.color, d.layout, d.fit) = (Color::Gray, layout, Some(Fit::Letterbox));
            assert_eq!(numbers(boxed, &picture).0, [76.0, 29.0, 114.0, 114.0]);
        }
    }

    #[test]
    fn a_letterbox_stands_at_the_top_left_and_the_rest_is_gray() {
        let picture = rgb8(4, 2, 0, Buffer::from_vec(vec![50_u8; 24]));
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let (numbers, placed) = numbers(|d| (d.fit, d.layout) = (Some(Fit::Letterbox), layout), &picture);
            assert_eq!(placed.scale, (2.0, 2.0));
            let (top, rest) = if layout == Layout::Nchw { (0..2, 10..12) } else { (0..6, 6..12) };
            assert!(numbers[top].iter().all(|n| *n == 50.0) && numbers[rest].iter().all(|n| *n == 114.0), "{numbers:?}");
        }
        assert_eq!(numbers(|_| {}, &picture).1.scale, (2.0, 1.0));
    }

    #[test]
    fn a_letterbox_of_ultralytics_stands_in_the_middle() {
        // What LetterBox pads at the left and above: (4 - 4) / 2 and (4 - 1) / 2, halves rounded down; of a tall picture the same the other way round.
        for ((width, height), (left, top)) in [((8, 2), (0, 1)), ((2, 8), (1, 0)), ((8, 4), (0, 1)), ((4, 4), (0, 0))] {
            let picture = rgb8(width, height, 0, Buffer::from_vec(vec![50_u8; (width * height * 3) as usize]));
            let factor = 4.0 / width.max(height) as f32;
            let (across, down) = ((width as f32 * factor) as usize, (height as f32 * factor) as usize);
            for layout in [Layout::Nchw, Layout::Nhwc] {
                let yolov8 = |d: &mut ModelDescription| (d.decode, d.layout, d.width, d.height) = (Decode::Yolov8, layout, 4, 4);
                let (numbers, placed) = numbers(yolov8, &picture);
                assert_eq!((placed.start, placed.scale), ((left as f32, top as f32), (1.0 / factor, 1.0 / factor)), "{width}x{height}");
                let inside = |x: usize, y: usize| (left..left + across).contains(&x) && (top..top + down).contains(&y);
                let expected = |cell: usize| if inside(cell % 4, cell / 4) { 50.0 } else { 114.0 };
                let cell = |at: usize| if layout == Layout::Nchw { at % 16 } else { at / 3 };
                assert!(numbers.iter().enumerate().all(|(at, n)| *n == expected(cell(at))), "{width}x{height}: {numbers:?}");
            }
        }
    }
}
