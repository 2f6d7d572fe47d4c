//! One operation of TensorFlow as operations of ONNX: arithmetic and shapes here, those over pictures in `picture`.

use super::array::{Array, Data};
use super::file::Node;
use super::picture;
use super::writer::{Attribute, TO_ONNX, TO_TENSORFLOW, Value, Writer};
use super::{Result, wrong};

/// Writes a node whose inputs are written.
pub(super) fn write(node: &Node, writer: &mut Writer) -> Result<()> {
    let made = match node.op.as_str() {
        "Identity" | "StopGradient" | "PreventGradient" => writer.get(node.input(0)?)?.clone(),
        "Relu" | "Relu6" | "LeakyRelu" | "Elu" | "Sigmoid" | "Tanh" | "Softplus" | "Abs" | "Neg" | "Exp" | "Sqrt" | "Square" | "Rsqrt" => {
            let (name, turned) = tensor(node.input(0)?, writer)?;
            Value::Tensor { name: activation(&node.op, name, None, node.float("alpha"), writer)?, turned }
        }
        "Add" | "AddV2" | "BiasAdd" => binary(node, writer, "Add", |a, b| a + b, |a, b| a + b)?,
        "Sub" => binary(node, writer, "Sub", |a, b| a - b, |a, b| a - b)?,
        "Mul" => binary(node, writer, "Mul", |a, b| a * b, |a, b| a * b)?,
        "Maximum" => binary(node, writer, "Max", i64::max, f32::max)?,
        "Minimum" => binary(node, writer, "Min", i64::min, f32::min)?,
        "RealDiv" | "Div" => binary(node, writer, "Div", |a, b| a.checked_div(b).unwrap_or(0), |a, b| a / b)?,
        "MatMul" | "_FusedMatMul" => product(node, writer)?,
        "Softmax" => plain(writer.plain(node.input(0)?)?, |name| writer.node("Softmax", vec![name], &[("axis", Attribute::Int(-1))])),
        "Reshape" => reshape(node, writer)?,
        "Squeeze" => squeeze(node, writer)?,
        "ExpandDims" => {
            let axes = writer.initializer(Array::list(vec![axis(node, 1, writer)?]));
            plain(writer.plain(node.input(0)?)?, |name| writer.node("Unsqueeze", vec![name, axes], &[]))
        }
        "Transpose" => transpose(node, writer)?,
        "ConcatV2" => concat(node, writer)?,
        "Split" | "SplitV" => return split(node, writer),
        "Mean" | "Sum" | "Max" | "Min" => reduce(node, writer)?,
        "Pad" | "PadV2" => pad(node, writer)?,
        "SparseToDense" => Value::Constant(dense(node, writer)?),
        "Conv2D" | "_FusedConv2D" => picture::convolution(node, writer, false)?,
        "DepthwiseConv2dNative" | "FusedDepthwiseConv2dNative" => picture::convolution(node, writer, true)?,
        "MaxPool" | "AvgPool" => picture::pool(node, writer)?,
        "ResizeBilinear" | "ResizeNearestNeighbor" => picture::resize(node, writer)?,
        other => return wrong(format!("the operation {other} of {} is not known", node.name)),
    };
    writer.put(&node.name, made);
    Ok(())
}

/// The tensor of a value as it lies.
fn tensor(value: &str, writer: &mut Writer) -> Result<(String, bool)> {
    match writer.get(value)?.clone() {
        Value::Tensor { name, turned } => Ok((name, turned)),
        Value::Constant(_) => Ok((writer.plain(value)?, false)),
    }
}

fn plain(input: String, write: impl FnOnce(String) -> String) -> Value {
    Value::Tensor { name: write(input), turned: false }
}

