//! The ffmpeg program, if there is one: where it is, its version, and how it is started so that no name of a file can be an option of it.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::location::plain;
use crate::error::{Error, Result};
use crate::settings::FFMPEG;

/// The program and the one beside it that describes files.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    program: PathBuf,
    probe: PathBuf,
    version: (u32, u32),
}

/// The first version whose options are used.
const OLDEST: (u32, u32) = (4, 4);
/// What is kept of the text that a program writes: it is only shown.
const MOST_TEXT_BYTES: u64 = 64 << 10;

impl Ffmpeg {
    /// The program of the settings. None if it is looked for by its usual name and there is none; errs (58P01) if one that is named is missing,
    /// and (55000) if it is no ffmpeg or older than 4.4.
    pub fn find(program: &Path) -> Result<Option<Ffmpeg>> {
        let named = program != Path::new(FFMPEG);
        let mut command = Command::new(program);
        command.arg("-version");
        let mut child = match start(&mut command, Stdio::null()) {
            Ok(child) => child,
            Err(e) if e.kind() == ErrorKind::NotFound && !named => return Ok(None),
            Err(e) => return Err(missing(program, &e)),
        };
        let mut text = Vec::new();
        let read = child.stdout.take().map(|out| out.take(MOST_TEXT_BYTES).read_to_end(&mut text));
        // It is only asked for its version: how it ends does not matter, that it ends does.
        let _ = child.kill();
        let _ = child.wait();
        if let Some(Err(e)) = read {
            return Err(missing(program, &e));
        }
        let text = String::from_utf8_lossy(&text);
        let first = text.lines().next().unwrap_or_default();
        let not_usable = |what: String| Error::State {
            message: format!("program \"{}\" {what}", program.display()),
            hint: Some("Install ffmpeg 4.4 or newer, or name one in the environment variable FRAMESQL_FFMPEG.".into()),
        };
        let Some(version) = first.strip_prefix("ffmpeg version ") else { return Err(not_usable("is not ffmpeg".into())) };
        let version = version_of(version);
        if version < OLDEST {
            return Err(not_usable(format!("is ffmpeg {}.{}, which is too old", version.0, version.1)));
        }
        Ok(Some(Ffmpeg { program: program.to_owned(), probe: program.with_file_name("ffprobe"), version }))
    }

    /// A command that decodes; it writes errors only, and never asks.
    pub fn decode(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-hide_banner", "-nostats", "-nostdin", "-loglevel", "error"]);
        command
    }

    /// A command that describes.
    pub fn probe(&self) -> Command {
        let mut command = Command::new(&self.probe);
        command.args(["-hide_banner", "-loglevel", "error"]);
        command
    }

    /// The options by which every picture that is decoded leaves once, at its own time.
    pub fn passthrough(&self) -> [&'static str; 2] {
        if self.version < (5, 1) { ["-vsync", "passthrough"] } else { ["-fps_mode", "passthrough"] }
    }
}

/// Starts a program with its output piped, in a process group of its own: a Ctrl-C is for us, and we end it.
pub fn start(command: &mut Command, input: Stdio) -> std::io::Result<Child> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command.env("AV_LOG_FORCE_NOCOLOR", "1").stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// The error for a program that cannot be started.
pub fn missing(program: &Path, error: &std::io::Error) -> Error {
    Error::Media {
        code: "58P01",
        message: format!("could not start program \"{}\": {}", program.display(), plain(error)),
        hint: Some("Install ffmpeg, or name it in the environment variable FRAMESQL_FFMPEG; decoder = 'builtin' does without.".into()),
    }
}

/// The argument that names a file: neither an option nor another protocol, whatever the file is called.
pub fn file_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

/// Major and minor of "5.1.9-0+deb12u1" and "n7.1"; a build between releases ("N-117-g…", "git-…") is as new as any.
fn version_of(text: &str) -> (u32, u32) {
    let digits = text.strip_prefix('n').unwrap_or(text);
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        (Some(Ok(major)), _) => (major, 0),
        _ => (u32::MAX, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        assert_eq!(version_of("5.1.9-0+deb12u1 Copyright (c) 2000-2026"), (5, 1));
        assert_eq!(version_of("n7.1 Copyright"), (7, 1));
        assert_eq!(version_of("8 Copyright"), (8, 0));
        assert_eq!(version_of("N-117-gabc Copyright"), (u32::MAX, 0));
    }
}
