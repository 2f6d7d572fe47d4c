//! ONNX Runtime, from a library that is found at start; nothing of it is linked.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRef, ValueType};
use parking_lot::Mutex;

use super::super::output::Tensor;
use super::{Graph, GraphSession, Runtime, bounded};

/// The library allows one environment a process, for as long as the process lives: it is no state of an engine, as the code it was loaded with is none.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

pub(super) struct OnnxRuntime {
    environment: Environment,
}

impl fmt::Debug for OnnxRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxRuntime").finish_non_exhaustive()
    }
}

struct OrtGraph {
    environment: Environment,
    file: Arc<[u8]>,
    input: Vec<Option<usize>>,
    /// The session that was opened to look at the graph: the first who asks gets it.
    first: Mutex<Option<Session>>,
}

impl fmt::Debug for OrtGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrtGraph").field("input", &self.input).finish_non_exhaustive()
    }
}

struct OrtSession(Session);

fn said<T, R>(result: Result<T, ort::Error<R>>) -> Result<T, String> {
    result.map_err(|e| e.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned())
}

impl OnnxRuntime {
    pub(super) fn load(library: &Path) -> Result<OnnxRuntime, String> {
        let mut environment = ENVIRONMENT.lock();
        if let Some(environment) = &*environment {
            return Ok(OnnxRuntime { environment: environment.clone() });
        }
        let builder = ort::init_from(library).map_err(|e| e.to_string())?;
        // What it would write to the terminal comes back as an error of the call.
        let built = said(builder.with_name("framesql").with_telemetry(false).with_logger(Arc::new(|_, _, _, _, _| {})).build())?;
        *environment = Some(built.clone());
        Ok(OnnxRuntime { environment: built })
    }
}

fn open(environment: &Environment, file: &[u8]) -> Result<Session, String> {
    let builder = said(Session::builder(environment))?;
    let builder = said(builder.with_optimization_level(GraphOptimizationLevel::Level3))?;
    let builder = said(builder.with_intra_threads(1))?;
    let mut builder = said(builder.with_inter_threads(1))?;
    said(builder.commit_from_memory(file))
}

impl Runtime for OnnxRuntime {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn load(&self, file: Arc<[u8]>) -> Result<Arc<dyn Graph>, String> {
        let session = open(&self.environment, &file)?;
        let [outlet] = session.inputs() else {
            return Err(format!("it has {} inputs, and a picture is one", session.inputs().len()));
        };
        let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = outlet.dtype() else {
            return Err("its input is not of 32-bit floats".into());
        };
        let input = shape.iter().map(|side| usize::try_from(*side).ok()).collect();
        Ok(Arc::new(OrtGraph { environment: self.environment.clone(), file, input, first: Mutex::new(Some(session)) }))
    }
}

impl Graph for OrtGraph {
    fn input(&self) -> &[Option<usize>] {
        &self.input
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn GraphSession>, String> {
        let first = self.first.lock().take();
        let session = match first {
            Some(session) => session,
            None => open(&self.environment, &self.file)?,
        };
        Ok(Box::new(OrtSession(session)))
    }
}

impl GraphSession for OrtSession {
    fn run(&mut self, shape: &[usize], input: &[f32]) -> Result<Vec<Tensor>, String> {
        let tensor = said(TensorRef::from_array_view((shape.to_vec(), input)))?;
        let outputs = said(self.0.run(ort::inputs![tensor]))?;
        let one = |(name, value): (&str, ort::value::ValueRef<'_>)| {
            let ValueType::Tensor { ty, shape, .. } = value.dtype() else { return Err(format!("output {name} is no array of numbers")) };
            let shape: Vec<usize> = shape.iter().map(|side| usize::try_from(*side).unwrap_or(0)).collect();
            bounded(&format!("output {name}"), &shape)?;
            let values = match ty {
                TensorElementType::Float32 => said(value.try_extract_tensor::<f32>())?.1.to_vec(),
                TensorElementType::Float64 => said(value.try_extract_tensor::<f64>())?.1.iter().map(|v| *v as f32).collect(),
                TensorElementType::Int64 => said(value.try_extract_tensor::<i64>())?.1.iter().map(|v| *v as f32).collect(),
                TensorElementType::Int32 => said(value.try_extract_tensor::<i32>())?.1.iter().map(|v| *v as f32).collect(),
                other => return Err(format!("output {name} is of {other}, which is not read")),
            };
            Ok(Tensor { name: name.to_owned(), shape, values })
        };
        outputs.iter().map(one).collect()
    }
}
