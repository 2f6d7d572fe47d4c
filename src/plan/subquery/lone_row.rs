//! A subquery that is read as a value for each row outside, `(SELECT name FROM u WHERE u.id = t.id)`: DataFusion wants to see that it is one row, so it
//! is made an aggregate, which gives the row there is, or the first of those that LIMIT 1 would take.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, FetchType, Limit, LogicalPlan, LogicalPlanBuilder, Signature, SkipType, Subquery,
    Volatility, when,
};

use super::values::{always_a_row, counted, refusal};
use crate::error::Error;

/// The value's name: the column's own could be that of another by which the rows are joined.
const VALUE: &str = "__value";

static SINGLE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(SingleValue { signature: Signature::any(1, Volatility::Immutable) })));

/// The aggregate.
pub(super) fn function() -> Arc<AggregateUDF> {
    Arc::clone(&SINGLE)
}

/// The plan with an aggregate in each such subquery that has none.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|e| {
            let name = names.save(&e);
            let placed = e.transform_up(|e| match e {
                Expr::Exists(exists) if correlated(&exists.subquery.subquery) && skips(&exists.subquery.subquery) => {
                    Err(Error::unsupported("OFFSET or LIMIT 0 in EXISTS", "Compare the number of rows: (SELECT count(*) …) > 1.").into())
                }
                Expr::ScalarSubquery(subquery) if asks(&subquery) => match aggregated(&subquery.subquery)? {
                    Some(plan) => Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery }))),
                    None => Ok(Transformed::no(Expr::ScalarSubquery(subquery))),
                },
                other => Ok(Transformed::no(other)),
            })?;
            Ok(placed.update_data(|e| name.restore(e)))
        })
    })?;
    Ok(placed.data)
}

/// Whether it is other rows for each row outside, or may be none though its column is NOT NULL: DataFusion would take what it gives for NOT NULL too.
fn asks(subquery: &Subquery) -> bool {
    let plan = &subquery.subquery;
    let sure = || plan.schema().fields().first().is_some_and(|field| !field.is_nullable());
    !subquery.outer_ref_columns.is_empty() || sure() && !always_a_row(plan) && !is_one_row(plan)
}

/// A SELECT without FROM.
fn is_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_one_row(&alias.input),
        LogicalPlan::EmptyRelation(none) => none.produce_one_row,
        _ => false,
    }
}

/// None for a subquery that is an aggregate already, and for one of several columns, which is refused.
fn aggregated(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let columns = plan.schema().columns();
    let [column] = columns.as_slice() else { return Ok(None) };
    if is_aggregate(plan) {
        return having(plan);
    }
    if counted(plan)? {
        return Err(refusal().into());
    }
    let column = column.clone();
    let (input, value, order, function) = match plan {
        // The rows of another subquery are not read to their end.
        LogicalPlan::Limit(limit) if correlated(plan) && first_only(limit)? => {
            let (input, value, order) = sorted(&limit.input, Expr::Column(column));
            (input, value, order, first_value_udaf())
        }
        other => (other.clone(), Expr::Column(column), Vec::new(), function()),
    };
    let one = Expr::AggregateFunction(AggregateFunction::new_udf(function, vec![value], false, None, order, None));
    let plan = LogicalPlanBuilder::from(input).aggregate(Vec::<Expr>::new(), vec![one])?.build()?;
    let Some(given) = plan.schema().columns().into_iter().next() else { return internal_err!("an aggregate without a column") };
    Ok(Some(LogicalPlanBuilder::from(plan).project([Expr::Column(given).alias(VALUE)])?.build()?))
}

fn is_aggregate(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_aggregate(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_aggregate(&alias.input),
        // DataFusion reads HAVING of a row that depends on the row outside.
        LogicalPlan::Filter(filter) => always_a_row(&filter.input) && correlated(plan),
        other => always_a_row(other),
    }
}

/// HAVING of a row for each row outside, as what is selected where it holds: DataFusion loses the rows of which it does not.
fn having(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = plan else { return Ok(None) };
    let (LogicalPlan::Filter(filter), [value]) = (projection.input.as_ref(), projection.expr.as_slice()) else { return Ok(None) };
    if !always_a_row(&filter.input) || !correlated(plan) {
        return Ok(None);
    }
    let value = when(filter.predicate.clone(), value.clone().unalias()).end()?.alias(VALUE);
    Ok(Some(LogicalPlanBuilder::from(filter.input.as_ref().clone()).project([value])?.build()?))
}

/// Whether a row may be there that it does not see.
fn skips(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => skips(&projection.input),
        LogicalPlan::Limit(limit) => {
            !matches!((limit.get_skip_type(), limit.get_fetch_type()), (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(None | Some(1..)))))
        }
        _ => false,
    }
}

fn correlated(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

fn first_only(limit: &Limit) -> Result<bool> {
    Ok(matches!(limit.get_skip_type()?, SkipType::Literal(0)) && matches!(limit.get_fetch_type()?, FetchType::Literal(Some(1))))
}

/// What is sorted, the value over it, and the order.
fn sorted(plan: &LogicalPlan, value: Expr) -> (LogicalPlan, Expr, Vec<Sort>) {
    match plan {
        LogicalPlan::Sort(sort) => (sort.input.as_ref().clone(), value, sort.expr.clone()),
        LogicalPlan::Projection(projection) => match (projection.input.as_ref(), projection.expr.as_slice()) {
            (LogicalPlan::Sort(sort), [of]) => (sort.input.as_ref().clone(), of.clone().unalias(), sort.expr.clone()),
            _ => (plan.clone(), value, Vec::new()),
        },
        other => (other.clone(), value, Vec::new()),
    }
}

/// The one value there is; NULL of none. Errs (21000) for more.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleValue {
    signature: Signature,
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &str {
        "single_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of] => Ok(of.clone()),
            _ => internal_err!("single_value takes one argument"),
        }
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        match fields {
            [of] => Ok(Arc::new(of.as_ref().clone().with_name(self.name()).with_nullable(true))),
            _ => internal_err!("single_value takes one argument"),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let value = Field::new("value", args.return_field.data_type().clone(), true);
        Ok(vec![Arc::new(value), Arc::new(Field::new("n", DataType::UInt64, false))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let of = args.return_field.data_type().clone();
        Ok(Box::new(Single { value: ScalarValue::try_new_null(&of)?, of, n: 0 }))
    }
}

#[derive(Debug)]
struct Single {
    value: ScalarValue,
    of: DataType,
    n: u64,
}

impl Single {
    fn take(&mut self, values: &ArrayRef, n: u64) -> Result<()> {
        if n == 0 {
            return Ok(());
        }
        self.n += n;
        if self.n > 1 {
            let message = "more than one row returned by a subquery used as an expression".to_owned();
            return Err(Error::Encode { code: "21000", message }.into());
        }
        self.value = ScalarValue::try_from_array(values, 0)?;
        Ok(())
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return internal_err!("single_value takes one argument") };
        self.take(values, values.len() as u64)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else { return internal_err!("single_value has a value and a count") };
        let counts = counts.as_primitive::<UInt64Type>();
        (0..counts.len()).try_for_each(|row| self.take(&values.slice(row, 1), counts.value(row)))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // One value of a list does not keep what is said of its elements.
        match &self.value {
            ScalarValue::List(list) if *list.data_type() != self.of => {
                Ok(ScalarValue::List(Arc::new(cast(list.as_ref(), &self.of)?.as_list().clone())))
            }
            value => Ok(value.clone()),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?, ScalarValue::from(self.n)])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }
}
