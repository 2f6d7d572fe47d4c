//! What runs a graph: tract by default, ONNX Runtime where its library is found; one inference uses one thread in both.

mod onnxruntime;
mod tract;

use std::any::Any;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::output::Tensor;

/// The most numbers that an input or an output may have: 256 MB of float4. A graph of more is refused when it is loaded, or when it says so.
pub(crate) const MAX_ELEMENTS: usize = 1 << 26;

/// The most that the arrays of one call may take at once, 1 GB: a server runs several at the same time.
pub(crate) const MAX_BYTES: usize = 1 << 30;

/// The shortest limit that is kept while a graph runs: a thread is not woken more exactly.
const LEAST_LIMIT: Duration = Duration::from_millis(20);

/// Something that loads graphs. Errors are sentences without the model's name.
pub(crate) trait Runtime: Debug + Send + Sync {
    /// Its name: tract or onnxruntime.
    fn name(&self) -> &'static str;
    /// Reads an ONNX file.
    fn load(&self, file: Arc<[u8]>) -> Result<Arc<dyn Graph>, String>;
}

/// The numbers that a graph takes its input in; a picture is made float4 first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Bytes, as graphs of TensorFlow take pixels.
    U8,
}

/// What is said of any other.
const OTHER_NUMBERS: &str = "its input is not of 32-bit or 16-bit floats, nor of bytes";

/// An input as bytes: whole, and as near as there is room.
fn bytes(input: &[f32]) -> Vec<u8> {
    input.iter().map(|value| value.round() as u8).collect()
}

/// A graph with one input, ready to be used from many threads.
pub(crate) trait Graph: Debug + Send + Sync {
    /// What it declares of its input: a length an axis, None where it may be any.
    fn input(&self) -> &[Option<usize>];
    /// What one thread needs to run it.
    fn session(self: Arc<Self>) -> Result<Box<dyn GraphSession>, String>;
}

/// One inference at a time.
pub(crate) trait GraphSession: Send {
    /// Runs the graph on an input of that shape and gives its outputs in their order.
    fn run(&mut self, shape: &[usize], input: &[f32]) -> Result<Vec<Tensor>, String>;
}

/// The default: pure Rust, always there. A graph that runs longer than `limit` is stopped.
pub(crate) fn tract(limit: Duration) -> Arc<dyn Runtime> {
    Arc::new(tract::Tract { limit })
}

/// ONNX Runtime from that library, with the same limit. Errs if it is none, or too old; a process keeps the first library it has loaded.
pub(crate) fn onnxruntime(library: &Path, limit: Duration) -> Result<Arc<dyn Runtime>, String> {
    Ok(Arc::new(guarded(|| onnxruntime::OnnxRuntime::load(library, limit))?))
}

/// Runs `work`, and calls `stop` on another thread if it takes longer than the limit. Where no thread can be started it has none.
fn within<T>(limit: Duration, stop: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
    let (done, waits) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = move || {
            if let Err(RecvTimeoutError::Timeout) = waits.recv_timeout(limit.max(LEAST_LIMIT)) {
                stop();
            }
        };
        // The handle is not needed: the scope waits for it, and it ends with the work.
        let _ = thread::Builder::new().name("limit".into()).spawn_scoped(scope, watch);
        let result = work();
        drop(done);
        result
    })
}

/// What a graph that was stopped errs with.
fn stopped(limit: Duration) -> String {
    format!("it took longer than {limit:?} for one picture")
}

/// Calls into a runtime: a panic inside is an error of this call.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(format!("the runtime has panicked: {}", words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).and_then(|t| t.lines().next()).unwrap_or("without a word")
}

/// Errs for more numbers than one array may have.
fn bounded(what: &str, shape: &[usize]) -> Result<(), String> {
    match shape.iter().try_fold(1_usize, |all, side| all.checked_mul(*side)) {
        Some(all) if all <= MAX_ELEMENTS => Ok(()),
        _ => Err(format!("{what} of shape {shape:?} has more than {MAX_ELEMENTS} numbers")),
    }
}