/// What follows a sum: by TensorFlow's name. `slope` is PRelu's.
pub(super) fn activation(op: &str, input: String, slope: Option<String>, alpha: Option<f32>, writer: &mut Writer) -> Result<String> {
    Ok(match op {
        "Relu" | "Sigmoid" | "Tanh" | "Softplus" | "Abs" | "Neg" | "Exp" | "Sqrt" => writer.node(op, vec![input], &[]),
        "Relu6" => {
            let (least, most) = (writer.initializer(Array::scalar(0.0)), writer.initializer(Array::scalar(6.0)));
            writer.node("Clip", vec![input, least, most], &[])
        }
        "LeakyRelu" => writer.node("LeakyRelu", vec![input], &[("alpha", Attribute::Float(alpha.unwrap_or(0.2)))]),
        "Elu" => writer.node("Elu", vec![input], &[]),
        "Square" => writer.node("Mul", vec![input.clone(), input], &[]),
        "Rsqrt" => {
            let root = writer.node("Sqrt", vec![input], &[]);
            writer.node("Reciprocal", vec![root], &[])
        }
        "Prelu" => match slope {
            Some(slope) => writer.node("PRelu", vec![input, slope], &[]),
            None => return wrong("a Prelu has no slope"),
        },
        other => return wrong(format!("the activation {other} is not known")),
    })
}

fn binary(node: &Node, writer: &mut Writer, op: &str, ints: fn(i64, i64) -> i64, floats: fn(f32, f32) -> f32) -> Result<Value> {
    let (left, right) = (node.input(0)?.to_owned(), node.input(1)?.to_owned());
    let turned = match (writer.get(&left)?, writer.get(&right)?) {
        (Value::Constant(a), Value::Constant(b)) => match a.combined(b, ints, floats) {
            Some(constant) => return Ok(Value::Constant(constant)),
            None => false,
        },
        (Value::Tensor { turned: a, .. }, Value::Tensor { turned: b, .. }) => *a && *b,
        // A constant is turned with the picture if it can be.
        (Value::Tensor { turned, .. }, Value::Constant(constant)) | (Value::Constant(constant), Value::Tensor { turned, .. }) => {
            *turned && beside_a_picture(constant).is_some()
        }
    };
    let mut side = |value: &str| match (turned, writer.get(value)?) {
        (true, Value::Constant(constant)) => match beside_a_picture(constant) {
            Some(constant) => Ok(writer.initializer(constant?)),
            None => writer.plain(value),
        },
        (true, Value::Tensor { .. }) => writer.picture(value),
        (false, _) => writer.plain(value),
    };
    let inputs = vec![side(&left)?, side(&right)?];
    Ok(Value::Tensor { name: writer.node(op, inputs, &[]), turned })
}

/// A constant as it goes with a turned picture; None if it has another rank.
fn beside_a_picture(constant: &Array) -> Option<Result<Array>> {
    match constant.shape.as_slice() {
        _ if constant.len() == 1 => Some(constant.clone().shaped(Vec::new())),
        [depth] => Some(constant.clone().shaped(vec![*depth, 1, 1])),
        [_, _, _, _] => Some(constant.turned(&TO_ONNX)),
        _ => None,
    }
}

/// A matrix product with what is fused into it.
fn product(node: &Node, writer: &mut Writer) -> Result<Value> {
    let mut sides = Vec::new();
    for (at, flag) in ["transpose_a", "transpose_b"].into_iter().enumerate() {
        let name = writer.plain(node.input(at)?)?;
        let turned = node.flag(flag);
        sides.push(if turned { writer.node("Transpose", vec![name], &[("perm", Attribute::Ints(vec![1, 0]))]) } else { name });
    }
    let made = writer.node("MatMul", sides, &[]);
    let name = fused(node, made, 2, false, writer)?;
    Ok(Value::Tensor { name, turned: false })
}

/// The operations that are fused behind a sum; their inputs follow from `at`.
pub(super) fn fused(node: &Node, mut made: String, mut at: usize, turned: bool, writer: &mut Writer) -> Result<String> {
    for op in node.words("fused_ops") {
        let mut constant = |writer: &mut Writer| {
            let value = node.input(at)?.to_owned();
            at += 1;
            if !turned {
                return writer.plain(&value);
            }
            match beside_a_picture(writer.known(&value)?) {
                Some(constant) => Ok(writer.initializer(constant?)),
                None => wrong(format!("{value} does not go with a picture")),
            }
        };
        made = match op.as_str() {
            "BiasAdd" => {
                let bias = constant(writer)?;
                writer.node("Add", vec![made, bias], &[])
            }
            "Prelu" => {
                let slope = constant(writer)?;
                activation("Prelu", made, Some(slope), None, writer)?
            }
            other => activation(other, made, None, node.float("leakyrelu_alpha"), writer)?,
        };
    }
    Ok(made)
}

