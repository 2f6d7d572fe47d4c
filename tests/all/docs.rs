//! The reference pages are what the code says: `UPDATE=1 cargo test` writes them, otherwise they are compared.

use crate::files;

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
fn the_architecture_page_names_every_room_and_stays_short() {
    let page = files::text("docs/architecture.md".as_ref());
    for room in crate::rooms::ROOMS {
        assert!(page.contains(&format!("`{room}`")), "docs/architecture.md does not name `{room}`");
    }
    assert!(page.lines().count() < 150, "docs/architecture.md has 150 lines or more");
}
