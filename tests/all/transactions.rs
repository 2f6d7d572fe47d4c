//! Transactions at the listener: what COMMIT keeps, what ROLLBACK takes back, what others see meanwhile, and what a snapshot does not see.

use framesql::settings::Settings;

use crate::client::Server;

const VIEW: &str = "CREATE MATERIALIZED VIEW counted AS SELECT window_start, count(*) AS frames FROM TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start";

async fn server() -> Server {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.rows("CREATE SOURCE clip FROM 'pattern:' WITH (fps = 5, frames = 15)").await;
    client.rows("CREATE TABLE t (id int4 PRIMARY KEY, name text)").await;
    client.rows("INSERT INTO t VALUES (1, 'one')").await;
    client.rows(VIEW).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn now_is_when_the_transaction_began() {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.rows("CREATE TABLE at (n int4, t timestamptz)").await;
    client.rows("BEGIN").await;
    client.rows("INSERT INTO at VALUES (1, now())").await;
    assert_eq!(client.rows("INSERT INTO at VALUES (2, now()) RETURNING t = now()").await, ["t"]);
    client.rows("UPDATE at SET t = t WHERE n = 1").await;
    assert_eq!(client.rows("SELECT count(DISTINCT t), bool_and(t = now()) FROM at").await, ["1|t"]);
    assert_eq!(client.rows("SELECT statement_timestamp() > now(), clock_timestamp() > now()").await, ["t|t"]);
    client.rows("COMMIT").await;
    assert_eq!(client.rows("SELECT bool_and(t < now()) FROM at").await, ["t"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_seen_by_others_when_they_are_committed() {
    let server = server().await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    assert_eq!(one.query("BEGIN").await.status, "T");
    one.rows("INSERT INTO t VALUES (2, 'two')").await;
    one.rows("UPDATE t SET name = 'uno' WHERE id = 1").await;
    assert_eq!(one.rows("SELECT * FROM t ORDER BY id").await, ["1|uno", "2|two"]);
    assert_eq!(two.rows("SELECT * FROM t ORDER BY id").await, ["1|one"]);
    assert_eq!(one.code("INSERT INTO t VALUES (2, 'again')").await, "23505");
    assert_eq!(one.code("SELECT 1").await, "25P02");
    assert_eq!(one.query("COMMIT").await.tags, ["ROLLBACK"]);
    assert_eq!(one.rows("SELECT * FROM t").await, ["1|one"]);
    one.rows("BEGIN").await;
    one.rows("DELETE FROM t").await;
    one.rows("INSERT INTO t SELECT 3, 'three'").await;
    assert_eq!(one.query("COMMIT").await.tags, ["COMMIT"]);
    assert_eq!(two.rows("SELECT * FROM t").await, ["3|three"]);
    // A view over a table shows the block its own rows, too.
    one.rows("CREATE VIEW v AS SELECT id + 1 AS next FROM t").await;
    one.rows("BEGIN; TRUNCATE t; INSERT INTO t VALUES (9, 'nine')").await;
    assert_eq!((one.rows("SELECT * FROM v").await, two.rows("SELECT * FROM v").await), (vec!["10".to_owned()], vec!["4".to_owned()]));
    one.rows("ROLLBACK").await;
    assert_eq!(one.rows("SELECT * FROM v").await, ["4"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_brings_back_what_was_dropped_and_takes_back_what_was_made() {
    let server = server().await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    one.rows("GRANT SELECT ON counted TO PUBLIC; COMMENT ON TABLE t IS 'numbers'").await;
    let before = one.rows("SELECT * FROM counted ORDER BY 1").await;
    one.rows("BEGIN; DROP MATERIALIZED VIEW counted; DROP TABLE t; CREATE TABLE t (other int8); CREATE VIEW w AS SELECT 1 AS a").await;
    one.rows("INSERT INTO t VALUES (7)").await;
    assert_eq!(one.rows("SELECT * FROM t").await, ["7"]);
    assert_eq!(one.code("SELECT * FROM counted").await, "42P01");
    assert_eq!(two.code("CREATE VIEW counted AS SELECT 2 AS b").await, "55000");
    assert_eq!(one.query("ROLLBACK").await.notices, Vec::<String>::new());
    assert_eq!(one.rows("SELECT * FROM counted ORDER BY 1").await, before);
    assert_eq!(one.rows("SELECT * FROM t").await, ["1|one"]);
    assert_eq!(one.code("SELECT * FROM w").await, "42P01");
    assert_eq!(one.rows("SELECT view FROM framesql.jobs").await, ["counted"]);
    assert_eq!(one.rows("SELECT obj_description('t'::regclass, 'pg_class')").await, ["numbers"]);
    assert_eq!(server.engine.roles().grants().len(), 1);
    // A view that another was put in place of comes back.
    one.rows("BEGIN; CREATE OR REPLACE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM clip EMIT CHANGES").await;
    assert_eq!(one.rows("SELECT * FROM counted").await, ["15"]);
    one.rows("ROLLBACK").await;
    assert_eq!(one.rows("SELECT * FROM counted ORDER BY 1").await, before);
    // What was dropped stays so after COMMIT, and its name is free.
    one.rows("BEGIN; DROP MATERIALIZED VIEW counted; COMMIT; CREATE VIEW counted AS SELECT 3 AS c").await;
    assert_eq!(two.rows("SELECT * FROM counted").await, ["3"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_is_gone_back_to() {
    let server = server().await;
    let mut one = server.client().await;
    one.rows("BEGIN; INSERT INTO t VALUES (2, 'two'); SAVEPOINT a").await;
    one.rows("INSERT INTO t VALUES (3, 'three'); CREATE ROLE bi; CREATE TABLE u (a int4); SAVEPOINT b; DROP TABLE t").await;
    assert_eq!(one.code("SELECT * FROM t").await, "42P01");
    one.rows("ROLLBACK TO b").await;
    assert_eq!(one.rows("SELECT count(*) FROM t").await, ["3"]);
    one.rows("ROLLBACK TO SAVEPOINT a").await;
    assert_eq!(one.rows("SELECT count(*) FROM t").await, ["2"]);
    assert_eq!(one.rows("SELECT count(*) FROM pg_roles WHERE rolname = 'bi'").await, ["0"]);
    assert_eq!(one.code("ROLLBACK TO b").await, "3B001");
    one.rows("ROLLBACK TO a; RELEASE a").await;
    assert_eq!(one.code("RELEASE a").await, "3B001");
    assert_eq!(one.query("ROLLBACK").await.tags, ["ROLLBACK"]);
    assert_eq!(one.rows("SELECT count(*) FROM t").await, ["1"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeatable_read_sees_one_snapshot() {
    let server = server().await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    two.rows("CREATE MATERIALIZED VIEW names AS SELECT count(*) AS n FROM clip EMIT CHANGES").await;
    one.rows("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    assert_eq!(one.rows("SHOW transaction_isolation").await, ["repeatable read"]);
    assert_eq!(one.rows("SELECT count(*) FROM t").await, ["1"]);
    two.rows("INSERT INTO t VALUES (5, 'five')").await;
    assert_eq!(one.rows("SELECT count(*) FROM t").await, ["1"]);
    assert_eq!(one.rows("SELECT n FROM names").await, ["15"]);
    assert_eq!(one.code("UPDATE t SET name = 'x'").await, "40001");
    one.rows("ROLLBACK").await;
    assert_eq!(one.rows("SELECT count(*) FROM t").await, ["2"]);
    assert_eq!(one.rows("SHOW transaction_isolation").await, ["read committed"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_reads_does_not_write_and_what_outlives_a_block_reads_what_is_committed() {
    let server = server().await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    one.rows("BEGIN READ ONLY").await;
    assert_eq!(one.code("INSERT INTO t VALUES (2, 'two')").await, "25006");
    one.rows("ROLLBACK; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").await;
    assert_eq!(one.code("DROP TABLE t").await, "25006");
    one.rows("BEGIN READ WRITE; INSERT INTO t VALUES (2, 'two')").await;
    assert_eq!(one.code("CREATE MATERIALIZED VIEW m AS SELECT c.frame_no, t.name FROM clip c JOIN t ON t.id = c.frame_no").await, "25001");
    one.rows("ROLLBACK; SET default_transaction_read_only = off").await;
    // Two that wait for each other do not wait for ever.
    one.rows("CREATE TABLE u (a int4); BEGIN; INSERT INTO u VALUES (1)").await;
    two.rows("BEGIN; INSERT INTO t VALUES (6, 'six')").await;
    assert_eq!(one.code("INSERT INTO t VALUES (7, 'seven')").await, "40P01");
    one.rows("ROLLBACK").await;
    // Who goes away without COMMIT has done nothing.
    drop(two);
    one.rows("INSERT INTO t VALUES (6, 'once')").await;
    assert_eq!(one.rows("SELECT name FROM t WHERE id = 6").await, ["once"]);
    assert_eq!(one.query("SET TRANSACTION READ ONLY").await.notices, ["SET TRANSACTION can only be used in transaction blocks"]);
    one.rows("BEGIN; INSERT INTO t VALUES (8, 'eight'); COMMIT AND CHAIN").await;
    assert_eq!(one.query("ROLLBACK").await.status, "I");
    assert_eq!(one.rows("SELECT count(*) FROM t").await, ["3"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings { data: Some(folder.path().to_owned()), ..Settings::default() };
    let server = Server::start(settings()).await;
    let mut one = server.client().await;
    one.rows("CREATE TABLE t (id int4); INSERT INTO t VALUES (1); CREATE TABLE old (a int4); INSERT INTO old VALUES (1)").await;
    one.rows("BEGIN; DROP TABLE old; CREATE TABLE old (b text PRIMARY KEY); INSERT INTO old VALUES ('new'); INSERT INTO t VALUES (2)")
        .await;
    one.rows("COMMENT ON COLUMN old.b IS 'it is new'; COMMIT").await;
    one.rows("BEGIN; COMMENT ON COLUMN old.b IS NULL; DROP TABLE t; DROP TABLE old; CREATE VIEW never AS SELECT 1 AS a").await;
    drop(one);
    server.stop().await;
    let server = Server::start(settings()).await;
    let mut one = server.client().await;
    assert_eq!(one.rows("SELECT * FROM t ORDER BY 1").await, ["1", "2"]);
    assert_eq!(one.rows("SELECT * FROM old").await, ["new"]);
    assert_eq!(one.rows("SELECT col_description('old'::regclass, 1), obj_description('old'::regclass)").await, ["it is new|NULL"]);
    assert_eq!(one.code("SELECT * FROM never").await, "42P01");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_with_hold_reads_what_was_there_when_it_was_declared() {
    let server = server().await;
    let mut one = server.client().await;
    one.rows("BEGIN; DECLARE kept CURSOR WITH HOLD FOR SELECT id FROM t; COMMIT; INSERT INTO t VALUES (2, 'two')").await;
    assert_eq!(one.rows("FETCH ALL FROM kept").await, ["1"]);
    one.rows("BEGIN; DECLARE gone CURSOR WITH HOLD FOR SELECT id FROM t; ROLLBACK").await;
    assert_eq!(one.code("FETCH ALL FROM gone").await, "34000");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_views_changes_are_told_to_those_who_listen() {
    let server = Server::start(Settings::default()).await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    one.rows("CREATE SOURCE live FROM 'pattern:' WITH (fps = 200, boxes = 0)").await;
    one.rows("CREATE MATERIALIZED VIEW n WITH (notify = 'n_changed') AS SELECT count(*) AS n FROM live EMIT CHANGES").await;
    two.rows("LISTEN n_changed; LISTEN other").await;
    assert_eq!(two.next().await.map(|(kind, _)| kind), Some(b'A'));
    one.rows("ALTER MATERIALIZED VIEW n SET (notify = 'other')").await;
    assert_eq!(one.rows("SELECT reloptions FROM pg_class WHERE relname = 'n'").await, ["{notify=other}"]);
    loop {
        let (_, body) = two.next().await.unwrap();
        if body[4..].starts_with(b"other\0n\0") {
            break;
        }
    }
    assert_eq!(one.code("ALTER MATERIALIZED VIEW n SET (retention = '1 d')").await, "22023");
    assert_eq!(one.code("ALTER MATERIALIZED VIEW live SET (notify = 'x')").await, "42809");
    one.rows("ALTER MATERIALIZED VIEW n RESET (notify); DROP SOURCE live CASCADE").await;
    server.stop().await;
}
