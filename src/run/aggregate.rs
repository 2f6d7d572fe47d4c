//! The updating aggregate: each group's row is given as soon as it changes, in place of the one given before; it takes back what its input takes back.
//!
//! A group without rows is gone, except that of no keys at all. With a window among the keys a group is complete when
//! the watermark reaches the window's end: its last row stays, and its state is dropped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, TimestampMicrosecondArray, UInt32Array, UInt64Array, new_null_array,
};
use datafusion::arrow::compute::{cast, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Int64Type, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{DFSchemaRef, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::accumulate::{Function, Value, table};
use super::expression::{evaluate, physical};
use super::keys::KeyRows;
use super::late::late_rows;
use super::operator::{Operator, Output, State};
use super::touched::{Key, Pace, Touched};
use crate::metrics::JobCounters;
use crate::plan::grouping;

/// The description: SQL's GROUP BY.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aggregate {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// The keys.
    #[serde(with = "super::written")]
    pub keys: Vec<Expr>,
    /// For each grouping set, the keys left out; empty for a plain GROUP BY.
    pub left_out: Vec<Vec<bool>>,
    /// The aggregates.
    #[serde(with = "super::written")]
    pub aggregates: Vec<Expr>,
    /// The key that says when a group is complete, and what to add to it to have that moment, µs; None if groups never are.
    pub complete: Option<(usize, i64)>,
    /// Whether rows of the input are taken back.
    pub retracted: bool,
    /// When changes are given, and how long groups are remembered.
    pub pace: Pace,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The keys, with grouping sets the id of the set, then the aggregates.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Aggregate {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let text = |all: &[Expr]| all.iter().map(|e| e.to_string()).collect::<Vec<_>>().join(", ");
        let sets = if self.left_out.is_empty() { String::new() } else { format!(", grouping sets={}", self.left_out.len()) };
        format!("keys=[{}]{sets}, aggregates=[{}]{}", text(&self.keys), text(&self.aggregates), self.pace.detail())
    }

    pub(super) fn build(&self, run: &Run) -> Result<AggregateOperator> {
        let keys = self.keys.iter().map(|k| physical(k, &self.input)).collect::<Result<Vec<_>>>()?;
        let functions = self.aggregates.iter().map(|a| Function::try_new(a, &self.input, self.retracted)).collect::<Result<Vec<_>>>()?;
        let fields = self.schema.fields();
        // The id of the grouping set is a key as well, behind the others.
        let n_keys = keys.len() + usize::from(!self.left_out.is_empty());
        let mut operator = AggregateOperator {
            key_rows: KeyRows::try_new(fields.iter().take(n_keys).map(|f| f.data_type()))?,
            n_keys,
            ids: grouping::ids(&self.left_out),
            lasting: BTreeSet::new(),
            shown_rows: RowConverter::new(fields.iter().map(|f| SortField::new(f.data_type().clone())).collect())?,
            description: self.clone(),
            keys,
            functions,
            groups: HashMap::new(),
            complete: BTreeMap::new(),
            touched: Touched::new(self.pace),
            counters: Arc::clone(&run.counters),
        };
        operator.lasting = operator.keyless()?;
        for key in operator.lasting.clone() {
            let group = operator.group(None)?;
            operator.touched.touch(&key);
            operator.groups.insert(key, group);
        }
        Ok(operator)
    }
}

struct Group {
    n_rows: i64,
    values: Vec<Value>,
    /// Its row as it was given last.
    shown: Option<Key>,
    /// When it is complete, µs.
    end_us: Option<i64>,
}

pub(super) struct AggregateOperator {
    description: Aggregate,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    functions: Vec<Function>,
    key_rows: KeyRows,
    /// The columns that tell groups apart.
    n_keys: usize,
    /// The id of each grouping set.
    ids: Vec<u64>,
    /// The groups that are there also over no rows, and are never forgotten: the answer without keys is one row, over nothing too.
    lasting: BTreeSet<Key>,
    shown_rows: RowConverter,
    groups: HashMap<Key, Group>,
    /// The groups by the moment at which they are complete, µs.
    complete: BTreeMap<i64, BTreeSet<Key>>,
    touched: Touched,
    counters: Arc<JobCounters>,
}

/// The rows of each group of a batch, in the order in which the groups come.
struct Members {
    groups: Vec<Member>,
}

/// A group's key, when it is complete, µs, and the numbers of its rows.
type Member = (Key, Option<i64>, Vec<u32>);

impl AggregateOperator {
    fn group(&self, end_us: Option<i64>) -> Result<Group> {
        Ok(Group { n_rows: 0, values: self.functions.iter().map(Function::empty).collect::<Result<_>>()?, shown: None, end_us })
    }

    /// The group of an aggregate without keys, or those of the grouping sets that leave out every key.
    fn keyless(&self) -> Result<BTreeSet<Key>> {
        if self.keys.is_empty() {
            return Ok([Arc::from([].as_slice())].into());
        }
        let mut all = BTreeSet::new();
        let (keys, id) = self.description.schema.fields().split_at(self.keys.len());
        for (left_out, set) in self.description.left_out.iter().zip(&self.ids) {
            let Some(id) = id.first().filter(|_| left_out.iter().all(|out| *out)) else { continue };
            let mut columns: Vec<ArrayRef> = keys.iter().map(|key| new_null_array(key.data_type(), 1)).collect();
            columns.push(typed(Arc::new(UInt64Array::from_value(*set, 1)), id.data_type())?);
            all.extend(self.key_rows.convert_columns(&columns)?.iter().map(|row| Key::from(row.data())));
        }
        Ok(all)
    }

    fn members(&self, rows: &RecordBatch) -> Result<Members> {
        if self.keys.is_empty() {
            let all = (0..rows.num_rows() as u32).collect();
            return Ok(Members { groups: vec![(Arc::from([].as_slice()), None, all)] });
        }
        let keys = self
            .keys
            .iter()
            .zip(self.description.schema.fields())
            .map(|(k, f)| typed(evaluate(k, rows)?, f.data_type()))
            .collect::<Result<Vec<_>>>()?;
        let ends =
            self.description.complete.and_then(|(at, add_us)| Some((keys.get(at)?.as_primitive::<TimestampMicrosecondType>(), add_us)));
        let mut groups = Vec::new();
        if self.ids.is_empty() {
            self.group_rows(&keys, ends, &mut groups)?;
        }
        for (left_out, id) in self.description.left_out.iter().zip(&self.ids) {
            let masked = keys.iter().zip(left_out);
            let mut columns: Vec<ArrayRef> =
                masked.map(|(k, out)| if *out { new_null_array(k.data_type(), k.len()) } else { Arc::clone(k) }).collect();
            let id: ArrayRef = Arc::new(UInt64Array::from_value(*id, rows.num_rows()));
            columns.extend(self.description.schema.fields().get(keys.len()).map(|f| typed(id, f.data_type())).transpose()?);
            self.group_rows(&columns, ends, &mut groups)?;
        }
        Ok(Members { groups })
    }

    /// The rows of each group of one grouping set.
    fn group_rows(&self, keys: &[ArrayRef], ends: Option<(&TimestampMicrosecondArray, i64)>, groups: &mut Vec<Member>) -> Result<()> {
        let encoded = self.key_rows.convert_columns(keys)?;
        let mut known = HashMap::new();
        for (at, row) in encoded.iter().enumerate() {
            let number = *known.entry(row.data()).or_insert_with(|| {
                // A row without a time belongs to no window, and is complete at once.
                let end_us = ends.map(|(times, add_us)| if times.is_null(at) { i64::MIN } else { times.value(at).saturating_add(add_us) });
                groups.push((Key::from(row.data()), end_us, Vec::new()));
                groups.len() - 1
            });
            if let Some((_, _, members)) = groups.get_mut(number) {
                members.push(at as u32);
            }
        }
        Ok(())
    }

    /// Adds rows, or takes them back.
    fn apply(&mut self, rows: &RecordBatch, come: bool) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let members = self.members(rows)?;
        let arguments = self.functions.iter().map(|f| f.arguments(rows)).collect::<Result<Vec<_>>>()?;
        let mut late = Vec::new();
        for (key, end_us, rows) in members.groups {
            let n = rows.len() as i64;
            if end_us.is_some_and(|end| end <= self.touched.watermark_us()) {
                // What puts rows into windows drops and counts the late ones, so only a group by another operator's time comes here.
                late.extend(rows.into_iter().filter(|_| come));
                continue;
            }
            if !self.groups.contains_key(&key) {
                // A row is taken back from a group that is forgotten: there is nothing left to take it from.
                if !come {
                    continue;
                }
                let group = self.group(end_us)?;
                self.groups.insert(Arc::clone(&key), group);
                if let Some(end_us) = end_us {
                    self.complete.entry(end_us).or_default().insert(Arc::clone(&key));
                }
            }
            let Some(group) = self.groups.get_mut(&key) else { continue };
            group.n_rows += if come { n } else { -n };
            let rows = UInt32Array::from(rows);
            for ((function, arguments), value) in self.functions.iter().zip(&arguments).zip(&mut group.values) {
                let columns = arguments.take(&rows)?;
                if come { function.add(value, &columns)? } else { function.take_back(value, &columns)? }
            }
            self.touched.touch(&key);
        }
        self.late(rows, late)
    }

    /// Counts and keeps the rows that are late, each once, whatever grouping sets there are.
    fn late(&self, rows: &RecordBatch, mut late: Vec<u32>) -> Result<()> {
        let d = &self.description;
        let Some(key) = d.complete.filter(|_| !late.is_empty()).and_then(|(at, _)| self.keys.get(at)) else { return Ok(()) };
        late.sort_unstable();
        late.dedup();
        let times = evaluate(key, rows)?;
        let Some(times) = times.as_primitive_opt::<TimestampMicrosecondType>() else { return Ok(()) };
        late_rows(&self.counters, &d.sources, "UpdatingAggregate", times, self.touched.watermark_us(), rows, late)
    }

    /// Gives the rows of groups as they are now, in place of those given before.
    fn give(&mut self, keys: Vec<Key>, out: &mut Output) -> Result<()> {
        let mut gone: Vec<Key> = Vec::new();
        let (mut living, mut values) = (Vec::new(), vec![Vec::new(); self.functions.len()]);
        for key in keys {
            let Some(group) = self.groups.get_mut(&key) else { continue };
            if group.n_rows <= 0 && !self.lasting.contains(&key) {
                gone.extend(self.forget(&key));
                continue;
            }
            for ((function, value), column) in self.functions.iter().zip(&mut group.values).zip(&mut values) {
                column.push(function.evaluate(value)?);
            }
            living.push(key);
        }
        let mut come = RecordBatch::new_empty(Arc::clone(&self.description.schema));
        if !living.is_empty() {
            let parser = self.key_rows.parser();
            let mut columns = self.key_rows.convert_rows(living.iter().map(|k| parser.parse(k)))?;
            for column in values {
                columns.push(ScalarValue::iter_to_array(column)?);
            }
            let now = batch_of(columns, living.len(), &self.description.schema)?;
            let encoded = self.shown_rows.convert_columns(now.columns())?;
            let mut changed = Vec::new();
            for (at, (key, row)) in living.iter().zip(encoded.iter()).enumerate() {
                let Some(group) = self.groups.get_mut(key) else { continue };
                if group.shown.as_deref() == Some(row.data()) {
                    continue;
                }
                gone.extend(group.shown.replace(Arc::from(row.data())));
                changed.push(at as u32);
            }
            come = if changed.len() == now.num_rows() { now } else { take_record_batch(&now, &UInt32Array::from(changed))? };
        }
        out.changes(self.shown(&gone)?, come);
        Ok(())
    }

    /// Drops a group, and tells which row of it was given last.
    fn forget(&mut self, key: &Key) -> Option<Key> {
        self.touched.remove(key);
        let group = self.groups.remove(key)?;
        if let Some(end_us) = group.end_us
            && let Some(keys) = self.complete.get_mut(&end_us)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.complete.remove(&end_us);
            }
        }
        group.shown
    }

    /// Rows as they were given.
    fn shown(&self, rows: &[Key]) -> Result<RecordBatch> {
        let parser = self.shown_rows.parser();
        batch_of(self.shown_rows.convert_rows(rows.iter().map(|r| parser.parse(r)))?, rows.len(), &self.description.schema)
    }
}

