//! YOLOX: one output `[1, n, 5 + classes]`, a row a cell of strides 8, 16, 32: centre and size as offsets, objectness, a score a class, both 0 to 1.

use super::{Candidate, Decoded, Raw, best};

pub(super) fn decode(raw: &Raw<'_>) -> Decoded {
    let output = raw.only().map_err(|_| raw.wrong(&expected(raw)))?;
    let Some((n_cells, width)) = output.matrix().filter(|(n, width)| *n == raw.n_cells() && *width > 5) else {
        return Err(raw.wrong(&expected(raw)));
    };
    debug_assert_eq!(n_cells * width, output.values.len());
    let mut found = Vec::new();
    for ((stride, column, row), cell) in raw.cells().zip(output.values.chunks_exact(width)) {
        let [x, y, w, h, object, scores @ ..] = cell else { continue };
        // No class lifts a cell above its objectness.
        if *object < raw.floor {
            continue;
        }
        let (class, share) = best(scores.iter().copied());
        let score = object * share;
        if score >= raw.floor {
            let (x, y, w, h) = ((x + column) * stride, (y + row) * stride, w.exp() * stride, h.exp() * stride);
            found.push(Candidate { class, score, corners: [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0], landmarks: None });
        }
    }
    Ok((found, width - 5))
}

fn expected(raw: &Raw<'_>) -> String {
    format!("one output of [1, {}, 5 + classes]", raw.n_cells())
}
