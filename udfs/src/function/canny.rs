//! `canny(frame [, low float8 [, high float8]]) -> FRAME`: the edges of the picture.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::gradients::Gradients;
use super::neighbourhood::nearest;
use crate::frame::frame_type;
use crate::out_of_range::out_of_range;
use crate::pixels::{displayed_luma, mapped};

sql_function!(
    Canny, "canny", arguments: [Frame, Float, Float], required: 1, returns: frame_type(),
    syntax: "canny(frame [, low float8 [, high float8]]) -> FRAME",
    description: "The edges, white on black and one pixel wide, as OpenCV's Canny: where the gradient of the luma is above high (150 unless given), and from there on as long as it stays above low (50 unless given). The gradient is the sum of its two amounts by Sobel's 3 by 3. NaN is an error. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(canny(frame)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let or = |at: usize, default: f64| if arguments.given(at) { arguments.float(at, row) } else { Some(default) };
        let (Some(low), Some(high)) = (or(1, 50.0), or(2, 150.0)) else { return Ok(None) };
        if low.is_nan() || high.is_nan() {
            return out_of_range!("canny needs two numbers, not NaN");
        }
        let gray = displayed_luma(&decoder.decode(picture)?)?;
        let width = gray.width as usize;
        Ok(Some(mapped(&gray, |luma| edges(luma, width, low.min(high), low.max(high)))?))
    })
}

/// The tangent of an eighth of a half turn, in 1/32768: what is flatter is an edge that goes down, and so on (as OpenCV rounds it).
const TANGENT: i32 = 13_573;
/// No gradient is stronger: the sum of its two amounts, each at most 4 times 255.
const STRONGEST: i16 = 2040;

/// A row's gradients, and how strong they are with one more, 0, at either end.
#[derive(Default)]
struct Line {
    across: Vec<i16>,
    down: Vec<i16>,
    strength: Vec<i16>,
}

impl Line {
    fn set(&mut self, across: &[i16], down: &[i16]) {
        self.across.clear();
        self.across.extend_from_slice(across);
        self.down.clear();
        self.down.extend_from_slice(down);
        self.strength.clear();
        self.strength.push(0);
        self.strength.extend(across.iter().zip(down).map(|(dx, dy)| dx.wrapping_abs().wrapping_add(dy.wrapping_abs())));
        self.strength.push(0);
    }
}

/// Canny (IEEE PAMI 8, 1986): maxima across the gradient, the strong ones followed along the weak ones.
pub(super) fn edges(luma: &[u8], width: usize, low: f64, high: f64) -> Vec<u8> {
    let height = luma.len() / width.max(1);
    let least = |limit: f64| (0..=STRONGEST).find(|strength| f64::from(*strength) > limit.floor()).unwrap_or(STRONGEST + 1);
    let (low, high) = (least(low), least(high));
    // 0 is no edge, 1 a weak one, 2 a strong one that is still to be followed. One pixel more on every side is none: no neighbour is outside.
    let wide = width + 2;
    let mut kind = vec![0_u8; wide * (height + 2)];
    let mut open = Vec::new();
    let [mut above, mut here] = [(); 2].map(|()| Line { strength: vec![0; wide], ..Line::default() });
    let mut under = Line::default();
    let mut first = 0;
    let mut next = |across: &[i16], down: &[i16]| {
        under.set(across, down);
        for (x, gradient) in here.across.iter().zip(&here.down).enumerate() {
            let m = here.strength[x + 1];
            if m >= low && most(gradient, [&above, &here, &under].map(|line| &line.strength[x..x + 3])) {
                kind[first + x + 1] = 1 + u8::from(m >= high);
                if m >= high {
                    open.push(first + x + 1);
                }
            }
        }
        std::mem::swap(&mut above, &mut here);
        std::mem::swap(&mut here, &mut under);
        first += wide;
    };
    let mut gradients = Gradients::default();
    for y in 0..height {
        gradients.make(luma, width, y, nearest);
        next(&gradients.across, &gradients.down);
    }
    next(&vec![0; width], &vec![0; width]);
    while let Some(at) = open.pop() {
        for near in [at - wide - 1, at - wide, at - wide + 1, at - 1, at + 1, at + wide - 1, at + wide, at + wide + 1] {
            if kind[near] == 1 {
                kind[near] = 2;
                open.push(near);
            }
        }
    }
    let mut made = Vec::with_capacity(luma.len());
    for row in kind.chunks_exact(wide).skip(1).take(height) {
        made.extend(row[1..=width].iter().map(|kind| if *kind == 2 { 255 } else { 0 }));
    }
    made
}

/// Whether no neighbour across the edge has a stronger gradient than the middle one of three by three.
fn most((dx, dy): (&i16, &i16), [above, here, under]: [&[i16]; 3]) -> bool {
    let m = here[1];
    let (across, down) = (i32::from(dx.wrapping_abs()), i32::from(dy.wrapping_abs()) << 15);
    let flat = across * TANGENT;
    if down < flat {
        m > here[0] && m >= here[2]
    } else if down > flat + (across << 16) {
        m > above[1] && m >= under[1]
    } else if (*dx < 0) == (*dy < 0) {
        m > above[0] && m > under[2]
    } else {
        m > above[2] && m > under[0]
    }
}
