//! The catalogue over the wire: what drivers and tools ask of pg_catalog and information_schema is answered as in PostgreSQL.

use framesql::settings::Settings;

use crate::client::{Client, Server, bind, execute, message, parse, query};

async fn things() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    for sql in [
        "CREATE TABLE plain (id int8, name text)",
        "CREATE TABLE things (id int8 PRIMARY KEY, name text NOT NULL)",
        "CREATE TABLE typed (n numeric(10,2) DEFAULT 3, s varchar(10) DEFAULT 'it''s', c char(3), v varchar, m numeric, b bool DEFAULT true, i int4 DEFAULT -1)",
    ] {
        assert_eq!(client.query(sql).await.errors, Vec::<String>::new(), "{sql}");
    }
    (server, client)
}

/// What drivers of .NET read first: each type, with what it is an array, range or multirange of. The function that receives a type tells an array, and
/// the range behind a multirange is looked up in a branch.
const TYPES: &str = "
    SELECT n.nspname, t.oid, t.typname, t.typtype, t.element_of FROM (
        SELECT one.oid, one.typnamespace, one.typname, one.typtype, one.relkind, element.oid AS element_of, element.typname AS of_name, kind.relkind AS of_relkind,
               CASE WHEN receives.proname = 'array_recv' THEN 'a' ELSE element.typtype END AS of_type
        FROM (
            SELECT typ.oid, typnamespace, typname, typrelid, relkind,
                   CASE WHEN p.proname = 'array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
                   CASE WHEN p.proname = 'array_recv' THEN typ.typelem
                        WHEN typ.typtype = 'r' THEN rngsubtype
                        WHEN typ.typtype = 'm' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = typ.oid)
                        WHEN typ.typtype = 'd' THEN typ.typbasetype END AS element_oid
            FROM pg_type AS typ
            LEFT JOIN pg_class AS c ON (c.oid = typ.typrelid)
            LEFT JOIN pg_proc AS p ON p.oid = typ.typreceive
            LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)
        ) AS one
        LEFT JOIN pg_type AS element ON element.oid = element_oid
        LEFT JOIN pg_class AS kind ON (kind.oid = element.typrelid)
        LEFT JOIN pg_proc AS receives ON receives.oid = element.typreceive
    ) AS t
    JOIN pg_namespace AS n ON (n.oid = typnamespace)
    WHERE typtype IN ('b', 'r', 'm', 'e', 'd') OR (typtype = 'c' AND relkind = 'c') OR (typtype = 'p' AND typname IN ('record', 'void', 'unknown'))
        OR (typtype = 'a' AND (of_type IN ('b', 'r', 'm', 'e', 'd') OR (of_type = 'p' AND of_name IN ('record', 'void'))
            OR (of_type = 'c' AND of_relkind = 'c')))
    ORDER BY CASE WHEN typtype IN ('b', 'e', 'p') THEN 0 WHEN typtype = 'c' THEN 1 WHEN typtype = 'r' THEN 2 WHEN typtype = 'm' THEN 3
                  WHEN typtype = 'd' AND of_type <> 'a' THEN 4 WHEN typtype = 'a' THEN 5 WHEN typtype = 'd' AND of_type = 'a' THEN 6 END";

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_told_with_what_it_is_made_of() {
    let (server, mut client) = things().await;
    let rows = client.rows(TYPES).await;
    for row in [
        "pg_catalog|20|int8|b|NULL",
        "pg_catalog|1016|_int8|a|20",
        "pg_catalog|1185|_timestamptz|a|1184",
        "pg_catalog|3904|int4range|r|23",
        "pg_catalog|4451|int4multirange|m|3904",
        "pg_catalog|2249|record|p|NULL",
    ] {
        assert!(rows.iter().any(|one| one == row), "{row} is not in {rows:?}");
    }
    // What others are made of comes first.
    let at = |name: &str| rows.iter().position(|row| row.contains(name));
    assert!(at("|int4|") < at("|int4range|") && at("|int4range|") < at("|_int4|"));
    server.stop().await;
}

