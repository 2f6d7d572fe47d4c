//! The laws of the house that a test can check: which rooms there are, who may use whom, how a file opens, what is never written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files;

/// The rooms in the order of the data; a room uses only those before it.
pub(crate) const ROOMS: [&str; 16] = [
    "error", "settings", "metrics", "clock", "priority", "event", "capture", "decode", "frame", "plan", "run", "sink", "view", "engine",
    "wire", "cli",
];

/// What the two rooms at the door may name beside the engine.
const AT_THE_DOOR: [&str; 7] = ["error", "settings", "metrics", "clock", "plan::parse", "plan::column_names", "engine"];

/// Where the code is.
const CODE: [&str; 4] = ["src", "udfs", "tests", "benches"];

/// Fails with every complaint, so that one run shows them all.
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_map_names_the_rooms_in_the_order_of_the_data() {
    let map = files::text("src/lib.rs".as_ref());
    let lines: Vec<&str> = map.lines().collect();
    let at: Vec<(usize, &str)> =
        lines.iter().enumerate().filter_map(|(at, l)| Some((at, l.strip_prefix("pub mod ")?.strip_suffix(';')?))).collect();
    assert_eq!(at.iter().map(|(_, room)| *room).collect::<Vec<_>>(), ROOMS);
    none(
        at.iter()
            .filter(|(at, _)| !lines[at - 1].starts_with("/// "))
            .map(|(_, room)| format!("src/lib.rs: `{room}` has no sentence"))
            .collect(),
    );
    let mut there: Vec<String> = std::fs::read_dir(files::root().join("src"))
        .unwrap()
        .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| !["lib", "main"].contains(&name.as_str()))
        .collect();
    there.sort();
    let mut rooms = ROOMS.map(str::to_owned);
    rooms.sort();
    assert_eq!(there, rooms, "src holds the rooms and nothing else");
}

#[test]
fn a_room_uses_only_rooms_above_it() {
    let mut complaints = Vec::new();
    for path in files::ending(&["src"], &["rs"]) {
        let Some(room) = room_of(&path) else { continue };
        let root_file = path.components().count() == 2 || path.components().count() == 3 && path.ends_with("mod.rs");
        for (line, used) in uses(&code_of(&files::text(&path)), root_file) {
            let used_room = used.split("::").next().unwrap_or_default();
            let allowed = match room {
                "wire" => AT_THE_DOOR.iter().any(|a| within(&used, a)),
                "cli" => AT_THE_DOOR.iter().chain(&["wire"]).any(|a| within(&used, a)),
                _ => position(used_room) <= position(room),
            };
            if used_room != room && !allowed {
                complaints.push(format!("{}:{line}: `{room}` uses `{used}`", path.display()));
            }
        }
    }
    none(complaints);
}

#[test]
fn the_readers_of_uses_see_every_spelling() {
    let code =
        "use crate::view;\nuse crate::{error::Error, run::{infer::Call, map}};\nlet x = crate::wire::serve();\nuse super::cli::main;\n";
    let found: Vec<String> = uses(code, true).into_iter().map(|(line, used)| format!("{line} {used}")).collect();
    assert_eq!(found, ["1 view", "2 error::Error", "2 run::infer::Call", "2 run::map", "3 wire::serve", "4 cli::main"]);
    assert_eq!(uses("use super::cli::main;", false), []);
    assert!(within("plan::parse::Body", "plan::parse") && !within("plan::parser", "plan::parse"));
    assert_eq!(code_of("a // crate::run\nb /* x\n */ \"crate::run\" 'c' '\"' r#\"q\"# d").replace(' ', ""), "a\nb\n\"\"''''\"\"d");
}

#[test]
fn nobody_climbs_past_its_room() {
    none(lines_with(&["src"], &["super::super"]));
}

