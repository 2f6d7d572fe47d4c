//! Nexmark: the continuous answer to each question is the SELECT's, over the same events.

mod data;

use framesql::engine::replay::Replay;
use framesql::settings::Settings;

use crate::{answers, files, replay};

/// Half a minute of them: enough that every question has an answer.
const N_EVENTS: usize = 3_000;

/// The question, and how its continuous form is asked.
fn question(text: &str) -> (String, &'static str) {
    let emit = if text.lines().any(|l| l == "-- EMIT CHANGES") { "EMIT CHANGES" } else { "" };
    let query = text.lines().filter(|l| !l.starts_with("--")).collect::<Vec<_>>().join("\n");
    (query.trim_end_matches([';', '\n']).to_owned(), emit)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_of_nexmark_answers_the_same() {
    let folder = tempfile::tempdir().unwrap();
    data::write(folder.path(), N_EVENTS);
    let (engine, session) = answers::open(Settings { files: vec![folder.path().to_owned()], ..Settings::default() }).await;
    answers::run(&session, &data::statements(folder.path())).await;
    answers::run(&session, "SET state_ttl = '10 d'").await;
    let mut rng = fastrand::Rng::with_seed(5);
    let (mut same, mut refused) = (Vec::new(), Vec::new());
    for path in files::ending(&["queries/nexmark"], &["sql"]) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (query, emit) = question(&files::text(&path));
        match Replay::of(&session, &format!("{query} {emit}")).await {
            Ok(_) => {
                let compared = replay::compare(&session, &query, emit, &mut rng, N_EVENTS as u64).await;
                let compared = compared.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert!(compared.n_rows > 0, "{name} has no answer");
                same.push(name);
            }
            // It has an answer where it is read.
            Err(e) => {
                assert!(e.sqlstate() == "42P20" && e.hint().is_some(), "{name}: {e}");
                assert!(!answers::rows(&session, &query).await.unwrap().is_empty(), "{name} has no answer");
                refused.push(name);
            }
        }
    }
    // OVER counts the ten rows before one, and the winning bid of an auction changes.
    assert_eq!(refused, ["q6"]);
    assert_eq!(same.len(), 21, "{same:?}");
    engine.shutdown().await;
}
