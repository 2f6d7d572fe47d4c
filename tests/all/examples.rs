//! Every example of docs/sql.md runs as it stands, in one engine, from the top of the page to its end, and every query among them has rows.

use framesql::engine::outcome::Outcome;
use framesql::settings::Settings;
use futures::StreamExt;

use crate::answers::open;
use crate::files;

/// The statements of the page: blocks that are set in by four spaces, in which a statement begins with a word in capitals.
fn examples(page: &str) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let code = line.strip_prefix("    ");
        match code {
            Some(code) if !inside || code.starts_with(|c: char| c.is_ascii_uppercase()) => statements.push(code.to_owned()),
            Some(code) => {
                if let Some(last) = statements.last_mut() {
                    last.push('\n');
                    last.push_str(code);
                }
            }
            None => {}
        }
        inside = code.is_some();
    }
    statements
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_sql_page_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display();
    std::fs::copy(files::root().join("tests/rows/trips.parquet"), folder.path().join("trips.parquet")).unwrap();
    std::fs::create_dir(folder.path().join("badges")).unwrap();
    std::fs::write(folder.path().join("badges/monday.csv"), "at,door\n2026-05-04T08:00:00Z,north\n").unwrap();

    let (engine, session) = open(Settings::default()).await;
    let world = files::text("tests/all/examples.sql".as_ref()).replace("${MEDIA}", &files::root().join("media").display().to_string());
    for statement in session.parse(&world).unwrap() {
        session.execute(&statement, Vec::new()).await.unwrap();
    }
    let (mut failures, mut n_examples) = (Vec::new(), 0);
    for example in examples(&files::text("docs/sql.md".as_ref())) {
        let run = async {
            let mut n_rows = None;
            for statement in session.parse(&example.replace("file:///data", &format!("file://{data}")))? {
                if let Outcome::Rows { mut stream, .. } | Outcome::Copy { mut stream, .. } = session.execute(&statement, Vec::new()).await?
                {
                    let mut n = 0;
                    while let Some(batch) = stream.next().await {
                        n += batch?.num_rows();
                    }
                    n_rows = Some(n);
                }
            }
            Ok::<_, framesql::error::Error>(n_rows)
        };
        n_examples += 1;
        match run.await {
            Ok(Some(0)) => failures.push(format!("no rows:\n{example}")),
            Ok(_) => {}
            Err(e) => failures.push(format!("({}) {e} {}:\n{example}", e.sqlstate(), e.hint().unwrap_or_default())),
        }
    }
    engine.shutdown().await;
    assert!(n_examples > 30, "only {n_examples} examples were found on the page");
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}