#[test]
fn only_wire_knows_postgres_and_run_never_sees_sql_text() {
    let mut complaints = Vec::new();
    for path in files::ending(&["src"], &["rs"]) {
        let (code, room) = (code_of(&files::text(&path)), room_of(&path).unwrap_or_default());
        let foreign: &[&str] = if room == "run" {
            &["pgwire", "arrow_pg", "datafusion_pg_catalog", "sqlparser", "plan::parse"]
        } else {
            &["pgwire", "arrow_pg", "datafusion_pg_catalog"]
        };
        complaints
            .extend(foreign.iter().filter(|f| room != "wire" && code.contains(**f)).map(|f| format!("{}: names {f}", path.display())));
    }
    let udfs = files::text("udfs/Cargo.toml".as_ref());
    let planner =
        udfs.lines().filter(|l| l.starts_with("datafusion") && !l.starts_with("datafusion-common") && !l.starts_with("datafusion-expr"));
    complaints.extend(planner.map(|l| format!("udfs/Cargo.toml: {l}: of DataFusion udfs has only the expression crates")));
    none(complaints);
}

#[test]
fn every_file_opens_with_one_sentence() {
    let mut complaints = Vec::new();
    let folders = [&CODE[..], &["queries", "media", ".ci"]].concat();
    let programs = folders.iter().flat_map(|f| files::below(f)).filter(|p| p.file_name().is_some_and(|name| name == "run"));
    for path in files::ending(&folders, &["rs", "py", "sh", "mjs", "slt", "sql"]).into_iter().chain(programs) {
        let text = files::text(&path);
        let python = text.lines().next().is_some_and(|l| l.starts_with("#!") && l.ends_with("python3"));
        let mark = match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
            "rs" => "//! ",
            "mjs" => "// ",
            "sql" => "-- ",
            "py" => "\"\"\"",
            "" if python => "\"\"\"",
            _ => "# ",
        };
        let lines = text.lines().skip_while(|l| l.starts_with("#!/"));
        let first = lines.clone().next().and_then(|l| l.strip_prefix(mark)).unwrap_or_default();
        // The first paragraph of the comment: a sentence may go over several lines.
        let paragraph: Vec<&str> = lines.map(|l| l.trim_start_matches(mark.trim_end()).trim()).take_while(|l| !l.is_empty()).collect();
        let sentence = paragraph.join(" ");
        if first.split_whitespace().count() < 3 || !sentence.contains(['.', '?', ':']) {
            complaints.push(format!(
                "{}: opens with {:?}, not with a sentence behind {mark:?}",
                path.display(),
                text.lines().next().unwrap_or_default()
            ));
        }
    }
    none(complaints);
}

#[test]
fn no_folder_is_too_crowded_to_show_where_to_begin() {
    let mut sizes: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for path in files::ending(&["src"], &["rs"]) {
        *sizes.entry(path.parent().map(Path::to_path_buf).unwrap_or_default()).or_default() += 1;
    }
    let crowded = sizes.into_iter().filter(|(_, n_files)| *n_files > 60);
    none(crowded.map(|(folder, n_files)| format!("{}: {n_files} files in one folder, which want rooms", folder.display())).collect());
}

#[test]
fn no_file_passes_500_lines_without_saying_why() {
    let mut complaints = Vec::new();
    for path in files::ending(&CODE, &["rs", "py", "sh", "mjs"]) {
        let text = files::text(&path);
        let n_lines = text.lines().count();
        if n_lines > 500 && !text.lines().take(12).any(|l| l.contains("500 lines")) {
            complaints.push(format!("{}: {n_lines} lines, and its head does not say why it has more than 500 lines", path.display()));
        }
    }
    none(complaints);
}

#[test]
fn there_are_no_drawers() {
    const DRAWERS: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "type", "types", "misc"];
    let drawer = |path: &Path| path.iter().any(|part| DRAWERS.contains(&part.to_string_lossy().split('.').next().unwrap_or_default()));
    none(CODE.iter().flat_map(|f| files::below(f)).filter(|p| drawer(p)).map(|p| p.display().to_string()).collect());
}

#[test]
fn only_the_kernels_lift_the_ban_on_what_is_unsafe() {
    let named = lines_with(&CODE, &["unsafe_code"]);
    let lifted = named.into_iter().filter(|l| l.contains("allow(") || l.contains("expect("));
    none(lifted.filter(|l| !l.starts_with("udfs/src/model/kernels.rs:")).collect());
}

#[test]
fn only_the_clock_reads_the_wall_clock() {
    let read = lines_with(&CODE, &["SystemTime::now", "Instant::now", "Utc::now", "Local::now"]);
    none(read.into_iter().filter(|l| !l.starts_with("src/clock.rs:")).collect());
}

