//! Every setting: name, default, unit and meaning; docs/settings.md is generated from the list here and that of a session.

mod session;
mod time_zone;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

pub use session::{SESSION_SETTINGS, STATE_TTL, SessionSetting, Variables, changes, shown_name};
pub use time_zone::TimeZone;

/// What the process was started with: command line first, then environment, then these defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the catalogue lives; None keeps everything in memory.
    pub data: Option<PathBuf>,
    /// How often the state of the running views is written there; zero writes it at the end only.
    pub checkpoint_interval: Duration,
    /// The user's folder of models and of ONNX Runtime, which is looked through after the data directory; None has none.
    pub models: Option<PathBuf>,
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
    /// How long one inference may take before its call is an error.
    pub model_time_limit: Duration,
    /// The library of ONNX Runtime that was named. A file that cannot be used is a warning at the start.
    pub onnxruntime: Option<PathBuf>,
    /// The library of ONNX Runtime that the system has: it is used where none was named and none was pulled. Without any tract runs the models.
    pub system_onnxruntime: Option<PathBuf>,
    /// Frames that a reader of a live source may lag behind before frames are shed for it.
    pub live_queue_frames: usize,
    /// The decoder of sources that name none.
    pub decoder: DecoderChoice,
    /// The ffmpeg program; its ffprobe stands beside it. A bare name is looked for on PATH.
    pub ffmpeg: PathBuf,
    /// Connections served at once.
    pub max_connections: usize,
    /// Bytes that the sorts, joins and aggregates of one connection's SELECTs may hold at once.
    pub connection_memory_bytes: usize,
}

/// Which decoder a source uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecoderChoice {
    /// The built-in one, and the ffmpeg program for what that cannot decode.
    #[default]
    Auto,
    /// Only the built-in one: no program is ever started.
    Builtin,
    /// The ffmpeg program wherever it gives the same pictures, as it is faster.
    Ffmpeg,
}

impl DecoderChoice {
    /// Reads the word; None if it is none of them.
    pub fn parse(word: &str) -> Option<DecoderChoice> {
        match word.to_lowercase().as_str() {
            "auto" => Some(DecoderChoice::Auto),
            "builtin" => Some(DecoderChoice::Builtin),
            "ffmpeg" => Some(DecoderChoice::Ffmpeg),
            _ => None,
        }
    }
}

/// One line of the list of settings that the environment gives the process.
#[derive(Debug)]
pub struct ProcessSetting {
    /// The variable.
    pub name: &'static str,
    /// The value where it is not set.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

/// What the environment sets.
pub const PROCESS_SETTINGS: &[ProcessSetting] = &[
    ProcessSetting {
        name: "FRAMESQL_CHECKPOINT_INTERVAL",
        default: "60 s",
        meaning: "how often what the running views hold and remember is written under --data, from where a restart goes on (s, or a number with a unit); 0 is at the end only",
    },
    ProcessSetting {
        name: "FRAMESQL_CONNECTION_MEMORY",
        default: "1024",
        meaning: "MB that the sorts, joins and aggregates of one connection's SELECTs, and the rows of its CREATE TABLE AS and INSERT, may hold at once; a statement that needs more ends with 53200",
    },
    ProcessSetting {
        name: "FRAMESQL_DECODER",
        default: "auto",
        meaning: "the decoder of sources that name none: auto (built in, ffmpeg for what that cannot decode), builtin, or ffmpeg (for speed)",
    },
    ProcessSetting {
        name: "FRAMESQL_FFMPEG",
        default: "ffmpeg",
        meaning: "the ffmpeg program, a name on PATH or a path; ffprobe stands beside it",
    },
    ProcessSetting { name: "FRAMESQL_MAX_CONNECTIONS", default: "1000", meaning: "connections served at once; one more is told 53300" },
    ProcessSetting {
        name: "FRAMESQL_MODELS",
        default: "~/.local/share/framesql",
        meaning: "the folder in which `framesql models pull` installs, which all data directories share (the default follows XDG_DATA_HOME)",
    },
    ProcessSetting {
        name: "FRAMESQL_MODEL_TIME_LIMIT",
        default: "60 s",
        meaning: "an inference of a model that takes longer is stopped, and an error (s, or a number with a unit)",
    },
    ProcessSetting {
        name: "ORT_DYLIB_PATH",
        default: "",
        meaning: "the library of ONNX Runtime, which then runs all models but the embedded one; else the one that was pulled, else the system's, else tract",
    },
];

/// The name by which ffmpeg is looked for where nothing else is said.
pub const FFMPEG: &str = "ffmpeg";

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data: None,
            checkpoint_interval: Duration::from_secs(60),
            models: None,
            files: Vec::new(),
            batch_rows: 1024,
            batch_frames: 8,
            model_cache_bytes: 64 << 20,
            inference_threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            model_time_limit: Duration::from_secs(60),
            onnxruntime: None,
            system_onnxruntime: None,
            live_queue_frames: 32,
            decoder: DecoderChoice::Auto,
            ffmpeg: PathBuf::from(FFMPEG),
            max_connections: 1000,
            connection_memory_bytes: 1 << 30,
        }
    }
}

