//! Groups with their accumulators: rows are taken in, states kept, merged and written down, results given.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{AggregateUDF, EmitTo, Expr, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::adapted::Adapted;
use super::expression::{evaluate, passes};
use super::keys::same;
use crate::error::Error;

/// Whether an aggregate with ORDER BY sorts for itself, by what follows its arguments; one that needs sorted input cannot have it here. The ORDER BY of
/// WITHIN GROUP is the argument itself, for which any order will do, and string_agg is an array_agg that is joined.
pub(super) fn sorts(function: &AggregateUDF) -> bool {
    function.supports_within_group_clause() || function.name() == "string_agg"
}

/// One aggregate function with its arguments and its FILTER.
struct Aggregate {
    function: Arc<AggregateFunctionExpr>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

impl Aggregate {
    fn try_new(expr: &Expr, input: &DFSchemaRef) -> Result<Aggregate> {
        let (properties, planning) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let lowered = LoweredAggregateBuilder::new(expr, input, input.as_arrow(), &properties, &planning).build()?;
        let function = lowered.aggregate;
        let orders = function.order_bys();
        if !sorts(function.fun()) && !orders.is_empty() && function.order_sensitivity().hard_requires() {
            let name = function.fun().name().to_owned();
            return Err(Error::unsupported(format!("{name} with ORDER BY in a continuous query"), "Use array_agg(… ORDER BY …).").into());
        }
        let mut arguments = function.expressions();
        arguments.extend(orders.iter().map(|sort| Arc::clone(&sort.expr)));
        Ok(Aggregate { function, arguments, filter: lowered.filter })
    }

    fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if self.function.groups_accumulator_supported() {
            return self.function.create_groups_accumulator();
        }
        Ok(Box::new(Adapted::new(&self.function)))
    }
}

/// The aggregates of one GROUP BY.
pub(super) struct Aggregates {
    all: Vec<Aggregate>,
    keys: SchemaRef,
}

/// What the aggregates read of a batch: each evaluated once, however many windows the rows are in.
pub(super) struct Arguments {
    values: Vec<Vec<ArrayRef>>,
    filters: Vec<Option<BooleanArray>>,
}

impl Aggregates {
    /// `keys` are the columns that tell the groups apart. Errs for an aggregate that has no continuous form.
    pub(super) fn try_new(aggregates: &[Expr], input: &DFSchemaRef, keys: SchemaRef) -> Result<Aggregates> {
        Ok(Aggregates { all: aggregates.iter().map(|a| Aggregate::try_new(a, input)).collect::<Result<_>>()?, keys })
    }

    pub(super) fn arguments(&self, rows: &RecordBatch) -> Result<Arguments> {
        let mut arguments = Arguments { values: Vec::with_capacity(self.all.len()), filters: Vec::with_capacity(self.all.len()) };
        for aggregate in &self.all {
            let values = aggregate.arguments.iter().map(|a| evaluate(a, rows)).collect::<Result<Vec<_>>>()?;
            arguments.values.push(if aggregate.function.is_distinct() { values.iter().map(same).collect() } else { values });
            arguments.filters.push(aggregate.filter.as_ref().map(|f| passes(f, rows)).transpose()?);
        }
        Ok(arguments)
    }

    /// Without groups yet.
    pub(super) fn open(&self) -> Result<Groups> {
        let groups = match self.keys.fields().len() {
            0 => None,
            _ => Some(new_group_values(Arc::clone(&self.keys), &GroupOrdering::None)?),
        };
        Ok(Groups { groups, accumulators: self.all.iter().map(Aggregate::accumulator).collect::<Result<_>>()?, any: false })
    }

    /// What the aggregates say of `n_groups` groups that no row is in.
    pub(super) fn of_nothing(&self, n_groups: usize, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.of_groups(&rows.slice(0, 0), &[], n_groups)
    }

    /// What the aggregates say of `n_groups` groups, of which some may have no row; the group of each row stands in `groups`.
    pub(super) fn of_groups(&self, rows: &RecordBatch, groups: &[usize], n_groups: usize) -> Result<Vec<ArrayRef>> {
        let arguments = self.arguments(rows)?;
        let mut columns = Vec::with_capacity(self.all.len());
        // Without a filter an accumulator may take it that every group has a row.
        let all_pass = BooleanArray::from(vec![true; rows.num_rows()]);
        for ((aggregate, values), filter) in self.all.iter().zip(&arguments.values).zip(&arguments.filters) {
            let mut accumulator = aggregate.accumulator()?;
            accumulator.update_batch(values, groups, Some(filter.as_ref().unwrap_or(&all_pass)), n_groups)?;
            columns.push(accumulator.evaluate(EmitTo::All)?);
        }
        Ok(columns)
    }
}

impl Arguments {
    /// Those of some rows that follow one another.
    pub(super) fn slice(&self, from: usize, n_rows: usize) -> Arguments {
        Arguments {
            values: self.values.iter().map(|columns| columns.iter().map(|c| c.slice(from, n_rows)).collect()).collect(),
            filters: self.filters.iter().map(|f| f.as_ref().map(|f| f.slice(from, n_rows))).collect(),
        }
    }

