//! Functions and operators of Postgres that users meet: aggregates, histograms, patterns, arrays, rows and named moments.

use framesql::settings::Settings;

use crate::client::{Client, Server};

/// A statement and its rows as PostgreSQL 15 gives them; columns are parted by a bar.
const ANSWERS: &[(&str, &[&str])] = &[
    // types of values beside NULL, and of arrays beside the empty one
    ("VALUES ('{\"a\":1}'::jsonb), (NULL)", &[r#"{"a": 1}"#, "NULL"]),
    ("SELECT a IS NULL FROM (VALUES (NULL), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid)) AS v(a)", &["t", "f"]),
    ("SELECT ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid] <> '{}', '{}' = ARRAY['1'::jsonb]", &["t|f"]),
    // the order of rows that are gathered, of the catalogue too
    ("SELECT ARRAY(SELECT typname FROM pg_type WHERE oid IN (16, 23, 25) ORDER BY 1 DESC LIMIT 1)", &["{text}"]),
    ("SELECT ARRAY(SELECT typname FROM pg_type WHERE oid IN (16, 23, 25) ORDER BY typname OFFSET 1)", &["{int4,text}"]),
    (
        "SELECT string_agg(x, ',') FROM (SELECT nspname AS x FROM pg_namespace WHERE nspname LIKE 'p%' ORDER BY 1 DESC) AS q",
        &["public,pg_catalog"],
    ),
    // what clients ask the catalogue for
    ("SELECT count(*) FROM pg_locks", &["0"]),
    ("SELECT count(*) FROM pg_available_extensions", &["0"]),
    ("SELECT count(*) FROM information_schema.foreign_tables", &["0"]),
    ("SELECT catalog_name = current_database() FROM information_schema.information_schema_catalog_name", &["t"]),
    ("SELECT 3 OPERATOR(pg_catalog.+) 4, 'r' OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'm'])", &["7|t"]),
    ("SELECT pg_get_viewdef('t') IS NULL, pg_get_viewdef('t'::regclass, true) IS NULL", &["t|t"]),
    // what the clock shows, and when the statement and its transaction began
    ("SELECT now() = transaction_timestamp(), statement_timestamp() >= now(), clock_timestamp() >= statement_timestamp()", &["t|t|t"]),
    // aggregates of JSON
    (
        "SELECT json_agg(id ORDER BY id), jsonb_agg(k ORDER BY id DESC), jsonb_agg(x ORDER BY id) FILTER (WHERE id > 9) FROM t",
        &[r#"[1, 2, 3, 4]|[null, "a", "b", "a"]|NULL"#],
    ),
    ("SELECT k, jsonb_agg(n ORDER BY n DESC NULLS LAST) FROM t GROUP BY k ORDER BY k", &["a|[30, 10]", "b|[20]", "NULL|[null]"]),
    ("SELECT jsonb_agg(j ORDER BY id) FROM t", &[r#"[{"a": 1, "b": [1, 2, {"c": "x"}]}, [1, 2, 3], "s", null]"#]),
    ("SELECT jsonb_agg(DISTINCT k) FROM t", &[r#"["a", "b", null]"#]),
    (
        "SELECT json_agg(DISTINCT id), json_agg(DISTINCT k), jsonb_agg(DISTINCT j) FILTER (WHERE id = 1) FROM t",
        &[r#"[1, 2, 3, 4]|["a", "b", null]|[{"a": 1, "b": [1, 2, {"c": "x"}]}]"#],
    ),
    (
        "SELECT json_agg(DISTINCT n ORDER BY n DESC), json_agg(DISTINCT k ORDER BY k DESC), jsonb_agg(DISTINCT dt) FROM t WHERE k IS NOT NULL",
        &[r#"[30, 20, 10]|["b", "a"]|["2026-05-01", "2026-05-02", "2026-12-31"]"#],
    ),
    (
        "SELECT json_agg(row_to_json(q) ORDER BY q.id) FROM (SELECT id, k FROM t WHERE id < 3) q",
        &[r#"[{"id":1,"k":"a"}, {"id":2,"k":"b"}]"#],
    ),
    ("SELECT jsonb_agg(q ORDER BY id) FROM (SELECT id, k FROM t WHERE id < 3) q", &[r#"[{"k": "a", "id": 1}, {"k": "b", "id": 2}]"#]),
    ("SELECT json_object_agg(id, k ORDER BY id) FROM t", &[r#"{ "1" : "a", "2" : "b", "3" : "a", "4" : null }"#]),
    ("SELECT jsonb_object_agg(k, id ORDER BY id) FROM t WHERE k IS NOT NULL", &[r#"{"a": 3, "b": 2}"#]),
    (
        "SELECT jsonb_agg(d ORDER BY id), jsonb_agg(arr ORDER BY id), jsonb_agg(at ORDER BY id) FROM t",
        &[
            r#"[1.50, 2.25, -3.75, null]|[[1, 2, 3], [1, null], [], null]|["2026-05-01T10:34:56.789+00:00", "2026-05-01T12:30:00+00:00", "2026-05-02T00:00:00+00:00", null]"#,
        ],
    ),
    ("SELECT json_agg(id) OVER (ORDER BY id) FROM t ORDER BY id", &["[1]", "[1, 2]", "[1, 2, 3]", "[1, 2, 3, 4]"]),
    // values in their order
    (
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY k), percentile_disc(0.9) WITHIN GROUP (ORDER BY x DESC), percentile_disc(0.5) WITHIN GROUP (ORDER BY at) FROM t",
        &["a|-1.25|2026-05-01 12:30:00+00"],
    ),
    (
        "SELECT percentile_disc(0) WITHIN GROUP (ORDER BY n), percentile_disc(1) WITHIN GROUP (ORDER BY n), percentile_disc(NULL) WITHIN GROUP (ORDER BY n) FROM t",
        &["10|30|NULL"],
    ),
    (
        "SELECT percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY n), percentile_disc(ARRAY[0.25, 0.5, 1]) WITHIN GROUP (ORDER BY n) FROM t",
        &["{15,20,25}|{10,20,30}"],
    ),
    ("SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY x), percentile_cont(0.5) WITHIN GROUP (ORDER BY n DESC) FROM t", &["2.4|20"]),
    ("SELECT b, mode() WITHIN GROUP (ORDER BY k) FROM t GROUP BY b ORDER BY b", &["f|b", "t|a", "NULL|NULL"]),
    ("SELECT mode() WITHIN GROUP (ORDER BY n) FROM t WHERE id > 9", &["NULL"]),
    ("SELECT string_agg(DISTINCT k, ','), array_agg(DISTINCT id), string_agg(k, '/' ORDER BY id DESC) FROM t", &["a,b|{1,2,3,4}|a/b/a"]),
    ("SELECT round(variance(x)::numeric, 6), bool_or(b), bit_xor(id), corr(x, n) FROM t", &["3.770833|t|4|1"]),
    // histograms
    (
        "SELECT width_bucket(5.35, 0.024, 10.06, 5), width_bucket(-1, 0, 10, 5), width_bucket(10, 0, 10, 5), width_bucket(9, 10, 0, 5), width_bucket(NULL, 0, 10, 5)",
        &["3|0|6|1|NULL"],
    ),
    ("SELECT width_bucket(35, ARRAY[0, 20, 40]), width_bucket(id, 0, 4, 4) FROM t ORDER BY id", &["2|2", "2|3", "2|4", "2|5"]),
    // numbers
    (
        "SELECT div(9, 4), div(-9, 4), div(9223372036854775807, 2), div(7.5, 2), div(9007199254740993, 1), div(d, 2) FROM t WHERE id = 3",
        &["2|-2|4611686018427387903|3|9007199254740993|-1"],
    ),
    ("SELECT @ -5, |/ 25.0, ~1, abs(-5)", &["5|5|-2|5"]),
    (
        "SELECT round(2.5::float8), round(-2.5::float8), round(2.5), round(x), round(d) FROM t ORDER BY id",
        &["2|-2|3|2|2", "2|-2|3|2|2", "2|-2|3|NULL|-4", "2|-2|3|-1|NULL"],
    ),
    (
        "SELECT 0.1 + 0.2, pg_typeof(1.5), 1.10, 1.5 * 2.0, -1.5, 7.0 / 2, 1 / 3.0, 1.10::text, 0.50 || 'x', to_jsonb(1.50)",
        &["0.3|numeric|1.10|3.00|-1.5|3.5000000000000000|0.33333333333333333333|1.10|0.50x|1.50"],
    ),
    ("SELECT f4 > 0.7, f4 = 0.7, x = 1.5, x > 1.4 FROM t ORDER BY id", &["f|f|t|t", "f|f|f|t", "t|f|NULL|NULL", "NULL|NULL|f|f"]),
    (
        "SELECT to_char(1234.5, '9,999.99'), to_char(n, 'FM000'), to_char(x, 'FM990.00'), to_char(d, '999.9S') FROM t ORDER BY id",
        &[" 1,234.50|010|1.50|  1.5+", " 1,234.50|020|2.50|  2.3+", " 1,234.50|030|NULL|  3.8-", " 1,234.50|NULL|-1.25|NULL"],
    ),
    // patterns
    (
        "SELECT 'abc' SIMILAR TO '[[:alpha:]]+', '12' SIMILAR TO '[[:digit:]]{2}', 'é' SIMILAR TO '[[:alpha:]]', 'abc' SIMILAR TO '[^[:digit:]]+', 'a]b' SIMILAR TO 'a[]]b'",
        &["t|t|t|t|t"],
    ),
    (
        r#"SELECT 'é' ~ '^[[:alpha:]]$', 'x9' ~ '[[:digit:]]', 'foo bar' ~ '\mbar\M', 'foobar' ~ '\mbar', E'a\nc' ~ 'a.c', 'a' ~ '\A\w\Z'"#,
        &["t|t|t|f|t|t"],
    ),
    (
        r#"SELECT regexp_split_to_array('a b  c', '\s+'), regexp_split_to_array('', ','), regexp_split_to_array('abc', ''), regexp_split_to_array(E'a\x01b,c', ','), regexp_split_to_array('aXbxc', 'x', 'i')"#,
        &[r#"{a,b,c}|{""}|{a,b,c}|{ab,c}|{a,b,c}"#],
    ),
    ("SELECT regexp_matches('foobarbequebazilbarfbonk', '(b[^b]+)(b[^b]+)', 'g')", &["{bar,beque}", "{bazil,barf}"]),
    (r#"SELECT regexp_split_to_table('hello world', '\s+')"#, &["hello", "world"]),
    ("SELECT * FROM regexp_split_to_table('a,b', ',') AS part", &["a", "b"]),
    ("SELECT * FROM regexp_split_to_table('a,b', ',') WITH ORDINALITY", &["a|1", "b|2"]),
    ("SELECT n, w FROM string_to_table('a,b', ',') WITH ORDINALITY AS r (w, n) ORDER BY n DESC", &["2|b", "1|a"]),
    ("SELECT string_to_table('a,b', ',')", &["a", "b"]),
    ("SELECT regexp_replace('abc 123', '[[:digit:]]+', '#'), 'alphabet' ^@ 'alph'", &["abc #|t"]),
    (
        "SELECT format('%I %I %I', 'select', 'Foo', 'name'), quote_ident('user'), quote_ident('name')",
        &[r#""select" "Foo" name|"user"|name"#],
    ),
    // bytes, intervals and others
    (
        r#"SELECT encode('hello'::bytea, 'base64'), convert_from('\x6869'::bytea, 'UTF8'), convert_to('hi', 'UTF8'), get_byte('\x0102'::bytea, 1), set_byte('\x00'::bytea, 0, 5), bit_count('\x03'::bytea)"#,
        &[r#"aGVsbG8=|hi|\x6869|2|\x05|2"#],
    ),
    (
        "SELECT justify_days(interval '35 days'), justify_hours(interval '27 hours'), justify_interval(interval '1 mon -1 hour'), isfinite(date '2026-01-01')",
        &["1 mon 5 days|1 day 03:00:00|29 days 23:00:00|t"],
    ),
    ("SELECT num_nulls(1, NULL, k), num_nonnulls(1, k) FROM t ORDER BY id", &["1|2", "1|2", "1|2", "2|1"]),
    (
        "SELECT make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'Asia/Tokyo'), generate_subscripts(ARRAY['a', 'b'], 1)",
        &["2013-07-14 23:15:23.5+00|1", "2013-07-14 23:15:23.5+00|2"],
    ),
    // arrays
    (
        "SELECT 3 = ANY('{1,NULL}'), 1 = ANY('{1,NULL}'), 3 = ANY('{1,2}'), 3 = ANY('{}'), 'a' = ANY('{a,b}'), 'x' = ALL('{x}')",
        &["NULL|t|f|f|t|t"],
    ),
    ("SELECT id FROM t WHERE id = ANY('{1,2}') ORDER BY id", &["1", "2"]),
    (
        "SELECT id > ALL(ARRAY[0, 1]), id < ANY('{2}'), id >= SOME(ARRAY[3]), id <> ANY('{1}') FROM t ORDER BY id",
        &["f|t|f|f", "t|f|f|t", "t|f|t|t", "t|f|t|t"],
    ),
    ("SELECT id FROM t WHERE 2 > ANY(arr) ORDER BY id", &["1", "2"]),
    (
        "SELECT k LIKE ANY(ARRAY['a%', 'z%']), k NOT LIKE ALL(ARRAY['b']), k ILIKE ANY('{A}') FROM t ORDER BY id",
        &["t|t|t", "f|f|f", "t|t|t", "NULL|NULL|NULL"],
    ),
    ("SELECT id FROM t WHERE id = ANY(SELECT id FROM t WHERE b) ORDER BY id", &["1", "3"]),
    (
        "SELECT ARRAY[1, 4, 3] && ARRAY[2, 1], ARRAY[1] && ARRAY[2], array_length(arr, 1), array_to_json(arr) FROM t ORDER BY id",
        &["t|f|3|[1,2,3]", "t|f|2|[1,null]", "t|f|NULL|[]", "t|f|NULL|NULL"],
    ),
    // rows
    (
        "SELECT (1, 'a') = (1, 'a'), (1, 2) < (1, 3), (1, NULL) = (1, 2), (1, NULL) = (2, 2), (1, 2) <> (1, NULL), (2, 1) >= (1, 9)",
        &["t|t|NULL|f|NULL|t"],
    ),
    ("SELECT id FROM t WHERE (id, k) IN ((1, 'a'), (2, 'x'), (3, 'a')) ORDER BY id", &["1", "3"]),
    ("SELECT id FROM t WHERE (id, k) IN (SELECT id, k FROM t WHERE b) ORDER BY id", &["1", "3"]),
    ("SELECT id FROM t WHERE id > 1 AND ((id, k) IN (SELECT id, k FROM t WHERE b) OR id = 4) ORDER BY id", &["3", "4"]),
    ("SELECT id FROM t WHERE (k, id) > ('a', 1) ORDER BY id", &["2", "3"]),
    // What is not known is neither true nor false: EXISTS would say no.
    ("SELECT id FROM t WHERE NOT (id, k) IN (SELECT id, k FROM t)", &[]),
    ("SELECT id FROM t WHERE (id, k) NOT IN (SELECT id, k FROM t WHERE id < 3) ORDER BY id", &["3", "4"]),
    ("SELECT (1, NULL::int) IN (SELECT 1, 2), (2, NULL::int) IN (SELECT 1, 2)", &["NULL|f"]),
    // times
    ("SELECT timestamp '2001-09-29 03:00' - timestamp '2001-07-27 12:00', max(at) - min(at) FROM t", &["63 days 15:00:00|13:25:03.211"]),
    (
        "SELECT extract(day FROM at - timestamptz '2026-04-01')::int, extract(hour FROM at - timestamptz '2026-04-01')::int, extract(epoch FROM at - timestamptz '2026-05-01')::float8 FROM t WHERE id = 1",
        &["30|10|38096.789"],
    ),
    (
        "SELECT 'today'::date = current_date, timestamp 'tomorrow' > now()::timestamp, 'yesterday'::date = current_date - 1, 'now'::timestamptz <= now()",
        &["t|t|t|t"],
    ),
    ("SELECT localtimestamp IS NOT NULL, clock_timestamp() >= now(), localtime IS NOT NULL, current_role = current_user", &["t|t|t|t"]),
    (
        "SELECT * FROM generate_series(date '2026-01-01', date '2026-01-03', interval '1 day') g",
        &["2026-01-01 00:00:00+00", "2026-01-02 00:00:00+00", "2026-01-03 00:00:00+00"],
    ),
    (
        "SELECT g FROM generate_series('2026-01-01'::timestamp, '2026-01-02'::timestamp, '12 hours') g",
        &["2026-01-01 00:00:00", "2026-01-01 12:00:00", "2026-01-02 00:00:00"],
    ),
    (
        "SELECT to_char(timestamp '2024-03-01 14:05:06', 'HH24:00'), to_char(timestamp '2024-03-01 14:05:06', 'YYYY-MM-01'), to_char(1234.5, '9,999.00')",
        &["14:00|2024-03-01| 1,234.50"],
    ),
    // arrays of subqueries, and of the elements of arrays
    (
        "SELECT ARRAY(SELECT DISTINCT k FROM t WHERE k IS NOT NULL ORDER BY 1 DESC), ARRAY(SELECT id FROM t ORDER BY id DESC LIMIT 2), ARRAY(SELECT id FROM t WHERE id > 9 LIMIT 1)",
        &["{b,a}|{4,3}|{}"],
    ),
    ("SELECT cardinality(ARRAY(SELECT 1 UNION SELECT 2)), ARRAY(VALUES (5), (6))", &["2|{5,6}"]),
    (
        "SELECT id, ARRAY(SELECT e * 10 FROM unnest(arr) e ORDER BY e DESC NULLS LAST) FROM t ORDER BY id",
        &["1|{30,20,10}", "2|{10,NULL}", "3|{}", "4|{}"],
    ),
    ("SELECT id FROM t WHERE EXISTS (SELECT 1 FROM jsonb_array_elements(j -> 'b') e WHERE e = '2')", &["1"]),
    ("SELECT ARRAY['a'] || '{b,c}', '{a}' || ARRAY['b']", &["{a,b,c}|{a,b}"]),
    // an array of uuids that is a subquery's value
    (
        "SELECT x FROM unnest((SELECT array_agg(u) FROM (SELECT 'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS u FROM t LIMIT 1) q)) AS x",
        &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    ),
];

/// A statement and the code of its error.
const ERRORS: &[(&str, &str)] = &[
    ("SELECT jsonb_object_agg(k, id) FROM t", "22023"),
    ("SELECT percentile_disc(1.5) WITHIN GROUP (ORDER BY n) FROM t", "22003"),
    ("SELECT width_bucket(1, 0, 0, 5)", "2201G"),
    ("SELECT width_bucket(1, 0, 10, 0)", "2201G"),
    ("SELECT div(1, 0)", "22012"),
    ("SELECT json_object_agg(NULL::text, 1)", "22023"),
];

/// A server with a table of a column of most types, and a client of it.
pub(crate) async fn table() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    for sql in [
        "CREATE TABLE t (id int4, k text, n int8, x float8, f4 float4, d numeric(10,2), b bool, at timestamptz, dt date, j jsonb, arr int4[])",
        r#"INSERT INTO t VALUES
           (1, 'a', 10, 1.5, 0.7, 1.50, true, '2026-05-01 10:34:56.789+00', '2026-05-01', '{"a":1,"b":[1,2,{"c":"x"}]}', '{1,2,3}'),
           (2, 'b', 20, 2.5, 0.25, 2.25, false, '2026-05-01 12:30:00+00', '2026-05-02', '[1,2,3]', '{1,NULL}'),
           (3, 'a', 30, NULL, 1.5, -3.75, true, '2026-05-02 00:00:00+00', '2026-12-31', '"s"', '{}'),
           (4, NULL, NULL, -1.25, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"#,
    ] {
        assert_eq!(client.query(sql).await.errors, Vec::<String>::new(), "{sql}");
    }
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_give_what_postgres_gives() {
    let (server, mut client) = table().await;
    for (sql, rows) in ANSWERS {
        assert_eq!(client.rows(sql).await, *rows, "{sql}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_err_as_in_postgres() {
    let (server, mut client) = table().await;
    for (sql, code) in ERRORS {
        assert_eq!(client.code(sql).await, *code, "{sql}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_hold_an_expression_twice_do_not_double_without_end() {
    let (server, mut client) = table().await;
    let nested = |begin: &str, innermost: &str, end: &str| format!("SELECT {}{innermost}{} FROM t", begin.repeat(14), end.repeat(14));
    for sql in [
        nested("((", "b", ", 1) < (true, 2))"),
        nested("((", "b", ", 1) IN ((true, 1), (false, 2), (NULL, 3)))"),
        nested("mode() WITHIN GROUP (ORDER BY ", "n", ")"),
        nested("percentile_disc(ARRAY[0.1, 0.5]) WITHIN GROUP (ORDER BY ", "n", ")"),
        nested("string_agg(DISTINCT ", "k", ", ',')"),
    ] {
        assert_eq!(client.code(&sql).await, "54001", "{}", &sql[..60]);
    }
    let flat = ["((id, k, n) < (2, 'b', 3))"; 100].join(" OR ");
    assert_eq!(client.rows(&format!("SELECT id FROM t WHERE {flat}")).await, ["1"]);
    server.stop().await;
}