/// A batch of the described schema; accumulators may differ in the name of a list's field, which is cast away.
pub(super) fn batch_of(columns: Vec<ArrayRef>, n_rows: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = columns.into_iter().zip(schema.fields()).map(|(c, f)| typed(c, f.data_type())).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn typed(column: ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    Ok(if column.data_type() == data_type { column } else { cast(&column, data_type)? })
}

impl Operator for AggregateOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        self.apply(&rows, true)?;
        let due = self.touched.after_rows();
        self.give(due, out)
    }

    fn changes(&mut self, _input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        if !self.description.retracted {
            return internal_err!("rows taken back from an aggregate whose input only grows");
        }
        self.apply(&gone, false)?;
        self.apply(&come, true)?;
        let due = self.touched.after_rows();
        self.give(due, out)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        // The earliest first; what a window gives when it closes is marked by its end.
        while let Some((end_us, keys)) = self.complete.first_key_value().filter(|(end, _)| **end <= us) {
            let (end_us, keys): (i64, Vec<Key>) = (*end_us, keys.iter().cloned().collect());
            let due = self.touched.closing(&keys);
            if !due.is_empty() {
                self.give(due, out)?;
                out.watermark(end_us);
            }
            for key in &keys {
                self.forget(key);
            }
            self.complete.remove(&end_us);
            self.counters.windows_fired.add(1);
        }
        let due = self.touched.advance(us);
        self.give(due, out)?;
        out.watermark(us);
        // A forgotten group leaves the answer, at the time that has come: so the answer never depends on what is remembered.
        let mut forgotten = self.touched.forgotten();
        forgotten.retain(|key| !self.lasting.contains(key));
        let forgotten: Vec<Key> = forgotten.iter().filter_map(|key| self.forget(key)).collect();
        out.changes(self.shown(&forgotten)?, RecordBatch::new_empty(Arc::clone(&self.description.schema)));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = State { numbers: [("watermark_us".to_owned(), self.touched.watermark_us())].into(), ..State::default() };
        if self.groups.is_empty() {
            return Ok(state);
        }
        let mut groups = Vec::new();
        // One walk over the map for all columns: they stand in one order.
        let mut each: Vec<(&Key, &mut Group)> = self.groups.iter_mut().collect();
        let kept: Vec<(bool, Option<i64>)> = each.iter().map(|(key, _)| self.touched.kept(key)).collect();
        let parser = self.key_rows.parser();
        let mut columns = self.key_rows.convert_rows(each.iter().map(|(key, _)| parser.parse(key)))?;
        columns.push(Arc::new(each.iter().map(|(_, g)| Some(g.n_rows)).collect::<Int64Array>()));
        columns.push(Arc::new(each.iter().map(|(_, g)| g.end_us).collect::<Int64Array>()));
        columns.push(Arc::new(kept.iter().map(|(waits, _)| Some(*waits)).collect::<BooleanArray>()));
        columns.push(Arc::new(kept.iter().map(|(_, us)| *us).collect::<Int64Array>()));
        columns.push(Arc::new(each.iter().map(|(_, g)| Some(g.shown.is_some())).collect::<BooleanArray>()));
        groups.push(table(columns)?);
        for (at, function) in self.functions.iter().enumerate() {
            groups.push(function.snapshot(each.iter_mut().filter_map(|(_, g)| g.values.get_mut(at)).collect())?);
        }
        let shown: Vec<Key> = each.iter().filter_map(|(_, g)| g.shown.clone()).collect();
        state.tables.insert("shown".into(), vec![self.shown(&shown)?]);
        state.tables.insert("groups".into(), groups);
        // Telling their state may have emptied the accumulators: they are built again from what was kept.
        self.restore(state.clone())?;
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.groups.clear();
        self.complete.clear();
        self.touched = Touched::new(self.description.pace);
        self.touched.set_watermark_us(state.numbers.get("watermark_us").copied().unwrap_or(i64::MIN));
        let Some((groups, values)) = state.tables.get("groups").and_then(|t| t.split_first()) else { return Ok(()) };
        let (keys, rest) = groups.columns().split_at(self.n_keys.min(groups.num_columns()));
        let [n_rows, ends, waits, touched, given] = rest else { return internal_err!("a snapshot of groups has lost its columns") };
        let keys: Vec<Key> = if keys.is_empty() {
            vec![Arc::from([].as_slice())]
        } else {
            self.key_rows.convert_columns(keys)?.iter().map(|row| Arc::from(row.data())).collect()
        };
        let mut values = self
            .functions
            .iter()
            .zip(values)
            .map(|(function, kept)| Ok(function.restore(kept, keys.len())?.into_iter()))
            .collect::<Result<Vec<_>>>()?;
        let shown = match state.tables.get("shown").and_then(|t| t.first()) {
            Some(rows) => self.shown_rows.convert_columns(rows.columns())?.iter().map(|row| Key::from(row.data())).collect(),
            None => Vec::new(),
        };
        let mut shown = shown.into_iter();
        let number =
            |column: &ArrayRef, at: usize| Some(column.as_primitive::<Int64Type>()).filter(|c| c.is_valid(at)).map(|c| c.value(at));
        for (at, key) in keys.into_iter().enumerate() {
            let group = Group {
                n_rows: number(n_rows, at).unwrap_or(0),
                values: values.iter_mut().filter_map(Iterator::next).collect(),
                shown: if given.as_boolean().value(at) { shown.next() } else { None },
                end_us: number(ends, at),
            };
            if let Some(end_us) = group.end_us {
                self.complete.entry(end_us).or_default().insert(Arc::clone(&key));
            }
            self.touched.restore(&key, waits.as_boolean().value(at), number(touched, at));
            self.groups.insert(key, group);
        }
        Ok(())
    }
}
