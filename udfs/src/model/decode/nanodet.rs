//! NanoDet: for each of the strides 8, 16, 32 the scores `[1, n, classes]`, 0 to 1, and the sides `[1, n, 4 x bins]`. A side (left, top, right,
//! bottom of the cell's middle) is the mean of a distribution over its bins, in cells. The strides may come in any order; which output of a stride has
//! the scores is told by the number of names or, where there are none, by its being the first.

use super::super::output::Tensor;
use super::{Candidate, Decoded, Raw, best};

pub(super) fn decode(raw: &Raw<'_>) -> Decoded {
    let expected = || raw.wrong("for each of the strides 8, 16 and 32 scores of [1, n, classes] and sides of [1, n, 4 x bins]");
    let (mut found, mut n_known) = (Vec::new(), None);
    let shapes: Option<Vec<(usize, usize)>> = raw.tensors.iter().map(Tensor::matrix).collect();
    let shapes = shapes.filter(|shapes| shapes.len() == 6).ok_or_else(expected)?;
    for stride in [8, 16, 32] {
        let (columns, rows) = (raw.width.div_ceil(stride), raw.height.div_ceil(stride));
        let here: Vec<(&Tensor, usize)> =
            raw.tensors.iter().zip(&shapes).filter(|(_, shape)| shape.0 == columns * rows).map(|(t, shape)| (t, shape.1)).collect();
        let [one, other] = here.as_slice() else { return Err(expected()) };
        let (scores, sides) = if raw.n_named > 0 && other.1 == raw.n_named && one.1 != raw.n_named { (other, one) } else { (one, other) };
        let (n_classes, n_bins) = (scores.1, sides.1 / 4);
        if n_classes == 0 || n_bins < 2 || sides.1 % 4 != 0 || n_known.is_some_and(|n| n != n_classes) {
            return Err(expected());
        }
        n_known = Some(n_classes);
        let cells = scores.0.values.chunks_exact(n_classes).zip(sides.0.values.chunks_exact(sides.1));
        for (at, (scores, sides)) in cells.enumerate() {
            let (class, score) = best(scores.iter().copied());
            if score < raw.floor {
                continue;
            }
            let stride = stride as f32;
            let (x, y) = (((at % columns) as f32 + 0.5) * stride, ((at / columns) as f32 + 0.5) * stride);
            let mut lengths = sides.chunks_exact(n_bins).map(|bins| mean(bins) * stride);
            let mut next = || lengths.next().unwrap_or(0.0);
            let (left, top, right, bottom) = (next(), next(), next(), next());
            found.push(Candidate { class, score, corners: [x - left, y - top, x + right, y + bottom], landmarks: None });
        }
    }
    Ok((found, n_known.unwrap_or(0)))
}

/// The mean of the places 0, 1, 2 … under the distribution whose logits these are.
fn mean(logits: &[f32]) -> f32 {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (weighted, sum) = logits.iter().enumerate().fold((0.0, 0.0), |(weighted, sum), (place, logit)| {
        let share = (logit - greatest).exp();
        (weighted + share * place as f32, sum + share)
    });
    weighted / sum
}
