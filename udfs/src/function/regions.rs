//! Connected regions of a picture of two values: how large each is and where, neighbours across the corner included.

/// Pixels that touch one another, by side or by corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Region {
    /// The column of its first pixel, which is in its first row.
    pub(super) start: usize,
    /// Its first column.
    pub(super) left: usize,
    /// Its first row.
    pub(super) top: usize,
    /// Its last column.
    pub(super) right: usize,
    /// Its last row.
    pub(super) bottom: usize,
    /// Pixels in it.
    pub(super) area: usize,
    /// The sum of their columns.
    sum_x: u64,
    /// The sum of their rows.
    sum_y: u64,
}

impl Region {
    /// The pixels of a row from one column to another.
    fn of(left: usize, right: usize, y: usize) -> Region {
        let (area, ends) = (right - left + 1, (left + right) as u64);
        Region { start: left, left, top: y, right, bottom: y, area, sum_x: ends * area as u64 / 2, sum_y: (y * area) as u64 }
    }

    fn add(&mut self, other: &Region) {
        self.left = self.left.min(other.left);
        self.top = self.top.min(other.top);
        self.right = self.right.max(other.right);
        self.bottom = self.bottom.max(other.bottom);
        self.area += other.area;
        self.sum_x += other.sum_x;
        self.sum_y += other.sum_y;
    }

    /// Columns of its box.
    pub(super) fn width(&self) -> usize {
        self.right - self.left + 1
    }

    /// Rows of its box.
    pub(super) fn height(&self) -> usize {
        self.bottom - self.top + 1
    }

    /// The mean of its pixels.
    pub(super) fn centre(&self) -> (f64, f64) {
        (self.sum_x as f64 / self.area as f64, self.sum_y as f64 / self.area as f64)
    }
}

/// The regions of the samples that are not 0, in the order of their first pixels. `samples` has rows of `width`.
pub(super) fn regions(samples: &[u8], width: usize) -> Vec<Region> {
    // Pixels side by side in a row are one thing: there are far fewer of these than pixels. Each has a parent that it touches, an earlier one.
    let mut runs: Vec<Region> = Vec::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut above = 0;
    for (y, line) in samples.chunks(width.max(1)).enumerate() {
        let first = runs.len();
        let mut x = 0;
        while let Some(left) = line[x..].iter().position(|v| *v > 0).map(|gap| x + gap) {
            x = line[left..].iter().position(|v| *v == 0).map_or(line.len(), |length| left + length);
            let this = runs.len();
            parents.push(this);
            // Those of the row above that end before this one do so before the next ones, too.
            while above < first && runs[above].right + 1 < left {
                above += 1;
            }
            for other in (above..first).take_while(|other| runs[*other].left <= x) {
                let (a, b) = (root(&mut parents, this), root(&mut parents, other));
                parents[a.max(b)] = a.min(b);
            }
            runs.push(Region::of(left, x - 1, y));
        }
        above = first;
    }
    let mut found: Vec<Region> = Vec::new();
    // Where the region of a run is that is the first of one.
    let mut numbers = vec![0; runs.len()];
    for (at, run) in runs.iter().enumerate() {
        match root(&mut parents, at) {
            root if root == at => {
                numbers[at] = found.len();
                found.push(*run);
            }
            root => found[numbers[root]].add(run),
        }
    }
    found
}

/// The first run that is of the same region; the way to it is made shorter.
fn root(parents: &mut [usize], run: usize) -> usize {
    let mut at = run;
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_is_one_region() {
        let picture = "
            ##...#
            ...#.#
            #...##
            .#.#..
            ..#..#";
        let rows: Vec<&str> = picture.split_whitespace().collect();
        let samples: Vec<u8> = rows.iter().flat_map(|row| row.bytes().map(|c| if c == b'#' { 9 } else { 0 })).collect();
        let found: Vec<_> = regions(&samples, 6).iter().map(|r| (r.left, r.top, r.width(), r.height(), r.area)).collect();
        // What lies at the left is joined to the right by corners, through the dot at the foot.
        assert_eq!(found, [(0, 0, 2, 1, 2), (0, 0, 6, 5, 9), (5, 4, 1, 1, 1)]);
        assert_eq!(regions(&samples, 6)[0].centre(), (0.5, 0.0));
        assert!(regions(&[], 0).is_empty() && regions(&[0; 6], 3).is_empty());
        assert_eq!(regions(&[1; 6], 3).len(), 1);
        // The first pixel is not the leftmost one.
        assert_eq!(regions(&[0, 1, 1, 0], 2).iter().map(|r| (r.start, r.left, r.area)).collect::<Vec<_>>(), [(1, 0, 2)]);
    }
}
