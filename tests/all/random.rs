//! Random queries over synthetic cameras, each with a continuous form: the same number always gives the same query.

mod updating;

use fastrand::Rng;

/// The statements that make the sources, and the query.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) sources: Vec<String>,
    pub(crate) query: String,
    /// How its continuous form is to be given: nothing, or an EMIT clause.
    pub(crate) emit: &'static str,
    /// Frames of the longest source.
    pub(crate) n_frames: u64,
}

/// A relation in FROM, and which columns it has beside source, frame_no, ts, keyframe, width and height.
struct Relation {
    sql: String,
    unnested: bool,
}

fn one_of<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.usize(..all.len())]
}

/// The case of that number; its sources are named by it.
pub(crate) fn case(number: u64) -> Case {
    let mut rng = Rng::with_seed(number);
    let rng = &mut rng;
    let n_sources = 1 + rng.usize(..3);
    let mut sources = Vec::new();
    let mut longest = 0;
    for at in 0..n_sources {
        let frames = if rng.u8(..20) == 0 { 0 } else { rng.u64(1..120) };
        longest = longest.max(frames);
        let fps = one_of(rng, &["1", "2.5", "5", "7.3", "10", "24", "25", "29.97", "30", "60", "1000"]);
        let start =
            one_of(rng, &["1970-01-01 00:00:00+00", "1969-12-31 23:59:58.5+00", "1970-01-01 00:00:00.0123+00", "2026-05-01 12:00:00+00"]);
        sources.push(format!(
            "CREATE SOURCE s{number}_{at} FROM 'pattern:' WITH (size = '64x48', fps = {fps}, frames = {frames}, boxes = {}, seed = {}, start_ts = '{start}')",
            rng.u8(..4),
            rng.u8(..)
        ));
    }
    let (query, may_update) = match rng.u8(..28) {
        0..3 => (rows(rng, number, n_sources), false),
        3..6 => (window_of_window(rng, number, n_sources), false),
        6..8 => (by_time(rng, number, n_sources), true),
        8 => (distinct(rng, number, n_sources), true),
        9..20 => (windowed(rng, number, n_sources).0, true),
        _ => {
            let (query, emit) = updating::query(rng, number, n_sources);
            return Case { sources, query, emit, n_frames: longest };
        }
    };
    let emit = if may_update && rng.u8(..3) == 0 { updating::emit(rng) } else { "" };
    Case { sources, query, emit, n_frames: longest }
}

fn predicate(rng: &mut Rng) -> String {
    let n = rng.u8(..60);
    match rng.u8(..8) {
        0 => format!("frame_no < {n}"),
        1 => format!("frame_no BETWEEN {} AND {n}", n / 3),
        2 => format!("frame_no % {} = 1", 2 + n % 5),
        3 => "keyframe".to_owned(),
        4 => format!("ts >= TIMESTAMP WITH TIME ZONE '1970-01-01 00:00:0{}+00'", n % 3),
        5 => format!("width = 64 AND frame_no <> {n}"),
        6 => format!("(frame_no > {n} OR height < 10)"),
        _ => format!("CASE WHEN keyframe THEN frame_no % 3 = 0 ELSE width > {n} END"),
    }
}

fn filter(rng: &mut Rng) -> String {
    if rng.bool() { format!(" WHERE {}", predicate(rng)) } else { String::new() }
}

/// One source, or several as one.
fn base(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let one = |rng: &mut Rng, at: usize| {
        format!("SELECT source, frame_no, ts, keyframe, width, height, truth FROM s{number}_{at}{}", filter(rng))
    };
    if n_sources == 1 && rng.bool() {
        return format!("s{number}_0");
    }
    let parts: Vec<String> = (0..n_sources).map(|at| one(rng, at)).collect();
    format!("({})", parts.join(" UNION ALL "))
}

fn relation(rng: &mut Rng, number: u64, n_sources: usize) -> Relation {
    let base = base(rng, number, n_sources);
    match rng.u8(..5) {
        0 | 1 => {
            let join = if rng.bool() { "CROSS JOIN UNNEST(b.truth) AS thing" } else { "LEFT JOIN UNNEST(b.truth) AS thing ON true" };
            let columns = "b.source, b.frame_no, b.ts, b.keyframe, b.width, b.height, thing.label AS label, thing.track_id AS track_id, thing.score AS score, thing.box['x'] AS x";
            Relation { sql: format!("(SELECT {columns} FROM {base} AS b {join}{})", filter(rng)), unnested: true }
        }
        2 => Relation { sql: format!("(SELECT * FROM {base} AS b{})", filter(rng)), unnested: false },
        _ => Relation { sql: base, unnested: false },
    }
}

fn interval(ms: u64) -> String {
    format!("INTERVAL '{ms} milliseconds'")
}

/// A window function over a relation.
fn window(rng: &mut Rng, relation: &str, time: &str, times: u64) -> String {
    let size = [40, 100, 130, 333, 500, 777, 1000, 2000, 3100][rng.usize(..9)] * times;
    let offset = if rng.u8(..3) == 0 { format!(", {}", interval(rng.u64(1..2 * size))) } else { String::new() };
    if rng.bool() {
        format!("TUMBLE({relation}, {time}, {}{offset})", interval(size))
    } else {
        format!("HOP({relation}, {time}, {}, {}{offset})", interval(size), interval(size * rng.u64(1..5)))
    }
}

