//! What OVER does for a row: which partitions it looks at, and how many rows an aggregate takes in and gives back.

use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{Int64Array, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{Int64Type, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::functions_window::expr_fn::lag;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Accumulator, ExprFunctionExt, Volatility, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, create_udaf,
};
use datafusion::prelude::col;

use super::*;
use crate::event::Event;
use crate::run::inference::Inference;

fn run() -> Run {
    Run::new(Arc::new(Inference::new(0, 1)), true)
}

fn schema() -> Schema {
    let ts = Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), false);
    Schema::new(vec![ts, Field::new("k", DataType::Int64, true), Field::new("x", DataType::Int64, true)])
}

/// One call, over rows of a time, a key and a number.
fn over(call: Expr, partition: Vec<Expr>, extent: Extent, state_ttl_us: Option<i64>) -> OverOperator {
    let input = Arc::new(DFSchema::try_from(schema()).unwrap());
    let mut fields: Vec<_> = schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("answer", DataType::Int64, true)));
    let description = Over {
        input,
        calls: vec![call],
        partition,
        order: vec![Order { column: 0, descending: false, nulls_first: false }],
        extent,
        lag_us: 0,
        state_ttl_us,
        sources: String::new(),
        schema: Arc::new(Schema::new(fields)),
    };
    description.build(&run()).unwrap()
}

/// Rows come, each with its time for its number, and the watermark passes them; the answers.
fn answers(over: &mut OverOperator, rows: &[(i64, i64)], us: i64) -> Vec<Option<i64>> {
    let mut out = Output::default();
    if !rows.is_empty() {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(us, _)| *us)));
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, key)| *key)));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(us, _)| *us)));
        over.rows(0, RecordBatch::try_new(Arc::new(schema()), vec![times, keys, numbers]).unwrap(), &mut out).unwrap();
    }
    over.watermark(us, &mut out).unwrap();
    let mut found = Vec::new();
    while let Some(event) = out.pop() {
        if let Event::Rows(rows) = event {
            found.extend(rows.column(3).as_primitive::<Int64Type>());
        }
    }
    found
}

#[derive(Debug)]
struct Counted {
    n_rows: usize,
    n_moved: Arc<AtomicUsize>,
}

impl Accumulator for Counted {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.n_moved.fetch_add(values[0].len(), Ordering::Relaxed);
        self.n_rows += values[0].len();
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.n_moved.fetch_add(values[0].len(), Ordering::Relaxed);
        self.n_rows -= values[0].len();
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.n_rows as i64)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(Vec::new())
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Ok(())
    }
}

/// An aggregate of x over so much time before a row, and how many rows it has taken in and given back.
fn counted(behind_us: i64, units: WindowFrameUnits) -> (Expr, Arc<AtomicUsize>) {
    let n_moved = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_moved);
    let function = create_udaf(
        "counted",
        vec![DataType::Int64],
        Arc::new(DataType::Int64),
        Volatility::Immutable,
        Arc::new(move |_| Ok(Box::new(Counted { n_rows: 0, n_moved: Arc::clone(&counter) }))),
        Arc::new(Vec::new()),
    );
    let mut call = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(Arc::new(function)), vec![col("x")]);
    call.params.order_by = vec![col("ts").sort(true, false)];
    let behind = match units {
        WindowFrameUnits::Rows => ScalarValue::UInt64(Some(behind_us as u64)),
        _ => ScalarValue::new_interval_mdn(0, 0, behind_us * 1_000),
    };
    call.params.window_frame = WindowFrame::new_bounds(units, WindowFrameBound::Preceding(behind), WindowFrameBound::CurrentRow);
    (Expr::WindowFunction(Box::new(call)), n_moved)
}

#[test]
fn a_row_enters_a_frame_once_and_leaves_it_once_however_often_the_watermark_comes() {
    for (units, extent) in [
        (WindowFrameUnits::Range, Extent { behind_us: 100, ..Extent::default() }),
        (WindowFrameUnits::Rows, Extent { behind_rows: 100, ..Extent::default() }),
    ] {
        let (call, n_moved) = counted(100, units);
        let mut over = over(call, Vec::new(), extent, None);
        for us in 0..1_000 {
            assert_eq!(answers(&mut over, &[(us, 0)], us + 1), [Some(us.min(100) + 1)]);
        }
        assert_eq!(n_moved.load(Ordering::Relaxed), 1_000 + 899);
        let state = over.snapshot().unwrap();
        let n_kept: usize = state.tables["partitions"].iter().map(RecordBatch::num_rows).sum();
        assert!((100..=101).contains(&n_kept), "{n_kept} rows are kept");
        // One that goes on from there takes in what is kept, and then each row once.
        let (call, n_moved) = counted(100, units);
        let mut after = self::over(call, Vec::new(), extent, None);
        after.restore(state).unwrap();
        for us in 1_000..1_200 {
            assert_eq!(answers(&mut after, &[(us, 0)], us + 1), [Some(101)]);
        }
        assert!(n_moved.load(Ordering::Relaxed) <= 101 + 2 * 200);
    }
}

