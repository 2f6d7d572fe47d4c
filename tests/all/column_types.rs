//! What clients are told of the columns of an answer, and of parameters: the names and types that PostgreSQL 15 tells, and values in the forms of those types.

use framesql::settings::Settings;

use crate::client::{Client, Server, bind, execute, message, parse, query};

async fn things() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    for sql in ["CREATE TABLE things (id int8 PRIMARY KEY, name text, n int4)", "INSERT INTO things VALUES (1, 'one', 7), (2, NULL, 8)"] {
        assert_eq!(client.query(sql).await.errors, Vec::<String>::new(), "{sql}");
    }
    (server, client)
}

/// Types by their oids.
const TYPES: [(u32, &str); 28] = [
    (16, "bool"),
    (18, "char"),
    (19, "name"),
    (20, "int8"),
    (21, "int2"),
    (22, "int2vector"),
    (23, "int4"),
    (25, "text"),
    (26, "oid"),
    (28, "xid"),
    (30, "oidvector"),
    (194, "pg_node_tree"),
    (701, "float8"),
    (1002, "char[]"),
    (1003, "name[]"),
    (1005, "int2[]"),
    (1007, "int4[]"),
    (1009, "text[]"),
    (1016, "int8[]"),
    (1028, "oid[]"),
    (1034, "aclitem[]"),
    (1042, "bpchar"),
    (1043, "varchar"),
    (1184, "timestamptz"),
    (2205, "regclass"),
    (2206, "regtype"),
    (2278, "void"),
    (3802, "jsonb"),
];

fn type_name(oid: u32) -> String {
    TYPES.iter().find(|(known, _)| *known == oid).map_or_else(|| oid.to_string(), |(_, name)| (*name).to_owned())
}

/// The names and types of the columns in a RowDescription.
fn described(body: &[u8]) -> String {
    let mut rest = &body[2..];
    let mut columns = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let name = String::from_utf8_lossy(&rest[..end]);
        columns.push(format!("{name} {}", type_name(u32::from_be_bytes(rest[end + 7..end + 11].try_into().unwrap()))));
        rest = &rest[end + 19..];
    }
    columns.join(", ")
}

/// The columns of the answer to a simple query.
async fn simple(client: &mut Client, sql: &str) -> String {
    client.write(&query(sql)).await;
    let (kind, body) = client.next().await.expect("the server has closed the connection");
    assert_eq!(kind, b'T', "{sql}: {}", String::from_utf8_lossy(&body));
    client.until_ready().await;
    described(&body)
}

/// The types of the parameters, and the columns, that a prepared statement is described with.
async fn prepared(client: &mut Client, sql: &str) -> (String, String) {
    client.write(&[parse("", sql, &[]), message(b'D', b"S\0"), message(b'S', b"")].concat()).await;
    let (mut parameters, mut columns) = (Vec::new(), String::new());
    loop {
        let (kind, body) = client.next().await.expect("the server has closed the connection");
        match kind {
            b't' => parameters.extend(body[2..].chunks(4).map(|oid| type_name(u32::from_be_bytes(oid.try_into().unwrap())))),
            b'T' => columns = described(&body),
            b'E' => panic!("{sql}: {}", String::from_utf8_lossy(&body)),
            b'Z' => return (parameters.join(", "), columns),
            _ => {}
        }
    }
}

/// The values of the first row in their binary forms.
async fn binary(client: &mut Client, sql: &str) -> Vec<Option<Vec<u8>>> {
    client.write(&[parse("", sql, &[]), bind("", "", &[], &[], 1), execute("", 0), message(b'S', b"")].concat()).await;
    let mut found = None;
    loop {
        let (kind, body) = client.next().await.expect("the server has closed the connection");
        match kind {
            b'D' if found.is_none() => {
                let (mut rest, mut values) = (&body[2..], Vec::new());
                while let Some((length, after)) = rest.split_first_chunk::<4>() {
                    let length = i32::from_be_bytes(*length);
                    let n_bytes = usize::try_from(length).unwrap_or(0);
                    values.push((length >= 0).then(|| after[..n_bytes].to_vec()));
                    rest = &after[n_bytes..];
                }
                found = Some(values);
            }
            b'E' => panic!("{sql}: {}", String::from_utf8_lossy(&body)),
            b'Z' => return found.unwrap_or_else(|| panic!("no row: {sql}")),
            _ => {}
        }
    }
}

