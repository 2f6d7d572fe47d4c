//! Which parts of a continuous plan take rows back, and which of them cannot go on above such rows.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use framesql_udfs::function::figure_function;

use super::event_time::{self, source_of};
use super::join::{self, Way};
use super::parse::Emit;
use super::subquery::elements::Elements;
use super::system_time::AsOfNow;
use super::topn_updating::TopN;
use super::unnest::Unnest;
use crate::error::Error;

/// Whether EMIT asks for results before they are final.
pub fn updating(emit: Emit) -> bool {
    matches!(emit, Emit::Changes | Emit::Every(_))
}

/// How far apart in event time EMIT EVERY asks for results, µs.
pub fn every_us(emit: Emit) -> Option<i64> {
    match emit {
        Emit::Every(us) => Some(us),
        Emit::Default | Emit::OnWindowClose | Emit::Changes => None,
    }
}

/// Whether rows that the plan gives may be taken back: its output has diffs. `updating`: whether its EMIT asks for results before they are
/// final.
pub fn changelog(plan: &LogicalPlan, updating: bool) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => source_of(scan).is_some_and(|source| source.takes_back()),
        LogicalPlan::Aggregate(_) => updating || event_time::window_key(plan).is_none(),
        LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<TopN>() {
            Some(topn) => topn.keeps_first().is_none() || changelog(&topn.input, updating),
            None => read_as_they_come(plan).any(|input| changelog(input, updating)),
        },
        LogicalPlan::Join(join) => {
            join::takes_back(join).unwrap_or(false) || read_as_they_come(plan).any(|input| changelog(input, updating))
        }
        _ => plan.inputs().into_iter().any(|input| changelog(input, updating)),
    }
}

/// The inputs of which a node reads every change: a side that is looked up is read as it is.
fn read_as_they_come(node: &LogicalPlan) -> impl Iterator<Item = &LogicalPlan> {
    let looked_up = match node {
        LogicalPlan::Join(join) => match join::way(join) {
            Ok(Way::LookupLeft) => Some(0),
            Ok(Way::LookupRight) => Some(1),
            _ => None,
        },
        LogicalPlan::Extension(extension) => extension.node.as_any().is::<AsOfNow>().then_some(0),
        _ => None,
    };
    node.inputs().into_iter().enumerate().filter(move |(at, _)| Some(*at) != looked_up).map(|(_, input)| input)
}

/// Whether some part of the plan gives results before they are final, for EVERY to hold them back.
pub(super) fn gives_updates(plan: &LogicalPlan, emit: Emit) -> Result<bool> {
    plan.exists(|node| {
        Ok(match node {
            LogicalPlan::Aggregate(_) => changelog(node, updating(emit)),
            LogicalPlan::Extension(extension) => {
                extension.node.as_any().downcast_ref::<TopN>().is_some_and(|topn| topn.keeps_first().is_none())
            }
            _ => false,
        })
    })
}

/// Errs for a node that reads rows that are taken back and needs rows that are final.
pub(super) fn check(node: &LogicalPlan, emit: Emit) -> Result<()> {
    if !read_as_they_come(node).any(|input| changelog(input, updating(emit))) {
        return Ok(());
    }
    let takes_changes = match node {
        LogicalPlan::Filter(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Union(_) => true,
        LogicalPlan::Aggregate(_) => updating(emit) || event_time::window_key(node).is_none(),
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            node.is::<Unnest>() || node.is::<Elements>() || node.is::<TopN>()
        }
        // It keeps the rows of both sides, and takes back the pairs of those that go.
        LogicalPlan::Join(join) => join::way(join)? == Way::Unbounded,
        // What has no operator at all is refused as such.
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Distinct(_) => true,
        _ => false,
    };
    if !takes_changes {
        return Err(refusal(what(node)).into());
    }
    node.apply_expressions(|e| {
        if e.exists(|e| Ok(matches!(e, Expr::ScalarFunction(f) if f.func.signature().volatility == Volatility::Volatile)))? {
            return Err(Error::refused(
                "a function that gives another value each time, over rows that are taken back, would not take back what it gave",
                "Leave it out, or use it where you read.",
            )
            .into());
        }
        if e.exists(|e| Ok(matches!(e, Expr::ScalarFunction(f) if figure_function(f.func.name()).is_some())))? {
            return Err(Error::refused(
                "a figure that may be drawn anew, over rows that are taken back, would not take back what it gave",
                "Hold the rows against it in the query below, before they are grouped.",
            )
            .into());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn what(node: &LogicalPlan) -> String {
    match node {
        LogicalPlan::Join(_) => "a join by event time or by lookup".to_owned(),
        LogicalPlan::Window(_) => "OVER".to_owned(),
        LogicalPlan::Aggregate(_) => "GROUP BY a window".to_owned(),
        LogicalPlan::Extension(extension) if extension.node.name() == "AssignWindow" => "a window".to_owned(),
        LogicalPlan::Extension(extension) => extension.node.name().to_owned(),
        other => other.display().to_string().split([':', ' ']).next().unwrap_or("this").to_owned(),
    }
}

/// The refusal of what needs rows that are final.
pub(super) fn refusal(what: impl std::fmt::Display) -> Error {
    Error::refused(
        format!("{what} over rows that are taken back again would not be final"),
        "Use EMIT ON WINDOW CLOSE below: make a materialized view of the windows, whose rows are final, and read that.",
    )
}
