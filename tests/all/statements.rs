//! Statements as drivers and tools send them: cursors with parameters, transaction modes, PREPARE, COPY, and the codes of what goes wrong.

use framesql::settings::Settings;

use crate::client::{Answer, Client, Server, bind, execute, message, parse, query};

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
    run(
        &mut client,
        &[
            "PREPARE add (int, text) AS INSERT INTO people (id, name) VALUES ($1, $2) RETURNING name",
            "PREPARE named AS UPDATE people SET name = $2 WHERE id = $1",
            "PREPARE gone AS DELETE FROM people WHERE id > $1",
            "PREPARE two AS VALUES ($1::int4, 'x')",
        ],
    )
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

/// The types of a statement's parameters, or the code of what is wrong with it.
async fn described(client: &mut Client, sql: &str, types: &[i32]) -> Result<Vec<i32>, String> {
    client.write(&[parse("", sql, types), message(b'D', b"S\0"), message(b'S', &[])].concat()).await;
    let mut found = Err("no answer".to_owned());
    loop {
        match client.next().await.unwrap() {
            (b't', body) => found = Ok(body[2..].chunks(4).map(|oid| i32::from_be_bytes(oid.try_into().unwrap())).collect()),
            (b'E', body) => found = Err(field(&body, b'C')),
            (b'Z', _) => return found,
            _ => {}
        }
    }
}

