//! MATCH_RECOGNIZE against a second implementation that tries one way after the other, and it and OVER against themselves, run in every way.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use fastrand::Rng;
use framesql::engine::replay::{Conditions, Replay};
use framesql::settings::Settings;

use crate::{answers, random, replay};

/// How many random queries of each kind run.
const CASES: u64 = 100;

/// A pattern of the naive matcher.
#[derive(Clone, Debug)]
enum Part {
    Variable(usize),
    Sequence(Vec<Part>),
    Choice(Vec<Part>),
    Repeat(Box<Part>, usize, Option<usize>, bool),
}

/// The condition of a variable.
#[derive(Clone, Copy, Debug)]
enum Condition {
    Always,
    Remainder(i64, i64),
    Rises,
    AboveLast(usize),
    SumBelow(i64),
    Fewer(usize),
    NextAbove(i64),
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Copy, Debug)]
struct Row {
    ts: i64,
    v: i64,
}

impl Part {
    fn sql(&self) -> String {
        let all = |parts: &[Part], between: &str| parts.iter().map(Part::sql).collect::<Vec<_>>().join(between);
        match self {
            Part::Variable(v) => NAMES[*v].to_owned(),
            Part::Sequence(parts) => format!("({})", all(parts, " ")),
            Part::Choice(parts) => format!("({})", all(parts, " | ")),
            Part::Repeat(part, least, most, greedy) => {
                let times = match (least, most) {
                    (0, None) => "*".to_owned(),
                    (1, None) => "+".to_owned(),
                    (0, Some(1)) => "?".to_owned(),
                    (least, None) => format!("{{{least},}}"),
                    (least, Some(most)) => format!("{{{least},{most}}}"),
                };
                let part = if matches!(part.as_ref(), Part::Repeat(..)) { format!("({})", part.sql()) } else { part.sql() };
                format!("{part}{times}{}", if *greedy { "" } else { "?" })
            }
        }
    }

    fn empty(&self) -> bool {
        match self {
            Part::Variable(_) => false,
            Part::Sequence(parts) => parts.iter().all(Part::empty),
            Part::Choice(parts) => parts.iter().any(Part::empty),
            Part::Repeat(part, least, ..) => *least == 0 || part.empty(),
        }
    }
}

fn part(rng: &mut Rng, depth: usize) -> Part {
    match rng.u8(..if depth == 0 { 3 } else { 8 }) {
        0..3 => Part::Variable(rng.usize(..4)),
        3 | 4 => Part::Sequence((0..2 + rng.usize(..2)).map(|_| part(rng, depth - 1)).collect()),
        5 => Part::Choice((0..2 + rng.usize(..2)).map(|_| part(rng, depth - 1)).collect()),
        _ => {
            let (least, most) = [(0, None), (1, None), (0, Some(1)), (2, None), (1, Some(3)), (0, Some(2))][rng.usize(..6)];
            // What may be without a row is not repeated: the parser refuses it.
            let repeated = std::iter::repeat_with(|| part(rng, depth - 1)).find(|part| !part.empty()).unwrap();
            Part::Repeat(Box::new(repeated), least, most, rng.bool())
        }
    }
}

fn condition(rng: &mut Rng) -> Condition {
    match rng.u8(..12) {
        0 => Condition::Always,
        1..6 => Condition::Remainder(2 + rng.i64(0..2), rng.i64(0..2)),
        6 | 7 => Condition::Rises,
        8 => Condition::AboveLast(rng.usize(..4)),
        9 => Condition::SumBelow(rng.i64(3..25)),
        10 => Condition::Fewer(1 + rng.usize(..3)),
        _ => Condition::NextAbove(rng.i64(0..6)),
    }
}

impl Condition {
    fn sql(self, own: usize) -> String {
        let name = NAMES[own];
        match self {
            Condition::Always => "true".to_owned(),
            Condition::Remainder(by, rest) => format!("{name}.v % {by} = {rest}"),
            Condition::Rises => format!("{name}.v > prev({name}.v)"),
            Condition::AboveLast(other) => format!("coalesce({name}.v >= last({}.v, {}), true)", NAMES[other], usize::from(other == own)),
            Condition::SumBelow(most) => format!("sum({name}.v) < {most}"),
            Condition::Fewer(most) => format!("count({name}.*) <= {most}"),
            Condition::NextAbove(least) => format!("next(v) > {least}"),
        }
    }

