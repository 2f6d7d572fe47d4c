//! Models that are brought to an engine: how their calls are counted, shared, replaced and refused. The graphs are those of udfs/tests/models.

use framesql::engine::Engine;
use framesql::error::Error;
use framesql::settings::Settings;
use framesql_udfs::model::description::{Decode, ModelDescription, Task};

use crate::answers::{number, open, rows, run};

const CELLS: &[u8] = include_bytes!("../../udfs/tests/models/bright_cells.onnx");
const COLOUR: &[u8] = include_bytes!("../../udfs/tests/models/mean_colour.onnx");
const OUTPUTS: &[u8] = include_bytes!("../../udfs/tests/models/mean_and_picture.onnx");

fn add(engine: &Engine, description: ModelDescription, file: &[u8]) {
    engine.inference().models().insert(description, file.to_vec()).unwrap();
}

fn cells(name: &str) -> ModelDescription {
    let labels = vec!["red".to_owned(), "blue".to_owned()];
    ModelDescription { decode: Decode::Yolox, labels, score: 0.2, ..ModelDescription::new(name, Task::Detection, 32, 32) }
}

fn colour(name: &str, task: Task) -> ModelDescription {
    ModelDescription { std: [255.0; 3], ..ModelDescription::new(name, task, 8, 8) }
}

fn calls(engine: &Engine, name: &str) -> (u64, u64) {
    let model = engine.inference().model(name).unwrap();
    (model.counters.calls.get(), model.counters.cached.get())
}