fn number_of(rng: &mut Rng, unnested: bool) -> &'static str {
    if unnested && rng.bool() {
        return one_of(rng, &["track_id", "score", "x", "x * 0.1 + score", "NULLIF(track_id, 1)"]);
    }
    one_of(rng, &["frame_no", "width", "frame_no % 7", "frame_no * 0.1", "height - frame_no", "NULLIF(frame_no % 3, 0)", "length(source)"])
}

fn aggregate(rng: &mut Rng, unnested: bool) -> String {
    let value = number_of(rng, unnested);
    let filter = if rng.u8(..3) == 0 { format!(" FILTER (WHERE {})", predicate(rng)) } else { String::new() };
    match rng.u8(..11) {
        0 | 1 => format!("count(*){filter}"),
        2 => format!("count({value}){filter}"),
        3 => format!("count(DISTINCT {value}){filter}"),
        4 | 5 => format!("sum({value}){filter}"),
        6 => format!("avg({value}){filter}"),
        7 => format!("min({}){filter}", one_of(rng, &[value, "ts", "source"])),
        8 => format!("max({}){filter}", one_of(rng, &[value, "ts", "source"])),
        9 => format!("sum({value}){filter} * 2 + count(*)"),
        _ => format!("CASE WHEN count(*) > 3 THEN max({value}){filter} ELSE min({value}) END"),
    }
}

/// An aggregate by window; also the names of its columns of time.
fn windowed(rng: &mut Rng, number: u64, n_sources: usize) -> (String, Vec<String>) {
    let relation = relation(rng, number, n_sources);
    let from = window(rng, &relation.sql, "ts", 1);
    let mut keys = vec![one_of(rng, &["window_start", "window_end", "window_time"])];
    let mut more = vec!["window_start", "window_end", "source", "keyframe", "frame_no % 4", "ts"];
    if relation.unnested {
        more.extend(["label", "track_id"]);
    }
    for _ in 0..rng.u8(..3) {
        let key = one_of(rng, &more);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if rng.u8(..4) == 0 {
        keys.reverse();
    }
    let aggregates: Vec<String> = (0..rng.u8(1..4)).map(|_| aggregate(rng, relation.unnested)).collect();
    let columns = keys.iter().map(|k| (*k).to_owned()).chain(aggregates);
    let names: Vec<String> = (0..keys.len()).map(|at| format!("c{at}")).collect();
    let columns: Vec<String> = columns.enumerate().map(|(at, column)| format!("{column} AS c{at}")).collect();
    let having = match rng.u8(..6) {
        0 => format!(" HAVING count(*) > {}", rng.u8(..4)),
        1 => format!(" HAVING sum({}) >= {}", number_of(rng, relation.unnested), rng.u8(..20)),
        _ => String::new(),
    };
    let query = format!("SELECT {} FROM {from}{} GROUP BY {}{having}", columns.join(", "), filter(rng), keys.join(", "));
    let times = keys.iter().zip(names).filter(|(key, _)| key.starts_with("window") || **key == "ts").map(|(_, name)| name).collect();
    (query, times)
}

fn window_of_window(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let (inner, times) = windowed(rng, number, n_sources);
    if rng.u8(..4) == 0 {
        // No window function of its own: a time of the window below is the key.
        let time = &times[rng.usize(..times.len())];
        return format!("SELECT {time}, count(*) AS n FROM ({inner}) AS i GROUP BY {time}");
    }
    let (time, scale) = (&times[rng.usize(..times.len())], rng.u64(1..4));
    let from = window(rng, &format!("({inner})"), time, scale);
    let key = one_of(rng, &["window_start", "window_end", "window_time"]);
    let value = one_of(rng, &["count(*)", "min(c1)", "count(DISTINCT c1)", "max(c0), count(*)"]);
    let more = if rng.u8(..3) == 0 { format!(", {}", times[rng.usize(..times.len())]) } else { String::new() };
    let once = format!("SELECT {key} AS opened{more}, {value} FROM {from} GROUP BY {key}{more}");
    match rng.u8(..4) {
        0 => {
            format!("SELECT window_start, count(*) AS n FROM {} GROUP BY window_start", window(rng, &format!("({once})"), "opened", scale))
        }
        _ => once,
    }
}

fn rows(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let relation = relation(rng, number, n_sources);
    let (from, window) = match rng.bool() {
        true => (window(rng, &relation.sql, "ts", 1), ", window_start, window_time"),
        false => (format!("{} AS r", relation.sql), ""),
    };
    let value = number_of(rng, relation.unnested);
    format!("SELECT source, frame_no, ts, {value} AS value{window} FROM {from}{}", filter(rng))
}

/// Groups by the event time itself, which is no window.
fn by_time(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let relation = relation(rng, number, n_sources);
    let key = one_of(rng, &["", ", source", ", keyframe"]);
    format!("SELECT ts{key}, {} AS value FROM {} AS r{} GROUP BY ts{key}", aggregate(rng, relation.unnested), relation.sql, filter(rng))
}

fn distinct(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let relation = relation(rng, number, n_sources);
    let from = window(rng, &relation.sql, "ts", 1);
    format!("SELECT DISTINCT window_start, {} AS value FROM {from}{}", number_of(rng, relation.unnested), filter(rng))
}