    /// Whether it holds for the last of `labels`, which is the row `start + labels.len() - 1`.
    fn holds(self, rows: &[Row], start: usize, labels: &[usize]) -> bool {
        let own = labels[labels.len() - 1];
        let at = start + labels.len() - 1;
        let of = |variable: usize| labels.iter().enumerate().filter(move |(_, l)| **l == variable).map(|(i, _)| rows[start + i].v);
        match self {
            Condition::Always => true,
            Condition::Remainder(by, rest) => rows[at].v % by == rest,
            Condition::Rises => at > 0 && rows[at].v > rows[at - 1].v,
            Condition::AboveLast(other) => {
                let last = of(other).rev().nth(usize::from(other == own));
                last.is_none_or(|last| rows[at].v >= last)
            }
            Condition::SumBelow(most) => of(own).sum::<i64>() < most,
            Condition::Fewer(most) => of(own).count() <= most,
            Condition::NextAbove(least) => rows.get(at + 1).is_some_and(|next| next.v > least),
        }
    }
}

/// The rows of one partition, and what a search may use of them.
struct Search<'a> {
    rows: &'a [Row],
    start: usize,
    conditions: &'a [Condition; 4],
    within: Option<i64>,
}

impl Search<'_> {
    /// Tries every way to read the part from here, the preferred first, until `then` is content.
    fn read(&self, part: &Part, labels: &mut Vec<usize>, then: &mut dyn FnMut(&mut Vec<usize>) -> bool) -> bool {
        match part {
            Part::Variable(variable) => {
                let at = self.start + labels.len();
                let Some(row) = self.rows.get(at) else { return false };
                if self.within.is_some_and(|within| row.ts - self.rows[self.start].ts > within) {
                    return false;
                }
                labels.push(*variable);
                let found = self.conditions[*variable].holds(self.rows, self.start, labels) && then(labels);
                if !found {
                    labels.pop();
                }
                found
            }
            Part::Sequence(parts) => self.sequence(parts, labels, then),
            Part::Choice(parts) => parts.iter().any(|part| self.read(part, labels, then)),
            Part::Repeat(part, least, most, greedy) => self.repeat(part, (*least, *most, *greedy), labels, then),
        }
    }

    fn sequence(&self, parts: &[Part], labels: &mut Vec<usize>, then: &mut dyn FnMut(&mut Vec<usize>) -> bool) -> bool {
        match parts.split_first() {
            None => then(labels),
            Some((first, rest)) => self.read(first, labels, &mut |labels| self.sequence(rest, labels, then)),
        }
    }

    fn repeat(
        &self,
        part: &Part,
        (least, most, greedy): (usize, Option<usize>, bool),
        labels: &mut Vec<usize>,
        then: &mut dyn FnMut(&mut Vec<usize>) -> bool,
    ) -> bool {
        let n = labels.len();
        let may_more = most != Some(0);
        let fewer = (least.saturating_sub(1), most.map(|most| most - usize::from(most > 0)), greedy);
        let more = |labels: &mut Vec<usize>, then: &mut dyn FnMut(&mut Vec<usize>) -> bool| {
            // A time without a row would go on for ever, and adds nothing.
            may_more && self.read(part, labels, &mut |labels| (labels.len() > n || least > 0) && self.repeat(part, fewer, labels, then))
        };
        if least > 0 {
            return more(labels, then);
        }
        // Which is tried first decides which match is found.
        match greedy {
            true => more(labels, then) || then(labels),
            false => then(labels) || more(labels, then),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Skip {
    Past,
    Next,
    ToLast(usize),
}

/// Of each match the numbers of its rows with their variables.
fn naive(rows: &[Row], part: &Part, conditions: &[Condition; 4], within: Option<i64>, skip: Skip) -> Vec<Vec<(usize, usize)>> {
    let (mut start, mut matches) = (0, Vec::new());
    while start < rows.len() {
        let search = Search { rows, start, conditions, within };
        let mut found = Vec::new();
        let matched = search.read(part, &mut Vec::new(), &mut |labels| {
            found = labels.clone();
            true
        });
        if !matched {
            start += 1;
            continue;
        }
        matches.push(found.iter().enumerate().map(|(i, label)| (start + i, *label)).collect());
        start += match skip {
            Skip::Past => found.len(),
            Skip::Next => 1,
            Skip::ToLast(variable) => found.iter().rposition(|label| *label == variable).unwrap_or(1).max(1),
        };
    }
    matches
}

#[tokio::test(flavor = "multi_thread")]
async fn random_patterns_match_what_trying_every_way_finds() {
    let (_engine, session) = answers::open(Settings::default()).await;
    let mut n_matches = 0;
    for number in 0..3 * CASES {
        let mut rng = Rng::with_seed(number);
        let rng = &mut rng;
        let part = loop {
            let part = part(rng, 3);
            if !part.empty() {
                break part;
            }
        };
        let conditions = [(); 4].map(|()| condition(rng));
        let within = rng.bool().then(|| rng.i64(1..30));
        let skip = match rng.u8(..3) {
            0 => Skip::Past,
            1 => Skip::Next,
            _ => Skip::ToLast(rng.usize(..4)),
        };
        let text = part.sql();
        let used: Vec<usize> = (0..4).filter(|v| text.contains(NAMES[*v])).collect();
        // A condition may name only variables of the pattern.
        let conditions = conditions.map(|c| match c {
            Condition::AboveLast(other) if !used.contains(&other) => Condition::Rises,
            other => other,
        });
        let skip = match skip {
            Skip::ToLast(variable) if !used.contains(&variable) => Skip::Past,
            other => other,
        };
        let mut partitions: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
        let mut values = Vec::new();
        for k in 0..1 + rng.i64(0..2) {
            let mut ts = 0;
            for _ in 0..rng.usize(1..14) {
                ts += rng.i64(1..8);
                let row = Row { ts, v: rng.i64(0..9) };
                partitions.entry(k).or_default().push(row);
                values.push(format!("({k}, to_timestamp_micros({}), {})", row.ts * 1_000, row.v));
            }
        }
        // A SELECT gives the same whatever the order of its rows.
        rng.shuffle(&mut values);
        let define: Vec<String> = used.iter().map(|v| format!("{} AS {}", NAMES[*v], conditions[*v].sql(*v))).collect();
        let skip_sql = match skip {
            Skip::Past => "PAST LAST ROW".to_owned(),
            Skip::Next => "TO NEXT ROW".to_owned(),
            Skip::ToLast(variable) => format!("TO LAST {}", NAMES[variable]),
        };
        let within_sql = within.map(|ms| format!(" WITHIN INTERVAL '{ms} milliseconds'")).unwrap_or_default();
        let query = format!(
            "SELECT k, number, v, label FROM (SELECT k, ts::timestamptz AS ts, v FROM (VALUES {}) AS x(k, ts, v)) MATCH_RECOGNIZE (
               PARTITION BY k ORDER BY ts MEASURES match_number() AS number, classifier() AS label
               ALL ROWS PER MATCH AFTER MATCH SKIP {skip_sql} PATTERN ({text}){within_sql} DEFINE {}) ORDER BY k, number, ts",
            values.join(", "),
            define.join(", ")
        );
        let mut expected = Vec::new();
        for (k, rows) in &partitions {
            for (number, found) in naive(rows, &part, &conditions, within, skip).into_iter().enumerate() {
                n_matches += 1;
                expected.extend(found.into_iter().map(|(at, label)| (*k, number as i64 + 1, rows[at].v, NAMES[label].to_owned())));
            }
        }
        let batches = answers::rows(&session, &query).await.unwrap_or_else(|e| panic!("{number}: {query}: {e}"));
        let mut found = Vec::new();
        for batch in &batches {
            let number = |at: usize, row: usize| batch.column(at).as_primitive::<Int64Type>().value(row);
            let label = |row: usize| batch.column(3).as_string::<i32>().value(row).to_owned();
            found.extend((0..batch.num_rows()).map(|row| (number(0, row), number(1, row), number(2, row), label(row))));
        }
        assert_eq!(found, expected, "{number}: {query}");
    }
    assert!(n_matches > 3 * CASES as usize, "only {n_matches} matches");
}

/// The rows of all sources of a case, one a box or one a frame.
fn relation(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let parts: Vec<String> = (0..n_sources).map(|at| format!("SELECT source, frame_no, ts, truth FROM s{number}_{at}")).collect();
    let join = if rng.bool() { "CROSS JOIN" } else { "LEFT JOIN" };
    let on = if join == "LEFT JOIN" { " ON true" } else { "" };
    let columns = "b.source, b.frame_no, b.ts, coalesce(thing.track_id, 0) AS track_id, thing.box['x'] AS x";
    format!("(SELECT {columns} FROM ({}) AS b {join} UNNEST(b.truth) AS thing{on})", parts.join(" UNION ALL "))
}

/// What tells any two rows of a relation apart.
const ORDER: &str = "ts, source, frame_no, track_id";

fn one_of<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.usize(..all.len())]
}

