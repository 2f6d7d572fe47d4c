//! Whether a file is the one whose table was read: another one under its name has its pictures elsewhere.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What the first bytes are that are compared: headers of containers are there.
const HEAD_BYTES: u64 = 4096;

/// A file as it was when it was opened first.
#[derive(Debug)]
pub struct Identity {
    path: PathBuf,
    n_bytes: u64,
    head: u32,
}

impl Identity {
    /// Errs if it cannot be read.
    pub fn of(path: &Path) -> Result<Identity> {
        let failed = |e| Error::io(format!("could not open file \"{}\"", path.display()), e);
        let file = File::open(path).map_err(failed)?;
        let n_bytes = file.metadata().map_err(failed)?.len();
        let mut head = Vec::new();
        file.take(HEAD_BYTES).read_to_end(&mut head).map_err(failed)?;
        Ok(Identity { path: path.to_owned(), n_bytes, head: crc32fast::hash(&head) })
    }

    /// Errs (55000) if another file is there now. One that has grown is the same: what was in it still is.
    pub fn check(&self) -> Result<()> {
        let now = Identity::of(&self.path)?;
        if now.n_bytes >= self.n_bytes && (now.head == self.head || self.n_bytes < HEAD_BYTES && now.n_bytes != self.n_bytes) {
            return Ok(());
        }
        Err(Error::State {
            message: format!("file \"{}\" is another one than when the source was created", self.path.display()),
            hint: Some("DROP SOURCE and CREATE SOURCE read it anew, and so does a restart.".into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_is_the_same_and_one_in_its_place_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        std::fs::write(&path, vec![1; 10_000]).unwrap();
        let identity = Identity::of(&path).unwrap();
        identity.check().unwrap();
        std::fs::write(&path, vec![1; 20_000]).unwrap();
        identity.check().unwrap();
        for other in [vec![1; 9_999], vec![2; 10_000], vec![2; 30_000]] {
            std::fs::write(&path, other).unwrap();
            assert_eq!(identity.check().unwrap_err().sqlstate(), "55000");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(identity.check().is_err());
    }
}
