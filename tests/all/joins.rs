//! Random joins of two cameras of different pace, each equal to the SELECT's answer; ASOF beside a nested loop; state that stays flat over an hour.
//!
//! `CASE=1234 cargo test joins` runs only that random join; `CASES=5000 cargo test joins` runs more of them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use fastrand::Rng;
use framesql::engine::replay::{Conditions, Replay};
use framesql::settings::Settings;

use crate::replay::compare;
use crate::rows::{Row, Rows, register};
use crate::{answers, oracle};

/// How many random joins run.
const CASES: u64 = 150;

fn one_of<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.usize(..all.len())]
}

/// The statements that make the cameras of a case, and the frames of the longer one.
fn cameras(rng: &mut Rng, number: u64) -> (Vec<String>, u64) {
    let mut longest = 0;
    let mut made = Vec::new();
    for at in 0..2 {
        let frames = if rng.u8(..20) == 0 { 0 } else { rng.u64(1..80) };
        longest = longest.max(frames);
        let fps = one_of(rng, &["1", "2.5", "5", "7.3", "10", "25", "30"]);
        let start = one_of(rng, &["1970-01-01 00:00:00+00", "1969-12-31 23:59:58.5+00", "1970-01-01 00:00:02.01+00"]);
        made.push(format!(
            "CREATE SOURCE j{number}_{at} FROM 'pattern:' WITH (size = '64x48', fps = {fps}, frames = {frames}, boxes = {}, seed = {}, start_ts = '{start}')",
            rng.u8(..3),
            rng.u8(..)
        ));
    }
    (made, longest)
}

/// One side: frame_no, ts and a key that is sometimes NULL.
fn side(rng: &mut Rng, number: u64) -> String {
    let source = format!("j{number}_{}", rng.u8(..2));
    let key = one_of(rng, &["frame_no % 2", "frame_no % 5", "NULLIF(frame_no % 3, 0)", "frame_no", "length(source)"]);
    let filter = one_of(rng, &["", "", " WHERE frame_no % 4 <> 1", " WHERE keyframe OR frame_no > 7"]);
    match rng.u8(..4) {
        0 => format!("(SELECT s.frame_no, s.ts, thing.track_id AS k FROM {source} AS s CROSS JOIN UNNEST(s.truth) AS thing{filter})"),
        _ => format!("(SELECT frame_no, ts, {key} AS k FROM {source}{filter})"),
    }
}

fn milliseconds(rng: &mut Rng) -> String {
    format!("INTERVAL '{} milliseconds'", [0, 40, 100, 333, 500, 1000, 2500][rng.usize(..7)])
}

/// A bound of both times in one of the ways to write it.
fn within(rng: &mut Rng) -> String {
    let (x, y) = (milliseconds(rng), milliseconds(rng));
    match rng.u8(..7) {
        0 => format!("a.ts BETWEEN b.ts - {x} AND b.ts + {y}"),
        1 => format!("b.ts BETWEEN a.ts AND a.ts + {x}"),
        2 => format!("a.ts >= b.ts - {x} AND a.ts < b.ts + {y}"),
        3 => format!("b.ts + {x} > a.ts AND a.ts + {y} > b.ts"),
        4 => "a.ts = b.ts".to_owned(),
        5 => format!("a.ts - b.ts <= {x} AND b.ts - a.ts <= {y}"),
        _ => format!("a.ts > b.ts + {x} AND a.ts <= b.ts + {x} + INTERVAL '1 second'"),
    }
}

fn condition(rng: &mut Rng) -> String {
    let key = one_of(rng, &["a.k = b.k AND ", "a.k = b.k AND ", "a.k % 2 = b.k % 3 AND ", ""]);
    let more = one_of(rng, &["", "", " AND a.frame_no < b.frame_no + 3", " AND (a.frame_no + b.frame_no) % 3 <> 0"]);
    format!("{key}{}{more}", within(rng))
}

