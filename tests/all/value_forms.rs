//! Every type that clients use, both ways: as text and in its binary form, alone and in arrays, NULL among them.

use framesql::settings::Settings;

use crate::client::{Client, Server, bind, execute, message, parse};

/// The oid of a type and of its array, a value as text, and another.
const TYPES: [(&str, i32, i32, &str, &str); 17] = [
    ("bool", 16, 1000, "t", "f"),
    ("int2", 21, 1005, "-7", "32767"),
    ("int4", 23, 1007, "-70000", "2147483647"),
    ("int8", 20, 1016, "-9223372036854775808", "42"),
    ("float4", 700, 1021, "1.5", "-0.25"),
    ("float8", 701, 1022, "0.1", "1e+300"),
    ("numeric", 1700, 1231, "12345.6789", "-0.5"),
    ("text", 25, 1009, "a \"quoted\", back\\slashed\nline", "é"),
    ("varchar", 1043, 1015, "abc", "NULL"),
    ("bytea", 17, 1001, "\\x00ff", "\\x"),
    ("date", 1082, 1182, "2026-05-01", "1969-12-31"),
    ("time", 1083, 1183, "12:34:56.789", "00:00:00"),
    ("timestamp", 1114, 1115, "2026-05-01 12:34:56.789", "1969-12-31 23:59:59.999999"),
    ("timestamptz", 1184, 1185, "2026-05-01 12:34:56.789+00", "1969-12-31 23:59:59.999999+00"),
    ("uuid", 2950, 2951, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"),
    ("jsonb", 3802, 3807, "{\"a\": [1, \"x, y\"]}", "[]"),
    ("interval", 1186, 1187, "1 mon 2 days 03:04:05.6", "-00:00:01"),
];

/// What `SELECT $1` of a declared type gives.
async fn once(client: &mut Client, oid: i32, (format, value): (i16, Option<&[u8]>), wanted: i16) -> Result<Option<Vec<u8>>, String> {
    let asked = [parse("", "SELECT $1", &[oid]), bind("", "", &[format], &[value], wanted), execute("", 0), message(b'S', b"")];
    client.write(&asked.concat()).await;
    let (mut found, mut failed) = (None, None);
    loop {
        let (kind, body) = client.next().await.expect("the server has closed the connection");
        match kind {
            b'D' => found = (body[2..6] != [255; 4]).then(|| body[6..].to_vec()),
            b'E' => failed = Some(String::from_utf8_lossy(&body).replace('\0', " ")),
            b'Z' => return failed.map_or(Ok(found), Err),
            _ => {}
        }
    }
}

/// Text to the server, binary back, binary to the server, text back.
async fn both_ways(client: &mut Client, oid: i32, value: &str) -> Result<String, String> {
    let binary = once(client, oid, (0, Some(value.as_bytes())), 1).await?.ok_or("NULL came for a value")?;
    let text = once(client, oid, (1, Some(&binary)), 0).await?.ok_or("NULL came for a binary value")?;
    let binary_again = once(client, oid, (0, Some(&text)), 1).await?.ok_or("NULL came for its own text")?;
    if binary != binary_again {
        return Err(format!("{binary:?} is {binary_again:?} by way of its text"));
    }
    Ok(String::from_utf8(text).unwrap())
}

/// A value in an array of text.
fn element(value: &str) -> String {
    let plain = !value.is_empty() && value != "NULL" && !value.contains(|c: char| c.is_whitespace() || "{},\"\\".contains(c));
    if plain { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_and_comes_as_text_and_as_binary() {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    let mut failures = Vec::new();
    for (name, oid, array_oid, one, other) in TYPES {
        for value in [one, other] {
            match both_ways(&mut client, oid, value).await {
                Ok(found) if found == value => {}
                found => failures.push(format!("{name} {value:?}: {found:?}")),
            }
        }
        let array = format!("{{{},NULL,{}}}", element(one), element(other));
        match both_ways(&mut client, array_oid, &array).await {
            Ok(found) if found == array => {}
            found => failures.push(format!("{name}[] {array:?}: {found:?}")),
        }
        for (oid, value) in [(oid, None), (array_oid, Some("{}"))] {
            let found = once(&mut client, oid, (0, value.map(str::as_bytes)), 0).await;
            if found != Ok(value.map(|value| value.as_bytes().to_vec())) {
                failures.push(format!("{name} {value:?}: {found:?}"));
            }
        }
    }
    // Without a cast a uuid is its text to whoever asks for binary; it is read in both forms.
    let (text, bytes) = (
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        [0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11],
    );
    for (format, value) in [(0, text.as_bytes()), (1, bytes.as_slice())] {
        assert_eq!(once(&mut client, 2950, (format, Some(value)), 0).await, Ok(Some(text.as_bytes().to_vec())));
    }
    // The same holds of jsonb, whose binary form begins with its version.
    let json = b"{\"a\": [1, null]}";
    for (format, value) in [(0, json.to_vec()), (1, [b"\x01".as_slice(), json].concat())] {
        assert_eq!(once(&mut client, 3802, (format, Some(&value)), 0).await, Ok(Some(json.to_vec())));
    }
    // Numbers of one array may have been written with different scales.
    assert_eq!(once(&mut client, 1231, (0, Some(b"{1.5,-0.25,3}")), 0).await, Ok(Some(b"{1.5,-0.25,3}".to_vec())));
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    server.stop().await;
}
