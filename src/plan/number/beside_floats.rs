//! A numeric beside a float8 is a float8, as in Postgres: in CASE, COALESCE, IN, ANY, BETWEEN, arrays, UNION, INTERSECT and EXCEPT. DataFusion would make a numeric of fifteen places of
//! the float8, in which neither 1e300 nor 1e-20 has room. Operators have it from their planner (numerics.rs).

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{InList, InSubquery, SetComparison};
use datafusion::logical_expr::{
    Between, BinaryExpr, Case, Expr, ExprSchemable, Join, LogicalPlan, Operator, Projection, Subquery, Union, cast,
};
use datafusion::optimizer::AnalyzerRule;

use crate::plan::each;

/// Functions that give one of their arguments, or all of them.
const FUNCTIONS: [&str; 5] = ["coalesce", "nullif", "greatest", "least", "make_array"];

/// The rule; it stands before types are coerced.
#[derive(Debug)]
pub(in crate::plan) struct BesideFloats;

impl AnalyzerRule for BesideFloats {
    fn name(&self) -> &str {
        "beside_floats"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = each::expression(plan, of_expr)?;
        Ok(plan
            .transform_up_with_subqueries(|node| match node {
                LogicalPlan::Union(union) => of_union(union),
                LogicalPlan::Join(join) => Ok(of_join(join)),
                other => Ok(Transformed::no(other)),
            })?
            .data)
    }
}

fn of_expr(mut e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let changed = match &mut e {
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            let (whens, thens): (Vec<_>, Vec<_>) = when_then_expr.iter_mut().map(|(when, then)| (when.as_mut(), then.as_mut())).unzip();
            let given = as_floats(thens.into_iter().chain(else_expr.as_deref_mut()).collect(), schema);
            // Without an operand they are conditions.
            let compared = expr.as_deref_mut().is_some_and(|operand| as_floats(whens.into_iter().chain([operand]).collect(), schema));
            given || compared
        }
        Expr::ScalarFunction(call) if FUNCTIONS.contains(&call.func.name()) => as_floats(call.args.iter_mut().collect(), schema),
        Expr::InList(InList { expr, list, .. }) => as_floats(list.iter_mut().chain([expr.as_mut()]).collect(), schema),
        Expr::Between(Between { expr, low, high, .. }) => as_floats(vec![expr, low, high], schema),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsDistinctFrom | Operator::IsNotDistinctFrom, right }) => {
            as_floats(vec![left, right], schema)
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. }) | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            beside_subquery(expr, subquery, schema)?
        }
        _ => false,
    };
    Ok(if changed { Transformed::yes(e) } else { Transformed::no(e) })
}

/// Casts the numerics among values that are to be of one type, if there is a float among them.
fn as_floats(values: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let types: Vec<Option<DataType>> = values.iter().map(|value| value.get_type(schema).ok()).collect();
    if !mixed(types.iter().flatten()) {
        return false;
    }
    for (value, of) in values.into_iter().zip(types) {
        if of.is_some_and(|of| of.is_decimal()) {
            *value = cast(value.clone(), DataType::Float64);
        }
    }
    true
}

fn mixed<'a>(types: impl Iterator<Item = &'a DataType> + Clone) -> bool {
    types.clone().any(DataType::is_floating) && types.clone().any(DataType::is_decimal)
}

/// The same of a value and the only column of a subquery.
fn beside_subquery(value: &mut Expr, subquery: &mut Subquery, schema: &DFSchema) -> Result<bool> {
    let Some((relation, field)) = subquery.subquery.schema().iter().next() else { return Ok(false) };
    if !mixed([value.get_type(schema).ok().as_ref(), Some(field.data_type())].into_iter().flatten()) {
        return Ok(false);
    }
    if field.data_type().is_decimal() {
        let column =
            cast(Expr::Column(Column::from((relation, field))), DataType::Float64).alias_qualified(relation.cloned(), field.name());
        subquery.subquery = Arc::new(LogicalPlan::Projection(Projection::try_new(vec![column], Arc::clone(&subquery.subquery))?));
    } else {
        *value = cast(value.clone(), DataType::Float64);
    }
    Ok(true)
}

/// The same of the two sides of USING, INTERSECT and EXCEPT, which are joins here.
fn of_join(mut join: Join) -> Transformed<LogicalPlan> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        let (of_left, of_right) = (left.get_type(join.left.schema()).ok(), right.get_type(join.right.schema()).ok());
        if mixed([&of_left, &of_right].into_iter().flatten()) {
            let numeric = if of_left.is_some_and(|of| of.is_decimal()) { left } else { right };
            *numeric = cast(numeric.clone(), DataType::Float64);
            changed = true;
        }
    }
    if changed { Transformed::yes(LogicalPlan::Join(join)) } else { Transformed::no(LogicalPlan::Join(join)) }
}

fn of_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let n_columns = union.schema.fields().len();
    let type_of = |input: &LogicalPlan, at: usize| input.schema().fields().get(at).map(|field| field.data_type().clone());
    let is_mixed = |at: &usize| {
        let types: Vec<DataType> = union.inputs.iter().filter_map(|input| type_of(input, *at)).collect();
        mixed(types.iter())
    };
    let columns: Vec<usize> = (0..n_columns).filter(is_mixed).collect();
    if columns.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let input = |input: Arc<LogicalPlan>| -> Result<Arc<LogicalPlan>> {
        let column = |(at, (relation, field)): (usize, (Option<&_>, &Arc<_>))| {
            let column = Expr::Column(Column::from((relation, field)));
            match type_of(&input, at) {
                Some(of) if of.is_decimal() && columns.contains(&at) => {
                    cast(column, DataType::Float64).alias_qualified(relation.cloned(), field.name())
                }
                _ => column,
            }
        };
        let columns = input.schema().iter().enumerate().map(column).collect();
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, Arc::clone(&input))?)))
    };
    let inputs = union.inputs.into_iter().map(input).collect::<Result<_>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}
