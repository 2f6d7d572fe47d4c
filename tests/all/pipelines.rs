//! The extended protocol at the listener: what is executed up to Sync is one transaction, as in PostgreSQL, however its messages come.

use framesql::settings::Settings;

use crate::client::{Answer, Client, Server, bind, execute, message, parse, query};

/// A statement by itself: Parse, Bind, Execute.
fn run(sql: &str) -> Vec<u8> {
    [parse("", sql, &[]), bind("", "", &[], &[], 0), execute("", 0)].concat()
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// The answer to messages that Sync ends.
async fn piped(client: &mut Client, messages: &[Vec<u8>]) -> Answer {
    client.write(&[messages.concat(), sync()].concat()).await;
    client.until_ready().await
}

/// The same, each answered before the next is sent: nothing tells the server that Sync comes.
async fn flushed(client: &mut Client, messages: &[Vec<u8>]) -> Answer {
    let mut answer = Answer::default();
    for one in messages {
        client.write(&[one.as_slice(), &message(b'H', b"")].concat()).await;
        loop {
            let (kind, body) = client.next().await.unwrap();
            let text = String::from_utf8_lossy(&body).into_owned();
            match kind {
                b'C' => break answer.tags.push(text.trim_end_matches('\0').to_owned()),
                b'E' => break answer.errors.push(text),
                _ => {}
            }
        }
        if !answer.errors.is_empty() {
            break;
        }
    }
    client.write(&sync()).await;
    answer.status = client.until_ready().await.status;
    answer
}

async fn server() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.rows("CREATE TABLE t (a int4 PRIMARY KEY)").await;
    (server, client)
}

async fn held(client: &mut Client) -> String {
    client.rows("SELECT string_agg(a::text, ',' ORDER BY a) FROM t").await.concat()
}

