//! YOLOv8: one output `[1, 4 + classes, n]` (or turned, `[1, n, 4 + classes]`): centre and size in pixels of the input, a score a class, 0 to 1.

use super::{Candidate, Decoded, Raw, best};

pub(super) fn decode(raw: &Raw<'_>) -> Decoded {
    let expected = || raw.wrong(&format!("one output of [1, 4 + classes, {n}] or [1, {n}, 4 + classes]", n = raw.n_cells()));
    let output = raw.only().map_err(|_| expected())?;
    let n = raw.n_cells();
    let (width, across, along) = match output.matrix() {
        Some((width, columns)) if columns == n && width > 4 => (width, n, 1),
        Some((rows, width)) if rows == n && width > 4 => (width, 1, width),
        _ => return Err(expected()),
    };
    let value = |cell: usize, k: usize| output.values.get(k * across + cell * along).copied().unwrap_or(0.0);
    let mut found = Vec::new();
    for cell in 0..n {
        let (class, score) = best((4..width).map(|k| value(cell, k)));
        if score >= raw.floor {
            let [x, y, w, h] = [0, 1, 2, 3].map(|k| value(cell, k));
            found.push(Candidate { class, score, corners: [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0], landmarks: None });
        }
    }
    Ok((found, width - 4))
}
