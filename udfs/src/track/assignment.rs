//! The assignment of rows to columns that costs least in all: the Hungarian method (Kuhn 1955) by shortest augmenting paths (Jonker and
//! Volgenant 1987), O(n² m). Of several that cost the same it always gives the same one.

/// For each row its column, None for a row without one; `cost(row, column)` is finite. As many rows have one as there are rows or columns,
/// whichever are fewer.
pub(super) fn assign(n_rows: usize, n_columns: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<Option<usize>> {
    let mut found = vec![None; n_rows];
    if n_rows <= n_columns {
        for (column, row) in solve(n_rows, n_columns, cost).into_iter().enumerate() {
            if let Some(row) = row {
                found[row] = Some(column);
            }
        }
    } else {
        for (row, column) in solve(n_columns, n_rows, |column, row| cost(row, column)).into_iter().enumerate() {
            found[row] = column;
        }
    }
    found
}

/// For each column its row, where there are at most as many rows as columns.
fn solve(n_rows: usize, n_columns: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<Option<usize>> {
    let mut row_of: Vec<Option<usize>> = vec![None; n_columns];
    // What rows and columns are worth: no cost is below their sum, and it is just that where they are assigned.
    let (mut rows, mut columns) = (vec![0.0; n_rows], vec![0.0; n_columns]);
    for first in 0..n_rows {
        // The cheapest way from the new row to each column, over columns that are taken; and the column before it on that way.
        let mut way = vec![f64::INFINITY; n_columns];
        let mut before: Vec<Option<usize>> = vec![None; n_columns];
        let mut done = vec![false; n_columns];
        let (mut row, mut last) = (first, None);
        let free = loop {
            let mut nearest: Option<usize> = None;
            for column in (0..n_columns).filter(|column| !done[*column]) {
                let cost = cost(row, column) - rows[row] - columns[column];
                if cost < way[column] {
                    way[column] = cost;
                    before[column] = last;
                }
                if nearest.is_none_or(|nearest| way[column] < way[nearest]) {
                    nearest = Some(column);
                }
            }
            // There is always one: a column more than rows that are done.
            let Some(nearest) = nearest else { return row_of };
            let step = way[nearest];
            rows[first] += step;
            for (column, done) in done.iter().enumerate() {
                if *done {
                    columns[column] -= step;
                    if let Some(row) = row_of[column] {
                        rows[row] += step;
                    }
                } else {
                    way[column] -= step;
                }
            }
            match row_of[nearest] {
                Some(taken_by) => {
                    done[nearest] = true;
                    (row, last) = (taken_by, Some(nearest));
                }
                None => break nearest,
            }
        };
        // Each column on the way gives its row to the next.
        let mut column = free;
        while let Some(previous) = before[column] {
            row_of[column] = row_of[previous];
            column = previous;
        }
        row_of[column] = Some(first);
    }
    row_of
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least cost of all ways to give each row a column of its own, by trying them.
    fn least(n_rows: usize, n_columns: usize, cost: &dyn Fn(usize, usize) -> f64, row: usize, taken: &mut Vec<bool>) -> f64 {
        if row == n_rows {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in 0..n_columns {
            if !taken[column] {
                taken[column] = true;
                best = best.min(cost(row, column) + least(n_rows, n_columns, cost, row + 1, taken));
                taken[column] = false;
            }
        }
        best
    }

    #[test]
    fn it_costs_as_little_as_what_trying_every_way_finds() {
        let mut state = 7_u64;
        let mut number = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        for n_rows in 0..6 {
            for n_columns in 0..6 {
                for _ in 0..20 {
                    let costs: Vec<Vec<f64>> = (0..n_rows).map(|_| (0..n_columns).map(|_| (number() * 8.0).round()).collect()).collect();
                    let found = assign(n_rows, n_columns, |row, column| costs[row][column]);
                    let taken: Vec<usize> = found.iter().flatten().copied().collect();
                    assert_eq!(taken.len(), n_rows.min(n_columns));
                    assert!((0..n_columns).all(|column| taken.iter().filter(|t| **t == column).count() <= 1));
                    let total: f64 = found.iter().enumerate().filter_map(|(row, column)| column.map(|column| costs[row][column])).sum();
                    let best = if n_rows <= n_columns {
                        least(n_rows, n_columns, &|row, column| costs[row][column], 0, &mut vec![false; n_columns])
                    } else {
                        least(n_columns, n_rows, &|column, row| costs[row][column], 0, &mut vec![false; n_rows])
                    };
                    assert_eq!(total, best, "{costs:?}");
                }
            }
        }
    }
}
