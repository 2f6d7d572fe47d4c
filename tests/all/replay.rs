//! The law: over sources that end, the continuous answer is the SELECT's, at any batch size and after a snapshot and restore at any row.
//!
//! `CASE=1234 cargo test` runs only that random query; `CASES=5000 cargo test` runs more of them; `QUESTION=motion cargo test` asks only the
//! questions with that in their path.

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
    pub(crate) n_rows: usize,
    /// How many rows were taken back on the way.
    pub(crate) n_gone: usize,
    /// Whether rows came before a barrier, and more after it.
    pub(crate) divided: bool,
}

/// What a run gave: the rows that came, and those that went.
type Given<'a> = (&'a [RecordBatch], &'a [RecordBatch]);

/// The sum of the diffs of some runs one after another.
fn sum(runs: &[Given<'_>]) -> Result<Bag, String> {
    let all = |of: fn(&Given<'_>) -> Vec<RecordBatch>| runs.iter().flat_map(of).collect::<Vec<_>>();
    oracle::without(oracle::bag(&all(|(rows, _)| rows.to_vec())), &oracle::bag(&all(|(_, gone)| gone.to_vec())))
}

/// Compares a query's answers, given as `emit` says; a barrier stands after a random one of `n_rows` rows of each source.
pub(crate) async fn compare(session: &Session, query: &str, emit: &str, rng: &mut fastrand::Rng, n_rows: u64) -> Result<Compared, String> {
    let expected = oracle::bag(&answers::rows(session, query).await.map_err(|e| format!("SELECT: {e}"))?);
    let replay = Replay::of(session, &format!("{query} {emit}")).await.map_err(|e| format!("continuous: {e}"))?;
    let same = |what: &str, found: Result<Bag, String>| {
        found.and_then(|found| oracle::same(&expected, &found)).map_err(|e| format!("{what} {emit}: {e}"))
    };
    let mut n_gone = 0;
    for batch_rows in BATCH_ROWS {
        let conditions = Conditions { batch_rows: Some(batch_rows), ..Conditions::default() };
        let whole = replay.run(conditions).await.map_err(|e| format!("batches of {batch_rows}: {e}"))?;
        n_gone += whole.gone.iter().map(RecordBatch::num_rows).sum::<usize>();
        same(&format!("batches of {batch_rows}"), sum(&[(&whole.rows, &whole.gone)]))?;
        let late = whole.counters.n_late.get() + whole.counters.n_partly_late.get();
        if late > 0 {
            return Err(format!("batches of {batch_rows}: {late} rows of a source in order were late"));
        }
    }
    // What is written of the plan is all that it is.
    let text = replay.written().map_err(|e| format!("written: {e}"))?;
    let read = Replay::read(session, &text).map_err(|e| format!("read back: {e}"))?;
    if read.written().map_err(|e| format!("written again: {e}"))? != text {
        return Err(format!("what was read back is written otherwise than {text}"));
    }
    let again = read.run(Conditions { batch_rows: Some(7), ..Conditions::default() }).await.map_err(|e| format!("read back: {e}"))?;
    same("read back", sum(&[(&again.rows, &again.gone)]))?;
    let at = rng.u64(..n_rows + 3);
    let (batch_rows, then) = (BATCH_ROWS[rng.usize(..3)], BATCH_ROWS[rng.usize(..3)]);
    let what = format!("restored after row {at}, batches of {batch_rows} and then {then}");
    let first = Conditions { batch_rows: Some(batch_rows), barrier_after_rows: Some(at), ..Conditions::default() };
    let first = replay.run(first).await.map_err(|e| format!("{what}: {e}"))?;
    let undisturbed = sum(&[(&first.rows, &first.gone), (&first.rows_after, &first.gone_after)]);
    same(&format!("with a barrier after row {at}, batches of {batch_rows}"), undisturbed)?;
    let restored = first.snapshot.ok_or_else(|| format!("{what}: the barrier did not come"))?;
    let second = Conditions { batch_rows: Some(then), restored, ..Conditions::default() };
    let second = replay.run(second).await.map_err(|e| format!("{what}: {e}"))?;
    let divided = !first.rows.is_empty() && !second.rows.is_empty();
    same(&what, sum(&[(&first.rows, &first.gone), (&second.rows, &second.gone)]))?;
    Ok(Compared { n_rows: oracle::n_rows(&expected), n_gone, divided })
}

async fn run_case(session: &Session, number: u64, case: &Case) -> Result<Compared, String> {
    for source in &case.sources {
        answers::rows(session, source).await.map_err(|e| e.to_string())?;
    }
    compare(session, &case.query, case.emit, &mut fastrand::Rng::with_seed(number), case.n_frames).await
}

#[test]
fn random_queries_answer_the_same_however_they_are_run() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let (next, end) = match variable("CASE") {
        Some(number) => (AtomicU64::new(number), number + 1),
        None => (AtomicU64::new(0), variable("CASES").unwrap_or(CASES)),
    };
    let n_cases = end - next.load(Ordering::Relaxed);
    let [n_answering, n_divided, n_updated] = [const { AtomicUsize::new(0) }; 3];
    let failures = parking_lot::Mutex::new(Vec::new());
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
                        n_updated.fetch_add(usize::from(compared.n_gone > 0), Ordering::Relaxed);
                    }
                    Err(reason) => failures.lock().push(format!(
                        "CASE={number}\n{};\n{} {};\n  {reason}",
                        case.sources.join(";\n"),
                        case.query,
                        case.emit
                    )),
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
    let [n_answering, n_divided, n_updated] = [n_answering, n_divided, n_updated].map(|n| n.into_inner() as u64);
    assert!(n_cases == 1 || n_answering * 10 >= n_cases * 7, "only {n_answering} of {n_cases} queries have an answer");
    assert!(n_cases == 1 || n_divided * 10 >= n_cases * 3, "only {n_divided} of {n_cases} answers were divided by their barrier");
    assert!(n_cases == 1 || n_updated * 10 >= n_cases, "only {n_updated} of {n_cases} answers were updated on the way");
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
    let (mut compared, mut n_frames) = (Vec::new(), 56);
    let only = std::env::var("QUESTION").unwrap_or_default();
    for (mark, emit) in [("", ""), ("+", "EMIT CHANGES"), ("*", "EMIT EVERY INTERVAL '700 milliseconds'")] {
        for question in files::questions().into_iter().filter(|path| path.to_string_lossy().contains(&only)) {
            let query = unsorted(&files::text(&question));
            match Replay::of(&session, &format!("{query} {emit}")).await {
                Ok(_) => {
                    let all = compare(&session, &query, emit, &mut rng, n_frames).await;
                    let all = all.unwrap_or_else(|e| panic!("{}: {e}", question.display()));
                    assert!(all.n_rows > 0 || !mark.is_empty(), "{} has no answer", question.display());
                    compared.push(format!("{}{mark}", question.file_stem().unwrap().to_string_lossy()));
                }
                // OVER, and GROUP BY without a window or EMIT: refused with the reason.
                Err(e) => assert!(["0A000", "42P20"].contains(&e.sqlstate()) && e.hint().is_some(), "{}: {e}", question.display()),
            }
        }
        // What is told again and again is asked of a shorter stretch not far behind a keyframe, with four faces and then none.
        answers::run(&session, "CREATE OR REPLACE VIEW clip AS SELECT * FROM lobby WHERE frame_no BETWEEN 268 AND 280").await;
        n_frames = 13;
    }
    // Without a mark as windows close, with + as they change, with * every 700 milliseconds.
    let expected = "alone_until_company busiest_two_seconds by_side_and_in_all cuts faces_of_each_frame faces_per_second faces_smoothed faces_so_far \
        first_seen \
        first_two_faces largest_face_per_second left_middle_right motion_at_keyframes night_motion one_second_later privacy \
        sharpest_per_three_seconds still_then_moving two_largest_faces visits \
        alone_until_company+ busiest_two_seconds+ by_side_and_in_all+ cuts+ faces_of_each_frame+ faces_per_second+ faces_smoothed+ faces_so_far+ first_seen+ first_two_faces+ \
        frames_by_faces+ largest_face_per_second+ last_seen+ left_middle_right+ motion_at_keyframes+ night_motion+ privacy+ \
        share_of_time_occupied+ sharpest_per_three_seconds+ still_then_moving+ two_largest_faces+ visits+ \
        busiest_two_seconds* by_side_and_in_all* faces_per_second* faces_so_far* frames_by_faces* largest_face_per_second* last_seen* left_middle_right* \
        night_motion* share_of_time_occupied* sharpest_per_three_seconds* visits*";
    let expected = expected.split_whitespace().filter(|name| name.contains(&only));
    assert_eq!(compared, expected.collect::<Vec<_>>());
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
        let compared =
            compare(&session, &query, "", &mut fastrand::Rng::with_seed(3), 100).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        assert!(compared.n_rows >= 20, "{query}");
    }
}

