//! The models that the manifest names: which are installed, and how they are pulled, verified and removed.
//!
//! They lie in homes: the data directory, if there is one, and the folder of the user, which every data directory shares. In a home a model is
//! `models/NAME.onnx`, and ONNX Runtime is `onnxruntime/libonnxruntime.…`. The first home that has a file is the one it is read from.

mod archive;
mod fetch;
pub mod manifest;
mod resume;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use framesql_udfs::function::caller;
use framesql_udfs::model::description::{ModelDescription, Task};
use framesql_udfs::model::models::{Listed, Models, own_name};
use framesql_udfs::model::tfjs::onnx_from_tfjs;
use framesql_udfs::model::yunet;

use crate::error::{Error, Result};
use crate::settings::Settings;
use fetch::Clients;
use manifest::{Archive, Convert, Entry, entries};

/// Told how far a pull is.
pub trait Progress {
    /// Something that takes `total` bytes begins: "fetching", "checking", "unpacking".
    fn begin(&self, what: &str, total: u64);
    /// So many of them are done.
    fn at(&self, done: u64);
}

/// Tells nobody.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn at(&self, _: u64) {}
}

/// A model that is part of the program.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// Its name.
    pub name: String,
    /// What else it is called.
    pub alias: &'static str,
    /// Its task.
    pub task: &'static str,
    /// Of its weights (SPDX).
    pub licence: String,
    /// What it is, in one line.
    pub what: String,
}

/// The models that are part of the program.
pub fn embedded() -> Vec<Embedded> {
    let all = Models::default().list().into_iter().filter(|listed| listed.state == "embedded");
    let one = |listed: Listed| {
        let (name, task) = (listed.description.name.clone(), listed.description.task);
        let what = format!("what {} runs (version {})", caller(&name, task), listed.version);
        Embedded { name, alias: yunet::ALIAS, task: task.word(), licence: listed.description.licence.clone(), what }
    };
    all.map(one).collect()
}

/// The model that is part of the program and has that name, or is also called so.
pub fn embedded_one(name: &str) -> Option<Embedded> {
    embedded().into_iter().find(|model| model.name == own_name(name))
}

/// The folders in which models may be.
#[derive(Clone, Debug)]
pub struct Homes(Vec<PathBuf>);

/// What is in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A file of the right length.
    Installed(PathBuf),
    /// A file that is not the one that the manifest knows, and why.
    Wrong(PathBuf, String),
}

impl Homes {
    /// Those of an engine with these settings.
    pub fn of(settings: &Settings) -> Homes {
        Homes(settings.data.iter().chain(&settings.models).cloned().collect())
    }

    /// The one home that is there, for what installs and removes. Errs (22023) without any.
    fn first(&self) -> Result<&Path> {
        self.0.first().map(PathBuf::as_path).ok_or_else(|| Error::Option {
            message: "there is no folder for models: no home directory is known".into(),
            hint: Some("Name one with --data, or with the environment variable FRAMESQL_MODELS.".into()),
        })
    }

    /// The folders that hold ONNX Runtime, if it was pulled.
    pub fn onnxruntime(&self) -> impl Iterator<Item = PathBuf> {
        self.0.iter().map(|home| home.join(ONNXRUNTIME))
    }

    /// The places where an entry's file may be.
    fn places(&self, entry: &Entry) -> Vec<PathBuf> {
        self.0.iter().filter_map(|home| place(home, entry).ok()).collect()
    }

    /// Whether an entry is installed. Its bytes are not read: `verify` does that.
    pub fn find(&self, entry: &Entry) -> Found {
        let Ok(archive) = entry.archive() else { return Found::Missing };
        let there = self.places(entry).into_iter().find_map(|path| Some((path.metadata().ok()?.len(), path)));
        match there {
            None => Found::Missing,
            Some((length, path)) if length == archive.kept.bytes => Found::Installed(path),
            Some((length, path)) => Found::Wrong(path, format!("it has {length} bytes, not {}", archive.kept.bytes)),
        }
    }

    /// The same with its sha256.
    pub fn verify(&self, entry: &Entry, progress: &dyn Progress) -> Result<Found> {
        let Found::Installed(path) = self.find(entry) else { return Ok(self.find(entry)) };
        let kept = &entry.archive()?.kept;
        let failed = |e| Error::io(format!("could not read file \"{}\"", path.display()), e);
        progress.begin("checking", kept.bytes);
        let found = archive::sha256_of(File::open(&path).map_err(failed)?, |n| progress.at(n)).map_err(failed)?;
        let right = found == kept.sha256;
        Ok(if right { Found::Installed(path) } else { Found::Wrong(path, format!("its sha256 is {found}, not {}", kept.sha256)) })
    }

