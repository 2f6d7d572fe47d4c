//! `x NOT IN (1) OR x NOT IN (2)` is not known where x is NULL: DataFusion's optimiser makes one list of two that ask for the same, and forgets it. So
//! lists of the same are held apart, and NULL stands beside a list and not in it.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;

static APART: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Apart { signature: Signature::any(2, Volatility::Immutable) })));

/// The function that holds lists apart, for plans that are read back.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&APART)
}

/// The rule; it runs when types are coerced, so that the expressions are compared as the optimiser compares them.
#[derive(Debug)]
pub(in crate::plan) struct InLists;

impl AnalyzerRule for InLists {
    fn name(&self) -> &str {
        "in_lists"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|e| {
                let name = names.save(&e);
                let mut asked = Vec::new();
                Ok(e.transform_up(|e| Ok(held_apart(e, &mut asked)))?.update_data(|e| name.restore(e)))
            })
        })?;
        Ok(rewritten.data)
    }
}

/// A list of something that was asked for before, of another that only looks so, and without NULL in it.
fn held_apart(e: Expr, asked: &mut Vec<Expr>) -> Transformed<Expr> {
    let Expr::InList(InList { expr, mut list, negated }) = e else { return Transformed::no(e) };
    let null = |item: &Expr| matches!(item, Expr::Literal(value, _) if value.is_null());
    let n_before = list.len();
    list.retain(|item| !null(item));
    let holds_null = list.len() < n_before;
    let n_asked = asked.iter().filter(|known| *known == expr.as_ref()).count();
    if !holds_null && n_asked == 0 {
        asked.push(expr.as_ref().clone());
        return Transformed::no(Expr::InList(InList { expr, list, negated }));
    }
    let unknown = Expr::Literal(ScalarValue::Boolean(None), None);
    if list.is_empty() {
        return Transformed::yes(unknown);
    }
    asked.push(expr.as_ref().clone());
    let number = i64::try_from(n_asked).unwrap_or(i64::MAX);
    let expr = if n_asked == 0 { expr } else { Box::new(APART.call(vec![*expr, lit(number)])) };
    let among = Expr::InList(InList { expr, list, negated });
    let with_unknown = |op: Operator| Expr::BinaryExpr(BinaryExpr::new(Box::new(among.clone()), op, Box::new(unknown.clone())));
    Transformed::yes(match (holds_null, negated) {
        (false, _) => among,
        (true, false) => with_unknown(Operator::Or),
        (true, true) => with_unknown(Operator::And),
    })
}

/// A value as it is; the number beside it is what tells it from others.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Apart {
    signature: Signature,
}

impl ScalarUDFImpl for Apart {
    fn name(&self) -> &str {
        "held_apart"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of, _] => Ok(of.clone()),
            _ => internal_err!("held_apart takes a value and a number"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [of, _] => Ok(Arc::clone(of)),
            _ => internal_err!("held_apart takes a value and a number"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(value) => Ok(value),
            None => internal_err!("held_apart takes a value and a number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::col;

    use super::*;

    fn held(e: Expr) -> String {
        let mut asked = Vec::new();
        e.transform_up(|e| Ok(held_apart(e, &mut asked))).unwrap().data.to_string()
    }

    #[test]
    fn lists_of_the_same_are_told_apart_and_hold_no_null() {
        let lists = |a: Expr, b: Expr| a.in_list(vec![lit(3)], true).or(b.in_list(vec![lit(1)], true));
        assert_eq!(held(lists(col("a"), col("a"))), "a NOT IN ([Int32(3)]) OR held_apart(a, Int64(1)) NOT IN ([Int32(1)])");
        assert_eq!(held(lists(col("a"), col("b"))), "a NOT IN ([Int32(3)]) OR b NOT IN ([Int32(1)])");
        let null = || Expr::Literal(ScalarValue::Int32(None), None);
        assert_eq!(held(col("a").in_list(vec![lit(3), null()], true)), "a NOT IN ([Int32(3)]) AND Boolean(NULL)");
        assert_eq!(held(col("a").in_list(vec![null()], false)), "Boolean(NULL)");
    }
}
