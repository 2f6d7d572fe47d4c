//! The reference pages are what the code says: `UPDATE=1 cargo test` writes them, otherwise they are compared.

use framesql::settings::Settings;

use crate::{answers, files};

fn in_step(path: &str, page: &str) {
    let file = files::root().join(path);
    if files::update() {
        std::fs::write(&file, page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "{path} is not what the code says: run UPDATE=1 cargo test --test all docs");
}

#[test]
fn the_page_of_settings_is_generated() {
    in_step("docs/settings.md", &framesql::settings::reference());
}

#[test]
fn the_page_of_functions_is_generated() {
    in_step("docs/functions.md", &framesql_udfs::function::reference());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_a_function_runs() {
    let (engine, session) = answers::open(Settings::default()).await;
    answers::clip(&session, "lobby").await;
    // A stretch with frame 100: the whole clip would be decoded many times over.
    answers::run(&session, "CREATE VIEW clip AS SELECT * FROM lobby WHERE frame_no BETWEEN 50 AND 120").await;
    answers::run(
        &session,
        "CREATE ZONE door ON lobby AS POLYGON '((0 0, 320 0, 320 360, 0 360))';
         CREATE CALIBRATION ground ON lobby AS POINTS '((100 360 -> 0 0, 540 360 -> 4 0, 420 120 -> 4 20, 220 120 -> 0 20))'",
    )
    .await;
    let mut failures = Vec::new();
    for (name, documentation) in framesql_udfs::function::documented() {
        let example = documentation.sql_example.unwrap_or_default();
        match answers::rows(&session, &example).await {
            Ok(_) => {}
            // A model that is not inside the program has to be there first, as the error says.
            Err(e) if e.sqlstate() == "42704" && e.to_string().starts_with("model ") => {}
            Err(e) => failures.push(format!("{name}: {example}\n  {e}")),
        }
    }
    engine.shutdown().await;
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn the_architecture_page_names_every_room_and_stays_short() {
    let page = files::text("docs/architecture.md".as_ref());
    for room in crate::rooms::ROOMS {
        assert!(page.contains(&format!("`{room}`")), "docs/architecture.md does not name `{room}`");
    }
    assert!(page.lines().count() < 150, "docs/architecture.md has 150 lines or more");
}