/// A statement and its rows; columns are parted by a bar.
const ANSWERS: &[(&str, &[&str])] = &[
    ("SELECT to_regclass('public.things'), to_regclass('nothing'), to_regclass('nothing') IS NULL", &["things|NULL|t"]),
    ("SELECT 'things'::regclass, 'things'::regclass::text, 'int8'::regtype, 'integer'::regtype::oid", &["things|things|bigint|23"]),
    ("SELECT relname FROM pg_class WHERE oid = to_regclass('things') OR oid = 'plain'::regclass ORDER BY 1", &["plain", "things"]),
    ("SELECT attname FROM pg_attribute WHERE attrelid IN (SELECT 'things'::regclass) AND atttypid = 'bigint'::regtype", &["id"]),
    (
        "SELECT quote_literal('it''s'), quote_literal('a\\b'), quote_literal(7), quote_nullable(NULL), quote_literal(NULL) IS NULL",
        &["'it''s'|E'a\\\\b'|'7'|NULL|t"],
    ),
    ("SELECT inet_server_addr(), inet_server_port(), inet_client_addr(), inet_client_port()", &["NULL|NULL|NULL|NULL"]),
    ("SELECT txid_current() > 2, txid_current_if_assigned() IS NULL", &["t|t"]),
    ("SELECT pg_postmaster_start_time() <= now(), pg_conf_load_time() = pg_postmaster_start_time()", &["t|t"]),
    ("SELECT statement_timestamp() = now(), transaction_timestamp() = now()", &["t|t"]),
    ("SELECT pg_size_pretty(10239), pg_size_pretty(10240), pg_size_pretty(3000000000)", &["10239 bytes|10 kB|2861 MB"]),
    ("SELECT age(datfrozenxid), age(xmin) FROM pg_database", &["0|0"]),
    ("SELECT nspname, xmin, ctid, tableoid = 'pg_namespace'::regclass FROM pg_namespace WHERE nspname = 'public'", &["public|0|(0,0)|t"]),
    ("SELECT n.xmin::text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.xmin::int8 < 10 AND n.nspname = 'public'", &["0|public"]),
    (
        "SELECT pg_describe_object(1259, 'things'::regclass, 0), pg_describe_object(1259, 'things'::regclass, 2), pg_describe_object(2615, 2200, 0), \
         pg_describe_object(1247, 23, 0), pg_describe_object(1260, 10, 0), pg_describe_object(1259, 1, 0)",
        &["table things|column name of table things|schema public|type integer|role framesql|NULL"],
    ),
    (
        "SELECT pg_describe_object(classid, objid, objsubid), pg_describe_object(refclassid, refobjid, 0) FROM pg_depend",
        &["index things_pkey|constraint things_pkey on table things"],
    ),
    // Functions that Postgres brings.
    (
        "SELECT pg_get_function_result(oid), pg_get_function_arguments(oid) FROM pg_proc WHERE proname = 'upper' ORDER BY oid",
        &["text|text", "anyelement|anyrange", "anyelement|anymultirange"],
    ),
    ("SELECT 'upper'::pg_catalog.regproc::pg_catalog.oid, 'upper(text)'::regprocedure::oid", &["871|871"]),
    (
        "SELECT pg_get_functiondef(871) LIKE 'CREATE OR REPLACE FUNCTION pg_catalog.upper(text)%RETURNS text%$function$upper$function$%'",
        &["t"],
    ),
    // What psql asks.
    (
        "SELECT l.lanname FROM pg_language l LEFT JOIN pg_description d ON d.classoid = l.tableoid AND d.objoid = l.oid WHERE l.lanplcallfoid != 0",
        &["plpgsql"],
    ),
    ("SELECT count(colliculocale) FROM pg_collation WHERE collname = 'nothing'", &["0"]),
    ("SELECT count(*) FROM pg_ts_dict WHERE pg_ts_dict_is_visible(oid) AND dictname = 'simple'", &["1"]),
    ("SELECT count(*) FROM pg_user_mappings, pg_cursors, pg_prepared_statements", &["0"]),
    ("SELECT name, abbrev, utc_offset, is_dst FROM pg_timezone_names WHERE name = 'Asia/Tokyo'", &["Asia/Tokyo|JST|09:00:00|f"]),
    ("SELECT character_set_name, default_collate_name FROM information_schema.character_sets", &["UTF8|C"]),
    (
        "SELECT c.relname, c.relkind, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'character_sets'",
        &["character_sets|v|information_schema"],
    ),
    (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'information_schema.tables'::regclass AND attnum = 3",
        &["table_name|name"],
    ),
    // Types with modifiers, and defaults.
    (
        "SELECT attname, format_type(atttypid, atttypmod), atttypmod, atthasdef FROM pg_attribute WHERE attrelid = 'typed'::regclass ORDER BY attnum",
        &[
            "n|numeric(10,2)|655366|t",
            "s|character varying(10)|14|t",
            "c|character(3)|7|f",
            "v|character varying|-1|f",
            "m|numeric|-1|f",
            "b|boolean|-1|t",
            "i|integer|-1|t",
        ],
    ),
    (
        "SELECT column_name, data_type, udt_name, character_maximum_length, character_octet_length, numeric_precision, numeric_precision_radix, \
         numeric_scale, column_default FROM information_schema.columns WHERE table_name = 'typed' ORDER BY ordinal_position",
        &[
            "n|numeric|numeric|NULL|NULL|10|10|2|3.00",
            "s|character varying|varchar|10|40|NULL|NULL|NULL|'it''s'::character varying",
            "c|character|bpchar|3|12|NULL|NULL|NULL|NULL",
            "v|character varying|varchar|NULL|1073741824|NULL|NULL|NULL|NULL",
            "m|numeric|numeric|NULL|NULL|NULL|10|NULL|NULL",
            "b|boolean|bool|NULL|NULL|NULL|NULL|NULL|true",
            "i|integer|int4|NULL|NULL|32|2|0|'-1'::integer",
        ],
    ),
    (
        "SELECT a.attname, (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d \
         WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef) \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = 'typed'::regclass AND a.attnum IN (1, 3, 6) ORDER BY a.attnum",
        &["n|3.00", "c|NULL", "b|true"],
    ),
    (
        "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
         WHERE a.attrelid = 'typed'::regclass AND a.attnum <= 3 ORDER BY a.attnum",
        &["n|3.00", "s|'it''s'::character varying", "c|NULL"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_answers_as_in_postgres() {
    let (server, mut client) = things().await;
    for (sql, rows) in ANSWERS {
        assert_eq!(client.rows(sql).await, *rows, "{sql}");
    }
    server.stop().await;
}

/// Statements and the SQLSTATE that each must give.
const ERRORS: &[(&str, &str)] = &[("SELECT 'nothing'::regclass", "42P01"), ("SELECT 'nothing'::regtype", "42704")];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_by_its_code() {
    let (server, mut client) = things().await;
    for (sql, code) in ERRORS {
        assert_eq!(client.code(sql).await, *code, "{sql}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connection_does_is_shown_to_whom_it_concerns() {
    let (server, mut client) = things().await;
    for sql in ["CREATE ROLE reader LOGIN", "SET application_name = 'watcher'", "BEGIN"] {
        assert_eq!(client.query(sql).await.errors, Vec::<String>::new(), "{sql}");
    }
    let mut reader = server.client_of("reader").await;
    reader.query("SELECT 1").await;
    let seen = "SELECT usename, application_name, state, query FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
    assert_eq!(client.rows(seen).await, ["reader||idle|SELECT 1"]);
    assert_eq!(reader.rows(seen).await, ["framesql||NULL|<insufficient privilege>"]);
    let own = "SELECT state, query_start IS NULL FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    assert_eq!(client.rows(own).await, ["active|f"]);
    // Nobody reads a verifier, and only a superuser the relation that others have it in.
    let roles = "SELECT oid, rolname, rolsuper, rolpassword FROM pg_authid ORDER BY rolname";
    let rows = client.rows(roles).await;
    assert_eq!(rows.first().map(String::as_str), Some("10|framesql|t|NULL"));
    assert!(rows.iter().all(|row| row.ends_with("|NULL")) && rows.iter().any(|row| row.contains("|reader|f|")), "{rows:?}");
    assert_eq!(reader.code(roles).await, "42501");
    assert!(!reader.rows("SELECT rolname FROM pg_roles").await.is_empty());
    server.stop().await;
}

/// The schema, table, column and constraint that the error of a statement names.
async fn named(client: &mut Client, sql: &str) -> Vec<(char, String)> {
    client.write(&query(sql)).await;
    let mut found = Vec::new();
    loop {
        let (kind, body) = client.next().await.expect("the server has closed the connection");
        match kind {
            b'E' => {
                let fields = body.split(|b| *b == 0).filter_map(|field| field.split_first());
                let named = fields.filter(|(kind, _)| b"stcn".contains(kind));
                found = named.map(|(kind, text)| (char::from(*kind), String::from_utf8_lossy(text).into_owned())).collect();
            }
            b'Z' => return found,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_constraint_and_its_table() {
    let (server, mut client) = things().await;
    client.rows("INSERT INTO things VALUES (1, 'one')").await;
    let of = |fields: &[(char, &str)]| fields.iter().map(|(kind, text)| (*kind, (*text).to_owned())).collect::<Vec<_>>();
    let key = named(&mut client, "INSERT INTO things VALUES (1, 'again')").await;
    assert_eq!(key, of(&[('s', "public"), ('t', "things"), ('n', "things_pkey")]));
    let null = named(&mut client, "INSERT INTO things VALUES (2, NULL)").await;
    assert_eq!(null, of(&[('s', "public"), ('t', "things"), ('c', "name")]));
    assert_eq!(named(&mut client, "SELECT 1 / 0").await, Vec::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_named_and_tagged_as_in_postgres() {
    let (server, mut client) = things().await;
    for (sql, tag) in [
        ("SET work_mem TO DEFAULT", "SET"),
        ("RESET work_mem", "RESET"),
        ("SET NAMES 'UTF8'", "SET"),
        ("SET SESSION AUTHORIZATION DEFAULT", "SET"),
        ("SET CONSTRAINTS ALL DEFERRED", "SET CONSTRAINTS"),
    ] {
        let answer = client.query(sql).await;
        assert_eq!((answer.tags, answer.errors), (vec![tag.to_owned()], Vec::new()), "{sql}");
    }
    for (sql, rows) in [
        ("SELECT set_config('app.user', 'ann', false), current_setting('app.none', true)", "ann|NULL"),
        ("SELECT current_setting('app.user')", "ann"),
        ("SELECT name, setting, context FROM pg_settings WHERE name = 'TimeZone'", "TimeZone|UTC|user"),
        ("SELECT setting, context FROM pg_settings WHERE name = 'max_connections'", "1000|internal"),
        ("SHOW max_connections", "1000"),
        ("SHOW session_authorization", "framesql"),
    ] {
        assert_eq!(client.rows(sql).await, [rows], "{sql}");
    }
    // A name that was not there before the block is gone after it.
    for sql in ["BEGIN", "SET LOCAL app.local = 'x'", "COMMIT", "DISCARD ALL"] {
        assert_eq!(client.query(sql).await.errors, Vec::<String>::new(), "{sql}");
    }
    for name in ["app.local", "app.user"] {
        assert_eq!(client.code(&format!("SHOW {name}")).await, "42704", "{name}");
    }
    assert_eq!(client.rows("SHOW session_authorization").await, ["framesql"]);
    server.stop().await;
}

/// The number of parameters that the statement is described with, and the rows that it gives for values as text.
async fn described(client: &mut Client, sql: &str, values: &[&str]) -> (usize, Vec<String>) {
    let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(value.as_bytes())).collect();
    client.write(&[parse("", sql, &[]), message(b'D', b"S\0"), message(b'H', b"")].concat()).await;
    let n_parameters = loop {
        let (kind, body) = client.next().await.expect("the server has closed the connection");
        match kind {
            b't' => break usize::from(u16::from_be_bytes([body[0], body[1]])),
            b'E' => panic!("{}", String::from_utf8_lossy(&body)),
            _ => {}
        }
    };
    client.write(&[bind("", "", &[], &values, 0), execute("", 0), message(b'S', b"")].concat()).await;
    let answer = client.until_ready().await;
    assert_eq!(answer.errors, Vec::<String>::new(), "{sql}");
    (n_parameters, answer.rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_beside_a_relation_without_rows_are_counted() {
    let (server, mut client) = things().await;
    let cases: [(&str, &[&str], &[&str]); 3] = [
        // No index is none of a primary key.
        ("SELECT indexrelid FROM pg_index WHERE NOT indisprimary AND indrelid IN ($1, $2) AND indnatts = $3", &["1", "2", "3"], &[]),
        ("SELECT tgname FROM pg_trigger WHERE tgname = $1", &["x"], &[]),
        (
            "SELECT relname FROM pg_class WHERE relname = $2 AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polname = $1)",
            &["x", "things"],
            &["things"],
        ),
    ];
    for (sql, values, rows) in cases {
        let (n_parameters, found) = described(&mut client, sql, values).await;
        assert_eq!(n_parameters, values.len(), "{sql}");
        assert_eq!(found, rows, "{sql}");
    }
    // Too few, and too many, are still an error.
    for n_values in [0, 2] {
        let values: Vec<Option<&[u8]>> = vec![Some(&b"1"[..]); n_values];
        let sql = "SELECT tgname FROM pg_trigger WHERE tgname = $1";
        client.write(&[parse("", sql, &[]), bind("", "", &[], &values, 0), message(b'S', b"")].concat()).await;
        assert!(client.until_ready().await.errors.iter().any(|error| error.starts_with("08P01")));
    }
    assert_eq!(client.code("SELECT tgname FROM pg_trigger WHERE tgname = $1").await, "08P01");
    server.stop().await;
}
