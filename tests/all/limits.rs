//! What bounds a connection at the listener: time, memory, their number, a client that does not read; and that what was cancelled is over.

use std::time::Duration;

use framesql::settings::Settings;

use crate::client::{Client, Server, query, startup};

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// A query that would take a day.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000) AS a(i), generate_series(1, 10000000000) AS b(j)";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_or_too_much_memory_ends_and_the_connection_goes_on() {
    let server = Server::start(Settings { connection_memory_bytes: 4 << 20, ..Settings::default() }).await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    one.rows("SET statement_timeout = '200ms'").await;
    assert_eq!(one.code(ENDLESS).await, "57014");
    assert_eq!(one.code("SELECT pg_sleep(60)").await, "57014");
    one.rows("SET statement_timeout = 0").await;
    // Not in the order of the series, of which a group could be let go when the next begins.
    let greedy = "SELECT i * 7919 % 2999999 AS k, count(*) FROM generate_series(1, 3000000) AS a(i) GROUP BY k ORDER BY 2 DESC, 1 LIMIT 1";
    assert_eq!(one.code(greedy).await, "53200");
    assert_eq!(one.rows("SELECT max(i) FROM generate_series(1, 3000000) AS a(i)").await, ["3000000"]);
    assert_eq!(two.rows("SELECT 1").await, ["1"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_too_long_with_its_next_statement_is_told_so_and_what_it_began_is_undone() {
    let server = Server::start(Settings::default()).await;
    let (mut one, mut two, mut other) = (server.client().await, server.client().await, server.client().await);
    one.rows("CREATE TABLE t (n int4)").await;
    one.rows("SET idle_in_transaction_session_timeout = 50").await;
    one.rows("BEGIN; INSERT INTO t VALUES (1)").await;
    assert_eq!(one.refusal().await, "25P03");
    two.rows("SET idle_session_timeout = '50ms'").await;
    assert_eq!(two.refusal().await, "57P05");
    assert_eq!(other.rows("SELECT count(*) FROM t").await, ["0"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_so_many_connections_and_no_more() {
    let server = Server::start(Settings { max_connections: 3, ..Settings::default() }).await;
    let (mut one, two) = (server.client().await, server.client().await);
    one.rows("CREATE ROLE bi LOGIN CONNECTION LIMIT 1").await;
    let bi = server.client_of("bi").await;
    let mut more = Client::open(server.address).await;
    more.write(&startup("framesql")).await;
    assert_eq!(more.refusal().await, "53300");
    drop((two, more));
    // Those that were there end when the server has seen that they have gone.
    let ended = async { while one.rows("SELECT count(*) FROM pg_stat_activity").await != ["2"] {} };
    tokio::time::timeout(LIMIT, ended).await.unwrap();
    let mut more = Client::open(server.address).await;
    more.write(&startup("bi")).await;
    assert_eq!(more.refusal().await, "53300");
    drop(bi);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let server = Server::start(Settings::default()).await;
    let (mut slow, mut other) = (server.client().await, server.client().await);
    other.rows("CREATE SOURCE clip FROM 'pattern:' WITH (frames = 100, boxes = 0)").await;
    slow.write(&query("SELECT repeat('x', 1000) FROM generate_series(1, 100000000) AS a(i)")).await;
    // More than fits into any socket is made only when it is read.
    assert_eq!(other.rows("SELECT count(*) FROM clip").await, ["100"]);
    other.rows("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM clip EMIT CHANGES").await;
    assert_eq!(other.rows("SELECT * FROM v").await, ["100"]);
    server.cancel(&slow.key).await;
    let answer = tokio::time::timeout(LIMIT, slow.until_ready()).await.unwrap();
    assert!(answer.errors[0].starts_with("57014"), "{:?}", answer.errors);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_query_that_works_for_long_holds_nobody_up() {
    let server = Server::start(Settings::default()).await;
    let (mut busy, mut other) = (server.client().await, server.client().await);
    busy.rows("SET statement_timeout = '100ms'").await;
    other.rows("CREATE SOURCE clip FROM 'pattern:' WITH (frames = 1)").await;
    other.rows("CREATE TABLE pictures AS SELECT png(frame) AS picture FROM clip WHERE frame_no = 0").await;
    other.rows("CREATE SOURCE numbers FROM 'datagen:' WITH (columns = 'id int8 sequence, ts timestamptz', event_time = 'ts', watermark_delay = '0 s', rate = 1000000, rows = 100000)").await;
    for long in [
        // Of a table: no source that would have a thread.
        "SELECT sum(length(png(resize(decode_picture(picture), 4000)))) FROM pictures, generate_series(1, 1000)",
        // One batch of the operator is millions of rows.
        "SELECT count(*) FROM HOP(numbers, ts, INTERVAL '1 second', INTERVAL '1 hour')",
        // Each row begins a search over all that come.
        "SELECT count(*) FROM (SELECT * FROM numbers) AS n MATCH_RECOGNIZE (ORDER BY ts MEASURES a1.id AS i AFTER MATCH SKIP TO NEXT ROW
         PATTERN (a1 b1* c1) DEFINE b1 AS id >= 0, c1 AS id < 0)",
        // Worked out while it is planned.
        "SELECT length(repeat(repeat('x', 1000), 300000))",
    ] {
        busy.write(&query(long)).await;
        // There is one thread of the network: it is free.
        assert_eq!(other.rows("SELECT count(*) FROM pictures").await, ["1"], "{long}");
        let answer = tokio::time::timeout(LIMIT, busy.until_ready()).await.expect(long);
        assert!(answer.errors.iter().all(|e| e.starts_with("57014")) && answer.errors.len() == 1, "{long}: {:?}", answer.errors);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_leaves_no_thread_at_work() {
    let server = Server::start(Settings::default()).await;
    let mut admin = server.client().await;
    admin.rows("CREATE SOURCE live FROM 'pattern:' WITH (fps = 50, boxes = 1)").await;
    admin.rows("CREATE SOURCE long FROM 'pattern:' WITH (fps = 25, frames = 100000, size = '320x180')").await;
    for sql in [
        "COPY (SUBSCRIBE (SELECT frame_no FROM live)) TO STDOUT",
        "COPY (SELECT frame_no FROM long) TO STDOUT",
        "COPY (SELECT frame_no, cardinality(detect_faces(frame)) FROM long) TO STDOUT",
    ] {
        let mut client = server.client().await;
        client.write(&query(sql)).await;
        // It runs: its first row has come.
        while client.next().await.unwrap().0 != b'd' {}
        server.cancel(&client.key.clone()).await;
        let answer = tokio::time::timeout(LIMIT, client.until_ready()).await.unwrap();
        assert!(answer.errors[0].starts_with("57014"), "{sql}: {:?}", answer.errors);
        assert_eq!(client.rows("SELECT 1").await, ["1"]);
        tokio::time::timeout(LIMIT, server.engine.threads().idle()).await.expect(sql);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_role_itself_and_a_superuser_end_what_a_connection_does() {
    let server = Server::start(Settings::default()).await;
    let mut admin = server.client().await;
    admin.rows("CREATE ROLE bi LOGIN; CREATE TABLE t (a int4, b int4); GRANT SELECT (a) ON t TO bi; CREATE VIEW v AS SELECT 1 AS x").await;
    let (mut bi, mut other) = (server.client_of("bi").await, server.client_of("bi").await);
    let pid = |key: &[u8]| i32::from_be_bytes(key[..4].try_into().unwrap());
    assert_eq!(bi.code(&format!("SELECT pg_cancel_backend({})", pid(&admin.key))).await, "42501");
    assert_eq!(bi.code(&format!("SELECT pg_terminate_backend({})", pid(&admin.key))).await, "42501");
    assert_eq!(bi.rows(&format!("SELECT pg_terminate_backend({})", pid(&other.key))).await, ["t"]);
    assert_eq!(other.refusal().await, "57P01");
    assert_eq!(bi.rows("SELECT pg_cancel_backend(123456)").await, ["f"]);
    for (privilege, may) in [
        ("has_table_privilege('t', 'SELECT')", "f"),
        ("has_any_column_privilege('t', 'SELECT')", "t"),
        ("has_column_privilege('t', 'a', 'SELECT')", "t"),
        ("has_column_privilege('t', 2::int2, 'SELECT')", "f"),
        ("has_table_privilege('framesql', 't', 'INSERT, SELECT')", "t"),
        ("has_table_privilege('public.t'::regclass, 'DELETE')", "f"),
        ("has_table_privilege('framesql.sources', 'SELECT')", "f"),
        ("has_schema_privilege('public', 'USAGE')", "t"),
        ("has_schema_privilege('public', 'CREATE')", "f"),
        ("has_database_privilege(current_database(), 'CONNECT')", "t"),
        ("pg_has_role('framesql', 'MEMBER')", "f"),
        ("pg_has_role('bi', 'USAGE')", "t"),
        ("has_table_privilege(99999, 'SELECT')", "NULL"),
    ] {
        assert_eq!(bi.rows(&format!("SELECT {privilege}")).await, [may], "{privilege}");
    }
    assert_eq!(bi.code("SELECT has_table_privilege('nothing', 'SELECT')").await, "42P01");
    assert_eq!(bi.code("SELECT has_table_privilege('t', 'READ')").await, "22023");
    assert_eq!(bi.code("SELECT has_table_privilege('nobody', 't', 'SELECT')").await, "42704");
    assert_eq!(admin.rows("SELECT relacl FROM pg_class WHERE relname = 't'").await, ["NULL"]);
    admin.rows("GRANT SELECT ON v TO bi, PUBLIC").await;
    assert_eq!(
        admin.rows("SELECT relacl FROM pg_class WHERE relname = 'v'").await,
        ["{framesql=arwdDxt/framesql,bi=r/framesql,=r/framesql}"]
    );
    assert_eq!(
        admin.rows("SELECT attname, attacl FROM pg_attribute WHERE attrelid = 't'::regclass ORDER BY attnum").await,
        ["a|{bi=r/framesql}", "b|NULL"]
    );
    assert_eq!(
        bi.rows("SELECT grantee, table_name, privilege_type FROM information_schema.table_privileges ORDER BY 1").await,
        ["PUBLIC|v|SELECT", "bi|v|SELECT"]
    );
    server.stop().await;
}