    /// Installs an entry in the first home, and gives its file. One that is there whole is left as it is: then `Ok(None)`. Errs if it cannot be fetched, or is
    /// not what the manifest knows: then nothing has changed.
    pub fn pull(&self, entry: &Entry, progress: &dyn Progress) -> Result<Option<PathBuf>> {
        let home = Homes(vec![self.first()?.to_owned()]);
        if let Found::Installed(_) = home.verify(entry, progress)? {
            return Ok(None);
        }
        let (archive, path) = (entry.archive()?, place(self.first()?, entry)?);
        // Several entries may come of one archive: it is fetched once, and goes when `swept`.
        let folder = download(self.first()?, archive);
        let failed = |e| Error::io(format!("could not write to folder \"{}\"", folder.display()), e);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(Error::State {
                message: format!("{} is being pulled by another framesql", entry.from()),
                hint: Some("Wait for it, or end it.".into()),
            });
        }
        let files = files(&Clients::default(), entry, archive, &folder, progress)?;
        let bytes = made(entry, files)?;
        let found = archive::sha256_of(bytes.as_slice(), |_| ()).unwrap_or_default();
        if found != archive.kept.sha256 {
            let message =
                format!("what was made of {} has {} bytes and the sha256 {found}, not {}", entry.name, bytes.len(), archive.kept.sha256);
            return Err(Error::Internal(message));
        }
        put(&path, &bytes)?;
        Ok(Some(path))
    }

    /// Removes what the pulls of these entries have fetched, but for that which another framesql is pulling.
    pub fn sweep(&self, entries: &[&Entry]) {
        let Some(home) = self.0.first() else { return };
        for archive in entries.iter().filter_map(|entry| entry.archive().ok()) {
            let folder = download(home, archive);
            // It is held until the folder is gone.
            let lock = File::options().write(true).open(folder.join("lock")).ok();
            if lock.as_ref().is_some_and(|lock| lock.try_lock().is_err()) {
                continue;
            }
            if let Err(error) = std::fs::remove_dir_all(&folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(folder = %folder.display(), %error, "what was fetched stays behind");
            }
        }
        // Another pull may be at work beside them.
        let _ = std::fs::remove_dir(home.join(DOWNLOADS));
    }

    /// Removes an entry's file from the first home; false if there is none.
    pub fn remove(&self, entry: &Entry) -> Result<bool> {
        let path = place(self.first()?, entry)?;
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(format!("could not remove file \"{}\"", path.display()), e)),
        }
    }

    /// Tells the registry of every model of the manifest, whether it is installed or not: one that is pulled later is found at its first use.
    pub(super) fn offer(&self, models: &Models) -> Result<()> {
        entries().iter().map(|entry| entry.name.as_str()).chain([READER]).try_for_each(|name| self.offer_one(name, models))
    }

    /// The same of the model of that name; nothing for a name that the manifest does not know.
    pub(super) fn offer_one(&self, name: &str, models: &Models) -> Result<()> {
        if name == READER {
            let licence = manifest::entry(TEXT[0])?.licence.clone();
            let description =
                ModelDescription { licence, origin: TEXT.join(" and "), ..ModelDescription::new(READER, Task::Text, 736, 736) };
            return Ok(models.offer_reader(description, TEXT.map(str::to_owned))?);
        }
        let Ok(entry) = manifest::entry(name) else { return Ok(()) };
        if let Some(description) = entry.description()? {
            // Nobody reads text with one of the two.
            let names = if TEXT.contains(&name) { TEXT.join(" ") } else { name.to_owned() };
            models.offer(description, self.places(entry), format!("Run framesql models pull {names}."))?;
        }
        Ok(())
    }
}

/// Whether a model of that name is there without a statement: in the manifest, or composed of what is in it.
pub(super) fn known(name: &str) -> bool {
    name == READER || manifest::entry(name).is_ok()
}

/// The model that reads text: it is composed of two.
const READER: &str = "text";
/// Those two: one finds lines, the other says what they say.
const TEXT: [&str; 2] = ["text-detection", "text-recognition"];
/// The folder of ONNX Runtime in a home.
const ONNXRUNTIME: &str = "onnxruntime";
/// The folder of archives in a home.
const DOWNLOADS: &str = "downloads";

fn place(home: &Path, entry: &Entry) -> Result<PathBuf> {
    Ok(match &entry.archive()?.kept.name {
        Some(library) => home.join(ONNXRUNTIME).join(library),
        None => home.join("models").join(format!("{}.onnx", entry.name)),
    })
}

