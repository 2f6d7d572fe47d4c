//! Fetches an archive from the first byte that is missing: programs that run inside npm and pip ask its registry for the rest, as their user has configured them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Progress;

/// Runs in Node beside npm's own modules.
pub(super) const INSIDE_NPM: &str = include_str!("npm.cjs");
/// Runs in the Python that pip is of.
pub(super) const INSIDE_PIP: &str = include_str!("pip.py");

/// Bytes that are written at once.
const BLOCK: usize = 1 << 16;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The archive has its length.
    Whole,
    /// Some bytes came, and then no more; and what the client said.
    Broken(String),
    /// The client has no such inside, or got no answer.
    Nothing,
}

/// Runs a program that prints on which byte it goes on, a line, and then the bytes, and keeps them in the file at `path`, of which `n_bytes` are wanted. What has
/// come is kept, however the program, or this one, ends.
pub(super) fn rest(mut program: Command, path: &Path, n_bytes: u64, complaints: &Path, progress: &dyn Progress) -> io::Result<Came> {
    let said = File::create(complaints)?;
    let mut child = match program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said).spawn() {
        Ok(child) => child,
        Err(_) => return Ok(Came::Nothing),
    };
    let kept = child.stdout.take().map_or(Ok(None), |out| keep(BufReader::with_capacity(BLOCK, out), path, n_bytes, progress));
    if !matches!(kept, Ok(Some(at)) if at == n_bytes) {
        // It has ended, or what it gives is of no use; nobody reads it any more.
        let _ = child.kill();
    }
    child.wait()?;
    Ok(match kept? {
        None => Came::Nothing,
        Some(at) if at == n_bytes => Came::Whole,
        Some(_) => Came::Broken(std::fs::read_to_string(complaints).unwrap_or_default()),
    })
}

/// The length of the file at the end; None if the first line is missing, or says a byte that the file does not reach.
fn keep(mut from: impl BufRead, path: &Path, n_bytes: u64, progress: &dyn Progress) -> io::Result<Option<u64>> {
    let mut line = String::new();
    // A number of 64 bits has twenty digits.
    from.by_ref().take(21).read_line(&mut line)?;
    let Ok(first) = line.trim_end().parse::<u64>() else { return Ok(None) };
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    if file.metadata()?.len() < first {
        return Ok(None);
    }
    file.set_len(first)?;
    file.seek(SeekFrom::Start(first))?;
    let (mut block, mut at) = (vec![0; BLOCK], first);
    while at <= n_bytes {
        progress.at(at);
        let n = from.read(&mut block)?;
        if n == 0 {
            break;
        }
        file.write_all(block.get(..n).unwrap_or_default())?;
        at += n as u64;
    }
    if at == n_bytes {
        file.sync_all()?;
    }
    Ok(Some(at))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::engine::models::Silent;

    fn program(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    #[test]
    fn what_has_come_is_kept_and_the_rest_is_put_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, complaints) = (folder.path().join("archive"), folder.path().join("said"));
        let come = |text: &str| rest(program(text), &path, 8, &complaints, &Silent).unwrap();
        let kept = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(come("exit 1"), Came::Nothing);
        assert_eq!(come("echo no npm here"), Came::Nothing);
        assert!(!path.exists());
        assert_eq!(come("printf '0\\nabc'; echo gone >&2; exit 1"), Came::Broken("gone\n".into()));
        assert_eq!(kept(), "abc");
        // A byte that the file does not reach.
        assert_eq!(come("printf '4\\nefgh'"), Came::Nothing);
        assert_eq!(kept(), "abc");
        // A registry that gives the whole whatever is asked.
        assert_eq!(come("printf '0\\nabcd'"), Came::Broken(String::new()));
        assert_eq!(come("printf '4\\nefgh'"), Came::Whole);
        assert_eq!(kept(), "abcdefgh");
        // More than there should be: it ends, and is not called whole.
        assert_eq!(come("printf '0\\n'; while printf 0123456789; do :; done"), Came::Broken(String::new()));
        assert_eq!(rest(Command::new("/no/such/program"), &path, 8, &complaints, &Silent).unwrap(), Came::Nothing);
    }
}
