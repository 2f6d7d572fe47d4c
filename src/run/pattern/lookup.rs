//! The values that a condition or measure looks up in a match, and the expression over them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::{filter_record_batch, interleave_record_batch};
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DFSchemaRef, ScalarValue, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};

use crate::error::Error;
use crate::plan::pattern::formula::{Formula, Navigation, Reach};
use crate::run::expression::{evaluate, passes, physical};

/// Rows that were sorted together, with what is known of each by itself.
#[derive(Debug)]
pub(super) struct Sorted {
    pub(super) rows: RecordBatch,
    /// By variable: whether its condition holds, where no other row is asked.
    pub(super) verdicts: Vec<Option<BooleanArray>>,
    pub(super) times: TimestampMicrosecondArray,
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) of: Arc<Sorted>,
    pub(super) at: usize,
}

impl Row {
    /// Its event time, µs.
    pub(super) fn time_us(&self) -> i64 {
        self.of.times.value(self.at)
    }
}

impl Sorted {
    pub(super) fn times(rows: &RecordBatch, column: usize) -> TimestampMicrosecondArray {
        rows.column(column).as_primitive::<TimestampMicrosecondType>().clone()
    }
}

/// The rows as a batch, in their order.
pub(super) fn gather(rows: &[Row], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut known: HashMap<*const Sorted, usize> = HashMap::new();
    let mut batches: Vec<&RecordBatch> = Vec::new();
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        let batch = *known.entry(Arc::as_ptr(&row.of)).or_insert_with(|| {
            batches.push(&row.of.rows);
            batches.len() - 1
        });
        places.push((batch, row.at));
    }
    if places.is_empty() {
        return Ok(RecordBatch::new_empty(Arc::clone(schema)));
    }
    Ok(interleave_record_batch(&batches, &places)?)
}

/// A match, or what there is of it: rows of a partition with their variables.
#[derive(Clone, Copy)]
pub(super) struct Match<'a> {
    /// The partition's rows that are kept.
    pub(super) rows: &'a [Row],
    /// The match's first row among them.
    pub(super) start: usize,
    /// The variable of each of its rows.
    pub(super) labels: &'a [usize],
    /// The row that is looked from.
    pub(super) current: usize,
    /// MATCH_NUMBER().
    pub(super) number: i64,
}

impl Match<'_> {
    fn labels(&self, whole: bool) -> &[usize] {
        if whole { self.labels } else { self.labels.get(..=self.current).unwrap_or(self.labels) }
    }

    /// The row that is meant, among the partition's.
    fn row(&self, variable: Option<usize>, reach: Reach, shift: i64, whole: bool) -> Option<&Row> {
        let mut of = self.labels(whole).iter().enumerate().filter(|(_, label)| variable.is_none_or(|v| v == **label)).map(|(at, _)| at);
        let at = match reach {
            Reach::First(n) => of.nth(n),
            Reach::Last(n) => of.nth_back(n),
        }?;
        let at = i64::try_from(self.start + at).ok()?.checked_add(shift)?;
        self.rows.get(usize::try_from(at).ok()?)
    }

    /// What a navigation depends on, as numbers of the rows of the match: see `Conditions::memory`.
    pub(super) fn memory(&self, navigation: &Navigation, known: &mut Vec<usize>) {
        let (variable, reach) = match navigation {
            Navigation::Value { variable: variable @ Some(_), reach, .. } => (variable, Some(*reach)),
            Navigation::Aggregate { variable: variable @ Some(_), .. } => (variable, None),
            _ => return,
        };
        let mut of = self.labels.iter().enumerate().filter(|(_, label)| Some(**label) == *variable).map(|(at, _)| at);
        match reach {
            None => known.extend(of),
            Some(Reach::First(n)) => known.extend(of.take(n + 1)),
            Some(Reach::Last(n)) => (0..=n).map_while(|_| of.next_back()).for_each(|at| known.push(at)),
        }
        // Where one list ends.
        known.push(usize::MAX);
    }
}

enum Lookup {
    Value { column: usize, variable: Option<usize>, reach: Reach, shift: i64, whole: bool },
    Aggregate { call: Call, variable: Option<usize>, whole: bool },
    Classifier,
    MatchNumber,
    MatchRowtime,
}

/// An aggregate with its arguments and its FILTER.
struct Call {
    function: Arc<AggregateFunctionExpr>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    input: SchemaRef,
}

impl Call {
    fn evaluate(&self, rows: &[Row]) -> Result<ScalarValue> {
        let rows = gather(rows, &self.input)?;
        let rows = match &self.filter {
            Some(filter) => filter_record_batch(&rows, &passes(filter, &rows)?)?,
            None => rows,
        };
        let mut accumulator = self.function.create_accumulator()?;
        let arguments = self.arguments.iter().map(|a| evaluate(a, &rows)).collect::<Result<Vec<_>>>()?;
        accumulator.update_batch(&arguments)?;
        accumulator.evaluate()
    }
}

/// A formula, ready to run.
pub(super) struct Compiled {
    lookups: Vec<(Lookup, DataType)>,
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    variables: Vec<String>,
}

