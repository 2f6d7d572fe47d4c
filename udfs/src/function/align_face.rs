//! `align_face(frame, face DETECTION) -> FRAME`: a face turned, scaled and moved so that its eyes, nose and mouth are where recognition expects them.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::Buffer;
use datafusion_common::Result;

use super::boxes::{boxes, touched};
use super::call::{Arguments, sql_function};
use super::inference::Part;
use crate::detection::{Box as Bbox, detection_type, detections_of};
use crate::frame::{Picture, frame_type};
use crate::pixels::{Damaged, Order, Pixels, cut, render, rgb8};

sql_function!(
    AlignFace, "align_face", arguments: [Frame, Detection], required: 2, returns: frame_type(),
    syntax: "align_face(frame, face DETECTION) -> FRAME",
    description: "A derived frame of 112x112 pixels with the face upright: its five landmarks (as detect_faces gives them) are brought as near as can be, by \
turning, scaling and moving, to the places where ArcFace has them: the eyes at (38.3, 51.7) and (73.5, 51.5), the nose tip at (56.0, 71.7), the corners of \
the mouth at (41.5, 92.4) and (70.7, 92.2). What lies outside the picture is black. NULL for a NULL frame, a picture that cannot be decoded, a NULL face, \
one without five landmarks, one whose landmarks are all in one place, and one that lies outside the picture, as crop gives NULL for such a box.",
    example: "SELECT jpeg(align_face(frame, face)) FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face LIMIT 1"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let faces = parts(arguments.array(1)?)?;
    arguments.derive(|row, picture| match faces.get(row).and_then(Option::as_ref) {
        Some(part @ Part { landmarks: Some(landmarks), .. }) => {
            inside(picture, part)?;
            Ok(aligned(picture, landmarks, SIDE as u32)?)
        }
        _ => Ok(None),
    })
}

/// The side of the template, px.
const SIDE: f64 = 112.0;

/// Where the landmarks are in the template of ArcFace (as in insightface's face_align), px.
const TEMPLATE: [(f64, f64); 5] = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)];

/// The face or box that each row names, with its landmarks if it has five; None is NULL.
pub(super) fn parts(array: &ArrayRef) -> Result<Vec<Option<Part>>> {
    if *array.data_type() != detection_type() {
        let part = |bbox: Option<Bbox>| bbox.map(|bbox| Part { bbox, landmarks: None });
        return Ok(boxes(array)?.into_iter().map(part).collect());
    }
    let finite = |all: &[(f32, f32); 5]| all.iter().all(|(x, y)| x.is_finite() && y.is_finite());
    let known = boxes(array)?;
    let part = |(bbox, detection): (Option<Bbox>, crate::detection::Detection)| {
        let landmarks = detection.landmarks.and_then(|all| <[(f32, f32); 5]>::try_from(all).ok()).filter(finite);
        bbox.map(|bbox| Part { bbox, landmarks })
    };
    Ok(known.into_iter().zip(detections_of(array.as_ref())?).map(part).collect())
}

/// Errs for a face whose box touches no pixel of the picture; one without a box of its own is where its landmarks are.
pub(super) fn inside(picture: &Picture, face: &Part) -> Result<(), Damaged> {
    let empty = face.bbox.w <= 0.0 || face.bbox.h <= 0.0;
    match touched(&face.bbox, picture.displayed()) {
        None if !empty => Err(outside()),
        _ => Ok(()),
    }
}

fn outside() -> Damaged {
    Damaged::new("the face lies outside the picture")
}

/// The picture of `side` x `side` pixels on which the landmarks come nearest to the template; None if they are all in one place.
pub(super) fn aligned(picture: &Picture, landmarks: &[(f32, f32); 5], side: u32) -> Result<Option<Picture>, Damaged> {
    let scale = f64::from(side) / SIDE;
    let template = TEMPLATE.map(|(x, y)| (x * scale, y * scale));
    let landmarks = landmarks.map(|(x, y)| (f64::from(x), f64::from(y)));
    match Similarity::between(&landmarks, &template).and_then(Similarity::inverse) {
        Some(back) => warped(picture, back, side).map(Some),
        None => Ok(None),
    }
}

/// Turning, scaling and moving: (x, y) becomes (a x - b y + dx, b x + a y + dy).
#[derive(Clone, Copy, Debug)]
pub(super) struct Similarity {
    a: f64,
    b: f64,
    dx: f64,
    dy: f64,
}