/// A join of two sides, with columns at, ano and bno.
fn interval(rng: &mut Rng, number: u64) -> String {
    let (a, b, on) = (side(rng, number), side(rng, number), condition(rng));
    let kind = one_of(rng, &["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
    // Of an inner join nothing would be left, which the optimiser sees.
    let alone = if kind == "JOIN" { "" } else { " WHERE b.frame_no IS NULL OR a.frame_no IS NULL" };
    let filter = one_of(rng, &["", "", "", alone, " WHERE a.k = 1"]);
    format!("SELECT a.ts AS at, b.ts AS bt, a.frame_no AS ano, b.frame_no AS bno FROM {a} AS a {kind} {b} AS b ON {on}{filter}")
}

fn exists(rng: &mut Rng, number: u64) -> String {
    let (a, b, on) = (side(rng, number), side(rng, number), condition(rng));
    let columns = "a.ts AS at, a.frame_no AS ano, a.k";
    match rng.u8(..4) {
        0 => format!("SELECT {columns} FROM {a} AS a WHERE EXISTS (SELECT 1 FROM {b} AS b WHERE {on})"),
        1 => format!("SELECT {columns} FROM {a} AS a WHERE NOT EXISTS (SELECT 1 FROM {b} AS b WHERE {on})"),
        2 => format!("SELECT {columns} FROM {a} AS a WHERE EXISTS (SELECT 1 FROM {b} AS b WHERE {on}) OR a.frame_no % 3 = 0"),
        _ => format!("SELECT {columns} FROM {a} AS a WHERE a.frame_no IN (SELECT b.frame_no FROM {b} AS b WHERE {on})"),
    }
}

/// Both sides in windows of one shape.
fn window(rng: &mut Rng, number: u64) -> String {
    let size = [100, 400, 1000, 1500][rng.usize(..4)];
    let (name, slide) = if rng.bool() { ("TUMBLE", String::new()) } else { ("HOP", format!("INTERVAL '{size} milliseconds', ")) };
    let size = if name == "HOP" { size * rng.u64(1..4) } else { size };
    let windowed = |side: String| format!("{name}({side}, ts, {slide}INTERVAL '{size} milliseconds')");
    let counted = |side: String| {
        format!("(SELECT window_start, window_end, k, count(*) AS frame_no FROM {} GROUP BY window_start, window_end, k)", windowed(side))
    };
    let one = |rng: &mut Rng| {
        let side = side(rng, number);
        if rng.u8(..3) == 0 { counted(side) } else { windowed(side) }
    };
    let (a, b) = (one(rng), one(rng));
    let on = format!("a.window_start = b.window_start AND a.window_end = b.window_end{}", one_of(rng, &["", " AND a.k = b.k"]));
    let columns = "a.window_start AS at, a.frame_no AS ano";
    match rng.u8(..6) {
        0 => format!("SELECT {columns} FROM {a} AS a WHERE EXISTS (SELECT 1 FROM {b} AS b WHERE {on})"),
        1 => format!("SELECT {columns} FROM {a} AS a WHERE NOT EXISTS (SELECT 1 FROM {b} AS b WHERE {on})"),
        n => {
            let kind = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"][usize::from(n - 2)];
            format!("SELECT {columns}, b.window_end AS bt, b.frame_no AS bno, b.k FROM {a} AS a {kind} {b} AS b ON {on}")
        }
    }
}

fn asof(rng: &mut Rng, number: u64) -> String {
    let (a, b) = (side(rng, number), side(rng, number));
    let on = one_of(rng, &[" ON a.k = b.k", " ON b.k = a.k", ""]);
    let condition = one_of(rng, &["a.ts >= b.ts", "a.ts > b.ts", "b.ts <= a.ts"]);
    format!(
        "SELECT a.ts AS at, a.frame_no AS ano, b.ts AS bt, b.frame_no AS bno FROM {a} AS a ASOF JOIN {b} AS b MATCH_CONDITION ({condition}){on}"
    )
}

/// A side that may take rows back itself: how many rows each key has had, or the last ones of each.
fn changing(rng: &mut Rng, number: u64) -> String {
    let side = side(rng, number);
    match rng.u8(..4) {
        0 => format!("(SELECT k, count(*) AS frame_no, max(ts) AS ts FROM {side} AS g GROUP BY k)"),
        1 => format!(
            "(SELECT k, frame_no, ts FROM (SELECT k, frame_no, ts, ROW_NUMBER() OVER (PARTITION BY k ORDER BY frame_no DESC) AS rn FROM {side} AS g) AS r WHERE rn <= 2)"
        ),
        _ => side,
    }
}

/// A join without a bound in time, which takes rows back.
fn regular(rng: &mut Rng, number: u64) -> String {
    let (a, b) = (changing(rng, number), changing(rng, number));
    let on =
        one_of(rng, &["a.k = b.k", "a.k = b.k AND a.frame_no < b.frame_no", "a.frame_no = b.frame_no", "a.frame_no * 5 = b.frame_no * 3"]);
    let kind = one_of(rng, &["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
    match rng.u8(..6) {
        0 => format!("SELECT a.frame_no AS ano, a.k FROM {a} AS a WHERE EXISTS (SELECT 1 FROM {b} AS b WHERE {on})"),
        1 => format!("SELECT a.frame_no AS ano, a.k FROM {a} AS a WHERE NOT EXISTS (SELECT 1 FROM {b} AS b WHERE {on})"),
        2 => format!("SELECT a.k, count(*) AS n, sum(b.frame_no) AS total FROM {a} AS a {kind} {b} AS b ON {on} GROUP BY a.k"),
        _ => format!("SELECT a.frame_no AS ano, b.frame_no AS bno, b.ts AS bt FROM {a} AS a {kind} {b} AS b ON {on}"),
    }
}

/// What is done with a join's answer.
fn query(rng: &mut Rng, number: u64) -> (String, &'static str) {
    if rng.u8(..6) == 0 {
        let (query, emit) =
            (regular(rng, number), one_of(rng, &["EMIT CHANGES", "EMIT CHANGES", "EMIT EVERY INTERVAL '300 milliseconds'"]));
        // EVERY is refused where there is nothing to hold back: in a join of rows alone.
        let updated = query.contains("GROUP BY") || query.contains("ROW_NUMBER");
        return (query, if updated { emit } else { "EMIT CHANGES" });
    }
    (bounded(rng, number), "")
}

fn bounded(rng: &mut Rng, number: u64) -> String {
    let joined = match rng.u8(..8) {
        0..4 => interval(rng, number),
        4 => exists(rng, number),
        5 => asof(rng, number),
        _ => window(rng, number),
    };
    match rng.u8(..6) {
        0 => format!(
            "SELECT window_start, count(*) AS n, sum(ano) AS total FROM TUMBLE(({joined}), at, {}) GROUP BY window_start",
            one_of(rng, &["INTERVAL '1 second'", "INTERVAL '300 milliseconds'"])
        ),
        1 => format!("SELECT at, count(*) AS n FROM ({joined}) AS j GROUP BY at"),
        2 => {
            let (c, x) = (side(rng, number), milliseconds(rng));
            format!("SELECT j.*, c.frame_no AS cno FROM ({joined}) AS j LEFT JOIN {c} AS c ON c.ts BETWEEN j.at - {x} AND j.at + {x}")
        }
        _ => joined,
    }
}

#[test]
fn random_joins_answer_the_same_however_they_are_run() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let (next, end) = match variable("CASE") {
        Some(number) => (AtomicU64::new(number), number + 1),
        None => (AtomicU64::new(0), variable("CASES").unwrap_or(CASES)),
    };
    let n_cases = end - next.load(Ordering::Relaxed);
    let (n_answering, n_divided, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), parking_lot::Mutex::new(Vec::new()));
    let work = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let (engine, session) = answers::open(Settings::default()).await;
            // Longer than any of the cameras.
            answers::run(&session, "SET state_ttl = '1 h'").await;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    break;
                }
                let mut rng = Rng::with_seed(number);
                let ((sources, n_frames), (query, emit)) = (cameras(&mut rng, number), query(&mut rng, number));
                for source in &sources {
                    answers::run(&session, source).await;
                }
                match compare(&session, &query, emit, &mut rng, n_frames).await {
                    Ok(compared) => {
                        n_answering.fetch_add(usize::from(compared.n_rows > 0), Ordering::Relaxed);
                        n_divided.fetch_add(usize::from(compared.divided), Ordering::Relaxed);
                    }
                    Err(reason) => failures.lock().push(format!("CASE={number}\n{};\n{query} {emit};\n  {reason}", sources.join(";\n"))),
                }
            }
            engine.shutdown().await;
        });
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "\n{}\n{} of {n_cases} cases failed", failures.join("\n\n"), failures.len());
    let (n_answering, n_divided) = (n_answering.into_inner() as u64, n_divided.into_inner() as u64);
    assert!(n_cases == 1 || n_answering * 10 >= n_cases * 6, "only {n_answering} of {n_cases} joins have an answer");
    assert!(n_cases == 1 || n_divided * 10 >= n_cases * 2, "only {n_divided} of {n_cases} answers were divided by their barrier");
}

