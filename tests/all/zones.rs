//! Zones and lines: visits and crossings against the truth of the synthetic camera and a second implementation, run in every way; figures that are
//! drawn anew while a query runs, or are there after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::error::Result;
use fastrand::Rng;
use framesql::capture::pattern::Pattern;
use framesql::engine::session::Session;
use framesql::event::Event;
use framesql::frame::source::{EventStream, Request, Source, TimeColumn, until_end};
use framesql::plan::table::SourceTable;
use framesql::settings::Settings;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::rows::{self, Rows};
use crate::{answers, files, questions, replay};

/// How many cameras, and how many random tracks.
const SEEDS: u64 = 100;
const FRAMES: u64 = 120;
const SIZE: (u32, u32) = (160, 120);
const FPS: f64 = 25.0;

/// A track's number, a time or two in µs, and a direction where there is one.
type Found = (i64, i64, i64, String);

/// The rows of an answer with track_id, one or two times, and perhaps a direction; in order.
async fn found(session: &Session, sql: &str) -> Vec<Found> {
    let all = answers::rows(session, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let mut found = Vec::new();
    for batch in &all {
        let time = |name: &str, row: usize| batch.column_by_name(name).map(|c| c.as_primitive::<TimestampMicrosecondType>().value(row));
        for row in 0..batch.num_rows() {
            let track = batch.column_by_name("track_id").unwrap().as_primitive::<Int64Type>().value(row);
            let first = time("ts", row).or_else(|| time("enter_at", row)).unwrap();
            let direction = batch.column_by_name("direction").map(|c| c.as_string::<i32>().value(row).to_owned());
            found.push((track, first, time("exit_at", row).unwrap_or(first), direction.unwrap_or_default()));
        }
    }
    found.sort();
    found
}

/// Where each box's anchor is, frame by frame; and how high the box is.
fn ways(pattern: &Pattern, down: f64) -> BTreeMap<i64, Vec<(f64, f64, f64)>> {
    let mut ways: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for frame_no in 0..FRAMES {
        for d in pattern.truth(frame_no) {
            let (x, y, w, h) = (f64::from(d.bbox.x), f64::from(d.bbox.y), f64::from(d.bbox.w), f64::from(d.bbox.h));
            ways.entry(d.track_id.unwrap()).or_default().push((x + w / 2.0, y + h * down, h));
        }
    }
    ways
}

/// Stretches of frames inside a rectangle.
fn true_visits(pattern: &Pattern, down: f64, (left, top, right, bottom): (f64, f64, f64, f64)) -> Vec<Found> {
    let mut visits = Vec::new();
    for (track, way) in ways(pattern, down) {
        let inside: Vec<bool> = way.iter().map(|(x, y, _)| (left..=right).contains(x) && (top..=bottom).contains(y)).collect();
        let mut at = 0;
        for stretch in inside.chunk_by(|a, b| a == b) {
            if stretch[0] {
                let (first, last) = (pattern.pts_us(at as u64), pattern.pts_us((at + stretch.len() - 1) as u64));
                visits.push((track, first, last, String::new()));
            }
            at += stretch.len();
        }
    }
    visits.sort();
    visits
}

/// Crossings of the upright line at `x` between two heights by boxes that are further from it than that share of their height.
fn true_crossings(pattern: &Pattern, line_x: f64, heights: (f64, f64), hysteresis: f64) -> Vec<Found> {
    let mut crossings = Vec::new();
    for (track, way) in ways(pattern, 1.0) {
        let clear: Vec<_> = way.iter().enumerate().filter(|(_, (x, _, h))| (x - line_x).abs() > hysteresis * h).collect();
        for pair in clear.windows(2) {
            let [(_, (x0, y0, _)), (frame, (x1, y1, _))] = pair else { unreachable!("windows of two") };
            let met = y0 + (y1 - y0) * (line_x - x0) / (x1 - x0);
            if (*x0 < line_x) != (*x1 < line_x) && met >= heights.0 && met <= heights.1 {
                let direction = if x1 > x0 { "left_to_right" } else { "right_to_left" };
                let ts = pattern.pts_us(*frame as u64);
                crossings.push((track, ts, ts, direction.to_owned()));
            }
        }
    }
    crossings.sort();
    crossings
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_and_crossings_are_those_of_the_camera_that_is_known() {
    let (engine, session) = answers::open(Settings::default()).await;
    let (mut n_visits, mut n_crossings, mut n_part) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let pattern = Pattern::new(SIZE, FPS, Some(FRAMES), 3, seed).unwrap();
        let (anchor, down) = [("bottom_center", 1.0), ("center", 0.5), ("top_center", 0.0)][rng.usize(..3)];
        let (left, top) = (rng.i32(0..100), rng.i32(0..80));
        let (right, bottom) = (left + rng.i32(5..60), top + rng.i32(5..60));
        let x = rng.i32(30..130);
        let (from, to) = (rng.i32(0..60), rng.i32(60..120));
        answers::run(
            &session,
            &format!(
                "CREATE SOURCE s{seed} FROM 'pattern:' WITH (size = '{}x{}', fps = {FPS}, frames = {FRAMES}, boxes = 3, seed = {seed});
                 CREATE VIEW t{seed} AS SELECT source, ts, b.track_id, b.box FROM s{seed} CROSS JOIN UNNEST(truth) AS b;
                 CREATE ZONE z{seed} ON s{seed} AS POLYGON '(({left} {top}, {right} {top}, {right} {bottom}, {left} {bottom}))' WITH (anchor = '{anchor}');
                 CREATE LINE l{seed} ON s{seed} AS LINESTRING '({x} 1000, {x} -1000)';
                 CREATE LINE p{seed} ON s{seed} AS LINESTRING '({x}.5 {to}, {x}.5 {from})'",
                SIZE.0, SIZE.1
            ),
        )
        .await;
        let table = format!("TABLE t{seed} PARTITION BY source ORDER BY ts");
        let visits = format!("SELECT * FROM ZONE_VISITS({table}, 'z{seed}')");
        let crossings = format!("SELECT * FROM LINE_CROSSINGS({table}, 'l{seed}')");
        let part = format!("SELECT * FROM LINE_CROSSINGS({table}, 'p{seed}', hysteresis => 0)");
        let corners = (f64::from(left), f64::from(top), f64::from(right), f64::from(bottom));
        let expected = [
            true_visits(&pattern, down, corners),
            true_crossings(&pattern, f64::from(x), (-1e9, 1e9), 0.1),
            true_crossings(&pattern, f64::from(x) + 0.5, (f64::from(from), f64::from(to)), 0.0),
        ];
        for (query, expected) in [&visits, &crossings, &part].into_iter().zip(&expected) {
            assert_eq!(found(&session, query).await, *expected, "seed {seed}: {query}");
            // The continuous answer is the SELECT's, in batches of any size, and after a snapshot and restore.
            replay::compare(&session, query, "", &mut rng, FRAMES).await.unwrap_or_else(|e| panic!("seed {seed}: {query}: {e}"));
        }
        n_visits += expected[0].len();
        n_crossings += expected[1].len();
        n_part += expected[2].len();
    }
    assert!(n_visits > 100 && n_crossings > 100 && n_part > 50, "{n_visits} visits, {n_crossings} and {n_part} crossings");
    engine.shutdown().await;
}

/// One row of a random track: its time, ms, whether it has a place, and where that is.
type Step = (i64, f64);

/// Visits to x of 40 to 60, by what they are: rows inside, with nothing between them that ends a visit.
fn naive_visits(steps: &[Step], max_gap: i64, max_outside: i64) -> Vec<(i64, i64)> {
    let inside = |at: usize| (40.0..=60.0).contains(&steps[at].1);
    let mut visits: Vec<(i64, i64)> = Vec::new();
    let mut last: Option<usize> = None;
    for at in (0..steps.len()).filter(|at| inside(*at)) {
        let goes_on = last.is_some_and(|before| {
            let lost = (before..at).any(|i| steps[i + 1].0 - steps[i].0 > max_gap);
            let out = at - before > 1;
            let all_near = (before + 1..=at).all(|i| steps[i].0 - steps[before].0 <= max_outside);
            !lost && (!out || all_near)
        });
        match visits.last_mut() {
            Some(visit) if goes_on => visit.1 = steps[at].0,
            _ => visits.push((steps[at].0, steps[at].0)),
        }
        last = Some(at);
    }
    visits
}

/// Crossings of x = 50 by boxes ten high: of rows that are clear of it, two that follow one another on two sides, and no gap between them.
fn naive_crossings(steps: &[Step], max_gap: i64, hysteresis: f64) -> Vec<(i64, &'static str)> {
    let mut crossings = Vec::new();
    for piece in steps.chunk_by(|a, b| b.0 - a.0 <= max_gap) {
        let clear: Vec<&Step> = piece.iter().filter(|(_, x)| (x - 50.0).abs() > hysteresis * 10.0).collect();
        for pair in clear.windows(2).filter(|pair| (pair[0].1 < 50.0) != (pair[1].1 < 50.0)) {
            crossings.push((pair[1].0, if pair[1].1 > 50.0 { "left_to_right" } else { "right_to_left" }));
        }
    }
    crossings
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_and_crossings_of_random_tracks_are_those_of_a_second_implementation() {
    let (engine, session) = answers::open(Settings::default()).await;
    answers::run(
        &session,
        "CREATE TABLE plan (n int8);
         CREATE ZONE z ON plan AS POLYGON '((40 0, 60 0, 60 100, 40 100))';
         CREATE LINE l ON plan AS LINESTRING '(50 100, 50 0)'",
    )
    .await;
    let (mut n_visits, mut n_crossings) = (0, 0);
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let keys = [Some("a"), Some("b"), None];
        // Walks to and fro around the middle; some rows come late, some are of no track.
        let mut rows: Vec<rows::Row> = Vec::new();
        let mut walks: BTreeMap<(usize, i64), Vec<Step>> = BTreeMap::new();
        for (key, name) in keys.into_iter().enumerate() {
            for track in 0..2 {
                let (mut ts, mut x) = (rng.i64(0..500), rng.i64(20..80));
                for _ in 0..rng.usize(5..40) {
                    ts += [40, 40, 40, 100, 700, 1_300][rng.usize(..6)] + rng.i64(0..3);
                    x = (x + rng.i64(-12..13)).clamp(10, 90);
                    rows.push((Some(ts), name, track * 1_000 + x));
                    walks.entry((key, track)).or_default().push((ts, x as f64));
                }
            }
        }
        rows.push((Some(rng.i64(0..3_000)), keys[0], 9_050));
        rows.sort_by_cached_key(|row| row.0.unwrap() + rng.i64(0..200));
        let n_rows = rows.len() as u64;
        rows::register(&session, Rows { rows, delay_ms: 200 });
        let tracks = "TABLE (SELECT k AS source, ts, CASE WHEN n < 9000 THEN n / 1000 END AS track_id, [n % 1000 - 2, 40, 4, 10] AS box FROM test.t) PARTITION BY source ORDER BY ts";
        let (max_gap, max_outside) = ([500, 1_000, 2_000][rng.usize(..3)], [0, 0, 100, 900][rng.usize(..4)]);
        let hysteresis = [0.0, 0.1, 0.55][rng.usize(..3)];
        let visits = format!(
            "SELECT * FROM ZONE_VISITS({tracks}, 'z', max_gap => INTERVAL '{max_gap} milliseconds', max_outside => INTERVAL '{max_outside} milliseconds')"
        );
        let crossings = format!(
            "SELECT * FROM LINE_CROSSINGS({tracks}, 'l', max_gap => INTERVAL '{max_gap} milliseconds', hysteresis => {hysteresis})"
        );
        let (mut of_visits, mut of_crossings) = (Vec::new(), Vec::new());
        for ((_, track), steps) in &walks {
            let us = |ms: i64| ms * 1_000;
            of_visits.extend(naive_visits(steps, max_gap, max_outside).into_iter().map(|(a, b)| (*track, us(a), us(b), String::new())));
            of_crossings.extend(naive_crossings(steps, max_gap, hysteresis).into_iter().map(|(a, d)| (*track, us(a), us(a), d.to_owned())));
        }
        of_visits.sort();
        of_crossings.sort();
        for (query, expected) in [(&visits, &of_visits), (&crossings, &of_crossings)] {
            assert_eq!(found(&session, query).await, *expected, "seed {seed}: {query}");
            replay::compare(&session, query, "", &mut rng, n_rows).await.unwrap_or_else(|e| panic!("seed {seed}: {query}: {e}"));
        }
        n_visits += of_visits.len();
        n_crossings += of_crossings.len();
    }
    assert!(n_visits > 500 && n_crossings > 500, "{n_visits} visits, {n_crossings} crossings");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_about_zones_has_its_answer() {
    let (engine, session) = answers::open(Settings::default()).await;
    let page = files::text("queries/zones/README.md".as_ref());
    let world: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    answers::run(&session, &world.join("\n")).await;
    questions::ask(&session, "queries/zones", 11, 300).await;
    engine.shutdown().await;
}

/// A source that gives what a test sends.
#[derive(Debug)]
struct Fed(Mutex<Option<mpsc::Receiver<Result<Event>>>>);

fn fed_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("x", DataType::Int64, false),
    ]))
}