#[test]
fn no_test_is_ignored_sleeps_or_tries_again() {
    let mut complaints = lines_with(&CODE, &["#[ignore"]);
    complaints.extend(lines_with(&["tests", "udfs/tests"], &["sleep("]));
    for path in files::ending(&["src", "udfs/src"], &["rs"]) {
        let code = code_of(&files::text(&path));
        if code.split_once("#[cfg(test)]").is_some_and(|(_, tests)| tests.contains("sleep(")) {
            complaints.push(format!("{}: a test sleeps", path.display()));
        }
    }
    for path in files::ending(&["tests"], &["slt", "py", "sh", "mjs"]) {
        for (at, line) in files::text(&path).lines().enumerate() {
            let waits = if path.extension().is_some_and(|e| e == "slt") {
                line.starts_with("sleep ") || (line.starts_with("statement ") || line.starts_with("query ")) && line.contains(" retry ")
            } else {
                // pg_sleep is a function of the product.
                line.replace("pg_sleep", "").contains("sleep") || line.contains("setTimeout")
            };
            if waits {
                complaints.push(format!("{}:{}: {line}", path.display(), at + 1));
            }
        }
    }
    none(complaints);
}

#[test]
fn what_is_pinned_is_there_once_and_at_its_version() {
    let manifest = files::text("Cargo.toml".as_ref());
    let lock = files::text("Cargo.lock".as_ref());
    let mut locked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| package.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'));
        if let (Some(name), Some(version)) = (field("name"), field("version")) {
            locked.entry(name).or_default().push(version);
        }
    }
    let pinned: Vec<(&str, &str)> = manifest
        .lines()
        .filter_map(|l| {
            let (name, rest) = l.split_once(" = ")?;
            let (_, version) = rest.split_once("\"=")?;
            Some((name, version.split('"').next()?))
        })
        .collect();
    for must in ["arrow", "datafusion", "sqlparser", "pgwire"] {
        assert!(pinned.iter().any(|(name, _)| *name == must), "Cargo.toml does not pin {must}");
    }
    let once = |(name, version): &(&str, &str)| locked.get(name).is_none_or(|v| v != &[*version]);
    none(
        pinned
            .iter()
            .filter(|p| once(p))
            .map(|(name, version)| format!("{name}: pinned {version}, Cargo.lock has {:?}", locked.get(name)))
            .collect(),
    );
}

#[test]
fn every_sql_test_is_where_the_runner_looks_and_asks_something() {
    let mut complaints = Vec::new();
    let run = crate::sql::slt_files();
    for path in files::ending(&[""], &["slt"]) {
        let asks = files::text(&path).lines().any(|l| l.starts_with("query ") || l.starts_with("statement "));
        if !run.contains(&path) || path.components().count() != 4 || !asks {
            complaints.push(format!("{}: a test stands in tests/slt/<topic>/<thing>.slt and asks something", path.display()));
        }
    }
    none(complaints);
}

#[test]
fn every_question_has_its_answer() {
    let mut complaints = Vec::new();
    // Nexmark's have a test of their own.
    let pages = ["queries/driving/README.md", "queries/models/README.md", "queries/tracks/README.md", "queries/zones/README.md"];
    let described = |path: &PathBuf| pages.iter().any(|page| path == Path::new(page));
    for path in files::below("queries").into_iter().filter(|path| !path.starts_with("queries/nexmark") && !described(path)) {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let other = path.with_extension(if extension == "sql" { "out" } else { "sql" });
        if !["sql", "out"].contains(&extension) || !files::root().join(&other).is_file() {
            complaints.push(format!("{}: there is no {}", path.display(), other.display()));
        }
        if extension == "sql" && !files::text(&path).lines().next().is_some_and(|l| l.starts_with("-- ") && l.ends_with('?')) {
            complaints.push(format!("{}: the first line is the question", path.display()));
        }
    }
    none(complaints);
}

#[test]
fn a_folder_with_binary_data_says_what_each_file_is() {
    let mut complaints = Vec::new();
    for path in files::below("") {
        if std::str::from_utf8(&std::fs::read(files::root().join(&path)).unwrap()).is_ok() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let readme = std::fs::read_to_string(files::root().join(path.with_file_name("README.md"))).unwrap_or_default();
        if !readme.lines().any(|l| l.contains(&name)) {
            complaints.push(format!("{}: the README.md beside it does not name it", path.display()));
        }
    }
    none(complaints);
}

