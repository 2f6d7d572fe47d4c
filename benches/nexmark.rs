//! Nexmark as continuous queries: events a CPU second, a question a line.

mod statements;

#[path = "../tests/all/nexmark/data.rs"]
mod data;

use std::path::Path;

use framesql::settings::Settings;

/// Events of all three streams together, of which 46 of 50 are bids.
const N_EVENTS: usize = 100_000;

/// The CPU time of this process and its threads, in hundredths of a second, as Linux counts it; 0 elsewhere.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold spaces: user and system time are the 12th and 13th number behind it.
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    numbers.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum()
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    data::write(folder.path(), N_EVENTS);
    let settings = Settings { files: vec![folder.path().to_owned()], ..Settings::default() };
    let engine = runtime.block_on(statements::open(settings));
    let session = engine.session("bench", "bench");
    runtime.block_on(statements::run(&session, &data::statements(folder.path())));
    runtime.block_on(statements::run(&session, "SET state_ttl = '10 d'"));
    let questions = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/nexmark");
    // As `cargo bench` passes its own options on, a question is named by a word without dashes.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for number in (0..23).filter(|number| ![6, 12].contains(number)) {
        let name = format!("q{number}");
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let text = std::fs::read_to_string(questions.join(format!("{name}.sql"))).expect("the question is there");
        let emit = if text.contains("-- EMIT CHANGES") { "EMIT CHANGES" } else { "" };
        let query = text.trim_end().trim_end_matches(';');
        let before = cpu_ticks();
        let n_rows = runtime.block_on(statements::run(&session, &format!("SUBSCRIBE ({query} {emit})")));
        let seconds = (cpu_ticks() - before) as f64 / 100.0;
        eprintln!("{name:4} {:9.0} events a CPU second, {n_rows} rows out", N_EVENTS as f64 / seconds.max(0.01));
    }
    runtime.block_on(engine.shutdown());
}
