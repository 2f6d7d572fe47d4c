//! Long statements: planned beside those who ask other things, let go when nobody waits, and in a time that does not explode with their length.

use std::time::Duration;

use framesql::settings::Settings;

use crate::client::{Client, Server, bind, execute, message, parse, query};

const LIMIT: Duration = Duration::from_secs(300);

/// A query whose planning takes minutes: each operator of a chain of JSON looks at all before it, in every column.
fn endless() -> String {
    let chain = format!("'{{}}'::jsonb{}", " -> 'a'".repeat(50));
    format!("SELECT {}", vec![chain; 500].join(", "))
}

/// Waits until something is planned on a thread of its own.
async fn planned(server: &Server) {
    tokio::time::timeout(LIMIT, async {
        while server.engine.threads().n_running() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is planned where it was asked");
}

/// On one thread: whoever plans on it keeps all others waiting.
#[tokio::test]
async fn a_long_plan_keeps_nobody_waiting_and_is_let_go() {
    let server = Server::start(Settings::default()).await;
    let mut other = server.client().await;
    let sql = endless();
    for (way, bytes) in [
        ("simple", query(&sql)),
        ("parse", [parse("", &sql, &[]), message(b'S', &[])].concat()),
        ("prepare", query(&format!("PREPARE p AS {sql}"))),
        ("cursor", query(&format!("BEGIN; DECLARE c CURSOR FOR {sql}"))),
        ("view", query(&format!("CREATE VIEW v AS {sql}"))),
        ("explain", query(&format!("EXPLAIN {sql}"))),
        ("insert", query(&format!("CREATE TABLE t AS {sql}"))),
    ] {
        let mut one = server.client().await;
        one.write(&bytes).await;
        planned(&server).await;
        assert_eq!(other.rows("SELECT 1").await, ["1"], "{way}");
        server.cancel(&one.key.clone()).await;
        let answer = tokio::time::timeout(LIMIT, one.until_ready()).await.expect(way);
        assert!(answer.errors[0].starts_with("57014"), "{way}: {:?}", answer.errors);
        tokio::time::timeout(LIMIT, server.engine.threads().idle()).await.expect(way);
    }
    // A client that goes away, and one that has said how long it waits.
    let mut one = server.client().await;
    one.write(&query(&sql)).await;
    planned(&server).await;
    drop(one);
    tokio::time::timeout(LIMIT, server.engine.threads().idle()).await.unwrap();
    let mut one = server.client().await;
    one.rows("SET statement_timeout = '1ms'").await;
    assert_eq!(one.code(&sql).await, "57014");
    assert_eq!(one.rows("SET statement_timeout = 0; SELECT 2").await, ["2"]);
    tokio::time::timeout(LIMIT, server.engine.threads().idle()).await.unwrap();
    server.stop().await;
}

async fn with_rows() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut one = server.client().await;
    one.rows("CREATE TABLE n (a int4, b int8, f float8, h int4); INSERT INTO n VALUES (7, 3, 0.5, 0), (NULL, 1, 2, 1)").await;
    (server, one)
}

/// With the stacks that the program gives its threads.
fn roomy(work: impl Future<Output = ()> + Send + 'static) {
    const STACK_BYTES: usize = 256 << 20;
    let run = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build().unwrap();
        runtime.block_on(work);
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_chain_of_a_thousand_operators_is_planned() {
    roomy(chains());
}

async fn chains() {
    let (server, mut one) = with_rows().await;
    for n in [100, 400, 990] {
        assert_eq!(one.rows(&format!("SELECT a{} FROM n", " + a".repeat(n))).await, [(7 * (n + 1)).to_string(), "NULL".into()]);
        assert_eq!(
            one.rows(&format!("SELECT b{} FROM n WHERE a = 7", " - a + b * 2".repeat(n / 3))).await,
            [(3 - n as i64 / 3).to_string()]
        );
        assert_eq!(one.rows(&format!("SELECT 1{}", " + 1".repeat(n))).await, [(n + 1).to_string()]);
    }
    assert_eq!(one.code(&format!("SELECT a{} FROM n", " + a".repeat(1_100))).await, "54001");
    // As a prepared statement, too.
    let sql = format!("SELECT a{} + $1 FROM n WHERE a = 7", " + a".repeat(400));
    one.write(&[parse("", &sql, &[23]), bind("", "", &[0], &[Some(b"1")], 0), execute("", 0), message(b'S', &[])].concat()).await;
    assert_eq!(one.until_ready().await.rows, ["2808"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formula_gives_and_refuses_what_its_operators_do() {
    let (server, mut one) = with_rows().await;
    // Answers of PostgreSQL 15.
    for (formula, answer) in [
        ("a + b * 2 - a / 2", "10"),
        ("(a + b) * (a - b) / (b - 1)", "20"),
        ("(a + b) % 4 + a % b", "3"),
        ("f * 2 + f / 4 - f", "0.625"),
        ("-(a + b) * -(a - b)", "40"),
        ("2147483640::int4 + a", "2147483647"),
        ("a - (b - (a - (b - a)))", "15"),
        ("(2 * 3) * a + (1 + 1)", "44"),
        ("a + a::int8 * 4000000000", "28000000007"),
        ("CASE WHEN h > 0 THEN a / h + a / h * 2 ELSE -1 END", "-1"),
        ("round((a + f) * 2 - 1)::int4 + a", "21"),
        ("(a * 1.5 + f * 2)::int4", "12"),
    ] {
        assert_eq!(one.rows(&format!("SELECT {formula} FROM n WHERE a = 7")).await, [answer], "{formula}");
        assert_eq!(one.rows(&format!("SELECT count(*) FROM n WHERE a = 7 AND {formula} = {answer}")).await, ["1"], "{formula}");
    }
    for (formula, code) in [
        ("2147483640::int4 + a + a - a", "22003"),
        ("a * 1000000::int4 * 1000::int4 - a", "22003"),
        ("b * 9223372036854775807 - b", "22003"),
        ("a + b / h - 1", "22012"),
        ("a + (b + 1) % h", "22012"),
        ("f * 2 / (f - f) + 1", "22012"),
        ("f * 1e308 * 1e308 - f", "22003"),
    ] {
        assert_eq!(one.code(&format!("SELECT {formula} FROM n WHERE a = 7")).await, code, "{formula}");
        assert_eq!(one.rows(&format!("SELECT {formula} FROM n WHERE a IS NULL AND h > 1")).await, Vec::<String>::new(), "{formula}");
    }
    // What divides waits for the condition before it.
    assert_eq!(one.rows("SELECT a FROM n WHERE h > 0 AND (a + b) / h - 1 > 0").await, Vec::<String>::new());
    assert_eq!(one.rows("SELECT b FROM n WHERE h = 0 OR b + (b + 1) / h > 1 ORDER BY b").await, ["1", "3"]);
    // Those who are told apart by their text are.
    assert_eq!(one.rows("SELECT a - (b - 1), a - b - 1, (a - b) - 1 FROM n WHERE a = 7").await, ["5|3|3"]);
    assert_eq!(one.rows("SELECT sum(a - (b - 1)), sum(a - b - 1), a + b + 1 FROM n WHERE a = 7 GROUP BY a + b + 1").await, ["5|3|11"]);
    let plan = one.rows("EXPLAIN SELECT a + b * 2 - 1 AS x FROM n").await.join("\n");
    assert!(plan.contains("checked_formula"), "{plan}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coalesce_in_coalesce_is_one() {
    let (server, mut one) = with_rows().await;
    let nested = |n: usize, begin: &str, end: &str| format!("SELECT {}h{} FROM n WHERE b = 1", begin.repeat(n), end.repeat(n));
    for (begin, end) in [("coalesce(a, ", ", b, h)"), ("coalesce(", ", h)"), ("coalesce(a, ", ")"), ("coalesce(a, b, ", ")")] {
        assert_eq!(one.rows(&nested(40, begin, end)).await, ["1"], "{begin}{end}");
    }
    assert_eq!(one.rows("SELECT coalesce(a, coalesce(NULL, coalesce(a, f)), b) FROM n ORDER BY b").await, ["2", "7"]);
    assert_eq!(one.rows("SELECT coalesce(a, coalesce(h, 1 / (h - 1)), 5) FROM n WHERE b = 1").await, ["1"]);
    assert_eq!(one.rows(&nested(8, "coalesce(a, ", " + 1, b)")).await, ["9"]);
    assert_eq!(one.code(&nested(40, "coalesce(a, ", " + 1, b)")).await, "54001");
    server.stop().await;
}
