//! What an expression means is what it means to PostgreSQL: types, times, casts, arrays and errors give its answers for the same text.

use framesql::settings::Settings;

use crate::client::{Client, Server};

/// A statement and its rows as PostgreSQL 15 gives them; columns are parted by a bar.
const ANSWERS: [(&str, &[&str]); 75] = [
    // float
    ("SELECT a, b, c FROM fl", &["123456789.123|123456789.123|1.2345679e+08"]),
    ("SELECT 1::float / 3, count(*)::float / 7 FROM ev", &["0.3333333333333333|0.42857142857142855"]),
    ("SELECT pg_typeof(1::float), pg_typeof(1::real), pg_typeof(1::float(24))", &["double precision|real|real"]),
    // date and interval
    ("SELECT date '2026-05-01' + interval '36 hours'", &["2026-05-02 12:00:00"]),
    (
        "SELECT d + interval '1 hour', d - interval '1 hour', d + 1 FROM ev ORDER BY id",
        &["2026-05-01 01:00:00|2026-04-30 23:00:00|2026-05-02", "2026-05-02 01:00:00|2026-05-01 23:00:00|2026-05-03", "NULL|NULL|NULL"],
    ),
    ("SELECT interval '1 day' + date '2026-05-01', date '2026-05-04' - date '2026-05-01'", &["2026-05-02 00:00:00|3"]),
    // times without seconds
    ("SELECT timestamp '2026-05-01 12:30', timestamptz '2026-05-01 12:30'", &["2026-05-01 12:30:00|2026-05-01 12:30:00+00"]),
    ("SELECT '2026-05-01T12:30'::timestamptz, '2026-05-01 12:30+02'::timestamptz", &["2026-05-01 12:30:00+00|2026-05-01 10:30:00+00"]),
    ("SELECT id FROM ev WHERE at = '2026-05-01 12:30'", &["2"]),
    ("SELECT id FROM ev WHERE at >= '2026-05-01 14:30+02'", &["2"]),
    ("SELECT id FROM ev WHERE at BETWEEN '2026-05-01 10:00' AND '2026-05-01 11:00'", &["1"]),
    ("SELECT id FROM ev WHERE at IN ('2026-05-01 12:30')", &["2"]),
    ("SELECT id FROM ev WHERE local > '2026-05-01 12:00'", &["2"]),
    ("SELECT '2026-05-01 12:30'::date", &["2026-05-01"]),
    // columns of one name
    ("SELECT id::text FROM ev ORDER BY id", &["1", "2", "3"]),
    ("SELECT at::date FROM ev ORDER BY at", &["2026-05-01", "2026-05-01", "NULL"]),
    ("SELECT at AT TIME ZONE 'Asia/Tokyo' FROM ev ORDER BY at", &["2026-05-01 19:34:56.789", "2026-05-01 21:30:00", "NULL"]),
    ("SELECT position('a' IN t), strpos(t, 'a') FROM ev ORDER BY id", &["1|1", "2|2", "NULL|NULL"]),
    ("SELECT 2 ^ 3, power(2, 3), pow(2, 3)", &["8|8|8"]),
    // time zones
    (
        "SELECT at AT TIME ZONE 'asia/tokyo', local AT TIME ZONE 'Asia/Tokyo' FROM ev WHERE id = 2",
        &["2026-05-01 21:30:00|2026-05-01 03:30:00+00"],
    ),
    ("SELECT timezone('utc', at), timezone('Europe/Berlin', local) FROM ev WHERE id = 2", &["2026-05-01 12:30:00|2026-05-01 10:30:00+00"]),
    ("SELECT date_trunc('day', at, 'Asia/Tokyo') FROM ev WHERE id = 2", &["2026-04-30 15:00:00+00"]),
    ("SELECT date_trunc('hour', at AT TIME ZONE 'Asia/Kolkata') FROM ev WHERE id = 2", &["2026-05-01 18:00:00"]),
    ("SELECT at AT TIME ZONE interval '2 hours', at AT TIME ZONE '+02' FROM ev WHERE id = 2", &["2026-05-01 14:30:00|2026-05-01 10:30:00"]),
    // casts of fractions
    ("SELECT 1.5::int, 2.5::int, -2.5::int, 2.5::float8::int, 3.5::float8::int, 1.4::int", &["2|3|-3|2|4|1"]),
    ("SELECT x::int, n::int, x::bigint FROM ev ORDER BY id", &["2|3|2", "2|-2|2", "NULL|NULL|NULL"]),
    ("SELECT (extract(epoch FROM at) / 300)::bigint * 300 FROM ev ORDER BY id", &["1777631700", "1777638600", "NULL"]),
    ("SELECT (ARRAY[1.5, 2.4])::int4[]", &["{2,2}"]),
    // patterns of SQL
    (
        "SELECT 'abc' SIMILAR TO 'abc', 'abc' SIMILAR TO 'a', 'abc' SIMILAR TO '%(b|d)%', 'abc' SIMILAR TO '_b_', 'abc' NOT SIMILAR TO 'a%'",
        &["t|f|t|t|f"],
    ),
    // arrays
    ("SELECT '{\"a b\",c}'::text[], '{1,2,3}'::int4[], '{}'::float8[], '{2026-05-01}'::date[]", &["{\"a b\",c}|{1,2,3}|{}|{2026-05-01}"]),
    ("SELECT id FROM ev WHERE arr = '{1,2,3}'", &["1"]),
    ("SELECT id FROM ev WHERE arr @> '{3}'", &["1"]),
    ("SELECT id FROM ev WHERE bs = '\\xdeadbeef'", &["1"]),
    ("SELECT array_remove(ARRAY[1, 2, 1], 1)", &["{2}"]),
    ("SELECT 3 = ANY(ARRAY[1, NULL]), 1 = ANY(ARRAY[1, NULL]), 3 = ANY(ARRAY[1, 2])", &["NULL|t|f"]),
    ("SELECT 3 = ANY(arr) FROM ev ORDER BY id", &["t", "NULL", "NULL"]),
    ("SELECT 3 <> ALL(ARRAY[1, NULL]), 1 <> ALL(ARRAY[1, NULL])", &["NULL|f"]),
    ("SELECT ARRAY(SELECT id FROM ev ORDER BY id DESC)", &["{3,2,1}"]),
    ("SELECT ARRAY(SELECT id FROM ev WHERE id > 5)", &["{}"]),
    // values as text
    ("SELECT at::text, local::text, d::text FROM ev WHERE id = 1", &["2026-05-01 10:34:56.789+00|2026-05-01 10:34:56.789|2026-05-01"]),
    ("SELECT x::text, n::text, arr::text, bs::text FROM ev WHERE id = 2", &["1.5|-1.50|{1,NULL}|\\x00"]),
    ("SELECT (interval '26 hours')::text, 100::float8::text, 1e20::float8::text, true::text", &["26:00:00|100|1e+20|true"]),
    ("SELECT ('12:30:00.5'::time)::text", &["12:30:00.5"]),
    ("SELECT ARRAY['a b', 'c']::text, 'a' || 1.0::float8, 'a' || true", &["{\"a b\",c}|a1|atrue"]),
    (
        "SELECT concat('a', true, 1.0::float8, NULL, at), concat_ws(',', true, false) FROM ev WHERE id = 2",
        &["at12026-05-01 12:30:00+00|t,f"],
    ),
    ("SELECT extract(second FROM at), extract(hour FROM at), date_part('second', at) FROM ev WHERE id = 1", &["56.789|10|56.789"]),
    // numbers that err only where they are asked for
    ("SELECT id FROM ev WHERE x > 2 AND 10 / (x - 1.5) > 1", &["1"]),
    ("SELECT id FROM ev WHERE id = 1 OR 10 / (id - 1) > 5 ORDER BY id", &["1", "2"]),
    ("SELECT 0::float8 * 5, 0::float8 / 5, ln(1), exp(0), sqrt(4)", &["0|0|0|1|2"]),
    // templates
    (
        "SELECT to_timestamp('2026-05-01 13', 'YYYY-MM-DD HH24'), to_timestamp('2026-05', 'YYYY-MM')",
        &["2026-05-01 13:00:00+00|2026-05-01 00:00:00+00"],
    ),
    ("SELECT to_date('01.05.2026', 'DD.MM.YYYY')", &["2026-05-01"]),
    ("SELECT to_char(at, 'HH12:MI am'), to_char(at, 'HH12:MI PM') FROM ev WHERE id = 2", &["12:30 pm|12:30 PM"]),
    (
        "SELECT to_char(at, 'SSSS'), to_char(at, 'HH24 SSSS \"s\"') FROM ev ORDER BY id",
        &["38096|10 38096 s", "45000|12 45000 s", "NULL|NULL"],
    ),
    ("SELECT to_number('12,345.6', '99,999.9')", &["12345.6"]),
    // rows of a function
    ("SELECT generate_series(1, 3)", &["1", "2", "3"]),
    ("SELECT g FROM generate_series(1, 3) g", &["1", "2", "3"]),
    ("SELECT g * 2 FROM generate_series(1, 3) AS g ORDER BY g DESC", &["6", "4", "2"]),
    ("SELECT generate_series FROM generate_series(1, 2)", &["1", "2"]),
    ("SELECT i FROM generate_series(1, 2) AS g(i)", &["1", "2"]),
    // functions and forms
    ("SELECT mod(7, 3), sign(-2), div(7, 2), ceiling(1.2)", &["1|-1|3|2"]),
    (
        "SELECT make_interval(hours => 3), make_interval(1, 2), make_timestamp(2026, 5, 1, 12, 30, 15.5)",
        &["03:00:00|1 year 2 mons|2026-05-01 12:30:15.5"],
    ),
    ("SELECT date(at) FROM ev WHERE id = 1", &["2026-05-01"]),
    (
        "SELECT age(timestamptz '2026-05-01', timestamptz '2025-03-02'), age(d, date '2026-04-01') FROM ev WHERE id = 1",
        &["1 year 1 mon 30 days|1 mon"],
    ),
    (
        "SELECT format('%s is %I or %L', id, t, at), format('%5s|%-5s|', 'a', true) FROM ev WHERE id = 2",
        &["2 is xay or '2026-05-01 12:30:00+00'|    a|t    |"],
    ),
    ("SELECT at, n FROM given", &["2026-05-01 12:30:00+00|1.50"]),
    ("SELECT every(id > 0), every(id > 1) FROM ev", &["t|f"]),
    ("SELECT regexp_split_to_array('a b  c', '\\s+')", &["{a,b,c}"]),
    ("SELECT id FROM ev ORDER BY id FETCH FIRST 2 ROWS ONLY", &["1", "2"]),
    ("SELECT id FROM ev ORDER BY id OFFSET 1 FETCH NEXT ROW ONLY", &["2"]),
    ("SELECT id FROM ev WHERE id BETWEEN SYMMETRIC 2 AND 1 ORDER BY id", &["1", "2"]),
    ("SELECT id FROM ev WHERE (id, t) IN ((1, 'abc'), (2, 'q'))", &["1"]),
    (
        "SELECT interval 'P1DT2H', interval '1 day 01:02:03.456', interval '1 day, 2:00:00', interval '01:30'",
        &["1 day 02:00:00|1 day 01:02:03.456|1 day 02:00:00|01:30:00"],
    ),
    ("SELECT '1 day 01:02:03.456'::interval, 'P1DT2H'::interval", &["1 day 01:02:03.456|1 day 02:00:00"]),
    ("SELECT trim(leading FROM '  x') || '.', trim(trailing FROM 'x  ') || '.', trim(leading 'x' FROM 'xa')", &["x.|x.|a"]),
    ("SELECT 'abcdef'::character varying(3), 'abcdef'::varchar(2), 'ab'::varchar(5)", &["abc|ab|ab"]),
];

