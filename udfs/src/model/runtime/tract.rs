//! tract: graphs in pure Rust, optimised once for each shape of the input.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use half::f16;
use parking_lot::Mutex;
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, OutletId, Tensor as TractTensor, TractError,
    TractResult, TypedModel, TypedRunnableModel, tvec,
};
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::plan;
use tract_onnx::tract_hir::infer::{DimFact, Factoid};

use super::super::output::Tensor;
use super::{Graph, GraphSession, MAX_BYTES, Number, OTHER_NUMBERS, Runtime, bounded, bytes, guarded, stopped, within};

/// Plans of one graph that are kept, the last used first: pictures of one model mostly have one shape.
const MAX_PLANS: usize = 8;

#[derive(Debug)]
pub(super) struct Tract {
    pub(super) limit: Duration,
}

#[derive(Debug)]
struct TractGraph {
    model: InferenceModel,
    input: Vec<Option<usize>>,
    number: Number,
    outputs: Vec<String>,
    limit: Duration,
    plans: Mutex<VecDeque<(Vec<usize>, Arc<TypedRunnableModel>)>>,
}

struct TractSession(Arc<TractGraph>);

/// The innermost cause is what was wrong; the others say where.
fn said<T>(result: TractResult<T>) -> Result<T, String> {
    result.map_err(|e| {
        let text = e.root_cause().to_string();
        text.lines().next().unwrap_or_default().trim().trim_end_matches('.').to_owned()
    })
}

impl Runtime for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn load(&self, file: Arc<[u8]>) -> Result<Arc<dyn Graph>, String> {
        let onnx = tract_onnx::onnx();
        let model = said(onnx.model_for_read(&mut Cursor::new(&*file)))?;
        let inputs = said(model.input_outlets())?;
        if inputs.len() != 1 {
            return Err(format!("it has {} inputs, and a picture is one", inputs.len()));
        }
        let fact = said(model.input_fact(0))?;
        let number = match fact.datum_type.concretize() {
            None | Some(DatumType::F32) => Number::F32,
            Some(DatumType::F16) => Number::F16,
            Some(DatumType::U8) => Number::U8,
            Some(_) => return Err(OTHER_NUMBERS.into()),
        };
        let dim = |dim: &DimFact| dim.concretize().and_then(|d| d.to_usize().ok());
        let input = if fact.shape.is_open() { Vec::new() } else { fact.shape.dims().map(dim).collect() };
        let name = |outlet| model.outlet_label(outlet).unwrap_or_default().to_owned();
        let outputs = said(model.output_outlets())?.iter().map(|o| name(*o)).collect();
        Ok(Arc::new(TractGraph { model, input, number, outputs, limit: self.limit, plans: Mutex::default() }))
    }
}

