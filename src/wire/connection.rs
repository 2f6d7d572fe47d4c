//! One client from its first byte to its last: its messages in order, its session, its place in a transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::PgWireFrontendMessage;
use pgwire::messages::response::{NotificationResponse, ReadyForQuery};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;

use super::catalog::schema;
use super::catalog::setting::Current;
use super::catalog::shared::Shared;
use super::errors::{self, Ended};
use super::session::block::{self, Block};
use super::session::cancel::{Registered, Registry};
use super::session::implicit;
use super::session::notify::{self, Ear};
use super::session::portal::Portal;
use super::session::prepared::Prepared;
use super::session::recent::Recent;
use super::session::transaction::Transaction;
use super::socket::halves::{self, Reader, Writer};
use super::socket::startup::{self, Reported};
use super::socket::tls::Tls;
use super::{extended, position, simple};
use crate::engine::Engine;
use crate::engine::session::Session;
use crate::error::Error;

/// Time that a client has to send its start message.
const STARTUP: Duration = Duration::from_secs(60);

/// Bytes of the longest text that is kept to say where in it an error stands.
const MOST_ASKED_BYTES: usize = 1 << 20;

/// A client that has been let in.
pub(super) struct Connection {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) session: Session,
    pub(super) registered: Registered,
    pub(super) transaction: Transaction,
    pub(super) reported: Reported,
    pub(super) current: Arc<Current>,
    /// Prepared statements by name; the empty name is the unnamed one.
    pub(super) prepared: HashMap<String, Arc<Prepared>>,
    /// What was parsed last, by its text.
    pub(super) recent: Recent,
    /// Portals by name, cursors among them, open until the transaction ends.
    pub(super) portals: HashMap<String, Portal>,
    /// What the transaction block has done so far.
    pub(super) block: Block,
    /// What other connections say on the channels that this one listens to.
    pub(super) ear: Ear,
    /// Whether the client knows that it may send the next statement: only then is it told what others say.
    idle: bool,
    /// After an error of the extended protocol nothing is read until Sync.
    pub(super) skipping: bool,
    /// The text that the message at hand brings, and where in it the statement begins that is answered.
    pub(super) asked: Option<(String, usize)>,
}

/// What all connections of a listener are let in by.
pub(super) struct Gate {
    /// The certificate, if there is one.
    pub(super) tls: Option<Tls>,
    /// Whether others than this machine can reach the listener: then nothing goes without encryption.
    pub(super) exposed: bool,
}

/// Serves a client until it leaves, or `closed` says that the server stops. `full` turns it away.
pub(super) async fn serve(
    engine: Arc<Engine>,
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    registry: Arc<Registry>,
    stream: TcpStream,
    closed: OwnedNotified,
    full: bool,
) {
    let mut closed = std::pin::pin!(closed);
    let opened = tokio::select! {
        opened = tokio::time::timeout(STARTUP, halves::open(stream, gate.tls.as_ref())) => opened,
        () = &mut closed => return,
    };
    let Ok(Ok((mut reader, mut writer, encrypted))) = opened else { return };
    let clear = gate.exposed && !encrypted;
    let starting = start(engine, &shared, &registry, &mut reader, &mut writer, full, clear);
    let started = tokio::select! {
        started = tokio::time::timeout(STARTUP, starting) => started.unwrap_or(Err(Ended::Gone)),
        () = &mut closed => Err(Ended::Fatal(Error::ShuttingDown)),
    };
    let (session, registered, reported, current) = match started {
        Ok(Some(started)) => started,
        Ok(None) | Err(Ended::Gone) => return writer.close().await,
        Err(Ended::Failed(e) | Ended::Fatal(e)) => return goodbye(&mut writer, &e).await,
    };
    if gate.tls.is_some()
        && let Err(error) = session.variables().lock().give("ssl", "on")
    {
        tracing::debug!(%error, "the setting ssl is not there");
    }
    let terminated = registered.terminated();
    let ear = shared.channels.ear(registered.pid);
    let mut connection = Connection {
        reader,
        writer,
        session,
        registered,
        transaction: Transaction::default(),
        reported,
        current,
        prepared: HashMap::new(),
        recent: Recent::default(),
        portals: HashMap::new(),
        block: Block::default(),
        ear,
        idle: true,
        skipping: false,
        asked: None,
    };
    let ended = tokio::select! {
        ended = connection.run() => ended,
        () = terminated => Err(Ended::Fatal(Error::ShuttingDown)),
        () = &mut closed => Err(Ended::Fatal(Error::ShuttingDown)),
    };
    // What it still runs ends before it is told so.
    connection.portals.clear();
    connection.session.roll_back().await;
    match ended {
        Ok(()) | Err(Ended::Gone) => connection.writer.close().await,
        Err(Ended::Failed(e) | Ended::Fatal(e)) => goodbye(&mut connection.writer, &e).await,
    }
}

/// What a client is told that waits too long with its next statement.
fn idle_too_long(in_transaction: bool) -> Error {
    let (code, of) = if in_transaction { ("25P03", "idle-in-transaction") } else { ("57P05", "idle-session") };
    Error::Encode { code, message: format!("terminating connection due to {of} timeout") }
}

async fn goodbye(writer: &mut Writer, error: &Error) {
    // If it has gone in the meantime there is nobody left to tell.
    if writer.put(errors::response("FATAL", error, None)).is_ok() {
        let _ = writer.flush().await;
    }
    writer.close().await;
}