async fn events() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    for sql in [
        "CREATE TABLE fl (a float, b float(53), c real)",
        "INSERT INTO fl VALUES (123456789.123, 123456789.123, 123456789.123)",
        "CREATE TABLE ev (id int8, at timestamptz, local timestamp, d date, x float8, n numeric(10, 2), t varchar(3), arr int4[], bs bytea)",
        r"INSERT INTO ev VALUES
          (1, '2026-05-01 10:34:56.789+00', '2026-05-01 10:34:56.789', '2026-05-01', 2.5, 2.50, 'abc', ARRAY[1, 2, 3], '\xdeadbeef'),
          (2, '2026-05-01 12:30', '2026-05-01T12:30', '2026-05-02', 1.5, -1.50, 'xay', '{1,NULL}', '\x00'),
          (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        "CREATE TABLE given (id int8, at timestamptz DEFAULT '2026-05-01 12:30', n numeric(4, 2) DEFAULT 1.5)",
        "INSERT INTO given (id) VALUES (1)",
    ] {
        assert_eq!(client.query(sql).await.errors, Vec::<String>::new(), "{sql}");
    }
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_answer_as_in_postgres() {
    let (server, mut client) = events().await;
    let mut failures = Vec::new();
    for (sql, rows) in ANSWERS {
        let answer = client.query(sql).await;
        if !answer.errors.is_empty() || client.rows(sql).await != rows {
            failures.push(format!("{sql}: {:?}", answer.errors));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_answer_has_the_code_of_postgres() {
    let (server, mut client) = events().await;
    for (sql, code) in [
        ("SELECT '2026-05-01 zz'::timestamp", "22007"),
        ("SELECT '2026-05-01 25:00'::timestamp", "22008"),
        ("SELECT id FROM ev WHERE at = 'zz'", "22007"),
        ("SELECT at AT TIME ZONE 'nozone' FROM ev", "22023"),
        ("SELECT 1e10::int", "22003"),
        ("SELECT 'nan'::float8::int", "22003"),
        ("SELECT '{1'::int4[]", "22P02"),
        ("SELECT 'zz'::interval", "22007"),
        ("SELECT 1.0::float8 / 0", "22012"),
        ("SELECT x / (x - x) FROM ev", "22012"),
        ("SELECT 1e308::float8 * 10", "22003"),
        ("SELECT ln(0)", "2201E"),
        ("SELECT log(-1)", "2201E"),
        ("SELECT exp(1000)", "22003"),
        ("SELECT sqrt(-1)", "2201F"),
        ("SELECT power(0::float8, -1)", "2201F"),
        // A cast cuts, what is kept is not cut in silence.
        ("INSERT INTO ev (t) VALUES ('abcd')", "22001"),
    ] {
        assert_eq!(client.code(sql).await, code, "{sql}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_keeps_these_meanings() {
    let (server, mut client) = events().await;
    for sql in [
        "CREATE VIEW shown AS SELECT id, at AT TIME ZONE 'Asia/Tokyo' AS there, x::int AS whole, at::text AS written, d + interval '1 hour' AS later FROM ev",
        "CREATE MATERIALIZED VIEW kept AS SELECT frame_no, ts::text AS written, (frame_no / 2.0)::int4 AS whole, ts AT TIME ZONE 'Asia/Tokyo' AS there
         FROM cam",
    ] {
        if sql.contains("cam") {
            let source = "CREATE SOURCE cam FROM 'pattern:' WITH (size = '64x48', fps = 10, frames = 4, start_ts = '2026-05-01 12:00:00+00')";
            assert_eq!(client.query(source).await.errors, Vec::<String>::new());
        }
        assert_eq!(client.query(sql).await.errors, Vec::<String>::new(), "{sql}");
    }
    assert_eq!(
        client.rows("SELECT there, whole, written, later FROM shown WHERE id = 2").await,
        ["2026-05-01 21:30:00|2|2026-05-01 12:30:00+00|2026-05-02 01:00:00",]
    );
    server.stop().await;
}
