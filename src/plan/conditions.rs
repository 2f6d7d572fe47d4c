//! Conditions whose parts are asked in turn: a CASE reaches THEN where its WHEN is true only, and `s ~ '^\d+$' AND s::int > 0` reads as numbers what the
//! first part lets through. DataFusion makes AND and OR of a CASE of conditions, and works both sides of those out for all rows.

use std::collections::HashSet;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, lit};
use datafusion::optimizer::AnalyzerRule;
use framesql_udfs::function::is_model;

use super::each;
use super::number::checked::split;

/// The rule; it stands behind the coercion of types, which brings casts.
#[derive(Debug)]
pub(super) struct Conditions;

impl AnalyzerRule for Conditions {
    fn name(&self) -> &str {
        "conditions"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        each::expression(plan, rewritten)
    }
}

fn rewritten(e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match e {
        // Of a CASE that compares nothing is made.
        Expr::Case(case) if case.expr.is_none() && reaches_errors(&case, schema) => {
            Transformed::yes(Expr::Case(Case { expr: Some(Box::new(lit(true))), ..case }))
        }
        Expr::BinaryExpr(condition) if matches!(condition.op, Operator::And | Operator::Or) => match in_turn(&condition, schema)? {
            Some(turned) => Transformed::yes(turned),
            None => Transformed::no(Expr::BinaryExpr(condition)),
        },
        other => Transformed::no(other),
    })
}

/// Whether a CASE of conditions has a part that may err, behind its first WHEN. Calls of models are made where they are reached by other means.
fn reaches_errors(case: &Case, schema: &DFSchema) -> bool {
    let condition = |e: &Expr| matches!(e.get_type(schema), Ok(DataType::Boolean));
    let behind = || {
        let whens = case.when_then_expr.iter().skip(1).map(|(when, _)| when);
        whens.chain(case.when_then_expr.iter().map(|(_, then)| then)).chain(&case.else_expr)
    };
    let has = |wanted: fn(&Expr) -> bool| behind().any(|part| part.exists(|e| Ok(wanted(e))).unwrap_or(true));
    case.when_then_expr.first().is_some_and(|(_, then)| condition(then)) && has(may_err) && !has(calls_model)
}

fn may_err(e: &Expr) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    match e {
        Expr::Cast(_) | Expr::ScalarFunction(_) | Expr::Negative(_) | Expr::ScalarSubquery(_) => true,
        Expr::BinaryExpr(BinaryExpr { op, .. }) => matches!(op, Plus | Minus | Multiply | Divide | Modulo),
        _ => false,
    }
}

fn calls_model(e: &Expr) -> bool {
    matches!(e, Expr::ScalarFunction(call) if is_model(call.func.name()))
}

/// A condition whose second part reads texts as something else only where the first leaves it open. None for other conditions, and where the first says
/// nothing of those texts. Of divisions that is done with the other operators that err, in `number::checked`.
fn in_turn(condition: &BinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let BinaryExpr { left, op, right } = condition;
    let mut texts: HashSet<Column> = HashSet::new();
    right.apply(|e| {
        if reads_text(e, schema) {
            texts.extend(e.column_refs().into_iter().cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if texts.is_empty() {
        return Ok(None);
    }
    let mut parts = Vec::new();
    split(left, *op, &mut parts);
    // A part that may err itself waits for others.
    let sound = |part: &Expr| !part.exists(|e| Ok(may_err(e))).unwrap_or(true);
    let tells = |part: &&Expr| part.column_refs().into_iter().any(|column| texts.contains(column)) && sound(part);
    let of_both = |a: Expr, b: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(a), *op, Box::new(b)));
    let Some(first) = parts.into_iter().filter(tells).cloned().reduce(of_both) else { return Ok(None) };
    let open = if *op == Operator::And { first.is_not_false() } else { first.is_not_true() };
    let guarded = right.as_ref().clone().transform_down(|e| {
        if !reads_text(&e, schema) {
            return Ok(Transformed::no(e));
        }
        let asked = Expr::Case(Case::new(None, vec![(Box::new(open.clone()), Box::new(e))], None));
        // A CASE of a condition would be made AND and OR again.
        let asked = match asked {
            Expr::Case(case) if reaches_errors(&case, schema) => Expr::Case(Case { expr: Some(Box::new(lit(true))), ..case }),
            asked => asked,
        };
        Ok(Transformed::new(asked, true, TreeNodeRecursion::Jump))
    })?;
    Ok(Some(of_both(left.as_ref().clone(), guarded.data)))
}

/// Whether an expression is a cast of a text that is read from a row.
fn reads_text(e: &Expr, schema: &DFSchema) -> bool {
    let Expr::Cast(cast) = e else { return false };
    let text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    !text(cast.field.data_type()) && cast.expr.get_type(schema).is_ok_and(|of| text(&of)) && cast.expr.any_column_refs()
}
