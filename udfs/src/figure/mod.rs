//! What is drawn over the picture of a source: zones, lines and calibrations, each with the text that holds it, and those that have changed
//! since a query was planned.

pub mod anchor;
pub mod calibration;
pub mod line;
pub mod zone;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::{Result, exec_err};

use anchor::Anchor;

/// The kinds of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FigureKind {
    /// A polygon that boxes are in or not.
    Zone,
    /// A stretch that tracks cross.
    Line,
    /// What pixels are in metres.
    Calibration,
}

impl FigureKind {
    /// The kind in SQL's words, lower case.
    pub fn word(self) -> &'static str {
        match self {
            FigureKind::Zone => "zone",
            FigureKind::Line => "line",
            FigureKind::Calibration => "calibration",
        }
    }

    /// The figure as its text holds it, from what the statement says. Errs with what is wrong with it.
    pub fn text(self, shape: &str, anchor: Anchor) -> Result<String, String> {
        match self {
            FigureKind::Zone => zone::Zone::new(shape, anchor).map(|figure| figure.to_string()),
            FigureKind::Line => line::Line::new(shape, anchor).map(|figure| figure.to_string()),
            FigureKind::Calibration => calibration::Calibration::new(shape, anchor).map(|figure| figure.to_string()),
        }
    }

    /// The points of such a text in the picture, px.
    pub fn points(self, text: &str) -> Vec<(f64, f64)> {
        match self {
            FigureKind::Zone => zone::Zone::parse(text).map(|figure| figure.corners().to_vec()),
            FigureKind::Line => line::Line::parse(text).map(|figure| figure.ends().to_vec()),
            FigureKind::Calibration => calibration::Calibration::parse(text).map(|figure| figure.pixels().to_vec()),
        }
        .unwrap_or_default()
    }
}

/// All figures of an engine at one moment, each as its text.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<(FigureKind, String), String>);

impl Figures {
    /// The text of a figure; None if there is none of that name.
    pub fn get(&self, kind: FigureKind, name: &str) -> Option<&str> {
        self.0.get(&(kind, name.to_owned())).map(String::as_str)
    }
}

impl FromIterator<(FigureKind, String, String)> for Figures {
    fn from_iter<T: IntoIterator<Item = (FigureKind, String, String)>>(figures: T) -> Figures {
        Figures(figures.into_iter().map(|(kind, name, text)| ((kind, name), text)).collect())
    }
}

thread_local! {
    /// What the `among` that this thread is in was given.
    static NOW: RefCell<Option<Arc<Figures>>> = const { RefCell::new(None) };
}

/// Does some work of a running query, for which the figures are these and no more those that it was planned with.
pub fn among<T>(figures: Option<&Arc<Figures>>, work: impl FnOnce() -> T) -> T {
    struct Inside(Option<Arc<Figures>>);
    impl Drop for Inside {
        fn drop(&mut self) {
            NOW.with_borrow_mut(|now| *now = self.0.take());
        }
    }
    let before = NOW.with_borrow_mut(|now| std::mem::replace(now, figures.cloned()));
    let _inside = Inside(before);
    work()
}

/// The text of a figure as it is for the work that this thread does; `planned` is what the query was planned with.
pub fn now<'a>(kind: FigureKind, name: &str, planned: &'a str) -> Cow<'a, str> {
    NOW.with_borrow(|now| match now.as_ref().and_then(|figures| figures.get(kind, name)) {
        Some(text) => Cow::Owned(text.to_owned()),
        None => Cow::Borrowed(planned),
    })
}

/// `anchor shape`, as the texts of figures are written, apart.
fn apart(text: &str) -> Result<(Anchor, &str)> {
    let parts = text.split_once(' ').and_then(|(anchor, shape)| Some((Anchor::named(anchor)?, shape)));
    match parts {
        Some(parts) => Ok(parts),
        None => exec_err!("'{text}' is no figure"),
    }
}

/// The numbers `x y` of a point. None if they are others.
fn point(text: &str) -> Option<(f64, f64)> {
    let mut numbers = text.split_whitespace().map(|n| n.parse::<f64>().ok().filter(|n| n.is_finite()));
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Some(x)), Some(Some(y)), None) => Some((x, y)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_known_inside_and_nowhere_else() {
        let zone =
            |text: &str| -> Arc<Figures> { Arc::new([(FigureKind::Zone, "door".to_owned(), text.to_owned())].into_iter().collect()) };
        let found = || now(FigureKind::Zone, "door", "planned").into_owned();
        assert_eq!(found(), "planned");
        let inner = among(Some(&zone("a")), || (found(), among(Some(&zone("b")), found), among(None, found), found()));
        assert_eq!(inner, ("a".into(), "b".into(), "planned".into(), "a".into()));
        assert_eq!(among(Some(&zone("a")), || now(FigureKind::Line, "door", "planned").into_owned()), "planned");
        assert_eq!(found(), "planned");
    }
}
