//! What is counted exactly: calls of models, frames decoded, bytes copied.

use std::sync::Arc;

use framesql::engine::Engine;
use framesql::engine::replay::{Conditions, Replay};
use framesql::settings::Settings;
use framesql::view::materialized::End;
use futures::StreamExt;

use crate::answers::{clip, number, open, run, source, stream, view, within};

/// Without a cache of results: a call that a plan makes twice is seen.
fn uncached() -> Settings {
    Settings { model_cache_bytes: 0, ..Settings::default() }
}

/// Inferences run, and results taken from the cache.
fn calls(engine: &Engine) -> (u64, u64) {
    let model = engine.inference().model("yunet").unwrap();
    (model.counters.calls.get(), model.counters.cached.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_lets_through_exactly_the_rows_that_sql_would_reach() {
    let (engine, session) = open(uncached()).await;
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 40)").await;
    let faces = "cardinality(detect_faces(frame))";
    // What is asked, the calls that it takes, and whether it has a continuous form.
    let questions = [
        (format!("SELECT frame_no, {faces} + {faces} AS twice FROM test WHERE {faces} >= 0"), 40, true),
        (format!("SELECT {faces} AS n FROM test WHERE frame_no < 7"), 7, true),
        (format!("SELECT {faces} AS n FROM test WHERE frame_no < 7 AND {faces} > 1000"), 7, true),
        (format!("SELECT frame_no FROM test WHERE frame_no % 4 = 0 AND {faces} = 0"), 10, true),
        (format!("SELECT coalesce(nullif(frame_no, 3), {faces}) AS n FROM test"), 1, true),
        (format!("SELECT coalesce({faces}, frame_no) AS n FROM test"), 40, true),
        (format!("SELECT CASE WHEN frame_no < 5 THEN 1 WHEN {faces} > 0 THEN 2 ELSE 3 END AS n FROM test"), 35, true),
        (format!("SELECT CASE WHEN frame_no < 5 THEN {faces} WHEN frame_no < 8 THEN {faces} + 1 ELSE 0 END AS n FROM test"), 8, true),
        (format!("SELECT CASE WHEN frame_no < 20 THEN CASE WHEN frame_no > 16 THEN {faces} END ELSE 0 END AS n FROM test"), 3, true),
        (format!("SELECT frame_no > 29 OR {faces} > 0 AS n FROM test"), 30, true),
        (format!("SELECT frame_no < 4 AND {faces} > 0 AS n FROM test"), 4, true),
        (format!("SELECT sum({faces}) AS n FROM test"), 40, false),
        (format!("SELECT sum(CASE WHEN keyframe AND frame_no > 36 THEN {faces} END) AS n FROM test"), 3, false),
        (format!("SELECT max({faces}) FILTER (WHERE frame_no < 6) AS a, count(*) FILTER (WHERE frame_no < 9) AS b FROM test"), 6, false),
        (format!("SELECT window_start, sum({faces}) AS n FROM TUMBLE(test, ts, INTERVAL '1 second') GROUP BY window_start"), 40, true),
        (
            format!(
                "SELECT window_start, sum({faces}) FILTER (WHERE frame_no < 30) AS n FROM TUMBLE(test, ts, INTERVAL '1 second') GROUP BY window_start"
            ),
            30,
            true,
        ),
        // Several guards over one call: it is made where one of them lets it through, and not where DataFusion would make it common.
        (
            format!("SELECT max({faces}) FILTER (WHERE frame_no < 6) AS a, min({faces}) FILTER (WHERE frame_no < 4) AS b FROM test"),
            6,
            false,
        ),
        (
            format!("SELECT max({faces}) FILTER (WHERE frame_no < 6) AS a, sum({faces} + 1) FILTER (WHERE frame_no > 37) AS b FROM test"),
            8,
            false,
        ),
        (
            format!(
                "SELECT window_start, max({faces}) FILTER (WHERE frame_no < 6) AS a, min({faces}) FILTER (WHERE frame_no < 9) AS b FROM TUMBLE(test, ts, INTERVAL '1 second') GROUP BY window_start"
            ),
            9,
            true,
        ),
        (
            format!("SELECT CASE WHEN frame_no < 3 THEN {faces} END AS a, CASE WHEN frame_no > 37 THEN {faces} + 1 END AS b FROM test"),
            5,
            true,
        ),
        (
            format!(
                "SELECT sum(CASE WHEN frame_no < 3 THEN {faces} END) AS a, sum(CASE WHEN frame_no < 5 THEN {faces} END) AS b FROM test"
            ),
            5,
            false,
        ),
        (format!("SELECT frame_no < 4 AND {faces} > 0 AS a, frame_no < 6 AND {faces} > 1 AS b FROM test"), 6, true),
        (
            format!(
                "SELECT frame_no FROM test WHERE frame_no < 6 AND {faces} = 0 ORDER BY {faces}, CASE WHEN frame_no < 2 THEN {faces} END"
            ),
            6,
            false,
        ),
        // The value of a subquery is known before the first row.
        (format!("SELECT frame_no, {faces} AS n FROM test WHERE frame_no > (SELECT max(frame_no) - 4 FROM test)"), 4, false),
        // A call whose result nobody reads is not made.
        (format!("SELECT frame_no FROM (SELECT frame_no, {faces} AS n FROM test) AS q"), 0, true),
    ];
    let mut wrong = Vec::new();
    for (question, expected, continuous) in &questions {
        let before = calls(&engine).0;
        run(&session, question).await;
        let selected = calls(&engine).0 - before;
        if selected != *expected {
            wrong.push(format!("{question}: {selected} calls, not {expected}"));
        }
        if *continuous {
            let before = calls(&engine).0;
            let replay = Replay::of(&session, question).await.unwrap_or_else(|e| panic!("{question}: {e}"));
            within(replay.run(Conditions { batch_rows: Some(3), ..Conditions::default() })).await.unwrap();
            let replayed = calls(&engine).0 - before;
            if replayed != *expected {
                wrong.push(format!("{question}, continuous: {replayed} calls, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(calls(&engine).1, 0, "nothing is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_used_twice_calls_once_a_frame() {
    let (engine, session) = open(Settings::default()).await;
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 30)").await;
    let twice = "WITH seen AS (SELECT frame_no, cardinality(detect_faces(frame)) AS n FROM test)
        SELECT count(*) FROM (SELECT * FROM seen UNION ALL SELECT * FROM seen) AS q WHERE n >= 0";
    assert_eq!(number(&session, twice).await, 60);
    assert_eq!(calls(&engine), (30, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_views_over_one_live_camera_look_at_a_frame_once() {
    let (engine, session) = open(Settings::default()).await;
    run(&session, "CREATE SOURCE camera FROM 'pattern:' WITH (size = '64x48', fps = 50, frames = 150, pace = 'realtime')").await;
    for at in 0..10 {
        let score = 0.5 + f64::from(at) / 100.0;
        run(&session, &format!("CREATE MATERIALIZED VIEW v{at} AS SELECT frame_no, detect_faces(frame, {score}) AS faces FROM camera"))
            .await;
    }
    // The last of them sees three frames; when the camera ends, all ten do.
    let mut last = within(stream(&session, "SUBSCRIBE v9")).await.unwrap();
    let mut n_rows = 0;
    while n_rows < 3 {
        n_rows += within(last.next()).await.unwrap().unwrap().num_rows();
    }
    for at in 0..10 {
        assert_eq!(within(view(&engine, &format!("v{at}")).ended_with()).await, End::Whole);
    }
    let all: Vec<String> = (0..10).map(|at| format!("SELECT frame_no FROM v{at}")).collect();
    let all = all.join(" UNION ALL ");
    let n_frames = number(&session, &format!("SELECT count(DISTINCT frame_no) FROM ({all}) AS q")).await as u64;
    let n_rows = number(&session, &format!("SELECT count(*) FROM ({all}) AS q")).await as u64;
    assert_eq!(calls(&engine), (n_frames, n_rows - n_frames));
    assert!(
        n_rows >= n_frames + 9 * 3 - source(&engine, "camera").counters().frames_shed.get().min(20),
        "{n_rows} rows of {n_frames} frames"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_decodes_what_it_looks_at_and_copies_nothing() {
    let (engine, session) = open(Settings::default()).await;
    clip(&session, "clip").await;
    let counters = Arc::clone(source(&engine, "clip").counters());
    for columns in ["count(*)", "count(*) FILTER (WHERE keyframe)", "sum(width), min(frame_no), max(ts), max(source)"] {
        run(&session, &format!("SELECT {columns} FROM clip WHERE frame_no >= 0")).await;
        assert_eq!(counters.frames_decoded.get(), 0, "{columns}");
    }
    let before = counters.frames_decoded.get();
    let detect = "SELECT window_start, sum(cardinality(detect_faces(frame))) FROM TUMBLE(clip, ts, INTERVAL '1 second') WHERE frame_no < 30 GROUP BY window_start";
    run(&session, detect).await;
    run(&session, &format!("CREATE MATERIALIZED VIEW v AS {detect}")).await;
    assert!(counters.frames_decoded.get() >= before + 60);
    assert_eq!(counters.bytes_copied.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_stops_the_decoder() {
    let (engine, session) = open(Settings::default()).await;
    clip(&session, "clip").await;
    let counters = Arc::clone(source(&engine, "clip").counters());
    let batch = engine.settings().batch_frames as u64;
    // Two batches wait for their reader, and one is being made when the reader goes.
    let queue = 3 * batch;
    for (limit, question) in [
        (1, "SELECT frame_no FROM clip WHERE cardinality(detect_faces(frame)) >= 0 LIMIT 1"),
        (5, "SELECT frame_no, detect_faces(frame) FROM clip LIMIT 5"),
        (20, "SELECT frame_no, cardinality(detect_faces(frame)) FROM clip LIMIT 20"),
        (10, "SELECT brightness(frame) FROM clip LIMIT 7 OFFSET 3"),
    ] {
        let before = counters.frames_decoded.get();
        run(&session, question).await;
        within(engine.threads().idle()).await;
        let decoded = counters.frames_decoded.get() - before;
        assert!(decoded >= limit && decoded <= limit + batch + queue, "{question}: {decoded} decoded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_decoded_that_another_is_compared_with_and_no_more() {
    let (engine, session) = open(Settings::default()).await;
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 100)").await;
    let decoded = Arc::clone(source(&engine, "test").counters());
    // What is asked, and how many pictures it takes.
    let questions = [
        ("SELECT motion(frame) FROM test", 100),
        ("SELECT motion(frame) FROM test WHERE frame_no = 0", 1),
        ("SELECT motion(frame) FROM test WHERE frame_no = 10", 2),
        ("SELECT motion(frame), detect_motion(frame), brightness(frame) FROM test WHERE frame_no BETWEEN 10 AND 12", 4),
        ("SELECT frame_no FROM test WHERE frame_no BETWEEN 10 AND 12 AND motion(frame) > 0", 4),
        ("SELECT motion(frame) FROM test WHERE ts >= '1970-01-01 00:00:01+00' AND ts < '1970-01-01 00:00:01.08+00'", 3),
        ("SELECT motion(frame) FROM test WHERE ts < '1970-01-01 00:00:00.12+00'", 3),
        ("SELECT brightness(frame) FROM test WHERE frame_no BETWEEN 10 AND 12", 3),
        ("SELECT ts FROM (SELECT ts, motion(frame) AS m FROM test) AS q", 0),
    ];
    for (question, expected) in questions {
        let before = decoded.frames_decoded.get();
        run(&session, question).await;
        assert_eq!(decoded.frames_decoded.get() - before, expected, "{question}");
    }
    // Only keyframes pass, and the frames before them are looked at all the same.
    clip(&session, "clip").await;
    let keyframes = number(&session, "SELECT count(*) FROM clip WHERE keyframe").await;
    assert_eq!(number(&session, "SELECT count(motion(frame)) FROM clip WHERE keyframe").await, keyframes - 1);
    engine.shutdown().await;
}