/// A field of an error.
fn field(body: &[u8], wanted: u8) -> String {
    let fields = body.split(|byte| *byte == 0).filter_map(|field| field.split_first());
    fields.into_iter().find(|(kind, _)| **kind == wanted).map(|(_, rest)| String::from_utf8_lossy(rest).into_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_of_what_stands_beside_them() {
    let (bool, int8, int4, text, float8, interval, uuid, jsonb) = (16, 20, 23, 25, 701, 1186, 2950, 3802);
    let (timestamptz, numeric) = (1184, 1700);
    let (server, mut client) = people().await;
    run(&mut client, &["CREATE TABLE seen (id int4, big int8, at timestamptz, u uuid, j jsonb, n numeric(10, 2), f float8, s text)"]).await;
    for (sql, types) in [
        ("INSERT INTO seen (id, u) SELECT $1, $2", vec![int4, uuid]),
        ("INSERT INTO seen (at) VALUES ($1::timestamptz + interval '1 h')", vec![timestamptz]),
        ("INSERT INTO people (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = $3", vec![int4, text, text]),
        ("UPDATE seen SET u = $1, j = $2, at = $3, n = $4 WHERE id = $5", vec![uuid, jsonb, timestamptz, numeric, int4]),
        ("UPDATE seen SET (u, big) = ($1, $2)", vec![uuid, int8]),
        ("SELECT date_bin($1, at, timestamptz '2000-01-01') FROM seen", vec![interval]),
        ("SELECT to_timestamp($1)", vec![float8]),
        ("SELECT at + $1 FROM seen", vec![interval]),
        ("SELECT id FROM seen WHERE at >= $1 AND at < $1 + interval '1 hour'", vec![timestamptz]),
        ("SELECT id FROM seen WHERE f > $1 AND f < $1 * 2", vec![float8]),
        ("SELECT coalesce($1, s), coalesce(id, $2) FROM seen", vec![text, int4]),
        ("SELECT CASE WHEN $1 THEN id ELSE $2 END FROM seen", vec![bool, int4]),
        ("SELECT CASE id WHEN $1 THEN 1 END FROM seen", vec![int4]),
        ("SELECT not $1", vec![bool]),
        ("SELECT lag(id, $1) OVER () FROM seen", vec![int4]),
    ] {
        assert_eq!(described(&mut client, sql, &[]).await, Ok(types), "{sql}");
    }
    run(&mut client, &["INSERT INTO seen (id, at) VALUES (1, '2026-01-01 10:00:00+00'), (2, '2026-01-01 12:00:00+00')"]).await;
    let later = extended(&mut client, "SELECT at + $1 FROM seen WHERE id = 1", &[interval], &["2 hours"]).await;
    assert_eq!((later.errors, later.rows), (vec![], vec!["2026-01-01 12:00:00+00".to_owned()]));
    let hour = "SELECT id FROM seen WHERE at >= $1 AND at < $1 + interval '1 hour'";
    assert_eq!(extended(&mut client, hour, &[], &["2026-01-01 11:30:00+00"]).await.rows, ["2"]);
    let sum = extended(&mut client, "SELECT sum(x) FROM (VALUES ($1), ($2)) v(x)", &[int4, int4], &["1", "2"]).await;
    assert_eq!((sum.errors, sum.rows), (vec![], vec!["3".to_owned()]));
    let added = extended(&mut client, "INSERT INTO seen (id, n, s) SELECT $1, $2, $3", &[], &["7", "1.5", "x"]).await;
    assert_eq!((added.errors, added.tags), (vec![], vec!["INSERT 0 1".to_owned()]));
    assert_eq!(client.rows("SELECT n, s FROM seen WHERE id = 7").await, ["1.50|x"]);
    // More formats than columns.
    let mut formats = bind("", "", &[], &[], 0);
    formats.truncate(formats.len() - 4);
    formats.extend([0, 2, 0, 0, 0, 1]);
    let length = (formats.len() as i32 - 1).to_be_bytes();
    formats[1..5].copy_from_slice(&length);
    client.write(&[parse("", "SELECT 1", &[]), formats, message(b'S', &[])].concat()).await;
    assert!(client.until_ready().await.errors[0].starts_with("08P01"));
    server.stop().await;
}

/// Runs a COPY TO STDOUT and gives what comes.
async fn copied_out(client: &mut Client, sql: &str) -> String {
    client.write(&query(sql)).await;
    let mut text = String::new();
    loop {
        match client.next().await.unwrap() {
            (b'd', body) => text.push_str(std::str::from_utf8(&body).unwrap()),
            (b'E', body) => text = field(&body, b'C'),
            (b'Z', _) => return text,
            _ => {}
        }
    }
}

/// Sends the rows of a COPY FROM STDIN; None, or the code of what is wrong with them.
async fn copied_in(client: &mut Client, sql: &str, rows: &str) -> Option<String> {
    client.write(&[query(sql), message(b'd', rows.as_bytes()), message(b'c', &[])].concat()).await;
    client.until_ready().await.errors.first().map(|error| error.split(' ').next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_writes_and_reads_every_form_that_postgres_has() {
    let (server, mut client) = people().await;
    for (sql, text) in [
        ("COPY people TO STDOUT", "1\tAnn\t{1,2}\n2\tBo\t\\N\n3\t\t{3}\n"),
        ("COPY people (name, id) TO STDOUT (HEADER)", "name\tid\nAnn\t1\nBo\t2\n\t3\n"),
        ("COPY people TO STDOUT WITH CSV HEADER DELIMITER ';'", "id;name;tags\n1;Ann;{1,2}\n2;Bo;\n3;\"\";{3}\n"),
        ("COPY people TO STDOUT (FORMAT csv, QUOTE '''', NULL 'none', FORCE_QUOTE (name))", "1,'Ann','{1,2}'\n2,'Bo',none\n3,'',{3}\n"),
        ("COPY people TO STDOUT CSV FORCE QUOTE *", "\"1\",\"Ann\",\"{1,2}\"\n\"2\",\"Bo\",\n\"3\",\"\",\"{3}\"\n"),
        ("COPY people (id, name) TO STDOUT DELIMITER '|' NULL 'x'", "1|Ann\n2|Bo\n3|\n"),
        ("COPY people TO STDOUT (FORMAT binary, HEADER)", "0A000"),
        ("COPY people TO STDOUT (FORMAT binary, DELIMITER ';')", "42601"),
        ("COPY people TO STDOUT (QUOTE ';')", "0A000"),
        ("COPY people TO STDOUT (FORMAT csv, DELIMITER '\"')", "22023"),
        ("COPY people TO STDOUT (FORMAT csv, FORCE_NULL (id))", "0A000"),
        ("COPY people TO STDOUT (HEADER match)", "0A000"),
        ("COPY people TO STDOUT (bogus)", "42601"),
        ("COPY people TO STDOUT (FORMAT csv, FORMAT csv)", "42601"),
        ("COPY people TO STDOUT (FORMAT csv, FORCE_QUOTE (z))", "42703"),
        ("COPY people (z) TO STDOUT", "42703"),
        ("COPY people (id, id) TO STDOUT", "42701"),
    ] {
        assert_eq!(copied_out(&mut client, sql).await, text, "{sql}");
    }
    for (sql, rows, wrong) in [
        ("COPY people FROM STDIN", "4\tDi\\011x\t{4,NULL}\n5\t\\N\t\\N\n", None),
        ("COPY people FROM STDIN WITH CSV HEADER DELIMITER ';' QUOTE ''''", "id;name;tags\n6;'a;''b';{}\n", None),
        ("COPY people (name, id) FROM STDIN (FORMAT csv, HEADER match, FORCE_NOT_NULL (name))", "name,id\n,7\n", None),
        ("COPY people (id, name) FROM STDIN (FORMAT csv, NULL 'none', FORCE_NULL (name))", "8,\"none\"\n", None),
        ("COPY people (id, name) FROM STDIN (FORMAT csv, HEADER match)", "name,id\nx,9\n", Some("22P04")),
        ("COPY people (id, tags) FROM STDIN", "9\t{1,x}\n", Some("22P02")),
        ("COPY people (id, tags) FROM STDIN", "9\t1\n", Some("22P02")),
    ] {
        assert_eq!(copied_in(&mut client, sql, rows).await.as_deref(), wrong, "{sql}");
    }
    assert_eq!(
        client.rows("SELECT id, name, tags FROM people WHERE id > 3 ORDER BY id").await,
        ["4|Di\tx|{4,NULL}", "5|NULL|NULL", "6|a;'b|{}", "7||NULL", "8|NULL|NULL",]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_have_the_codes_of_postgres() {
    let (server, mut client) = people().await;
    for (sql, code) in [
        ("SELECT '99999999999'::int", "22003"),
        ("SELECT 1e40::numeric(5, 2)", "22003"),
        ("SELECT 'x'::int", "22P02"),
        ("SELECT 'x'::date", "22007"),
        ("SELECT '2024-02-30'::date", "22008"),
        ("SELECT 'x'::timestamptz", "22007"),
        ("SELECT 'x'::interval", "22007"),
        ("SET timezone = 'Mars/X'", "22023"),
        ("SELECT date_trunc('foo', now())", "22023"),
        ("SELECT extract(foo FROM now())", "22023"),
        ("SELECT 'a' ~ '('", "2201B"),
        ("SELECT 1 ORDER BY 2", "42P10"),
        ("SELECT id, count(*) FROM people GROUP BY 5", "42P10"),
        ("SELECT id FROM people WHERE count(*) > 1", "42803"),
        ("SELECT id FROM people GROUP BY name", "42803"),
        ("SELECT x.id FROM people", "42P01"),
        ("SELECT people.x FROM people", "42703"),
        ("SELECT 1 LIMIT -1", "2201W"),
    ] {
        assert_eq!(client.code(sql).await, code, "{sql}");
    }
    assert_eq!(
        client.rows("SELECT '{1,NULL}'::int[], '{\"a b\",NULL}'::text[], '{}'::int[], '{t,f}'::bool[]").await,
        ["{1,NULL}|{\"a b\",NULL}|{}|{t,f}"]
    );
    // A text of bytes that are none: the connection goes on.
    client.write(&message(b'Q', b"SELECT '\xff'\0")).await;
    assert!(client.until_ready().await.errors[0].starts_with("22021"));
    client.write(&[message(b'P', b"\0SELECT '\xff'\0\0\0"), bind("", "", &[], &[], 0), message(b'S', &[])].concat()).await;
    let answer = client.until_ready().await;
    assert_eq!((answer.errors.len(), &answer.errors[0][..5]), (1, "22021"));
    assert_eq!(client.rows("SELECT 1").await, ["1"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_where_it_stands() {
    let (server, mut client) = people().await;
    for (sql, position) in [
        ("SELEC 1", "1"),
        ("SELECT 1;\nSELECT 'ä' FROM people p p", "36"),
        ("SELECT id, nothing FROM people", "12"),
        ("SELECT 1; SELECT id FROM nosuch", "26"),
        ("SELECT x.id FROM people", "8"),
        ("SELECT 1 / 0", ""),
    ] {
        client.write(&query(sql)).await;
        let mut found = None;
        loop {
            match client.next().await.unwrap() {
                (b'E', body) => found = Some(field(&body, b'P')),
                (b'Z', _) => break,
                _ => {}
            }
        }
        assert_eq!(found.as_deref(), Some(position), "{sql}");
    }
    // IF NOT EXISTS has the code that the error would have.
    client.write(&query("CREATE TABLE IF NOT EXISTS people (id int4)")).await;
    let mut code = String::new();
    loop {
        match client.next().await.unwrap() {
            (b'N', body) => code = field(&body, b'C'),
            (b'Z', _) => break,
            _ => {}
        }
    }
    assert_eq!(code, "42P07");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_database_in_order_has_nothing_to_do() {
    let (server, mut client) = people().await;
    run(
        &mut client,
        &[
            "CREATE SOURCE clip FROM 'pattern:' WITH (size = '64x48', frames = 3)",
            "CREATE MATERIALIZED VIEW seen AS SELECT frame_no FROM clip",
        ],
    )
    .await;
    for (sql, tag) in [
        ("ANALYZE", "ANALYZE"),
        ("ANALYZE VERBOSE people (id, name), seen", "ANALYZE"),
        ("VACUUM (FULL, ANALYZE) people", "VACUUM"),
        ("VACUUM FULL VERBOSE", "VACUUM"),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY seen WITH DATA", "REFRESH MATERIALIZED VIEW"),
        ("UPDATE people SET (name, tags) = ('Cy', ARRAY[9]) WHERE id = 3", "UPDATE 1"),
        ("UPDATE people SET (name) = ROW('Cyd') WHERE id = 3", "UPDATE 1"),
        ("CREATE TABLE called AS SELECT abs(id) AS a FROM people WHERE id = 3", "SELECT 1"),
        ("DROP TABLE called", "DROP TABLE"),
        ("CREATE TABLE few (a, \"B\") AS SELECT id, name, tags FROM people WHERE id = 3", "SELECT 1"),
    ] {
        let answer = client.query(sql).await;
        assert_eq!((answer.errors, answer.tags), (vec![], vec![tag.to_owned()]), "{sql}");
    }
    assert_eq!(client.rows("SELECT a, \"B\", tags FROM few").await, ["3|Cyd|{9}"]);
    for (sql, code) in [
        ("ANALYZE nosuch", "42P01"),
        ("REFRESH MATERIALIZED VIEW nosuch", "42P01"),
        ("REFRESH MATERIALIZED VIEW people", "0A000"),
        ("UPDATE people SET (id, name) = (1)", "0A000"),
        ("UPDATE people SET (id, name) = (1, 'a', 2)", "42601"),
        ("UPDATE people SET (id, id) = (1, 2)", "42601"),
        ("CREATE TABLE other (a, b) AS SELECT 1", "42601"),
        ("CREATE TABLE other (a, a) AS SELECT 1, 2", "42701"),
    ] {
        assert_eq!(client.code(sql).await, code, "{sql}");
    }
    run(&mut client, &["BEGIN"]).await;
    assert_eq!(client.code("VACUUM").await, "25001");
    run(&mut client, &["ROLLBACK", "CREATE ROLE bi LOGIN"]).await;
    // A role that does not own the table, as PostgreSQL 15 tells it.
    let mut bi = server.client_of("bi").await;
    for (sql, verb) in [("ANALYZE people", "analyze"), ("ANALYZE people (nosuch)", "analyze"), ("VACUUM ANALYZE people", "vacuum")] {
        let answer = bi.query(sql).await;
        assert_eq!(answer.notices, [format!("skipping \"people\" --- only table or database owner can {verb} it")], "{sql}");
        assert_eq!((answer.errors, answer.tags.len()), (vec![], 1), "{sql}");
    }
    assert_eq!(bi.query("ANALYZE").await.notices.len(), 2);
    assert_eq!(bi.code("VACUUM nosuch").await, "42P01");
    run(&mut client, &["BEGIN"]).await;
    run(&mut client, &["ROLLBACK"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn constants_with_their_type_and_functions_beside_a_table_are_read_as_in_postgres() {
    let (server, mut client) = people().await;
    for (sql, rows) in [
        (
            "SELECT jsonb '{\"a\": 1}' ->> 'a', json '[1]' ->> 0, uuid 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            "1|1|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("SELECT p.id, t FROM people p CROSS JOIN LATERAL unnest(p.tags || p.id) AS t WHERE p.id = 3", "3|3 3|3"),
        ("SELECT count(*) FROM people p JOIN LATERAL generate_series(1, p.id) AS g ON true", "6"),
    ] {
        assert_eq!(client.rows(sql).await.join(" "), rows, "{sql}");
    }
    server.stop().await;
}
