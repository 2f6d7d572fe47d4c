//! `LINE_CROSSINGS(TABLE tracks PARTITION BY source ORDER BY ts, 'line')` in FROM: a row each time that a track has crossed a line.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::TableFactor;
use serde::{Deserialize, Serialize};

use super::table_function::{Call, Signature};
use super::tracked::{Question, Tracked};
use super::zone_visits::MAX_GAP_US;
use crate::error::Error;
use crate::frame::batch::ts_type;

static SIGNATURE: Signature = Signature {
    name: "LINE_CROSSINGS",
    spelling: "LINE_CROSSINGS(TABLE tracks PARTITION BY source ORDER BY ts, 'line' [, hysteresis => 0.1] [, max_gap => INTERVAL '2 seconds'])",
    arguments: &["line", "hysteresis", "max_gap"],
};

/// How far from the line a box has to be to be on a side of it, if nothing is said, as a share of its height.
const HYSTERESIS: f64 = 0.1;

/// What is no crossing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tolerance {
    /// How far from the line a box has to be to be on a side of it: a share of its height, as the bits of a float8, which compare.
    hysteresis: u64,
    /// A track that has had no row for longer begins anew, µs.
    pub max_gap_us: i64,
}

impl Tolerance {
    /// The share of a box's height.
    pub fn hysteresis(&self) -> f64 {
        f64::from_bits(self.hysteresis)
    }
}

/// The columns behind track_id; the time has the name that it has in the table.
pub(super) fn fields(time: &str) -> Vec<Field> {
    vec![Field::new(time, ts_type(), false), Field::new("direction", DataType::Utf8, false)]
}

/// Plans LINE_CROSSINGS.
#[derive(Debug)]
pub(super) struct CrossingsPlanner;

impl RelationPlanner for CrossingsPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let Some(call) = SIGNATURE.call(&relation)? else { return Ok(RelationPlanning::Original(Box::new(relation))) };
        let table = call.table(context)?;
        let Some(line) = call.text("line", context)? else {
            return Err(SIGNATURE.written("LINE_CROSSINGS needs the name of a line".to_owned()).into());
        };
        let hysteresis = hysteresis(&call, context)?.to_bits();
        let max_gap_us = call.interval_us("max_gap", context)?.unwrap_or(MAX_GAP_US);
        if max_gap_us < 0 {
            return Err(refuse("the max_gap of LINE_CROSSINGS cannot be negative", "Write max_gap => INTERVAL '2 seconds'."));
        }
        let plan = Tracked::plan(table, line, Question::Crossings(Tolerance { hysteresis, max_gap_us }))?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, call.alias))))
    }
}

fn refuse(message: &str, hint: &str) -> DataFusionError {
    Error::Option { message: message.to_owned(), hint: Some(hint.to_owned()) }.into()
}

fn hysteresis(call: &Call, context: &mut dyn RelationPlannerContext) -> Result<f64> {
    let share = match call.constant("hysteresis", context)? {
        None => Some(HYSTERESIS),
        Some(Expr::Literal(value, _)) => match value.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(share)) => share,
            _ => None,
        },
        Some(_) => None,
    };
    share.filter(|share| share.is_finite() && *share >= 0.0).ok_or_else(|| {
        refuse(
            "the hysteresis of LINE_CROSSINGS is a share of a box's height, 0 or more",
            "Write hysteresis => 0.1, or 0 for a line without breadth.",
        )
    })
}