#[test]
fn a_partition_is_looked_at_when_a_row_of_it_comes_or_when_its_time_has_come() {
    let before = || lag(col("x"), Some(1), None).partition_by(vec![col("k")]).order_by(vec![col("ts").sort(true, false)]).build().unwrap();
    let rows: Vec<(i64, i64)> = (0..1_000).map(|n| (n, n)).collect();
    let mut all = over(before(), vec![col("k")], Extent { behind_rows: 1, ..Extent::default() }, None);
    assert_eq!(answers(&mut all, &rows, 1_000), vec![None; 1_000]);
    assert_eq!((all.partitions.len(), all.due(1_000_000).len()), (1_000, 0));
    assert_eq!(answers(&mut all, &[(2_000, 7)], 2_001), [Some(7)]);
    // Those of a frame in time go when it is over, and none is looked at before.
    let (call, _) = counted(100, WindowFrameUnits::Range);
    let mut timed = over(call, vec![col("k")], Extent { behind_us: 100, ..Extent::default() }, None);
    answers(&mut timed, &rows, 1_000);
    assert_eq!((timed.partitions.len(), timed.due(1_000).len(), timed.due(1_001).len()), (100, 0, 1));
    answers(&mut timed, &[], 1_050);
    assert_eq!(timed.partitions.len(), 50);
    answers(&mut timed, &[], 1_101);
    assert!(timed.partitions.is_empty() && timed.due.is_empty() && timed.held.is_empty());
}

#[test]
fn a_partition_is_forgotten_when_no_row_comes_for_longer_than_its_time_whatever_the_watermarks() {
    let rows = [(0, 1), (10, 1), (10, 2), (21, 1), (25, 2), (31, 1), (32, 3), (41, 1)];
    for size in [1, 2, 3, 8] {
        let before = lag(col("x"), Some(1), None).partition_by(vec![col("k")]).order_by(vec![col("ts").sort(true, false)]).build().unwrap();
        let mut over = over(before, vec![col("k")], Extent { behind_rows: 1, ..Extent::default() }, Some(10));
        let mut found = Vec::new();
        for some in rows.chunks(size) {
            // The watermark behind rows of one time waits for all of them.
            let us = some[some.len() - 1].0;
            found.extend(answers(&mut over, some, us));
        }
        found.extend(answers(&mut over, &[], 42));
        found.sort();
        assert_eq!(found, [None, None, None, None, None, Some(0), Some(21), Some(31)], "{size}");
        assert_eq!(over.partitions.len(), 2);
        answers(&mut over, &[], 52);
        assert!(over.partitions.is_empty() && over.due.is_empty());
    }
}

#[test]
fn rows_are_kept_in_few_pieces_and_found_by_number_and_time() {
    let order = [Order { column: 0, descending: false, nulls_first: false }];
    let (keys, mut rows) = (Keys::new(&order), Rows::default());
    let column = |us: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![us])) };
    for n in 0..1_000 {
        rows.push(RecordBatch::try_from_iter([("ts", column(n * 10))]).unwrap(), &keys).unwrap();
        rows.release(usize::try_from(n - 99).unwrap_or(0), &keys).unwrap();
        let n_pieces = rows.pieces(0..usize::MAX).count();
        assert!(n_pieces <= 10, "{n_pieces} pieces");
    }
    assert_eq!((rows.first(), rows.end(), rows.last_us()), (900, 1_000, Some(9_990)));
    assert_eq!((rows.time_us(900), rows.time_us(999), rows.time_us(1_000)), (9_000, 9_990, i64::MAX));
    assert_eq!((rows.first_from(0), rows.first_from(9_001), rows.first_from(9_990), rows.first_from(9_991)), (900, 901, 999, 1_000));
    assert_eq!(rows.pieces(950..950).count(), 0);
    let found = rows.values(0, &[Some(999), None, Some(900), Some(5_000)], &column(7)).unwrap();
    assert_eq!(found.as_primitive::<TimestampMicrosecondType>().values().to_vec(), [9_990, 7, 9_000, 7]);
}
