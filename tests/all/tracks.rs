//! TRACK: ids against the truth of a hundred synthetic cameras, the same answers however a query is run, and the questions of queries/tracks.

mod naive;

use std::fmt::Write;
use std::path::Path;

use fastrand::Rng;
use framesql::engine::replay::{Conditions, Replay};
use framesql::settings::Settings;
use framesql_udfs::detection::Box as Bbox;
use framesql_udfs::track::{Method, Parameters, Seen, Tracker};

use crate::{answers, questions, random, replay};

/// How many cameras.
const SEEDS: u64 = 100;
/// How many random queries.
const CASES: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn every_box_of_a_hundred_cameras_keeps_an_id_of_its_own() {
    let (engine, session) = answers::open(Settings::default()).await;
    for seed in 0..SEEDS {
        let (n_boxes, method) = (1 + seed as i64 % 4, ["bytetrack", "sort"][seed as usize / 4 % 2]);
        answers::run(
            &session,
            &format!("CREATE SOURCE s{seed} FROM 'pattern:' WITH (fps = 25, frames = 150, boxes = {n_boxes}, seed = {seed})"),
        )
        .await;
        let tracked = format!(
            "SELECT known, track_id, frame_no, box['x'] AS x, vx FROM TRACK(
               (SELECT s.source, s.ts, s.frame_no, t.box, t.score, t.track_id AS known FROM s{seed} AS s CROSS JOIN UNNEST(truth) AS t)
               PARTITION BY source ORDER BY ts, method => '{method}') AS followed"
        );
        // Each has one id in all its frames, and no two have the same.
        let wrong = format!(
            "SELECT count(*) FROM (SELECT known, count(DISTINCT track_id) AS ids, count(track_id) AS n FROM ({tracked}) GROUP BY known) WHERE ids <> 1 OR n <> 150"
        );
        assert_eq!(answers::number(&session, &wrong).await, 0, "seed {seed}");
        let ids = format!("SELECT count(DISTINCT track_id) FROM ({tracked})");
        assert_eq!(answers::number(&session, &ids).await, n_boxes, "seed {seed}");
        // Its speed is that of the truth, where it has gone on for two seconds: a pixel a frame is 25 a second.
        let slow = format!(
            "SELECT count(*) FROM (SELECT vx, (x - lag(x, 50) OVER (PARTITION BY known ORDER BY frame_no)) * 0.5 AS true_vx,
               (x - lag(x) OVER (PARTITION BY known ORDER BY frame_no)) * 25 AS last_vx FROM ({tracked})) WHERE true_vx = last_vx AND abs(vx - true_vx) > 25"
        );
        let n_slow = answers::number(&session, &slow).await;
        assert_eq!(n_slow, 0, "seed {seed}: so many speeds are wrong");
    }
    engine.shutdown().await;
}

#[test]
fn tracks_are_those_of_a_second_tracker() {
    let (mut n_ids, mut n_seen) = (0, 0);
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let method = if rng.bool() { Method::Sort } else { Method::Bytetrack };
        let parameters = Parameters { method, max_age_us: rng.i64(100_000..1_500_000), min_hits: rng.u32(1..5) };
        let mut number = |from: f64, to: f64| from + (to - from) * rng.f64();
        let mut things: Vec<[f64; 6]> = (0..5)
            .map(|_| {
                let h = number(30.0, 120.0);
                [number(0.0, 600.0), number(0.0, 200.0), h * number(0.3, 1.2), h, number(-90.0, 90.0), number(-30.0, 30.0)]
            })
            .collect();
        let (mut us, mut frames) = (0, Vec::new());
        for _ in 0..60 {
            let seconds = number(0.02, 0.2);
            us += (seconds * 1e6) as i64;
            let mut seen = Vec::new();
            for [x, y, w, h, vx, vy] in &mut things {
                (*x, *y) = (*x + *vx * seconds + number(-0.03, 0.03) * *h, *y + *vy * seconds);
                if number(0.0, 1.0) < 0.8 {
                    seen.push(Seen { bbox: Bbox { x: *x as f32, y: *y as f32, w: *w as f32, h: *h as f32 }, score: number(0.3, 1.0) });
                }
            }
            frames.push((us, seen));
        }
        let expected = naive::follow(&parameters, &frames);
        let mut tracker = Tracker::default();
        for ((us, seen), expected) in frames.iter().zip(expected) {
            let found = tracker.step(&parameters, *us, seen);
            for (found, expected) in found.iter().zip(expected) {
                n_seen += 1;
                n_ids += usize::from(expected.is_some());
                let same = match (found, expected) {
                    (None, None) => true,
                    (Some(found), Some((id, vx))) => found.id == id && (found.vx - vx).abs() < 1e-6,
                    _ => false,
                };
                assert!(same, "seed {seed}, {us} µs: {found:?}, not {expected:?}");
            }
        }
    }
    assert!(n_ids * 2 > n_seen && n_ids < n_seen, "{n_ids} of {n_seen} have an id");
}

