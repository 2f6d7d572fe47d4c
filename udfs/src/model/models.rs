//! The models of one engine by their names: embedded, brought by a user, pulled and loaded when they are first used, or known and not installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::description::{Decode, ModelDescription, Task};
use super::error::ModelError;
use super::onnx::{OnnxModel, sha256};
use super::runtime::{self, Runtime};
use super::text::TextModel;
use super::{Model, yunet};

/// How long one inference may take where nothing else is said.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The registry. Two registries know nothing of each other. A model that is replaced while queries run serves them until their next batch:
/// from there on they run the new one. A model that is removed serves to their end the queries that have begun.
#[derive(Debug)]
pub struct Models {
    /// How long one inference may take.
    limit: Duration,
    runtime: RwLock<Arc<dyn Runtime>>,
    entries: RwLock<BTreeMap<String, Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    description: Arc<ModelDescription>,
    /// 1 for the first of its name, one more for each that replaces it.
    version: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// It travels with the build.
    Embedded(Arc<dyn Model>),
    Loaded(Arc<dyn Model>),
    /// Of these files the first that is there is read at the first use, by whoever comes first.
    Offered {
        files: Vec<PathBuf>,
        hint: String,
        loaded: Arc<Mutex<Option<Arc<dyn Model>>>>,
    },
    /// Reads text by two of the offered ones, which find lines and read them; loaded at the first use.
    Reader {
        parts: [String; 2],
        loaded: Arc<Mutex<Option<Arc<dyn Model>>>>,
    },
}

/// One line of the list of models.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What is known of it.
    pub description: Arc<ModelDescription>,
    /// Its version: the release of an embedded model, else a number that goes up when it is replaced.
    pub version: String,
    /// Where it stands: embedded, loaded, installed (and not used yet) or not installed.
    pub state: &'static str,
    /// What runs it; None where it is not loaded.
    pub runtime: Option<&'static str>,
}

/// The name of a model that may have been called by another: `yunet` is face-yunet.
pub fn own_name(name: &str) -> &str {
    if name == yunet::ALIAS { yunet::NAME } else { name }
}

impl Entry {
    /// Whether one of the files that it is offered from is there.
    fn installed(&self) -> bool {
        matches!(&self.state, State::Offered { files, .. } if files.iter().any(|file| file.is_file()))
    }
}

/// Two who come at once load one model: the second waits for the first.
fn once(
    loaded: &Mutex<Option<Arc<dyn Model>>>,
    load: impl FnOnce() -> Result<Arc<dyn Model>, ModelError>,
) -> Result<Arc<dyn Model>, ModelError> {
    let mut loaded = loaded.lock();
    if let Some(model) = &*loaded {
        return Ok(Arc::clone(model));
    }
    let model = load()?;
    *loaded = Some(Arc::clone(&model));
    Ok(model)
}

/// The bytes of the first file that is there.
fn read(name: &str, files: &[PathBuf], hint: &str) -> Result<Vec<u8>, ModelError> {
    let Some(file) = files.iter().find(|file| file.is_file()) else {
        return Err(ModelError::NotInstalled { name: name.to_owned(), hint: hint.to_owned() });
    };
    std::fs::read(file).map_err(|e| ModelError::File {
        name: name.to_owned(),
        message: format!("{} cannot be read: {e}", file.display()),
        hint: Some(hint.to_owned()),
    })
}

/// The same, if they are those that the description names: a file that is damaged says the same line to type as one that is not there.
fn read_right(description: &ModelDescription, files: &[PathBuf], hint: &str) -> Result<Vec<u8>, ModelError> {
    let bytes = read(&description.name, files, hint)?;
    let found = sha256(&bytes);
    if found == description.sha256 {
        return Ok(bytes);
    }
    let message = format!("its file has the sha256 {found}, not {}", description.sha256);
    Err(ModelError::File { name: description.name.clone(), message, hint: Some(hint.to_owned()) })
}

fn taken(name: &str, why: &str) -> ModelError {
    let message = format!("model \"{name}\" {why} and cannot be replaced");
    ModelError::Description { message, hint: "Give yours another name.".to_owned() }
}

