//! SSD: boxes `[1, n, 4]` (left, top, right, bottom as shares of the picture, 0 to 1) and scores `[1, n, classes]`, in either order: the shapes say which
//! is which, and of four classes the names. Where the description names one class less, the first is the background.

use super::super::output::Tensor;
use super::{Candidate, Decoded, Raw, best};

/// What outputs of scores are named by.
const SCORES: [&str; 4] = ["score", "conf", "cls", "class"];
/// What outputs of boxes are named by.
const BOXES: [&str; 4] = ["box", "loc", "rect", "coord"];

pub(super) fn decode(raw: &Raw<'_>) -> Decoded {
    let expected = || raw.wrong("boxes of [1, n, 4] and scores of [1, n, classes]");
    let [one, other] = raw.tensors else { return Err(expected()) };
    // Where both could be boxes, one has to be named as boxes are, or the other as scores are.
    let named = |t: &Tensor, words: [&str; 4]| words.iter().any(|word| t.name.to_lowercase().contains(word));
    let boxed = |t: &Tensor| named(t, BOXES) && !named(t, SCORES);
    let scored = |t: &Tensor| named(t, SCORES) && !named(t, BOXES);
    let (boxes, scores) = match (one.matrix(), other.matrix()) {
        (Some((_, 4)), Some((_, 4))) => match (boxed(one) || scored(other), boxed(other) || scored(one)) {
            (true, false) => (one, other),
            (false, true) => (other, one),
            _ => return Err(raw.wrong("boxes and scores of which one is named so where both are [1, n, 4]")),
        },
        (Some((_, 4)), Some(_)) => (one, other),
        (Some(_), Some((_, 4))) => (other, one),
        _ => return Err(expected()),
    };
    let (Some((n_boxes, _)), Some((n, n_classes))) = (boxes.matrix(), scores.matrix()) else { return Err(expected()) };
    if n_boxes != n || n_classes == 0 {
        return Err(expected());
    }
    let mut found = Vec::new();
    let (width, height) = (raw.width as f32, raw.height as f32);
    for (corners, scores) in boxes.values.as_chunks::<4>().0.iter().zip(scores.values.chunks_exact(n_classes)) {
        let (class, score) = best(scores.iter().copied());
        if score >= raw.floor {
            let [left, top, right, bottom] = corners;
            found.push(Candidate { class, score, corners: [left * width, top * height, right * width, bottom * height], landmarks: None });
        }
    }
    Ok((found, n_classes))
}