/// The whole numbers of some rows, NULL as None.
fn whole(batches: &[RecordBatch]) -> Vec<Vec<Option<i64>>> {
    let row = |batch: &RecordBatch, at: usize| {
        let of = |c: &dyn Array| {
            let c = c.as_primitive::<Int64Type>();
            c.is_valid(at).then(|| c.value(at))
        };
        batch.columns().iter().map(|c| of(c.as_ref())).collect()
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|at| row(batch, at)).collect::<Vec<_>>()).collect()
}

/// The naive second implementation: each left row looks at every right row.
fn nested_loop(left: &[Vec<Option<i64>>], right: &[Vec<Option<i64>>], op: &str) -> Vec<Vec<Option<i64>>> {
    let matches = |l: i64, r: i64| match op {
        ">=" => l >= r,
        ">" => l > r,
        "<=" => l <= r,
        _ => l < r,
    };
    let mut all = Vec::new();
    for l in left {
        let mut nearest: Option<&Vec<Option<i64>>> = None;
        for r in right {
            let (Some(lk), Some(rk), Some(lt), Some(rt)) = (l[0], r[0], l[1], r[1]) else { continue };
            if lk != rk || !matches(lt, rt) {
                continue;
            }
            let nearer = |n: &Vec<Option<i64>>| {
                let nt = n[1].unwrap();
                // Equally near, the greater row counts.
                (lt - rt).abs() < (lt - nt).abs() || rt == nt && r > n
            };
            if nearest.is_none_or(nearer) {
                nearest = Some(r);
            }
        }
        all.push(l.iter().copied().chain(nearest.map_or(vec![None; 3], Clone::clone)).collect());
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn asof_finds_what_a_nested_loop_finds() {
    let (_engine, session) = answers::open(Settings::default()).await;
    let mut rng = Rng::with_seed(7);
    for _ in 0..40 {
        let mut side = |n: u64| {
            let n_rows = 1 + n % 23;
            let rows = (0..n_rows).map(|v| match rng.u8(..12) {
                0 => format!("(NULL::bigint, {}::bigint, {v}::bigint)", rng.i64(-5..20)),
                1 => format!("({}::bigint, NULL::bigint, {v}::bigint)", rng.i64(..3)),
                _ => format!("({}::bigint, {}::bigint, {v}::bigint)", rng.i64(..3), rng.i64(-5..20)),
            });
            format!("(VALUES {})", rows.collect::<Vec<_>>().join(", "))
        };
        let (left, right) = (side(20), side(11));
        let read = |side: &str| format!("SELECT * FROM {side} AS s(k, t, v)");
        let rows = (answers::rows(&session, &read(&left)).await.unwrap(), answers::rows(&session, &read(&right)).await.unwrap());
        for op in [">=", ">", "<=", "<"] {
            let sql = format!(
                "SELECT l.k, l.t, l.v, r.k, r.t, r.v FROM {left} AS l(k, t, v) ASOF JOIN {right} AS r(k, t, v) MATCH_CONDITION (l.t {op} r.t) ON l.k = r.k"
            );
            let mut found = whole(&answers::rows(&session, &sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")));
            found.sort();
            assert_eq!(found, nested_loop(&whole(&rows.0), &whole(&rows.1), op), "{sql}");
        }
    }
}

/// Which rows of one source come behind its watermark, by the rule as it stands in the manual.
fn late(rows: &[Row], delay_ms: i64) -> Vec<bool> {
    let mut newest = i64::MIN / 2;
    let late = |(ts, _, _): &Row| {
        let late = ts.is_some_and(|ts| ts < newest - delay_ms);
        newest = newest.max(ts.unwrap_or(newest));
        late
    };
    rows.iter().map(late).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_row_of_either_side_meets_nothing_and_is_counted() {
    let mut rng = Rng::with_seed(23);
    let mut n_late_in_all = 0;
    for (delay_ms, jumble_ms) in [(0, 800), (300, 1_500), (2_000, 2_000)] {
        let mut now = 0;
        let mut row = |_| {
            now += rng.i64(0..400);
            let ts = (rng.u32(..40) > 0).then(|| now - rng.i64(0..=jumble_ms));
            (ts, [Some("a"), Some("b"), None][rng.usize(..3)], rng.i64(..50))
        };
        let rows: Vec<Row> = (0..200).map(&mut row).collect();
        let late = late(&rows, delay_ms);
        let in_time: Vec<Row> = rows.iter().zip(&late).filter(|(_, late)| !**late).map(|(row, _)| *row).collect();
        let n_late = 2 * (rows.len() - in_time.len()) as u64;
        n_late_in_all += n_late;
        let (_all, session) = answers::open(Settings::default()).await;
        register(&session, Rows { rows, delay_ms });
        let (_in_time, expecting) = answers::open(Settings::default()).await;
        register(&expecting, Rows { rows: in_time, delay_ms });
        let on = "a.k = b.k AND a.ts BETWEEN b.ts - INTERVAL '500 milliseconds' AND b.ts + INTERVAL '1 second'";
        for sql in [
            format!("SELECT a.ts AS at, a.n, b.ts AS bt, b.n AS m FROM test.t AS a JOIN test.t AS b ON {on}"),
            format!("SELECT a.ts AS at, a.n, b.ts AS bt, b.n AS m FROM test.t AS a LEFT JOIN test.t AS b ON {on} AND a.n < b.n"),
            format!("SELECT a.ts AS at, a.n, b.ts AS bt, b.n AS m FROM test.t AS a FULL JOIN test.t AS b ON {on} AND a.n < b.n"),
            format!("SELECT a.ts AS at, a.n FROM test.t AS a WHERE EXISTS (SELECT 1 FROM test.t AS b WHERE {on} AND a.n < b.n)"),
            format!("SELECT a.ts AS at, a.n FROM test.t AS a WHERE NOT EXISTS (SELECT 1 FROM test.t AS b WHERE {on} AND a.n < b.n)"),
        ] {
            let expected = oracle::bag(&answers::rows(&expecting, &sql).await.unwrap());
            let replay = Replay::of(&session, &sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
            for batch_rows in [1, 7, 64] {
                let run = replay.run(Conditions { batch_rows: Some(batch_rows), ..Conditions::default() }).await.unwrap();
                oracle::same(&expected, &oracle::bag(&run.rows))
                    .unwrap_or_else(|e| panic!("delay {delay_ms}, batches of {batch_rows}: {sql}: {e}"));
                assert_eq!(run.counters.n_late.get(), n_late, "delay {delay_ms}, batches of {batch_rows}: {sql}");
            }
        }
    }
    assert!(n_late_in_all > 100, "only {n_late_in_all} rows were late");
}

/// Two files that could be read at any speed: neither is read far ahead of the other, so that windows above them close as they come.
#[tokio::test(flavor = "multi_thread")]
async fn a_union_reads_its_inputs_at_one_pace() {
    let (_engine, session) = answers::open(Settings::default()).await;
    for (name, fps) in [("fast", 20), ("slow", 2)] {
        let sql = format!("CREATE SOURCE {name} FROM 'pattern:' WITH (size = '64x48', fps = {fps}, frames = {}, boxes = 0)", fps * 600);
        answers::run(&session, &sql).await;
    }
    let replay =
        Replay::of(&session, "SELECT frame_no * 50 AS ms, 0 AS side FROM fast UNION ALL SELECT frame_no * 500, 1 FROM slow").await.unwrap();
    let ran = replay.run(Conditions { batch_rows: Some(8), ..Conditions::default() }).await.unwrap();
    let mut last = [0, 0];
    for (ms, side) in answers::numbers(&ran.rows, "ms").into_iter().zip(answers::numbers(&ran.rows, "side")) {
        last[usize::from(side == 1)] = ms;
        // A batch of the slow one is four seconds.
        assert!((last[0] - last[1]).abs() <= 8_000 || last.contains(&599_500), "{last:?}");
    }
    assert_eq!(oracle::n_rows(&oracle::bag(&ran.rows)), 600 * 22);
}

/// An hour of two cameras, one of which has ten times the frames of the other: what is kept does not grow with the hour, nor with who is read faster.
#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_event_time_keeps_no_more_rows_than_a_minute() {
    let (_engine, session) = answers::open(Settings::default()).await;
    answers::run(&session, "SET state_ttl = '5 s'").await;
    for (name, fps, seconds) in [("fast", 20, 3600), ("slow", 2, 3600), ("fast_minute", 20, 60), ("slow_minute", 2, 60)] {
        let frames = fps * seconds;
        let sql = format!("CREATE SOURCE {name} FROM 'pattern:' WITH (size = '64x48', fps = {fps}, frames = {frames}, boxes = 0)");
        answers::run(&session, &sql).await;
    }
    for (query, n_rows) in [
        ("SELECT a.frame_no FROM {a} AS a JOIN {b} AS b ON a.ts BETWEEN b.ts AND b.ts + INTERVAL '1 second'", 150_000),
        (
            "SELECT a.frame_no FROM {a} AS a LEFT JOIN {b} AS b ON a.frame_no = b.frame_no AND a.ts BETWEEN b.ts - INTERVAL '2 seconds' AND b.ts",
            72_000,
        ),
        (
            "SELECT a.window_start FROM TUMBLE({a}, ts, INTERVAL '1 second') AS a JOIN TUMBLE({b}, ts, INTERVAL '1 second') AS b ON a.window_start = b.window_start AND a.window_end = b.window_end",
            144_000,
        ),
        ("SELECT a.frame_no FROM {a} AS a ASOF JOIN {b} AS b MATCH_CONDITION (a.ts >= b.ts)", 72_000),
        ("SELECT a.frame_no FROM {a} AS a LEFT JOIN {b} AS b ON a.frame_no = b.frame_no EMIT CHANGES", 72_000),
    ] {
        let mut highest = Vec::new();
        for (a, b) in [("fast", "slow"), ("fast_minute", "slow_minute")] {
            let sql = query.replace("{a}", a).replace("{b}", b);
            let replay = Replay::of(&session, &sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
            let ran = replay.run(Conditions { batch_rows: Some(64), ..Conditions::default() }).await.unwrap();
            if a == "fast" {
                assert!(oracle::n_rows(&oracle::bag(&ran.rows)) + 100 >= n_rows, "{sql}");
            }
            highest.push(ran.counters.state_rows.highest());
            assert_eq!(ran.counters.state_rows.get(), 0, "{sql}");
        }
        // A batch of the slow camera is half a minute of it.
        assert!(highest[0] <= highest[1] * 2 && highest[0] > 0 && highest[0] < 2_000, "{query}: {highest:?}");
    }
}
