//! Results asked for: the listener, and one task a connection; the only room that knows Postgres.

mod answer;
mod catalog;
mod connection;
mod errors;
mod extended;
mod position;
mod query;
mod rows;
mod session;
mod simple;
mod socket;
mod value;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Array;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::engine::relation::{value_json as json, value_text as text};
use crate::engine::session::Dialect;
use crate::error::{Error, Result};
use crate::metrics::Counter;
use crate::settings::TimeZone;
use catalog::schema;
use catalog::shared::Shared;
use connection::Gate;
use session::cancel::Registry;
pub use socket::tls::Tls;

/// Time that the connections have to say goodbye at shutdown.
const GOODBYE: Duration = Duration::from_secs(1);

/// A socket that listens and does not serve yet.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    faults: Arc<Counter>,
}

impl Listener {
    /// Listens; port 0 takes a free one. Errs with 58030 if the port is in use.
    pub async fn bind(listen: SocketAddr) -> Result<Listener> {
        let listener = TcpListener::bind(listen).await.map_err(|e| Error::io(format!("could not listen on {listen}"), e))?;
        Ok(Listener { listener, address: listen, tls: None, faults: Arc::default() })
    }

    /// The same, with encryption for those who ask for it.
    pub fn with_tls(self, tls: Tls) -> Listener {
        Listener { tls: Some(tls), ..self }
    }

    /// Errs (22023) if others than this machine could reach what nothing guards: that takes encryption and passwords.
    pub fn check(&self, engine: &Engine) -> Result<()> {
        let refuse = |lack: &str, hint: &str| {
            let message = format!("cannot listen on {}: it is not a loopback address, and there {lack}", self.address);
            Err(Error::Option { message, hint: Some(hint.to_owned()) })
        };
        if self.address.ip().is_loopback() {
            return Ok(());
        }
        if self.tls.is_none() {
            return refuse("is no certificate", "Give --tls-certificate and --tls-key, or --data for one that is made.");
        }
        if !engine.roles().passwords() {
            return refuse("are no passwords", "On 127.0.0.1 first: CREATE ROLE name SUPERUSER LOGIN PASSWORD '…'.");
        }
        Ok(())
    }

    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|e| Error::io("could not read the address of the listener", e))
    }

    /// Counts the connections that end by a panic: each is a fault of the program.
    pub fn faults(&self) -> Arc<Counter> {
        Arc::clone(&self.faults)
    }

    /// Serves until `shutdown` ends; then every connection is told so and closed before this returns.
    pub async fn serve(self, engine: Arc<Engine>, shutdown: impl Future<Output = ()>) -> Result<()> {
        self.check(&engine)?;
        let gate = Arc::new(Gate { tls: self.tls, exposed: !self.address.ip().is_loopback() });
        let registry = Arc::new(Registry::default());
        let shared = Arc::new(Shared::new()?);
        let closing = Arc::new(Notify::new());
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        let mut announcements = engine.announcements();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                announced = announcements.recv() => match announced {
                    Ok(announced) => shared.channels.announce(announced),
                    Err(lagged) => tracing::warn!(%lagged, "changes of views are not told"),
                },
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(e) = ended {
                        self.faults.add(1);
                        tracing::error!(error = %e, "connection ended by a panic");
                    }
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Err(e) = stream.set_nodelay(true) {
                            tracing::debug!(%peer, error = %e, "no TCP_NODELAY");
                        }
                        // One more is told to come back later (53300).
                        let full = connections.len() >= engine.settings().max_connections;
                        let closed = Arc::clone(&closing).notified_owned();
                        connections.spawn(connection::serve(
                            Arc::clone(&engine), Arc::clone(&shared), Arc::clone(&gate), Arc::clone(&registry), stream, closed, full,
                        ));
                    }
                    Err(e) => {
                        tracing::warn!(error = %e, "could not accept a connection");
                        // Out of file handles, most likely: a pause keeps this from spinning until one is given back.
                        if e.kind() != ErrorKind::ConnectionAborted {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }
                },
            }
        }
        drop(self.listener);
        closing.notify_waiters();
        let goodbyes = async {
            while let Some(ended) = connections.join_next().await {
                self.faults.add(u64::from(ended.is_err()));
            }
        };
        if tokio::time::timeout(GOODBYE, goodbyes).await.is_err() {
            connections.shutdown().await;
        }
        Ok(())
    }
}

/// Listens and serves without encryption until `shutdown` ends.
pub async fn serve(engine: Arc<Engine>, listen: SocketAddr, shutdown: impl Future<Output = ()>) -> Result<()> {
    let listener = Listener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    listener.serve(engine, shutdown).await
}

/// What a session needs to understand the SQL of Postgres clients, for one that no client has: at a restart, in the shell.
pub fn dialect() -> Dialect {
    Arc::new(schema::install_alone)
}

/// Appends the value of a row that is not NULL as the wire writes it, times in that zone. Errs for types that have no text.
pub fn write_text(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    text::write(out, array, row, zone)
}

/// Appends the value of a row as JSON, `null` included, times in that zone. Errs for types that have no text.
pub fn write_json(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    json::write(out, array, row, zone)
}
