//! Every setting: name, default, unit and meaning; docs/settings.md is generated from the two lists below.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// What the process was started with: command line first, then environment, then these defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the catalogue lives; None keeps everything in memory.
    pub data: Option<PathBuf>,
    /// The directories that `file://` may name; empty means no fence (an in-process engine reads what its user may).
    pub files: Vec<PathBuf>,
    /// Rows in a batch that carries no pixels.
    pub batch_rows: usize,
    /// Frames in a batch that carries pixels.
    pub batch_frames: usize,
    /// Bytes of results kept by the cache of model results.
    pub model_cache_bytes: usize,
    /// Inferences that run at once.
    pub inference_threads: usize,
    /// Frames that a reader of a live source may lag behind before frames are shed for it.
    pub live_queue_frames: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data: None,
            files: Vec::new(),
            batch_rows: 1024,
            batch_frames: 8,
            model_cache_bytes: 64 << 20,
            inference_threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            live_queue_frames: 32,
        }
    }
}

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

/// How long a query that updates its answer remembers a group; also an option of a materialized view.
pub const STATE_TTL: &str = "state_ttl";

/// What SET, SHOW and RESET know. Those that only Postgres clients read are accepted and kept, and change nothing.
pub const SESSION_SETTINGS: &[SessionSetting] = &[
    SessionSetting { name: "application_name", default: "", meaning: "the client's name, shown in pg_stat_activity" },
    SessionSetting { name: "bytea_output", default: "hex", meaning: "kept for clients; bytea is always shown as hex" },
    SessionSetting { name: "client_encoding", default: "UTF8", meaning: "the only encoding is UTF8" },
    SessionSetting { name: "client_min_messages", default: "notice", meaning: "kept for clients" },
    SessionSetting { name: "datestyle", default: "ISO, MDY", meaning: "dates are always shown in ISO form" },
    SessionSetting { name: "default_transaction_read_only", default: "off", meaning: "kept for clients" },
    SessionSetting { name: "extra_float_digits", default: "1", meaning: "kept for clients; floats are always shown exactly" },
    SessionSetting { name: "integer_datetimes", default: "on", meaning: "times are 64-bit integers" },
    SessionSetting { name: "intervalstyle", default: "postgres", meaning: "kept for clients" },
    SessionSetting { name: "is_superuser", default: "on", meaning: "kept for clients" },
    SessionSetting { name: "jit", default: "off", meaning: "kept for clients" },
    SessionSetting { name: "lock_timeout", default: "0", meaning: "kept for clients" },
    SessionSetting { name: "max_identifier_length", default: "63", meaning: "kept for clients" },
    SessionSetting { name: "search_path", default: "public", meaning: "the only schema of user objects is public" },
    SessionSetting { name: "server_encoding", default: "UTF8", meaning: "the only encoding is UTF8" },
    SessionSetting { name: "server_version", default: "16.4", meaning: "the version of Postgres whose manners framesql has" },
    SessionSetting { name: "server_version_num", default: "160004", meaning: "the same as a number" },
    SessionSetting { name: "session_authorization", default: "framesql", meaning: "kept for clients" },
    SessionSetting { name: "standard_conforming_strings", default: "on", meaning: "backslashes in strings are plain characters" },
    SessionSetting {
        name: STATE_TTL,
        default: "0",
        meaning: "how long, in event time, an updating query remembers a group that is not touched (a number with a unit; 0 is for ever)",
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
    SessionSetting { name: "timezone", default: "UTC", meaning: "times are always shown in UTC" },
    SessionSetting { name: "transaction_isolation", default: "read committed", meaning: "kept for clients" },
    SessionSetting { name: "transaction_read_only", default: "off", meaning: "kept for clients" },
    SessionSetting { name: "default_transaction_isolation", default: "read committed", meaning: "kept for clients" },
    SessionSetting { name: "idle_in_transaction_session_timeout", default: "0", meaning: "kept for clients" },
    SessionSetting { name: "row_security", default: "on", meaning: "kept for clients" },
];

/// The values that one session has set.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<&'static str, String>);

impl Variables {
    /// The value now. Errs for a name that is not in the list.
    pub fn show(&self, name: &str) -> Result<String> {
        let setting = find(name)?;
        Ok(self.0.get(setting.name).cloned().unwrap_or_else(|| setting.default.to_owned()))
    }

    /// Sets a value; None goes back to the default. Errs for a name that is not in the list and for a value that cannot be.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let setting = find(name)?;
        let Some(value) = value else {
            self.0.remove(setting.name);
            return Ok(());
        };
        check(setting.name, value)?;
        self.0.insert(setting.name, value.to_owned());
        Ok(())
    }

    /// RESET ALL.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// `statement_timeout` in milliseconds; None is no limit.
    pub fn statement_timeout_ms(&self) -> Option<u64> {
        let us = self.0.get("statement_timeout").and_then(|v| duration_us(v, 1_000))?;
        u64::try_from(us).ok().filter(|us| *us > 0).map(|us| us.div_ceil(1_000))
    }
}

