//! Which frames have their pixels where: an operator over references alone cannot call what looks into a picture.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use framesql_udfs::frame::is_frame;
use framesql_udfs::function::needs_pixels;

use crate::error::Error;
use crate::run::Description;
use crate::run::map::Map;

/// Errs if an operator over frames that are references only calls a function that needs their pixels.
pub(super) fn check_references(description: &Description) -> Result<()> {
    let check = |e: &Expr| {
        e.apply(|e| match e {
            Expr::ScalarFunction(f) if needs_pixels(f) => Err(without_pixels(f.func.name()).into()),
            _ => Ok(TreeNodeRecursion::Continue),
        })
    };
    match description {
        Description::Map(map) => map.predicate.iter().chain(map.columns.iter().flatten()).try_for_each(|e| check(e).map(|_| ())),
        Description::Elements(of) => of.condition.iter().chain(&of.aggregates).try_for_each(|e| check(e).map(|_| ())),
        Description::Join(join) => join.condition.expressions().try_for_each(|e| check(e).map(|_| ())),
        Description::UpdatingJoin(join) => join.condition.expressions().try_for_each(|e| check(e).map(|_| ())),
        Description::Lookup(lookup) => lookup.condition.expressions().try_for_each(|e| check(e).map(|_| ())),
        Description::Asof(asof) => asof.condition.expressions().try_for_each(|e| check(e).map(|_| ())),
        Description::Infer(infer) => match infer.calls.iter().find(|call| !call.arguments.first().is_some_and(made_here)) {
            Some(call) => Err(without_pixels(&call.function).into()),
            None => Ok(()),
        },
        Description::Previous(previous) => match previous.function() {
            Some(function) => Err(without_pixels(function).into()),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether an expression makes a frame with its pixels, of a file.
fn made_here(frame: &Expr) -> bool {
    match frame {
        Expr::Alias(alias) => made_here(&alias.expr),
        Expr::ScalarFunction(f) => !needs_pixels(f),
        _ => false,
    }
}

/// Whether all frames among the columns are made there, with their pixels.
pub(super) fn makes_frames(map: &Map) -> bool {
    let frames = |columns: &Vec<Expr>| {
        let of_frames = columns.iter().zip(map.schema.fields()).filter(|(_, field)| is_frame(field.data_type()));
        let made: Vec<bool> = of_frames.map(|(column, _)| made_here(column)).collect();
        !made.is_empty() && made.into_iter().all(|made| made)
    };
    map.columns.as_ref().is_some_and(frames)
}

pub(super) fn without_pixels(function: &str) -> Error {
    Error::unsupported(
        format!("{function} of a frame without pixels"),
        format!(
            "A view, a join with a stream, an aggregate, ORDER BY with LIMIT in a subquery and a condition with a subquery keep only the reference of a frame: call {function} in the query below, and use its result by name."
        ),
    )
}
