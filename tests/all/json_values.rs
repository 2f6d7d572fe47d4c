//! Values of jsonb and json: how they are written, changed and made.

use crate::functions::table;

/// A statement and its rows as PostgreSQL 15 gives them; columns are parted by a bar.
const ANSWERS: &[(&str, &[&str])] = &[
    // jsonb has one text for each value
    (
        r#"SELECT '{"bb":2,"a":1, "a":3}'::jsonb, '[1, 2 ,3]'::jsonb, '[1.0, 1e2, 1.5e3, -0, 100e-1]'::jsonb, '"\u00e9\/\n"'::jsonb"#,
        &[r#"{"a": 3, "bb": 2}|[1, 2, 3]|[1.0, 100, 1500, 0, 10.0]|"é/\n""#],
    ),
    (
        r#"SELECT '{"bb":2,"a":1, "a":3}'::json, pg_typeof('1'::json), pg_typeof('1'::jsonb), pg_typeof(to_json(1)), pg_typeof(to_jsonb(1))"#,
        &[r#"{"bb":2,"a":1, "a":3}|json|jsonb|json|jsonb"#],
    ),
    (r#"SELECT j = '{"b":[1,2,{"c":"x"}],"a":1}', '{"a":1}'::jsonb = '{"a": 1}', count(*) OVER () FROM t WHERE id = 1"#, &["t|t|1"]),
    ("SELECT count(DISTINCT j) FROM t", &["3"]),
    // changed
    (
        r#"SELECT '["a", "b"]'::jsonb || '["a", "d"]', '{"a": "b"}'::jsonb || '{"c": "d", "a": 1}', '[1]'::jsonb || '2', '{"a":1}'::jsonb || '[2]'"#,
        &[r#"["a", "b", "a", "d"]|{"a": 1, "c": "d"}|[1, 2]|[{"a": 1}, 2]"#],
    ),
    (
        r#"SELECT '{"a": "b", "c": "d"}'::jsonb - 'a', '["a", "b"]'::jsonb - 1, '["a", "b"]'::jsonb - 'b', '["a", "b"]'::jsonb - -1, '{"a": 1, "b": 2}'::jsonb - '{a,b}'::text[]"#,
        &[r#"{"c": "d"}|["a"]|["a"]|["a"]|{}"#],
    ),
    (
        r#"SELECT '["a", {"b":1}]'::jsonb #- '{1,b}', '{"a":{"b":1}}'::jsonb #- '{a,b}', '{"a":1}'::jsonb #- '{x,y}'"#,
        &[r#"["a", {}]|{"a": {}}|{"a": 1}"#],
    ),
    (
        r#"SELECT jsonb_set('[{"f1":1,"f2":null},2,null,3]', '{0,f1}', '[2,3,4]', false), jsonb_set('{"a":1}', '{b}', '2'), jsonb_set('{"a":1}', '{b}', '2', false), jsonb_set('[1,2]', '{-1}', '9'), jsonb_set('[1]', '{7}', '9')"#,
        &[r#"[{"f1": [2, 3, 4], "f2": null}, 2, null, 3]|{"a": 1, "b": 2}|{"a": 1}|[1, 9]|[1, 9]"#],
    ),
    (
        r#"SELECT jsonb_insert('{"a": [0,1,2]}', '{a, 1}', '"new"'), jsonb_insert('{"a": [0,1,2]}', '{a, 1}', '"new"', true), jsonb_insert('{"a":1}', '{b}', '2')"#,
        &[r#"{"a": [0, "new", 1, 2]}|{"a": [0, 1, "new", 2]}|{"a": 1, "b": 2}"#],
    ),
    (
        r#"SELECT json_strip_nulls('[{"f1":1, "f2":null}, 2, null, 3]'), jsonb_strip_nulls('{"a":null,"b":{"c":null}}')"#,
        &[r#"[{"f1":1},2,null,3]|{"b": {}}"#],
    ),
    (
        r#"SELECT jsonb_pretty('[{"f1":1,"f2":[]}, {}]')"#,
        &["[\n    {\n        \"f1\": 1,\n        \"f2\": [\n        ]\n    },\n    {\n    }\n]"],
    ),
    // elements
    (r#"SELECT pg_typeof(value), jsonb_agg(value) OVER () FROM jsonb_array_elements('[{"a":2}]'::jsonb)"#, &[r#"jsonb|[{"a": 2}]"#]),
    (
        r#"SELECT value || '{"c":1}', value - 'a', value @> '{"a":2}', jsonb_build_object('v', value) FROM jsonb_array_elements('[{"a":2}]')"#,
        &[r#"{"a": 2, "c": 1}|{}|t|{"v": {"a": 2}}"#],
    ),
    (r#"SELECT count(DISTINCT value) FROM jsonb_array_elements('[{"a":1},{"a": 1},{"b":1,"a":1},{"a":1,"b":1}]')"#, &["2"]),
    (r#"SELECT jsonb_array_elements('[{"b":1,"a":2}]') -> 'a', json_array_elements('[{"b":1,"a":2}]')"#, &[r#"2|{"b":1,"a":2}"#]),
    (
        "SELECT id, pg_typeof(e), jsonb_build_array(e) FROM t, jsonb_array_elements(j -> 'b') AS e WHERE id = 1",
        &["1|jsonb|[1]", "1|jsonb|[2]", r#"1|jsonb|[{"c": "x"}]"#],
    ),
    (r#"SELECT * FROM jsonb_each('{"b":1,"a":0,"b":3}')"#, &["a|0", "b|3"]),
    (
        r#"SELECT jsonb_object_keys('{"b":1,"a":0}'), jsonb_extract_path('{"a":{"z":1,"y":2}}', 'a')"#,
        &[r#"a|{"y": 2, "z": 1}"#, r#"b|{"y": 2, "z": 1}"#],
    ),
    ("SELECT 0.1 + 0.2 = 0.3, 1.1 * 3 = 3.3, 1 = 1.0, 2.5 > 2.49", &["t|t|t|t"]),
    // beside texts
    (r#"SELECT count(*) FROM (SELECT '{"a":2}'::jsonb AS j UNION SELECT '{"a": 2}' UNION SELECT '{"b":1,"a":2}') q"#, &["2"]),
    ("SELECT CASE WHEN id = 1 THEN '[1,2]' ELSE j END FROM t WHERE id = 1", &["[1, 2]"]),
    (
        "SELECT coalesce(NULL::jsonb, '[1,2]'), coalesce(NULL::uuid, 'A0EEBC999C0B4EF8BB6D6BB9BD380A11')",
        &["[1, 2]|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    ),
    // members
    (r#"SELECT * FROM jsonb_each('{"a":"foo", "b":1}')"#, &[r#"a|"foo""#, "b|1"]),
    (r#"SELECT key, value FROM json_each_text('{"a":"foo", "b":null}') ORDER BY key"#, &["a|foo", "b|NULL"]),
    ("SELECT id, e.key, e.value FROM t, jsonb_each(j) e WHERE id = 1 ORDER BY 2", &["1|a|1", r#"1|b|[1, 2, {"c": "x"}]"#]),
    (
        r#"SELECT json_extract_path('{"f2":{"f3":1},"f4":{"f5":99,"f6":"foo"}}', 'f4', 'f6'), jsonb_extract_path_text('{"f4":{"f6":"foo"}}', 'f4', 'f6')"#,
        &[r#""foo"|foo"#],
    ),
    // made of values
    (
        "SELECT json_build_object('a', ARRAY[1,2], 'b', NULL, 'c', at, 'd', dt, 'e', x, 'f', true) FROM t WHERE id = 1",
        &[r#"{"a" : [1,2], "b" : null, "c" : "2026-05-01T10:34:56.789+00:00", "d" : "2026-05-01", "e" : 1.5, "f" : true}"#],
    ),
    (
        "SELECT row_to_json(q), to_jsonb(q) FROM (SELECT id, k, x, at FROM t WHERE id = 1) q",
        &[
            r#"{"id":1,"k":"a","x":1.5,"at":"2026-05-01T10:34:56.789+00:00"}|{"k": "a", "x": 1.5, "at": "2026-05-01T10:34:56.789+00:00", "id": 1}"#,
        ],
    ),
    (
        r#"SELECT jsonb_build_object('foo', 1, 'x', '{"b":[1,2]}'::jsonb, 'y', '{"z" : 1}'::json), json_build_array(1, 'q', NULL, '{"a": 1}'::jsonb)"#,
        &[r#"{"x": {"b": [1, 2]}, "y": {"z": 1}, "foo": 1}|[1, "q", null, {"a": 1}]"#],
    ),
    (
        r#"SELECT to_jsonb(row(42, 'x')), row_to_json(row(1, 'foo')), to_json('Fred said "Hi."'::text), array_to_json(ARRAY['a', NULL])"#,
        &[r#"{"f1": 42, "f2": "x"}|{"f1":1,"f2":"foo"}|"Fred said \"Hi.\""|["a",null]"#],
    ),
    (
        r#"SELECT json_agg(DISTINCT j), jsonb_agg(DISTINCT j), jsonb_agg(DISTINCT j ->> 'b') FROM (SELECT '{"b":"x y"}'::jsonb AS j FROM t) q"#,
        &[r#"[{"b": "x y"}]|[{"b": "x y"}]|["x y"]"#],
    ),
    (r#"SELECT '{"a":"\ud83d\ude00"}'::json ->> 'a', '{"a":"\u0041"}'::jsonb ->> 'a'"#, &["😀|A"]),
    // JSON in a call stays JSON, wherever it comes from
    (
        r#"SELECT json_build_object('a', coalesce(j, '{}'::jsonb)), jsonb_build_array(CASE WHEN id > 2 THEN j ELSE '[]' END), to_json(nullif(j, '1')) FROM t WHERE id > 2 ORDER BY id"#,
        &[r#"{"a" : "s"}|["s"]|"s""#, r#"{"a" : {}}|[null]|NULL"#],
    ),
    (
        r#"SELECT json_build_object('a', (SELECT json_agg(id) FROM t WHERE id < 3)), jsonb_agg(coalesce(j -> 'b', 'null')), json_build_object('n', coalesce(json_agg(id), '[]'::json)) FROM t WHERE id = 1"#,
        &[r#"{"a" : [1, 2]}|[[1, 2, {"c": "x"}]]|{"n" : [1]}"#],
    ),
    (
        "SELECT pg_typeof(coalesce('{}'::jsonb, '[]')), pg_typeof((SELECT '{}'::jsonb)), pg_typeof((SELECT json_agg(id) FROM t)), pg_typeof(CASE WHEN true THEN '1'::json END)",
        &["jsonb|jsonb|json|json"],
    ),
];

/// A statement and the code of its error.
const ERRORS: &[(&str, &str)] = &[
    ("SELECT '{}'::jsonb UNION ALL SELECT 'nojson'", "22P02"),
    ("SELECT coalesce(NULL::uuid, 'nouuid')", "22P02"),
    ("SELECT CASE WHEN id = 1 THEN 'nojson' ELSE j END FROM t", "22P02"),
    (r#"SELECT '"\ud800"'::jsonb"#, "22P02"),
    (r#"SELECT '"\u0000"'::jsonb"#, "22P05"),
    (r#"SELECT '"\u0000"'::json #>> '{}'"#, "22P05"),
    (r#"SELECT '{"a":"\u0000"}'::json ->> 'a'"#, "22P05"),
    (r#"SELECT '{"a":"\ud800"}'::json ->> 'a'"#, "22P02"),
    ("SELECT '1'::jsonb - 'a'", "22023"),
    (r#"SELECT '{"a":1}'::jsonb - 1"#, "22023"),
    ("SELECT jsonb_set('1', '{a}', '2')", "22023"),
    ("SELECT jsonb_set('[1]', '{a}', '2')", "22P02"),
    (r#"SELECT jsonb_insert('{"a":1}', '{a}', '2')"#, "22023"),
];

#[tokio::test(flavor = "multi_thread")]
async fn json_is_written_as_in_postgres() {
    let (server, mut client) = table().await;
    for (sql, rows) in ANSWERS {
        assert_eq!(client.rows(sql).await, *rows, "{sql}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_with_json_is_an_error() {
    let (server, mut client) = table().await;
    for (sql, code) in ERRORS {
        assert_eq!(client.code(sql).await, *code, "{sql}");
    }
    server.stop().await;
}
