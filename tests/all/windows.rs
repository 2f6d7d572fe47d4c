//! Windows over rows out of order: what is late is counted exactly and can be read, what is not late is as if it had come in order.

use std::collections::BTreeMap;

use framesql::engine::replay::{Conditions, Replay};
use framesql::engine::session::Session;
use framesql::settings::Settings;

use crate::oracle::{self, Bag};
use crate::rows::{Row, Rows, register};
use crate::{answers, replay};

async fn open(rows: Vec<Row>, delay_ms: i64) -> Session {
    let (_, session) = answers::open(Settings::default()).await;
    register(&session, Rows { rows, delay_ms });
    session
}

/// Random rows within `jumble_ms` of their order; some without a time or a key.
fn random(rng: &mut fastrand::Rng, n_rows: usize, jumble_ms: i64) -> Vec<Row> {
    let mut now = rng.i64(-20_000..20_000);
    let mut row = |_| {
        now += if rng.u32(..12) == 0 { rng.i64(0..9_000) } else { rng.i64(0..400) };
        let ts = (rng.u32(..40) > 0).then(|| now - rng.i64(0..=jumble_ms));
        (ts, [Some("a"), Some("b"), Some("c"), None][rng.usize(..4)], rng.i64(-9..10))
    };
    (0..n_rows).map(&mut row).collect()
}

const AGGREGATES: &str = "count(*), sum(n), min(n), max(n), avg(n), count(DISTINCT n), array_agg(n ORDER BY n)";

