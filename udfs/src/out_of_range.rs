//! A value that a function does not take: a mistake of the query, of a type of its own so that it has a SQLSTATE of its own.

use datafusion_common::DataFusionError;

/// An argument of the right type and a value that its function does not take: invalid_parameter_value, 22023.
///
/// It travels through DataFusion's errors and is found by `OutOfRange::caused`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfRange(String);

impl OutOfRange {
    pub(crate) fn new(message: String) -> OutOfRange {
        OutOfRange(message)
    }

    /// Whether an error says that a value is out of its range.
    pub fn caused(error: &DataFusionError) -> bool {
        matches!(error.find_root(), DataFusionError::External(cause) if cause.is::<OutOfRange>())
    }
}

impl From<OutOfRange> for DataFusionError {
    fn from(refused: OutOfRange) -> DataFusionError {
        DataFusionError::External(Box::new(refused))
    }
}

/// An error with that text, written as `format!` has it.
macro_rules! out_of_range {
    ($($text:tt)+) => {
        Err(datafusion_common::DataFusionError::from($crate::out_of_range::OutOfRange::new(format!($($text)+))))
    };
}
pub(crate) use out_of_range;