impl Compiled {
    pub(super) fn try_new(formula: &Formula, input: &DFSchemaRef, variables: &[String]) -> Result<Compiled> {
        let lookup = |(navigation, field): (&Navigation, &FieldRef)| {
            let lookup = match navigation {
                Navigation::Value { column, variable, reach, shift, whole } => {
                    Lookup::Value { column: *column, variable: *variable, reach: *reach, shift: *shift, whole: *whole }
                }
                Navigation::Aggregate { call, variable, whole } => {
                    let (properties, planning) = (ExecutionProps::new(), PhysicalPlanningContext::default());
                    let lowered = LoweredAggregateBuilder::new(call, input, input.as_arrow(), &properties, &planning).build()?;
                    let orders = lowered.aggregate.order_bys();
                    if !orders.is_empty() && lowered.aggregate.order_sensitivity().hard_requires() {
                        let name = lowered.aggregate.fun().name().to_owned();
                        return Err(Error::unsupported(
                            format!("{name} with ORDER BY in MATCH_RECOGNIZE"),
                            "Leave ORDER BY out: the rows of a match are in the order of event time.",
                        )
                        .into());
                    }
                    let mut arguments = lowered.aggregate.expressions();
                    arguments.extend(orders.iter().map(|sort| Arc::clone(&sort.expr)));
                    let call = Call { function: lowered.aggregate, arguments, filter: lowered.filter, input: Arc::clone(input.inner()) };
                    Lookup::Aggregate { call, variable: *variable, whole: *whole }
                }
                Navigation::Classifier => Lookup::Classifier,
                Navigation::MatchNumber => Lookup::MatchNumber,
                Navigation::MatchRowtime => Lookup::MatchRowtime,
            };
            Ok((lookup, field.data_type().clone()))
        };
        let lookups = formula.navigations.iter().zip(formula.schema.fields()).map(lookup).collect::<Result<Vec<_>>>()?;
        let expr = physical(&formula.expr, &formula.schema)?;
        Ok(Compiled { lookups, expr, schema: Arc::clone(formula.schema.inner()), variables: variables.to_vec() })
    }

    /// How many values it looks up.
    pub(super) fn n_values(&self) -> usize {
        self.lookups.len()
    }

    /// The values that it looks up, in their order.
    pub(super) fn values(&self, found: &Match<'_>, mut each: impl FnMut(usize, ScalarValue)) -> Result<()> {
        for (at, (lookup, data_type)) in self.lookups.iter().enumerate() {
            let value = match lookup {
                Lookup::Value { column, variable, reach, shift, whole } => match found.row(*variable, *reach, *shift, *whole) {
                    Some(row) => ScalarValue::try_from_array(row.of.rows.column(*column), row.at)?,
                    None => ScalarValue::try_from(data_type)?,
                },
                Lookup::Aggregate { call, variable, whole } => {
                    let labels = found.labels(*whole).iter().enumerate();
                    let of = labels.filter(|(_, label)| variable.is_none_or(|v| v == **label));
                    let rows: Vec<Row> = of.filter_map(|(at, _)| found.rows.get(found.start + at).cloned()).collect();
                    call.evaluate(&rows)?
                }
                Lookup::Classifier => {
                    let label = found.labels.get(found.current).and_then(|label| self.variables.get(*label));
                    ScalarValue::Utf8(label.cloned())
                }
                Lookup::MatchNumber => ScalarValue::Int64(Some(found.number)),
                Lookup::MatchRowtime => {
                    let last = found.rows.get(found.start + found.labels.len().saturating_sub(1));
                    ScalarValue::TimestampMicrosecond(last.map(Row::time_us), Some("UTC".into()))
                }
            };
            let value = if value.data_type() == *data_type { value } else { value.cast_to(data_type)? };
            each(at, value);
        }
        Ok(())
    }

    /// The expression over values that were looked up: a column a value, a row a match.
    pub(super) fn over(&self, values: Vec<Vec<ScalarValue>>, n_rows: usize) -> Result<ArrayRef> {
        let columns = values.into_iter().map(ScalarValue::iter_to_array).collect::<Result<Vec<_>>>()?;
        self.over_columns(columns, n_rows)
    }

    fn over_columns(&self, columns: Vec<ArrayRef>, n_rows: usize) -> Result<ArrayRef> {
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        evaluate(&self.expr, &RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// Whether the condition holds for the current row of what there is of a match.
    pub(super) fn holds(&self, found: &Match<'_>) -> Result<bool> {
        let mut columns = Vec::with_capacity(self.lookups.len());
        let mut failed = None;
        self.values(found, |_, value| match value.to_array() {
            Ok(column) => columns.push(column),
            Err(e) => failed = Some(e),
        })?;
        if let Some(e) = failed {
            return Err(e);
        }
        let verdict = self.over_columns(columns, 1)?;
        let verdict = verdict.as_boolean_opt().ok_or_else(|| internal_datafusion_err!("a condition that is no boolean"))?;
        Ok(verdict.is_valid(0) && verdict.value(0))
    }

    /// Whether it holds for each row by itself: for a formula that is `of_one_row`.
    pub(super) fn holds_each(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let column = |(lookup, _): &(Lookup, DataType)| match lookup {
            Lookup::Value { column, .. } => Ok(Arc::clone(rows.column(*column))),
            _ => Err(internal_datafusion_err!("a condition that looks at other rows")),
        };
        let columns = self.lookups.iter().map(column).collect::<Result<Vec<_>>>()?;
        let verdicts = self.over_columns(columns, rows.num_rows())?;
        let verdicts = verdicts.as_boolean_opt().ok_or_else(|| internal_datafusion_err!("a condition that is no boolean"))?;
        Ok(if verdicts.null_count() == 0 { verdicts.clone() } else { verdicts.iter().map(|v| Some(v == Some(true))).collect() })
    }
}
