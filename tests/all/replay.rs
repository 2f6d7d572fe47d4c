//! The law: over sources that end, the continuous answer is the SELECT's, at any batch size and after a snapshot and restore at any row.
//!
//! `CASE=1234 cargo test` runs only that random query; `CASES=5000 cargo test` runs more of them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use framesql::engine::replay::{Conditions, Replay};
use framesql::engine::session::Session;
use framesql::settings::Settings;

use crate::oracle::{self, Bag};
use crate::random::{self, Case};
use crate::{answers, files};

/// Rows of a batch: each row alone, a number that divides nothing, more than most sources hold.
const BATCH_ROWS: [usize; 3] = [1, 7, 64];
/// How many random queries run.
const CASES: u64 = 300;

/// What was compared.
pub(crate) struct Compared {
    n_rows: usize,
    /// Whether rows came before a barrier, and more after it.
    divided: bool,
}

/// Compares a query's answers; a barrier stands after a random one of `n_rows` rows of each source.
pub(crate) async fn compare(session: &Session, query: &str, rng: &mut fastrand::Rng, n_rows: u64) -> Result<Compared, String> {
    let expected = oracle::bag(&answers::rows(session, query).await.map_err(|e| format!("SELECT: {e}"))?);
    let replay = Replay::of(session, query).await.map_err(|e| format!("continuous: {e}"))?;
    let same = |what: &str, found: &Bag| oracle::same(&expected, found).map_err(|e| format!("{what}: {e}"));
    for batch_rows in BATCH_ROWS {
        let conditions = Conditions { batch_rows: Some(batch_rows), ..Conditions::default() };
        let whole = replay.run(conditions).await.map_err(|e| format!("batches of {batch_rows}: {e}"))?;
        same(&format!("batches of {batch_rows}"), &oracle::bag(&whole.rows))?;
        let late = whole.counters.n_late.get() + whole.counters.n_partly_late.get();
        if late > 0 {
            return Err(format!("batches of {batch_rows}: {late} rows of a source in order were late"));
        }
    }
    let at = rng.u64(..n_rows + 3);
    let (batch_rows, then) = (BATCH_ROWS[rng.usize(..3)], BATCH_ROWS[rng.usize(..3)]);
    let what = format!("restored after row {at}, batches of {batch_rows} and then {then}");
    let first = Conditions { batch_rows: Some(batch_rows), barrier_after_rows: Some(at), ..Conditions::default() };
    let first = replay.run(first).await.map_err(|e| format!("{what}: {e}"))?;
    let undisturbed: Vec<RecordBatch> = first.rows.iter().chain(&first.rows_after).cloned().collect();
    same(&format!("with a barrier after row {at}, batches of {batch_rows}"), &oracle::bag(&undisturbed))?;
    let restored = first.snapshot.ok_or_else(|| format!("{what}: the barrier did not come"))?;
    let second = Conditions { batch_rows: Some(then), restored, ..Conditions::default() };
    let second = replay.run(second).await.map_err(|e| format!("{what}: {e}"))?;
    let divided = !first.rows.is_empty() && !second.rows.is_empty();
    let together: Vec<RecordBatch> = first.rows.into_iter().chain(second.rows).collect();
    same(&what, &oracle::bag(&together))?;
    Ok(Compared { n_rows: oracle::n_rows(&expected), divided })
}

async fn run_case(session: &Session, number: u64, case: &Case) -> Result<Compared, String> {
    for source in &case.sources {
        answers::rows(session, source).await.map_err(|e| e.to_string())?;
    }
    compare(session, &case.query, &mut fastrand::Rng::with_seed(number), case.n_frames).await
}