impl Variables {
    /// `state_ttl` in µs; None is for ever.
    pub fn state_ttl_us(&self) -> Option<i64> {
        self.0.get(STATE_TTL).and_then(|v| duration_us(v, 1_000_000)).filter(|us| *us > 0)
    }
}

fn find(name: &str) -> Result<&'static SessionSetting> {
    let lower = name.to_lowercase();
    let lower = match lower.as_str() {
        "time zone" | "time.zone" => "timezone",
        "transaction isolation level" => "transaction_isolation",
        other => other,
    };
    SESSION_SETTINGS
        .iter()
        .find(|s| s.name == lower)
        .ok_or_else(|| Error::NotFound { kind: "configuration parameter", name: name.to_owned() })
}

fn check(name: &str, value: &str) -> Result<()> {
    let bad = |hint: &str| {
        Err(Error::Option { message: format!("invalid value for parameter \"{name}\": \"{value}\""), hint: Some(hint.to_owned()) })
    };
    match name {
        "statement_timeout" if duration_us(value, 1_000).is_none() => {
            bad("Valid units are \"us\", \"ms\", \"s\", \"min\", \"h\" and \"d\".")
        }
        STATE_TTL if duration_us(value, 1_000_000).is_none() => bad("Valid units are \"us\", \"ms\", \"s\", \"min\", \"h\" and \"d\"."),
        "client_encoding" if !matches!(value.to_lowercase().as_str(), "utf8" | "utf-8" | "unicode") => bad("The only encoding is UTF8."),
        "subscribe_as" if !matches!(value, "auto" | "copy" | "rows") => bad("Available values: auto, copy, rows."),
        "timezone" if !matches!(value.to_uppercase().as_str(), "UTC" | "GMT" | "ETC/UTC" | "DEFAULT" | "LOCAL") => {
            bad("Times are shown in UTC only; use AT TIME ZONE in the query.")
        }
        "server_version" | "server_version_num" | "integer_datetimes" | "server_encoding" | "max_identifier_length" => {
            Err(Error::State { message: format!("parameter \"{name}\" cannot be changed"), hint: None })
        }
        _ => Ok(()),
    }
}

/// Reads `500 ms`, `5s`, `7 d`, `1 hour`, or a bare number in `unit_us` microseconds. None if it is none of these or negative.
pub fn duration_us(text: &str, unit_us: i64) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text.get(..digits)?.parse().ok()?;
    let unit = match text.get(digits..)?.trim().to_lowercase().as_str() {
        "" => unit_us,
        "us" | "microsecond" | "microseconds" => 1,
        "ms" | "millisecond" | "milliseconds" => 1_000,
        "s" | "sec" | "second" | "seconds" => 1_000_000,
        "min" | "m" | "minute" | "minutes" => 60_000_000,
        "h" | "hour" | "hours" => 3_600_000_000,
        "d" | "day" | "days" => 86_400_000_000,
        _ => return None,
    };
    let us = number * unit as f64;
    (us < 9.0e18).then_some(us.round() as i64)
}

/// The page docs/settings.md.
pub fn reference() -> String {
    let mut page = String::from(
        "# Settings of a session\n\nGenerated from `src/settings.rs`; `SET name = value` changes one, `SHOW name` reads it, `RESET name` restores the default.\n\n| name | default | meaning |\n|---|---|---|\n",
    );
    for s in SESSION_SETTINGS {
        page.push_str(&format!("| {} | `{}` | {} |\n", s.name, s.default, s.meaning));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_or_takes_the_one_of_its_setting() {
        assert_eq!(duration_us("500 ms", 1), Some(500_000));
        assert_eq!(duration_us("7 d", 1), Some(7 * 86_400_000_000));
        assert_eq!(duration_us("1.5s", 1), Some(1_500_000));
        assert_eq!(duration_us("250", 1_000), Some(250_000));
        assert_eq!(duration_us("5 fortnights", 1), None);
        assert_eq!(duration_us("", 1), None);
    }
}