impl Default for Models {
    fn default() -> Models {
        Models::new(LIMIT)
    }
}

impl Models {
    /// The embedded models, and tract for those that come, of which one inference may take so long.
    pub fn new(limit: Duration) -> Models {
        let faces: Arc<dyn Model> = yunet::embedded();
        let description = ModelDescription {
            sha256: faces.sha256().to_owned(),
            licence: faces.licence().to_owned(),
            origin: "the build".to_owned(),
            decode: Decode::Yunet,
            labels: vec!["face".to_owned()],
            score: faces.default_score(),
            iou: yunet::NMS_IOU as f32,
            ..ModelDescription::new(faces.name(), Task::Detection, yunet::LONGEST_SIDE, yunet::LONGEST_SIDE)
        };
        let entry = Entry { description: Arc::new(description), version: 1, state: State::Embedded(Arc::clone(&faces)) };
        let entries = RwLock::new(BTreeMap::from([(faces.name().to_owned(), entry)]));
        Models { limit, runtime: RwLock::new(runtime::tract(limit)), entries }
    }

    /// Runs the models that are loaded from now on by ONNX Runtime, from that library. Errs with a sentence if it cannot be used: then
    /// tract goes on. A process keeps the first library that it has loaded.
    pub fn use_onnxruntime(&self, library: &Path) -> Result<(), String> {
        let found = runtime::onnxruntime(library, self.limit)?;
        *self.runtime.write() = found;
        Ok(())
    }