/// Shapes of queries whose continuous answer is the SELECT's.
fn queries() -> Vec<String> {
    let windows = [
        "TUMBLE(test.t, ts, INTERVAL '2 seconds')",
        "TUMBLE(test.t, ts, INTERVAL '2 seconds', INTERVAL '-700 milliseconds')",
        "HOP(test.t, ts, INTERVAL '1 second', INTERVAL '4 seconds')",
        "CUMULATE(test.t, ts, INTERVAL '1 second', INTERVAL '5 seconds', INTERVAL '300 milliseconds')",
        "SESSION(test.t, ts, INTERVAL '700 milliseconds')",
        "SESSION(test.t PARTITION BY k, ts, INTERVAL '1 second')",
    ];
    let mut all = Vec::new();
    for window in windows {
        all.push(format!("SELECT window_start, window_end, k, {AGGREGATES} FROM {window} GROUP BY window_start, window_end, k"));
        all.push(format!("SELECT window_end, sum(n) + count(*) AS s FROM {window} WHERE n > -5 GROUP BY window_end HAVING count(*) > 1"));
        all.push(format!("SELECT window_start, window_end, k, n, count(*) FROM {window} GROUP BY window_start, window_end, ROLLUP (k, n)"));
        all.push(format!("SELECT DISTINCT window_end, k FROM {window}"));
        all.push(format!(
            "SELECT window_start, window_end, k, n, place FROM (SELECT *, RANK() OVER (PARTITION BY window_start, window_end, k ORDER BY n DESC) AS place FROM {window}) WHERE place <= 2"
        ));
        all.push(format!(
            "SELECT window_start, count(*), sum(s) FROM TUMBLE((SELECT window_end AS at, k, sum(n) AS s FROM {window} GROUP BY window_start, window_end, k), at, INTERVAL '3 seconds') GROUP BY window_start"
        ));
        if !window.contains("SESSION") {
            all.push(format!(
                "SELECT window_start, extract(second FROM window_end) AS s, max(n) FROM {window} GROUP BY window_start, window_end"
            ));
            let filled = window.replace("')", "', fill => 'zero')");
            all.push(format!(
                "SELECT window_start, window_end, k, count(*), sum(n) FROM {filled} WHERE n > 2 GROUP BY window_start, window_end, k"
            ));
        }
    }
    all.push("SELECT date_bin(INTERVAL '3 seconds', ts) AS bin, k, count(*) FROM test.t WHERE ts IS NOT NULL GROUP BY 1, 2".to_owned());
    all.push("SELECT date_trunc('second', ts) AS bin, count(*) FROM test.t WHERE ts IS NOT NULL GROUP BY 1".to_owned());
    all.push("SELECT ts, count(*), max_by(k, n) IS NULL AS no_key FROM test.t WHERE ts IS NOT NULL GROUP BY ts".to_owned());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_out_of_order_within_the_delay_change_no_answer() {
    let mut rng = fastrand::Rng::with_seed(7);
    for n_rows in [0, 1, 40, 300] {
        let session = open(random(&mut rng, n_rows, 1_500), 1_500).await;
        for query in queries() {
            let compared = replay::compare(&session, &query, "", &mut rng, n_rows as u64).await;
            assert!(compared.is_ok(), "{n_rows} rows: {query}\n{}", compared.err().unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_lost_unseen() {
    let mut rng = fastrand::Rng::with_seed(11);
    for delay_ms in [0, 300, 2_000] {
        let rows = random(&mut rng, 400, 2_500);
        let session = open(rows.clone(), delay_ms).await;
        let query = "SELECT window_start, count(*) AS n FROM TUMBLE(test.t, ts, INTERVAL '1 second') GROUP BY window_start";
        let replay = Replay::of(&session, query).await.unwrap();
        let mut before: Option<(Bag, u64)> = None;
        for batch_rows in [1, 7, 64] {
            let run = replay.run(Conditions { batch_rows: Some(batch_rows), ..Conditions::default() }).await.unwrap();
            let c = &run.counters;
            let in_windows: i64 = answers::numbers(&run.rows, "n").into_iter().sum();
            assert_eq!(c.rows_in.get(), 400);
            assert_eq!(in_windows as u64 + c.n_late.get() + c.n_null_time.get(), 400, "delay {delay_ms}, batches of {batch_rows}");
            assert_eq!(c.n_null_time.get(), rows.iter().filter(|r| r.0.is_none()).count() as u64);
            assert_eq!(c.n_late.get() > 0, delay_ms < 1_000, "delay {delay_ms}");
            assert_eq!(c.n_partly_late.get(), 0);
            let this = (oracle::bag(&run.rows), c.n_late.get());
            assert!(before.as_ref().is_none_or(|b| *b == this), "lateness depends on the batches: {batch_rows}");
            before = Some(this);
        }
    }
}

/// The rule as it stands in the manual, row by row: a row is dropped for a window that has fired, and only then.
fn by_the_rule(rows: &[Row], delay_ms: i64, ends_of: impl Fn(i64) -> Vec<i64>) -> (BTreeMap<i64, i64>, u64, u64) {
    let (mut counts, mut n_late, mut n_partly_late, mut newest) = (BTreeMap::new(), 0, 0, i64::MIN / 2);
    for (ts, _, _) in rows {
        let Some(ts) = ts else { continue };
        let (ends, watermark) = (ends_of(*ts), newest - delay_ms);
        // The scan says its watermark before a row that is below it.
        let fired = |end: &&i64| *ts < watermark && **end <= watermark;
        match ends.iter().filter(fired).count() {
            0 => {}
            n if n == ends.len() => n_late += 1,
            _ => n_partly_late += 1,
        }
        for end in ends.iter().filter(|end| !fired(end)) {
            *counts.entry(*end).or_insert(0) += 1;
        }
        newest = newest.max(*ts);
    }
    (counts, n_late, n_partly_late)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_row_still_enters_the_windows_that_are_open() {
    let mut rng = fastrand::Rng::with_seed(13);
    // Some are later than the longest window.
    let rows = random(&mut rng, 500, 8_000);
    let session = open(rows.clone(), 500).await;
    let hop = |ts: i64| {
        let first = (ts.div_euclid(1_000) + 1) * 1_000;
        (0..4).map(|i| first + i * 1_000).collect::<Vec<_>>()
    };
    let cumulate = |ts: i64| {
        let last = (ts.div_euclid(4_000) + 1) * 4_000;
        ((ts.div_euclid(1_000) + 1)..=last / 1_000).map(|s| s * 1_000).collect::<Vec<_>>()
    };
    let expected = [("HOP", by_the_rule(&rows, 500, hop)), ("CUMULATE", by_the_rule(&rows, 500, cumulate))];
    for (window, (counts, n_late, n_partly_late)) in expected {
        assert!(n_late > 0 && n_partly_late > 0, "{window}");
        // By pane, and row by row where the windows of a row must be told apart.
        for extra in ["", ", max(window_start)"] {
            let query = format!(
                "SELECT extract(epoch FROM window_end)::bigint * 1000 AS at, n FROM (SELECT window_end, count(*) AS n{extra} FROM {window}(test.t, ts, INTERVAL '1 second', INTERVAL '4 seconds') GROUP BY window_end)"
            );
            let replay = Replay::of(&session, &query).await.unwrap();
            for batch_rows in [1, 7, 64] {
                let run = replay.run(Conditions { batch_rows: Some(batch_rows), ..Conditions::default() }).await.unwrap();
                let found: BTreeMap<i64, i64> =
                    answers::numbers(&run.rows, "at").into_iter().zip(answers::numbers(&run.rows, "n")).collect();
                assert_eq!(found, counts, "{window}{extra}, batches of {batch_rows}");
                assert_eq!((run.counters.n_late.get(), run.counters.n_partly_late.get()), (n_late, n_partly_late), "{window}{extra}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_those_of_plain_sql() {
    let mut rng = fastrand::Rng::with_seed(17);
    for _ in 0..5 {
        let session = open(random(&mut rng, 300, 3_000), 0).await;
        let sessions = "SELECT k, window_start, window_end, count(*) AS n, sum(n) AS s
            FROM SESSION(test.t PARTITION BY k, ts, INTERVAL '600 milliseconds') GROUP BY k, window_start, window_end";
        // A session begins where the row before is not near enough, and is numbered by how many have begun.
        let plain = "SELECT k, min(ts), max(ts) + INTERVAL '600 milliseconds', count(*), sum(n) FROM (
              SELECT k, ts, n, sum(begins) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS number FROM (
                SELECT k, ts, n, CASE WHEN ts < lag(ts) OVER (PARTITION BY k ORDER BY ts) + INTERVAL '600 milliseconds' THEN 0 ELSE 1 END AS begins
                FROM test.t WHERE ts IS NOT NULL)) GROUP BY k, number";
        let found = oracle::bag(&answers::rows(&session, sessions).await.unwrap());
        let expected = oracle::bag(&answers::rows(&session, plain).await.unwrap());
        assert!(expected.len() > 10);
        oracle::same(&expected, &found).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_can_be_read() {
    let rows =
        vec![(Some(1_000), Some("a"), 1), (Some(9_000), None, 2), (Some(500), Some("late"), 3), (Some(8_500), Some("in session"), 4)];
    let session = open(rows, 0).await;
    answers::run(&session, "CREATE MATERIALIZED VIEW tumbled AS SELECT window_end, count(*) AS n FROM TUMBLE(test.t, ts, INTERVAL '1 second') GROUP BY window_end").await;
    answers::run(&session, "CREATE MATERIALIZED VIEW visits AS SELECT window_end, max(k) AS k FROM SESSION(test.t, ts, INTERVAL '1 second') GROUP BY window_start, window_end").await;
    let late = "SELECT count(*) AS n FROM framesql.late_rows WHERE source = 't' AND ts = TIMESTAMPTZ '1970-01-01 00:00:00.5Z' AND watermark = TIMESTAMPTZ '1970-01-01 00:00:09Z'";
    assert_eq!(answers::number(&session, late).await, 2);
    let of = |job: &str, text: &str| format!("{late} AND job = '{job}' AND row LIKE '%{text}%'");
    // The operator sees the columns that the query reads.
    assert_eq!(answers::number(&session, &of("tumbled", "00:00:00.5")).await, 1);
    assert_eq!(answers::number(&session, &of("visits", "\"k\":\"late\"")).await, 1);
    // The window that ends at nine has fired when its last row comes; the session that the row joins has not.
    let n_late = |name: &str| format!("SELECT n_late AS n FROM framesql.view_stats WHERE name = '{name}'");
    assert_eq!(answers::number(&session, &n_late("tumbled")).await, 2);
    assert_eq!(answers::number(&session, &n_late("visits")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_can_be_read_whoever_drops_them() {
    let rows = vec![(Some(1_000), Some("a"), 1), (Some(9_000), None, 2), (Some(500), Some("late"), 3), (Some(8_500), Some("b"), 4)];
    let session = open(rows, 0).await;
    // By operator: the query, and how many of its inputs drop the row.
    let views = [
        ("Over", "SELECT ts, k, count(*) OVER (ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS c FROM test.t", 1),
        ("Dedup", "SELECT k, ts FROM (SELECT k, ts, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS rn FROM test.t) WHERE rn = 1", 1),
        ("Pattern", "SELECT * FROM test.t MATCH_RECOGNIZE (ORDER BY ts MEASURES a.k AS found PATTERN (a) DEFINE a AS a.n > 0)", 1),
        ("TimedJoin", "SELECT a.k, b.k AS other FROM test.t a JOIN test.t b ON a.n = b.n AND a.ts = b.ts", 2),
        ("AsofJoin", "SELECT a.k, b.k AS other FROM test.t a ASOF JOIN test.t b MATCH_CONDITION (a.ts >= b.ts) ON a.n = b.n", 2),
    ];
    for (operator, query, n_inputs) in views {
        let view = format!("by_{}", operator.to_lowercase());
        answers::run(&session, &format!("CREATE MATERIALIZED VIEW {view} AS {query}")).await;
        let kept = format!(
            "SELECT count(*) AS n FROM framesql.late_rows WHERE job = '{view}' AND operator = '{operator}' AND source = 't'
             AND ts = TIMESTAMPTZ '1970-01-01 00:00:00.5Z' AND watermark = TIMESTAMPTZ '1970-01-01 00:00:09Z' AND row LIKE '%\"k\":\"late\"%'"
        );
        assert_eq!(answers::number(&session, &kept).await, n_inputs, "{operator}");
        let counted = format!("SELECT n_late AS n FROM framesql.view_stats WHERE name = '{view}'");
        assert_eq!(answers::number(&session, &counted).await, 2 * n_inputs, "{operator}");
        let all = format!("SELECT count(*) AS n FROM framesql.late_rows WHERE job = '{view}'");
        assert_eq!(answers::number(&session, &all).await, 2 * n_inputs, "{operator}");
    }
}
