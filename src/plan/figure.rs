//! Figures in a query: calls name them, and the plan that runs holds them, so that a function needs nothing but its arguments.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, lit};
use datafusion::optimizer::AnalyzerRule;
use framesql_udfs::figure::{FigureKind, Figures};
use framesql_udfs::function::figure_function;

use super::constant;
use super::names::Names;
use super::tracked::Tracked;
use crate::error::Error;

/// The rule: behind the name of each figure stands the figure. It stands before types are coerced, which do not mind.
#[derive(Debug)]
pub(super) struct Bind(pub(super) Arc<dyn Names>);

impl AnalyzerRule for Bind {
    fn name(&self) -> &str {
        "figures"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let figures = self.0.figures();
        Ok(plan.transform_up_with_subqueries(|node| bind(node, &figures))?.data)
    }
}

fn bind(plan: LogicalPlan, figures: &Figures) -> Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Extension(extension) = &plan
        && let Some(tracked) = extension.node.as_any().downcast_ref::<Tracked>()
    {
        let text = find(figures, tracked.question.kind(), &tracked.name)?;
        return Ok(Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(tracked.with_text(text)) })));
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|e| {
        let name = names.save(&e);
        let bound = e.transform_up(|e| {
            let Expr::ScalarFunction(mut call) = e else { return Ok(Transformed::no(e)) };
            let Some((kind, figure)) = named(&call)? else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
            let text = find(figures, kind, &figure)?;
            call.args.push(lit(text));
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        })?;
        Ok(bound.update_data(|e| name.restore(e)))
    })
}

/// The text of a figure. Errs (42704) if there is none of that name.
fn find<'a>(figures: &'a Figures, kind: FigureKind, name: &str) -> Result<&'a str> {
    let found = figures.get(kind, name);
    Ok(found.ok_or_else(|| Error::NotFound { kind: kind.word(), name: name.to_owned() })?)
}

/// The figure that a call names; None for a call of another function, and for one that holds its figure already. Errs where the name is not the
/// same for every row.
fn named(call: &ScalarFunction) -> Result<Option<(FigureKind, String)>> {
    let Some(function) = figure_function(call.func.name()) else { return Ok(None) };
    if call.args.len() > function.argument + 1 || call.args.len() <= function.argument && function.optional {
        return Ok(None);
    }
    let name = match call.args.get(function.argument) {
        // A parameter is known when the query runs.
        Some(argument) if constant::waits(argument) => return Ok(None),
        None => return Ok(None),
        Some(argument) => match constant::folded(argument) {
            Some(value) => match value.try_as_str() {
                Some(Some(name)) => name.to_owned(),
                // NULL names none, and another type is refused with the types of the others.
                _ => return Ok(None),
            },
            None => {
                let kind = function.kind.word();
                return Err(Error::refused(
                    format!("the {kind} of {} must be a constant", function.name),
                    format!("Write its name in quotes; SHOW {}S lists what there is.", kind.to_uppercase()),
                )
                .into());
            }
        },
    };
    Ok(Some((function.kind, name)))
}

/// Every figure that a plan names, each once. Errs (42704) for one that is not there.
pub fn figures_of(plan: &LogicalPlan, figures: &Figures) -> Result<Vec<(FigureKind, String)>> {
    let mut found: Vec<(FigureKind, String)> = Vec::new();
    let mut add = |figure: (FigureKind, String)| -> Result<()> {
        find(figures, figure.0, &figure.1)?;
        if !found.contains(&figure) {
            found.push(figure);
        }
        Ok(())
    };
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Extension(extension) = node
            && let Some(tracked) = extension.node.as_any().downcast_ref::<Tracked>()
        {
            add((tracked.question.kind(), tracked.name.clone()))?;
        }
        node.apply_expressions(|e| {
            e.apply(|e| {
                if let Expr::ScalarFunction(call) = e
                    && let Some(figure) = named(call)?
                {
                    add(figure)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}