impl Settings {
    /// The defaults, changed by the environment of the process. Errs (22023) for a variable whose value cannot be.
    pub fn from_environment() -> Result<Settings> {
        let mut settings = Settings::default();
        if let Some(word) = std::env::var_os("FRAMESQL_DECODER").filter(|w| !w.is_empty()) {
            let word = word.to_string_lossy();
            settings.decoder = DecoderChoice::parse(&word).ok_or_else(|| Error::Option {
                message: format!("invalid value for the environment variable FRAMESQL_DECODER: \"{word}\""),
                hint: Some("Available values: auto, builtin, ffmpeg.".into()),
            })?;
        }
        if let Some(program) = std::env::var_os("FRAMESQL_FFMPEG").filter(|p| !p.is_empty()) {
            settings.ffmpeg = PathBuf::from(program);
        }
        if let Some(interval) = std::env::var_os("FRAMESQL_CHECKPOINT_INTERVAL").filter(|w| !w.is_empty()) {
            let interval = interval.to_string_lossy();
            let us = duration_us(&interval, 1_000_000).and_then(|us| u64::try_from(us).ok());
            settings.checkpoint_interval = us.map(Duration::from_micros).ok_or_else(|| Error::Option {
                message: format!("invalid value for the environment variable FRAMESQL_CHECKPOINT_INTERVAL: \"{interval}\""),
                hint: Some("Give a number of seconds, or a number with a unit: 5 min; 0 is at the end only.".into()),
            })?;
        }
        if let Some(limit) = std::env::var_os("FRAMESQL_MODEL_TIME_LIMIT").filter(|w| !w.is_empty()) {
            let limit = limit.to_string_lossy();
            let us = duration_us(&limit, 1_000_000).and_then(|us| u64::try_from(us).ok()).filter(|us| *us > 0);
            settings.model_time_limit = us.map(Duration::from_micros).ok_or_else(|| Error::Option {
                message: format!("invalid value for the environment variable FRAMESQL_MODEL_TIME_LIMIT: \"{limit}\""),
                hint: Some("Give a number of seconds, or a number with a unit: 500 ms.".into()),
            })?;
        }
        if let Some(megabytes) = whole("FRAMESQL_CONNECTION_MEMORY")? {
            settings.connection_memory_bytes = megabytes.saturating_mul(1 << 20);
        }
        if let Some(connections) = whole("FRAMESQL_MAX_CONNECTIONS")? {
            settings.max_connections = connections;
        }
        settings.models = models_folder();
        settings.onnxruntime = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()).map(PathBuf::from);
        settings.system_onnxruntime = LIBRARIES.iter().find_map(|folder| onnxruntime_in(folder.as_ref()));
        Ok(settings)
    }
}

/// A number from 1 that a variable of the environment says. Errs (22023) for one that says something else.
fn whole(name: &'static str) -> Result<Option<usize>> {
    let Some(word) = std::env::var_os(name).filter(|word| !word.is_empty()) else { return Ok(None) };
    let word = word.to_string_lossy();
    let number = word.parse().ok().filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| Error::Option {
        message: format!("invalid value for the environment variable {name}: \"{word}\""),
        hint: Some("Give a whole number from 1.".into()),
    })
}

/// `FRAMESQL_MODELS`, or the folder of the user's data; None without a home.
fn models_folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("FRAMESQL_MODELS").filter(|p| !p.is_empty()) {
        return Some(PathBuf::from(named));
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    data.or_else(|| Some(std::env::home_dir()?.join(".local/share"))).map(|data| data.join("framesql"))
}

/// Where a system keeps its libraries.
const LIBRARIES: [&str; 6] =
    ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/opt/homebrew/lib"];

/// The library of ONNX Runtime in a folder, `libonnxruntime.so`, with a version behind it, or `.dylib`; of several the first by name.
pub fn onnxruntime_in(folder: &Path) -> Option<PathBuf> {
    let library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix("libonnxruntime.").is_some_and(|rest| rest.contains("dylib") || rest.split('.').next() == Some("so"))
    };
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(library).collect();
    all.sort();
    all.into_iter().next()
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
        "# Settings of a session\n\nGenerated from `src/settings`; `SET name = value` changes one, `SHOW name` reads it, `RESET name` restores the default.\n\n| name | default | meaning |\n|---|---|---|\n",
    );
    for s in SESSION_SETTINGS {
        page.push_str(&format!("| {} | `{}` | {} |\n", s.name, s.default, s.meaning));
    }
    page.push_str("\n# Settings of the process\n\nVariables of the environment, read once at the start.\n\n| name | default | meaning |\n|---|---|---|\n");
    for s in PROCESS_SETTINGS {
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
