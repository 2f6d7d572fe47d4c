//! What the functions of figures share: the name of the figure is a constant, and behind it the plan puts the figure itself.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use datafusion_common::{Result, exec_err};

use super::call::Arguments;
use crate::figure::calibration::Calibration;
use crate::figure::{FigureKind, now};

/// A function that names a figure.
#[derive(Debug)]
pub struct FigureFunction {
    /// The function.
    pub name: &'static str,
    /// The kind of its figure.
    pub kind: FigureKind,
    /// Which argument is the figure's name; the one behind it is its text, which no user writes.
    pub argument: usize,
    /// Whether it does without one.
    pub optional: bool,
}

impl FigureFunction {
    /// The text of the figure that a call names, as it is now; None where the name is NULL. Errs where no plan has put it there.
    pub(super) fn text<'a>(&self, arguments: &'a Arguments) -> Result<Option<Cow<'a, str>>> {
        if arguments.n_rows == 0 {
            return Ok(None);
        }
        match (arguments.text(self.argument, 0), arguments.text(self.argument + 1, 0)) {
            (None, _) => Ok(None),
            (Some(name), Some(planned)) => Ok(Some(now(self.kind, name, planned))),
            (Some(name), None) => exec_err!("{} \"{name}\" is not known here", self.kind.word()),
        }
    }

    /// A number a row, by the calibration that the call names; NULL where the name is, and where `each` gives none.
    pub(super) fn measure(&self, arguments: &Arguments, each: impl Fn(&Calibration, usize) -> Option<f64>) -> Result<ArrayRef> {
        let calibration = self.text(arguments)?.map(|text| Calibration::parse(&text)).transpose()?;
        let one = |row| calibration.as_ref().and_then(|calibration| each(calibration, row));
        Ok(Arc::new(Float64Array::from_iter((0..arguments.n_rows).map(one))))
    }
}