impl Similarity {
    /// The one that brings some points nearest to others, by the sum of squared distances (Umeyama 1991). None for points in one place.
    fn between(from: &[(f64, f64)], to: &[(f64, f64)]) -> Option<Similarity> {
        let mean = |points: &[(f64, f64)]| {
            let n = points.len() as f64;
            (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n)
        };
        let ((fx, fy), (tx, ty)) = (mean(from), mean(to));
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for ((x, y), (u, v)) in from.iter().zip(to) {
            let (x, y, u, v) = (x - fx, y - fy, u - tx, v - ty);
            along += x * u + y * v;
            across += x * v - y * u;
            spread += x * x + y * y;
        }
        let (a, b) = (along / spread, across / spread);
        let found = Similarity { a, b, dx: tx - a * fx + b * fy, dy: ty - b * fx - a * fy };
        (spread > 0.0 && found.dx.is_finite() && found.dy.is_finite()).then_some(found)
    }

    /// The one that brings a square of `side` from (0, 0) onto a square in a picture, nothing turned.
    pub(super) fn onto(x: f64, y: f64, length: f64, side: u32) -> Similarity {
        Similarity { a: length / f64::from(side), b: 0.0, dx: x, dy: y }
    }

    fn inverse(self) -> Option<Similarity> {
        let Similarity { a, b, dx, dy } = self;
        let square = a * a + b * b;
        let (a, b) = (a / square, -b / square);
        (square > 0.0 && square.is_finite()).then_some(Similarity { a, b, dx: b * dy - a * dx, dy: -b * dx - a * dy })
    }

    fn of(self, x: f64, y: f64) -> (f64, f64) {
        (self.a * x - self.b * y + self.dx, self.b * x + self.a * y + self.dy)
    }
}

/// `side` x `side` pixels, each taken from where `back` says it lies in the picture, between the four pixels around it; black outside. Errs if all of them lie
/// outside.
pub(super) fn warped(picture: &Picture, back: Similarity, side: u32) -> Result<Picture, Damaged> {
    let last = f64::from(side) - 1.0;
    let corners = [back.of(0.0, 0.0), back.of(last, 0.0), back.of(0.0, last), back.of(last, last)];
    let least = |pick: fn(&(f64, f64)) -> f64| corners.iter().map(pick).fold(f64::INFINITY, f64::min);
    let most = |pick: fn(&(f64, f64)) -> f64| corners.iter().map(pick).fold(f64::NEG_INFINITY, f64::max);
    let (left, top) = (least(|c| c.0).floor(), least(|c| c.1).floor());
    let around = Bbox { x: left as f32, y: top as f32, w: (most(|c| c.0) - left + 2.0) as f32, h: (most(|c| c.1) - top + 2.0) as f32 };
    let mut made = vec![0_u8; side as usize * side as usize * 3];
    // Only that part of the picture is converted.
    let area = touched(&around, picture.displayed()).ok_or_else(outside)?;
    let pixels = render(&cut(picture, area)?, Order::Rgb, None)?;
    for (at, pixel) in made.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = back.of((at % side as usize) as f64, (at / side as usize) as f64);
        *pixel = between(&pixels, x - f64::from(area.x), y - f64::from(area.y));
    }
    Ok(rgb8(side, side, 0, Buffer::from_vec(made)))
}

