//! The least rectangle around points, turned as it may be: where a line of text is.

/// A point, px.
pub(super) type Point = (f32, f32);

/// The corners of the rectangle of least area around the points, in order around it; None for fewer than three points that are not on one line.
/// One of its sides lies on a side of the convex hull (Freeman and Shapira 1975).
pub(super) fn least_rectangle(points: &[Point]) -> Option<[Point; 4]> {
    let hull = hull(points);
    if hull.len() < 3 {
        return None;
    }
    let mut best: Option<(f32, [Point; 4])> = None;
    for (at, from) in hull.iter().enumerate() {
        let to = hull.get((at + 1) % hull.len())?;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        if length <= 0.0 {
            continue;
        }
        let (ux, uy) = ((to.0 - from.0) / length, (to.1 - from.1) / length);
        let along = extent(&hull, |(x, y)| x * ux + y * uy);
        let across = extent(&hull, |(x, y)| y * ux - x * uy);
        let area = (along.1 - along.0) * (across.1 - across.0);
        if best.as_ref().is_none_or(|(least, _)| area < *least) {
            let corner = |a: f32, b: f32| (a * ux - b * uy, a * uy + b * ux);
            let corners = [corner(along.0, across.0), corner(along.1, across.0), corner(along.1, across.1), corner(along.0, across.1)];
            best = Some((area, corners));
        }
    }
    best.map(|(_, corners)| corners)
}

fn extent(points: &[Point], of: impl Fn(Point) -> f32) -> (f32, f32) {
    points.iter().map(|p| of(*p)).fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), v| (least.min(v), most.max(v)))
}

/// The convex hull, counter-clockwise from the leftmost point (Andrew 1979).
fn hull(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    sorted.dedup();
    if sorted.len() < 3 {
        return sorted;
    }
    let half = |points: &mut dyn Iterator<Item = &Point>| {
        let mut chain: Vec<Point> = Vec::new();
        for point in points {
            while let [.., a, b] = chain.as_slice()
                && (b.0 - a.0) * (point.1 - a.1) - (b.1 - a.1) * (point.0 - a.0) <= 0.0
            {
                chain.pop();
            }
            chain.push(*point);
        }
        chain.pop();
        chain
    };
    let mut all = half(&mut sorted.iter());
    all.extend(half(&mut sorted.iter().rev()));
    all
}

/// The lengths of the first two sides.
pub(super) fn sides(corners: &[Point; 4]) -> (f32, f32) {
    let [a, b, c, _] = corners;
    ((b.0 - a.0).hypot(b.1 - a.1), (c.0 - b.0).hypot(c.1 - b.1))
}

/// The rectangle with each of its sides moved outwards by `distance`.
pub(super) fn grown(corners: &[Point; 4], distance: f32) -> [Point; 4] {
    let [a, b, c, d] = *corners;
    let (width, height) = sides(corners);
    let unit =
        |from: Point, to: Point, length: f32| if length > 0.0 { ((to.0 - from.0) / length, (to.1 - from.1) / length) } else { (0.0, 0.0) };
    let (along, across) = (unit(a, b, width), unit(b, c, height));
    let moved = |p: Point, u: f32, v: f32| (p.0 + distance * (u * along.0 + v * across.0), p.1 + distance * (u * along.1 + v * across.1));
    [moved(a, -1.0, -1.0), moved(b, 1.0, -1.0), moved(c, 1.0, 1.0), moved(d, -1.0, 1.0)]
}

/// The corners from the upper left one clockwise, as one reads: of the two leftmost the upper is first.
pub(super) fn in_reading_order(corners: [Point; 4]) -> [Point; 4] {
    let mut sorted = corners;
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let [a, b, c, d] = sorted;
    let (top_left, bottom_left) = if a.1 <= b.1 { (a, b) } else { (b, a) };
    let (top_right, bottom_right) = if c.1 <= d.1 { (c, d) } else { (d, c) };
    [top_left, top_right, bottom_right, bottom_left]
}

/// Whether a point lies in the rectangle or on its edge.
pub(super) fn inside(corners: &[Point; 4], (x, y): Point) -> bool {
    let mut sides = (0..4).filter_map(|at| Some((corners.get(at)?, corners.get((at + 1) % 4)?)));
    let turn = |(from, to): (&Point, &Point)| (to.0 - from.0) * (y - from.1) - (to.1 - from.1) * (x - from.0);
    let all: Vec<f32> = sides.by_ref().map(turn).collect();
    all.iter().all(|turn| *turn >= -1e-3) || all.iter().all(|turn| *turn <= 1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: Point, b: Point) -> bool {
        (a.0 - b.0).abs() < 1e-3 && (a.1 - b.1).abs() < 1e-3
    }

    #[test]
    fn a_turned_rectangle_is_found_again_among_the_points_in_it() {
        let turned = |x: f32, y: f32| (10.0 + 0.8 * x - 0.6 * y, 20.0 + 0.6 * x + 0.8 * y);
        let points: Vec<Point> = (0..=30).flat_map(|x| (0..=8).map(move |y| turned(x as f32, y as f32))).collect();
        let corners = in_reading_order(least_rectangle(&points).unwrap());
        let expected = in_reading_order([turned(0.0, 0.0), turned(30.0, 0.0), turned(30.0, 8.0), turned(0.0, 8.0)]);
        assert!(corners.iter().zip(expected).all(|(a, b)| near(*a, b)), "{corners:?} {expected:?}");
        let (width, height) = sides(&grown(&corners, 2.0));
        assert!((width.max(height) - 34.0).abs() < 1e-3 && (width.min(height) - 12.0).abs() < 1e-3);
        assert!(inside(&corners, turned(15.0, 4.0)) && inside(&corners, turned(30.0, 8.0)) && !inside(&corners, turned(15.0, 9.0)));
    }

    #[test]
    fn points_without_an_area_have_no_rectangle() {
        assert_eq!(least_rectangle(&[(1.0, 1.0), (1.0, 1.0)]), None);
        assert_eq!(least_rectangle(&[(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(least_rectangle(&[]), None);
    }
}
