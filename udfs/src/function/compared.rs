//! What the functions of a frame and the one before share: their threshold, and what they give where the plan did not put them above a source.

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err, internal_err};

use super::call::{Arguments, Kind};
use super::{detect_motion, motion, optical_flow, scene_changed};
use crate::out_of_range::out_of_range;
use crate::previous::Pair;

/// What a function makes of each frame and the one before; None where there is none to compare with.
type Compare = fn(&[Option<Pair>], &Arguments) -> Result<ArrayRef>;

const ALL: [(&str, &[Kind], Compare); 4] = [
    ("detect_motion", detect_motion::KINDS, detect_motion::compare),
    ("motion", motion::KINDS, motion::compare),
    ("optical_flow", optical_flow::KINDS, optical_flow::compare),
    ("scene_changed", scene_changed::KINDS, scene_changed::compare),
];

/// Whether a function compares a frame with the one before, so that the planner puts it directly above the source.
pub fn needs_previous(name: &str) -> bool {
    ALL.iter().any(|(function, ..)| *function == name)
}

/// What such a function gives for the rows of a batch. `arguments` are those of the call, of the types that it coerces to; `pairs` has one
/// entry a row, None where there is nothing to compare.
pub fn compare(name: &str, pairs: &[Option<Pair>], arguments: Vec<ArrayRef>) -> Result<ArrayRef> {
    match ALL.iter().find(|(function, ..)| *function == name) {
        Some((function, kinds, compare)) => compare(pairs, &Arguments::whole(function, arguments, pairs.len(), kinds)?),
        None => internal_err!("{name} does not compare frames"),
    }
}

/// The result of an expression that is evaluated on its own: NULL for NULL, and else an error, as the frame before is not known there.
pub(super) fn of_nothing(function: &str, arguments: &Arguments, returns: &DataType) -> Result<ArrayRef> {
    if arguments.array(0)?.null_count() < arguments.n_rows {
        return exec_err!("{function} compares a frame of a source with the one before, which is not known here");
    }
    Ok(new_null_array(returns, arguments.n_rows))
}

/// The difference of luma above which a pixel counts as changed: the second argument, 25 unless given; None is NULL.
pub(super) fn threshold(function: &str, arguments: &Arguments, row: usize) -> Result<Option<u8>> {
    let given = if arguments.given(1) { arguments.int(1, row) } else { Some(25) };
    match given.map(u8::try_from) {
        None => Ok(None),
        Some(Ok(threshold)) => Ok(Some(threshold)),
        Some(Err(_)) => out_of_range!("{function} needs a threshold of 0 to 255"),
    }
}