async fn start(
    engine: Arc<Engine>,
    shared: &Arc<Shared>,
    registry: &Arc<Registry>,
    reader: &mut Reader,
    writer: &mut Writer,
    full: bool,
    clear: bool,
) -> Result<Option<(Session, Registered, Reported, Arc<Current>)>, Ended> {
    let Some(login) = startup::receive(reader, writer, registry).await? else { return Ok(None) };
    if full {
        return Err(Ended::Fatal(Error::TooManyClients));
    }
    startup::admit(&login, engine.roles(), reader, writer, clear).await?;
    let limit = engine.roles().find(&login.user).and_then(|role| role.connection_limit);
    if limit.is_some_and(|limit| registry.connected().iter().filter(|one| one.user == login.user).count() >= limit as usize) {
        let message = format!("too many connections for role \"{}\"", login.user);
        return Err(Ended::Fatal(Error::Login { code: "53300", message, hint: None }));
    }
    let session = engine.session(&login.user, &login.database);
    let registered = registry.register(&login.user, &login.database);
    let current = schema::install(shared, registry, &session, &login.user, &login.database, &registered)?;
    let mut reported = Reported::default();
    startup::welcome(login, &session, &registered, writer, &mut reported)?;
    let application_name = session.variables().lock().show("application_name")?;
    registered.waiting(Transaction::default().waiting(), &application_name);
    writer.put(Message::ReadyForQuery(ReadyForQuery::new(Transaction::default().status())))?;
    writer.flush().await?;
    Ok(Some((session, registered, reported, current)))
}

impl Connection {
    async fn run(&mut self) -> Result<(), Ended> {
        loop {
            let in_transaction = self.transaction.open();
            let limit = if self.idle { self.session.variables().lock().idle_timeout_ms(in_transaction) } else { None };
            let message = tokio::select! {
                message = self.reader.next() => message,
                () = tokio::time::sleep(Duration::from_millis(limit.unwrap_or_default())), if limit.is_some() => {
                    return Err(Ended::Fatal(idle_too_long(in_transaction)));
                }
                message = self.ear.next(), if self.idle && !in_transaction => {
                    self.tell(message)?;
                    self.writer.flush().await?;
                    continue;
                }
            };
            self.idle = false;
            let message = match message {
                // A text of bytes that are none ends its statement and nothing more.
                Err(Ended::Failed(e)) => {
                    let simple = self.reader.unreadable() == b'Q';
                    if simple || !self.skipping {
                        self.skipping = !simple;
                        self.asked = None;
                        self.failed(&e).await?;
                    }
                    continue;
                }
                message => message?,
            };
            let Some(message) = message else { return Ok(()) };
            if matches!(message, PgWireFrontendMessage::Terminate(_)) {
                return Ok(());
            }
            match self.answer(message).await {
                Ok(()) => {}
                Err(Ended::Failed(e)) => self.failed(&e).await?,
                Err(ended) => return Err(ended),
            }
        }
    }

    /// Tells the client that its statement has failed.
    async fn failed(&mut self, error: &Error) -> Result<(), Ended> {
        self.writer.forget_tag();
        if self.transaction == Transaction::Implicit {
            self.transaction = Transaction::Idle;
            block::roll_back(self).await?;
        }
        self.transaction.failed();
        let position = self.asked.take().and_then(|(sql, from)| position::of(error, &sql, from));
        self.writer.put(errors::response("ERROR", error, position))?;
        if self.skipping {
            // Seen by the client with the answer to its Sync, or now if it waits for this one.
            self.writer.flush().await
        } else {
            self.ready().await
        }
    }

    async fn answer(&mut self, message: PgWireFrontendMessage) -> Result<(), Ended> {
        self.asked = match &message {
            PgWireFrontendMessage::Query(query) => Some(&query.query),
            PgWireFrontendMessage::Parse(parse) => Some(&parse.query),
            _ => None,
        }
        .filter(|text| text.len() <= MOST_ASKED_BYTES)
        .map(|text| (text.clone(), 0));
        match message {
            PgWireFrontendMessage::Query(query) => {
                self.skipping = false;
                // A simple query ends the unnamed ones, as in Postgres.
                self.prepared.remove("");
                self.portals.remove("");
                self.registered.active(&query.query);
                simple::query(self, &query.query).await?;
                self.ready().await
            }
            PgWireFrontendMessage::Sync(_) => {
                self.skipping = false;
                implicit::commit(self).await?;
                self.ready().await
            }
            PgWireFrontendMessage::Flush(_) => self.writer.flush().await,
            // A client that has not heard yet that its COPY failed.
            PgWireFrontendMessage::CopyData(_) | PgWireFrontendMessage::CopyDone(_) | PgWireFrontendMessage::CopyFail(_) => Ok(()),
            _ if self.skipping => Ok(()),
            message if message.is_extended_query() => {
                // Until the message is answered it counts as failed: the error path needs to know that it must wait for Sync.
                self.skipping = true;
                Box::pin(extended::message(self, message)).await?;
                self.skipping = false;
                Ok(())
            }
            _ => Err(Ended::Fatal(Error::Protocol("unexpected message".into()))),
        }
    }

    /// Says that the next statement may come, and in which state the transaction is.
    async fn ready(&mut self) -> Result<(), Ended> {
        if !self.transaction.open() {
            self.portals.retain(|_, portal| portal.hold);
        }
        self.reported.tell(&self.session, &mut self.writer)?;
        if !self.transaction.open() {
            while let Some(message) = self.ear.waiting() {
                self.tell(message)?;
            }
        }
        self.idle = true;
        let application_name = self.session.variables().lock().show("application_name")?;
        self.registered.waiting(self.transaction.waiting(), &application_name);
        self.writer.put(Message::ReadyForQuery(ReadyForQuery::new(self.transaction.status())))?;
        self.writer.flush().await
    }

    fn tell(&mut self, message: notify::Message) -> Result<(), Ended> {
        let notify::Message { pid, channel, payload } = message;
        self.writer.put(Message::NotificationResponse(NotificationResponse::new(pid, channel, payload)))
    }
}