#[test]
fn random_queries_answer_the_same_however_they_are_run() {
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
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    break;
                }
                let case = random::case(number);
                match run_case(&session, number, &case).await {
                    Ok(compared) => {
                        n_answering.fetch_add(usize::from(compared.n_rows > 0), Ordering::Relaxed);
                        n_divided.fetch_add(usize::from(compared.divided), Ordering::Relaxed);
                    }
                    Err(reason) => {
                        failures.lock().push(format!("CASE={number}\n{};\n{};\n  {reason}", case.sources.join(";\n"), case.query))
                    }
                }
            }
            // None of the queries reads a pixel, so none is made.
            let decoded =
                oracle::bag(&answers::rows(&session, "SELECT coalesce(sum(frames_decoded), 0) FROM framesql.source_stats").await.unwrap());
            assert!(decoded.contains_key(&vec!["=0".to_owned()]), "{decoded:?}");
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
    // The comparison is worth something: most queries have an answer, and many an answer on both sides of the barrier.
    let (n_answering, n_divided) = (n_answering.into_inner() as u64, n_divided.into_inner() as u64);
    assert!(n_cases == 1 || n_answering * 10 >= n_cases * 7, "only {n_answering} of {n_cases} queries have an answer");
    assert!(n_cases == 1 || n_divided * 10 >= n_cases * 3, "only {n_divided} of {n_cases} answers were divided by their barrier");
}

/// The question without what sorts and cuts its answer, which a continuous query has no end for.
fn unsorted(question: &str) -> String {
    let text = question.lines().filter(|l| !l.starts_with("--")).collect::<Vec<_>>().join("\n");
    text.split("\nORDER BY").next().unwrap_or_default().trim_end_matches([';', '\n']).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_with_a_continuous_form_answers_the_same() {
    let (_engine, session) = answers::open(Settings::default()).await;
    let clip = files::root().join("media/lobby.mp4").display().to_string();
    // A stretch of the clip with one face and several: it is decoded a few times over.
    let made =
        format!("CREATE SOURCE lobby FROM 'file://{clip}'; CREATE VIEW clip AS SELECT * FROM lobby WHERE frame_no BETWEEN 75 AND 130");
    answers::run(&session, &made).await;
    let mut rng = fastrand::Rng::with_seed(2);
    let mut compared = Vec::new();
    for question in files::ending(&["queries"], &["sql"]) {
        let query = unsorted(&files::text(&question));
        match Replay::of(&session, &query).await {
            Ok(_) => {
                let all = compare(&session, &query, &mut rng, 56).await.unwrap_or_else(|e| panic!("{}: {e}", question.display()));
                assert!(all.n_rows > 0, "{} has no answer", question.display());
                compared.push(question.file_stem().unwrap().to_string_lossy().into_owned());
            }
            // OVER, and GROUP BY without a window: refused with the reason.
            Err(e) => assert!(["0A000", "42P20"].contains(&e.sqlstate()) && e.hint().is_some(), "{}: {e}", question.display()),
        }
    }
    let expected = [
        "busiest_two_seconds",
        "by_side_and_in_all",
        "faces_per_second",
        "faces_so_far",
        "first_two_faces",
        "largest_face_per_second",
        "left_middle_right",
        "two_largest_faces",
        "visits",
    ];
    assert_eq!(compared, expected);
}

/// Rows of a window come when it closes, so every other time in them is late by up to its length: a window over that time waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_a_window_holds_back_is_not_late() {
    let (_engine, session) = answers::open(Settings::default()).await;
    answers::run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 100)").await;
    let held = "SELECT window_end AS closed, ts AS at, count(*) AS n FROM TUMBLE(test, ts, INTERVAL '1 second') GROUP BY window_end, ts";
    let twice = format!(
        "SELECT window_start AS opened, at, count(*) AS n FROM HOP(({held}), closed, INTERVAL '1 second', INTERVAL '3 seconds') GROUP BY window_start, at"
    );
    for query in [
        format!("SELECT window_start, count(*) FROM TUMBLE(({held}), at, INTERVAL '100 milliseconds') GROUP BY window_start"),
        format!("SELECT at, sum(n) FROM ({held}) AS h GROUP BY at"),
        format!("SELECT at, sum(n) FROM ({twice}) AS h GROUP BY at"),
        format!("SELECT window_time, sum(n) FROM TUMBLE(({twice}), at, INTERVAL '200 milliseconds') GROUP BY window_time"),
    ] {
        let compared = compare(&session, &query, &mut fastrand::Rng::with_seed(3), 100).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        assert!(compared.n_rows >= 20, "{query}");
    }
}
