//! Which models and galleries the calls of a plan name: what a view depends on, and what its reader must be allowed to read.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use framesql_udfs::function::inference::Chosen;
use framesql_udfs::function::model_function;

use crate::error::Error;

/// The names, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelNames {
    /// Of models.
    pub models: Vec<String>,
    /// Of galleries.
    pub galleries: Vec<String>,
}

/// The names in a plan as it was written. A name that is no constant is refused elsewhere.
pub fn model_names(plan: &LogicalPlan) -> Result<ModelNames> {
    let mut names = ModelNames::default();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(call) = e {
                    add(&mut names.models, model_of(call));
                    add(&mut names.galleries, gallery_of(call));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(names)
}

fn add(names: &mut Vec<String>, name: Option<String>) {
    names.extend(name.filter(|name| !names.contains(name)));
}

/// The text of an argument that is a constant.
fn constant(call: &ScalarFunction, at: usize) -> Option<String> {
    match call.args.get(at) {
        Some(Expr::Literal(value, _)) => value.try_as_str().flatten().map(str::to_owned),
        // Before types are settled a text may stand in a cast.
        Some(Expr::Cast(cast)) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
            _ => None,
        },
        _ => None,
    }
}

fn model_of(call: &ScalarFunction) -> Option<String> {
    match model_function(call.func.name())?.chosen {
        Chosen::Named(name) => Some(name.to_owned()),
        Chosen::Argument(at) => constant(call, at),
    }
}

fn gallery_of(call: &ScalarFunction) -> Option<String> {
    constant(call, model_function(call.func.name())?.gallery?)
}

/// The name of the model that a call runs. Errs where the call names it, or its gallery, by what is not the same for every row.
pub(super) fn model(call: &ScalarFunction) -> Result<String> {
    let function = call.func.name();
    if model_function(function).is_some_and(|f| f.gallery.is_some()) && gallery_of(call).is_none() {
        let message = format!("the gallery of {function} must be a constant");
        return Err(Error::refused(message, format!("Write its name: {function}(frame, face, 'people').")).into());
    }
    model_of(call).ok_or_else(|| {
        let message = format!("the model of {function} must be a constant");
        Error::refused(message, format!("Write its name: {function}(frame, 'objects').")).into()
    })
}
