//! A Postgres client of a few lines, for what is tested at the listener itself: messages in, messages out, nothing understood that is not asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use framesql::engine::Engine;
use framesql::metrics::Counter;
use framesql::settings::Settings;
use framesql::wire::{Listener, dialect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A listener on a free port of loopback; it ends with `stop`.
pub(crate) struct Server {
    pub(crate) engine: Arc<Engine>,
    pub(crate) address: SocketAddr,
    /// Connections that ended by a panic.
    pub(crate) faults: Arc<Counter>,
    stop: oneshot::Sender<()>,
    serving: JoinSet<framesql::error::Result<()>>,
}

impl Server {
    pub(crate) async fn start(settings: Settings) -> Server {
        let engine = Engine::open_with(settings, Some(dialect())).await.unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let faults = listener.faults();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut serving = JoinSet::new();
        let served = Arc::clone(&engine);
        serving.spawn(listener.serve(served, async move {
            let _ = stopped.await;
        }));
        Server { engine, address, faults, stop, serving }
    }

    pub(crate) async fn client(&self) -> Client {
        self.client_of("framesql").await
    }

    pub(crate) async fn client_of(&self, user: &str) -> Client {
        let mut client = Client::open(self.address).await;
        client.write(&startup(user)).await;
        client.until_ready().await;
        client
    }

    /// Ctrl-C, as psql sends it: on a connection of its own.
    pub(crate) async fn cancel(&self, key: &[u8]) {
        let mut client = Client::open(self.address).await;
        client.write(&[&[0, 0, 0, 16, 4, 210, 22, 46], key].concat()).await;
        assert_eq!(client.next().await, None);
    }

    /// Ends it, and with it the engine: its data directory is free again.
    pub(crate) async fn stop(mut self) {
        self.stop.send(()).unwrap();
        self.serving.join_next().await.unwrap().unwrap().unwrap();
        self.engine.shutdown().await;
    }
}

/// The first message of a client.
pub(crate) fn startup(user: &str) -> Vec<u8> {
    let mut body = 196_608_i32.to_be_bytes().to_vec();
    for text in ["user", user, "database", "framesql"] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut message = (body.len() as i32 + 4).to_be_bytes().to_vec();
    message.extend(body);
    message
}

/// A message with its type and length.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// A Query message.
pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), &[0]].concat())
}

/// A text as the protocol ends it.
pub(crate) fn zero_ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// A Parse message; the oids of types that are declared.
pub(crate) fn parse(name: &str, sql: &str, types: &[i32]) -> Vec<u8> {
    let mut body = [zero_ended(name), zero_ended(sql)].concat();
    body.extend_from_slice(&(types.len() as i16).to_be_bytes());
    types.iter().for_each(|oid| body.extend_from_slice(&oid.to_be_bytes()));
    message(b'P', &body)
}

/// A Bind message: formats of the values, the values, and the format of all columns.
pub(crate) fn bind(portal: &str, statement: &str, formats: &[i16], values: &[Option<&[u8]>], format: i16) -> Vec<u8> {
    let mut body = [zero_ended(portal), zero_ended(statement)].concat();
    for part in [formats.len() as i16].iter().chain(formats) {
        body.extend_from_slice(&part.to_be_bytes());
    }
    body.extend_from_slice(&(values.len() as i16).to_be_bytes());
    for value in values {
        body.extend_from_slice(&value.map_or(-1, |value| value.len() as i32).to_be_bytes());
        body.extend_from_slice(value.unwrap_or_default());
    }
    body.extend_from_slice(&1_i16.to_be_bytes());
    body.extend_from_slice(&format.to_be_bytes());
    message(b'B', &body)
}

/// An Execute message; 0 is no limit.
pub(crate) fn execute(portal: &str, limit: i32) -> Vec<u8> {
    message(b'E', &[zero_ended(portal), limit.to_be_bytes().to_vec()].concat())
}

/// What the server said until it was ready for the next query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Rows of text; NULL is `NULL`.
    pub(crate) rows: Vec<String>,
    pub(crate) tags: Vec<String>,
    /// SQLSTATE and message.
    pub(crate) errors: Vec<String>,
    pub(crate) notices: Vec<String>,
    /// Channel and payload.
    pub(crate) notifications: Vec<String>,
    /// I, T or E.
    pub(crate) status: String,
}

pub(crate) struct Client {
    stream: TcpStream,
    /// The process id and the secret that a cancel request needs.
    pub(crate) key: Vec<u8>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, key: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next message; None when the server has closed.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let kind = self.stream.read_u8().await.ok()?;
        let length = self.stream.read_i32().await.ok()?;
        let mut body = vec![0; usize::try_from(length - 4).unwrap()];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((kind, body))
    }

    pub(crate) async fn query(&mut self, sql: &str) -> Answer {
        self.write(&query(sql)).await;
        self.until_ready().await
    }

    /// The rows of a query that must not fail.
    pub(crate) async fn rows(&mut self, sql: &str) -> Vec<String> {
        let answer = self.query(sql).await;
        assert_eq!(answer.errors, Vec::<String>::new(), "{sql}");
        answer.rows
    }

    /// The SQLSTATE of the error that a statement must give.
    pub(crate) async fn code(&mut self, sql: &str) -> String {
        let answer = self.query(sql).await;
        answer.errors.first().unwrap_or_else(|| panic!("no error: {sql}")).split(' ').next().unwrap_or_default().to_owned()
    }

    /// The SQLSTATE with which the server ends the connection.
    pub(crate) async fn refusal(&mut self) -> String {
        loop {
            match self.next().await {
                Some((b'E', body)) => return field(&body, b'C'),
                Some(_) => {}
                None => panic!("the server has closed the connection without a word"),
            }
        }
    }

    /// Every message up to ReadyForQuery.
    pub(crate) async fn until_ready(&mut self) -> Answer {
        let mut answer = Answer::default();
        loop {
            let (kind, body) = self.next().await.expect("the server has closed the connection");
            match kind {
                b'D' => answer.rows.push(row(&body)),
                b'K' => self.key = body,
                b'C' => answer.tags.push(text(&body)),
                b'E' => answer.errors.push(format!("{} {}", field(&body, b'C'), field(&body, b'M'))),
                b'N' => answer.notices.push(field(&body, b'M')),
                b'A' => answer.notifications.push(format!("{} {}", text(&body[4..]), text(&body[5 + text(&body[4..]).len()..]))),
                b'Z' => {
                    answer.status = char::from(body[0]).to_string();
                    return answer;
                }
                _ => {}
            }
        }
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8(body.iter().copied().take_while(|b| *b != 0).collect()).unwrap()
}

fn field(body: &[u8], wanted: u8) -> String {
    let fields = body.split(|b| *b == 0).filter_map(|field| field.split_first());
    fields.into_iter().find(|(kind, _)| **kind == wanted).map(|(_, rest)| String::from_utf8_lossy(rest).into_owned()).unwrap_or_default()
}

fn row(body: &[u8]) -> String {
    let (mut at, mut values) = (2, Vec::new());
    while at < body.len() {
        let length = i32::from_be_bytes(body[at..at + 4].try_into().unwrap());
        at += 4;
        match usize::try_from(length) {
            Ok(length) => {
                values.push(String::from_utf8(body[at..at + length].to_vec()).unwrap());
                at += length;
            }
            Err(_) => values.push("NULL".to_owned()),
        }
    }
    values.join("|")
}