/// A random query over the boxes of some cameras, some of them hidden and some of them hardly seen.
fn query(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let parts: Vec<String> = (0..n_sources).map(|at| format!("SELECT source, frame_no, ts, truth FROM s{number}_{at}")).collect();
    let join = if rng.bool() { "CROSS JOIN UNNEST(b.truth) AS thing" } else { "LEFT JOIN UNNEST(b.truth) AS thing ON true" };
    let hidden = if rng.bool() { " WHERE (b.frame_no * 7 + coalesce(thing.track_id, 0)) % 5 <> 0" } else { "" };
    let score = ["thing.score", "0.35 + (b.frame_no * 13 % 7) * 0.1", "CASE WHEN b.frame_no % 9 < 7 THEN 0.8 END"][rng.usize(..3)];
    let rows = format!(
        "SELECT b.source, b.frame_no, b.ts, thing.box, {score} AS score, thing.track_id AS known FROM ({}) AS b {join}{hidden}",
        parts.join(" UNION ALL ")
    );
    let keys = ["PARTITION BY source ORDER BY ts, frame_no, known", "PARTITION BY source ORDER BY ts", "ORDER BY ts, source, known DESC"]
        [rng.usize(..3)];
    let method = ["", ", method => 'sort'", ", 'bytetrack', INTERVAL '300 milliseconds'"][rng.usize(..3)];
    let hits = if rng.bool() { format!(", min_hits => {}", 1 + rng.u8(..4)) } else { String::new() };
    let tracked = format!("TRACK(({rows}) {keys}{method}{hits})");
    match rng.u8(..5) {
        0 => format!(
            "SELECT window_start, count(DISTINCT track_id), max(age), count(*) FROM TUMBLE((SELECT * FROM {tracked}), ts, INTERVAL '{} milliseconds') GROUP BY window_start",
            rng.u16(100..900)
        ),
        1 => format!("SELECT source, ts, track_id, age FROM {tracked} AS t WHERE track_id IS NOT NULL AND source <> 's{number}_1'"),
        2 => format!(
            "SELECT a.ts, a.track_id, b.track_id AS other, a.vx - b.vx AS nearer FROM {tracked} AS a JOIN {tracked} AS b ON a.ts = b.ts AND a.track_id < b.track_id"
        ),
        _ => format!("SELECT source, frame_no, ts, known, box['x'] AS x, track_id, age, vx, vy FROM {tracked} AS t"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_are_the_same_however_they_are_followed() {
    let (engine, session) = answers::open(Settings::default()).await;
    let (mut n_rows, mut n_divided, mut failures) = (0, 0, Vec::new());
    for number in 3_000_000..3_000_000 + CASES {
        let mut rng = Rng::with_seed(number);
        let case = random::case(number);
        for source in &case.sources {
            answers::run(&session, source).await;
        }
        let query = query(&mut rng, number, case.sources.len());
        match replay::compare(&session, &query, "", &mut rng, case.n_frames).await {
            Ok(compared) => {
                n_rows += compared.n_rows;
                n_divided += usize::from(compared.divided);
            }
            Err(reason) => failures.push(format!("{number}\n{};\n{query};\n  {reason}", case.sources.join(";\n"))),
        }
    }
    assert!(failures.is_empty(), "\n{}\n{} of {CASES} failed", failures.join("\n\n"), failures.len());
    assert!(n_rows > 1_000 && n_divided > 10, "only {n_rows} rows, {n_divided} answers on both sides of their barrier");
    engine.shutdown().await;
}

/// What is kept is the tracks that are still looked for.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_an_hour_of_tracks_is_that_of_a_minute() {
    let (_engine, session) = answers::open(Settings::default()).await;
    answers::run(&session, "CREATE SOURCE hour FROM 'pattern:' WITH (size = '64x48', fps = 1, frames = 3600, boxes = 2)").await;
    let query = "SELECT * FROM TRACK((SELECT h.source, h.ts, t.box FROM hour AS h CROSS JOIN UNNEST(h.truth) AS t) PARTITION BY source ORDER BY ts)";
    let replay = Replay::of(&session, query).await.unwrap();
    for at in [600, 3_500] {
        let conditions = Conditions { batch_rows: Some(1), barrier_after_rows: Some(at), ..Conditions::default() };
        let snapshot = replay.run(conditions).await.unwrap().snapshot.unwrap();
        let n_rows: usize = snapshot.values().flat_map(|state| state.tables.values().flatten()).map(|table| table.num_rows()).sum();
        assert!((1..=20).contains(&n_rows), "{n_rows} rows are kept after {at} frames");
    }
}

/// The camera of a hall with a till and a door.
const FRAMES_A_SECOND: u32 = 10;
/// How long it is watched.
const SECONDS: u32 = 12;

/// Where the feet of somebody are, and how high; None while nobody is there.
type Way = fn(f64) -> Option<(f64, f64, f64)>;

/// Who is in the hall, by the second.
const PEOPLE: [Way; 6] = [
    // Two who run into each other at 3 s, and pass with a step between them.
    |t| (0.0..6.0).contains(&t).then_some((100.0 + 80.0 * t, 300.0, 100.0)),
    |t| (0.0..6.0).contains(&t).then_some((600.0 - 80.0 * t, 330.0, 104.0)),
    // Three who come to the till one after the other, wait, and are served one after the other.
    |t| (0.0..9.0).contains(&t).then_some((100.0, if t < 4.0 { 480.0 - 20.0 * t } else { 400.0 }, 90.0)),
    |t| (1.0..10.5).contains(&t).then_some((180.0, if t < 5.0 { 480.0 - 20.0 * (t - 1.0) } else { 400.0 }, 92.0)),
    // Two who go through the door at x = 700, the second close behind the first.
    |t| (6.0..11.0).contains(&t).then_some((620.0 + 50.0 * (t - 6.0), 200.0, 80.0)),
    |t| (6.0..11.0).contains(&t).then_some((560.0 + 50.0 * (t - 6.0), 205.0, 78.0)),
];

fn write(folder: &Path) {
    let mut seen = "ts,x,y,w,h,score\n".to_owned();
    for frame in 0..SECONDS * FRAMES_A_SECOND {
        let t = f64::from(frame) / f64::from(FRAMES_A_SECOND);
        for (x, y, h) in PEOPLE.iter().filter_map(|way| way(t)) {
            let w = h * 0.4;
            let ts = format!("2026-05-01T12:00:{:02}.{}Z", frame / FRAMES_A_SECOND, frame % FRAMES_A_SECOND);
            writeln!(seen, "{ts},{:.1},{:.1},{w:.1},{h:.1},0.9", x - w / 2.0, y - h).unwrap();
        }
    }
    std::fs::write(folder.join("seen.csv"), seen).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_of_a_hall_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let (engine, session) = answers::open(Settings { files: vec![folder.path().to_owned()], ..Settings::default() }).await;
    let at = folder.path().display();
    answers::run(
        &session,
        &format!(
            "CREATE SOURCE seen FROM 'file://{at}/seen.csv' WITH (event_time = 'ts', watermark_delay = '1 s');
             CREATE VIEW tracks AS SELECT ts, track_id, x + w / 2 AS x, y + h AS y, h, vx, vy
             FROM TRACK((SELECT *, [x, y, w, h] AS box FROM seen) ORDER BY ts) WHERE track_id IS NOT NULL"
        ),
    )
    .await;
    questions::ask(&session, "queries/tracks", 12, 400).await;
    engine.shutdown().await;
}
