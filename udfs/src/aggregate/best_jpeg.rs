//! `best_jpeg(frame, score float8 [, width int4]) -> bytea`: the picture of the frame with the greatest score, as a JPEG file.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::{Result, internal_datafusion_err, not_impl_err, plan_err};
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::{AggregateUDF, Expr};

use super::best_frame::Best;
use super::define::sql_aggregate;
use crate::frame::frame_type;
use crate::function::call::check_whole;

sql_aggregate!(
    BestJpeg, "best_jpeg", arguments: [Frame, Float, Int], required: 2, returns: DataType::Binary,
    state: [DataType::Binary], accumulator: || not_impl_err!("best_jpeg in OVER"), rewritten: of_file,
    syntax: "best_jpeg(frame, score float8 [, width int4]) -> bytea",
    description: "The picture of the frame with the greatest score, as jpeg(frame, width) gives it. Pixels do not outlive the row, so every row that passes FILTER is encoded before the scores are compared, some milliseconds each: filter first, and name a width. Of several with the same score the earliest. Rows whose frame or score is NULL or not a number, or whose picture cannot be decoded, do not \
count; NULL where none counts.",
    example: "SELECT best_jpeg(frame, sharpness(frame), 320) FROM clip WHERE frame_no % 25 = 0"
);

sql_aggregate!(
    BestFile, "best_file", arguments: [Frame, Float, Bytes], required: 3, returns: DataType::Binary,
    state: [frame_type(), DataType::Float64, DataType::Binary], accumulator: || Ok(Box::new(Best { file: true, best: None })),
);

/// What best_jpeg is made of: the file of the best frame.
pub(super) fn best_file() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(BestFile::default()))
}

/// The pixels of a frame do not reach an aggregate: they are encoded below it.
fn of_file(mut call: AggregateFunction) -> Result<Expr> {
    let arguments = std::mem::take(&mut call.params.args);
    let [frame, score, width @ ..] = arguments.as_slice() else { return plan_err!("best_jpeg takes two or three arguments") };
    width.iter().try_for_each(|width| check_whole("best_jpeg", width))?;
    let jpeg = crate::function::functions().into_iter().find(|f| f.name() == "jpeg");
    let jpeg = jpeg.ok_or_else(|| internal_datafusion_err!("there is no function jpeg"))?;
    let file = jpeg.call([std::slice::from_ref(frame), width].concat());
    call.params.args = vec![frame.clone(), score.clone(), file];
    Ok(Expr::AggregateFunction(AggregateFunction { func: best_file(), params: call.params }))
}