    /// Those of chosen rows.
    pub(super) fn take(&self, rows: &UInt32Array) -> Result<Arguments> {
        let mut taken = Arguments { values: Vec::with_capacity(self.values.len()), filters: Vec::with_capacity(self.filters.len()) };
        for columns in &self.values {
            taken.values.push(columns.iter().map(|c| take(c, rows, None)).collect::<Result<_, _>>()?);
        }
        for filter in &self.filters {
            taken.filters.push(filter.as_ref().map(|f| take(f, rows, None).map(|f| BooleanArray::from(f.to_data()))).transpose()?);
        }
        Ok(taken)
    }
}

/// Groups and their accumulators, on the way.
pub(super) struct Groups {
    /// None where nothing tells groups apart: there is one.
    groups: Option<Box<dyn GroupValues>>,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    /// Whether the one group without keys has a row.
    any: bool,
}

/// Groups and the states of their accumulators, row for row: the keys, then a table an accumulator.
pub(super) type Kept = Vec<RecordBatch>;

impl Groups {
    /// Takes rows in. `scratch` is kept by the caller so that a batch allocates nothing.
    pub(super) fn update(&mut self, keys: &[ArrayRef], arguments: &Arguments, n_rows: usize, scratch: &mut Vec<usize>) -> Result<()> {
        let n_groups = self.intern(keys, n_rows, scratch)?;
        for (accumulator, (values, filter)) in self.accumulators.iter_mut().zip(arguments.values.iter().zip(&arguments.filters)) {
            accumulator.update_batch(values, scratch, filter.as_ref(), n_groups)?;
        }
        Ok(())
    }

    /// Takes in what others, or these, have kept.
    pub(super) fn merge(&mut self, kept: &[RecordBatch], scratch: &mut Vec<usize>) -> Result<()> {
        let Some((keys, states)) = kept.split_first() else { return Ok(()) };
        let n_groups = self.intern(keys.columns(), keys.num_rows(), scratch)?;
        for (accumulator, state) in self.accumulators.iter_mut().zip(states) {
            accumulator.merge_batch(state.columns(), scratch, n_groups)?;
        }
        Ok(())
    }

    fn intern(&mut self, keys: &[ArrayRef], n_rows: usize, scratch: &mut Vec<usize>) -> Result<usize> {
        scratch.clear();
        match &mut self.groups {
            Some(groups) => {
                groups.intern(&keys.iter().map(same).collect::<Vec<_>>(), scratch)?;
                Ok(groups.len())
            }
            None => {
                self.any |= n_rows > 0;
                scratch.resize(n_rows, 0);
                Ok(usize::from(self.any))
            }
        }
    }

    fn n_groups(&self) -> usize {
        self.groups.as_ref().map_or(usize::from(self.any), |groups| groups.len())
    }

    fn keys(&mut self) -> Result<Vec<ArrayRef>> {
        self.groups.as_mut().map_or(Ok(Vec::new()), |groups| take_keys(groups.as_mut()))
    }

    /// The states, so that other groups can take them in.
    pub(super) fn keep(mut self) -> Result<Kept> {
        let n_groups = self.n_groups();
        let mut tables = vec![table("key", self.keys()?, n_groups)?];
        for accumulator in &mut self.accumulators {
            tables.push(table("state", accumulator.state(EmitTo::All)?, n_groups)?);
        }
        Ok(tables)
    }

    /// The number of groups, their keys, and the results of the aggregates.
    pub(super) fn finish(mut self) -> Result<(usize, Vec<ArrayRef>, Vec<ArrayRef>)> {
        let n_groups = self.n_groups();
        let keys = self.keys()?;
        let results = self.accumulators.iter_mut().map(|a| a.evaluate(EmitTo::All)).collect::<Result<_>>()?;
        Ok((n_groups, keys, results))
    }
}

/// The keys in the order of their numbers, taken out: what is interned from then on is numbered anew.
pub(super) fn take_keys(values: &mut dyn GroupValues) -> Result<Vec<ArrayRef>> {
    let keys = values.emit(EmitTo::All)?;
    // Those of several columns keep the hashes of what they have given, with numbers that nothing has any more.
    values.clear_shrink(0);
    Ok(keys)
}

fn table(name: &str, columns: Vec<ArrayRef>, n_rows: usize) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        columns.iter().enumerate().map(|(i, c)| Field::new(format!("{name}{i}"), c.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::Int64Array;
    use datafusion::arrow::datatypes::DataType;

    #[test]
    fn keys_of_several_columns_are_numbered_anew_when_they_were_taken() {
        let fields = ["a", "b"].map(|name| Field::new(name, DataType::Int64, false));
        let mut values = new_group_values(Arc::new(Schema::new(fields.to_vec())), &GroupOrdering::None).unwrap();
        let column = |numbers: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(numbers.to_vec())) };
        let mut numbers = Vec::new();
        values.intern(&[column(&[1, 2, 1]), column(&[5, 6, 5])], &mut numbers).unwrap();
        assert_eq!(numbers, [0, 1, 0]);
        assert_eq!(take_keys(values.as_mut()).unwrap()[1].as_ref(), column(&[5, 6]).as_ref());
        values.intern(&[column(&[2, 1]), column(&[6, 5])], &mut numbers).unwrap();
        assert_eq!(numbers, [0, 1]);
    }
}
