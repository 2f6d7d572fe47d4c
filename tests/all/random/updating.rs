//! Random queries that are never final: aggregates without windows, aggregates and ranks of those, and what filters, lists and unions make of them.

use fastrand::Rng;

use super::{aggregate, base, filter, one_of, predicate, relation};

/// How such a query gives its answer.
pub(super) fn emit(rng: &mut Rng) -> &'static str {
    match rng.u8(..5) {
        0 => "EMIT EVERY INTERVAL '300 milliseconds'",
        1 => "EMIT EVERY INTERVAL '2 seconds'",
        _ => "EMIT CHANGES",
    }
}

/// A query, and how it gives its answer.
pub(super) fn query(rng: &mut Rng, number: u64, n_sources: usize) -> (String, &'static str) {
    let emit = emit(rng);
    let query = match rng.u8(..12) {
        0 => top(rng, number, n_sources),
        1 => return first(rng, number, emit),
        2 => {
            let base = base(rng, number, n_sources);
            format!(
                "SELECT DISTINCT {} AS d, keyframe FROM {base} AS b{}",
                one_of(rng, &["source", "frame_no % 5", "frame_no / 20"]),
                filter(rng)
            )
        }
        3..5 => grouped(rng, number, n_sources),
        _ => above(rng, number, n_sources),
    };
    (query, emit)
}

/// Columns g (bigint), n (bigint, a count) and v (of any type).
fn grouped(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let relation = relation(rng, number, n_sources);
    let mut keys = vec!["length(source)", "frame_no % 4", "frame_no / 10", "frame_no", "CASE WHEN keyframe THEN frame_no % 2 END"];
    if relation.unnested {
        keys.push("track_id");
    }
    let key = one_of(rng, &keys);
    let (value, filter) = (aggregate(rng, relation.unnested), filter(rng));
    if rng.u8(..5) == 0 {
        return format!("SELECT 0 AS g, count(*) AS n, {value} AS v FROM {} AS r{filter}", relation.sql);
    }
    let having = match rng.u8(..4) {
        0 => format!(" HAVING count(*) > {}", rng.u8(..6)),
        1 => format!(" HAVING max(frame_no) % {} <> 1", 2 + rng.u8(..4)),
        _ => String::new(),
    };
    let grouping = match rng.u8(..8) {
        0 => format!("ROLLUP ({key})"),
        1 => format!("GROUPING SETS (({key}), ({key}, keyframe), ())"),
        _ => key.to_owned(),
    };
    format!("SELECT {key} AS g, count(*) AS n, {value} AS v FROM {} AS r{filter} GROUP BY {grouping}{having}", relation.sql)
}

/// What stands above an aggregate whose rows are taken back.
fn above(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let inner = grouped(rng, number, n_sources);
    let few = rng.u8(1..9);
    match rng.u8(..8) {
        0 => format!("SELECT g, v, n * 2 AS twice FROM ({inner}) AS i WHERE n % {} <> 0", 1 + few),
        1 => format!("SELECT g FROM ({inner}) AS i WHERE n > {few}"),
        2 => format!("SELECT i.g, e FROM ({inner}) AS i CROSS JOIN UNNEST(make_array(i.n, i.g, i.n % {few})) AS e"),
        3 => {
            let base = base(rng, number, n_sources);
            format!("SELECT g, n FROM ({inner}) AS i UNION ALL SELECT frame_no, 1 FROM {base} AS b WHERE {}", predicate(rng))
        }
        4 => {
            let second = grouped(rng, number, n_sources);
            format!(
                "SELECT n, count(*) AS m FROM (SELECT g, n FROM ({inner}) AS i UNION ALL SELECT g, n FROM ({second}) AS j) AS u GROUP BY n"
            )
        }
        5 => format!(
            "SELECT g, n, rn FROM (SELECT g, n, ROW_NUMBER() OVER (PARTITION BY n % {few} ORDER BY n DESC, g) AS rn FROM ({inner}) AS i) AS r WHERE rn <= {few}"
        ),
        _ => {
            let values = [
                "sum(n)",
                "min(n)",
                "max(v)",
                "avg(n)",
                "count(v)",
                "count(DISTINCT n)",
                "sum(n * 0.5)",
                "min(v)",
                "max(g) FILTER (WHERE n > 2)",
            ];
            let values: Vec<String> = (0..rng.u8(1..4)).map(|at| format!("{} AS a{at}", one_of(rng, &values))).collect();
            let once = match rng.u8(..3) {
                0 => format!("SELECT count(*) AS m, {} FROM ({inner}) AS i", values.join(", ")),
                _ => format!("SELECT n % {few} AS k, count(*) AS m, {} FROM ({inner}) AS i GROUP BY n % {few}", values.join(", ")),
            };
            if rng.u8(..4) == 0 { format!("SELECT m, count(*) AS times, max(a0) AS most FROM ({once}) AS o GROUP BY m") } else { once }
        }
    }
}

/// Ranks over rows that only come, in an order without ties.
fn top(rng: &mut Rng, number: u64, n_sources: usize) -> String {
    let base = base(rng, number, n_sources);
    let by = one_of(
        rng,
        &["frame_no DESC", "frame_no % 7, frame_no", "keyframe DESC, frame_no DESC", "NULLIF(frame_no % 3, 1) DESC NULLS LAST, frame_no"],
    );
    let partition = one_of(rng, &["", "PARTITION BY keyframe ", "PARTITION BY frame_no % 3 "]);
    let rank = if rng.bool() { ", rn" } else { "" };
    format!(
        "SELECT source, frame_no{rank} FROM (SELECT source, frame_no, ROW_NUMBER() OVER ({partition}ORDER BY {by}, source) AS rn FROM {base} AS b{}) AS r WHERE rn <= {}",
        filter(rng),
        rng.u8(1..6)
    )
}

/// The first or the last row of each key; of one source, whose times are all different.
fn first(rng: &mut Rng, number: u64, emit: &'static str) -> (String, &'static str) {
    // The first row of a key is final: it has no changes to hold back, and needs no EMIT.
    let (direction, emit) = if rng.bool() { ("DESC", emit) } else { ("ASC", "") };
    let key = one_of(rng, &["keyframe", "frame_no % 5", "frame_no / 9"]);
    let query = format!(
        "SELECT frame_no, ts FROM (SELECT frame_no, ts, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY ts {direction}) AS rn FROM s{number}_0{}) AS r WHERE rn = 1",
        filter(rng)
    );
    (query, emit)
}
