//! The engine's models at work: each frame is looked at once for all queries, by a cache of results that is bounded in bytes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::{DataFusionError, Result};
use framesql_udfs::frame::Picture;
use framesql_udfs::function::caller;
use framesql_udfs::model::error::ModelError;
use framesql_udfs::model::models::{LIMIT, Listed, Models, own_name};
use framesql_udfs::model::output::Output;
use framesql_udfs::model::{Model, Session};
use parking_lot::{Condvar, Mutex};
use tracing::warn;

use super::workers::Workers;
use crate::clock::Stopwatch;
use crate::error::Error;
use crate::frame::source::Source;
use crate::metrics::ModelCounters;

/// What a result is kept under: a frame (or a part of it), a model, the size it was looked at; thresholds are applied afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The source, unique in the engine.
    pub source_id: u64,
    /// The frame.
    pub frame_no: i64,
    /// The model's key: its file and how it is read; shared, as a key is made for every frame.
    pub model: Arc<str>,
    /// The size of the picture that the model saw.
    pub input_size: (u32, u32),
    /// The part of the frame, where it was not all of it: the numbers of a box and of landmarks.
    pub part: Option<Arc<[u32]>>,
}

/// A model's result at its floor score; shared, as many queries read it.
pub type Found = Arc<Output>;

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
    time_limit: Duration,
    workers: Workers,
    models: Arc<Models>,
    loaded: Mutex<HashMap<String, Arc<Loaded>>>,
    galleries: Mutex<HashMap<String, Arc<dyn Source>>>,
    not_started: Mutex<HashMap<String, String>>,
}

/// One model with the sessions that are free to use.
pub struct Loaded {
    /// The model.
    pub model: Arc<dyn Model>,
    /// Under which its results are kept.
    pub key: Arc<str>,
    /// What it did, and those of its name before it.
    pub counters: Arc<ModelCounters>,
    sessions: Mutex<Vec<Box<dyn Session>>>,
    /// What was wrong with the first picture for which its numbers are none.
    wrong: Mutex<Option<String>>,
}

/// A line of the list of models.
pub struct Shown {
    /// The function by which it is called.
    pub function: &'static str,
    /// What it is, and where it stands.
    pub listed: Listed,
    /// What it did; all zero where it is not loaded.
    pub counters: Arc<ModelCounters>,
    /// What was wrong with the first picture for which it gave NULL; None if there was none.
    pub wrong: Option<String>,
}

impl fmt::Debug for Inference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inference").finish_non_exhaustive()
    }
}

impl Inference {
    /// A cache of `cache_bytes`, and `n_threads` inferences at once.
    pub fn new(cache_bytes: usize, n_threads: usize) -> Inference {
        Inference {
            cache: Mutex::default(),
            finished: Condvar::new(),
            cache_bytes,
            time_limit: LIMIT,
            workers: Workers::new(n_threads),
            models: Arc::default(),
            loaded: Mutex::default(),
            galleries: Mutex::default(),
            not_started: Mutex::default(),
        }
    }

    /// The same, where an inference that takes longer than `limit` is an error: a graph is stopped, and of the embedded models it is found out.
    pub fn limited(self, limit: Duration) -> Inference {
        Inference { time_limit: limit, models: Arc::new(Models::new(limit)), ..self }
    }

    /// The registry of models.
    pub fn models(&self) -> &Arc<Models> {
        &self.models
    }

    /// Makes a gallery known by its name.
    pub fn add_gallery(&self, name: &str, gallery: Arc<dyn Source>) {
        self.galleries.lock().insert(name.to_owned(), gallery);
    }

    /// Forgets a gallery; queries that have begun go on with it.
    pub fn remove_gallery(&self, name: &str) {
        self.galleries.lock().remove(name);
    }

    /// The gallery of that name. Errs (42P01) if there is none.
    pub(super) fn gallery(&self, name: &str) -> Result<Arc<dyn Source>> {
        let found = self.galleries.lock().get(name).cloned();
        found.ok_or_else(|| Error::NotFound { kind: "gallery", name: name.to_owned() }.into())
    }

    /// Calls `work` with every number below `n_items`, several at once, and returns when all calls have. Errs if one of them panicked.
    pub(super) fn at_once(&self, n_items: usize, work: impl Fn(usize) + Send + Sync + 'static) -> Result<()> {
        if self.workers.run(n_items, work) { Ok(()) } else { Err(Error::Internal("a model has panicked".into()).into()) }
    }

