//! Tables that outlive their engine, and rows that a client copies in.

use datafusion::common::ScalarValue;
use framesql::engine::session::Session;
use framesql::plan::parse::Body;
use framesql::settings::Settings;

use crate::answers;
use crate::oracle;

async fn copy(session: &Session, statement: &str, parts: &[&str]) -> framesql::error::Result<usize> {
    let parsed = session.parse(statement)?;
    let Body::CopyIn(copy) = &parsed[0].body else { panic!("{statement} is no COPY FROM STDIN") };
    let mut into = session.copy_in(&parsed[0], copy).await?;
    for part in parts {
        into.push(part.as_bytes())?;
    }
    into.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_table_are_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings { data: Some(folder.path().to_owned()), ..Settings::default() };
    let query = "SELECT id, name FROM \"Cameras\" ORDER BY id";
    let before = {
        let (engine, session) = answers::open(settings()).await;
        let made = "CREATE TABLE \"Cameras\" (id int4 PRIMARY KEY, name text DEFAULT 'none'); INSERT INTO \"Cameras\" VALUES (1, 'a'), (2, 'b'); \
                    UPDATE \"Cameras\" SET name = 'c' WHERE id = 2; CREATE TABLE copied AS SELECT id * 2 AS twice FROM \"Cameras\"; \
                    CREATE TABLE gone (a int8); INSERT INTO gone VALUES (1); DROP TABLE gone; CREATE VIEW v AS SELECT * FROM copied";
        answers::run(&session, made).await;
        let before = oracle::bag(&answers::rows(&session, query).await.unwrap());
        engine.shutdown().await;
        before
    };
    let (engine, session) = answers::open(settings()).await;
    assert_eq!(oracle::bag(&answers::rows(&session, query).await.unwrap()), before);
    assert_eq!(answers::number(&session, "SELECT sum(twice)::int8 FROM v").await, 6);
    answers::run(&session, "CREATE TABLE gone (a int8)").await;
    assert_eq!(answers::number(&session, "SELECT count(*) FROM gone").await, 0);
    // The key holds after the restart too.
    let error = answers::rows(&session, "INSERT INTO \"Cameras\" VALUES (1, 'again')").await.unwrap_err();
    assert_eq!(error.sqlstate(), "23505");
    assert_eq!(error.detail().as_deref(), Some("Key (id)=(1) already exists."));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_nothing_that_belongs_to_nobody_and_keeps_its_verifiers_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings { data: Some(folder.path().to_owned()), ..Settings::default() };
    let (engine, session) = answers::open(settings()).await;
    answers::run(&session, "CREATE TABLE t AS SELECT 1 AS a; CREATE ROLE ada SUPERUSER LOGIN PASSWORD 'x'").await;
    // One that cannot be kept leaves no file, not even until the next start.
    let refused = answers::rows(&session, "CREATE TABLE u AS SELECT 1 / (a - 1) AS a FROM t").await;
    assert_eq!(refused.unwrap_err().sqlstate(), "22012");
    engine.shutdown().await;
    drop((engine, session));
    let (tables, jobs) = (folder.path().join("tables"), folder.path().join("jobs/gone"));
    let files = || {
        let mut names: Vec<_> = std::fs::read_dir(&tables).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(files(), ["t.arrow"]);
    // As a process leaves them that is killed while it makes a table, and a view.
    std::fs::write(tables.join("half.arrow"), "half").unwrap();
    std::fs::write(tables.join("half.new"), "half").unwrap();
    std::fs::create_dir_all(&jobs).unwrap();
    let (engine, session) = answers::open(settings()).await;
    assert_eq!(files(), ["t.arrow"]);
    assert!(!jobs.exists());
    assert_eq!(answers::number(&session, "SELECT a FROM t").await, 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("catalog.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_brings_all_its_rows_or_none() {
    let (_engine, session) = answers::open(Settings::default()).await;
    answers::run(&session, "CREATE TABLE t (id int8 PRIMARY KEY, name varchar(4), at timestamptz, raw bytea, n int2 DEFAULT 7)").await;
    let text = ["1\ta\\tb\t2026-05-01 12:00:00+02\t\\\\x0aff\t1\n2\t", "\\N\t\\N\t\\N\t\\N\n", "\\.\n"];
    assert_eq!(copy(&session, "COPY t FROM STDIN", &text).await.unwrap(), 2);
    let csv = ["name,id\n\"\",3\n,", "4\r\n"];
    assert_eq!(copy(&session, "COPY t (name, id) FROM STDIN WITH (FORMAT csv, HEADER true)", &csv).await.unwrap(), 2);
    let found = answers::rows(&session, "SELECT id, name, at, encode(raw, 'hex'), n FROM t ORDER BY id").await.unwrap();
    let texts = arrow::util::pretty::pretty_format_batches(&found).unwrap().to_string();
    let lines: Vec<String> = texts.lines().skip(3).map(|l| l.split_whitespace().collect::<String>()).collect();
    assert_eq!(lines[0], "|1|a\tb|2026-05-01T10:00:00Z|0aff|1|".replace('\t', ""), "{texts}");
    assert_eq!(lines[1], "|2|||||");
    assert_eq!(lines[2..4], ["|3||||7|", "|4||||7|"]);
    for (statement, rows, code, detail) in [
        ("COPY t (id) FROM STDIN", "5\nsix\n", "22P02", "COPY t, line 2, column id"),
        ("COPY t (id) FROM STDIN", "5\t6\n", "22P04", "COPY t, line 1"),
        ("COPY t (id, name) FROM STDIN", "5\tx\n6\n", "22P04", "COPY t, line 2"),
        ("COPY t (id) FROM STDIN", "5\n1\n", "23505", "Key (id)=(1) already exists."),
        ("COPY t (id) FROM STDIN CSV", "5\n\n", "23502", "Failing row contains (null, null, null, null, 7)."),
    ] {
        let error = copy(&session, statement, &[rows]).await.unwrap_err();
        assert_eq!((error.sqlstate(), error.detail().as_deref()), (code, Some(detail)), "{statement} {rows:?}: {error}");
    }
    let binary = session.parse("COPY t (n, id) FROM STDIN BINARY").unwrap();
    let Body::CopyIn(form) = &binary[0].body else { panic!("no COPY FROM STDIN") };
    let mut into = session.copy_in(&binary[0], form).await.unwrap();
    assert_eq!(into.columns().iter().map(|column| column.name().as_str()).collect::<Vec<_>>(), ["n", "id"]);
    into.push_row(vec![ScalarValue::Int16(None), ScalarValue::Int64(Some(5))]);
    into.push_row(vec![ScalarValue::Int16(Some(8)), ScalarValue::Int64(Some(6))]);
    assert_eq!(into.finish().await.unwrap(), 2);
    assert_eq!(answers::number(&session, "SELECT sum(id)::int8 FROM t WHERE n IS NULL AND id > 4").await, 5);
    answers::run(&session, "DELETE FROM t WHERE id > 4").await;
    assert_eq!(copy(&session, "COPY nobody FROM STDIN", &[]).await.unwrap_err().sqlstate(), "42P01");
    assert_eq!(answers::number(&session, "SELECT count(*) FROM t").await, 4);
}