fn insert(a: i32) -> Vec<u8> {
    run(&format!("INSERT INTO t VALUES ({a})"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_undoes_what_came_before_it_since_the_last_sync() {
    let (server, mut one) = server().await;
    let mut two = server.client().await;
    let answer = piped(&mut one, &[insert(1), insert(2)]).await;
    assert_eq!((answer.tags, answer.status.as_str()), (vec!["INSERT 0 1".to_owned(), "INSERT 0 1".to_owned()], "I"));
    // At the time of the error: in a run, in Parse, in Bind, in Describe, of a key that is there. What comes behind it is skipped.
    for wrong in
        [run("SELECT 1/0"), run("SELEC"), bind("", "never", &[], &[], 0), message(b'D', b"Pnever\0"), insert(3), message(b'C', b"X\0")]
    {
        let answer = piped(&mut one, &[insert(3), wrong, insert(4)]).await;
        assert_eq!((answer.tags.len(), answer.errors.len(), answer.status.as_str()), (1, 1, "I"), "{answer:?}");
        assert_eq!(held(&mut two).await, "1,2");
    }
    let answer = flushed(&mut one, &[insert(3), run("SELECT 1/0")]).await;
    assert_eq!((answer.errors.len(), held(&mut two).await), (1, "1,2".to_owned()));
    // Others see it when Sync comes, and not before.
    one.write(&[insert(3), message(b'H', b"")].concat()).await;
    while one.next().await.unwrap().0 != b'C' {}
    assert_eq!(held(&mut two).await, "1,2");
    one.write(&sync()).await;
    one.until_ready().await;
    assert_eq!(held(&mut two).await, "1,2,3");
    // Each Sync ends one.
    one.write(&[insert(4), sync(), run("SELECT 1/0"), sync()].concat()).await;
    assert_eq!((one.until_ready().await.errors.len(), one.until_ready().await.errors.len()), (0, 1));
    assert_eq!(held(&mut two).await, "1,2,3,4");
    // Who goes away before has done nothing.
    one.write(&[insert(5), message(b'X', b"")].concat()).await;
    while one.next().await.is_some() {}
    assert_eq!(held(&mut two).await, "1,2,3,4");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_and_settings_are_undone_too_and_notify_is_not_said() {
    let (server, mut one) = server().await;
    let answer =
        piped(&mut one, &[run("CREATE TABLE u (a int4)"), run("INSERT INTO u VALUES (7)"), run("SELECT a FROM u"), run("SELECT 1/0")])
            .await;
    assert_eq!((answer.rows, answer.errors.len()), (vec!["7".to_owned()], 1));
    assert_eq!(one.code("SELECT a FROM u").await, "42P01");
    piped(&mut one, &[run("SET statement_timeout = 7000"), run("LISTEN c"), run("NOTIFY c, 'x'"), run("DROP TABLE t"), run("SELECT 1/0")])
        .await;
    assert_eq!(one.rows("SHOW statement_timeout").await, ["0"]);
    assert_eq!(held(&mut one).await, "NULL");
    let answer = piped(&mut one, &[run("LISTEN c"), run("NOTIFY c, 'y'")]).await;
    assert_eq!(answer.notifications, ["c y"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_begins_with_what_came_before_begin_and_commit_ends_with_it() {
    let (server, mut one) = server().await;
    assert_eq!(piped(&mut one, &[insert(1), run("BEGIN"), insert(2)]).await.status, "T");
    assert_eq!(one.query("ROLLBACK").await.tags, ["ROLLBACK"]);
    assert_eq!(held(&mut one).await, "NULL");
    let answer = piped(&mut one, &[insert(1), run("COMMIT"), insert(2), run("SELECT 1/0")]).await;
    assert_eq!(answer.notices, ["there is no transaction in progress"]);
    assert_eq!(held(&mut one).await, "1");
    let answer = piped(&mut one, &[insert(2), run("ROLLBACK"), insert(3)]).await;
    assert_eq!((answer.notices.len(), held(&mut one).await.as_str()), (1, "1,3"));
    let answer = piped(&mut one, &[run("BEGIN"), insert(4), run("COMMIT"), run("SELECT 1/0")]).await;
    assert_eq!((answer.tags.len(), held(&mut one).await.as_str()), (3, "1,3,4"));
    // A block that has failed is not ended by Sync.
    let answer = piped(&mut one, &[run("BEGIN"), run("SELECT 1/0"), insert(5)]).await;
    assert_eq!((answer.errors.len(), answer.status.as_str()), (1, "E"));
    assert_eq!(piped(&mut one, &[run("ROLLBACK")]).await.status, "I");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_no_block() {
    let (server, mut one) = server().await;
    let mut code = async |messages: &[Vec<u8>]| {
        let answer = piped(&mut one, messages).await;
        (answer.tags.len(), answer.errors.first().map(|error| error[..5].to_owned()).unwrap_or_default(), answer.notices.len())
    };
    let expected = |n: usize, code: &str, n_notices: usize| (n, code.to_owned(), n_notices);
    assert_eq!(code(&[run("SAVEPOINT a")]).await, expected(0, "25P01", 0));
    assert_eq!(code(&[insert(1), run("SAVEPOINT a")]).await, expected(1, "25P01", 0));
    assert_eq!(code(&[run("DECLARE c CURSOR FOR SELECT 1")]).await, expected(0, "25P01", 0));
    assert_eq!(code(&[insert(1), run("DECLARE c CURSOR FOR SELECT 1")]).await, expected(1, "25P01", 0));
    // What nothing undoes runs by itself, if nothing would have to be undone before it.
    assert_eq!(code(&[run("VACUUM t"), insert(1)]).await, expected(2, "", 0));
    assert_eq!(code(&[insert(2), run("VACUUM t")]).await, expected(1, "25001", 0));
    assert_eq!(code(&[insert(2), run("DISCARD ALL")]).await, expected(1, "25001", 0));
    let answer = piped(&mut one, &[run("SET LOCAL statement_timeout = 5000"), run("SHOW statement_timeout")]).await;
    assert_eq!(
        (answer.notices, answer.rows),
        (vec!["SET LOCAL can only be used in transaction blocks".to_owned()], vec!["5000".to_owned()])
    );
    assert_eq!(one.rows("SHOW statement_timeout").await, ["0"]);
    assert_eq!(held(&mut one).await, "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_live_until_sync_and_a_simple_query_ends_what_was_begun() {
    let (server, mut one) = server().await;
    let series = [parse("", "SELECT unnest(ARRAY[1, 2, 3])", &[]), bind("p", "", &[], &[], 0), execute("p", 2)].concat();
    let answer = piped(&mut one, &[series.clone(), insert(1), execute("p", 2)]).await;
    assert_eq!((answer.rows.len(), answer.errors.len()), (3, 0));
    one.write(&[series, sync(), execute("p", 2), sync()].concat()).await;
    assert_eq!(one.until_ready().await.rows.len(), 2);
    assert!(one.until_ready().await.errors[0].starts_with("34000"));
    one.write(&[insert(2), query("INSERT INTO t VALUES (3)"), run("SELECT 1/0"), sync()].concat()).await;
    assert_eq!((one.until_ready().await.tags.len(), one.until_ready().await.errors.len()), (2, 1));
    assert_eq!(held(&mut one).await, "1,2,3");
    one.write(&[insert(4), query("SELECT 1/0")].concat()).await;
    assert_eq!(one.until_ready().await.errors.len(), 1);
    one.write(&[insert(5), query("")].concat()).await;
    one.until_ready().await;
    one.write(&[run("SELECT 1/0"), sync()].concat()).await;
    one.until_ready().await;
    assert_eq!(held(&mut one).await, "1,2,3,5");
    // EXECUTE runs in it too.
    piped(&mut one, &[run("PREPARE six AS INSERT INTO t VALUES (6)"), run("EXECUTE six"), run("SELECT 1/0")]).await;
    piped(&mut one, &[run("EXECUTE six"), run("SELECT 1/0")]).await;
    assert_eq!(held(&mut one).await, "1,2,3,5");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_has_failed_binds_and_describes_nothing_but_its_end() {
    let (server, mut one) = server().await;
    piped(&mut one, &[parse("read", "SELECT a FROM t", &[]), parse("end", "ROLLBACK", &[])]).await;
    one.query("BEGIN").await;
    one.query("SELECT 1/0").await;
    let describe = message(b'D', b"Sread\0");
    for refused in [bind("", "read", &[], &[], 0), describe] {
        assert!(piped(&mut one, &[refused]).await.errors[0].starts_with("25P02"));
    }
    assert_eq!(piped(&mut one, &[bind("", "end", &[], &[], 0), execute("", 0)]).await.tags, ["ROLLBACK"]);
    assert_eq!(piped(&mut one, &[bind("", "read", &[], &[], 0), execute("", 0)]).await.errors, Vec::<String>::new());
    server.stop().await;
}