fn between(pixels: &Pixels, x: f64, y: f64) -> [u8; 3] {
    // A place may be so far away that no whole number holds it.
    if !(x > -1.0 && y > -1.0 && x < f64::from(pixels.width) && y < f64::from(pixels.height)) {
        return [0; 3];
    }
    let (column, row) = (x.floor(), y.floor());
    let (right, down) = (x - column, y - row);
    let mut sum = [0.0_f64; 3];
    for (dx, dy, share) in
        [(0, 0, (1.0 - right) * (1.0 - down)), (1, 0, right * (1.0 - down)), (0, 1, (1.0 - right) * down), (1, 1, right * down)]
    {
        let (x, y) = (column as i64 + dx, row as i64 + dy);
        if x < 0 || y < 0 || x >= i64::from(pixels.width) || y >= i64::from(pixels.height) {
            continue;
        }
        let start = (y as usize * pixels.width as usize + x as usize) * 3;
        if let Some(colours) = pixels.data.get(start..start + 3) {
            sum.iter_mut().zip(colours).for_each(|(sum, colour)| *sum += share * f64::from(*colour));
        }
    }
    sum.map(|colour| (colour + 0.5) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similarity_is_found_again_from_what_it_does_and_inverse_undoes_it() {
        let turn = Similarity { a: 1.5, b: -0.5, dx: 10.0, dy: -4.0 };
        let moved = TEMPLATE.map(|(x, y)| turn.of(x, y));
        let found = Similarity::between(&TEMPLATE, &moved).unwrap();
        let back = found.inverse().unwrap();
        for ((x, y), (u, v)) in TEMPLATE.into_iter().zip(moved) {
            let (fu, fv) = found.of(x, y);
            let (bx, by) = back.of(u, v);
            assert!([fu - u, fv - v, bx - x, by - y].iter().all(|d| d.abs() < 1e-9));
        }
        assert!(Similarity::between(&[(3.0, 3.0); 5], &TEMPLATE).is_none());
    }

    #[test]
    fn landmarks_at_the_template_leave_the_picture_as_it_is() {
        let bytes: Vec<u8> = (0..112 * 112 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let picture = rgb8(112, 112, 0, Buffer::from_vec(bytes.clone()));
        let landmarks = TEMPLATE.map(|(x, y)| (x as f32, y as f32));
        let same = aligned(&picture, &landmarks, 112).unwrap().unwrap();
        let made = same.planes[0].as_ref().unwrap();
        assert!(made.iter().zip(&bytes).all(|(a, b)| a.abs_diff(*b) <= 1));
        // Moved by half the width: the right half of the result lies outside and is black.
        let beside = landmarks.map(|(x, y)| (x + 56.0, y));
        let moved = aligned(&picture, &beside, 112).unwrap().unwrap();
        let row = &moved.planes[0].as_ref().unwrap()[..112 * 3];
        assert!(row[57 * 3..].iter().all(|v| *v == 0) && row[..55 * 3].iter().zip(&bytes[56 * 3..]).all(|(a, b)| a.abs_diff(*b) <= 1));
        assert!(aligned(&picture, &[(5.0, 5.0); 5], 112).unwrap().is_none());
    }

    #[test]
    fn what_lies_at_the_end_of_the_world_is_black_or_outside() {
        let picture = rgb8(112, 112, 0, Buffer::from_vec(vec![9; 112 * 112 * 3]));
        for far in [1e19, 1e30, f64::from(f32::MAX)] {
            let wide = warped(&picture, Similarity::onto(-far / 2.0, -far / 2.0, far, 112), 112).unwrap();
            assert!(wide.planes[0].as_ref().unwrap().iter().filter(|v| **v > 0).count() <= 3, "{far}");
            // Landmarks so far from each other, and all of them so far away.
            let sign = |at: usize| if at.is_multiple_of(2) { far as f32 } else { -far as f32 };
            let apart: [(f32, f32); 5] = std::array::from_fn(|at| (sign(at), sign(at / 2)));
            for landmarks in
                [apart, TEMPLATE.map(|(x, y)| (x as f32, y as f32 * far as f32)), TEMPLATE.map(|(x, _)| (x as f32, far as f32))]
            {
                // None, a picture or outside it: no panic.
                drop(aligned(&picture, &landmarks, 112));
            }
        }
    }

    #[test]
    fn a_face_outside_the_picture_is_none_and_one_at_its_edge_is_one() {
        let picture = rgb8(112, 112, 0, Buffer::from_vec(vec![9; 112 * 112 * 3]));
        let face = |x: f32, w: f32| Part { bbox: Bbox { x, y: 0.0, w, h: 40.0 }, landmarks: None };
        assert!(inside(&picture, &face(111.5, 40.0)).is_ok() && inside(&picture, &face(-39.5, 40.0)).is_ok());
        assert!(inside(&picture, &face(112.0, 40.0)).is_err() && inside(&picture, &face(-40.0, 40.0)).is_err());
        // Without a box of its own it is where its landmarks are.
        assert!(inside(&picture, &face(500.0, 0.0)).is_ok());
        let far = TEMPLATE.map(|(x, y)| (x as f32 + 500.0, y as f32));
        assert!(aligned(&picture, &far, 112).is_err());
    }
}