async fn refused(session: &framesql::engine::session::Session, sql: &str) -> Error {
    rows(session, sql).await.map(|_| panic!("{sql} is not refused")).unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_looks_at_a_frame_once_for_every_function_and_every_view() {
    let (engine, session) = open(Settings::default()).await;
    add(&engine, cells("objects"), CELLS);
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 12, boxes = 2, seed = 3)").await;
    let all = "sum(cardinality(detect_objects(frame)))";
    let parts = "sum(count_objects(frame, 'red')) + sum(count_objects(frame, 'blue'))";
    let n = number(&session, &format!("SELECT {all} FROM test")).await;
    assert!(n > 0);
    assert_eq!(calls(&engine, "objects"), (12, 0));
    assert_eq!(number(&session, &format!("SELECT {parts} FROM test")).await, n);
    let red = number(&session, "SELECT sum(cardinality(detect_objects(frame, ARRAY['red', 'dog']))) FROM test").await;
    assert_eq!(number(&session, "SELECT sum(count_objects(frame, 'red')) FROM test").await, red);
    assert_eq!(number(&session, "SELECT sum(cardinality(detect(frame, 'objects'))) FROM test").await, n);
    assert!(number(&session, "SELECT sum(cardinality(detect(frame, 'objects', 0.6))) FROM test").await < n);
    assert_eq!(number(&session, "SELECT count(detect_objects(frame, NULL)) FROM test").await, 0);
    for at in 0..10 {
        run(
            &session,
            &format!("CREATE MATERIALIZED VIEW v{at} AS SELECT frame_no, detect_objects(frame, ARRAY['red'], 0.2{at}) AS found FROM test"),
        )
        .await;
    }
    assert_eq!(calls(&engine, "objects").0, 12);
    // Only the rows that pass a guard are looked at: another source, as the first one's results are kept.
    run(&session, "CREATE SOURCE other FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 12)").await;
    number(&session, "SELECT count(*) FROM other WHERE frame_no % 4 = 0 AND count_objects(frame, 'red') >= 0").await;
    assert_eq!(calls(&engine, "objects").0, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_vectors_and_outputs_are_lists() {
    let (engine, session) = open(Settings::default()).await;
    let labels = ["red", "green", "blue"].map(str::to_owned).to_vec();
    add(&engine, ModelDescription { labels, ..colour("colours", Task::Classification) }, COLOUR);
    add(&engine, colour("vector", Task::Embedding), COLOUR);
    add(&engine, colour("all", Task::Raw), OUTPUTS);
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 5)").await;
    let count = |condition: &str| format!("SELECT count(*) FROM test WHERE {condition}");
    assert_eq!(number(&session, &count("cardinality(classify(frame, 'colours')) = 3")).await, 5);
    assert_eq!(number(&session, &count("classify(frame, 'colours')[1].score >= classify(frame, 'colours')[3].score")).await, 5);
    assert_eq!(number(&session, &count("classify(frame, 'colours')[1].label IN ('red', 'green', 'blue')")).await, 5);
    assert_eq!(number(&session, &count("cardinality(embed(frame, 'vector')) = 3")).await, 5);
    assert_eq!(number(&session, &count("cosine_similarity(embed(frame, 'vector'), embed(frame, 'vector')) > 0.999")).await, 5);
    assert_eq!(
        number(&session, &count("l2_distance(embed(frame, 'vector'), embed(crop(frame, [0, 0, 64, 48]), 'vector')) < 0.05")).await,
        5
    );
    assert_eq!(
        number(&session, &count("cardinality(infer(frame, 'all')[2].values) = 192 AND infer(frame, 'all')[2].name = 'same'")).await,
        5
    );
    assert_eq!(calls(&engine, "colours").0, 5);
    // A picture that a function made has no name under which a result could be kept.
    assert_eq!(calls(&engine, "vector").0, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_is_looked_at_once_however_often_it_is_asked_for() {
    let (engine, session) = open(Settings::default()).await;
    add(&engine, colour("face-embedding", Task::Embedding), COLOUR);
    crate::answers::clip(&session, "clip").await;
    let faces = "FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no BETWEEN 50 AND 54";
    let n = number(&session, &format!("SELECT count(*) {faces}")).await as u64;
    assert!(n >= 5);
    let twice = "cosine_similarity(face_embedding(frame, face), face_embedding(frame, face))";
    assert_eq!(number(&session, &format!("SELECT count(*) {faces} AND {twice} > 0.99")).await as u64, n);
    assert_eq!(calls(&engine, "face-embedding"), (n, 0));
    assert_eq!(number(&session, &format!("SELECT count(face_embedding(frame, face)) {faces}")).await as u64, n);
    assert_eq!(calls(&engine, "face-embedding"), (n, n));
    // A box is cut otherwise than a face with landmarks.
    number(&session, &format!("SELECT count(face_embedding(frame, face.box)) {faces}")).await;
    assert_eq!(calls(&engine, "face-embedding"), (2 * n, n));
    assert_eq!(number(&session, &format!("SELECT count(*) {faces} AND width(align_face(frame, face)) = 112")).await as u64, n);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_replaced_serves_the_next_query_and_nothing_old_is_read_from_the_cache() {
    let (engine, session) = open(Settings::default()).await;
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 4)").await;
    let red = "SELECT count(*) FROM test WHERE detect(frame, 'm')[1].label = 'red' OR detect(frame, 'm')[1].label = 'blue'";
    add(&engine, cells("m"), CELLS);
    let n = number(&session, red).await;
    assert!(n > 0);
    let labels = vec!["apple".to_owned(), "plum".to_owned()];
    add(&engine, ModelDescription { labels, ..cells("m") }, CELLS);
    assert_eq!(number(&session, red).await, 0);
    assert_eq!(calls(&engine, "m"), (8, 0));
    assert_eq!(
        number(&session, "SELECT count(*) FROM framesql.models WHERE name = 'm' AND version = '2' AND calls = 8 AND function = 'detect'")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_says_why_and_what_to_do() {
    let (engine, session) = open(Settings::default()).await;
    add(&engine, colour("vector", Task::Embedding), COLOUR);
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 4)").await;
    let told = |error: Error| (error.sqlstate(), error.to_string(), error.hint().unwrap_or_default());
    assert_eq!(
        told(refused(&session, "SELECT detect_objects(frame) FROM test").await),
        ("55000", "model \"objects\" is not installed".into(), "Run framesql models pull objects.".into())
    );
    assert_eq!(
        told(refused(&session, "SELECT detect(frame, 'vector') FROM test").await),
        ("42809", "detect cannot run model \"vector\": it is a model for embedding".into(), "Call embed(frame, 'vector').".into())
    );
    assert_eq!(told(refused(&session, "SELECT embed(frame, 'nobody') FROM test").await).0, "42704");
    // A view is refused when it is made, not when it has begun.
    assert_eq!(told(refused(&session, "CREATE MATERIALIZED VIEW v AS SELECT embed(frame, 'nobody') AS e FROM test").await).0, "42704");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inference_that_takes_too_long_is_an_error() {
    let settings = Settings { model_time_limit: std::time::Duration::from_nanos(1), ..Settings::default() };
    let (engine, session) = open(settings).await;
    add(&engine, colour("vector", Task::Embedding), COLOUR);
    run(&session, "CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = 4)").await;
    let error = refused(&session, "SELECT embed(frame, 'vector') FROM test").await;
    assert_eq!(error.sqlstate(), "54000");
    assert!(error.to_string().starts_with("model \"vector\" took "), "{error}");
}
