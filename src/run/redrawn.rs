//! Figures that are drawn anew while a query runs: all its operators take each up at the same watermark, wherever they are when it happens.

use std::sync::Arc;

use framesql_udfs::figure::Figures;
use parking_lot::Mutex;

use crate::event::END_OF_TIME_US;
use crate::plan::names::Names;

/// The figures of one query, by the watermark from which on they count.
#[derive(Debug)]
pub struct Redrawn {
    names: Arc<dyn Names>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// The newest that was seen.
    last: Arc<Figures>,
    /// The latest watermark that an operator has asked at, µs: rows behind it are held against what was known then.
    asked_us: i64,
    /// What counts from a watermark on, µs; the earliest first.
    since: Vec<(i64, Arc<Figures>)>,
}

impl Redrawn {
    /// Of a query that is planned now.
    pub fn new(names: Arc<dyn Names>) -> Redrawn {
        let last = names.figures();
        Redrawn { names, known: Mutex::new(Known { last, asked_us: i64::MIN, since: Vec::new() }) }
    }

    /// The figures that rows behind that watermark are held against; None are those that the query was planned with.
    pub(super) fn at(&self, us: i64) -> Option<Arc<Figures>> {
        let mut known = self.known.lock();
        // Behind the end there are no rows.
        if us > known.asked_us && us != END_OF_TIME_US {
            known.asked_us = us;
            let now = self.names.figures();
            if !Arc::ptr_eq(&now, &known.last) {
                known.last = Arc::clone(&now);
                known.since.push((us, now));
            }
        }
        known.since.iter().rev().find(|(from_us, _)| *from_us <= us).map(|(_, figures)| Arc::clone(figures))
    }
}

#[cfg(test)]
mod tests {
    use framesql_udfs::figure::FigureKind;

    use super::*;

    #[derive(Debug, Default)]
    struct Drawn(Mutex<Arc<Figures>>);

    impl Drawn {
        fn draw(&self, text: &str) {
            *self.0.lock() = Arc::new([(FigureKind::Zone, "z".to_owned(), text.to_owned())].into_iter().collect());
        }
    }

    impl Names for Drawn {
        fn figures(&self) -> Arc<Figures> {
            Arc::clone(&self.0.lock())
        }

        fn unlisted(&self, _: &str) -> &'static [&'static str] {
            &[]
        }
    }

    #[test]
    fn all_operators_take_a_figure_up_at_the_same_watermark() {
        let drawn = Arc::new(Drawn::default());
        drawn.draw("planned");
        let redrawn = Redrawn::new(Arc::clone(&drawn) as _);
        let at = |us: i64| redrawn.at(us).and_then(|figures| figures.get(FigureKind::Zone, "z").map(str::to_owned));
        assert_eq!((at(100), at(40)), (None, None));
        drawn.draw("new");
        // One is behind, and holds its rows against the old figure as long as the first has.
        assert_eq!((at(60), at(100)), (None, None));
        assert_eq!((at(130), at(129), at(130), at(140)), (Some("new".into()), None, Some("new".into()), Some("new".into())));
        drawn.draw("newer");
        assert_eq!((at(END_OF_TIME_US), at(135), at(150)), (Some("new".into()), Some("new".into()), Some("newer".into())));
    }
}
