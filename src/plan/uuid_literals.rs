//! What is compared with a uuid is read as one: `id = 'A0EE…'` finds what is kept as `a0ee…`, and a text that is no uuid is an error.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::text_type::TextType;
use crate::error::Error;

/// The rule.
#[derive(Debug)]
pub(super) struct UuidLiterals;

impl AnalyzerRule for UuidLiterals {
    fn name(&self) -> &str {
        "uuid_literals"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            let inputs = plan.inputs();
            // Most plans have no uuid.
            let uuids = |of: &&LogicalPlan| of.schema().fields().iter().any(|f| TextType::of_field(f) == Some(TextType::Uuid));
            if !inputs.iter().any(uuids) {
                return Ok(Transformed::no(plan));
            }
            let schema = merge_schema(&inputs);
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|e| {
                let name = names.save(&e);
                Ok(e.transform_up(|e| read(e, &schema))?.update_data(|e| name.restore(e)))
            })
        })?;
        Ok(rewritten.data)
    }
}

fn read(mut e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_uuid = |e: &Expr| e.to_field(schema).is_ok_and(|(_, field)| TextType::of_field(&field) == Some(TextType::Uuid));
    let literals: Vec<&mut Expr> = match &mut e {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => match (is_uuid(left), is_uuid(right)) {
            (true, false) => vec![right],
            (false, true) => vec![left],
            _ => Vec::new(),
        },
        Expr::InList(InList { expr, list, .. }) if is_uuid(expr) => list.iter_mut().collect(),
        Expr::Between(Between { expr, low, high, .. }) if is_uuid(expr) => vec![low, high],
        _ => Vec::new(),
    };
    let mut changed = false;
    for literal in literals {
        if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = literal {
            match TextType::Uuid.read(text) {
                Some(uuid) => *text = uuid,
                None => {
                    let message = format!("invalid input syntax for type uuid: \"{text}\"");
                    return Err(Error::Encode { code: "22P02", message }.into());
                }
            }
            changed = true;
        }
    }
    Ok(if changed { Transformed::yes(e) } else { Transformed::no(e) })
}
