//! What is compared with a uuid or a jsonb is read as one: `id = 'A0EE…'` finds what is kept as `a0ee…`, and a text that is no uuid is an error.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::text_type::TextType;
use crate::error::Error;
use crate::plan::each;

/// The rule.
#[derive(Debug)]
pub(in crate::plan) struct TextLiterals;

impl AnalyzerRule for TextLiterals {
    fn name(&self) -> &str {
        "text_literals"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            let inputs = plan.inputs();
            // Most plans have no such column; without columns there are constants.
            let typed =
                |of: &&LogicalPlan| of.schema().fields().is_empty() || of.schema().fields().iter().any(|f| TextType::of_field(f).is_some());
            if !inputs.iter().any(typed) {
                return Ok(Transformed::no(plan));
            }
            each::of_node(plan, read)
        })?;
        Ok(rewritten.data)
    }
}

fn read(mut e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    // A json has no equals.
    let type_of = |e: &Expr| TextType::of_expr(e, schema).filter(|of| *of != TextType::JsonText);
    let (of, literals): (_, Vec<&mut Expr>) = match &mut e {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => match (type_of(left), type_of(right)) {
            (Some(of), None) => (of, vec![right]),
            (None, Some(of)) => (of, vec![left]),
            _ => return Ok(Transformed::no(e)),
        },
        Expr::InList(InList { expr, list, .. }) => match type_of(expr) {
            Some(of) => (of, list.iter_mut().collect()),
            None => return Ok(Transformed::no(e)),
        },
        Expr::Between(Between { expr, low, high, .. }) => match type_of(expr) {
            Some(of) => (of, vec![low, high]),
            None => return Ok(Transformed::no(e)),
        },
        _ => return Ok(Transformed::no(e)),
    };
    let mut changed = false;
    for literal in literals {
        if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = literal {
            *text = of.read(text).ok_or_else(|| {
                let (code, message) = of.fault(text);
                Error::Encode { code, message }
            })?;
            changed = true;
        }
    }
    Ok(if changed { Transformed::yes(e) } else { Transformed::no(e) })
}
