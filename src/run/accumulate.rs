//! The value of one aggregate in one group that may be asked for again and again, and from which rows may be taken back.
//!
//! Only count and integer or decimal sum take a row back in place. Where rows are taken back, every other aggregate keeps its values with
//! their counts and is evaluated afresh: DataFusion's accumulators of min, max and array_agg take back first in, first out.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array, UInt64Array};
use datafusion::arrow::compute::{filter, take};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{DFSchemaRef, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Accumulator, Expr};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};

use framesql_udfs::aggregate::asked_again;

use super::expression::{evaluate, passes};
use super::groups::sorts;
use super::keys::same;
use super::touched::Key;
use crate::error::Error;

/// Aggregates whose accumulator may be asked more than once as rows are added. Others (median) give their values away when asked.
const ASKED_AGAIN: [&str; 19] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "stddev",
    "stddev_pop",
    "var",
    "var_pop",
    "covar_samp",
    "covar_pop",
    "corr",
    "array_agg",
    "first_value",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// An accumulator to which rows are added.
    Growing,
    /// An accumulator from which rows are taken back too.
    InPlace,
    /// The values, each with its count.
    Values,
}

/// One aggregate function with its arguments and its FILTER.
pub(super) struct Function {
    function: Arc<AggregateFunctionExpr>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    keeping: Keeping,
    /// Whether the least and the greatest of the values suffice.
    ends: bool,
    converter: RowConverter,
}

/// The arguments of a batch, and which rows pass the FILTER.
pub(super) struct Arguments {
    columns: Vec<ArrayRef>,
    filter: Option<BooleanArray>,
}

impl Arguments {
    /// Those of some rows, in their order.
    pub(super) fn take(&self, rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
        let taken = |c: &ArrayRef| take(c, rows, None);
        let columns = self.columns.iter().map(taken).collect::<Result<Vec<_>, _>>()?;
        let Some(passing) = &self.filter else { return Ok(columns) };
        let passing = take(passing, rows, None)?;
        let passing = passing.as_boolean();
        Ok(columns.iter().map(|c| filter(c, passing)).collect::<Result<Vec<_>, _>>()?)
    }
}

impl Function {
    /// `retracted`: whether rows of its input are taken back.
    pub(super) fn try_new(expr: &Expr, input: &DFSchemaRef, retracted: bool) -> Result<Function> {
        let (properties, planning) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let lowered = LoweredAggregateBuilder::new(expr, input, input.as_arrow(), &properties, &planning).build()?;
        let function = lowered.aggregate;
        let orders = function.order_bys();
        let name = function.fun().name();
        if !orders.is_empty() && !sorts(function.fun()) && function.order_sensitivity().hard_requires() {
            return Err(Error::unsupported(format!("{name} with ORDER BY in a continuous query"), "Use array_agg(… ORDER BY …).").into());
        }
        let mut arguments = function.expressions();
        arguments.extend(orders.iter().map(|sort| Arc::clone(&sort.expr)));
        let types = arguments.iter().map(|a| a.data_type(input.as_arrow())).collect::<Result<Vec<_>>>()?;
        let plain = !function.is_distinct() && orders.is_empty();
        let exact = |t: &DataType| t.is_integer() || t.is_decimal();
        let keeping = if retracted {
            let takes_back = plain && (name == "count" || name == "sum" && types.iter().all(exact));
            let sure = takes_back && function.create_sliding_accumulator().is_ok_and(|a| a.supports_retract_batch());
            if sure { Keeping::InPlace } else { Keeping::Values }
        } else {
            let asked_again = (plain || name == "count" && orders.is_empty()) && (ASKED_AGAIN.contains(&name) || asked_again(name));
            if asked_again { Keeping::Growing } else { Keeping::Values }
        };
        let ends = matches!(name, "min" | "max") && types.len() == 1;
        let converter = RowConverter::new(types.into_iter().map(SortField::new).collect())?;
        Ok(Function { function, arguments, filter: lowered.filter, keeping, ends, converter })
    }

    /// The arguments of a batch.
    pub(super) fn arguments(&self, rows: &RecordBatch) -> Result<Arguments> {
        let columns = self.arguments.iter().map(|a| evaluate(a, rows)).collect::<Result<Vec<_>>>()?;
        Ok(Arguments {
            columns: if self.function.is_distinct() { columns.iter().map(same).collect() } else { columns },
            filter: self.filter.as_ref().map(|f| passes(f, rows)).transpose()?,
        })
    }

    /// The value of a group without rows.
    pub(super) fn empty(&self) -> Result<Value> {
        Ok(match self.keeping {
            Keeping::Growing => Value::Accumulator(self.function.create_accumulator()?),
            Keeping::InPlace => Value::Accumulator(self.function.create_sliding_accumulator()?),
            Keeping::Values => Value::Values(Values::default()),
        })
    }

    /// Adds rows to a value.
    pub(super) fn add(&self, value: &mut Value, columns: &[ArrayRef]) -> Result<()> {
        match value {
            Value::Accumulator(accumulator) => accumulator.update_batch(columns),
            Value::Values(values) => self.count(values, columns, 1),
        }
    }

    /// Takes rows back from a value.
    pub(super) fn take_back(&self, value: &mut Value, columns: &[ArrayRef]) -> Result<()> {
        match value {
            Value::Accumulator(accumulator) if self.keeping == Keeping::InPlace => accumulator.retract_batch(columns),
            Value::Accumulator(_) => internal_err!("rows taken back from an aggregate that only grows"),
            Value::Values(values) => self.count(values, columns, -1),
        }
    }

