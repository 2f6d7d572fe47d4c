//! What runs beside other things: rows that come at once, threads that end, followers that miss nothing, jobs that fail alone.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use framesql::engine::Engine;
use framesql::engine::session::Session;
use framesql::settings::Settings;
use framesql::view::materialized::End;
use futures::StreamExt;

use crate::answers::{clip, number, numbers, open, rows, run, source, stream, view, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_live_source_arrives_before_the_next_frame() {
    let (engine, session) = open(Settings::default()).await;
    run(&session, "CREATE SOURCE camera FROM 'pattern:' WITH (size = '64x48', fps = 5)").await;
    let camera = source(&engine, "camera");
    let by_view = "CREATE MATERIALIZED VIEW v AS SELECT frame_no, cardinality(detect_faces(frame)) AS n FROM camera; SUBSCRIBE v WITH (snapshot = false)";
    for question in [
        "SUBSCRIBE (SELECT frame_no FROM camera WHERE width = 64)",
        "SUBSCRIBE (SELECT frame_no, cardinality(detect_faces(frame)) AS n FROM camera)",
        by_view,
    ] {
        let mut changes = within(stream(&session, question)).await.unwrap();
        let mut before_the_next = false;
        // A machine that is busy with other tests may be late once, and is not late five times. One that waits for the next frame always is.
        for _ in 0..5 {
            let arrived = within(changes.next()).await.unwrap().unwrap();
            let n_played = camera.n_played().unwrap();
            let newest = numbers(&[arrived], "frame_no").into_iter().max().unwrap();
            before_the_next |= n_played == newest as u64 + 1;
            if before_the_next {
                break;
            }
        }
        assert!(before_the_next, "{question}");
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_leaves_no_thread_behind() {
    let (engine, session) = open(Settings::default()).await;
    clip(&session, "clip").await;
    run(&session, "CREATE SOURCE camera FROM 'pattern:' WITH (size = '64x48', fps = 20)").await;
    for (name, question) in [
        ("clip", "SELECT frame_no, detect_faces(frame) FROM clip"),
        ("clip", "SELECT frame_no FROM clip WHERE frame_no >= 0"),
        ("clip", "SUBSCRIBE (SELECT frame_no, brightness(frame) AS light FROM clip)"),
        ("camera", "SUBSCRIBE (SELECT frame_no, detect_faces(frame) AS faces FROM camera)"),
        ("camera", "SUBSCRIBE (SELECT frame_no FROM camera)"),
    ] {
        let counters = Arc::clone(source(&engine, name).counters());
        let at_rest = Arc::strong_count(&counters);
        let mut dropped = within(stream(&session, question)).await.unwrap();
        assert!(within(dropped.next()).await.unwrap().unwrap().num_rows() > 0, "{question}");
        drop(dropped);
        within(engine.threads().idle()).await;
        // The thread that reads a file holds the file's counters as long as it lives.
        within(async {
            while Arc::strong_count(&counters) > at_rest {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    // One that never gave a row, too.
    drop(within(stream(&session, "SUBSCRIBE (SELECT detect_faces(frame) AS faces FROM camera)")).await.unwrap());
    within(engine.threads().idle()).await;
    assert_eq!(engine.threads().n_running(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_do_not_meet() {
    let ((one, in_one), (other, in_other)) = (open(Settings::default()).await, open(Settings::default()).await);
    run(
        &in_one,
        "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', frames = 9); CREATE MATERIALIZED VIEW v AS SELECT frame_no FROM test",
    )
    .await;
    assert_eq!(rows(&in_other, "SELECT * FROM test").await.unwrap_err().sqlstate(), "42P01");
    run(&in_other, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', frames = 5); CREATE MATERIALIZED VIEW v AS SELECT cardinality(detect_faces(frame)) FROM test").await;
    let model = |engine: &Engine| engine.inference().model("yunet").unwrap().counters.calls.get();
    assert_eq!((model(&one), model(&other)), (0, 5));
    assert_eq!((number(&in_one, "SELECT count(*) FROM v").await, number(&in_other, "SELECT count(*) FROM v").await), (9, 5));
    one.shutdown().await;
    assert_eq!(number(&in_other, "SELECT count(*) FROM test WHERE cardinality(detect_faces(frame)) >= 0").await, 5);
}

/// A function that panics for one row, below which it is the row itself.
fn register_panic(session: &Session) {
    let body = |arguments: &[ColumnarValue]| {
        let rows = ColumnarValue::values_to_arrays(arguments)?;
        let rows = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&rows[0]);
        assert!(rows.iter().flatten().all(|row| row < 25), "this is the panic of the test");
        Ok(ColumnarValue::Array(Arc::new(rows.clone())))
    };
    session.context().register_udf(create_udf("below_25", vec![DataType::Int64], DataType::Int64, Volatility::Volatile, Arc::new(body)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_fails_alone() {
    let (engine, session) = open(Settings { batch_rows: 10, ..Settings::default() }).await;
    register_panic(&session);
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', frames = 2000)").await;
    run(&session, "CREATE MATERIALIZED VIEW good WITH (background = true) AS SELECT frame_no FROM test").await;
    run(&session, "CREATE MATERIALIZED VIEW divided WITH (background = true) AS SELECT 100 / (frame_no - 25) AS n FROM test").await;
    run(&session, "CREATE MATERIALIZED VIEW panicked WITH (background = true) AS SELECT below_25(frame_no) AS n FROM test").await;
    // This one panics on the thread that looks at frames.
    run(
        &session,
        "CREATE MATERIALIZED VIEW looked WITH (background = true) AS SELECT below_25(frame_no) AS n, brightness(frame) FROM test",
    )
    .await;
    for (name, code) in [("divided", "22012"), ("panicked", "XX000"), ("looked", "XX000")] {
        match within(view(&engine, name).ended_with()).await {
            End::Failed { code: found, .. } => assert_eq!(found, code, "{name}"),
            other => panic!("{name} ended: {other:?}"),
        }
        // One who follows it is told, with the view's name.
        let told = rows(&session, &format!("SUBSCRIBE {name}")).await.unwrap_err();
        assert!(told.sqlstate() == code && told.to_string().contains(name), "{told}");
    }
    assert_eq!(within(view(&engine, "good").ended_with()).await, End::Whole);
    assert_eq!(number(&session, "SELECT count(*) FROM good").await, 2000);
    // A statement that waits for its view errs, and the view is not there.
    assert_eq!(
        rows(&session, "CREATE MATERIALIZED VIEW gone AS SELECT 100 / (frame_no - 25) AS n FROM test").await.unwrap_err().sqlstate(),
        "22012"
    );
    assert!(engine.catalog().find("gone").is_none());
    within(engine.threads().idle()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_misses_nothing_and_sees_nothing_twice() {
    let (engine, session) = open(Settings { batch_rows: 8, ..Settings::default() }).await;
    let n_rows = 20_000;
    run(&session, &format!("CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 1000, frames = {n_rows})")).await;
    run(&session, "CREATE MATERIALIZED VIEW v WITH (background = true) AS SELECT frame_no, ts FROM test").await;
    run(&session, "CREATE MATERIALIZED VIEW above WITH (background = true) AS SELECT frame_no FROM v WHERE frame_no >= 0").await;
    let mut first = within(stream(&session, "SUBSCRIBE v")).await.unwrap();
    let (mut seen, mut followers) = (Vec::new(), Vec::new());
    while let Some(changes) = within(first.next()).await {
        seen.extend(numbers(&[changes.unwrap()], "frame_no"));
        // Others join while commits go on.
        if followers.len() < 16 && seen.len() > 1000 * followers.len() {
            let snapshot = followers.len() % 2 == 0;
            followers.push((snapshot, within(stream(&session, &format!("SUBSCRIBE v WITH (snapshot = {snapshot})"))).await.unwrap()));
        }
    }
    let all: Vec<i64> = (0..n_rows).collect();
    assert!(seen == all, "the first saw {} rows", seen.len());
    assert!(followers.len() > 3);
    for (at, (snapshot, follower)) in followers.into_iter().enumerate() {
        let changes: Vec<_> = within(follower.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect();
        let seen = numbers(&changes, "frame_no");
        // Without the snapshot it is what came after it joined: the rest, whole.
        let from = if snapshot { 0 } else { all.len() - seen.len() };
        assert!(seen == all[from..], "follower {at} saw {} rows", seen.len());
    }
    within(view(&engine, "above").ended_with()).await;
    assert_eq!(number(&session, "SELECT count(DISTINCT frame_no) FROM above").await, n_rows);
    assert_eq!(number(&session, "SELECT count(*) FROM above").await, n_rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_ends_a_subscription_with_an_error() {
    let (engine, session) = open(Settings::default()).await;
    run(&session, "CREATE SOURCE camera FROM 'pattern:' WITH (size = '64x48', fps = 50)").await;
    run(&session, "CREATE MATERIALIZED VIEW v AS SELECT frame_no, brightness(frame) AS light FROM camera").await;
    let mut changes = within(stream(&session, "SUBSCRIBE v")).await.unwrap();
    within(changes.next()).await.unwrap().unwrap();
    run(&session, "DROP MATERIALIZED VIEW v").await;
    let error = within(async {
        loop {
            match changes.next().await {
                Some(Ok(_)) => {}
                Some(Err(e)) => break framesql::error::Error::from(e),
                None => panic!("the subscription ended as if it were whole"),
            }
        }
    })
    .await;
    assert_eq!(error.sqlstate(), "55000");
    assert!(error.to_string().contains("\"v\" was dropped"), "{error}");
    within(engine.threads().idle()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_drops_what_is_older() {
    let (_engine, session) = open(Settings { batch_rows: 10, ..Settings::default() }).await;
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 100)").await;
    run(&session, "CREATE MATERIALIZED VIEW v WITH (retention = '1 s') AS SELECT ts, frame_no FROM test").await;
    // The last frame is at 3.96 s: what is before 2.96 s, frame 74, has gone.
    assert_eq!(number(&session, "SELECT min(frame_no) FROM v").await, 74);
    assert_eq!(number(&session, "SELECT count(*) FROM v").await, 26);
    assert_eq!(number(&session, "SELECT count(*) FROM test").await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_source_holds_no_row_of_a_fast_one_back() {
    let (engine, session) = open(Settings::default()).await;
    run(&session, "CREATE SOURCE fast FROM 'pattern:' WITH (size = '64x48', fps = 50)").await;
    run(&session, "CREATE SOURCE slow FROM 'pattern:' WITH (size = '64x48', fps = 0.01, idle_timeout = '1 h')").await;
    let both = "SELECT source, frame_no FROM fast UNION ALL SELECT source, frame_no FROM slow";
    run(&session, &format!("CREATE MATERIALIZED VIEW v AS {both}; CREATE MATERIALIZED VIEW above AS SELECT frame_no FROM v")).await;
    for question in [format!("SUBSCRIBE ({both})"), "SUBSCRIBE v".to_owned(), "SUBSCRIBE above".to_owned()] {
        let mut changes = within(stream(&session, &question)).await.unwrap();
        let mut n_rows = 0;
        while n_rows < 20 {
            n_rows += within(changes.next()).await.unwrap().unwrap().num_rows();
        }
        assert!(source(&engine, "slow").n_played().unwrap() <= 1, "{question}: the slow source was waited for");
    }
    engine.shutdown().await;
}
