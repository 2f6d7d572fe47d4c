//! The first messages of a connection: who wants in, to which database, whether they may, and what the server is.

use std::collections::BTreeMap;

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::PgWireFrontendMessage;
use pgwire::messages::SslNegotiationMetaMessage;
use pgwire::messages::response::{GssEncResponse, SslResponse};
use pgwire::messages::startup::{BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey, Startup};

use super::halves::{Reader, Writer};
use super::scram;
use crate::engine::roles::Roles;
use crate::engine::session::Session;
use crate::error::Error;
use crate::wire::errors::Ended;
use crate::wire::session::cancel::{Registered, Registry};

/// The settings that a client is told at the start and whenever they change, under the names that drivers look for.
const REPORTED: [&str; 13] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// Who wants to be connected, to what, with which settings.
pub(in crate::wire) struct Login {
    /// The user.
    pub(in crate::wire) user: String,
    /// The database: the user's name unless one was asked for.
    pub(in crate::wire) database: String,
    settings: Vec<(String, String)>,
}

/// Reads up to the start message. None if the connection brought a cancel request, or nothing: it is over.
pub(in crate::wire) async fn receive(reader: &mut Reader, writer: &mut Writer, registry: &Registry) -> Result<Option<Login>, Ended> {
    loop {
        match reader.next().await? {
            Some(PgWireFrontendMessage::SslNegotiation(SslNegotiationMetaMessage::PostgresSsl(_))) => {
                writer.put(Message::SslResponse(SslResponse::Refuse))?;
                writer.flush().await?;
            }
            Some(PgWireFrontendMessage::SslNegotiation(SslNegotiationMetaMessage::PostgresGss(_))) => {
                writer.put(Message::GssEncResponse(GssEncResponse::Refuse))?;
                writer.flush().await?;
            }
            Some(PgWireFrontendMessage::CancelRequest(request)) => {
                registry.cancel(&request);
                return Ok(None);
            }
            Some(PgWireFrontendMessage::Startup(startup)) => {
                reader.started();
                return login(startup, writer).map(Some);
            }
            Some(_) => return Err(Ended::Fatal(Error::Protocol("expected a startup message".into()))),
            None => return Ok(None),
        }
    }
}

/// Lets the client in: whoever comes while nobody has a password, by password from then on. Errs with 28P01 or 28000.
pub(in crate::wire) async fn admit(
    login: &Login,
    roles: &Roles,
    reader: &mut Reader,
    writer: &mut Writer,
    clear: bool,
) -> Result<(), Ended> {
    let refuse = |message: String, hint: &str| Err(Ended::Fatal(Error::Login { code: "28000", message, hint: Some(hint.to_owned()) }));
    if clear {
        return refuse("connection is not encrypted".into(), "Connect with sslmode=require.");
    }
    if roles.passwords() {
        scram::check(&login.user, roles, reader, writer).await?;
    } else if roles.find(&login.user).is_some_and(|role| !role.login) {
        return refuse(format!("role \"{}\" is not permitted to log in", login.user), "ALTER ROLE … LOGIN lets it in.");
    }
    reader.let_in();
    Ok(())
}

