//! Sources of rows: what is late does not depend on batches, damaged files are errors and no more, a paced source plays to its end.

use framesql::engine::replay::{Conditions, Replay};
use framesql::settings::Settings;

use crate::{answers, files, oracle};

/// Damaged copies that are read of each file.
const DAMAGED: usize = 60;

/// A row that is late or not, a row that a restore gives again or not: neither depends on the size of batches.
#[tokio::test(flavor = "multi_thread")]
async fn rows_out_of_order_are_late_whatever_the_size_of_batches() {
    let (_engine, session) = answers::open(Settings::default()).await;
    let columns = "id int8 sequence, ts timestamptz, k int4 between 1 and 3";
    let options = "event_time = 'ts', watermark_delay = '2 s', disorder = '5 s', rows = 700, rate = 7, seed = 3";
    answers::run(&session, &format!("CREATE SOURCE made FROM 'datagen:' WITH (columns = '{columns}', {options})")).await;
    let query = "SELECT window_start, k, count(*) AS n, sum(id) AS ids FROM TUMBLE(made, ts, INTERVAL '1 second') GROUP BY window_start, k";
    let replay = Replay::of(&session, query).await.unwrap();
    let one = replay.run(Conditions { batch_rows: Some(1), ..Conditions::default() }).await.unwrap();
    let n_late = one.counters.n_late.get();
    assert!(n_late > 20 && n_late < 600, "{n_late} rows are late");
    for batch_rows in [7, 64, 1024] {
        let other = replay.run(Conditions { batch_rows: Some(batch_rows), ..Conditions::default() }).await.unwrap();
        assert_eq!(oracle::bag(&other.rows), oracle::bag(&one.rows), "batches of {batch_rows}");
        assert_eq!(other.counters.n_late.get(), n_late);
    }
    for (at, batch_rows) in [(0, 7), (350, 1), (351, 64), (699, 7), (900, 64)] {
        let first = Conditions { batch_rows: Some(batch_rows), barrier_after_rows: Some(at), ..Conditions::default() };
        let first = replay.run(first).await.unwrap();
        let restored = first.snapshot.clone().unwrap();
        let second = replay.run(Conditions { batch_rows: Some(64), restored, ..Conditions::default() }).await.unwrap();
        let together: Vec<_> = first.rows.into_iter().chain(second.rows).collect();
        assert_eq!(oracle::bag(&together), oracle::bag(&one.rows), "restored after row {at}");
    }
}

/// Foreign bytes: each copy has a few bytes of it changed, cut out or doubled.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_give_rows_or_an_error_that_is_theirs() {
    let (_engine, session) = answers::open(Settings::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(11);
    let (mut n_read, mut n_failed) = (0, 0);
    for name in ["trips.parquet", "trips.csv", "badges.ndjson"] {
        let whole = std::fs::read(files::root().join("tests/rows").join(name)).unwrap();
        for round in 0..DAMAGED {
            let mut bytes = whole.clone();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..bytes.len());
                match rng.u8(..3) {
                    0 => bytes[at] = rng.u8(..),
                    1 => {
                        bytes.remove(at);
                    }
                    _ => bytes.insert(at, bytes[at]),
                }
            }
            let path = folder.path().join(format!("{round}{name}"));
            std::fs::write(&path, &bytes).unwrap();
            let on_error = if round % 2 == 0 { "fail" } else { "skip" };
            let create = format!("CREATE SOURCE damaged FROM 'file://{}' WITH (on_error = '{on_error}')", path.display());
            let read = match answers::rows(&session, &create).await {
                Ok(_) => {
                    let read = answers::rows(&session, "SELECT * FROM damaged").await;
                    answers::run(&session, "DROP SOURCE damaged").await;
                    read
                }
                Err(e) => Err(e),
            };
            match read {
                Ok(_) => n_read += 1,
                Err(e) => {
                    n_failed += 1;
                    assert!(e.sqlstate() != "XX000", "{}: ({}) {e}", path.display(), e.sqlstate());
                }
            }
        }
    }
    assert!(n_read > 0 && n_failed > 0, "{n_read} were read, {n_failed} were not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_source_is_joined_at_its_next_row_and_ends() {
    let (_engine, session) = answers::open(Settings::default()).await;
    let options = "event_time = 'ts', watermark_delay = '0 s', rows = 60, rate = 20, pace = 'realtime'";
    answers::run(&session, &format!("CREATE SOURCE paced FROM 'datagen:' WITH (columns = 'id int8 sequence, ts timestamptz', {options})"))
        .await;
    let ids = answers::numbers(&answers::rows(&session, "SUBSCRIBE (SELECT id FROM paced)").await.unwrap(), "id");
    assert!(!ids.is_empty(), "it had ended before it was joined");
    assert_eq!(ids, (60 - ids.len() as i64..60).collect::<Vec<_>>());
    // What has been played is there to be read.
    assert_eq!(answers::number(&session, "SELECT count(*) FROM paced").await, 60);
    answers::run(&session, "FLUSH").await;
}
