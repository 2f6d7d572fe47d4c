//! `ZONE_VISITS(TABLE tracks PARTITION BY source ORDER BY ts, 'zone')` in FROM: a row each time that a track has been in a zone.

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::TableFactor;
use serde::{Deserialize, Serialize};

use super::table_function::Signature;
use super::tracked::{Question, Tracked};
use crate::error::Error;
use crate::frame::batch::ts_type;

/// How long a track may be away without ending its visit, if nothing is said: longer than TRACK looks for what it has lost.
pub(super) const MAX_GAP_US: i64 = 2_000_000;

static SIGNATURE: Signature = Signature {
    name: "ZONE_VISITS",
    spelling: "ZONE_VISITS(TABLE tracks PARTITION BY source ORDER BY ts, 'zone' [, max_gap => INTERVAL '2 seconds'] [, max_outside => INTERVAL '0 seconds'])",
    arguments: &["zone", "max_gap", "max_outside"],
};

/// How long a track may be away without ending its visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tolerance {
    /// Without a row, µs.
    pub max_gap_us: i64,
    /// With rows outside the zone, from its last row inside, µs.
    pub max_outside_us: i64,
}

/// Which of the columns behind track_id is the time of the last row inside.
pub(super) const EXIT: usize = 1;

/// The columns behind track_id.
pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new("enter_at", ts_type(), false),
        Field::new("exit_at", ts_type(), false),
        Field::new("dwell", DataType::Interval(IntervalUnit::MonthDayNano), false),
    ]
}

/// Plans ZONE_VISITS.
#[derive(Debug)]
pub(super) struct VisitsPlanner;

impl RelationPlanner for VisitsPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let Some(call) = SIGNATURE.call(&relation)? else { return Ok(RelationPlanning::Original(Box::new(relation))) };
        let table = call.table(context)?;
        let Some(zone) = call.text("zone", context)? else {
            return Err(SIGNATURE.written("ZONE_VISITS needs the name of a zone".to_owned()).into());
        };
        let mut time = |argument: &str, otherwise: i64| match call.interval_us(argument, context)? {
            Some(us) if us < 0 => Err(datafusion::error::DataFusionError::from(Error::Option {
                message: format!("the {argument} of ZONE_VISITS cannot be negative"),
                hint: Some(format!("Write {argument} => INTERVAL '2 seconds'.")),
            })),
            us => Ok(us.unwrap_or(otherwise)),
        };
        let tolerance = Tolerance { max_gap_us: time("max_gap", MAX_GAP_US)?, max_outside_us: time("max_outside", 0)? };
        let plan = Tracked::plan(table, zone, Question::Visits(tolerance))?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, call.alias))))
    }
}