    /// The name of what runs the models that are loaded from now on: tract or onnxruntime.
    pub fn runtime(&self) -> &'static str {
        self.runtime.read().name()
    }

    /// Loads a model from the bytes of its ONNX file and puts it in the place of the one that has its name, if there is one. Errs, and changes
    /// nothing, if it cannot be loaded, does not fit its description, or would replace an embedded one.
    pub fn insert(&self, description: ModelDescription, file: Vec<u8>) -> Result<(), ModelError> {
        self.free(&description.name)?;
        let runtime = Arc::clone(&*self.runtime.read());
        // Loading takes its time: queries run meanwhile, and who is in between is replaced too.
        let version = self.next_version(&description.name);
        let model = OnnxModel::load(description.clone(), version, file, &*runtime)?;
        let description = ModelDescription { sha256: model.sha256().to_owned(), ..description };
        self.put(description, State::Loaded(Arc::new(model)))
    }

    /// A model whose file is read when it is first used, the first of `files` that is there then: its sha256 is checked, which the description must
    /// have. While none is there a call fails with `hint`, "Run framesql models pull objects.". Errs if the description cannot be, or the name is an
    /// embedded one's.
    pub fn offer(&self, description: ModelDescription, files: Vec<PathBuf>, hint: impl Into<String>) -> Result<(), ModelError> {
        description.check()?;
        if description.sha256.is_empty() {
            let message = format!("model \"{}\" has no sha256", description.name);
            return Err(ModelError::Description { message, hint: "Name the sha256 of its file.".to_owned() });
        }
        self.put(description, State::Offered { files, hint: hint.into(), loaded: Arc::default() })
    }

    /// A model that reads text by two that are offered: the first finds lines, the second says what they say. It is as installed as both are. Errs as
    /// `offer` does.
    pub fn offer_reader(&self, description: ModelDescription, parts: [String; 2]) -> Result<(), ModelError> {
        description.check()?;
        self.put(description, State::Reader { parts, loaded: Arc::default() })
    }

    /// Takes a model out; false if there is none of that name, or it is embedded.
    pub fn remove(&self, name: &str) -> bool {
        let name = own_name(name);
        let mut entries = self.entries.write();
        let there = entries.get(name).is_some_and(|entry| !matches!(entry.state, State::Embedded(_)));
        there && entries.remove(name).is_some()
    }

    /// The model of that name, loaded if it was not. Errs if there is none, it is not installed, or its file cannot be loaded.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Model>, ModelError> {
        let name = own_name(name);
        let entry = self.entries.read().get(name).cloned();
        let Entry { description, version, state } = entry.ok_or_else(|| ModelError::NotFound { name: name.to_owned() })?;
        match state {
            State::Embedded(model) | State::Loaded(model) => Ok(model),
            State::Offered { files, hint, loaded } => once(&loaded, || {
                let bytes = read_right(&description, &files, &hint)?;
                let runtime = Arc::clone(&*self.runtime.read());
                Ok(Arc::new(OnnxModel::load((*description).clone(), version, bytes, &*runtime)?))
            }),
            State::Reader { parts, loaded } => once(&loaded, || {
                let [finder, speller] = parts.each_ref().map(|part| self.offered(part));
                let runtime = Arc::clone(&*self.runtime.read());
                Ok(Arc::new(TextModel::load(&description, version, finder?, speller?, &*runtime)?))
            }),
        }
    }

    /// The bytes of a model that is offered. Errs if there is none of that name, or it is not installed, or its file is another one.
    fn offered(&self, name: &str) -> Result<Vec<u8>, ModelError> {
        let entry = self.entries.read().get(name).cloned();
        let Some(Entry { description, state: State::Offered { files, hint, .. }, .. }) = entry else {
            return Err(ModelError::NotFound { name: name.to_owned() });
        };
        read_right(&description, &files, &hint)
    }

    /// What is known of the model of that name; None if there is none.
    pub fn description(&self, name: &str) -> Option<Arc<ModelDescription>> {
        self.entries.read().get(own_name(name)).map(|entry| Arc::clone(&entry.description))
    }

    /// All models, in name order; none is loaded for it.
    pub fn list(&self) -> Vec<Listed> {
        let entries = self.entries.read();
        let one = |entry: &Entry| {
            let (state, model) = match &entry.state {
                State::Embedded(model) => ("embedded", Some(Arc::clone(model))),
                State::Loaded(model) => ("loaded", Some(Arc::clone(model))),
                // Somebody who loads it now has not loaded it yet.
                State::Reader { parts, loaded } => match loaded.try_lock().and_then(|loaded| loaded.clone()) {
                    Some(model) => ("loaded", Some(model)),
                    None if parts.iter().all(|part| entries.get(part).is_some_and(Entry::installed)) => ("installed", None),
                    None => ("not installed", None),
                },
                State::Offered { files, loaded, .. } => match loaded.try_lock().and_then(|loaded| loaded.clone()) {
                    Some(model) => ("loaded", Some(model)),
                    None if files.iter().any(|file| file.is_file()) => ("installed", None),
                    None => ("not installed", None),
                },
            };
            Listed {
                description: Arc::clone(&entry.description),
                version: model.as_ref().map_or(entry.version.to_string(), |m| m.version().to_owned()),
                state,
                runtime: model.map(|m| m.runtime()),
            }
        };
        entries.values().map(one).collect()
    }

    fn next_version(&self, name: &str) -> u64 {
        self.entries.read().get(name).map_or(1, |entry| entry.version + 1)
    }

    /// Errs if the name is that of an embedded model, of one that reads text, or of the two that this one reads it by.
    pub fn free(&self, name: &str) -> Result<(), ModelError> {
        self.not_embedded(name)?;
        let reads = |entry: &Entry| match &entry.state {
            State::Reader { parts, .. } => entry.description.name == name || parts.iter().any(|part| part == name),
            _ => false,
        };
        if self.entries.read().values().any(reads) { Err(taken(name, "is what read_text reads by")) } else { Ok(()) }
    }

    fn not_embedded(&self, name: &str) -> Result<(), ModelError> {
        match self.entries.read().get(own_name(name)).map(|entry| &entry.state) {
            Some(State::Embedded(_)) => Err(taken(name, "is part of framesql")),
            _ => Ok(()),
        }
    }

    fn put(&self, description: ModelDescription, state: State) -> Result<(), ModelError> {
        self.not_embedded(&description.name)?;
        let name = description.name.clone();
        let mut entries = self.entries.write();
        let version = entries.get(&name).map_or(1, |entry| entry.version + 1);
        entries.insert(name, Entry { description: Arc::new(description), version, state });
        Ok(())
    }
}
