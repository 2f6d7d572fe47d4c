//! ONNX Runtime, from a library that is found at start; nothing of it is linked.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use half::f16;
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{Tensor as OrtTensor, TensorElementType, TensorRef, ValueType};
use parking_lot::Mutex;

use super::super::output::Tensor;
use super::{Graph, GraphSession, Number, OTHER_NUMBERS, Runtime, bounded, bytes, stopped, tract, within};

/// The library allows one environment a process, for as long as the process lives: it is no state of an engine, as the code it was loaded with is none.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

pub(super) struct OnnxRuntime {
    environment: Environment,
    limit: Duration,
}

impl fmt::Debug for OnnxRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxRuntime").finish_non_exhaustive()
    }
}

struct OrtGraph {
    environment: Environment,
    limit: Duration,
    file: Arc<[u8]>,
    /// Whether what it makes of its first input is known to have room.
    bounded: Mutex<bool>,
    input: Vec<Option<usize>>,
    number: Number,
    /// The session that was opened to look at the graph: the first who asks gets it.
    first: Mutex<Option<Session>>,
}

impl fmt::Debug for OrtGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrtGraph").field("input", &self.input).finish_non_exhaustive()
    }
}

struct OrtSession {
    graph: Arc<OrtGraph>,
    session: Session,
}

fn said<T, R>(result: Result<T, ort::Error<R>>) -> Result<T, String> {
    result.map_err(|e| e.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned())
}

impl OnnxRuntime {
    pub(super) fn load(library: &Path, limit: Duration) -> Result<OnnxRuntime, String> {
        let mut environment = ENVIRONMENT.lock();
        if let Some(environment) = &*environment {
            return Ok(OnnxRuntime { environment: environment.clone(), limit });
        }
        let builder = ort::init_from(library).map_err(|e| e.to_string())?;
        // What it would write to the terminal comes back as an error of the call.
        let built = said(builder.with_name("framesql").with_telemetry(false).with_logger(Arc::new(|_, _, _, _, _| {})).build())?;
        *environment = Some(built.clone());
        Ok(OnnxRuntime { environment: built, limit })
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
        let (number, shape) = match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => (Number::F32, shape),
            ValueType::Tensor { ty: TensorElementType::Float16, shape, .. } => (Number::F16, shape),
            ValueType::Tensor { ty: TensorElementType::Uint8, shape, .. } => (Number::U8, shape),
            _ => return Err(OTHER_NUMBERS.into()),
        };
        let input = shape.iter().map(|side| usize::try_from(*side).ok()).collect();
        let (environment, first) = (self.environment.clone(), Mutex::new(Some(session)));
        Ok(Arc::new(OrtGraph { environment, limit: self.limit, file, bounded: Mutex::new(false), input, number, first }))
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
        Ok(Box::new(OrtSession { graph: self, session }))
    }
}

impl OrtGraph {
    /// Errs if an array that it makes of such an input has more numbers than one may have: ONNX Runtime would take the memory and say nothing.
    fn check(&self, shape: &[usize]) -> Result<(), String> {
        let mut known = self.bounded.lock();
        if !*known {
            tract::check_sizes(&self.file, shape)?;
            *known = true;
        }
        Ok(())
    }
}

impl GraphSession for OrtSession {
    fn run(&mut self, shape: &[usize], input: &[f32]) -> Result<Vec<Tensor>, String> {
        self.graph.check(shape)?;
        let tensor: SessionInputValue<'_> = match self.graph.number {
            Number::F32 => said(TensorRef::from_array_view((shape.to_vec(), input)))?.into(),
            Number::F16 => {
                let halves: Vec<f16> = input.iter().map(|value| f16::from_f32(*value)).collect();
                said(OrtTensor::from_array((shape.to_vec(), halves)))?.into()
            }
            Number::U8 => said(OrtTensor::from_array((shape.to_vec(), bytes(input))))?.into(),
        };
        let (options, over) = (said(RunOptions::new())?, AtomicBool::new(false));
        let stop = || {
            over.store(true, Ordering::Release);
            // It errs for nothing that could be done about it.
            let _ = options.terminate();
        };
        let outputs = within(self.graph.limit, stop, || said(self.session.run_with_options(ort::inputs![tensor], &options)));
        let outputs = if over.load(Ordering::Acquire) { return Err(stopped(self.graph.limit)) } else { outputs? };
        let one = |(name, value): (&str, ort::value::ValueRef<'_>)| {
            let ValueType::Tensor { ty, shape, .. } = value.dtype() else { return Err(format!("output {name} is no array of numbers")) };
            let shape: Vec<usize> = shape.iter().map(|side| usize::try_from(*side).unwrap_or(0)).collect();
            bounded(&format!("output {name}"), &shape)?;
            let values = match ty {
                TensorElementType::Float32 => said(value.try_extract_tensor::<f32>())?.1.to_vec(),
                TensorElementType::Float16 => said(value.try_extract_tensor::<f16>())?.1.iter().map(|v| v.to_f32()).collect(),
                TensorElementType::Float64 => said(value.try_extract_tensor::<f64>())?.1.iter().map(|v| *v as f32).collect(),
                TensorElementType::Int64 => said(value.try_extract_tensor::<i64>())?.1.iter().map(|v| *v as f32).collect(),
                TensorElementType::Int32 => said(value.try_extract_tensor::<i32>())?.1.iter().map(|v| *v as f32).collect(),
                TensorElementType::Uint8 => said(value.try_extract_tensor::<u8>())?.1.iter().map(|v| f32::from(*v)).collect(),
                other => return Err(format!("output {name} is of {other}, which is not read")),
            };
            Ok(Tensor { name: name.to_owned(), shape, values })
        };
        outputs.iter().map(one).collect()
    }
}
