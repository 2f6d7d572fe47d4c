//! The settings of a session: the list of them, what each may be, and the values that one session has.

use std::collections::BTreeMap;

use super::{TimeZone, duration_us};
use crate::error::{Error, Result};

/// One line of the list of settings that SET changes for a session.
#[derive(Debug)]
pub struct SessionSetting {
    /// The name, lower case.
    pub name: &'static str,
    /// The value of a new session.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

/// How long a continuous query remembers a group, or a partition of OVER; also an option of a materialized view.
pub const STATE_TTL: &str = "state_ttl";

/// What SET, SHOW and RESET know. Those that only Postgres clients read are accepted and kept, and change nothing.
pub const SESSION_SETTINGS: &[SessionSetting] = &[
    SessionSetting { name: "application_name", default: "", meaning: "the client's name, shown in pg_stat_activity" },
    SessionSetting { name: "bytea_output", default: "hex", meaning: "bytea is always shown as hex" },
    SessionSetting { name: "check_function_bodies", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "client_encoding", default: "UTF8", meaning: "the only encoding is UTF8" },
    SessionSetting { name: "client_min_messages", default: "notice", meaning: "kept for clients" },
    SessionSetting { name: "datestyle", default: "ISO, MDY", meaning: "dates are always shown in ISO form" },
    SessionSetting { name: "default_transaction_read_only", default: "off", meaning: "whether transactions to come only read" },
    SessionSetting { name: "extra_float_digits", default: "1", meaning: "kept for clients; floats are always shown exactly" },
    SessionSetting { name: "integer_datetimes", default: "on", meaning: "times are 64-bit integers" },
    SessionSetting { name: "intervalstyle", default: "postgres", meaning: "intervals are always shown as in Postgres" },
    SessionSetting { name: "is_superuser", default: "on", meaning: "whether the session's user may do everything" },
    SessionSetting { name: "jit", default: "off", meaning: "kept for clients" },
    SessionSetting { name: "lc_collate", default: "C", meaning: "texts are compared by their bytes" },
    SessionSetting { name: "lc_ctype", default: "C", meaning: "kept for clients" },
    SessionSetting { name: "lock_timeout", default: "0", meaning: "kept for clients" },
    SessionSetting { name: "max_index_keys", default: "32", meaning: "kept for clients" },
    SessionSetting { name: "max_identifier_length", default: "63", meaning: "kept for clients" },
    SessionSetting { name: "search_path", default: "public", meaning: "the only schema of user objects is public" },
    SessionSetting { name: "server_encoding", default: "UTF8", meaning: "the only encoding is UTF8" },
    SessionSetting { name: "server_version", default: "16.4", meaning: "the version of Postgres whose manners framesql has" },
    SessionSetting { name: "server_version_num", default: "160004", meaning: "the same as a number" },
    SessionSetting { name: "session_authorization", default: "framesql", meaning: "who is connected" },
    SessionSetting { name: "standard_conforming_strings", default: "on", meaning: "backslashes in strings are plain characters" },
    SessionSetting {
        name: STATE_TTL,
        default: "0",
        meaning: "how long, in event time, a continuous query remembers a group, or a partition of OVER, that is not touched (a number with a unit; 0 is for ever)",
    },
    SessionSetting {
        name: "statement_timeout",
        default: "0",
        meaning: "a statement that runs longer is cancelled (ms, or a number with a unit; 0 is never)",
    },
    SessionSetting {
        name: "subscribe_as",
        default: "auto",
        meaning: "how a bare SUBSCRIBE answers: copy, rows, or auto (copy in the simple protocol)",
    },
    SessionSetting {
        name: "timezone",
        default: "UTC",
        meaning: "the zone of the session's clocks, by which a timestamptz is shown, read, and cut into hours and days: a name such as Europe/Berlin, hours east of UTC, or the form of POSIX, whose sign is west",
    },
    SessionSetting { name: "transaction_isolation", default: "read committed", meaning: "the higher ones read one snapshot" },
    SessionSetting { name: "transaction_read_only", default: "off", meaning: "whether this transaction only reads" },
    SessionSetting { name: "default_transaction_isolation", default: "read committed", meaning: "that of transactions to come" },
    SessionSetting {
        name: "idle_in_transaction_session_timeout",
        default: "0",
        meaning: "a connection that does nothing in a transaction block for longer ends; milliseconds, or with a unit; 0 is no limit",
    },
    SessionSetting { name: "default_tablespace", default: "", meaning: "kept for clients" },
    SessionSetting { name: "row_security", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "default_table_access_method", default: "heap", meaning: "kept for clients" },
    SessionSetting { name: "default_transaction_deferrable", default: "off", meaning: "kept for clients" },
    SessionSetting { name: "enable_bitmapscan", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "enable_hashjoin", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "enable_indexscan", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "enable_mergejoin", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "enable_nestloop", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "enable_seqscan", default: "on", meaning: "kept for clients" },
    SessionSetting {
        name: "idle_session_timeout",
        default: "0",
        meaning: "a connection that does nothing outside of a transaction block for longer ends; milliseconds, or with a unit; 0 is no limit",
    },
    SessionSetting { name: "lc_messages", default: "C", meaning: "messages are in English" },
    SessionSetting { name: "lc_monetary", default: "C", meaning: "kept for clients" },
    SessionSetting { name: "lc_numeric", default: "C", meaning: "kept for clients" },
    SessionSetting { name: "lc_time", default: "C", meaning: "kept for clients" },
    SessionSetting { name: "maintenance_work_mem", default: "64MB", meaning: "kept for clients" },
    SessionSetting { name: "max_connections", default: "1000", meaning: "connections served at once, as the process was started" },
    SessionSetting { name: "password_encryption", default: "scram-sha-256", meaning: "passwords are kept as SCRAM verifiers only" },
    SessionSetting { name: "role", default: "none", meaning: "the role is always that of who is connected" },
    SessionSetting { name: "ssl", default: "off", meaning: "whether the listener has a certificate" },
    SessionSetting { name: "synchronous_commit", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "work_mem", default: "4MB", meaning: "kept for clients; FRAMESQL_CONNECTION_MEMORY is the limit" },
    SessionSetting { name: "xmloption", default: "content", meaning: "kept for clients" },
];

/// The name of a setting as Postgres shows it: three have capitals.
pub fn shown_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" | "time zone" => "TimeZone",
        "transaction isolation level" => "transaction_isolation",
        other => other,
    }
}

