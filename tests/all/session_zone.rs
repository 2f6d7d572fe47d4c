//! A session's zone decides what its queries mean, as in PostgreSQL: days, hours, texts and sums of moments, in statements that are kept, views and COPY too.

use std::path::Path;

use framesql::settings::Settings;

use crate::client::{Client, Server, bind, execute, message, parse, query, startup, zero_ended};

/// What PostgreSQL 15 gives: `#` is a zone, `>` a statement that is run in it, and each line below it a row.
const ANSWERS: &str = include_str!("session_zone.txt");

const MOMENTS: [&str; 2] = [
    "CREATE TABLE moments (id int4 PRIMARY KEY, ts timestamptz, said text, local timestamp, d date)",
    "INSERT INTO moments VALUES
     (1, '2024-03-10 04:30+00', '2024-03-09 12:00', '2024-03-10 02:30', '2024-03-10'),
     (2, '2024-03-10 06:59:59.5+00', '2024-03-10 02:30', '2024-03-10 12:00', '2024-03-11'),
     (3, '2024-03-10 07:00+00', '2024-03-10 12:00', '2024-03-09 23:00', '2024-03-09'),
     (4, '2024-11-03 05:30+00', '2024-11-03 01:30', '2024-11-03 01:30', '2024-11-03'),
     (5, '2024-11-03 06:30+00', '2024-11-03 12:00 Europe/Berlin', '2024-11-03 00:00', '2024-11-04'),
     (6, '2024-07-01 00:00+00', '2024-07-01 00:00+02', '2024-07-01 00:00', '2024-07-01'),
     (7, NULL, NULL, NULL, NULL)",
];