impl Graph for TractGraph {
    fn input(&self) -> &[Option<usize>] {
        &self.input
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn GraphSession>, String> {
        Ok(Box::new(TractSession(self)))
    }
}

impl TractGraph {
    fn plan(&self, shape: &[usize]) -> Result<Arc<TypedRunnableModel>, String> {
        // Held while a plan is made: several threads that start at once wait for one plan instead of making one each.
        let mut plans = self.plans.lock();
        if let Some(at) = plans.iter().position(|(of, _)| of == shape) {
            let found = plans.remove(at).ok_or("a plan has gone")?;
            let plan = Arc::clone(&found.1);
            plans.push_front(found);
            return Ok(plan);
        }
        let fact = InferenceFact::dt_shape(of(self.number), shape.to_vec());
        let typed = said(self.model.clone().with_input_fact(0, fact).and_then(|model| model.into_optimized()))?;
        sizes(&typed)?;
        let plan = said(typed.into_runnable())?;
        plans.push_front((shape.to_vec(), Arc::clone(&plan)));
        plans.truncate(MAX_PLANS);
        Ok(plan)
    }
}

fn of(number: Number) -> DatumType {
    match number {
        Number::F32 => DatumType::F32,
        Number::F16 => DatumType::F16,
        Number::U8 => DatumType::U8,
    }
}

/// Errs for a graph that makes an array of more numbers than one may have, or keeps more than one call may at once.
fn sizes(typed: &TypedModel) -> Result<(), String> {
    for node in &typed.nodes {
        for output in &node.outputs {
            if let Some(shape) = output.fact.shape.as_concrete() {
                bounded(&format!("what {} makes", node.name), shape)?;
            }
        }
    }
    let bytes = kept_at_once(typed)?;
    if bytes > MAX_BYTES {
        let megabytes = |bytes: usize| bytes >> 20;
        return Err(format!("its arrays take {} MB at once, and {} MB are the limit of a call", megabytes(bytes), megabytes(MAX_BYTES)));
    }
    Ok(())
}

/// The bytes of all arrays that are needed at one time, where there are most of them: each from where it is made to where it is last read. Those of an
/// unknown shape, and the weights, which are no call's, count for nothing.
fn kept_at_once(typed: &TypedModel) -> Result<usize, String> {
    let order = said(typed.eval_order())?;
    let outputs = said(typed.output_outlets())?;
    let mut last_read: HashMap<OutletId, usize> = outputs.iter().map(|outlet| (*outlet, usize::MAX)).collect();
    for (step, node) in order.iter().enumerate() {
        for outlet in typed.nodes.get(*node).into_iter().flat_map(|node| &node.inputs) {
            let last = last_read.entry(*outlet).or_default();
            *last = step.max(*last);
        }
    }
    let bytes = |outlet: OutletId| -> usize {
        let Some(node) = typed.nodes.get(outlet.node).filter(|node| !node.inputs.is_empty()) else { return 0 };
        let fact = node.outputs.get(outlet.slot).map(|output| &output.fact);
        fact.and_then(|fact| Some(fact.shape.as_concrete()?.iter().product::<usize>() * fact.datum_type.size_of())).unwrap_or(0)
    };
    let (mut now, mut most) = (0_usize, 0_usize);
    for (step, at) in order.iter().enumerate() {
        let Some(node) = typed.nodes.get(*at) else { continue };
        now += (0..node.outputs.len()).map(|slot| bytes(OutletId::new(*at, slot))).sum::<usize>();
        most = most.max(now);
        let unread = (0..node.outputs.len()).map(|slot| OutletId::new(*at, slot)).filter(|outlet| !last_read.contains_key(outlet));
        let read: HashSet<OutletId> = node.inputs.iter().copied().filter(|outlet| last_read.get(outlet) == Some(&step)).collect();
        now -= unread.chain(read).map(bytes).sum::<usize>();
    }
    Ok(most)
}

/// The same of a file and an input of that shape, for a runtime that does not tell; nothing is known of a graph that tract does not read.
pub(super) fn check_sizes(file: &[u8], shape: &[usize]) -> Result<(), String> {
    let read = || {
        let model = tract_onnx::onnx().model_for_read(&mut Cursor::new(file))?;
        let number = model.input_fact(0)?.datum_type.concretize().unwrap_or(DatumType::F32);
        model.with_input_fact(0, InferenceFact::dt_shape(number, shape.to_vec()))?.into_typed()
    };
    // A panic of tract's says no more than an error of its own.
    guarded(|| said(read())).map_or(Ok(()), |typed| sizes(&typed))
}

impl GraphSession for TractSession {
    fn run(&mut self, shape: &[usize], input: &[f32]) -> Result<Vec<Tensor>, String> {
        let plan = self.0.plan(shape)?;
        let tensor = match self.0.number {
            Number::F32 => said(TractTensor::from_shape(shape, input))?,
            Number::F16 => said(TractTensor::from_shape(shape, input).and_then(|floats| Ok(floats.cast_to::<f16>()?.into_owned())))?,
            Number::U8 => said(TractTensor::from_shape(shape, &bytes(input)))?,
        };
        let over = AtomicBool::new(false);
        let mut state = said(plan.spawn())?;
        let outputs = within(
            self.0.limit,
            || over.store(true, Ordering::Release),
            || {
                state.run_plan_with_eval(tvec![tensor.into()], |context, op, node, inputs| {
                    // Between two steps it can be stopped.
                    if over.load(Ordering::Acquire) { Err(TractError::msg("stopped")) } else { plan::eval(context, op, node, inputs) }
                })
            },
        );
        let outputs = if over.load(Ordering::Acquire) { return Err(stopped(self.0.limit)) } else { said(outputs)? };
        let names = self.0.outputs.iter().map(String::as_str).chain(std::iter::repeat(""));
        let one = |(name, value): (&str, &tract_onnx::prelude::TValue)| {
            bounded(&format!("output {name}"), value.shape())?;
            let floats = said(value.cast_to::<f32>())?;
            let values = said(floats.try_as_plain_ram().and_then(|plain| Ok(plain.as_slice::<f32>()?.to_vec())))?;
            Ok(Tensor { name: name.to_owned(), shape: value.shape().to_vec(), values })
        };
        names.zip(outputs.iter()).map(one).collect()
    }
}