/// The values that one session has.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    set: BTreeMap<&'static str, String>,
    /// What the client asked for when it connected: RESET goes back to it.
    asked: BTreeMap<&'static str, String>,
    /// What the server says of itself and of the connection: no statement changes it.
    given: BTreeMap<&'static str, String>,
    /// Names with a dot are the client's own.
    custom: BTreeMap<String, String>,
    asked_custom: BTreeMap<String, String>,
}

impl Variables {
    /// The value now. Errs for a name that is not in the list, and for one with a dot that was not set.
    pub fn show(&self, name: &str) -> Result<String> {
        if let Some(custom) = custom(name) {
            return self.custom.get(&custom).cloned().ok_or_else(|| unknown(name));
        }
        let setting = find(name)?;
        let value = self.set.get(setting.name).or_else(|| self.given.get(setting.name));
        Ok(value.cloned().unwrap_or_else(|| setting.default.to_owned()))
    }

    /// Sets a value; None goes back to the default. Errs for a name that is not in the list and for a value that cannot be.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        if let Some(name) = custom(name) {
            match value.or(self.asked_custom.get(&name).map(String::as_str)).map(str::to_owned) {
                Some(value) => self.custom.insert(name, value),
                None => self.custom.remove(&name),
            };
            return Ok(());
        }
        let setting = find(name)?;
        let Some(value) = value else {
            match self.asked.get(setting.name) {
                Some(asked) => self.set.insert(setting.name, asked.clone()),
                None => self.set.remove(setting.name),
            };
            return Ok(());
        };
        // What does not change may be said again, as a block's end does.
        if self.show(setting.name)? == value {
            return Ok(());
        }
        let value = check(setting.name, value)?;
        self.set.insert(setting.name, value);
        Ok(())
    }

    /// Says what a setting is here that no statement changes. Errs for a name that is not in the list.
    pub fn give(&mut self, name: &str, value: &str) -> Result<()> {
        self.given.insert(find(name)?.name, value.to_owned());
        Ok(())
    }

    /// The zone by whose clocks times are read and shown.
    pub fn time_zone(&self) -> TimeZone {
        self.set.get("timezone").and_then(|name| TimeZone::read(name)).unwrap_or_default()
    }

    /// What is set now is what RESET goes back to: the client has asked for it as it connected.
    pub fn connected(&mut self) {
        self.asked.clone_from(&self.set);
        self.asked_custom.clone_from(&self.custom);
    }

    /// RESET ALL.
    pub fn clear(&mut self) {
        self.set.clone_from(&self.asked);
        self.custom.clone_from(&self.asked_custom);
    }

    /// Whether the queries of a transaction block see one snapshot.
    pub fn repeatable_read(&self) -> bool {
        self.set.get("transaction_isolation").is_some_and(|level| matches!(level.as_str(), "repeatable read" | "serializable"))
    }

    /// `statement_timeout` in milliseconds; None is no limit.
    pub fn statement_timeout_ms(&self) -> Option<u64> {
        self.timeout_ms("statement_timeout")
    }

    /// The milliseconds that a client may wait with its next statement, in a transaction block or outside of one; None is no limit.
    pub fn idle_timeout_ms(&self, in_transaction: bool) -> Option<u64> {
        self.timeout_ms(if in_transaction { "idle_in_transaction_session_timeout" } else { "idle_session_timeout" })
    }

    fn timeout_ms(&self, name: &str) -> Option<u64> {
        let us = self.set.get(name).and_then(|v| duration_us(v, 1_000))?;
        u64::try_from(us).ok().filter(|us| *us > 0).map(|us| us.div_ceil(1_000))
    }

    /// `state_ttl` in µs; None is for ever.
    pub fn state_ttl_us(&self) -> Option<i64> {
        self.set.get(STATE_TTL).and_then(|v| duration_us(v, 1_000_000)).filter(|us| *us > 0)
    }
}

