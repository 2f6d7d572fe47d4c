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
        let missing = "SELECT count(*) FROM framesql.views WHERE error LIKE '%source \"clip\" could not be started: %clip.mp4%' AND NOT materialized AND name IN ('frames', 'above')";
        assert_eq!(number(&session, missing).await, 2);
        assert_eq!(number(&session, "SELECT count(*) FROM framesql.views WHERE error IS NULL AND name IN ('first', 'later')").await, 2);
        assert_eq!(rows(&session, "SELECT * FROM frames").await.unwrap_err().sqlstate(), "55000");
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

#[tokio::test(flavor = "multi_thread")]
async fn models_and_galleries_are_there_again_and_a_model_whose_file_is_away_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (model, away) = (folder.path().join("colour.onnx"), folder.path().join("away.onnx"));
    std::fs::copy(files::root().join("udfs/tests/models/mean_colour.onnx"), &model).unwrap();
    let portrait = files::root().join("udfs/tests/yunet/astronaut.jpg");
    let settings = || Settings { data: Some(folder.path().join("data")), ..Settings::default() };
    let options = "TASK embedding WITH (input = '8x8', std = 255)";
    {
        let (engine, session) = open(settings()).await;
        run(&session, &format!("CREATE MODEL \"face-embedding\" FROM 'file://{}' {options}", model.display())).await;
        run(&session, &format!("CREATE MODEL gone FROM 'file://{}' {options}; DROP MODEL gone", model.display())).await;
        run(&session, &format!("CREATE SOURCE portrait FROM 'file://{}'; CREATE GALLERY people", portrait.display())).await;
        run(&session, "INSERT INTO people SELECT 'eileen', frame FROM portrait").await;
        engine.shutdown().await;
    }
    let known = "SELECT count(*) FROM portrait WHERE recognize_face(frame, detect_faces(frame)[1], 'people')['name'] = 'eileen'";
    let models = |condition: &str| format!("SELECT count(*) FROM framesql.models WHERE {condition}");
    {
        let (engine, session) = open(settings()).await;
        assert_eq!(number(&session, known).await, 1);
        assert_eq!(number(&session, &models("name = 'gone' OR error IS NOT NULL")).await, 0);
        engine.shutdown().await;
    }
    std::fs::rename(&model, &away).unwrap();
    {
        let (engine, session) = open(settings()).await;
        assert_eq!(number(&session, &models("name = 'face-embedding' AND error LIKE '%colour.onnx%'")).await, 1);
        assert_eq!(rows(&session, known).await.unwrap_err().sqlstate(), "55000");
        assert_eq!(number(&session, "SELECT count(*) FROM people").await, 1);
        engine.shutdown().await;
    }
    std::fs::rename(&away, &model).unwrap();
    let (engine, session) = open(settings()).await;
    assert_eq!(number(&session, known).await, 1);
    run(&session, "DROP GALLERY people; DROP MODEL \"face-embedding\"").await;
    engine.shutdown().await;
    drop((engine, session));
    let (engine, session) = open(settings()).await;
    assert_eq!(number(&session, &models("name = 'face-embedding' AND state = 'not installed'")).await, 1);
    assert_eq!(rows(&session, "SELECT * FROM people").await.unwrap_err().sqlstate(), "42P01");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_started_is_refused_with_its_reason_and_is_dropped_with_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (model, away) = (folder.path().join("colour.onnx"), folder.path().join("away.onnx"));
    std::fs::copy(files::root().join("udfs/tests/models/mean_colour.onnx"), &model).unwrap();
    let settings = || Settings { data: Some(folder.path().join("data")), ..Settings::default() };
    {
        let (engine, session) = open(settings()).await;
        run(&session, &format!("CREATE MODEL m9 FROM 'file://{}' TASK embedding WITH (input = '8x8', std = 255)", model.display())).await;
        run(&session, "CREATE SOURCE cam FROM 'pattern:' WITH (size = '64x48', fps = 5)").await;
        // It goes on: a view that is whole has no use for its model.
        run(&session, "CREATE MATERIALIZED VIEW v9 AS SELECT frame_no, embed(frame, 'm9') IS NULL AS unseen FROM cam").await;
        run(&session, "CREATE VIEW above AS SELECT * FROM v9").await;
        engine.shutdown().await;
    }
    std::fs::rename(&model, &away).unwrap();
    {
        let (engine, session) = open(settings()).await;
        let model = "model \"m9\" could not be started: ";
        for (query, why) in [
            ("SELECT embed(frame, 'm9') FROM cam", model.to_owned()),
            ("SELECT * FROM v9", format!("materialized view \"v9\" could not be started: {model}")),
            ("SELECT * FROM above", format!("view \"above\" could not be started: materialized view \"v9\" could not be started: {model}")),
        ] {
            let error = rows(&session, query).await.unwrap_err();
            assert_eq!(error.sqlstate(), "55000", "{query}: {error}");
            assert!(error.to_string().starts_with(&why) && error.to_string().contains("colour.onnx"), "{query}: {error}");
        }
        for drop in ["DROP SOURCE cam", "DROP MODEL m9"] {
            let error = rows(&session, drop).await.unwrap_err();
            assert_eq!(error.sqlstate(), "2BP01", "{drop}: {error}");
        }
        assert_eq!(number(&session, "SELECT count(*) FROM framesql.views WHERE error IS NOT NULL").await, 2);
        run(&session, "DROP SOURCE cam CASCADE").await;
        assert_eq!(number(&session, "SELECT count(*) FROM framesql.views").await, 0);
        assert_eq!(rows(&session, "SELECT * FROM v9").await.unwrap_err().sqlstate(), "42P01");
        engine.shutdown().await;
    }
    std::fs::rename(&away, &model).unwrap();
    let (engine, session) = open(settings()).await;
    assert_eq!(number(&session, "SELECT count(*) FROM framesql.views").await, 0);
    assert_eq!(number(&session, "SELECT count(*) FROM framesql.models WHERE name = 'm9' AND error IS NULL").await, 1);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_outside_the_fence_and_one_of_a_user_who_may_not_are_refused() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&inside, &outside] {
        std::fs::copy(files::root().join("udfs/tests/models/mean_colour.onnx"), folder.path().join("colour.onnx")).unwrap();
    }
    let (engine, session) = open(Settings { files: vec![inside.path().into()], ..Settings::default() }).await;
    let create = |folder: &tempfile::TempDir| {
        let file = folder.path().join("colour.onnx");
        format!("CREATE MODEL m FROM 'file://{}' TASK embedding WITH (input = '8x8')", file.display())
    };
    assert_eq!(rows(&session, &create(&outside)).await.unwrap_err().sqlstate(), "42501");
    run(&session, "CREATE ROLE admin SUPERUSER LOGIN PASSWORD 'secret'; CREATE USER guest PASSWORD 'secret'; CREATE GALLERY people").await;
    let guest = engine.session("guest", "framesql");
    for sql in [&create(&inside), "CREATE GALLERY others", "DROP MODEL m", "DROP GALLERY people", "DELETE FROM people"] {
        assert_eq!(rows(&guest, sql).await.unwrap_err().sqlstate(), "42501", "{sql}");
    }
    run(&session, &create(&inside)).await;
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', frames = 1); GRANT SELECT ON test TO guest").await;
    // Who is in a gallery is read by asking it.
    let asked = "SELECT recognize_face(frame, detect_faces(frame)[1], 'people') FROM test";
    assert_eq!(rows(&guest, asked).await.unwrap_err().to_string(), "permission denied for relation people");
    engine.shutdown().await;
}