/// A view is read from where its reader stood, like a source; and a window of windows needs no other names.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_over_a_view_goes_on_from_its_snapshot() {
    let (_engine, session) = answers::open(Settings { batch_rows: 5, ..Settings::default() }).await;
    answers::run(
        &session,
        "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 240, boxes = 2);
         CREATE MATERIALIZED VIEW frames AS SELECT source, frame_no, ts, keyframe, truth FROM test WHERE frame_no % 3 <> 1;
         CREATE MATERIALIZED VIEW halves AS SELECT window_start, window_end, window_time, keyframe, count(*) AS n
           FROM TUMBLE(frames, ts, INTERVAL '500 milliseconds') GROUP BY window_start, window_end, window_time, keyframe",
    )
    .await;
    for (query, n_rows) in [
        ("SELECT frame_no, ts FROM frames WHERE frame_no > 20", 160),
        ("SELECT f.frame_no, thing.track_id AS track FROM frames AS f CROSS JOIN UNNEST(f.truth) AS thing", 160),
        ("SELECT window_start, count(*) AS n, sum(frame_no) AS s FROM TUMBLE(frames, ts, INTERVAL '1 second') GROUP BY window_start", 160),
        ("SELECT window_end, count(*) AS n FROM HOP(frames, ts, INTERVAL '1 second', INTERVAL '3 seconds') GROUP BY window_end, keyframe", 160),
        ("SELECT window_start, window_end, sum(n) AS n FROM TUMBLE(halves, window_time, INTERVAL '2 seconds') GROUP BY window_start, window_end", 20),
        ("SELECT window_end, sum(n) AS n FROM HOP(halves, window_start, INTERVAL '1 second', INTERVAL '2 seconds') GROUP BY window_end", 20),
        ("SELECT frame_no, ts FROM frames UNION ALL SELECT n, window_end FROM halves", 160),
        (
            "SELECT window_start, sum(m) AS m FROM TUMBLE((SELECT window_start, window_time, max(n) AS m FROM
               TUMBLE(halves, window_time, INTERVAL '1 second') GROUP BY window_start, window_time), window_time, INTERVAL '4 seconds') GROUP BY window_start",
            20,
        ),
        ("SELECT frame_no FROM frames UNION ALL SELECT * FROM (VALUES (1), (2), (3)) AS v", 160),
        ("VALUES (1, 'a'), (2, 'b'), (3, NULL)", 3),
    ] {
        // Several places of the barrier: at the start, within, at the end.
        for seed in 0..6 {
            let compared = compare(&session, query, "", &mut fastrand::Rng::with_seed(seed), n_rows).await;
            let compared = compared.unwrap_or_else(|e| panic!("{query}: {e}"));
            assert!(compared.n_rows > 0, "{query}");
        }
    }
}
