//! Joins to operators: by time, by lookup, over versions.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{JoinType, NullEquality, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Extension, FetchType, Join, Limit, LogicalPlan, Operator, SkipType, UserDefinedLogicalNodeCore};
use framesql_udfs::frame::is_frame;

use super::{Lowering, Part, arrow, check_references, makes_frames, window};
use crate::error::Error;
use crate::plan::asof::AsofJoin;
use crate::plan::changelog::changelog;
use crate::plan::event_time::source_of;
use crate::plan::join::{JoinTime, Way, of_left, of_right, way};
use crate::plan::system_time::AsOfNow;
use crate::run::condition::Condition;
use crate::run::scan::Scan;
use crate::run::{Description, asof, join, lookup, map, updating_join};

impl Lowering<'_> {
    pub(super) fn join(&mut self, plan: &Join) -> Result<Part> {
        let schema = arrow(&plan.schema);
        let condition = condition(&plan.left, &plan.right, plan.on.iter().cloned().unzip(), plan.filter.clone(), plan.null_equality);
        let beside = if self.run.continuous { None } else { beside_frames(plan) };
        let (table, stream, table_left) = match beside.map_or_else(|| way(plan), Ok)? {
            Way::Timed(timed) => {
                let sources = [window::sources(&plan.left)?, window::sources(&plan.right)?];
                let join = join::Join { condition, timed, sources, join_type: plan.join_type, schema };
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
        // What the table's rows have of frames is made of files: there are pixels, unless the other side's are references.
        let made = steps.last().is_some_and(makes_frames) && !has_frames(stream);
        let lookup = lookup::Lookup { condition, table, steps, table_left, join_type: plan.join_type, schema };
        let description = Description::Lookup(lookup);
        // It keeps no row of the stream, so that pixels may go through it.
        let stream = self.lower(stream)?;
        let pixels = stream.pixels || made;
        if !pixels {
            check_references(&description)?;
        }
        Ok(Part { exec: self.operator(description, vec![stream.exec]), pixels })
    }

    pub(super) fn asof(&mut self, extension: &Extension) -> Result<Part> {
        let Some(node) = extension.node.as_any().downcast_ref::<AsofJoin>() else { return internal_err!("no ASOF join") };
        let (left, right) = node.times()?;
        self.two(&node.left, &node.right, asof_description(node, left, right)?)
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
                let source = source_of(scan).filter(|source| source.holds() && !source.has_pixels()).ok_or_else(not_a_table)?;
                return self.request(scan, source);
            }
            LogicalPlan::Limit(limit) if first_rows(limit).is_some() => {
                let mut scan = self.looked_up(&limit.input, steps)?;
                scan.request.limit = first_rows(limit).into_iter().chain(scan.request.limit).min();
                return Ok(scan);
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

/// The side of a SELECT's join that is looked up, so that the frames of the other, a source's, keep their pixels; None if there are no such frames, or the side
/// beside them is no table or view.
pub(super) fn beside_frames(join: &Join) -> Option<Way> {
    let (left, right) = (&join.left, &join.right);
    let of_stream = |inner: [JoinType; 2], only: bool| inner.contains(&join.join_type) || only;
    // The operator of lookups is given no values of subqueries.
    let subquery = |e: &Expr| e.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_)))).unwrap_or(true);
    if join.null_aware || join.on.iter().flat_map(|(l, r)| [l, r]).chain(&join.filter).any(subquery) {
        None
    } else if with_pixels(left) && at_hand(right) && of_stream([JoinType::Inner, JoinType::Left], of_left(join.join_type)) {
        Some(Way::LookupRight)
    } else if with_pixels(right) && at_hand(left) && of_stream([JoinType::Inner, JoinType::Right], of_right(join.join_type)) {
        Some(Way::LookupLeft)
    } else {
        None
    }
}

fn has_frames(plan: &LogicalPlan) -> bool {
    plan.schema().fields().iter().any(|f| is_frame(f.data_type()))
}

fn with_pixels(plan: &LogicalPlan) -> bool {
    let of_source =
        |node: &LogicalPlan| Ok(matches!(node, LogicalPlan::TableScan(scan) if source_of(scan).is_some_and(|s| s.has_pixels())));
    has_frames(plan) && plan.exists(of_source).unwrap_or(false)
}

/// Whether `looked_up` takes a plan: the rows of a table or view, what is computed of each, and those that pass a condition, or the first of all.
fn at_hand(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => at_hand(&alias.input),
        LogicalPlan::Projection(projection) => at_hand(&projection.input),
        LogicalPlan::Filter(filter) => at_hand(&filter.input),
        LogicalPlan::Limit(limit) => first_rows(limit).is_some(),
        LogicalPlan::TableScan(scan) => source_of(scan).is_some_and(|source| source.holds() && !source.has_pixels()),
        _ => false,
    }
}

/// How many rows a limit leaves, where it stands over all rows of a table; None elsewhere.
fn first_rows(limit: &Limit) -> Option<usize> {
    fn all_rows(plan: &LogicalPlan) -> bool {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => all_rows(&alias.input),
            LogicalPlan::Projection(projection) => all_rows(&projection.input),
            LogicalPlan::TableScan(_) => at_hand(plan),
            _ => false,
        }
    }
    match (limit.get_skip_type().ok()?, limit.get_fetch_type().ok()?) {
        (SkipType::Literal(0), FetchType::Literal(n)) if all_rows(&limit.input) => n,
        _ => None,
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
pub(super) fn asof_description(node: &AsofJoin, left: JoinTime, right: JoinTime) -> Result<Description> {
    let keys = node.on.iter().cloned().unzip();
    Ok(Description::Asof(asof::Asof {
        condition: condition(&node.left, &node.right, keys, None, NullEquality::NullEqualsNothing),
        left_time: node.left_time.clone(),
        right_time: node.right_time.clone(),
        sources: [window::sources(&node.left)?, window::sources(&node.right)?],
        ahead: matches!(node.op, Operator::Lt | Operator::LtEq),
        or_equal: matches!(node.op, Operator::GtEq | Operator::LtEq),
        left_complete_us: left.complete_us,
        right_complete_us: right.complete_us,
        keep_unmatched: node.join_type == JoinType::Left,
        schema: arrow(UserDefinedLogicalNodeCore::schema(node)),
    }))
}
