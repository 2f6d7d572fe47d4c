//! Joins to operators: by time, by lookup, over versions.

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Extension, Join, LogicalPlan, Operator, UserDefinedLogicalNodeCore};

use super::{Lowering, Part, arrow, check_references};
use crate::error::Error;
use crate::plan::asof::AsofJoin;
use crate::plan::changelog::changelog;
use crate::plan::event_time::source_of;
use crate::plan::join::{JoinTime, Way, way};
use crate::plan::system_time::AsOfNow;
use crate::run::condition::Condition;
use crate::run::scan::Scan;
use crate::run::{Description, asof, join, lookup, map, updating_join};

impl Lowering<'_> {
    pub(super) fn join(&mut self, plan: &Join) -> Result<Part> {
        let schema = arrow(&plan.schema);
        let condition = condition(&plan.left, &plan.right, plan.on.iter().cloned().unzip(), plan.filter.clone(), plan.null_equality);
        let (table, stream, table_left) = match way(plan)? {
            Way::Timed(timed) => {
                let join = join::Join { condition, timed, join_type: plan.join_type, schema };
                return self.two(&plan.left, &plan.right, Description::Join(join));
            }
            Way::Unbounded => {
                let Some(state_ttl_us) = self.run.pace.state_ttl_us else {
                    return Err(Error::refused(
                        "a continuous join without a bound in event time needs a state TTL, after which rows are forgotten",
                        "Write WITH (state_ttl = '1 h'), or SET state_ttl = '1 h', or bound the join by event time.",
                    )
                    .into());
                };
                let retracted = [&plan.left, &plan.right].map(|side| changelog(side, self.run.updating));
                let join = updating_join::UpdatingJoin { condition, state_ttl_us, join_type: plan.join_type, retracted, schema };
                return self.two(&plan.left, &plan.right, Description::UpdatingJoin(join));
            }
            Way::LookupRight => (&plan.right, &plan.left, false),
            Way::LookupLeft => (&plan.left, &plan.right, true),
        };
        let mut steps = Vec::new();
        let table = self.looked_up(table, &mut steps)?;
        let lookup = lookup::Lookup { condition, table, steps, table_left, join_type: plan.join_type, schema };
        let description = Description::Lookup(lookup);
        check_references(&description)?;
        let stream = self.lower(stream)?;
        let stream = self.detached(stream);
        Ok(Part { exec: self.operator(description, vec![stream]), pixels: false })
    }

    pub(super) fn asof(&mut self, extension: &Extension) -> Result<Part> {
        let Some(node) = extension.node.as_any().downcast_ref::<AsofJoin>() else { return internal_err!("no ASOF join") };
        let (left, right) = node.times()?;
        self.two(&node.left, &node.right, asof_description(node, left, right))
    }

    /// An operator over two inputs, which keeps rows: they come without their pixels.
    fn two(&mut self, left: &LogicalPlan, right: &LogicalPlan, description: Description) -> Result<Part> {
        check_references(&description)?;
        let mut inputs = Vec::new();
        for side in [left, right] {
            let lowered = self.lower(side)?;
            inputs.push(self.detached(lowered));
        }
        Ok(Part { exec: self.operator(description, inputs), pixels: false })
    }

    /// The scan of a table that is looked up, and what the plan makes of its rows, the first step first.
    fn looked_up(&mut self, plan: &LogicalPlan, steps: &mut Vec<map::Map>) -> Result<Scan> {
        let (input, predicate, columns) = match plan {
            LogicalPlan::SubqueryAlias(alias) => return self.looked_up(&alias.input, steps),
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<AsOfNow>() {
                Some(node) => return self.looked_up(&node.input, steps),
                None => return Err(not_a_table().into()),
            },
            LogicalPlan::TableScan(scan) => {
                let source = source_of(scan).filter(|source| source.now().is_some() && !source.has_pixels()).ok_or_else(not_a_table)?;
                return self.request(scan, source);
            }
            LogicalPlan::Filter(filter) => (&filter.input, Some(filter.predicate.clone()), None),
            LogicalPlan::Projection(projection) => (&projection.input, None, Some(projection.expr.clone())),
            _ => return Err(not_a_table().into()),
        };
        let scan = self.looked_up(input, steps)?;
        steps.push(map::Map { input: Arc::clone(input.schema()), predicate, columns, schema: arrow(plan.schema()) });
        Ok(scan)
    }
}

fn not_a_table() -> Error {
    Error::unsupported(
        "a lookup in what is no table or materialized view in a continuous query",
        "Make a materialized view of it first: CREATE MATERIALIZED VIEW v AS …, then JOIN v FOR SYSTEM_TIME AS OF now().",
    )
}

fn condition(
    left: &LogicalPlan,
    right: &LogicalPlan,
    (left_keys, right_keys): (Vec<Expr>, Vec<Expr>),
    filter: Option<Expr>,
    null_equality: NullEquality,
) -> Condition {
    let null_equals_null = null_equality == NullEquality::NullEqualsNull;
    Condition { left: Arc::clone(left.schema()), right: Arc::clone(right.schema()), left_keys, right_keys, filter, null_equals_null }
}

/// The operator of a join over versions; in a SELECT, where nothing is waited for, with times of any kind.
pub(super) fn asof_description(node: &AsofJoin, left: JoinTime, right: JoinTime) -> Description {
    let keys = node.on.iter().cloned().unzip();
    Description::Asof(asof::Asof {
        condition: condition(&node.left, &node.right, keys, None, NullEquality::NullEqualsNothing),
        left_time: node.left_time.clone(),
        right_time: node.right_time.clone(),
        ahead: matches!(node.op, Operator::Lt | Operator::LtEq),
        or_equal: matches!(node.op, Operator::GtEq | Operator::LtEq),
        left_complete_us: left.complete_us,
        right_complete_us: right.complete_us,
        keep_unmatched: node.join_type == JoinType::Left,
        schema: arrow(UserDefinedLogicalNodeCore::schema(node)),
    })
}