async fn moments() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    for sql in MOMENTS {
        client.rows(sql).await;
    }
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_mean_what_they_mean_to_postgres_in_each_zone() {
    let (server, mut client) = moments().await;
    let (mut failures, mut zone) = (Vec::new(), "");
    let mut lines = ANSWERS.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(next) = line.strip_prefix("# ") {
            zone = next;
            client.rows(&format!("SET TimeZone = '{zone}'")).await;
            continue;
        }
        let sql = line.strip_prefix("> ").unwrap();
        let mut expected = Vec::new();
        while let Some(row) = lines.next_if(|line| !line.starts_with(['#', '>'])) {
            expected.push(row);
        }
        let answer = client.query(sql).await;
        if answer.rows != expected || !answer.errors.is_empty() {
            failures.push(format!("{zone}: {sql}\n  gives {:?} {:?}\n  and not {expected:?}", answer.rows, answer.errors));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_prepared_is_planned_again_when_the_zone_changes() {
    let (server, mut client) = moments().await;
    let sql = "SELECT date_trunc('day', ts) FROM moments WHERE ts >= $1 AND id = 6";
    client.write(&[parse("kept", sql, &[1184]), message(b'S', &[])].concat()).await;
    assert_eq!(client.until_ready().await.errors, Vec::<String>::new());
    for (zone, since, row) in [
        ("UTC", "2024-07-01 00:00", Some("2024-07-01 00:00:00+00")),
        ("America/New_York", "2024-07-01 00:00", None),
        ("America/New_York", "2024-06-30 20:00", Some("2024-06-30 00:00:00-04")),
        ("Asia/Kolkata", "2024-07-01 05:30", Some("2024-07-01 00:00:00+05:30")),
        ("UTC", "2024-07-01 00:00", Some("2024-07-01 00:00:00+00")),
    ] {
        client.rows(&format!("SET TimeZone = '{zone}'")).await;
        // By its name, and as a driver that parses the same text for every question.
        for name in ["kept", ""] {
            let again = if name.is_empty() { parse("", sql, &[1184]) } else { Vec::new() };
            let values: [Option<&[u8]>; 1] = [Some(since.as_bytes())];
            client.write(&[again, bind("", name, &[0], &values, 0), execute("", 0), message(b'S', &[])].concat()).await;
            let answer = client.until_ready().await;
            assert_eq!((answer.errors, answer.rows), (Vec::new(), row.map(str::to_owned).into_iter().collect()), "{zone} {since} {name}");
        }
    }
    client.rows("PREPARE days AS SELECT ts::date FROM moments WHERE id = 6").await;
    assert_eq!(client.rows("EXECUTE days").await, ["2024-07-01"]);
    client.rows("SET TimeZone = 'America/New_York'").await;
    assert_eq!(client.rows("EXECUTE days").await, ["2024-06-30"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zone_is_that_of_the_start_and_goes_back_to_it() {
    let (server, _) = moments().await;
    let with_zone = |zone: &str| {
        let mut body = startup("framesql")[4..].to_vec();
        body.pop();
        body.extend([zero_ended("TimeZone"), zero_ended(zone), vec![0]].concat());
        [(body.len() as i32 + 4).to_be_bytes().to_vec(), body].concat()
    };
    let mut client = Client::open(server.address).await;
    client.write(&with_zone("america/new_york")).await;
    client.until_ready().await;
    let day = "SELECT ts::date, current_setting('TimeZone') FROM moments WHERE id = 6";
    assert_eq!(client.rows(day).await, ["2024-06-30|America/New_York"]);
    client.rows("SET TIME ZONE 'Asia/Kolkata'").await;
    assert_eq!(client.rows(day).await, ["2024-07-01|Asia/Kolkata"]);
    for back in ["RESET TimeZone", "SET TimeZone = DEFAULT", "RESET ALL", "DISCARD ALL"] {
        client.rows("SET TimeZone = 'UTC'").await;
        assert_eq!(client.rows(day).await, ["2024-07-01|UTC"]);
        client.rows(back).await;
        assert_eq!(client.rows(day).await, ["2024-06-30|America/New_York"], "{back}");
    }
    client.rows("BEGIN").await;
    client.rows("SET LOCAL TimeZone = 'UTC'").await;
    assert_eq!(client.rows(day).await, ["2024-07-01|UTC"]);
    client.rows("COMMIT").await;
    assert_eq!(client.rows(day).await, ["2024-06-30|America/New_York"]);
    // A zone that there is not would be taken for UTC.
    let mut client = Client::open(server.address).await;
    client.write(&with_zone("Mars/Olympus")).await;
    assert_eq!(client.refusal().await, "22023");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_reads_and_writes_by_the_clocks_of_the_session() {
    let (server, mut client) = moments().await;
    client.rows("SET TimeZone = 'America/New_York'").await;
    client.write(&query("COPY moments (id, ts) FROM STDIN")).await;
    client.write(&[message(b'd', b"20\t2024-07-04 00:00\n21\t2024-12-24 18:00+00\n"), message(b'c', &[])].concat()).await;
    assert_eq!(client.until_ready().await.tags, ["COPY 2"]);
    client.write(&query("COPY (SELECT id, ts FROM moments WHERE id >= 20 ORDER BY id) TO STDOUT")).await;
    let mut lines = Vec::new();
    while let Some((kind, body)) = client.next().await.filter(|(kind, _)| *kind != b'Z') {
        if kind == b'd' {
            lines.push(String::from_utf8(body).unwrap());
        }
    }
    assert_eq!(lines, ["20\t2024-07-04 00:00:00-04\n", "21\t2024-12-24 13:00:00-05\n"]);
    server.stop().await;
}

/// Rows an hour apart, in the order of time, over the days on which the clocks of New York are changed.
fn hours(folder: &Path) -> String {
    // 2024-03-08 23:00 and 2024-11-02 00:00 there.
    let starts = [1_709_956_800_i64, 1_730_520_000];
    let at = |second: i64| chrono::DateTime::from_timestamp(second, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ\n").to_string();
    let rows: String = starts.iter().flat_map(|start_s| (0..72).map(move |hour| at(start_s + hour * 3_600))).collect();
    let path = folder.join("hours.csv");
    std::fs::write(&path, format!("ts\n{rows}")).unwrap();
    format!("CREATE SOURCE hours FROM 'file://{}' WITH (event_time = 'ts', watermark_delay = '0 s')", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_keeps_the_zone_of_who_made_it_and_its_days_are_windows() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings { data: Some(folder.path().join("data")), ..Settings::default() };
    let days = "SELECT date_trunc('day', ts) AS day, count(*) AS n, min(ts::text) AS first FROM hours GROUP BY date_trunc('day', ts)";
    let early = "SELECT date_trunc('hour', ts) AS hour, count(*) AS n FROM hours WHERE extract(hour FROM ts) < 2 GROUP BY 1";
    let (there, utc) = ("SET TimeZone = 'America/New_York'", "SET TimeZone = 'UTC'");
    let server = Server::start(settings()).await;
    let mut client = server.client().await;
    for sql in [
        hours(folder.path()),
        there.to_owned(),
        format!("CREATE MATERIALIZED VIEW days AS {days}"),
        format!("CREATE MATERIALIZED VIEW early AS {early}"),
        utc.to_owned(),
        format!("CREATE MATERIALIZED VIEW utc_days AS {days}"),
        format!("CREATE VIEW plain AS {days}"),
    ] {
        client.rows(&sql).await;
    }
    assert_eq!(client.rows("SELECT pg_get_viewdef('days'::regclass) LIKE '%SET%'").await, ["f"]);
    client.rows(there).await;
    client.rows("CREATE TABLE given (id int8, at timestamptz DEFAULT '2024-07-01 00:00')").await;
    server.stop().await;
    // They are made anew, by the zone that is kept with each.
    let server = Server::start(settings()).await;
    let mut client = server.client().await;
    client.rows("FLUSH").await;
    client.rows(there).await;
    let expected = [
        "2024-03-08 00:00:00-05|1|2024-03-08 23:00:00-05",
        "2024-03-09 00:00:00-05|24|2024-03-09 00:00:00-05",
        "2024-03-10 00:00:00-05|23|2024-03-10 00:00:00-05",
        "2024-03-11 00:00:00-04|24|2024-03-11 00:00:00-04",
        "2024-11-02 00:00:00-04|24|2024-11-02 00:00:00-04",
        "2024-11-03 00:00:00-04|25|2024-11-03 00:00:00-04",
        "2024-11-04 00:00:00-05|23|2024-11-04 00:00:00-05",
    ];
    assert_eq!(client.rows("SELECT * FROM days ORDER BY day").await, expected);
    // As a SELECT in that zone, and a view that is planned by its reader.
    assert_eq!(client.rows(&format!("{days} ORDER BY day")).await, expected);
    assert_eq!(client.rows("SELECT * FROM plain ORDER BY day").await, expected);
    assert_eq!(client.rows("SELECT hour, n FROM early ORDER BY hour").await, client.rows(&format!("{early} ORDER BY 1")).await);
    assert_eq!(client.rows("SELECT count(*) FROM early").await, ["13"]);
    let third = "SELECT * FROM hours MATCH_RECOGNIZE (ORDER BY ts MEASURES a.ts::text AS first PATTERN (a)
                 DEFINE a AS extract(hour FROM a.ts) = 0 AND a.ts::date = DATE '2024-11-03')";
    assert_eq!(client.rows(third).await, ["2024-11-03 00:00:00-04"]);
    client.rows("SET subscribe_as = 'rows'").await;
    let told = client.rows(&format!("SUBSCRIBE ({days})")).await;
    assert!(told.len() == 7 && told.iter().any(|row| row.ends_with("|1|2024-11-03 00:00:00-04|25|2024-11-03 00:00:00-04")), "{told:?}");
    client.rows("INSERT INTO given (id) VALUES (1)").await;
    assert_eq!(client.rows("SELECT at FROM given").await, ["2024-07-01 00:00:00-04"]);
    client.rows(utc).await;
    for of_utc in ["utc_days", "plain"] {
        assert_eq!(client.rows(&format!("SELECT count(*), min(first) FROM {of_utc}")).await, ["8|2024-03-09 04:00:00+00"], "{of_utc}");
    }
    assert_eq!(client.rows("SELECT min(day), min(first) FROM days").await, ["2024-03-08 05:00:00+00|2024-03-08 23:00:00-05"]);
    server.stop().await;
}
