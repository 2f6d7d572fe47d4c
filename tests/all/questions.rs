//! The questions of a folder of queries, each with its written answer beside it, and the same however it is run.

use arrow::util::pretty::pretty_format_batches;
use fastrand::Rng;
use framesql::engine::session::Session;

use crate::{answers, files, replay};

/// Asks every question of the folder: its answer is the written one, has rows, and is the same continuously; barriers stand after random ones, by
/// `seed`, of the `n_rows` rows of each source.
pub(crate) async fn ask(session: &Session, folder: &str, seed: u64, n_rows: u64) {
    let mut rng = Rng::with_seed(seed);
    for path in files::ending(&[folder], &["sql"]) {
        let question = files::text(&path);
        let rows = answers::rows(session, &question).await.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let answer = format!("{}\n", pretty_format_batches(&rows).unwrap());
        let written = files::root().join(path.with_extension("out"));
        if files::update() {
            std::fs::write(&written, &answer).unwrap();
        }
        assert_eq!(answer, std::fs::read_to_string(&written).unwrap_or_default(), "{}", path.display());
        let lines: Vec<&str> = question.lines().filter(|l| !l.starts_with("--")).collect();
        let query = lines.join("\n").split("\nORDER BY").next().unwrap_or_default().to_owned();
        let compared = replay::compare(session, &query, "", &mut rng, n_rows).await;
        let compared = compared.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(compared.n_rows > 0, "{} has no answer", path.display());
    }
}