/// A statement, and the names and types of its columns in PostgreSQL 15.
const COLUMNS: &[(&str, &str)] = &[
    // Whole numbers are int4, unless they are too large for one, also out of a subquery.
    ("SELECT 1, -2 AS b, 40 + 2, 9999999999 AS c", "?column? int4, b int4, ?column? int4, c int8"),
    ("SELECT CASE WHEN id > 1 THEN 1 ELSE 0 END FROM things", "case int4"),
    ("SELECT 1 UNION ALL SELECT 2", "?column? int4"),
    ("SELECT 1 UNION ALL SELECT id FROM things", "?column? int8"),
    ("SELECT a, *, 2 AS z FROM (SELECT 1 AS a) AS t", "a int4, a int4, z int4"),
    ("VALUES (1, 'x'), (2, NULL)", "column1 int4, column2 text"),
    ("SELECT *, v.a FROM (VALUES (1)) AS v(a)", "a int4, a int4"),
    ("SELECT * FROM generate_series(1, 3)", "generate_series int4"),
    ("SELECT generate_series(1, 3)", "generate_series int4"),
    ("WITH w AS (SELECT 1 AS a, id FROM things) SELECT w.a, w.id FROM w JOIN things t ON t.id = w.id", "a int4, id int8"),
    // Casts.
    (
        "SELECT name::varchar, name::varchar(3) AS a, CAST(name AS character varying) AS b, name::char(2) AS c FROM things",
        "name varchar, a varchar, b varchar, c bpchar",
    ),
    ("SELECT name::name, 'x'::\"char\" AS a, '1'::oid AS o, name::text AS t FROM things", "name name, a char, o oid, t text"),
    (
        "SELECT relname::text, relkind::varchar, oid::int4 AS i, relnamespace::int8 AS j FROM pg_class",
        "relname text, relkind varchar, i int4, j int8",
    ),
    ("SELECT v FROM (SELECT name::varchar AS v FROM things) AS t", "v varchar"),
    // Names, letters, words, trees, numbers of transactions, privileges, vectors.
    (
        "SELECT relname, relkind, relpartbound, relam, relfrozenxid, relacl, relnatts, relchecks, reloptions FROM pg_class",
        "relname name, relkind char, relpartbound pg_node_tree, relam oid, relfrozenxid xid, relacl aclitem[], relnatts int2, relchecks int2, reloptions text[]",
    ),
    (
        "SELECT c.relname, a.attname, a.attidentity FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relname = 'things'",
        "relname name, attname name, attidentity char",
    ),
    (
        "SELECT indkey, indclass, indoption, conkey FROM pg_index JOIN pg_constraint ON conindid = indexrelid",
        "indkey int2vector, indclass oidvector, indoption int2vector, conkey int2[]",
    ),
    ("SELECT table_name, table_type, is_typed FROM information_schema.tables", "table_name name, table_type varchar, is_typed varchar"),
    (
        "SELECT column_name, data_type, ordinal_position FROM information_schema.columns",
        "column_name name, data_type varchar, ordinal_position int4",
    ),
    ("SELECT amname, collname FROM pg_am, pg_collation", "amname name, collname name"),
    ("SELECT enumlabel, enumtypid FROM pg_enum", "enumlabel name, enumtypid oid"),
    ("SELECT extname, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace", "extname name, nspname name"),
    (
        "SELECT current_user, current_schema(), current_database(), current_schemas(true)",
        "current_user name, current_schema name, current_database name, current_schemas name[]",
    ),
    ("SELECT u.usename AS who FROM (SELECT usename FROM pg_user UNION ALL SELECT usename FROM pg_user) u ORDER BY 1", "who name"),
    ("SELECT DISTINCT n.nspname FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid", "nspname name"),
    // What is computed is text.
    ("SELECT upper(relname), relname || 'x' AS a FROM pg_class", "upper text, a text"),
    // What has no rows has types, and its stars have columns.
    (
        "SELECT polname, polpermissive, polroles, polname = 'x' AS same FROM pg_policy",
        "polname name, polpermissive bool, polroles oid[], same bool",
    ),
    ("SELECT s.*, 1 AS one FROM pg_db_role_setting s", "setdatabase oid, setrole oid, setconfig text[], one int4"),
    ("SELECT * FROM pg_db_role_setting", "setdatabase oid, setrole oid, setconfig text[]"),
    ("SELECT objsubid, label FROM pg_seclabel", "objsubid int4, label text"),
    ("SELECT l.objsubid, l.pid, l.granted, l.waitstart FROM pg_locks l", "objsubid int2, pid int4, granted bool, waitstart timestamptz"),
    // The columns that a relation has without saying so are none of a `*`.
    ("SELECT c.conbin, c.tableoid::oid FROM pg_constraint c", "conbin pg_node_tree, tableoid oid"),
    ("SELECT * FROM unnest(ARRAY['a', 'b'])", "unnest text"),
    // Arrays that were brought.
    (
        "SELECT proargtypes, proallargtypes, proargmodes, proargnames, proacl, proconfig FROM pg_proc",
        "proargtypes oidvector, proallargtypes oid[], proargmodes char[], proargnames text[], proacl aclitem[], proconfig text[]",
    ),
    ("SELECT relname, NULL::text AS t FROM pg_class UNION ALL SELECT NULL::text, nspname FROM pg_namespace", "relname name, t text"),
    ("SELECT s.n FROM generate_series(1, 3) AS s(n)", "n int4"),
    ("SELECT * FROM (SELECT relname, 'a'::\"char\" AS c FROM pg_class) AS t", "relname name, c char"),
];