fn login(startup: Startup, writer: &mut Writer) -> Result<Login, Ended> {
    if startup.protocol_number_major != 3 {
        let (major, minor) = (startup.protocol_number_major, startup.protocol_number_minor);
        return Err(Ended::Fatal(Error::unsupported(
            format!("frontend protocol {major}.{minor}"),
            "Use a client that speaks protocol 3.0.",
        )));
    }
    let (extensions, mut parameters): (BTreeMap<_, _>, BTreeMap<_, _>) =
        startup.parameters.into_iter().partition(|(name, _)| name.starts_with("_pq_."));
    if startup.protocol_number_minor > 0 || !extensions.is_empty() {
        let refused = extensions.into_keys().collect();
        writer.put(Message::NegotiateProtocolVersion(NegotiateProtocolVersion::new(Startup::PROTOCOL_VERSION_3_0, refused)))?;
    }
    let Some(user) = parameters.remove("user").filter(|user| !user.is_empty()) else {
        let message = "no PostgreSQL user name specified in startup packet".to_owned();
        return Err(Ended::Fatal(Error::Data { code: "28000", message, detail: None }));
    };
    let database = parameters.remove("database").filter(|database| !database.is_empty()).unwrap_or_else(|| user.clone());
    if parameters.remove("replication").is_some_and(|value| !matches!(value.as_str(), "false" | "off" | "no" | "0")) {
        return Err(Ended::Fatal(Error::Unsupported { what: "replication".into(), hint: None }));
    }
    let options = parameters.remove("options").unwrap_or_default();
    let mut settings: Vec<_> = options_of(&options);
    settings.extend(parameters);
    // asyncpg quotes the encoding, as Postgres allows in a startup message too.
    settings.iter_mut().filter(|(name, _)| name == "client_encoding").for_each(|(_, value)| *value = value.trim_matches('\'').to_owned());
    Ok(Login { user, database, settings })
}

/// Reads `-c name=value --name=value`, with backslashes before spaces that belong to a value.
fn options_of(options: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(c) = characters.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) => word.extend(characters.next()),
            (c, _) if c.is_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let assignments = words.iter().filter_map(|word| {
        let word = word.strip_prefix("-c").or_else(|| word.strip_prefix("--")).unwrap_or(word);
        word.split_once('=')
    });
    assignments.map(|(name, value)| (name.trim().replace('-', "_"), value.to_owned())).collect()
}

/// Applies what the client asked for, and says what the server is. Errs for a setting that cannot have the value asked for.
pub(in crate::wire) fn welcome(
    login: Login,
    session: &Session,
    registered: &Registered,
    writer: &mut Writer,
    reported: &mut Reported,
) -> Result<(), Ended> {
    for (name, value) in login.settings {
        match session.variables().lock().set(&name, Some(&value)) {
            Ok(()) => {}
            // Drivers send settings of their own (JDBC: extra parameters); Postgres would refuse, a client's user would not know why.
            Err(Error::NotFound { .. }) => tracing::debug!(name, "unknown setting in the startup message"),
            Err(e) => return Err(Ended::Fatal(e)),
        }
    }
    session.variables().lock().connected();
    let max_connections = session.engine().settings().max_connections.to_string();
    let is_superuser = if session.superuser() { "on" } else { "off" };
    for (name, value) in
        [("session_authorization", login.user.as_str()), ("is_superuser", is_superuser), ("max_connections", &max_connections)]
    {
        session.variables().lock().give(name, value)?;
    }
    writer.put_authenticated()?;
    reported.tell(session, writer)?;
    writer.put(Message::BackendKeyData(BackendKeyData::new(registered.pid, SecretKey::I32(registered.secret))))
}

/// The settings as the client last heard of them.
#[derive(Default)]
pub(in crate::wire) struct Reported(BTreeMap<&'static str, String>);

impl Reported {
    /// Tells the client of each setting that has changed since it was last told.
    pub(in crate::wire) fn tell(&mut self, session: &Session, writer: &mut Writer) -> Result<(), Ended> {
        for name in REPORTED {
            let value = match name {
                "in_hot_standby" => "off".to_owned(),
                name => session.variables().lock().show(name)?,
            };
            if self.0.get(name) != Some(&value) {
                writer.put(Message::ParameterStatus(ParameterStatus::new(name.to_owned(), value.clone())))?;
                self.0.insert(name, value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_the_server_of_postgres_reads_them() {
        let read = options_of(r"-c statement_timeout=5s -csearch_path=a\ b --lock-timeout=3");
        let expected = [("statement_timeout", "5s"), ("search_path", "a b"), ("lock_timeout", "3")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
