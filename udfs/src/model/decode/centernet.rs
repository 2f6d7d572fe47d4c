//! CenterNet: a heat map `[1, rows, columns, classes]`, 0 to 1, and the distances `[1, rows, columns, 4]` from each cell's corner to the left, top,
//! right and bottom, in pixels of the input. A cell that is the greatest of its class among its neighbours is an object.

use super::super::output::Tensor;
use super::{Candidate, Decoded, Raw};

pub(super) fn decode(raw: &Raw<'_>) -> Decoded {
    let expected = || raw.wrong("a heat map of [1, rows, columns, classes] and distances of [1, rows, columns, 4]");
    let shape = |t: &Tensor| match t.shape.as_slice() {
        [1, rows, columns, depth] if *rows > 0 && *columns > 0 && *depth > 0 => Some((*rows, *columns, *depth)),
        _ => None,
    };
    let [one, other] = raw.tensors else { return Err(expected()) };
    let (Some(first), Some(second)) = (shape(one), shape(other)) else { return Err(expected()) };
    let (heat, sides, (rows, columns, n_classes)) = match (first.2, second.2) {
        (4, depth) if depth != 4 => (other, one, second),
        (_, 4) => (one, other, first),
        _ => return Err(expected()),
    };
    if (first.0, first.1) != (second.0, second.1) {
        return Err(expected());
    }
    let at =
        |row: usize, column: usize, class: usize| heat.values.get((row * columns + column) * n_classes + class).copied().unwrap_or(0.0);
    let mut found = Vec::new();
    let (across, down) = (raw.width as f32 / columns as f32, raw.height as f32 / rows as f32);
    for (cell, (scores, sides)) in heat.values.chunks_exact(n_classes).zip(sides.values.as_chunks::<4>().0).enumerate() {
        let (row, column) = (cell / columns, cell % columns);
        for (class, score) in scores.iter().copied().enumerate().filter(|(_, score)| *score >= raw.floor) {
            let rows = row.saturating_sub(1)..(row + 2).min(rows);
            let peak = rows
                .flat_map(|r| (column.saturating_sub(1)..(column + 2).min(columns)).map(move |c| (r, c)))
                .all(|(r, c)| at(r, c, class) <= score);
            if peak {
                let (x, y) = (column as f32 * across, row as f32 * down);
                let [left, top, right, bottom] = sides;
                found.push(Candidate { class, score, corners: [x - left, y - top, x + right, y + bottom], landmarks: None });
            }
        }
    }
    Ok((found, n_classes))
}
