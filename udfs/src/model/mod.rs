//! What a model is, and which SQL function runs which model.

mod kernels;
mod network;
pub mod yunet;

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

use datafusion_common::Result;

use crate::detection::Detection;
use crate::frame::Picture;

/// A model ready to be used from many threads; what one inference needs is in a session.
pub trait Model: Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &str;
    /// Which release of it, in its authors' words.
    fn version(&self) -> &str;
    /// The sha256 of its weights, lower case hex: results are kept under it.
    fn sha256(&self) -> &str;
    /// Under which licence the weights may be used (SPDX).
    fn licence(&self) -> &str;
    /// The size at which it looks at a picture of that size, before padding.
    fn input_size(&self, width: u32, height: u32) -> (u32, u32);
    /// The least score that `infer` gives; every threshold above it is a filter on the same result.
    fn floor_score(&self) -> f32;
    /// The threshold where the query names none.
    fn default_score(&self) -> f32;
    /// Buffers for one inference at a time.
    fn new_session(&self) -> Box<dyn Session>;
}

/// One inference at a time.
pub trait Session: Send {
    /// The detections at or above the floor score, the highest first, in pixels of the picture as displayed. Errs with
    /// `pixels::Damaged` if the picture cannot be decoded: the caller gives NULL for it and goes on.
    fn infer(&mut self, picture: &Picture) -> Result<Vec<Detection>>;
}

/// The model behind a SQL function; None if the function runs none.
pub fn model_of(function: &str) -> Option<Arc<dyn Model>> {
    static FACES: LazyLock<Arc<dyn Model>> = LazyLock::new(|| Arc::new(yunet::YuNet::embedded()));
    match function {
        "detect_faces" => Some(Arc::clone(&FACES)),
        _ => None,
    }
}

/// The detections at or above a score, in the order given. Of what `infer` gives at its floor score this makes what it would give at
/// `min_score`: greedy NMS lets only a higher score suppress a box, so the boxes below a threshold never decide about those above it.
pub fn keep_above(all: &[Detection], min_score: f32) -> Vec<Detection> {
    all.iter().filter(|d| d.score >= min_score).cloned().collect()
}