fn aggregate(rng: &mut Rng, value: &str) -> String {
    let call = one_of(rng, &["sum(", "avg(", "min(", "max(", "count(", "median(", "count(DISTINCT "]);
    format!("{call}{value}){}", one_of(rng, &["", "", " FILTER (WHERE frame_no % 3 <> 1)"]))
}

fn over(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let relation = relation(rng, number, n_sources);
    let partition = one_of(
        rng,
        &["", "PARTITION BY source ", "PARTITION BY source, track_id ", "PARTITION BY track_id ", "PARTITION BY frame_no % 3 "],
    );
    let value = one_of(rng, &["frame_no", "x", "NULLIF(frame_no % 4, 1)", "track_id * 0.1"]);
    let n = rng.u8(..9);
    let call = match rng.u8(..10) {
        0 | 1 => format!("{}({value}, {}) OVER ({partition}ORDER BY {ORDER})", one_of(rng, &["lag", "lead"]), rng.u8(..4)),
        2 => format!("lag(frame_no, {n}, 7) OVER ({partition}ORDER BY {ORDER})"),
        3..6 => {
            let ms = rng.u16(..900);
            let end = match rng.u8(..3) {
                0 => format!("INTERVAL '{} milliseconds' FOLLOWING", rng.u16(..400)),
                _ => "CURRENT ROW".to_owned(),
            };
            let start = if rng.u8(..4) == 0 { "CURRENT ROW".to_owned() } else { format!("INTERVAL '{ms} milliseconds' PRECEDING") };
            // Of rows of one time any may be the first: they have one value.
            let time = "CAST(date_part('epoch', ts) * 1000 AS bigint)";
            let call = match rng.u8(..6) {
                0 => format!("first_value({time})"),
                1 => format!("nth_value(NULLIF({time} % 3, 1), 2) IGNORE NULLS"),
                _ => aggregate(rng, value),
            };
            format!("{call} OVER ({partition}ORDER BY ts RANGE BETWEEN {start} AND {end})")
        }
        _ => {
            let call = match rng.u8(..8) {
                0 => format!("first_value({value})"),
                1 => format!("last_value({value})"),
                2 => format!("nth_value({value}, {})", rng.u8(..4)),
                3 => format!("{}({value}) IGNORE NULLS", one_of(rng, &["first_value", "last_value"])),
                _ => aggregate(rng, value),
            };
            let end = match rng.u8(..4) {
                0 => format!("{} FOLLOWING", rng.u8(..3)),
                1 => format!("{} PRECEDING", n.min(rng.u8(..3))),
                _ => "CURRENT ROW".to_owned(),
            };
            format!("{call} OVER ({partition}ORDER BY {ORDER} ROWS BETWEEN {n} PRECEDING AND {end})")
        }
    };
    let rows = format!("SELECT source, frame_no, ts, track_id, {call} AS value FROM {relation} AS r");
    if rng.u8(..3) == 0 {
        return format!(
            "SELECT window_start, count(*), sum(value), max(frame_no) FROM TUMBLE(({rows}), ts, INTERVAL '{} milliseconds') GROUP BY window_start",
            rng.u16(100..900)
        );
    }
    rows
}

