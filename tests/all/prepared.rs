//! Prepared statements over the wire: what is planned once gives what planning anew would, also after the catalogue has changed.

use framesql::settings::Settings;

use crate::client::{Client, Server, bind, execute, message, parse};

/// Runs a named statement with values as text.
async fn run(client: &mut Client, name: &str, values: &[&str]) -> Result<Vec<String>, String> {
    let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(value.as_bytes())).collect();
    client.write(&[bind("", name, &[], &values, 0), execute("", 0), message(b'S', &[])].concat()).await;
    let answer = client.until_ready().await;
    match answer.errors.first() {
        None => Ok(answer.rows),
        Some(error) => Err(error.split(' ').next().unwrap_or_default().to_owned()),
    }
}

async fn prepare(client: &mut Client, name: &str, sql: &str) {
    client.write(&[parse(name, sql, &[]), message(b'S', &[])].concat()).await;
    let answer = client.until_ready().await;
    assert_eq!(answer.errors, Vec::<String>::new(), "{sql}");
}

async fn server() -> Server {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    for sql in [
        "CREATE TABLE people (id int8 PRIMARY KEY, name text, height float8)",
        "INSERT INTO people VALUES (1, 'Ann', 1.7), (2, 'Bo', 1.8), (3, 'Cy', 1.6)",
    ] {
        client.query(sql).await;
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_answers_what_its_text_with_the_values_answers() {
    let server = server().await;
    let mut client = server.client().await;
    let statements = [
        ("SELECT name FROM people WHERE id = $1", vec![vec!["1"], vec!["3"], vec!["9"]]),
        ("SELECT name, height FROM people WHERE height > $1 AND name <> $2 ORDER BY id", vec![vec!["1.65", "'Bo'"], vec!["0", "'x'"]]),
        ("SELECT count(*), max(height) FROM people WHERE id BETWEEN $1 AND $2", vec![vec!["1", "2"], vec!["5", "2"]]),
        ("SELECT name FROM people ORDER BY height DESC LIMIT $1", vec![vec!["1"], vec!["0"], vec!["7"]]),
        ("SELECT id + $1 AS more FROM people WHERE $2 OR id = 2 ORDER BY 1", vec![vec!["10", "false"], vec!["20", "true"]]),
        ("SELECT TIMESTAMPTZ '1970-01-01 00:00:00+00' + $1 * INTERVAL '1 second' FROM people LIMIT 1", vec![vec!["90"], vec!["0.5"]]),
        ("SELECT name FROM people WHERE id IN (SELECT id FROM people WHERE height < $1) ORDER BY id", vec![vec!["1.75"], vec!["1"]]),
        ("SELECT id FROM people WHERE (id, name) = ($1, $2)", vec![vec!["1", "'Ann'"], vec!["1", "'Bo'"]]),
        ("SELECT id FROM people WHERE (id, name) IN (($1, $2), (3, 'Cy')) ORDER BY id", vec![vec!["1", "'Ann'"], vec!["2", "'x'"]]),
        ("SELECT p.name, q.name FROM people p JOIN people q ON q.id = p.id + $1 ORDER BY p.id", vec![vec!["1"], vec!["2"]]),
    ];
    for (at, (sql, values)) in statements.iter().enumerate() {
        let name = format!("s{at}");
        prepare(&mut client, &name, sql).await;
        for values in values {
            let text = values.iter().enumerate().fold((*sql).to_owned(), |sql, (at, value)| sql.replace(&format!("${}", at + 1), value));
            let plain: Vec<&str> = values.iter().map(|value| value.trim_matches('\'')).collect();
            assert_eq!(run(&mut client, &name, &plain).await.unwrap(), client.rows(&text).await, "{text}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_sees_what_has_become_of_what_it_reads() {
    let server = server().await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    prepare(&mut client, "all", "SELECT name FROM people WHERE id >= $1 ORDER BY id").await;
    assert_eq!(run(&mut client, "all", &["2"]).await.unwrap(), ["Bo", "Cy"]);
    // Rows that come, a block that sees its own, and one that sees a snapshot.
    other.query("INSERT INTO people VALUES (4, 'Di', 1.5)").await;
    assert_eq!(run(&mut client, "all", &["3"]).await.unwrap(), ["Cy", "Di"]);
    client.query("BEGIN").await;
    client.query("DELETE FROM people WHERE id = 4").await;
    assert_eq!(run(&mut client, "all", &["3"]).await.unwrap(), ["Cy"]);
    client.query("ROLLBACK").await;
    client.query("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    assert_eq!(run(&mut client, "all", &["4"]).await.unwrap(), ["Di"]);
    other.query("UPDATE people SET name = 'Dot' WHERE id = 4").await;
    assert_eq!(run(&mut client, "all", &["4"]).await.unwrap(), ["Di"]);
    client.query("COMMIT").await;
    assert_eq!(run(&mut client, "all", &["4"]).await.unwrap(), ["Dot"]);
    // Another table of the same name, one with another column, and none.
    other.query("DROP TABLE people").await;
    assert_eq!(run(&mut client, "all", &["1"]).await.unwrap_err(), "42P01");
    other.query("CREATE TABLE people (id int8, name text)").await;
    other.query("INSERT INTO people VALUES (1, 'Eve')").await;
    assert_eq!(run(&mut client, "all", &["1"]).await.unwrap(), ["Eve"]);
    other.query("DROP TABLE people").await;
    other.query("CREATE TABLE people (id int8, name int8)").await;
    other.query("INSERT INTO people VALUES (1, 5)").await;
    assert_eq!(run(&mut client, "all", &["1"]).await.unwrap_err(), "0A000");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_is_missed_by_what_was_prepared() {
    let server = server().await;
    let mut owner = server.client().await;
    owner.query("CREATE ROLE boss SUPERUSER LOGIN").await;
    owner.query("CREATE ROLE desk LOGIN").await;
    owner.query("GRANT SELECT ON people TO desk").await;
    let mut desk = server.client_of("desk").await;
    prepare(&mut desk, "all", "SELECT count(*) FROM people WHERE id >= $1").await;
    assert_eq!(run(&mut desk, "all", &["1"]).await.unwrap(), ["3"]);
    owner.query("REVOKE SELECT ON people FROM desk").await;
    assert_eq!(run(&mut desk, "all", &["1"]).await.unwrap_err(), "42501");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_written_by_the_templates_of_postgres() {
    let server = server().await;
    let mut client = server.client().await;
    let written = "SELECT to_char(TIMESTAMPTZ '2026-05-01 13:07:09.25+00', 'FMDD Mon YYYY, HH24:MI:SS.MS TZ \"at\" HH12')";
    assert_eq!(client.rows(written).await, ["1 May 2026, 13:07:09.250 UTC at 01"]);
    let written =
        "SELECT to_char(TIMESTAMPTZ '2026-05-01 13:07:09.25+00', f) FROM (VALUES ('DD MON'), ('Q YYYY'), ('J'), ('Day|')) AS t(f)";
    assert_eq!(client.rows(written).await, ["01 MAY", "2 2026", "2461162", "Friday   |"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_prepared_statement_is_that_of_its_run() {
    let server = server().await;
    let mut client = server.client().await;
    prepare(&mut client, "now", "SELECT now()::text || $1").await;
    let first = run(&mut client, "now", &["!"]).await.unwrap();
    assert_ne!(first, run(&mut client, "now", &["!"]).await.unwrap());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_parsed_again_means_what_it_means_now() {
    let server = server().await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    let sql = "SELECT name FROM people WHERE id = $1";
    let mut ask = async |sql: &str| {
        prepare(&mut client, "", sql).await;
        run(&mut client, "", &["1"]).await
    };
    assert_eq!(ask(sql).await.unwrap(), ["Ann"]);
    assert_eq!(ask(sql).await.unwrap(), ["Ann"]);
    other.query("DROP TABLE people").await;
    other.query("CREATE TABLE people (id int8, name int8)").await;
    other.query("INSERT INTO people VALUES (1, 7)").await;
    assert_eq!(ask(sql).await.unwrap(), ["7"]);
    // What tells of the server is asked anew.
    let counted = "SELECT count(*) FROM framesql.views WHERE 1 = $1";
    assert_eq!(ask(counted).await.unwrap(), ["0"]);
    other.query("CREATE SOURCE test FROM 'pattern:' WITH (size = '64x48', frames = 3)").await;
    other.query("CREATE MATERIALIZED VIEW seen AS SELECT frame_no FROM test").await;
    assert_eq!(ask(counted).await.unwrap(), ["1"]);
    server.stop().await;
}
