//! What is read, statement by statement.

use super::*;

#[test]
fn a_script_keeps_the_text_of_each_statement() {
    let all = parse("CREATE SOURCE a FROM 'x'; -- note\nSELECT 'é;', 2;\n;").unwrap();
    let texts: Vec<&str> = all.iter().map(|s| s.text.as_str()).collect();
    assert_eq!(texts, ["CREATE SOURCE a FROM 'x'", "SELECT 'é;', 2"]);
}

#[test]
fn emit_is_cut_from_the_end_of_a_query() {
    let all = parse("CREATE MATERIALIZED VIEW v AS SELECT * FROM t EMIT CHANGES").unwrap();
    assert!(matches!(&all[0].body, Body::CreateView { query: QueryText { emit: Emit::Changes, .. }, .. }));
}

#[test]
fn flinks_table_arguments_are_read() {
    for sql in [
        "SELECT * FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' SECOND))",
        "SELECT * FROM TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '10' SECOND)",
        "SELECT * FROM TUMBLE(bid, ts, INTERVAL '10 seconds')",
        "SELECT * FROM TABLE(SESSION(TABLE bid PARTITION BY item, DESCRIPTOR(ts), INTERVAL '5' MINUTES))",
        "SELECT * FROM SESSION(DATA => TABLE bid PARTITION BY (a, b), TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '5' MINUTES)",
        "SELECT * FROM SESSION((SELECT * FROM bid) PARTITION BY a, b, ts, INTERVAL '5 minutes')",
        "SELECT session FROM s",
    ] {
        assert!(matches!(parse(sql).unwrap()[0].body, Body::Query(_)), "{sql}");
    }
}

#[test]
fn a_version_ends_where_its_time_does() {
    for (sql, read) in [
        ("SELECT 1 FROM a JOIN t FOR SYSTEM_TIME AS OF a.ts AS p ON p.k = a.k", "t(__version => a.ts) AS p ON"),
        ("SELECT 1 FROM a JOIN t FOR SYSTEM_TIME AS OF a.ts p ON p.k = a.k", "t(__version => a.ts) p ON"),
        ("SELECT 1 FROM a JOIN t FOR SYSTEM_TIME AS OF now() ON t.k = a.k", "t(__version => now()) ON"),
    ] {
        match &parse(sql).unwrap()[0].body {
            Body::Query(query) => assert!(query.query.to_string().contains(read), "{}", query.query),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_statement_of_ours_is_read() {
    for sql in [
        "CREATE SOURCE IF NOT EXISTS l FROM 'file:///c.mp4' WITH (pace = 'realtime', loop = true, fps = 12.5)",
        "CREATE OR REPLACE MODEL \"my-model\" FROM 'm.onnx' TASK detection WITH (input = '640x640', mean = '1, 2, 3', decode = 'yolox')",
        "CREATE MODEL IF NOT EXISTS m FROM 'file:///m.onnx' TASK raw",
        "DROP MODEL IF EXISTS m, \"my-model\" CASCADE",
        "CREATE GALLERY IF NOT EXISTS people",
        "DROP GALLERY people",
        "DROP SOURCE IF EXISTS a, b CASCADE",
        "DROP MATERIALIZED VIEW v RESTRICT",
        "SHOW SOURCES",
        "SHOW search_path",
        "SET statement_timeout = '1s'",
        "SET TIME ZONE 'UTC'",
        "ABORT TRANSACTION",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SUBSCRIBE TO v WITH (snapshot = false, progress)",
        "COPY (SUBSCRIBE (SELECT * FROM l)) TO STDOUT",
        "COPY (SELECT 1) TO STDOUT WITH (FORMAT csv, HEADER)",
        "COPY v TO STDOUT CSV HEADER",
        "FLUSH",
        "EXPLAIN ANALYZE SELECT 1",
        "CREATE USER bi PASSWORD 'x'",
        "ALTER USER bi PASSWORD 'y'",
        "GRANT SELECT (source, frames) ON v TO bi",
        "REVOKE ALL ON v FROM PUBLIC",
        "COMMENT ON MATERIALIZED VIEW public.v IS 'what it counts'",
        "COMMENT ON COLUMN public.v.frames IS NULL",
        "ALTER MATERIALIZED VIEW v SET (notify = 'counted')",
        "ALTER MATERIALIZED VIEW v RESET (notify)",
        "CREATE OR REPLACE ZONE z ON gate AS POLYGON '((0 0, 9 0, 9 9))' WITH (anchor = 'center')",
        "CREATE LINE IF NOT EXISTS l ON gate AS LINESTRING '(0 0, 9 9)'",
        "CREATE CALIBRATION c ON gate AS POINTS '((0 0 -> 0 0, 9 0 -> 1 0, 9 9 -> 1 1, 0 9 -> 0 1))'",
        "ALTER ZONE z AS POLYGON '((0 0, 9 0, 9 9))' WITH (anchor = 'center')",
        "DROP ZONE IF EXISTS z, y CASCADE",
        "SHOW CALIBRATIONS",
    ] {
        assert!(parse(sql).is_ok(), "{sql}: {:?}", parse(sql));
    }
    assert_eq!(parse("CREATE SOURCE x 'y'").unwrap_err().sqlstate(), "42601");
}

#[test]
fn a_transaction_may_be_deferrable() {
    use datafusion::sql::sqlparser::ast::Statement as Sql;
    for (sql, n_modes) in [
        ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", 2),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, NOT DEFERRABLE", 2),
        ("BEGIN TRANSACTION DEFERRABLE, READ ONLY", 1),
        ("BEGIN NOT DEFERRABLE", 0),
    ] {
        let all = parse(sql).unwrap();
        let Body::Other(other) = &all[0].body else { panic!("{sql}") };
        assert!(matches!(other.as_ref(), Sql::StartTransaction { modes, .. } if modes.len() == n_modes), "{sql}: {other:?}");
    }
}