fn reshape(node: &Node, writer: &mut Writer) -> Result<Value> {
    let shape = writer.known(node.input(1)?)?.ints()?;
    if let Value::Constant(array) = writer.get(node.input(0)?)?
        && let Some(sides) = shape.iter().map(|side| usize::try_from(*side).ok()).collect::<Option<Vec<_>>>()
    {
        return Ok(Value::Constant(array.clone().shaped(sides)?));
    }
    let shape = writer.initializer(Array::list(shape));
    Ok(plain(writer.plain(node.input(0)?)?, |name| writer.node("Reshape", vec![name, shape], &[])))
}

fn squeeze(node: &Node, writer: &mut Writer) -> Result<Value> {
    let mut inputs = vec![writer.plain(node.input(0)?)?];
    let axes = node.ints("squeeze_dims");
    if !axes.is_empty() {
        inputs.push(writer.initializer(Array::list(axes)));
    }
    Ok(Value::Tensor { name: writer.node("Squeeze", inputs, &[]), turned: false })
}

fn transpose(node: &Node, writer: &mut Writer) -> Result<Value> {
    let order = writer.known(node.input(1)?)?.ints()?;
    let is = |wanted: [usize; 4]| order.iter().copied().eq(wanted.iter().map(|axis| *axis as i64));
    Ok(match writer.get(node.input(0)?)?.clone() {
        Value::Constant(array) => Value::Constant(array.turned(&order.iter().map(|axis| *axis as usize).collect::<Vec<_>>())?),
        // It already lies as it shall.
        Value::Tensor { name, turned: true } if is(TO_ONNX) => Value::Tensor { name, turned: false },
        Value::Tensor { name, turned: false } if is(TO_TENSORFLOW) => Value::Tensor { name, turned: true },
        Value::Tensor { .. } => {
            plain(writer.plain(node.input(0)?)?, |name| writer.node("Transpose", vec![name], &[("perm", Attribute::Ints(order.clone()))]))
        }
    })
}

/// An axis that an input names.
fn axis(node: &Node, at: usize, writer: &Writer) -> Result<i64> {
    match writer.known(node.input(at)?)?.ints()?.as_slice() {
        [axis] => Ok(*axis),
        _ => wrong(format!("{} {} names no axis", node.op, node.name)),
    }
}

/// Where an axis of a picture is when it is turned; None for what is none.
fn turned_axis(axis: i64) -> Option<i64> {
    let axis = if axis < 0 { axis + 4 } else { axis };
    TO_ONNX.iter().position(|of| *of as i64 == axis).map(|at| at as i64)
}

fn concat(node: &Node, writer: &mut Writer) -> Result<Value> {
    let Some((last, parts)) = node.inputs.split_last() else { return wrong(format!("{} has no inputs", node.name)) };
    let axis = match writer.known(last)?.ints()?.as_slice() {
        [axis] => *axis,
        _ => return wrong(format!("{} names no axis", node.name)),
    };
    let mut pictures = true;
    for part in parts {
        pictures &= matches!(writer.get(part)?, Value::Tensor { turned: true, .. });
    }
    let (turned, axis) = match turned_axis(axis) {
        Some(turned) if pictures => (true, turned),
        _ => (false, axis),
    };
    let names = parts.iter().map(|part| if turned { writer.picture(part) } else { writer.plain(part) }).collect::<Result<Vec<_>>>()?;
    Ok(Value::Tensor { name: writer.node("Concat", names, &[("axis", Attribute::Int(axis))]), turned })
}

