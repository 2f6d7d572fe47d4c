//! Where the bars of a Code 39 or a Codabar begin and end. rxing 0.9.3 gives half the way to the right end of the one (`code_39_reader.rs` halves the sum of two numbers where ZXing
//! halves one), and of the other something beyond it (`coda_bar_reader.rs` sums more runs than there are). To be removed when it does not:
//! https://github.com/rxing-core/rxing/issues/61.

/// A step from pixel to pixel along the line across a code, px.
type Step = (i64, i64);

/// How the characters of a code are written.
struct Writing {
    /// Bars and spaces of a character; one more space is between two.
    n_runs: usize,
    /// In which bar or space of the first character the point lies that is known.
    known: usize,
}

/// The ends of the bars that say a text, from a point in them that rxing gives, along the line that goes by `step` in the direction in which it is read. None for another format.
/// `black` says whether a pixel is, None outside the picture.
pub(super) fn ends(
    format: &str,
    text: &str,
    from: (f32, f32),
    step: Step,
    black: impl Fn(i64, i64) -> Option<bool>,
) -> Option<[(f32, f32); 2]> {
    let writing = match format {
        // The middle of the first character, an asterisk, which is its third bar.
        "code_39" => Writing { n_runs: 9, known: 4 },
        // Where the first bar begins.
        "codabar" => Writing { n_runs: 7, known: 0 },
        _ => return None,
    };
    // The first and the last character are not part of the text.
    let n_runs = (text.chars().count() + 2) * (writing.n_runs + 1) - 1;
    let at = (from.0.floor() as i64, from.1.floor() as i64);
    let known = onto_black(at, step, &black)?;
    let last = along(known, step, n_runs - 1 - writing.known, &black);
    let first = along(known, (-step.0, -step.1), writing.known, &black);
    // A step further is where the last pixel ends; read backwards it is where the first one does.
    let end = |(x, y): (i64, i64), forward: bool| {
        let beyond = |step: i64| i64::from(if forward { step > 0 } else { step < 0 });
        ((x + beyond(step.0)) as f32, (y + beyond(step.1)) as f32)
    };
    Some([end(first, false), end(last, true)])
}

/// That pixel, if it is black, or else the next one that is; a point may be a pixel before a bar.
fn onto_black(at: (i64, i64), step: Step, black: &impl Fn(i64, i64) -> Option<bool>) -> Option<(i64, i64)> {
    const FURTHEST: i64 = 4;
    let places = (0..=FURTHEST).map(|n| (at.0 + n * step.0, at.1 + n * step.1));
    places.take_while(|(x, y)| black(*x, *y).is_some()).find(|(x, y)| black(*x, *y) == Some(true))
}

/// The last pixel of the bar or space that is so many further, or the last inside the picture.
fn along(mut at: (i64, i64), step: Step, n_runs: usize, black: &impl Fn(i64, i64) -> Option<bool>) -> (i64, i64) {
    let (mut now, mut left) = (black(at.0, at.1), n_runs);
    loop {
        let next = (at.0 + step.0, at.1 + step.1);
        match black(next.0, next.1) {
            None => return at,
            other if other != now && left == 0 => return at,
            other if other != now => (now, left) = (other, left - 1),
            _ => {}
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bars and spaces as letters: `n` and `w`, a bar first; two pixels and five.
    fn line(before: usize, characters: &[&str], after: usize) -> Vec<bool> {
        let mut line = vec![false; before];
        for (at, character) in characters.iter().enumerate() {
            if at > 0 {
                line.extend([false; 2]);
            }
            let runs = character.chars().map(|c| if c == 'w' { 5 } else { 2 }).enumerate();
            line.extend(runs.flat_map(|(at, length)| vec![at % 2 == 0; length]));
        }
        line.extend(vec![false; after]);
        line
    }

    #[test]
    fn bars_are_followed_to_their_ends() {
        let star = "nwnnwnwnn";
        let bars = line(40, &[star, "wnnnnwnnw", star], 66);
        let (first, end) = (40.0, bars.len() as f32 - 66.0);
        let length = bars.len() as i64;
        let forward = |x: i64, y: i64| (y == 7).then(|| bars.get(usize::try_from(x).ok()?).copied())?;
        assert_eq!(ends("code_39", "A", (53.5, 7.0), (1, 0), forward), Some([(first, 7.0), (end, 7.0)]));
        // Read from the right to the left, and from the top down.
        let mirrored = |x: i64, y: i64| (y == 7).then(|| bars.get(usize::try_from(length - 1 - x).ok()?).copied())?;
        let (right, left) = (length as f32 - first, length as f32 - end);
        assert_eq!(ends("code_39", "A", (length as f32 - 54.5, 7.0), (-1, 0), mirrored), Some([(right, 7.0), (left, 7.0)]));
        let down = |x: i64, y: i64| (x == 7).then(|| bars.get(usize::try_from(y).ok()?).copied())?;
        assert_eq!(ends("code_39", "A", (7.0, 53.5), (0, 1), down), Some([(7.0, first), (7.0, end)]));
        let bars = line(10, &["nnwwnwn", "nnnnnww", "nwnwnnw"], 500);
        let black = |x: i64, y: i64| (y == 0).then(|| bars.get(usize::try_from(x).ok()?).copied())?;
        assert_eq!(ends("codabar", "0", (10.0, 0.0), (1, 0), black), Some([(10.0, 0.0), (bars.len() as f32 - 500.0, 0.0)]));
        assert_eq!(ends("code_128", "0", (10.0, 0.0), (1, 0), black), None);
        assert_eq!(ends("codabar", "0", (0.0, 5.0), (1, 0), black), None);
    }
}