    fn count(&self, values: &mut Values, columns: &[ArrayRef], sign: i64) -> Result<()> {
        let rows = self.converter.convert_columns(columns)?;
        for (at, row) in rows.iter().enumerate() {
            // NULL is no least and no greatest.
            if !(self.ends && columns.first().is_some_and(|c| c.is_null(at))) {
                values.add(row.data(), sign);
            }
        }
        Ok(())
    }

    /// The value now.
    pub(super) fn evaluate(&self, value: &mut Value) -> Result<ScalarValue> {
        let values = match value {
            Value::Accumulator(accumulator) => return accumulator.evaluate(),
            Value::Values(values) => values,
        };
        let mut afresh = self.function.create_accumulator()?;
        let mut of: Vec<(&Key, &Counted)> = if self.ends {
            values.counts.first_key_value().into_iter().chain(values.counts.last_key_value()).collect()
        } else {
            values.counts.iter().collect()
        };
        if !self.ends {
            of.sort_unstable_by_key(|(_, counted)| counted.since);
        }
        if !of.is_empty() {
            let parser = self.converter.parser();
            let columns = self.converter.convert_rows(of.iter().map(|(bytes, _)| parser.parse(bytes)))?;
            let once = self.ends || self.function.is_distinct();
            let times = |n: i64| if once { 1 } else { usize::try_from(n).unwrap_or(0) };
            let each: UInt32Array =
                of.iter().enumerate().flat_map(|(at, (_, counted))| std::iter::repeat_n(at as u32, times(counted.n))).collect();
            let columns = columns.iter().map(|c| take(c, &each, None)).collect::<Result<Vec<_>, _>>()?;
            afresh.update_batch(&columns)?;
        }
        afresh.evaluate()
    }

    /// The values of some groups, as a table. Asking an accumulator for its state may empty it: `restore` makes the values again.
    pub(super) fn snapshot(&self, groups: Vec<&mut Value>) -> Result<RecordBatch> {
        if self.keeping != Keeping::Values {
            // An accumulator that takes rows back tells more than the function's state has fields.
            let mut columns: Vec<Vec<ScalarValue>> = Vec::new();
            for value in groups {
                let Value::Accumulator(accumulator) = value else { return internal_err!("an aggregate has two ways to keep a value") };
                let state = accumulator.state()?;
                columns.resize_with(state.len(), Vec::new);
                columns.iter_mut().zip(state).for_each(|(column, state)| column.push(state));
            }
            return table(columns.into_iter().map(ScalarValue::iter_to_array).collect::<Result<Vec<_>>>()?);
        }
        let (mut group, mut counts, mut since, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (at, value) in groups.iter().enumerate() {
            let Value::Values(values) = &**value else { return internal_err!("an aggregate has two ways to keep a value") };
            for (key, counted) in &values.counts {
                group.push(at as u32);
                counts.push(counted.n);
                since.push(counted.since);
                bytes.push(key);
            }
        }
        let parser = self.converter.parser();
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(UInt32Array::from(group)), Arc::new(Int64Array::from(counts)), Arc::new(UInt64Array::from(since))];
        columns.extend(self.converter.convert_rows(bytes.into_iter().map(|b| parser.parse(b)))?);
        table(columns)
    }

    /// The values of `n` groups from a table of `snapshot`.
    pub(super) fn restore(&self, kept: &RecordBatch, n: usize) -> Result<Vec<Value>> {
        let mut all = (0..n).map(|_| self.empty()).collect::<Result<Vec<_>>>()?;
        if self.keeping != Keeping::Values {
            for (at, value) in all.iter_mut().enumerate() {
                if let Value::Accumulator(accumulator) = value {
                    let state: Vec<ArrayRef> = kept.columns().iter().map(|c| c.slice(at, 1)).collect();
                    accumulator.merge_batch(&state)?;
                }
            }
            return Ok(all);
        }
        let [group, counts, since, columns @ ..] = kept.columns() else {
            return internal_err!("a snapshot of values has lost its columns");
        };
        let rows = self.converter.convert_columns(columns)?;
        let groups = group.as_primitive::<UInt32Type>().values().iter();
        let counted = groups.zip(counts.as_primitive::<Int64Type>().values()).zip(since.as_primitive::<UInt64Type>().values());
        for (((group, n), since), row) in counted.zip(rows.iter()) {
            if let Some(Value::Values(values)) = all.get_mut(*group as usize) {
                values.counts.insert(Arc::from(row.data()), Counted { n: *n, since: *since });
                values.next = values.next.max(since + 1);
            }
        }
        Ok(all)
    }
}

pub(super) fn table(columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        columns.iter().enumerate().map(|(i, c)| Field::new(format!("value{i}"), c.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// What is known of one aggregate in one group.
pub(super) enum Value {
    Accumulator(Box<dyn Accumulator>),
    Values(Values),
}

/// Values with their counts.
#[derive(Default)]
pub(super) struct Values {
    counts: BTreeMap<Key, Counted>,
    next: u64,
}

struct Counted {
    n: i64,
    /// The order in which values came, which array_agg without ORDER BY keeps.
    since: u64,
}

impl Values {
    fn add(&mut self, bytes: &[u8], sign: i64) {
        let next = self.next;
        match self.counts.get_mut(bytes) {
            Some(counted) => {
                counted.n += sign;
                if counted.n == 0 {
                    self.counts.remove(bytes);
                }
            }
            None => {
                self.counts.insert(Arc::from(bytes), Counted { n: sign, since: next });
                self.next += 1;
            }
        }
    }
}
