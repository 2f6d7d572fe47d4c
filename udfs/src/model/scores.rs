//! Whether the scores of a classification model are made shares by softmax: decided once for a model, so that they mean the same from picture to picture.

use arrow::buffer::Buffer;
use prost::Message as _;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto, type_proto};

use super::description::Scores;
use crate::frame::Picture;
use crate::pixels::rgb8;

/// Steps at the end of a graph that change how numbers are laid out or written, and not what they are.
const PASSED: [&str; 10] =
    ["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout", "QuantizeLinear", "DequantizeLinear"];
/// Steps whose numbers are scores already: shares, or one of 0 to 1 a class.
const SCORED: [&str; 3] = ["Softmax", "Sigmoid", "HardSigmoid"];
/// Steps whose numbers are of any size.
const ANY_SIZE: [&str; 5] = ["Gemm", "MatMul", "Conv", "LogSoftmax", "BatchNormalization"];
/// Steps that give the place of a score and not the score.
const PLACES: [&str; 3] = ["ArgMax", "ArgMin", "TopK"];
/// The pixels along each side of the pictures that a model is tried on.
const SIDE: usize = 64;

/// Whether softmax is to be applied, by what the description says, else by the last step of the graph, else by what it gives for some pictures: `tried` gives
/// its numbers for one. Errs for a graph that gives whole numbers.
pub(super) fn softmax(
    said: Option<Scores>,
    file: &[u8],
    tried: impl FnMut(&Picture) -> Option<Vec<f32>>,
) -> Result<bool, (String, &'static str)> {
    let graph = ModelProto::decode(file).ok().and_then(|model| model.graph);
    let last = graph.as_ref().and_then(last);
    let numbers = graph.as_ref().and_then(|graph| graph.output.first()).and_then(numbers);
    let whole =
        last.filter(|step| PLACES.contains(step)).or(numbers.filter(|number| !FLOATS.contains(number)).map(|number| number.as_str_name()));
    if let Some(what) = whole {
        let message = format!("its output is whole numbers ({what}), and a classification model gives one score a class");
        return Err((message, "Export it without its last step, or create it with TASK raw and call infer."));
    }
    Ok(match (said, last) {
        (Some(said), _) => said == Scores::Softmax,
        (None, Some(step)) if SCORED.contains(&step) => false,
        (None, Some(step)) if ANY_SIZE.contains(&step) => true,
        _ => !try_out().iter().map(tried).all(|scores| scores.is_some_and(|scores| shares(&scores))),
    })
}

/// Numbers with fractions, and what does not say.
const FLOATS: [DataType; 5] = [DataType::Undefined, DataType::Float, DataType::Float16, DataType::Double, DataType::Bfloat16];

fn numbers(output: &ValueInfoProto) -> Option<DataType> {
    let type_proto::Value::TensorType(tensor) = output.r#type.as_ref()?.value.as_ref()?;
    DataType::try_from(tensor.elem_type).ok()
}

/// The last step of a graph that makes numbers of others.
fn last(graph: &GraphProto) -> Option<&str> {
    let mut name = &graph.output.first()?.name;
    // No more steps than there are: a damaged graph may go round.
    for _ in &graph.node {
        let step = graph.node.iter().find(|step| step.output.contains(name))?;
        if !PASSED.contains(&step.op_type.as_str()) {
            return Some(&step.op_type);
        }
        name = step.input.first()?;
    }
    None
}

/// Whether scores are from 0 to 1 and together 1, as near as 8 bits have it.
fn shares(scores: &[f32]) -> bool {
    scores.iter().all(|score| (0.0..=1.0).contains(score)) && (scores.iter().sum::<f32>() - 1.0).abs() < 0.01
}

/// Pictures that differ in all that a model might look at.
fn try_out() -> [Picture; 5] {
    let picture = |pixel: fn(usize, usize) -> [u8; 3]| {
        let pixels: Vec<[u8; 3]> = (0..SIDE * SIDE).map(|at| pixel(at % SIDE, at / SIDE)).collect();
        rgb8(SIDE as u32, SIDE as u32, 0, Buffer::from_vec(pixels.into_flattened()))
    };
    [
        picture(|_, _| [128; 3]),
        picture(|_, _| [255; 3]),
        picture(|x, y| [255, 4 * x as u8, 4 * y as u8]),
        picture(|x, y| [(x * 37 + y * 91 + x * y) as u8, (x * 11 + y * 3) as u8, 20]),
        picture(|x, y| if (x / 8 + y / 8) % 2 == 0 { [10, 60, 200] } else { [240, 200, 30] }),
    ]
}