fn pattern(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let relation = relation(rng, number, n_sources);
    let part = loop {
        let part = part(rng, 2);
        if !part.empty() {
            break part;
        }
    };
    let text = part.sql();
    let used: Vec<&str> = NAMES.into_iter().filter(|name| text.contains(name)).collect();
    let define: Vec<String> = used
        .iter()
        .map(|name| {
            let condition = match rng.u8(..9) {
                0 => "true".to_owned(),
                1 => format!("{name}.frame_no > prev({name}.frame_no, 2)"),
                2 => format!("coalesce({name}.x >= last({name}.x, 1), true)"),
                3 => format!("count({name}.*) < 5 AND {name}.frame_no % 2 = 0"),
                4 => format!("next({name}.x) <> {name}.x"),
                5 => format!("sum({name}.frame_no) < {}", rng.u16(..500)),
                _ => format!("{name}.frame_no * 7 % {} = {}", 2 + rng.u8(..3), rng.u8(..2)),
            };
            format!("{name} AS {condition}")
        })
        .collect();
    let one = one_of(rng, &used);
    let partition = one_of(rng, &["source", "source, track_id", "track_id"]);
    let skip = match rng.u8(..3) {
        0 => "PAST LAST ROW".to_owned(),
        1 => "TO NEXT ROW".to_owned(),
        _ => format!("TO LAST {one}"),
    };
    let within = if rng.bool() { format!(" WITHIN INTERVAL '{} milliseconds'", rng.u16(1..2000)) } else { String::new() };
    let rows = one_of(rng, &["ONE ROW PER MATCH", "ALL ROWS PER MATCH"]);
    let matched = format!(
        "{relation} AS r MATCH_RECOGNIZE (PARTITION BY {partition} ORDER BY {ORDER}
           MEASURES first(ts) AS began, match_rowtime() AS ended, count(*) AS n, sum({one}.frame_no) AS total, final last({one}.x) AS x_last,
             classifier() AS label, match_number() AS number, next(frame_no) AS after
           {rows} AFTER MATCH SKIP {skip} PATTERN ({text}){within} DEFINE {}) AS m",
        define.join(", ")
    );
    if rng.u8(..4) == 0 {
        return format!(
            "SELECT window_start, count(*), sum(n) FROM TUMBLE((SELECT * FROM {matched}), ended, INTERVAL '{} milliseconds') GROUP BY window_start",
            rng.u16(100..900)
        );
    }
    let key = match (rows, partition) {
        ("ALL ROWS PER MATCH", _) => "source, track_id, frame_no",
        (_, "track_id") => "track_id",
        _ => "source",
    };
    format!("SELECT {key}, began, ended, n, total, x_last, label, number, after FROM {matched}")
}

