//! Statements as drivers and tools send them: cursors with parameters, transaction modes, PREPARE, COPY, and the codes of what goes wrong.

use framesql::settings::Settings;

use crate::client::{Answer, Client, Server, bind, execute, message, parse};

const NONE: [&str; 0] = [];

/// A table of people, and a client.
async fn people() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    for sql in [
        "CREATE TABLE people (id int4 PRIMARY KEY, name text, tags int4[])",
        "INSERT INTO people VALUES (1, 'Ann', ARRAY[1, 2]), (2, 'Bo', NULL), (3, '', ARRAY[3])",
    ] {
        assert_eq!(client.query(sql).await.errors, NONE, "{sql}");
    }
    (server, client)
}

/// Parses, binds, runs and ends a statement, its values as text.
async fn extended(client: &mut Client, sql: &str, types: &[i32], values: &[&str]) -> Answer {
    let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(value.as_bytes())).collect();
    let messages = [parse("", sql, types), bind("", "", &[], &values, 0), execute("", 0), message(b'S', &[])];
    client.write(&messages.concat()).await;
    client.until_ready().await
}

/// Runs statements that must not fail.
async fn run(client: &mut Client, all: &[&str]) {
    for sql in all {
        assert_eq!(client.query(sql).await.errors, NONE, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_has_the_parameters_of_its_query() {
    let (server, mut client) = people().await;
    run(&mut client, &["BEGIN"]).await;
    let answer = extended(&mut client, "DECLARE c CURSOR FOR SELECT id, name FROM people WHERE id > $1 ORDER BY id", &[], &["1"]).await;
    assert_eq!((answer.errors, answer.tags), (vec![], vec!["DECLARE CURSOR".to_owned()]));
    assert_eq!(extended(&mut client, "FETCH FORWARD 1 FROM c", &[], &[]).await.rows, ["2|Bo"]);
    assert_eq!(client.rows("FETCH ALL c").await, ["3|"]);
    // With types that the client declares, and held.
    let held = "DECLARE h CURSOR WITH HOLD FOR SELECT name FROM people WHERE id = ANY($1) OR id = $2 ORDER BY id";
    assert_eq!(extended(&mut client, held, &[1007, 23], &["{1}", "2"]).await.errors, NONE);
    run(&mut client, &["COMMIT"]).await;
    assert_eq!(client.rows("FETCH ALL h").await, ["Ann", "Bo"]);
    assert!(extended(&mut client, "DECLARE d CURSOR FOR SELECT $1::int4", &[], &["1"]).await.errors[0].starts_with("25P01"));
    assert!(extended(&mut client, "DECLARE d CURSOR FOR SELECT $1::int4", &[], &[]).await.errors[0].starts_with("08P01"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_reads_as_it_has_begun() {
    let (server, mut client) = people().await;
    for (begin, isolation, only) in [
        ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "serializable", "on"),
        ("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE, NOT DEFERRABLE", "repeatable read", "off"),
    ] {
        run(&mut client, &[begin]).await;
        assert_eq!(client.rows("SHOW transaction_isolation").await, [isolation]);
        assert_eq!(client.rows("SHOW transaction_read_only").await, [only]);
        run(&mut client, &["ROLLBACK"]).await;
    }
    let late = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    run(&mut client, &["BEGIN", late, "SELECT 1", late, "SET TRANSACTION READ ONLY"]).await;
    assert_eq!(client.code("SET TRANSACTION READ WRITE").await, "25001");
    run(&mut client, &["ROLLBACK", "BEGIN", "SELECT 1"]).await;
    assert_eq!(client.code(late).await, "25001");
    run(&mut client, &["ROLLBACK", "BEGIN", "INSERT INTO people VALUES (9, 'X')"]).await;
    assert_eq!(client.code("SET transaction_isolation = 'serializable'").await, "25001");
    run(&mut client, &["ROLLBACK"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_writes_is_prepared_too() {
    let (server, mut client) = people().await;
    run(&mut client, &[
        "PREPARE add (int, text) AS INSERT INTO people (id, name) VALUES ($1, $2) RETURNING name",
        "PREPARE named AS UPDATE people SET name = $2 WHERE id = $1",
        "PREPARE gone AS DELETE FROM people WHERE id > $1",
        "PREPARE two AS VALUES ($1::int4, 'x')",
    ])
    .await;
    let added = client.query("EXECUTE add (4, 'Di')").await;
    assert_eq!((added.rows, added.tags), (vec!["Di".to_owned()], vec!["INSERT 0 1".to_owned()]));
    assert_eq!(client.query("EXECUTE named (4, 'Dot')").await.tags, ["UPDATE 1"]);
    assert_eq!(client.rows("SELECT name FROM people WHERE id = 4").await, ["Dot"]);
    assert_eq!(client.query("EXECUTE gone (3)").await.tags, ["DELETE 1"]);
    assert_eq!(client.rows("EXECUTE two (7)").await, ["7|x"]);
    assert_eq!(client.code("PREPARE two AS SELECT 1").await, "42P05");
    let explained = extended(&mut client, "EXPLAIN SELECT name FROM people WHERE id = $1", &[], &["1"]).await;
    assert_eq!(explained.errors, NONE);
    let copied = extended(&mut client, "CREATE TABLE few AS SELECT name FROM people WHERE id < $1", &[23], &["3"]).await;
    assert_eq!((copied.errors, copied.tags), (vec![], vec!["SELECT 2".to_owned()]));
    let some = extended(&mut client, "DELETE FROM people WHERE id = ANY($1)", &[1007], &["{1,2}"]).await;
    assert_eq!((some.errors, some.tags), (vec![], vec!["DELETE 2".to_owned()]));
    server.stop().await;
}