/// The folder of one archive while it is pulled.
fn download(home: &Path, archive: &Archive) -> PathBuf {
    home.join(DOWNLOADS).join(archive.sha256.get(..16).unwrap_or_default())
}

/// The wanted files of an archive that is fetched into its folder. What is damaged is not there at the next pull; where it was put together of pieces it is
/// fetched anew at once.
fn files(clients: &Clients, entry: &Entry, archive: &Archive, folder: &Path, progress: &dyn Progress) -> Result<Vec<Vec<u8>>> {
    let once = || -> Result<_> {
        let fetched = clients.fetch(entry, archive, folder, progress)?;
        let unpacked = archive::unpack(&fetched.path, entry.registry, archive, progress).inspect_err(|_| {
            if let Err(error) = std::fs::remove_file(&fetched.path) {
                tracing::warn!(file = %fetched.path.display(), %error, "a damaged archive stays behind");
            }
        });
        Ok((fetched.in_pieces, unpacked))
    };
    match once()? {
        (true, Err(_)) => once()?.1,
        (_, unpacked) => unpacked,
    }
}

/// The file that is kept, of the wanted files.
fn made(entry: &Entry, files: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    let mut files = files.into_iter();
    let first = files.next().ok_or_else(|| Error::Internal(format!("{} has no files", entry.name)))?;
    match entry.convert {
        Convert::None => Ok(first),
        Convert::Tfjs => {
            let weights: Vec<u8> = files.flatten().collect();
            let outputs: Vec<&str> = entry.outputs.iter().map(String::as_str).collect();
            onnx_from_tfjs(&first, &weights, &outputs).map_err(|e| Error::Internal(e.to_string()))
        }
    }
}

/// Beside and then in its place, so that a crash leaves the old file, the new one or none.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| Error::io(format!("could not write file \"{}\"", path.display()), e);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = File::create(&new).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&new, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_told_from_what_is_missing_and_what_is_damaged() {
        let (data, user) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let settings = Settings { data: Some(data.path().into()), models: Some(user.path().into()), ..Settings::default() };
        let homes = Homes::of(&settings);
        let entry = manifest::entry("face-embedding").unwrap();
        assert_eq!(homes.verify(entry, &Silent).unwrap(), Found::Missing);
        assert!(!homes.remove(entry).unwrap());
        let path = user.path().join("models/face-embedding.onnx");
        put(&path, b"short").unwrap();
        assert!(matches!(homes.find(entry), Found::Wrong(at, why) if at == path && why.contains("5 bytes")));
        File::create(&path).unwrap().set_len(entry.archive().unwrap().kept.bytes).unwrap();
        assert_eq!(homes.find(entry), Found::Installed(path.clone()));
        assert!(matches!(homes.verify(entry, &Silent).unwrap(), Found::Wrong(_, why) if why.contains("its sha256 is")));
        // It is in the second home, and only of the first anything is removed.
        assert!(!homes.remove(entry).unwrap());
        let second = Homes(vec![user.path().into()]);
        assert!(second.remove(entry).unwrap() && !path.exists());
        assert_eq!(Homes(Vec::new()).remove(entry).unwrap_err().sqlstate(), "22023");
    }

    #[test]
    fn what_another_pull_is_at_is_not_swept() {
        let user = tempfile::tempdir().unwrap();
        let (homes, entry) = (Homes(vec![user.path().into()]), manifest::entry("objects").unwrap());
        let folder = download(user.path(), entry.archive().unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        lock.try_lock().unwrap();
        homes.sweep(&[entry]);
        assert!(folder.exists());
        drop(lock);
        homes.sweep(&[entry, entry]);
        assert!(!user.path().join(DOWNLOADS).exists());
    }

    #[test]
    fn a_model_that_is_not_installed_says_what_to_type_and_one_that_is_damaged_is_not_run() {
        let user = tempfile::tempdir().unwrap();
        let (models, homes) = (Models::default(), Homes(vec![user.path().into()]));
        homes.offer(&models).unwrap();
        let error = Error::from(models.get("objects").unwrap_err());
        assert_eq!((error.sqlstate(), error.hint().as_deref()), ("55000", Some("Run framesql models pull objects.")));
        put(&user.path().join("models/objects.onnx"), b"damaged").unwrap();
        let error = Error::from(models.get("objects").unwrap_err());
        assert!(error.to_string().contains("its file has the sha256"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("Run framesql models pull objects."));
    }
}