#[tokio::test(flavor = "multi_thread")]
async fn columns_have_the_names_and_types_of_postgres() {
    let (server, mut client) = things().await;
    let mut wrong = Vec::new();
    for (sql, expected) in COLUMNS {
        for found in [simple(&mut client, sql).await, prepared(&mut client, sql).await.1] {
            if found != *expected {
                wrong.push(format!("{sql}\n    {found}\n    {expected}"));
            }
        }
    }
    let all = simple(&mut client, "SELECT * FROM pg_class LIMIT 0").await;
    assert_eq!((all.split(", ").count(), all.contains("xmin") || all.contains("tableoid")), (33, false), "{all}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_are_too_large_for_an_int4_have_an_answer() {
    let (server, mut client) = things().await;
    assert_eq!(simple(&mut client, "SELECT 2147483647 + 1 AS n").await, "n int8");
    assert_eq!(client.rows("SELECT 2147483647 + 1, 2147483647, -2147483648").await, ["2147483648|2147483647|-2147483648"]);
    // What a view keeps is an int8, as it was.
    client.query("CREATE VIEW ones AS SELECT 1 AS one").await;
    client.query("CREATE TABLE kept AS SELECT 1 AS one").await;
    for relation in ["ones", "kept"] {
        assert_eq!(simple(&mut client, &format!("SELECT one FROM {relation}")).await, "one int8");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_the_types_of_postgres() {
    let (server, mut client) = things().await;
    for (sql, expected) in [
        ("SELECT 1 FROM pg_class WHERE relname = $1 AND relkind = $2 AND oid = $3", "name, char, oid"),
        ("SELECT 1 FROM pg_class WHERE relname = ANY($1) AND relkind = ANY($2) AND oid = ANY($3)", "name[], char[], oid[]"),
        ("SELECT 1 FROM information_schema.tables WHERE table_schema = $1 AND table_type = $2", "name, varchar"),
        ("SELECT $1::varchar, $2::name, $3::\"char\", $4::text", "varchar, name, char, text"),
        ("SELECT $1::varchar[], $2::oid[]", "1015, oid[]"),
        ("SELECT 1 WHERE 1 = $1", "int4"),
        ("SELECT 1 FROM pg_class WHERE relname ~ $1 OR relname OPERATOR(pg_catalog.~) $2 OR relname LIKE $3", "text, text, text"),
        (
            "SELECT tgname FROM pg_trigger t WHERE t.tgrelid = $1 AND $2 = tgname AND tgenabled IN ($3, 'x') AND tgtype = ANY($4)",
            "oid, name, char, int2[]",
        ),
        ("SELECT 1 FROM things WHERE id = $1 AND n = $2", "int8, int4"),
    ] {
        assert_eq!(prepared(&mut client, sql).await.0, expected, "{sql}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_have_the_binary_forms_of_their_types() {
    let (server, mut client) = things().await;
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    let number = |n: i32| n.to_be_bytes();
    let array = |dimensions: &[[u8; 4]], values: &[u8]| Some([dimensions.concat(), values.to_vec()].concat());
    assert_eq!(binary(&mut client, "SELECT 1, 2147483648").await, [some(&number(1)), some(&2_147_483_648_i64.to_be_bytes())]);
    assert_eq!(binary(&mut client, "SELECT a FROM (SELECT 1 AS a UNION ALL SELECT NULL) AS t ORDER BY 1").await, [some(&number(1))]);
    // A letter is one byte, also where there is none.
    let row = "SELECT relname, relkind, relnatts, relnamespace, relfrozenxid FROM pg_class WHERE relname = 'things'";
    assert_eq!(
        binary(&mut client, row).await,
        [some(b"things"), some(b"r"), some(&3_i16.to_be_bytes()), some(&number(2200)), some(&number(0))]
    );
    let letters = "SELECT attidentity, 'x'::varchar, 'y'::\"char\" FROM pg_attribute WHERE attname = 'relname'";
    assert_eq!(binary(&mut client, letters).await, [some(&[0]), some(b"x"), some(b"y")]);
    // Arrays say of what they are; vectors are counted from 0.
    assert_eq!(
        binary(&mut client, "SELECT current_schemas(false)").await,
        [array(&[number(1), number(0), number(19), number(1), number(1), number(6)], b"public")]
    );
    assert_eq!(
        binary(&mut client, "SELECT indkey, indclass FROM pg_index").await,
        [
            array(&[number(1), number(0), number(21), number(1), number(0), number(2)], &1_i16.to_be_bytes()),
            array(&[number(1), number(0), number(26), number(1), number(0), number(4)], &number(0)),
        ]
    );
    assert_eq!(client.rows("SELECT current_schemas(false), indkey, indclass, ''::\"char\" FROM pg_index").await, ["{public}|1|0|"]);
    // Arrays that are kept as they are written are arrays all the same.
    let brought = "FROM pg_proc WHERE proname = 'aclexplode'";
    let shown = format!("SELECT proargtypes, proallargtypes, proargmodes, proargnames {brought}");
    assert_eq!(client.rows(&shown).await, ["1034|{1034,26,26,25,16}|{i,o,o,o,o}|{acl,grantor,grantee,privilege_type,is_grantable}"]);
    assert_eq!(
        binary(&mut client, &format!("SELECT proargtypes {brought}")).await,
        [array(&[number(1), number(0), number(26), number(1), number(0), number(4)], &number(1034))]
    );
    let modes = [&number(1)[..], b"i", &number(1), b"o", &number(1), b"o", &number(1), b"o", &number(1), b"o"].concat();
    assert_eq!(
        binary(&mut client, &format!("SELECT proargmodes {brought}")).await,
        [array(&[number(1), number(0), number(18), number(5), number(1)], &modes)]
    );
    // A parameter of a letter comes in that form, too.
    let sql = "SELECT relname FROM pg_class WHERE relkind = $1 AND relname = $2";
    for (letter, rows) in [(&b"r"[..], &["things"][..]), (&[0], &[])] {
        client
            .write(
                &[parse("", sql, &[]), bind("", "", &[1], &[Some(letter), Some(b"things")], 0), execute("", 0), message(b'S', b"")]
                    .concat(),
            )
            .await;
        let answer = client.until_ready().await;
        assert_eq!((answer.rows, answer.errors), (rows.iter().map(|row| (*row).to_owned()).collect(), Vec::new()));
    }
    server.stop().await;
}