    /// The model of that name, as it is now. Errs if it is not there, is not installed, or cannot be loaded.
    pub fn model(&self, name: &str) -> Result<Arc<Loaded>> {
        let name = own_name(name);
        let model = self.models.get(name).map_err(|error| self.why(name, error))?;
        let mut all = self.loaded.lock();
        let before = all.get(name);
        if let Some(loaded) = before.filter(|loaded| Arc::ptr_eq(&loaded.model, &model)) {
            return Ok(Arc::clone(loaded));
        }
        let counters = before.map_or_else(Arc::default, |loaded| Arc::clone(&loaded.counters));
        let key = model.key().into();
        let loaded = Arc::new(Loaded { model, key, counters, sessions: Mutex::default(), wrong: Mutex::default() });
        all.insert(name.to_owned(), Arc::clone(&loaded));
        Ok(loaded)
    }

    /// A model was dropped: what it needed to run goes with the last query that runs it.
    pub fn forget(&self, name: &str) {
        self.loaded.lock().remove(own_name(name));
    }

    /// Why a model that a statement has made could not be started again; None forgets it.
    pub fn set_not_started(&self, name: &str, why: Option<String>) {
        let mut all = self.not_started.lock();
        match why {
            Some(why) => drop(all.insert(name.to_owned(), why)),
            None => drop(all.remove(name)),
        }
    }

    fn why(&self, name: &str, error: ModelError) -> DataFusionError {
        match self.not_started.lock().get(name) {
            Some(why) => Error::State {
                message: format!("model \"{name}\" could not be started: {why}"),
                hint: Some("It is tried again at the next start; CREATE OR REPLACE MODEL makes it anew.".into()),
            }
            .into(),
            None => error.into(),
        }
    }

    /// Whether another model has taken the name of this one.
    pub(super) fn replaced(&self, loaded: &Loaded) -> bool {
        self.models.get(loaded.name()).is_ok_and(|now| !Arc::ptr_eq(&now, &loaded.model))
    }

    /// Every model there is, in name order, with what it did.
    pub fn catalogue(&self) -> Vec<Shown> {
        let loaded = self.loaded.lock();
        let shown = |listed: Listed| {
            let of = loaded.get(&listed.description.name);
            let counters = of.map_or_else(Arc::default, |l| Arc::clone(&l.counters));
            let wrong = of.and_then(|l| l.wrong.lock().clone());
            Shown { function: caller(&listed.description.name, listed.description.task), listed, counters, wrong }
        };
        self.models.list().into_iter().map(shown).collect()
    }

    /// What the model finds in the picture that `make` gives. With a key it runs once a frame, whoever asks; without (a derived frame) it always runs.
    pub(super) fn find(&self, loaded: &Loaded, key: Option<Key>, make: impl FnOnce() -> Result<Picture>) -> Result<Found> {
        let Some(key) = key else { return loaded.run(&make()?, self.time_limit).map(Arc::new) };
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
        let found = Arc::new(loaded.run(&make()?, self.time_limit)?);
        if let Some(key) = pending.key.take() {
            self.keep(key, &found);
        }
        Ok(found)
    }

    fn keep(&self, key: Key, found: &Found) {
        // The key stands in the map and in the queue; its part is shared.
        let part = key.part.as_ref().map_or(0, |part| part.len() * size_of::<u32>());
        let bytes = 2 * size_of::<Key>() + 64 + part + found.bytes();
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
    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.model.name()
    }

    /// Counts a picture for which its numbers are none, and logs the first of them.
    pub(super) fn failed(&self, source: &str, frame_no: i64, error: &DataFusionError) {
        self.counters.failed.add(1);
        let mut wrong = self.wrong.lock();
        if wrong.is_none() {
            let error = error.find_root();
            *wrong = Some(format!("{error}; the first picture was {source}#{frame_no}"));
            warn!(model = self.name(), source, frame_no, %error, "the results for a picture are NULL; more of them are only counted");
        }
    }

    fn run(&self, picture: &Picture, limit: Duration) -> Result<Output> {
        let free = self.sessions.lock().pop();
        let mut session = free.unwrap_or_else(|| self.model.new_session());
        self.counters.calls.add(1);
        let stopwatch = Stopwatch::start();
        let found = session.infer(picture);
        let took = stopwatch.elapsed();
        self.sessions.lock().push(session);
        if took > limit {
            let message = format!("took {:.3} s for one picture, and the limit is {limit:?}", took.as_secs_f64());
            let hint = "Use a smaller model, or raise FRAMESQL_MODEL_TIME_LIMIT.".to_owned();
            return Err(ModelError::Limit { name: self.name().to_owned(), message, hint }.into());
        }
        found
    }
}
