//! Bytes that are no protocol, at the listener: sessions that real clients sent (bytes/), and others, changed by a seeded hand, must not end the server, hang it, or leave anything behind.
//!
//! `BYTES_ROUNDS=1000000 cargo test --test all bytes` goes on for an hour; `BYTES_SEED` begins elsewhere. A round that fails is printed with its seed.
//! `BYTES_CONNECTIONS=10000 cargo test --test all dropped` opens and drops so many: it fails if they leave memory behind.

use std::time::Duration;

use fastrand::Rng;
use framesql::settings::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, Server, bind, execute, message, parse, query, startup, zero_ended as text};

/// Sessions in a run of the test: about 20 seconds of a small machine.
const ROUNDS: u64 = 1500;
/// A session that has not ended so long after its last byte hangs.
const LIMIT: Duration = Duration::from_secs(30);
/// Connections that are opened and dropped at each step of their lives.
const DROPPED: u64 = 400;
/// What the memory of the process may differ by between some hundred connections and thousands.
const GROWN_BYTES: usize = 32 << 20;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What clients have sent, as bytes/README.md says.
const RECORDED: [&[u8]; 4] = [
    include_bytes!("bytes/psql.bin"),
    include_bytes!("bytes/psycopg.bin"),
    include_bytes!("bytes/asyncpg.bin"),
    include_bytes!("bytes/nodepg.bin"),
];

/// The messages of a recorded session behind the first, which has no kind before its length.
fn messages(recorded: &[u8]) -> Vec<Vec<u8>> {
    let length = |from: usize| u32::from_be_bytes(recorded[from..from + 4].try_into().unwrap()) as usize;
    // Most ask for encryption before.
    let asks = recorded[4..8] == [4, 210, 22, 47];
    let (mut messages, mut at) = (Vec::new(), if asks { 8 + length(8) } else { length(0) });
    while at < recorded.len() {
        let end = at + 1 + length(at + 1);
        messages.push(recorded[at..end].to_vec());
        at = end;
    }
    messages
}

/// What clients send: each session is the messages behind the first.
fn sessions() -> Vec<Vec<Vec<u8>>> {
    RECORDED.into_iter().map(messages).chain(written()).collect()
}

/// What those do not send.
fn written() -> Vec<Vec<Vec<u8>>> {
    let describe = |kind: u8, name: &str| message(b'D', &[vec![kind], text(name)].concat());
    let close = |kind: u8, name: &str| message(b'C', &[vec![kind], text(name)].concat());
    let (sync, end) = (message(b'S', b""), message(b'X', b""));
    vec![
        vec![
            query("SELECT 1, 'a', NULL; SELECT * FROM t ORDER BY id"),
            query("BEGIN; INSERT INTO t VALUES (9, 'x'); ROLLBACK"),
            end.clone(),
        ],
        vec![
            parse("s", "SELECT id, name FROM t WHERE id = $1 OR name = $2", &[23, 0]),
            describe(b'S', "s"),
            bind("p", "s", &[1, 0], &[Some(&[0, 0, 0, 1]), Some(b"two")], 1),
            describe(b'P', "p"),
            execute("p", 1),
            execute("p", 0),
            close(b'S', "s"),
            message(b'H', b""),
            sync.clone(),
            end.clone(),
        ],
        vec![
            parse("", "SELECT $1::timestamptz, $2::numeric, $3::int4[], $4::bytea, $5::uuid, $6::interval", &[]),
            bind(
                "",
                "",
                &[0],
                &[
                    Some(b"2026-05-01 12:00:00+00"),
                    Some(b"12.5"),
                    Some(b"{1,2}"),
                    Some(b"\\x00ff"),
                    Some(b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                    Some(b"1 day"),
                ],
                1,
            ),
            describe(b'P', ""),
            execute("", 0),
            sync.clone(),
        ],
        vec![
            parse("", "SELECT $1::int8[], $2::float8, $3::timestamptz", &[1016, 701, 1184]),
            bind(
                "",
                "",
                &[1],
                &[
                    Some(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7]),
                    Some(&1.5_f64.to_be_bytes()),
                    Some(&0_i64.to_be_bytes()),
                ],
                1,
            ),
            execute("", 0),
            sync.clone(),
        ],
        vec![
            query("COPY scratch FROM STDIN"),
            message(b'd', b"1\tone\n2\t\\N\n"),
            message(b'd', b"3\tth"),
            message(b'd', b"ree\n"),
            message(b'c', b""),
            query("COPY scratch FROM STDIN WITH (FORMAT csv)"),
            message(b'f', &text("no more")),
            query("COPY t TO STDOUT"),
            end.clone(),
        ],
        vec![
            query("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t; FETCH 1 FROM c; MOVE 1 FROM c; CLOSE c; DISCARD ALL"),
            query("PREPARE p AS SELECT $1::int4; EXECUTE p(1); DEALLOCATE p; LISTEN a; NOTIFY a, 'x'"),
            query("SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relname = 't'"),
            message(b'F', &[0; 12]),
            sync,
            end,
        ],
    ]
}

