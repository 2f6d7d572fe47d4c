//! What a model is: its description, the engine's registry of models, and the runtimes that run them.

mod decode;
pub mod description;
pub mod error;
mod input;
pub(crate) mod kernels;
pub mod labels;
pub mod models;
mod network;
pub mod onnx;
pub mod output;
mod runtime;
mod scores;
mod text;
pub mod tfjs;
pub mod yunet;

use std::fmt::Debug;

use datafusion_common::Result;

use crate::frame::Picture;
use description::Task;
use output::Output;

/// A model ready to be used from many threads; what one inference needs is in a session.
pub trait Model: Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &str;
    /// Which release of it, in its authors' words, or a number that goes up when it is replaced.
    fn version(&self) -> &str;
    /// The sha256 of its weights, lower case hex.
    fn sha256(&self) -> &str;
    /// Under which its results are kept: another one for anything that changes them.
    fn key(&self) -> &str {
        self.sha256()
    }
    /// Under which licence the weights may be used (SPDX).
    fn licence(&self) -> &str;
    /// What it is for.
    fn task(&self) -> Task;
    /// What runs it: framesql, tract or onnxruntime.
    fn runtime(&self) -> &'static str;
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
    /// The result, of the kind that the model's task says; detections at or above the floor score. Errs with `pixels::Damaged` if the picture
    /// cannot be decoded (the caller gives NULL for it and goes on) and with `ModelError` if the model fails.
    fn infer(&mut self, picture: &Picture) -> Result<Output>;
}
