//! The engine's models at work: each frame is looked at once for all queries, by a cache of results that is bounded in bytes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use datafusion::error::Result;
use framesql_udfs::detection::Detection;
use framesql_udfs::frame::Picture;
use framesql_udfs::model::{Model, Session, model_of};
use parking_lot::{Condvar, Mutex};

use super::workers::Workers;
use crate::error::Error;
use crate::metrics::ModelCounters;

/// What a result is kept under: a frame, a model, the size it was looked at; thresholds are applied afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The source, unique in the engine.
    pub source_id: u64,
    /// The frame.
    pub frame_no: i64,
    /// The model's file; shared, as a key is made for every frame.
    pub sha256: Arc<str>,
    /// The size of the picture that the model saw.
    pub input_size: (u32, u32),
}

/// A model's detections at its floor score; shared, as many queries read them.
pub type Found = Arc<Vec<Detection>>;

enum Slot {
    /// Another query looks at the frame just now.
    Pending,
    Done(Found),
}

#[derive(Default)]
struct Cache {
    slots: HashMap<Key, Slot>,
    /// Finished keys, oldest first.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

/// The models of one engine.
pub struct Inference {
    cache: Mutex<Cache>,
    finished: Condvar,
    cache_bytes: usize,
    workers: Workers,
    models: Mutex<HashMap<String, Arc<Loaded>>>,
}

/// One model with the sessions that are free to use.
pub struct Loaded {
    /// The SQL function that runs it.
    pub function: String,
    /// The model.
    pub model: Arc<dyn Model>,
    /// The checksum of its file.
    pub sha256: Arc<str>,
    /// What it did.
    pub counters: ModelCounters,
    sessions: Mutex<Vec<Box<dyn Session>>>,
}

impl fmt::Debug for Inference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inference").finish_non_exhaustive()
    }
}

impl Inference {
    /// A cache of `cache_bytes`, and `n_threads` inferences at once.
    pub fn new(cache_bytes: usize, n_threads: usize) -> Inference {
        let workers = Workers::new(n_threads);
        Inference { cache: Mutex::default(), finished: Condvar::new(), cache_bytes, workers, models: Mutex::default() }
    }

    /// Calls `work` with every number below `n_items`, several at once, and returns when all calls have. Errs if one of them panicked.
    pub(super) fn at_once(&self, n_items: usize, work: impl Fn(usize) + Send + Sync + 'static) -> Result<()> {
        if self.workers.run(n_items, work) { Ok(()) } else { Err(Error::Internal("a model has panicked".into()).into()) }
    }

    /// The model behind a SQL function. Errs if it is not there.
    pub fn model(&self, function: &str) -> Result<Arc<Loaded>> {
        let mut models = self.models.lock();
        if let Some(loaded) = models.get(function) {
            return Ok(Arc::clone(loaded));
        }
        let model = model_of(function).ok_or_else(|| Error::NotFound { kind: "model", name: function.to_owned() })?;
        let sha256 = model.sha256().into();
        let (counters, sessions) = (ModelCounters::default(), Mutex::default());
        let loaded = Arc::new(Loaded { function: function.to_owned(), model, sha256, counters, sessions });
        models.insert(function.to_owned(), Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Every model there is, by the name of its function, with what it did.
    pub fn catalogue(&self) -> Vec<Arc<Loaded>> {
        let functions = framesql_udfs::function::functions();
        functions.iter().filter_map(|f| self.model(f.name()).ok()).collect()
    }

    /// What the model finds in the picture. With a key it runs once a frame, whoever asks; without (a derived frame) it always runs.
    pub fn find(&self, loaded: &Loaded, key: Option<Key>, picture: &Picture) -> Result<Found> {
        let Some(key) = key else { return loaded.run(picture).map(Arc::new) };
        {
            let mut cache = self.cache.lock();
            loop {
                match cache.slots.get(&key) {
                    Some(Slot::Done(found)) => {
                        loaded.counters.cached.add(1);
                        return Ok(Arc::clone(found));
                    }
                    Some(Slot::Pending) => self.finished.wait(&mut cache),
                    None => {
                        cache.slots.insert(key.clone(), Slot::Pending);
                        break;
                    }
                }
            }
        }
        // The guard frees the place if the model errs or panics, so that nobody waits for ever.
        let mut pending = PendingSlot { inference: self, key: Some(key) };
        let found = Arc::new(loaded.run(picture)?);
        if let Some(key) = pending.key.take() {
            self.keep(key, &found);
        }
        Ok(found)
    }

    fn keep(&self, key: Key, found: &Found) {
        let bytes = size_of::<Key>()
            + 64
            + found.iter().map(|d| size_of::<Detection>() + d.label.len() + d.landmarks.as_ref().map_or(0, |l| l.len() * 8)).sum::<usize>();
        let mut cache = self.cache.lock();
        cache.slots.insert(key.clone(), Slot::Done(Arc::clone(found)));
        cache.order.push_back((key, bytes));
        cache.bytes += bytes;
        while cache.bytes > self.cache_bytes {
            let Some((oldest, bytes)) = cache.order.pop_front() else { break };
            cache.slots.remove(&oldest);
            cache.bytes -= bytes;
        }
        self.finished.notify_all();
    }
}

struct PendingSlot<'a> {
    inference: &'a Inference,
    key: Option<Key>,
}

impl Drop for PendingSlot<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.inference.cache.lock().slots.remove(&key);
            self.inference.finished.notify_all();
        }
    }
}

impl Loaded {
    fn run(&self, picture: &Picture) -> Result<Vec<Detection>> {
        let free = self.sessions.lock().pop();
        let mut session = free.unwrap_or_else(|| self.model.new_session());
        self.counters.calls.add(1);
        let found = session.infer(picture);
        self.sessions.lock().push(session);
        found
    }
}
