//! Views that take rows back, while they do: who follows from any moment has what the view has, readers see whole commits, a restart goes on.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use framesql::engine::session::Session;
use framesql::settings::Settings;
use futures::StreamExt;

use crate::answers::{number, open, rows, run, stream, view, within};
use crate::oracle::{self, Bag};

const SOURCE: &str = "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 3000)";

/// The sum of a changelog's diffs. Its watermark never goes back, and nothing is taken back that is not there.
async fn followed(session: &Session, subscribe: &str) -> Bag {
    let mut changes = within(stream(session, subscribe)).await.unwrap();
    let (mut bag, mut last_us) = (Bag::new(), i64::MIN);
    while let Some(batch) = within(changes.next()).await {
        let batch = batch.unwrap();
        let diffs = batch.column(1).as_primitive::<Int32Type>().values().to_vec();
        for us in batch.column(0).as_primitive::<TimestampMicrosecondType>().values() {
            assert!(*us >= last_us, "the watermark goes back");
            last_us = *us;
        }
        let columns: Vec<usize> = (2..batch.num_columns()).collect();
        for (at, diff) in diffs.into_iter().enumerate() {
            let row: RecordBatch = batch.slice(at, 1).project(&columns).unwrap();
            let row = oracle::bag(&[row]);
            if diff > 0 {
                row.into_iter().for_each(|(exact, floats)| bag.entry(exact).or_default().extend(floats));
            } else {
                bag = oracle::without(bag, &row).unwrap();
            }
        }
    }
    bag
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_an_updating_view_from_any_moment_ends_with_what_it_holds() {
    let (engine, session) = open(Settings { batch_rows: 7, ..Settings::default() }).await;
    run(&session, SOURCE).await;
    run(
        &session,
        "CREATE MATERIALIZED VIEW parts WITH (background = true) AS
           SELECT frame_no % 50 AS part, count(*) AS n, max(frame_no) AS last FROM test GROUP BY part EMIT CHANGES",
    )
    .await;
    let followers = (0..8).map(|_| {
        let session = engine.session("framesql", "framesql");
        async move { followed(&session, "SUBSCRIBE parts").await }
    });
    let queries = (0..3).map(|_| {
        let session = engine.session("framesql", "framesql");
        async move {
            followed(&session, "SUBSCRIBE (SELECT n % 7 AS seventh, count(*) AS parts FROM parts GROUP BY seventh EMIT CHANGES)").await
        }
    });
    let (followers, queries) = futures::join!(futures::future::join_all(followers), futures::future::join_all(queries));
    let held = oracle::bag(&rows(&session, "SELECT * FROM parts").await.unwrap());
    assert_eq!(oracle::n_rows(&held), 50);
    assert_eq!(number(&session, "SELECT sum(n)::int8 FROM parts").await, 3000);
    for bag in followers {
        oracle::same(&held, &bag).unwrap();
    }
    let asked = oracle::bag(&rows(&session, "SELECT n % 7 AS seventh, count(*) AS parts FROM parts GROUP BY n % 7").await.unwrap());
    for bag in queries {
        oracle::same(&asked, &bag).unwrap();
    }
    engine.shutdown().await;
}

/// Each commit adds as much to one group as it takes from the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_select_sees_whole_commits_of_an_updating_view() {
    let (engine, session) = open(Settings { batch_rows: 5, ..Settings::default() }).await;
    run(&session, SOURCE).await;
    run(
        &session,
        "CREATE MATERIALIZED VIEW both WITH (background = true) AS SELECT x > 0 AS positive, sum(x)::int8 AS n
           FROM (SELECT x FROM test AS t CROSS JOIN UNNEST(make_array(t.frame_no, -t.frame_no)) AS x) AS u GROUP BY positive EMIT CHANGES",
    )
    .await;
    let both = view(&engine, "both");
    let mut n_seen = 0;
    while both.ending().is_none() || n_seen == 0 {
        let seen = rows(&session, "SELECT n FROM both").await.unwrap();
        let all: Vec<i64> = seen.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert!([0, 2].contains(&all.len()) && all.iter().sum::<i64>() == 0, "{all:?}");
        n_seen += all.len();
    }
    assert_eq!(number(&session, "SELECT max(n) FROM both").await, 2999 * 3000 / 2);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_updating_view_is_there_after_a_restart_with_the_setting_it_was_made_under() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings { data: Some(folder.path().to_owned()), batch_rows: 25, ..Settings::default() };
    let (engine, session) = open(settings()).await;
    run(&session, SOURCE).await;
    // A thousand frames take 40 s.
    run(&session, "SET state_ttl = '45 s'").await;
    let made = "AS SELECT frame_no / 1000 AS thousand, count(*) AS n FROM test GROUP BY thousand EMIT CHANGES";
    run(&session, &format!("CREATE MATERIALIZED VIEW lately {made}")).await;
    run(&session, &format!("RESET state_ttl; CREATE MATERIALIZED VIEW all_of_it {made}")).await;
    engine.shutdown().await;
    drop((engine, session));
    let (engine, session) = open(settings()).await;
    run(&session, "FLUSH").await;
    assert_eq!(number(&session, "SELECT sum(n)::int8 FROM lately").await, 2000);
    assert_eq!(number(&session, "SELECT sum(n)::int8 FROM all_of_it").await, 3000);
    engine.shutdown().await;
}

/// Whoever has the view's changes has what its retention leaves, too.
#[tokio::test(flavor = "multi_thread")]
async fn retention_of_an_updating_view_is_told_to_its_followers() {
    let (engine, session) = open(Settings { batch_rows: 25, ..Settings::default() }).await;
    run(&session, SOURCE).await;
    run(
        &session,
        "CREATE MATERIALIZED VIEW recent WITH (retention = '10 s', background = true) AS
           SELECT window_start, count(*) AS n FROM TUMBLE(test, ts, INTERVAL '1 second') GROUP BY window_start EMIT CHANGES",
    )
    .await;
    let bag = followed(&session, "SUBSCRIBE recent").await;
    oracle::same(&oracle::bag(&rows(&session, "SELECT * FROM recent").await.unwrap()), &bag).unwrap();
    let n_left = oracle::n_rows(&bag);
    assert!((10..=11).contains(&n_left), "{n_left} windows are left");
    engine.shutdown().await;
}
