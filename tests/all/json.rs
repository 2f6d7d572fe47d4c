//! JSON and uuid over the wire: operators and functions give what PostgreSQL gives for the same text.

use framesql::settings::Settings;

use crate::client::{Client, Server};

/// A statement and its rows; columns are parted by a bar.
const ANSWERS: [(&str, &[&str]); 33] = [
    ("SELECT j->'a', j->>'s', j->'a'->'b'->>1 FROM things WHERE id = 1", &[r#"{"b": [1, 2.50, 3]}|x|2.50"#]),
    ("SELECT j->0, j->>1, j->>2, j->-1, j->9, j->'0' FROM things WHERE id = 2", &["1|x|NULL|null|NULL|NULL"]),
    ("SELECT j#>'{a,b,1}', j#>>'{a,b,-1}', j#>ARRAY['a','c'] FROM things WHERE id = 1", &["2.50|3|NULL"]),
    ("SELECT j ? 's', j ? 'x', j ?| '{q,s}', j ?& ARRAY['a','s'] FROM things ORDER BY id", &["t|f|t|t", "f|t|f|f", "NULL|NULL|NULL|NULL"]),
    ("SELECT j @> '{\"a\":{\"b\":[3]}}', '{\"s\":\"x\"}' <@ j FROM things WHERE id = 1", &["t|t"]),
    ("SELECT id FROM things WHERE j->>'s' = 'x' OR j->>0 = '1' ORDER BY id", &["1", "2"]),
    ("SELECT (j->>0)::int4 + 1 FROM things WHERE id = 2", &["2"]),
    ("SELECT jsonb_typeof(j), jsonb_typeof(j->'s') FROM things ORDER BY id", &["object|string", "array|NULL", "NULL|NULL"]),
    ("SELECT jsonb_array_length(j), json_array_length('[]') FROM things WHERE id = 2", &["3|0"]),
    ("SELECT jsonb_array_elements(j) FROM things WHERE id = 2", &["1", "\"x\"", "null"]),
    ("SELECT id, jsonb_array_elements_text(j) FROM things WHERE id = 2", &["2|1", "2|x", "2|NULL"]),
    ("SELECT t.id, e FROM things t, jsonb_array_elements(t.j) AS e WHERE t.id = 2", &["2|1", "2|\"x\"", "2|null"]),
    ("SELECT value->>'n' FROM jsonb_array_elements('[{\"n\":1},{\"n\":\"two\"}]')", &["1", "two"]),
    (
        "SELECT t.id, e, n FROM things t, jsonb_array_elements(t.j) WITH ORDINALITY AS u (e, n) WHERE t.id = 2",
        &["2|1|1", "2|\"x\"|2", "2|null|3"],
    ),
    ("SELECT * FROM jsonb_each('{\"a\":1,\"b\":null}') WITH ORDINALITY", &["a|1|1", "b|null|2"]),
    ("SELECT j['a']['b'][1], j['s'], pg_typeof(j['s']), j['x']['y'] FROM things WHERE id = 1", &["2.50|\"x\"|jsonb|NULL"]),
    ("SELECT jsonb_object_keys(j) FROM things WHERE id = 1", &["a", "s"]),
    ("SELECT j->>'s', count(*) FROM things GROUP BY j->>'s' ORDER BY 1", &["x|1", "NULL|2"]),
    (
        "SELECT to_jsonb(1.5), to_jsonb('x'::text), to_json(NULL::int4), to_jsonb(j->'s') FROM things WHERE id = 1",
        &["1.5|\"x\"|NULL|\"x\""],
    ),
    (
        "SELECT jsonb_build_object('id', id, 'j', j->'a', 'l', ARRAY[1, 2], 'n', NULL) FROM things WHERE id = 1",
        &[r#"{"j": {"b": [1, 2.50, 3]}, "l": [1, 2], "n": null, "id": 1}"#],
    ),
    ("SELECT json_build_array(1, 'q', NULL, true)", &["[1, \"q\", null, true]"]),
    ("SELECT row_to_json(t) FROM (SELECT id, j->'s' AS s FROM things WHERE id = 1) t", &["{\"id\":1,\"s\":\"x\"}"]),
    (
        "SELECT pg_typeof(j), pg_typeof(u), pg_typeof(tags), pg_typeof(id), pg_typeof(j->>'s') FROM things WHERE id = 1",
        &["jsonb|uuid|uuid[]|bigint|text"],
    ),
    ("SELECT id FROM things WHERE u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", &["1"]),
    ("SELECT id FROM things WHERE u IN ('{a0eebc999c0b4ef8bb6d6bb9bd380a11}')", &["1"]),
    ("SELECT id FROM things WHERE u BETWEEN 'A0EEBC99-9C0B-4EF8-BB6D-000000000000' AND 'FFEEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", &["1"]),
    ("SELECT tags, parts FROM things WHERE id = 1", &[r#"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}|{"{\"a\": 1}",[]}"#]),
    ("SELECT parts[1]->>'a' FROM things WHERE id = 1", &["1"]),
    ("SELECT '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'::uuid[]", &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"]),
    ("SELECT length(gen_random_uuid()::text), gen_random_uuid() = gen_random_uuid()", &["36|f"]),
    ("SELECT u IS NULL, u::text FROM things ORDER BY id LIMIT 2", &["f|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "t|NULL"]),
    // A box is a struct, and jsonb to clients: the same operators read it.
    ("SELECT b->'x', b->>'w', b->'nothing' FROM (SELECT named_struct('x', 1.5, 'w', 2) AS b) t", &["1.5|2|NULL"]),
    ("SELECT l->0->>'x', l->-1->>'x', l->5 FROM (SELECT [named_struct('x', 1), named_struct('x', 2)] AS l) t", &["1|2|NULL"]),
];

async fn things() -> (Server, Client) {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    for sql in [
        "CREATE TABLE things (id int8, j jsonb, u uuid, tags uuid[], parts jsonb[])",
        r#"INSERT INTO things VALUES
           (1, '{"a":{"b":[1,2.50,3]}, "s":"x"}', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', ARRAY['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', NULL],
            ARRAY['{"a": 1}', '[]']),
           (2, '[1,"x",null]', NULL, NULL, NULL), (3, NULL, NULL, NULL, NULL)"#,
    ] {
        assert_eq!(client.query(sql).await.errors, Vec::<String>::new(), "{sql}");
    }
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn json_answers_as_in_postgres() {
    let (server, mut client) = things().await;
    for (sql, rows) in ANSWERS {
        assert_eq!(client.rows(sql).await, rows, "{sql}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_and_no_uuid_is_an_error() {
    let (server, mut client) = things().await;
    for (sql, code) in [
        ("SELECT '{\"a\":1'::jsonb -> 'a'", "22P02"),
        ("SELECT 'a' -> 'b'", "22P02"),
        ("SELECT j #> 'a' FROM things", "22P02"),
        ("SELECT jsonb_array_length(j) FROM things WHERE id = 1", "22023"),
        ("SELECT jsonb_array_elements(j) FROM things WHERE id = 1", "22023"),
        ("SELECT ('{\"a\": 1}'::json)['a']", "42804"),
        ("SELECT jsonb_object_keys(j) FROM things WHERE id = 2", "22023"),
        ("SELECT jsonb_build_object('a')", "22023"),
        ("SELECT jsonb_build_object(NULL::text, 1)", "22023"),
        ("SELECT id FROM things WHERE u = 'zz'", "22P02"),
        ("SELECT '{zz}'::uuid[]", "22P02"),
        ("SELECT 'zz'::uuid[]", "22P02"),
        ("INSERT INTO things (tags) VALUES (ARRAY['zz'])", "22P02"),
        ("INSERT INTO things (parts) VALUES (ARRAY['{'])", "22P02"),
    ] {
        assert_eq!(client.code(sql).await, code, "{sql}");
    }
    assert_eq!(client.rows("SELECT count(*) FROM things").await, ["3"]);
    server.stop().await;
}
