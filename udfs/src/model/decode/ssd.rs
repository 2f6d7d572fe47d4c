//! SSD: boxes `[1, n, 4]` (left, top, right, bottom as shares of the picture, 0 to 1) and scores `[1, n, classes]`, in either order. Where the
//! description names one class less, the first is the background.

use super::super::output::Tensor;
use super::{Candidate, Decoded, Raw, best};

pub(super) fn decode(raw: &Raw<'_>) -> Decoded {
    let expected = || raw.wrong("boxes of [1, n, 4] and scores of [1, n, classes]");
    let [one, other] = raw.tensors else { return Err(expected()) };
    // Where both could be boxes, the one that says so is; else the second, as in the exports of UltraFace.
    let named = |t: &Tensor| t.name.to_lowercase().contains("box") || t.name.to_lowercase().contains("loc");
    let (boxes, scores) = match (one.matrix(), other.matrix()) {
        (Some((_, 4)), Some((_, 4))) if named(one) => (one, other),
        (Some((_, 4)), Some((_, 4))) => (other, one),
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
