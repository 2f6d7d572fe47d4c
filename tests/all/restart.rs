//! The catalogue on disk: what was created is there after a restart, whatever the order, and what cannot be started is listed with its reason.

use framesql::settings::Settings;

use crate::answers::{number, open, rows, run};
use crate::files;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_listed_and_starts_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, away) = (folder.path().join("clip.mp4"), folder.path().join("away.mp4"));
    std::fs::copy(files::root().join("tests/media/motion.mp4"), &clip).unwrap();
    let settings = || Settings { data: Some(folder.path().join("data")), ..Settings::default() };
    {
        let (engine, session) = open(settings()).await;
        run(&session, "CREATE VIEW first AS SELECT 1::bigint AS n; CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', frames = 30)")
            .await;
        run(&session, "CREATE MATERIALIZED VIEW later AS SELECT frame_no AS n FROM test").await;
        // In its place on disk it stands before what it reads.
        run(&session, "CREATE OR REPLACE VIEW first AS SELECT n FROM later").await;
        run(&session, &format!("CREATE SOURCE clip FROM 'file://{}'", clip.display())).await;
        run(&session, "CREATE VIEW frames AS SELECT frame_no FROM clip; CREATE VIEW above AS SELECT * FROM frames").await;
        engine.shutdown().await;
    }
    std::fs::rename(&clip, &away).unwrap();
    {
        let (engine, session) = open(settings()).await;
        run(&session, "FLUSH").await;
        assert_eq!(number(&session, "SELECT count(*) FROM first").await, 30);
        let missing =
            "SELECT name FROM framesql.sources WHERE error LIKE '%clip.mp4%' AND url LIKE 'file:%' AND name = 'clip' AND width IS NULL";
        assert_eq!(number(&session, &format!("SELECT count(*) FROM ({missing}) AS m")).await, 1);
        let missing =
            "SELECT count(*) FROM framesql.views WHERE error LIKE '%does not exist%' AND NOT materialized AND name IN ('frames', 'above')";
        assert_eq!(number(&session, missing).await, 2);
        assert_eq!(number(&session, "SELECT count(*) FROM framesql.views WHERE error IS NULL AND name IN ('first', 'later')").await, 2);
        assert_eq!(rows(&session, "SELECT * FROM frames").await.unwrap_err().sqlstate(), "42P01");
        // One that is dropped, and one that is made anew, is not missing any more.
        run(&session, "DROP VIEW above").await;
        assert_eq!(number(&session, "SELECT count(*) FROM framesql.views WHERE error IS NOT NULL").await, 1);
        engine.shutdown().await;
    }
    std::fs::rename(&away, &clip).unwrap();
    let (engine, session) = open(settings()).await;
    assert!(number(&session, "SELECT count(*) FROM frames").await > 0);
    assert_eq!(number(&session, "SELECT count(*) FROM framesql.sources WHERE error IS NOT NULL").await, 0);
    assert_eq!(number(&session, "SELECT count(*) FROM framesql.views WHERE name = 'above'").await, 0);
    engine.shutdown().await;
}