impl Source for Fed {
    fn name(&self) -> &str {
        "fed"
    }

    fn schema(&self) -> SchemaRef {
        fed_schema()
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        vec![TimeColumn { index: 0, lag_us: 0 }]
    }

    fn live(&self) -> bool {
        true
    }

    fn ended(&self) -> bool {
        false
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn open(&self, request: &Request) -> Result<EventStream> {
        let projection = request.projection.clone();
        let events = until_end(self.0.lock().take().unwrap());
        Ok(Box::pin(events.map(move |event| match event? {
            Event::Rows(rows) => Ok(Event::Rows(rows.project(&projection)?)),
            other => Ok(other),
        })))
    }
}

fn at(ms: i64, x: i64) -> Event {
    let times = arrow::array::TimestampMicrosecondArray::from(vec![ms * 1_000]).with_timezone("UTC");
    let columns: Vec<Arc<dyn Array>> = vec![Arc::new(times), Arc::new(arrow::array::Int64Array::from(vec![x]))];
    Event::Rows(RecordBatch::try_new(fed_schema(), columns).unwrap())
}

fn reached(ms: i64) -> Event {
    Event::Watermark(ms * 1_000)
}

/// Runs a query over what is sent, with a zone that is drawn anew in the midst of it. The batches that come, as the whole numbers of a column.
async fn redrawn(query: &str, column: &str) -> Vec<Vec<i64>> {
    let (engine, session) = answers::open(Settings::default()).await;
    let (send, receive) = mpsc::channel(100);
    let schema = MemorySchemaProvider::new();
    let source = Arc::new(Fed(Mutex::new(Some(receive))));
    schema.register_table("fed".to_owned(), Arc::new(SourceTable::new(source))).unwrap();
    let catalogs = session.context().catalog_names();
    session.context().catalog(&catalogs[0]).unwrap().register_schema("test", Arc::new(schema)).unwrap();
    answers::run(&session, "CREATE TABLE plan (n int8); CREATE ZONE z ON plan AS POLYGON '((0 0, 10 0, 10 10, 0 10))'").await;
    let mut changes = answers::within(answers::stream(&session, query)).await.unwrap();
    let mut batches = Vec::new();
    let give = async |events: Vec<Event>| {
        for event in events {
            send.send(Ok(event)).await.unwrap();
        }
    };
    give(vec![at(1_000, 5), at(1_500, 25), reached(2_000)]).await;
    batches.push(answers::numbers(&[answers::within(changes.next()).await.unwrap().unwrap()], column));
    answers::run(&session, "ALTER ZONE z AS POLYGON '((20 0, 30 0, 30 10, 20 10))'").await;
    // They stand before the next watermark, so the old zone counts.
    give(vec![at(2_100, 6), at(2_200, 26), reached(3_000)]).await;
    batches.push(answers::numbers(&[answers::within(changes.next()).await.unwrap().unwrap()], column));
    give(vec![at(3_100, 7), at(3_200, 27), reached(4_000), Event::Watermark(i64::MAX), Event::End]).await;
    while let Some(batch) = answers::within(changes.next()).await {
        batches.push(answers::numbers(&[batch.unwrap()], column));
    }
    engine.shutdown().await;
    batches
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_drawn_anew_counts_from_the_next_watermark_on() {
    let inside = "SUBSCRIBE (SELECT ts, x FROM test.fed WHERE in_zone([x, 0, 0, 5], 'z'))";
    assert_eq!(redrawn(inside, "x").await, [vec![5], vec![6], vec![27]]);
    let visits = "SUBSCRIBE (SELECT track_id FROM ZONE_VISITS(TABLE (SELECT ts, x AS track_id, [x, 0, 0, 5] AS box FROM test.fed) ORDER BY ts, 'z', max_gap => INTERVAL '100 milliseconds'))";
    assert_eq!(redrawn(visits, "track_id").await, [vec![5], vec![6], vec![27]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_there_after_a_restart_and_are_drawn_by_superusers() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings { data: Some(folder.path().join("data")), ..Settings::default() };
    let inside = "SELECT count(*) FROM inside";
    let n_all = {
        let (engine, session) = answers::open(settings()).await;
        answers::run(
            &session,
            "CREATE SOURCE gate FROM 'pattern:' WITH (size = '64x48', frames = 30, boxes = 2);
             CREATE ZONE door ON gate AS POLYGON '((0 0, 1 0, 1 1))' WITH (anchor = 'center');
             CREATE LINE entry ON gate AS LINESTRING '(0 0, 9 9)';
             CREATE MATERIALIZED VIEW inside AS SELECT frame_no FROM gate CROSS JOIN UNNEST(truth) AS b WHERE in_zone(b.box, 'door');
             ALTER ZONE door AS POLYGON '((0 0, 64 0, 64 48, 0 48))';
             CREATE ROLE desk LOGIN",
        )
        .await;
        let desk = engine.session("desk", "framesql");
        for denied in ["CREATE ZONE z ON gate AS POLYGON '((0 0, 1 0, 1 1))'", "ALTER ZONE door WITH (anchor = 'center')", "DROP ZONE door"]
        {
            assert_eq!(answers::rows(&desk, denied).await.unwrap_err().sqlstate(), "42501", "{denied}");
        }
        assert_eq!(answers::rows(&desk, "SHOW ZONES").await.unwrap()[0].num_rows(), 1);
        answers::run(&session, "FLUSH").await;
        let n_all = answers::number(&session, inside).await;
        engine.shutdown().await;
        n_all
    };
    let (engine, session) = answers::open(settings()).await;
    answers::run(&session, "FLUSH").await;
    // What was answered whole stays, and what is asked now is asked of the zone as it was redrawn.
    assert_eq!(answers::number(&session, inside).await, n_all);
    let now = "SELECT count(*) FROM gate CROSS JOIN UNNEST(truth) AS b WHERE in_zone(b.box, 'door')";
    assert_eq!(answers::number(&session, now).await, 60);
    let kept =
        "SELECT count(*) FROM framesql.figures WHERE error IS NULL AND kind || ' ' || anchor IN ('zone center', 'line bottom_center')";
    assert_eq!(answers::number(&session, kept).await, 2);
    answers::run(&session, "DROP SOURCE gate CASCADE").await;
    engine.shutdown().await;
    // An engine has its folder as long as somebody holds it.
    drop((engine, session));
    let (engine, session) = answers::open(settings()).await;
    assert_eq!(answers::number(&session, "SELECT count(*) FROM framesql.figures").await, 0);
    engine.shutdown().await;
}