/// A name of the client's own: one with a dot in it.
fn custom(name: &str) -> Option<String> {
    (name.contains('.') && name != "time.zone").then(|| name.to_lowercase())
}

fn unknown(name: &str) -> Error {
    Error::NotFound { kind: "configuration parameter", name: name.to_owned() }
}

fn find(name: &str) -> Result<&'static SessionSetting> {
    let lower = name.to_lowercase();
    let lower = match lower.as_str() {
        "time zone" | "time.zone" => "timezone",
        "transaction isolation level" => "transaction_isolation",
        other => other,
    };
    SESSION_SETTINGS.iter().find(|s| s.name == lower).ok_or_else(|| unknown(name))
}

/// The value as it is kept. Errs (22023) for one that cannot be, (0A000) for one that Postgres has and framesql has not, (55000) for a setting that does not
/// change.
fn check(name: &str, value: &str) -> Result<String> {
    let bad = |hint: &str| {
        Err(Error::Option { message: format!("invalid value for parameter \"{name}\": \"{value}\""), hint: Some(hint.to_owned()) })
    };
    let only = |kept: &str, other: &[&str]| {
        let lower = value.to_lowercase();
        if lower == kept {
            Ok(kept.to_owned())
        } else if other.contains(&lower.as_str()) {
            Err(Error::unsupported(format!("{} {value}", shown_name(name)), format!("The only one is {kept}.")))
        } else {
            bad(&format!("Available values: {kept}."))
        }
    };
    let one_of = |values: &[&str]| {
        let lower = value.to_lowercase();
        if values.contains(&lower.as_str()) { Ok(lower) } else { bad(&format!("Available values: {}.", values.join(", "))) }
    };
    match name {
        "standard_conforming_strings" if flag(value) == Some(false) => {
            Err(Error::unsupported("standard_conforming_strings off", "A string with backslash escapes is E'…'."))
        }
        _ if is_flag(name) => match flag(value) {
            Some(on) => Ok(if on { "on" } else { "off" }.to_owned()),
            None => {
                let message = format!("parameter \"{name}\" requires a Boolean value");
                Err(Error::Option { message, hint: Some("Available values: on, off.".into()) })
            }
        },
        "transaction_isolation" | "default_transaction_isolation" => one_of(&ISOLATION),
        "client_min_messages" => {
            one_of(&["debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning", "error"])
        }
        "synchronous_commit" if flag(value).is_some() => Ok(if flag(value) == Some(true) { "on" } else { "off" }.to_owned()),
        "synchronous_commit" => one_of(&["on", "off", "local", "remote_write", "remote_apply"]),
        "extra_float_digits" if !value.trim().parse::<i32>().is_ok_and(|n| (-15..=3).contains(&n)) => bad("Give a number from -15 to 3."),
        "work_mem" | "maintenance_work_mem" if !is_memory(value) => bad("Valid units are \"B\", \"kB\", \"MB\", \"GB\" and \"TB\"."),
        "statement_timeout" | "lock_timeout" | "idle_session_timeout" | "idle_in_transaction_session_timeout"
            if duration_us(value, 1_000).is_none() =>
        {
            bad("Valid units are \"us\", \"ms\", \"s\", \"min\", \"h\" and \"d\".")
        }
        STATE_TTL if duration_us(value, 1_000_000).is_none() => bad("Valid units are \"us\", \"ms\", \"s\", \"min\", \"h\" and \"d\"."),
        "client_encoding" if !matches!(value.to_lowercase().as_str(), "utf8" | "utf-8" | "unicode") => bad("The only encoding is UTF8."),
        "client_encoding" => Ok("UTF8".to_owned()),
        "subscribe_as" if !matches!(value, "auto" | "copy" | "rows") => bad("Available values: auto, copy, rows."),
        "timezone" => match TimeZone::kept(value) {
            Some(kept) => Ok(kept),
            None => bad("Give a name such as UTC or Europe/Berlin, or a number of hours east of UTC."),
        },
        "datestyle" => date_style(value).unwrap_or_else(|| bad("Available values: ISO, with MDY, DMY or YMD.")),
        "intervalstyle" => only("postgres", &["postgres_verbose", "sql_standard", "iso_8601"]),
        "bytea_output" => only("hex", &["escape"]),
        "password_encryption" => only("scram-sha-256", &["md5", "on"]),
        "xmloption" => only("content", &["document"]),
        "role" => match value.to_lowercase().as_str() {
            "none" => Ok("none".to_owned()),
            _ => Err(Error::unsupported("SET ROLE", "Connect as that role.")),
        },
        "session_authorization" => Err(Error::unsupported("SET SESSION AUTHORIZATION", "Connect as that role.")),
        fixed if !changes(fixed) => Err(Error::State { message: format!("parameter \"{name}\" cannot be changed"), hint: None }),
        _ => Ok(value.to_owned()),
    }
}

