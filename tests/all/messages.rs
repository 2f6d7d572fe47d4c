//! Several statements of one Query message: one transaction unless they say otherwise. What PostgreSQL 15 answers stands beside what is sent.

use framesql::settings::Settings;

use crate::client::{Answer, Client, Server, query};

const SECONDS: &str = "SELECT window_start, count(*) AS frames FROM TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start";

async fn server() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.rows("CREATE SOURCE clip FROM 'pattern:' WITH (fps = 5, frames = 15); CREATE TABLE t (id int4 PRIMARY KEY)").await;
    (server, client)
}

/// Tags, warnings, SQLSTATEs and the state, of PostgreSQL 15's answer or ours.
fn told(answer: &Answer) -> String {
    let codes = answer.errors.iter().map(|error| error.split(' ').next().unwrap_or_default().to_owned());
    let warnings = answer.notices.iter().map(|notice| format!("({notice})"));
    let all: Vec<String> = answer.tags.iter().cloned().chain(warnings).chain(codes).chain([answer.status.clone()]).collect();
    all.join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_undoes_the_statements_before_it() {
    const NONE: &str = "(there is no transaction in progress)";
    let (server, mut one) = server().await;
    for (message, answered, rows) in [
        ("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)", "INSERT 0 1, 23505, I".into(), ""),
        ("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", "INSERT 0 1, INSERT 0 1, I".into(), "1 2"),
        ("INSERT INTO t VALUES (1); SELECT * FROM missing", "INSERT 0 1, 42P01, I".into(), ""),
        (
            "INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); SELECT 1 / 0",
            format!("INSERT 0 1, COMMIT, INSERT 0 1, {NONE}, 22012, I"),
            "1",
        ),
        ("INSERT INTO t VALUES (1); ROLLBACK; INSERT INTO t VALUES (2)", format!("INSERT 0 1, ROLLBACK, INSERT 0 1, {NONE}, I"), "2"),
        ("BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT 1 / 0", "BEGIN, INSERT 0 1, COMMIT, 22012, I".into(), "1"),
        (
            "INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (2); COMMIT; INSERT INTO t VALUES (3); SELECT 1 / 0",
            "INSERT 0 1, BEGIN, INSERT 0 1, COMMIT, INSERT 0 1, 22012, I".into(),
            "1 2",
        ),
        ("INSERT INTO t VALUES (1); SAVEPOINT a", "INSERT 0 1, 25P01, I".into(), ""),
        ("INSERT INTO t VALUES (1); RELEASE SAVEPOINT a", "INSERT 0 1, 25P01, I".into(), ""),
        ("INSERT INTO t VALUES (1); ROLLBACK TO a", "INSERT 0 1, 25P01, I".into(), ""),
        ("INSERT INTO t VALUES (1); COMMIT AND CHAIN", "INSERT 0 1, 25P01, I".into(), ""),
        ("INSERT INTO t VALUES (1); ROLLBACK AND CHAIN", "INSERT 0 1, 25P01, I".into(), ""),
        ("VACUUM; SELECT 1", "25001, I".into(), ""),
        ("INSERT INTO t VALUES (1); VACUUM t", "INSERT 0 1, 25001, I".into(), ""),
        ("INSERT INTO t VALUES (1); COMMIT; VACUUM", format!("INSERT 0 1, COMMIT, {NONE}, 25001, I"), "1"),
        ("VACUUM", "VACUUM, I".into(), ""),
        ("DISCARD ALL; SELECT 1", "25001, I".into(), ""),
        ("INSERT INTO t VALUES (1); BEGIN ISOLATION LEVEL SERIALIZABLE", "INSERT 0 1, 25001, I".into(), ""),
        ("SET TRANSACTION READ ONLY; INSERT INTO t VALUES (1)", "SET, 25006, I".into(), ""),
        ("INSERT INTO t VALUES (1); COPY t TO STDOUT; SELECT 1 / 0", "INSERT 0 1, COPY 1, 22012, I".into(), ""),
        ("INSERT INTO t VALUES (1); DEALLOCATE missing", "INSERT 0 1, 26000, I".into(), ""),
        ("TRUNCATE t; SELECT 1 / 0", "TRUNCATE TABLE, 22012, I".into(), ""),
        ("INSERT INTO t VALUES (1); WRONG", "42601, I".into(), ""),
    ] {
        one.rows("TRUNCATE t").await;
        assert_eq!(told(&one.query(message).await), answered, "{message}");
        assert_eq!(one.rows("SELECT * FROM t ORDER BY id").await.join(" "), rows, "{message}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_begins_in_the_middle_and_goes_on() {
    let (server, mut one) = server().await;
    let mut two = server.client().await;
    assert_eq!(told(&one.query("INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (2)").await), "INSERT 0 1, BEGIN, INSERT 0 1, T");
    assert_eq!(two.rows("SELECT * FROM t").await, Vec::<String>::new());
    one.rows("ROLLBACK").await;
    assert_eq!(one.rows("SELECT * FROM t").await, Vec::<String>::new());
    assert_eq!(
        told(&one.query("INSERT INTO t VALUES (1); BEGIN; SAVEPOINT a; SELECT 1 / 0").await),
        "INSERT 0 1, BEGIN, SAVEPOINT, 22012, E"
    );
    assert_eq!(told(&one.query("ROLLBACK TO a; COMMIT").await), "ROLLBACK, COMMIT, I");
    assert_eq!(two.rows("SELECT * FROM t").await, ["1"]);
    // A failed block hears its end, and what stands behind that is another transaction.
    one.code("BEGIN; SELECT 1 / 0").await;
    assert_eq!(told(&one.query("COMMIT; INSERT INTO t VALUES (2); INSERT INTO t VALUES (2)").await), "ROLLBACK, INSERT 0 1, 23505, I");
    assert_eq!(two.rows("SELECT * FROM t").await, ["1"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_cursors_and_channels_are_of_the_message() {
    let (server, mut one) = server().await;
    assert_eq!(one.rows("SET LOCAL application_name = 'a'; SHOW application_name").await, ["a"]);
    one.code("SET application_name = 'b'; SELECT 1 / 0").await;
    assert_eq!(one.rows("SHOW application_name").await, [""]);
    assert_eq!(one.rows("SET application_name = 'b'; SHOW application_name").await, ["b"]);
    assert_eq!(one.rows("SHOW application_name").await, ["b"]);
    assert_eq!(one.rows("DECLARE c CURSOR FOR SELECT 1; FETCH ALL FROM c; FETCH ALL FROM c").await, ["1"]);
    assert_eq!(one.code("FETCH ALL FROM c").await, "34000");
    assert_eq!(one.code("DECLARE c CURSOR FOR SELECT 1; COMMIT; FETCH ALL FROM c").await, "34000");
    assert_eq!(one.code("DECLARE c CURSOR WITH HOLD FOR SELECT 1; SELECT 1 / 0").await, "22012");
    assert_eq!(one.code("FETCH ALL FROM c").await, "34000");
    assert_eq!(one.query("LISTEN x; NOTIFY x, 'hi'; SELECT 1 / 0").await.notifications, Vec::<String>::new());
    assert_eq!(one.query("NOTIFY x, 'nobody'").await.notifications, Vec::<String>::new());
    assert_eq!(one.query("LISTEN x; NOTIFY x, 'hi'; SELECT 1").await.notifications, ["x hi"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_message_are_read_by_it_and_are_gone_with_it() {
    let (server, mut one) = server().await;
    let made = format!("CREATE MATERIALIZED VIEW m AS {SECONDS}; SELECT frames FROM m; ");
    assert_eq!(one.rows(&made).await, ["5", "5", "5"]);
    assert_eq!(one.rows("SELECT frames FROM m").await, ["5", "5", "5"]);
    assert_eq!(
        told(&one.query(&made.replace(" m ", " n ").replace("m;", "n; SELECT 1 / 0;")).await),
        "CREATE MATERIALIZED VIEW, SELECT 3, 22012, I"
    );
    assert_eq!(one.code("SELECT * FROM n").await, "42P01");
    one.code("DROP MATERIALIZED VIEW m; DROP SOURCE clip; SELECT 1 / 0").await;
    assert_eq!(one.rows("SELECT frames FROM m").await, ["5", "5", "5"]);
    assert_eq!(one.rows("DROP MATERIALIZED VIEW m; CREATE VIEW m AS SELECT 7 AS frames; SELECT frames FROM m").await, ["7"]);
    // A view over a table reads what is committed: what came before is, even if the rest fails.
    let over = "CREATE TABLE u (a int4); INSERT INTO u VALUES (1); CREATE MATERIALIZED VIEW o AS SELECT u.a FROM clip JOIN u ON u.a = clip.frame_no; SELECT a FROM o; SELECT 1 / 0";
    assert_eq!(one.query(over).await.rows, ["1"]);
    assert_eq!(one.rows("SELECT a FROM u").await, ["1"]);
    assert_eq!(one.code("SELECT a FROM o").await, "42P01");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_keeps_nobody_from_what_was_written_before_it() {
    let (server, mut one) = server().await;
    let mut two = server.client().await;
    one.rows("CREATE SOURCE live FROM 'pattern:' WITH (fps = 50, pace = 'realtime', boxes = 0)").await;
    one.write(&query("INSERT INTO t VALUES (1); COPY (SUBSCRIBE (SELECT frame_no FROM live)) TO STDOUT; INSERT INTO t VALUES (2)")).await;
    // The tag of the INSERT, and the first row.
    while one.next().await.is_some_and(|(kind, _)| kind != b'd') {}
    two.rows("INSERT INTO t VALUES (3)").await;
    server.cancel(&one.key.clone()).await;
    assert_eq!(told(&one.until_ready().await), "57014, I");
    assert_eq!(one.rows("SELECT * FROM t ORDER BY id").await, ["1", "3"]);
    // Over what ends the rest goes on.
    assert_eq!(
        told(&one.query("COPY (SUBSCRIBE (SELECT frame_no FROM clip)) TO STDOUT; INSERT INTO t VALUES (2)").await),
        "COPY 15, INSERT 0 1, I"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_statement_is_told_when_the_message_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Settings { data: Some(folder.path().to_owned()), ..Settings::default() }).await;
    let mut one = server.client().await;
    one.rows("CREATE TABLE t (id int4)").await;
    let tables = folder.path().join("tables");
    // Rows cannot be written where a file stands.
    std::fs::remove_dir_all(&tables).ok();
    std::fs::write(&tables, b"").unwrap();
    let answer = one.query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").await;
    assert_eq!((answer.tags, answer.errors.len(), answer.status.as_str()), (vec!["INSERT 0 1".to_owned()], 1, "I"));
    std::fs::remove_file(&tables).unwrap();
    assert_eq!(one.rows("SELECT * FROM t").await, Vec::<String>::new());
    server.stop().await;
}