/// Split has its axis first and parts of one size; SplitV the sizes and then the axis.
fn split(node: &Node, writer: &mut Writer) -> Result<()> {
    let sized = node.op == "SplitV";
    let (value, at) = if sized { (0, 2) } else { (1, 0) };
    let axis = axis(node, at, writer)?;
    let sizes = if sized { Some(writer.known(node.input(1)?)?.ints()?) } else { None };
    let (name, turned) = tensor(node.input(value)?, writer)?;
    let (name, turned, axis) = match turned_axis(axis) {
        Some(turned_axis) if turned => (name, true, turned_axis),
        _ => (writer.plain(node.input(value)?)?, false, axis),
    };
    let n = sizes.as_ref().map_or(node.int("num_split"), |sizes| i64::try_from(sizes.len()).ok());
    let Some(n) = n.and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=4096).contains(n)) else {
        return wrong(format!("{} does not say into how many parts", node.name));
    };
    let mut inputs = vec![name];
    inputs.extend(sizes.map(|sizes| writer.initializer(Array::list(sizes))));
    for (at, name) in writer.several("Split", inputs, n, &[("axis", Attribute::Int(axis))]).into_iter().enumerate() {
        let value = if at == 0 { node.name.clone() } else { format!("{}:{at}", node.name) };
        writer.put(&value, Value::Tensor { name, turned });
    }
    Ok(())
}

fn reduce(node: &Node, writer: &mut Writer) -> Result<Value> {
    let axes = writer.known(node.input(1)?)?.ints()?;
    let keep = node.flag("keep_dims");
    let (name, turned) = tensor(node.input(0)?, writer)?;
    let turned_axes: Option<Vec<i64>> = axes.iter().map(|axis| turned_axis(*axis)).collect();
    // What stays of a picture without its rows and columns is a vector a picture, and lies in both ways alike.
    let whole = axes.iter().all(|axis| matches!(axis, 1 | 2 | -2 | -3)) && axes.len() == 2;
    let (name, axes, turned) = match turned_axes {
        Some(turned_axes) if turned && (keep || whole) => (name, turned_axes, keep),
        _ => (writer.plain(node.input(0)?)?, axes, false),
    };
    let keep = ("keepdims", Attribute::Int(i64::from(keep)));
    let made = match node.op.as_str() {
        // From operators 13 the axes of a sum are an input; those of the others are an attribute until 18.
        "Sum" => {
            let axes = writer.initializer(Array::list(axes));
            writer.node("ReduceSum", vec![name, axes], &[keep])
        }
        other => writer.node(&format!("Reduce{other}"), vec![name], &[("axes", Attribute::Ints(axes)), keep]),
    };
    Ok(Value::Tensor { name: made, turned })
}

fn pad(node: &Node, writer: &mut Writer) -> Result<Value> {
    let widths = writer.known(node.input(1)?)?.ints()?;
    let (name, turned) = tensor(node.input(0)?, writer)?;
    let mut pairs: Vec<&[i64]> = widths.chunks_exact(2).collect();
    if turned {
        let [a, b, c, d] = pairs.as_slice() else { return wrong(format!("{} does not pad a picture", node.name)) };
        pairs = vec![*a, *d, *b, *c];
    }
    let before = pairs.iter().filter_map(|pair| pair.first().copied());
    let after = pairs.iter().filter_map(|pair| pair.last().copied());
    let mut inputs = vec![name, writer.initializer(Array::list(before.chain(after).collect()))];
    if node.op == "PadV2" {
        let constant = writer.known(node.input(2)?)?.clone().shaped(Vec::new())?;
        inputs.push(writer.initializer(constant));
    }
    Ok(Value::Tensor { name: writer.node("Pad", inputs, &[]), turned })
}

/// A list of constants given by its places: as graphs that were ONNX once have their shapes.
fn dense(node: &Node, writer: &Writer) -> Result<Array> {
    let (places, shape) = (writer.known(node.input(0)?)?.ints()?, writer.known(node.input(1)?)?.ints()?);
    let (values, rest) = (writer.known(node.input(2)?)?.ints()?, writer.known(node.input(3)?)?.ints()?);
    let ([n], [rest]) = (shape.as_slice(), rest.as_slice()) else { return wrong(format!("{} makes no list", node.name)) };
    let Some(n) = usize::try_from(*n).ok().filter(|n| *n <= 4096) else { return wrong(format!("{} is too long", node.name)) };
    let mut list = vec![*rest; n];
    for (at, place) in places.iter().enumerate() {
        let value = if values.len() == 1 { values.first() } else { values.get(at) };
        let slot = usize::try_from(*place).ok().and_then(|place| list.get_mut(place));
        match (slot, value) {
            (Some(slot), Some(value)) => *slot = *value,
            _ => return wrong(format!("{} names a place that it does not have", node.name)),
        }
    }
    Ok(Array { shape: vec![n], data: Data::Ints(list) })
}