/// Runs cases of one kind; each gives the SELECT's answer however it is run.
async fn all_the_same(kind: fn(&mut Rng, u64, usize) -> String, first: u64) {
    let (_engine, session) = answers::open(Settings::default()).await;
    let (mut n_rows, mut failures) = (0, Vec::new());
    for number in first..first + CASES {
        let mut rng = Rng::with_seed(number);
        let case = random::case(number);
        for source in &case.sources {
            answers::run(&session, source).await;
        }
        let query = kind(&mut rng, number, case.sources.len());
        match replay::compare(&session, &query, "", &mut rng, case.n_frames).await {
            Ok(compared) => n_rows += compared.n_rows,
            Err(reason) => failures.push(format!("{number}\n{};\n{query};\n  {reason}", case.sources.join(";\n"))),
        }
    }
    assert!(failures.is_empty(), "\n{}\n{} of {CASES} failed", failures.join("\n\n"), failures.len());
    assert!(n_rows > 1_000, "only {n_rows} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_over_answers_the_same_however_it_is_run() {
    all_the_same(over, 1_000_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_patterns_answer_the_same_however_they_are_run() {
    all_the_same(pattern, 2_000_000).await;
}

/// An hour of event time: what is kept is what a frame or WITHIN reaches, and no more at its end than after ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_an_hour_is_that_of_a_minute() {
    let (_engine, session) = answers::open(Settings::default()).await;
    answers::run(&session, "CREATE SOURCE hour FROM 'pattern:' WITH (size = '64x48', fps = 1, frames = 3600, boxes = 2)").await;
    let boxes = "(SELECT h.ts, h.frame_no, b.track_id FROM hour AS h CROSS JOIN UNNEST(h.truth) AS b)";
    for query in [
        format!(
            "SELECT ts, count(*) OVER (PARTITION BY track_id ORDER BY ts RANGE BETWEEN INTERVAL '9 seconds' PRECEDING AND CURRENT ROW) FROM {boxes}"
        ),
        format!("SELECT ts, lag(frame_no, 9) OVER (PARTITION BY track_id ORDER BY ts) FROM {boxes}"),
        // A partition of each frame is gone when its time is.
        format!(
            "SELECT ts, count(*) OVER (PARTITION BY frame_no ORDER BY ts RANGE BETWEEN INTERVAL '9 seconds' PRECEDING AND CURRENT ROW) FROM {boxes}"
        ),
        format!(
            "SELECT * FROM {boxes} AS r MATCH_RECOGNIZE (PARTITION BY track_id ORDER BY ts MEASURES count(*) AS n
               PATTERN (a b* c) WITHIN INTERVAL '9 seconds' DEFINE a AS a.frame_no % 5 = 0, c AS false)"
        ),
        format!(
            "SELECT * FROM {boxes} AS r MATCH_RECOGNIZE (PARTITION BY frame_no ORDER BY ts, track_id MEASURES count(*) AS n
               PATTERN (a b c) WITHIN INTERVAL '9 seconds' DEFINE a AS true)"
        ),
    ] {
        let replay = Replay::of(&session, &query).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        for at in [600, 3_500] {
            let conditions = Conditions { batch_rows: Some(1), barrier_after_rows: Some(at), ..Conditions::default() };
            let snapshot = replay.run(conditions).await.unwrap().snapshot.unwrap();
            let tables = snapshot.values().flat_map(|state| state.tables.values().flatten());
            let n_rows: usize = tables.map(|table| table.num_rows()).sum();
            assert!((1..=60).contains(&n_rows), "{n_rows} rows are kept after {at} frames: {query}");
        }
    }
}
