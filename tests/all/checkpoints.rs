//! A restart goes on from the last checkpoint: nothing is read, found or counted twice, what was kept of another job is passed over, and ids go on.

use std::path::Path;
use std::sync::Arc;

use framesql::engine::Engine;
use framesql::settings::Settings;
use framesql::view::materialized::{End, MaterializedView};

use crate::answers::{clip, number, open, rows, run, source, view, within};
use crate::client::Server;

/// A camera and what it sees, by the clock.
const CAMERA: &str = "CREATE SOURCE camera FROM 'pattern:' WITH (size = '160x120', fps = 50, seed = 3, boxes = 3";

/// Checkpoints are taken when the test says so, and at the end.
fn settings(data: &Path) -> Settings {
    Settings { data: Some(data.to_owned()), checkpoint_interval: std::time::Duration::ZERO, ..Settings::default() }
}

/// Waits until a view is as far.
async fn until(view: &Arc<MaterializedView>, far: impl Fn(&MaterializedView) -> bool) {
    let mut changes = view.changes();
    let waited = async {
        loop {
            changes.borrow_and_update();
            if far(view) {
                return;
            }
            assert_eq!(view.ending(), None, "the job has ended");
            changes.changed().await.unwrap();
        }
    };
    within(waited).await;
}

/// The data directory as a process that is killed at this moment leaves it.
fn killed(data: &Path, copy: &Path) {
    std::fs::create_dir_all(copy).unwrap();
    for entry in std::fs::read_dir(data).unwrap() {
        let (entry, to) = (entry.unwrap(), copy.to_owned());
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => killed(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

async fn end(engine: Arc<Engine>) {
    within(engine.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_was_read_is_not_read_again_unless_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("clip.mp4"));
    std::fs::copy(crate::files::root().join("tests/media/motion.mp4"), &file).unwrap();
    let light = "SELECT count(*) FROM light WHERE b > 0";
    let n_frames = {
        let (engine, session) = open(settings(&data)).await;
        run(&session, &format!("CREATE SOURCE clip FROM 'file://{}'", file.display())).await;
        run(&session, "CREATE MATERIALIZED VIEW light AS SELECT ts, brightness(frame) AS b FROM clip").await;
        run(&session, "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, max(b) AS most FROM light EMIT CHANGES").await;
        run(&session, "FLUSH").await;
        let n_frames = number(&session, light).await;
        assert!(n_frames > 0);
        assert_eq!(number(&session, "SELECT n FROM total").await, n_frames);
        end(engine).await;
        n_frames
    };
    {
        let (engine, session) = open(settings(&data)).await;
        run(&session, "FLUSH").await;
        assert_eq!(number(&session, light).await, n_frames);
        assert_eq!(number(&session, "SELECT n FROM total WHERE most > 0").await, n_frames);
        let counters = Arc::clone(source(&engine, "clip").counters());
        assert_eq!((counters.rows.get(), counters.frames_decoded.get()), (0, 0), "the clip was read again");
        // What is built on it now reads what it holds.
        run(&session, "CREATE MATERIALIZED VIEW darkest AS SELECT min(b) AS b FROM light EMIT CHANGES").await;
        assert_eq!(number(&session, "SELECT count(*) FROM darkest WHERE b > 0").await, 1);
        end(engine).await;
    }
    // Another clip under the same name: everything is computed anew.
    std::fs::copy(crate::files::root().join("media/lobby.mp4"), &file).unwrap();
    let (engine, session) = open(settings(&data)).await;
    run(&session, "FLUSH").await;
    let rows = source(&engine, "clip").counters().rows.get();
    assert!(rows > 0);
    assert_eq!(number(&session, light).await, number(&session, "SELECT count(*) FROM clip").await);
    assert_eq!(number(&session, "SELECT n FROM total").await, number(&session, light).await);
    // A view that is dropped leaves nothing, and one of its name begins anew.
    run(&session, "DROP MATERIALIZED VIEW total").await;
    assert!(!data.join("jobs/total").exists() && data.join("jobs/light").exists());
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_over_a_clip_and_a_camera_goes_on_with_the_camera_and_has_the_clip_once() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let both = "SELECT source, ts FROM clip UNION ALL SELECT source, ts FROM camera";
    let n_clip = {
        let (engine, session) = open(settings(&data)).await;
        clip(&session, "clip").await;
        run(&session, &format!("{CAMERA}, frames = 250, pace = 'realtime')")).await;
        run(
            &session,
            &format!("CREATE MATERIALIZED VIEW n AS SELECT source, count(*) AS n FROM ({both}) AS b GROUP BY source EMIT CHANGES"),
        )
        .await;
        // Retention soon drops what is counted here; the count stays.
        run(&session, &format!("CREATE MATERIALIZED VIEW seen WITH (retention = '1 s') AS {both}")).await;
        let of_camera = "SELECT count(*) AS n FROM seen WHERE source = 'camera' EMIT CHANGES";
        run(&session, &format!("CREATE MATERIALIZED VIEW n_seen AS {of_camera}")).await;
        let n_clip = number(&session, "SELECT count(*) FROM clip").await;
        until(&view(&engine, "seen"), |seen| seen.first_row() > n_clip as u64 + 20).await;
        until(&view(&engine, "n_seen"), |counted| counted.n_rows() == 1).await;
        within(engine.checkpoint()).await;
        killed(&data, &copy);
        end(engine).await;
        n_clip
    };
    // As it was when it was killed, and as it was when it ended.
    for data in [&copy, &data] {
        let (engine, session) = open(settings(data)).await;
        let (seen, counted, n) = (view(&engine, "seen"), view(&engine, "n_seen"), view(&engine, "n"));
        let before = seen.first_row();
        assert!(before > n_clip as u64 + 20, "rows that retention had dropped are there again");
        for view in [&seen, &counted, &n] {
            assert_eq!(within(view.ended_with()).await, End::Whole);
        }
        // A camera that has ended holds up no checkpoint of others.
        within(engine.checkpoint()).await;
        assert_eq!(number(&session, "SELECT n FROM n WHERE source = 'clip'").await, n_clip);
        // No row of the view is counted twice, and none is missing: its rows have numbers.
        let n_seen = (seen.first_row() + seen.n_rows()) as i64 - n_clip;
        assert_eq!(number(&session, "SELECT n FROM n_seen").await, n_seen);
        assert!(n_seen > 250, "{n_seen}: what was seen before is lost");
        end(engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compared_with_the_frame_before_goes_on_with_the_next_frame() {
    let folder = tempfile::tempdir().unwrap();
    let n_frames = 3000_u64;
    let n_before = {
        let (engine, session) = open(settings(folder.path())).await;
        run(&session, &format!("CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', frames = {n_frames})")).await;
        run(&session, "CREATE MATERIALIZED VIEW moved WITH (background = true) AS SELECT frame_no, motion(frame) AS m FROM test").await;
        let moved = view(&engine, "moved");
        until(&moved, |moved| moved.n_rows() > 100).await;
        end(engine).await;
        moved.n_rows()
    };
    assert!(n_before < n_frames, "it was at its end before it was stopped");
    let (engine, session) = open(settings(folder.path())).await;
    run(&session, "FLUSH").await;
    // The frame that the next is compared with is known from before. The last checkpoint may be of fewer rows than there were at the end.
    assert!(source(&engine, "test").counters().frames_decoded.get() <= n_frames - 100, "frames were decoded once more");
    let differ = "SELECT count(*) FROM moved FULL JOIN (SELECT frame_no, motion(frame) AS m FROM test) AS t USING (frame_no) \
                  WHERE moved.m IS DISTINCT FROM t.m";
    assert_eq!(number(&session, differ).await, 0);
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_another_takes_the_place_of_is_told_and_not_read_by_its_old_table() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.mp4");
    let media = |name: &str| crate::files::root().join(name);
    std::fs::copy(media("tests/media/motion.mp4"), &file).unwrap();
    let (engine, session) = open(Settings::default()).await;
    run(&session, &format!("CREATE SOURCE clip FROM 'file://{}'", file.display())).await;
    assert!(number(&session, "SELECT count(brightness(frame)) FROM clip").await > 0);
    std::fs::copy(media("media/lobby.mp4"), &file).unwrap();
    for question in ["SELECT count(brightness(frame)) FROM clip", "SELECT max(frame_no) FROM clip"] {
        assert_eq!(rows(&session, question).await.unwrap_err().sqlstate(), "55000", "{question}");
    }
    run(&session, "DROP SOURCE clip").await;
    run(&session, &format!("CREATE SOURCE clip FROM 'file://{}'", file.display())).await;
    let frames = number(&session, "SELECT count(*) FROM clip").await;
    assert_eq!(number(&session, "SELECT count(brightness(frame)) FROM clip").await, frames);
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_tracks_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let tracks = "SELECT ts, track_id, age FROM TRACK((SELECT s.source, s.ts, t.box, t.score FROM camera AS s CROSS JOIN UNNEST(truth) AS t) \
                  PARTITION BY source ORDER BY ts)";
    let followed = "SELECT count(*) FROM tracks WHERE track_id IS NOT NULL";
    let mut n_before = 0;
    for at in 0..3 {
        let (engine, session) = open(settings(folder.path())).await;
        if at == 0 {
            run(&session, &format!("{CAMERA})")).await;
            run(&session, &format!("CREATE MATERIALIZED VIEW tracks AS {tracks}")).await;
        }
        let tracks = view(&engine, "tracks");
        until(&tracks, |tracks| tracks.n_rows() > n_before + 40).await;
        assert!(number(&session, followed).await > n_before as i64);
        // Begun anew, a track of that id would have the same ages once more.
        let twice = "SELECT count(*) FROM (SELECT track_id, age FROM tracks WHERE track_id IS NOT NULL GROUP BY track_id, age HAVING count(*) > 1) AS t";
        assert_eq!(number(&session, twice).await, 0, "an id was given twice");
        end(engine).await;
        n_before = tracks.n_rows();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_and_one_of_another_query_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let n_frames = {
        let (engine, session) = open(settings(&data)).await;
        clip(&session, "clip").await;
        run(&session, "CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM clip EMIT CHANGES").await;
        run(&session, "FLUSH").await;
        let n_frames = number(&session, "SELECT n FROM n").await;
        // The same name, another query: what was kept of the first is not taken for the second's.
        run(&session, "DROP MATERIALIZED VIEW n; CREATE MATERIALIZED VIEW n AS SELECT 2 * count(*) AS n FROM clip EMIT CHANGES").await;
        run(&session, "FLUSH").await;
        end(engine).await;
        n_frames
    };
    killed(&data, &copy);
    let damaged = |text: &str| {
        for generation in std::fs::read_dir(data.join("jobs/n")).unwrap() {
            for file in std::fs::read_dir(generation.unwrap().path()).unwrap() {
                std::fs::write(file.unwrap().path(), text).unwrap();
            }
        }
    };
    for text in ["", "{}", "nothing of all that"] {
        damaged(text);
        let (engine, session) = open(settings(&data)).await;
        run(&session, "FLUSH").await;
        assert_eq!(number(&session, "SELECT n FROM n").await, 2 * n_frames);
        assert!(source(&engine, "clip").counters().rows.get() > 0);
        end(engine).await;
    }
    let aside = std::fs::read_dir(data.join("jobs/n")).unwrap().filter(|e| e.as_ref().unwrap().path().extension().is_some());
    assert_eq!(aside.count(), 3, "what cannot be read is kept for whoever can make more of it");
    let (engine, session) = open(settings(&copy)).await;
    assert_eq!(number(&session, "SELECT n FROM n").await, 2 * n_frames);
    assert_eq!(source(&engine, "clip").counters().rows.get(), 0);
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_back_leaves_what_was_there_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(settings(folder.path())).await;
    let mut client = server.client().await;
    client.rows("CREATE SOURCE clip FROM 'pattern:' WITH (fps = 5, frames = 15); CREATE TABLE t (a int4)").await;
    client.rows("INSERT INTO t VALUES (1)").await;
    client.rows("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM clip EMIT CHANGES").await;
    client.rows("FLUSH").await;
    within(server.engine.checkpoint()).await;
    client.rows("BEGIN; DROP TABLE t; CREATE TABLE t (b text); ROLLBACK").await;
    assert_eq!(client.code("DROP TABLE t; CREATE TABLE t (b text); SELECT 1 / 0").await, "22012");
    client.rows("BEGIN; CREATE OR REPLACE MATERIALIZED VIEW n AS SELECT 2 * count(*) AS n FROM clip EMIT CHANGES").await;
    client.rows("FLUSH").await;
    within(server.engine.checkpoint()).await;
    client.rows("ROLLBACK").await;
    // In one step dropped and made: what the new one keeps stays.
    client.rows("CREATE MATERIALIZED VIEW m AS SELECT 1 + count(*) AS n FROM clip EMIT CHANGES").await;
    client.rows("DROP MATERIALIZED VIEW m; CREATE MATERIALIZED VIEW m AS SELECT 3 * count(*) AS n FROM clip EMIT CHANGES").await;
    client.rows("FLUSH").await;
    drop(client);
    server.stop().await;
    let server = Server::start(settings(folder.path())).await;
    let mut client = server.client().await;
    assert_eq!(client.rows("SELECT a FROM t").await, ["1"]);
    client.rows("FLUSH").await;
    assert_eq!(client.rows("SELECT n FROM n UNION ALL SELECT n FROM m ORDER BY 1").await, ["15", "45"]);
    assert_eq!(source(&server.engine, "clip").counters().rows.get(), 0, "the clip was read again");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_camera_that_ended_by_itself_gave_goes_on_when_it_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let counts = ["SELECT count(*) FROM seen", "SELECT n FROM of_seen", "SELECT n FROM n", "SELECT n FROM long"];
    let mut before = Vec::new();
    {
        let (engine, session) = open(settings(&data)).await;
        run(&session, &format!("{CAMERA}, frames = 200, pace = 'realtime')")).await;
        run(&session, "CREATE MATERIALIZED VIEW seen AS SELECT ts FROM camera").await;
        run(&session, "CREATE MATERIALIZED VIEW of_seen AS SELECT count(*) AS n FROM seen EMIT CHANGES").await;
        run(&session, "CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM camera EMIT CHANGES").await;
        // A window that the end closes, and no time.
        let long =
            "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE camera, DESCRIPTOR(ts), INTERVAL '1000 days') GROUP BY window_start";
        run(&session, &format!("CREATE MATERIALIZED VIEW long AS {long}")).await;
        for name in ["seen", "of_seen", "n", "long"] {
            assert_eq!(within(view(&engine, name).ended_with()).await, End::Whole);
        }
        for count in counts {
            before.push(number(&session, count).await);
        }
        assert!(before.iter().all(|n| *n > 0), "{before:?}");
        end(engine).await;
    }
    let (engine, session) = open(settings(&data)).await;
    for name in ["seen", "of_seen", "n", "long"] {
        assert_eq!(within(view(&engine, name).ended_with()).await, End::Whole);
    }
    for (count, before) in counts.iter().zip(&before) {
        let now = number(&session, count).await;
        assert!(now > *before, "{count}: {now} after {before}");
    }
    assert_eq!(number(&session, counts[0]).await, number(&session, counts[1]).await, "a row was counted twice, or not");
    assert_eq!(number(&session, "SELECT count(*) FROM long").await, 1, "its window is the same as before");
    end(engine).await;
}