/// The levels of isolation; read uncommitted is as read committed.
const ISOLATION: [&str; 4] = ["serializable", "repeatable read", "read committed", "read uncommitted"];

/// Whether a setting is on or off.
fn is_flag(name: &str) -> bool {
    let others = ["jit", "row_security", "check_function_bodies", "standard_conforming_strings"];
    others.contains(&name)
        || name.starts_with("enable_")
        || name.ends_with("transaction_read_only")
        || name.ends_with("transaction_deferrable")
}

/// What Postgres reads as on or off: the words, their beginnings where they are of one only, and 1 or 0.
fn flag(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "on" | "1" | "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" => Some(true),
        "of" | "off" | "0" | "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// Whether that is an amount of memory: a number, perhaps with a unit.
fn is_memory(value: &str) -> bool {
    let value = value.trim();
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = value.strip_prefix(number).unwrap_or_default();
    matches!(unit, "" | "B" | "kB" | "MB" | "GB" | "TB") && number.trim().parse::<f64>().is_ok_and(|n| n >= 0.0)
}

/// Whether SET changes a setting.
pub fn changes(name: &str) -> bool {
    !matches!(
        name,
        "server_version"
            | "server_version_num"
            | "integer_datetimes"
            | "server_encoding"
            | "max_identifier_length"
            | "max_index_keys"
            | "max_connections"
            | "is_superuser"
            | "session_authorization"
            | "ssl"
            | "lc_collate"
            | "lc_ctype"
    )
}

/// `ISO, DMY`: what dates look like, and the order in which their parts are read, which ISO says by itself. None for a word that is none of Postgres'.
fn date_style(value: &str) -> Option<Result<String>> {
    let mut order = "MDY";
    for word in value.split(',').map(str::trim) {
        match word.to_uppercase().as_str() {
            "ISO" | "DEFAULT" => {}
            "MDY" | "US" | "NONEUROPEAN" | "NONEURO" => order = "MDY",
            "DMY" | "EUROPEAN" | "EURO" => order = "DMY",
            "YMD" => order = "YMD",
            "GERMAN" | "SQL" | "POSTGRES" => {
                return Some(Err(Error::unsupported(format!("DateStyle {word}"), "Dates are shown in ISO form: to_char writes others.")));
            }
            _ => return None,
        }
    }
    Some(Ok(format!("ISO, {order}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_or_refused_by_their_code() {
        let mut variables = Variables::default();
        variables.give("session_authorization", "ann").unwrap();
        let mut set = |name: &str, value: &str| match variables.set(name, Some(value)) {
            Ok(()) => variables.show(name).unwrap(),
            Err(e) => e.sqlstate().to_owned(),
        };
        for (name, value, expected) in [
            ("work_mem", "1GB", "1GB"),
            ("work_mem", "64", "64"),
            ("work_mem", "foo", "22023"),
            ("jit", "FALSE", "off"),
            ("jit", "maybe", "22023"),
            ("default_transaction_read_only", "1", "on"),
            ("default_transaction_isolation", "Repeatable Read", "repeatable read"),
            ("default_transaction_isolation", "repeatable_read", "22023"),
            ("standard_conforming_strings", "off", "0A000"),
            ("extra_float_digits", "3", "3"),
            ("extra_float_digits", "99", "22023"),
            ("lock_timeout", "5s", "5s"),
            ("lock_timeout", "abc", "22023"),
            ("client_min_messages", "WARNING", "warning"),
            ("datestyle", "iso", "ISO, MDY"),
            ("DateStyle", "ISO, dmy", "ISO, DMY"),
            ("datestyle", "German", "0A000"),
            ("datestyle", "none", "22023"),
            ("IntervalStyle", "POSTGRES", "postgres"),
            ("intervalstyle", "iso_8601", "0A000"),
            ("bytea_output", "escape", "0A000"),
            ("password_encryption", "md5", "0A000"),
            ("max_connections", "3", "55000"),
            ("is_superuser", "off", "55000"),
            ("session_authorization", "ann", "ann"),
            ("session_authorization", "bo", "0A000"),
            ("role", "none", "none"),
            ("role", "bo", "0A000"),
            ("App.user", "x", "x"),
            ("nothing", "x", "42704"),
        ] {
            assert_eq!(set(name, value), expected, "{name} = {value}");
        }
        assert_eq!(variables.show("app.USER").unwrap(), "x");
        variables.clear();
        assert_eq!(variables.show("app.user").unwrap_err().sqlstate(), "42704");
        assert_eq!(
            (variables.show("session_authorization").unwrap(), variables.show("datestyle").unwrap()),
            ("ann".into(), "ISO, MDY".into())
        );
    }
}