/// The room of a file below src; None for lib.rs and main.rs.
fn room_of(path: &Path) -> Option<&'static str> {
    let second = path.iter().nth(1)?.to_str()?;
    ROOMS.into_iter().find(|room| second == *room || second.strip_suffix(".rs") == Some(room))
}

fn position(room: &str) -> usize {
    ROOMS.iter().position(|r| *r == room).unwrap_or(usize::MAX)
}

fn within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every path that begins at the crate's root, with its line; groups in braces are taken apart. In a room's root file `super` is the crate.
fn uses(code: &str, root_file: bool) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let starts = code.match_indices("crate::").map(|(at, word)| (at, at + word.len()));
    let supers = code.match_indices("super::").map(|(at, word)| (at, at + word.len())).filter(|(_, end)| {
        let name: String = code[*end..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        root_file && ROOMS.contains(&name.as_str())
    });
    for (at, end) in starts.chain(supers) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let mut paths = Vec::new();
        take_apart("", &mut code[end..].chars().peekable(), &mut paths);
        found.extend(paths.into_iter().map(|p| (line, p)));
    }
    found
}

/// Reads one path, or all paths of a group in braces.
fn take_apart(prefix: &str, rest: &mut std::iter::Peekable<std::str::Chars<'_>>, paths: &mut Vec<String>) {
    let mut path = prefix.to_owned();
    loop {
        match rest.peek() {
            Some('{') => {
                loop {
                    rest.next();
                    while rest.peek().is_some_and(|c| c.is_whitespace()) {
                        rest.next();
                    }
                    if rest.peek() != Some(&'}') {
                        take_apart(&path, rest, paths);
                    }
                    // What stands between a name and the next comma is its new name.
                    while rest.peek().is_some_and(|c| !",}".contains(*c)) {
                        rest.next();
                    }
                    if rest.peek() != Some(&',') {
                        rest.next();
                        return;
                    }
                }
            }
            Some(c) if c.is_alphanumeric() || *c == '_' || *c == ':' => path.extend(rest.next()),
            _ => break,
        }
    }
    paths.push(path.trim_end_matches(':').to_owned());
}

/// Every line of code that holds one of the texts, comments and strings left out.
fn lines_with(folders: &[&str], texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files::ending(folders, &["rs"]) {
        for (at, line) in code_of(&files::text(&path)).lines().enumerate() {
            if texts.iter().any(|t| line.contains(t)) {
                found.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    found
}

/// Rust code without comments and without what is in quotes; lines stay where they are.
fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut code, mut at) = (String::new(), 0);
    let newlines = |part: &str| "\n".repeat(part.matches('\n').count());
    while at < bytes.len() {
        let rest = &text[at..];
        let raw = rest.strip_prefix('r').map(|r| r.len() - r.trim_start_matches('#').len()).filter(|n| rest[1 + n..].starts_with('"'));
        let after_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !code.ends_with('b');
        let (skipped, put) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), "")
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), "")
        } else if let (Some(n), false) = (raw, after_word) {
            let end = format!("\"{}", "#".repeat(n));
            (2 + n + rest[2 + n..].find(&end).map_or(rest.len() - 2 - n, |e| e + end.len()), "\"\"")
        } else if rest.starts_with('"') {
            (quoted(rest), "\"\"")
        } else if let Some(length) = character(rest) {
            (length, "''")
        } else {
            (0, "")
        };
        if skipped == 0 {
            let next = rest.chars().next().unwrap_or_default();
            code.push(next);
            at += next.len_utf8();
        } else {
            code.push_str(put);
            code.push_str(&newlines(&rest[..skipped]));
            at += skipped;
        }
    }
    code
}

/// The length of a string that begins here, quotes included.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character in quotes that begins here; None for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if let Some(escaped) = inner.strip_prefix('\\') {
        return Some(2 + escaped.char_indices().skip(1).find(|(_, c)| *c == '\'')?.0 + 1);
    }
    let c = inner.chars().next()?;
    inner[c.len_utf8()..].starts_with('\'').then_some(c.len_utf8() + 2)
}
