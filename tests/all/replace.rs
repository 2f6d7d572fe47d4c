//! CREATE of a materialized view as one step: the old view is read until the new one is whole, and a cancelled statement leaves nothing behind.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use framesql::engine::session::Session;
use framesql::settings::Settings;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::answers::{number, open, rows, run, within};

/// A function that lets no row through before it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    entered: watch::Sender<bool>,
}

impl Gate {
    fn register(session: &Session) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        let theirs = Arc::clone(&gate);
        let body = move |arguments: &[ColumnarValue]| {
            theirs.entered.send_replace(true);
            let mut open = theirs.open.lock();
            while !*open {
                theirs.opened.wait(&mut open);
            }
            let rows = ColumnarValue::values_to_arrays(arguments)?;
            Ok(ColumnarValue::Array(Arc::new(rows[0].as_primitive::<Int64Type>().clone())))
        };
        session.context().register_udf(create_udf("gate", vec![DataType::Int64], DataType::Int64, Volatility::Volatile, Arc::new(body)));
        gate
    }

    async fn entered(&self) {
        within(self.entered.subscribe().wait_for(|entered| *entered)).await.unwrap();
    }

    fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}

const TEST: &str = "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', frames = 60)";
const OLD: &str = "CREATE MATERIALIZED VIEW v AS SELECT frame_no AS n FROM test WHERE frame_no < 10";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_old_view_is_read_until_the_new_one_is_whole() {
    let (engine, session) = open(Settings::default()).await;
    let other = engine.session("other", "framesql");
    run(&session, &format!("{TEST}; {OLD}")).await;
    let gate = Gate::register(&session);
    let mut replacing = Box::pin(rows(&session, "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT gate(frame_no) AS n FROM test"));
    tokio::select! {
        done = &mut replacing => panic!("it did not wait: {done:?}"),
        () = gate.entered() => {}
    }
    assert_eq!(number(&other, "SELECT count(*) FROM v").await, 10);
    gate.open();
    within(replacing).await.unwrap();
    assert_eq!(number(&other, "SELECT count(*) FROM v").await, 60);
    assert_eq!(number(&other, "SELECT count(*) FROM framesql.jobs").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_old_view_stays_if_the_new_one_fails_or_is_cancelled() {
    let (engine, session) = open(Settings::default()).await;
    let other = engine.session("other", "framesql");
    run(&session, &format!("{TEST}; {OLD}")).await;
    let divided = "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT 100 / (frame_no - 25) AS n FROM test";
    assert_eq!(rows(&session, divided).await.unwrap_err().sqlstate(), "22012");
    assert_eq!(number(&session, "SELECT count(*) FROM v").await, 10);
    let gate = Gate::register(&session);
    let mut replacing = Box::pin(rows(&session, "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT gate(frame_no) AS n FROM test"));
    tokio::select! {
        done = &mut replacing => panic!("it did not wait: {done:?}"),
        () = gate.entered() => {}
    }
    drop(replacing);
    gate.open();
    assert_eq!(number(&other, "SELECT count(*) FROM v").await, 10);
    // It is replaced all the same when asked for again, and not while something is built on it.
    run(&session, "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT gate(frame_no) AS n FROM test; CREATE VIEW above AS SELECT * FROM v")
        .await;
    assert_eq!(number(&other, "SELECT count(*) FROM above").await, 60);
    assert_eq!(rows(&session, "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT 1 AS n").await.unwrap_err().sqlstate(), "2BP01");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_view_is_refused_its_place_if_that_was_taken_meanwhile() {
    let (engine, session) = open(Settings::default()).await;
    let other = engine.session("other", "framesql");
    run(&session, &format!("{TEST}; {OLD}")).await;
    let gate = Gate::register(&session);
    let mut replacing = Box::pin(rows(&session, "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT gate(frame_no) AS n FROM test"));
    tokio::select! {
        done = &mut replacing => panic!("it did not wait: {done:?}"),
        () = gate.entered() => {}
    }
    run(&other, "DROP MATERIALIZED VIEW v; CREATE MATERIALIZED VIEW v AS SELECT 7 AS n").await;
    gate.open();
    assert_eq!(within(replacing).await.unwrap_err().sqlstate(), "55000");
    assert_eq!(rows(&other, "SELECT n FROM v").await.unwrap()[0].num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancelled_create_takes_back_its_own_view_and_what_was_built_on_it() {
    let (engine, session) = open(Settings::default()).await;
    let other = engine.session("other", "framesql");
    run(&session, TEST).await;
    let gate = Gate::register(&session);
    let create = "CREATE MATERIALIZED VIEW v AS SELECT gate(frame_no) AS n FROM test";
    let mut creating = Box::pin(rows(&session, create));
    tokio::select! {
        done = &mut creating => panic!("it did not wait: {done:?}"),
        () = gate.entered() => {}
    }
    run(&other, "CREATE VIEW above AS SELECT * FROM v").await;
    drop(creating);
    gate.open();
    assert!(engine.catalog().all().iter().all(|o| o.name == "test"));
    // A view of that name that another has made since is another's.
    let gate = Gate::register(&session);
    let mut creating = Box::pin(rows(&session, create));
    tokio::select! {
        done = &mut creating => panic!("it did not wait: {done:?}"),
        () = gate.entered() => {}
    }
    run(&other, "DROP MATERIALIZED VIEW v; CREATE MATERIALIZED VIEW v AS SELECT 7 AS n").await;
    gate.open();
    assert_eq!(within(creating).await.unwrap_err().sqlstate(), "55000");
    assert_eq!(rows(&other, "SELECT n FROM v").await.unwrap()[0].num_rows(), 1);
}
