//! Connected regions of a picture of two values: how large each is and where, neighbours across the corner included.

/// Pixels that touch one another, by side or by corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Region {
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
    fn of(x: usize, y: usize) -> Region {
        Region { left: x, top: y, right: x, bottom: y, area: 1, sum_x: x as u64, sum_y: y as u64 }
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
    let labels = labels(samples, width);
    let mut found: Vec<Region> = Vec::new();
    for (at, label) in labels.iter().enumerate().filter(|(_, label)| **label > 0) {
        let pixel = Region::of(at % width.max(1), at / width.max(1));
        match found.get_mut(*label as usize - 1) {
            Some(region) => region.add(&pixel),
            // Labels ascend in the order of their first pixels.
            None => found.push(pixel),
        }
    }
    found
}

/// The number of each sample's region, from 1 in the order of first pixels; 0 for a sample that is 0.
pub(super) fn labels(samples: &[u8], width: usize) -> Vec<u32> {
    let width = width.max(1);
    let mut labels = vec![0_u32; samples.len()];
    // A label's parent is the one that it was found to be the same as, a smaller one.
    let mut parents: Vec<u32> = vec![0];
    for at in 0..samples.len() {
        if samples[at] == 0 {
            continue;
        }
        let (x, above) = (at % width, at.checked_sub(width));
        let mut label = 0;
        let beside =
            [(x > 0).then(|| at - 1), above.filter(|_| x > 0).map(|up| up - 1), above, above.filter(|_| x + 1 < width).map(|up| up + 1)];
        for near in beside.into_iter().flatten().map(|near| labels[near]).filter(|near| *near > 0) {
            let (a, b) = (root(&mut parents, label), root(&mut parents, near));
            if a == 0 {
                label = b;
            } else {
                parents[a.max(b) as usize] = a.min(b);
                label = a.min(b);
            }
        }
        if label == 0 {
            label = parents.len() as u32;
            parents.push(label);
        }
        labels[at] = label;
    }
    // Numbered anew without gaps.
    let mut numbers = vec![0_u32; parents.len()];
    let mut n = 0;
    for label in labels.iter_mut().filter(|label| **label > 0) {
        let root = root(&mut parents, *label) as usize;
        if numbers[root] == 0 {
            n += 1;
            numbers[root] = n;
        }
        *label = numbers[root];
    }
    labels
}

/// The least label that is the same; the way to it is made shorter.
fn root(parents: &mut [u32], label: u32) -> u32 {
    let mut at = label;
    while parents[at as usize] != at {
        parents[at as usize] = parents[parents[at as usize] as usize];
        at = parents[at as usize];
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
    }
}
