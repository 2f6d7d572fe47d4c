//! The catalogue on disk: the statements that made it, in order, in one file that is replaced whole; one engine at a time has its folder.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::catalog::is_model_key;
use super::checkpoint::{JOBS, folder_of};
use super::private_file;
use crate::error::{Error, Result};

/// The file of statements.
const FILE: &str = "catalog.json";
/// The folder of the rows of tables.
const TABLES: &str = "tables";
/// The file that is locked while an engine has the folder.
const LOCK: &str = "lock";

/// One object's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The object.
    pub name: String,
    /// The statement that made it.
    pub statement: String,
}

/// A change of the list.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object's name and statement, in place of an older one of that name.
    Add(String, String),
    /// Objects that are forgotten.
    Remove(Vec<String>),
    /// An object that is forgotten with what is kept of it beside its statement: its grants, its comments. Those have a name that begins
    /// with a space and ends with the object's.
    RemoveWithAll(String),
}

impl Change {
    fn make(&self, kept: &mut Vec<Kept>) {
        match self {
            // In its place: what is built on it stands behind it.
            Change::Add(name, statement) => match kept.iter_mut().find(|k| k.name == *name) {
                Some(old) => old.statement.clone_from(statement),
                None => kept.push(Kept { name: name.clone(), statement: statement.clone() }),
            },
            Change::Remove(names) => kept.retain(|k| !names.contains(&k.name)),
            Change::RemoveWithAll(name) => {
                let beside = format!(" {name}");
                // A model of that name is another thing.
                let goes = |k: &Kept| k.name == *name || k.name.starts_with(' ') && k.name.ends_with(&beside) && !is_model_key(&k.name);
                kept.retain(|k| !goes(k));
            }
        }
    }
}

/// An object's name as that of a file.
pub(super) fn file_name(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

/// The folder of `--data`.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    kept: Mutex<Vec<Kept>>,
    /// Held as long as the engine lives; the system frees it when the process ends.
    _lock: File,
}

impl Store {
    /// Opens the folder, made if it is missing. Errs (55000) if another engine has it, and if its file cannot be read.
    pub fn open(folder: &Path) -> Result<Store> {
        let failed = |what: &str, e| Error::io(format!("could not {what} data directory \"{}\"", folder.display()), e);
        std::fs::create_dir_all(folder).map_err(|e| failed("create", e))?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(|e| failed("write to", e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::State {
                    message: format!("data directory \"{}\" is in use by another framesql", folder.display()),
                    hint: Some("Stop the other one, or name another directory with --data.".into()),
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed("lock", e)),
        }
        let file = folder.join(FILE);
        let kept = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| Error::State {
                message: format!("file \"{}\" is damaged: {e}", file.display()),
                hint: Some("Mend it, or move it away to start with an empty catalogue.".into()),
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(failed("read", e)),
        };
        let store = Store { folder: folder.to_owned(), kept: Mutex::new(kept), _lock: lock };
        // Without a catalogue nobody knows what belongs to whom.
        if file.exists() {
            store.sweep();
        }
        Ok(store)
    }

    /// Removes what belongs to no object: a process that was killed may have left the rows of a table that it was making. Files of another kind are somebody
    /// else's, and what cannot be removed is in nobody's way.
    fn sweep(&self) {
        let known: HashSet<String> = self.kept.lock().iter().map(|one| file_name(&one.name)).collect();
        let entries =
            |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
        let has = |path: &Path, kinds: &[&str]| path.extension().and_then(|kind| kind.to_str()).is_some_and(|kind| kinds.contains(&kind));
        let unknown = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| !known.contains(stem));
        for file in entries(&self.folder.join(TABLES)).iter().filter(|path| unknown(path) && path.is_file() && has(path, &["arrow", "new"]))
        {
            tracing::warn!(path = %file.display(), "removed: no table has these rows");
            let _ = std::fs::remove_file(file);
        }
        for job in entries(&self.folder.join(JOBS)).iter().filter(|path| unknown(path) && path.is_dir()) {
            if entries(job).iter().all(|file| has(file, &["arrow", "json", "new"])) {
                tracing::warn!(path = %job.display(), "removed: no view has this checkpoint");
                let _ = std::fs::remove_dir_all(job);
            }
        }
    }

    /// The statements, in the order in which the objects were made.
    pub fn statements(&self) -> Vec<Kept> {
        self.kept.lock().clone()
    }

    /// The file of a table's rows. Names are written so that no two tables have one file, whatever the file system takes as equal.
    pub fn table_file(&self, name: &str) -> PathBuf {
        self.folder.join(TABLES).join(format!("{}.arrow", file_name(name)))
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps an object's statement, in place of an older one of that name.
    pub fn add(&self, name: &str, statement: &str) -> Result<()> {
        self.apply(&[Change::Add(name.to_owned(), statement.to_owned())])
    }

    /// Forgets objects.
    pub fn remove(&self, names: &[String]) -> Result<()> {
        self.apply(&[Change::Remove(names.to_vec())])
    }

    /// Makes all the changes, or none.
    pub fn apply(&self, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.change(|kept| changes.iter().for_each(|change| change.make(kept)))?;
        // What is dropped leaves no checkpoint; one that cannot be removed is of an object that nobody asks for.
        let removed = changes.iter().flat_map(|change| match change {
            Change::Add(..) => &[],
            Change::Remove(names) => names.as_slice(),
            Change::RemoveWithAll(name) => std::slice::from_ref(name),
        });
        let made: Vec<&String> = changes.iter().filter_map(|c| if let Change::Add(name, _) = c { Some(name) } else { None }).collect();
        // One that is made again in the same step has its own there already.
        for name in removed.filter(|name| !made.contains(name)) {
            let _ = std::fs::remove_dir_all(folder_of(&self.folder, name));
        }
        Ok(())
    }

    /// Writes the changed list beside the old one and puts it in its place, so that a crash leaves one of the two.
    fn change(&self, change: impl FnOnce(&mut Vec<Kept>)) -> Result<()> {
        let mut kept = self.kept.lock();
        let mut changed = kept.clone();
        change(&mut changed);
        // As at a start, where everything is said again: nothing is written, which a full disk would refuse.
        if changed == *kept {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&changed).map_err(|e| Error::Internal(e.to_string()))?;
        let (new, file) = (self.folder.join(format!("{FILE}.new")), self.folder.join(FILE));
        let write = || -> std::io::Result<()> {
            let mut out = private_file::create(&new)?;
            out.write_all(&text)?;
            out.sync_all()?;
            std::fs::rename(&new, &file)?;
            // The rename itself must be on disk too.
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|e| Error::io(format!("could not write file \"{}\"", file.display()), e))?;
        *kept = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_there_again_in_their_order_and_a_second_engine_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for name in ["a", "b", "c"] {
            store.add(name, &format!("CREATE SOURCE {name} FROM 'pattern:'")).unwrap();
        }
        store.remove(&["b".to_owned()]).unwrap();
        assert_eq!(Store::open(folder.path()).unwrap_err().sqlstate(), "55000");
        drop(store);
        let names: Vec<String> = Store::open(folder.path()).unwrap().statements().into_iter().map(|k| k.name).collect();
        assert_eq!(names, ["a", "c"]);
        std::fs::write(folder.path().join(FILE), "[{").unwrap();
        assert_eq!(Store::open(folder.path()).unwrap_err().sqlstate(), "55000");
    }
}
