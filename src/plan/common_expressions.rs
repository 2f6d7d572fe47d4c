//! DataFusion's elimination of common subexpressions, kept away from calls of models: it would make a call that stands behind two guards
//! once for every row, in a projection below the guards that `infer` puts around it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::single_distinct_to_groupby::SingleDistinctToGroupBy;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use framesql_udfs::function::is_model;
use framesql_udfs::interrupt;

/// DataFusion's rules, with the elimination that spares models in its place.
pub(super) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let theirs = CommonSubexprEliminate::new();
    let replaced = |rule: Arc<dyn OptimizerRule + Send + Sync>| match rule.name() == theirs.name() {
        true => Arc::new(CommonExpressions { inner: CommonSubexprEliminate::new() }) as Arc<dyn OptimizerRule + Send + Sync>,
        false => rule,
    };
    // It makes a sum of sums beside count(DISTINCT x), which is of another type: that of int8 is a numeric.
    let sums = SingleDistinctToGroupBy::new();
    let rules = Optimizer::new().rules.into_iter().filter(|rule| rule.name() != sums.name()).map(replaced);
    rules.flat_map(|rule| [Arc::new(Interrupt) as Arc<dyn OptimizerRule + Send + Sync>, rule]).collect()
}

/// Between two rules: who does not wait any longer for the plan is not kept waiting.
#[derive(Debug)]
struct Interrupt;

impl OptimizerRule for Interrupt {
    fn name(&self) -> &str {
        "interrupt"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        None
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        interrupt::check()?;
        Ok(Transformed::no(plan))
    }
}

#[derive(Debug)]
struct CommonExpressions {
    inner: CommonSubexprEliminate,
}

impl OptimizerRule for CommonExpressions {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        // Like the rule inside, it goes through the plan by itself.
        None
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // What may give another answer each time is never made common, nor is anything that holds it.
        let marked = replace(plan, &|function| is_model(function.name()).then(|| mark(function)))?;
        if !marked.transformed {
            return self.inner.rewrite(marked.data, config);
        }
        let rewritten = self.inner.rewrite(marked.data, config)?;
        let changed = rewritten.transformed;
        let restored = replace(rewritten.data, &|function| function.inner().downcast_ref::<Marked>().map(|m| Arc::clone(&m.function)))?;
        Ok(Transformed::new(restored.data, changed, restored.tnr))
    }
}

/// The plan with functions replaced by others of the same name and type.
fn replace(plan: LogicalPlan, by: &dyn Fn(&Arc<ScalarUDF>) -> Option<Arc<ScalarUDF>>) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|e| match e {
                Expr::ScalarFunction(ScalarFunction { func, args }) => Ok(match by(&func) {
                    Some(func) => Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })),
                    None => Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })),
                }),
                other => Ok(Transformed::no(other)),
            })
        })
    })
}

fn mark(function: &Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let signature = Signature { volatility: Volatility::Volatile, ..function.signature().clone() };
    Arc::new(ScalarUDF::new_from_impl(Marked { function: Arc::clone(function), signature }))
}

/// A model's function that says of itself that it is volatile, for as long as the rule runs.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Marked {
    function: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Marked {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.function.invoke_with_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.schema_name(args)
    }
}