/// One session, changed: some bytes are others, some are gone, some come twice, some messages stand elsewhere, and it may end in the middle.
fn changed(rng: &mut Rng, sessions: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut messages = vec![startup(["framesql", "nobody", ""][rng.usize(..3)])];
    messages.extend(sessions[rng.usize(..sessions.len())].iter().cloned());
    if rng.u8(..4) == 0 {
        let other = &sessions[rng.usize(..sessions.len())];
        messages.insert(rng.usize(..=messages.len()), other[rng.usize(..other.len())].clone());
    }
    if rng.u8(..4) == 0 {
        let (a, b) = (rng.usize(..messages.len()), rng.usize(..messages.len()));
        messages.swap(a, b);
    }
    if rng.u8(..8) == 0 {
        // A request for encryption, for GSS, to cancel with a secret that is none, and for another protocol.
        let first: [&[u8]; 4] = [
            &[0, 0, 0, 8, 4, 210, 22, 47],
            &[0, 0, 0, 8, 4, 210, 22, 48],
            &[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2],
            &[0, 0, 0, 8, 0, 2, 0, 0],
        ];
        messages.insert(0, first[rng.usize(..first.len())].to_vec());
    }
    let mut bytes = messages.concat();
    for _ in 0..rng.usize(..4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.usize(..bytes.len());
        let n = rng.usize(1..9).min(bytes.len() - at);
        match rng.u8(..6) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = rng.u8(..),
            2 => drop(bytes.drain(at..at + n)),
            3 => {
                let part = bytes[at..at + n].to_vec();
                bytes.splice(at..at, part);
            }
            4 => drop(bytes.splice(at..at, (0..n).map(|_| rng.u8(..)).collect::<Vec<_>>())),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Sends the bytes and reads until the server has closed.
async fn send(server: &Server, bytes: &[u8]) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut read = Vec::new();
    // The server may close before it has all: then the rest cannot be written, and there may be nothing to read any more.
    if stream.write_all(bytes).await.is_ok() && stream.shutdown().await.is_ok() {
        let _ = stream.read_to_end(&mut read).await;
    }
}

async fn server() -> Server {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.rows("CREATE TABLE t (id int4 PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'one'), (2, 'two')").await;
    client.rows("CREATE TABLE scratch (id int4, name text)").await;
    server
}

/// Waits until only one connection is there: the others have ended, whatever they were doing.
async fn alone(client: &mut Client) {
    let alone = async { while client.rows("SELECT count(*) FROM pg_stat_activity").await != ["1"] {} };
    tokio::time::timeout(LIMIT, alone).await.expect("connections stay behind");
}

#[test]
fn a_recorded_session_is_whole_messages_up_to_its_end() {
    for recorded in RECORDED {
        let messages = messages(recorded);
        assert!(messages.len() > 10 && messages.last().unwrap()[..] == message(b'X', b"")[..], "{} messages", messages.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_end_the_server_or_hang_it() {
    let (server, sessions) = (server().await, sessions());
    let (first, rounds) = (number("BYTES_SEED", 1), number("BYTES_ROUNDS", ROUNDS));
    for seed in first..first + rounds {
        let bytes = changed(&mut Rng::with_seed(seed), &sessions);
        let sent = tokio::time::timeout(LIMIT, send(&server, &bytes)).await;
        assert!(sent.is_ok(), "the session of seed {seed} hangs");
        assert_eq!(server.faults.get(), 0, "the session of seed {seed}, or one just before, ended by a panic");
    }
    let mut client = server.client().await;
    alone(&mut client).await;
    assert_eq!(client.rows("SELECT 1").await, ["1"]);
    tokio::time::timeout(LIMIT, server.engine.threads().idle()).await.expect("threads stay behind");
    drop(client);
    let faults = std::sync::Arc::clone(&server.faults);
    server.stop().await;
    assert_eq!(faults.get(), 0);
}

/// The memory that the process has now, as Linux tells it; asked for by hand only.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("BYTES_CONNECTIONS needs Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the process has memory");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).expect("a number of kB") << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_dropped_leave_nothing_behind() {
    let server = server().await;
    let mut client = server.client().await;
    let steps: [Vec<u8>; 5] = [
        Vec::new(),
        startup("framesql")[..9].to_vec(),
        startup("framesql"),
        [startup("framesql"), query("BEGIN; INSERT INTO t VALUES (7, 'seven'); LISTEN x")].concat(),
        [startup("framesql"), query("SELECT count(*) FROM generate_series(1, 1000) AS a(i), generate_series(1, 10000000000) AS b(j)")]
            .concat(),
    ];
    let n_dropped = number("BYTES_CONNECTIONS", DROPPED) as usize;
    // The first hundreds fill what is kept for good: names, functions, threads.
    let mut before = None;
    for at in 0..n_dropped {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&steps[at % steps.len()]).await.unwrap();
        // No more at once than are let in.
        if at % 100 == 99 {
            drop(stream);
            alone(&mut client).await;
        }
        if at + 1 == DROPPED as usize && n_dropped > at + 1 {
            before = Some(resident_bytes());
        }
    }
    alone(&mut client).await;
    if let Some(before) = before {
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < GROWN_BYTES, "{grown} bytes stay behind beside the {before} of some hundred connections");
    }
    assert_eq!(client.rows("SELECT count(*) FROM t").await, ["2"]);
    assert_eq!(client.rows("INSERT INTO t VALUES (7, 'free') RETURNING id + 1 AS next, name").await, ["8|free"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_refused_again_and_again() {
    let server = server().await;
    let mut admin = server.client().await;
    admin.rows("CREATE ROLE admin SUPERUSER LOGIN PASSWORD 'right'").await;
    for seed in 0..50 {
        let mut rng = Rng::with_seed(seed);
        let mut client = Client::open(server.address).await;
        client.write(&startup(["admin", "nobody"][rng.usize(..2)])).await;
        assert_eq!(client.next().await.map(|(kind, _)| kind), Some(b'R'));
        let n = rng.usize(..60);
        let first = match rng.u8(..3) {
            0 => (0..n).map(|_| rng.u8(..)).collect(),
            1 => [text("SCRAM-SHA-256"), vec![0, 0, 0, 32], b"n,,n=,r=fyko+d2lbbFgONRv9qkxdawL".to_vec()].concat(),
            _ => [text("SCRAM-SHA-256-PLUS"), vec![255; 4], b"p=x".to_vec()].concat(),
        };
        client.write(&message(b'p', &first)).await;
        let mut last = None;
        while let Some((kind, body)) = client.next().await {
            last = Some(kind);
            if kind == b'R' {
                assert!(body[3] != 0, "let in without a password");
                client.write(&message(b'p', b"c=biws,r=wrong,p=d3Jvbmc=")).await;
            }
        }
        assert_eq!(last, Some(b'E'), "seed {seed}");
    }
    assert_eq!(server.faults.get(), 0);
    server.stop().await;
}
