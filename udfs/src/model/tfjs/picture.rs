//! The operations over pictures: convolutions, pools and resizing, which ONNX knows only with the depth before the rows.

use super::array::Array;
use super::file::Node;
use super::operation::fused;
use super::writer::{Attribute, Value, Writer};
use super::{Result, wrong};

/// A convolution, with what is fused behind it. The kernel is rows, columns, depth in, depth out; if depthwise, depth and how many are made of each.
pub(super) fn convolution(node: &Node, writer: &mut Writer, depthwise: bool) -> Result<Value> {
    rows_first(node)?;
    let kernel = writer.known(node.input(1)?)?;
    let [rows, columns, depth, made] = *kernel.shape.as_slice() else {
        return wrong(format!("the kernel of {} has the shape {:?}", node.name, kernel.shape));
    };
    let (kernel, groups) = match depthwise {
        true => (kernel.turned(&[2, 3, 0, 1])?.shaped(vec![depth * made, 1, rows, columns])?, depth),
        false => (kernel.turned(&[3, 2, 0, 1])?, 1),
    };
    let inputs = vec![writer.picture(node.input(0)?)?, writer.initializer(kernel)];
    let dilations = match node.ints("dilations").as_slice() {
        [_, down, across, _] => vec![*down, *across],
        _ => vec![1, 1],
    };
    let attributes = [
        ("strides", Attribute::Ints(strides(node)?)),
        ("dilations", Attribute::Ints(dilations)),
        ("group", Attribute::Int(groups as i64)),
        padding(node)?,
    ];
    let sum = writer.node("Conv", inputs, &attributes);
    Ok(Value::Tensor { name: fused(node, sum, 2, true, writer)?, turned: true })
}

pub(super) fn pool(node: &Node, writer: &mut Writer) -> Result<Value> {
    rows_first(node)?;
    let window = match node.ints("ksize").as_slice() {
        [1, down, across, 1] => vec![*down, *across],
        other => return wrong(format!("{} has a window of {other:?}", node.name)),
    };
    let op = if node.op == "MaxPool" { "MaxPool" } else { "AveragePool" };
    let attributes = [("kernel_shape", Attribute::Ints(window)), ("strides", Attribute::Ints(strides(node)?)), padding(node)?];
    let input = writer.picture(node.input(0)?)?;
    Ok(Value::Tensor { name: writer.node(op, vec![input], &attributes), turned: true })
}

pub(super) fn resize(node: &Node, writer: &mut Writer) -> Result<Value> {
    let size = writer.known(node.input(1)?)?.ints()?;
    let input = writer.picture(node.input(0)?)?;
    // How many pictures there are, and how deep, is asked of the picture.
    let shape = writer.node("Shape", vec![input.clone()], &[]);
    let (from, to) = (writer.initializer(Array::list(vec![0])), writer.initializer(Array::list(vec![2])));
    let kept = writer.node("Slice", vec![shape, from, to], &[]);
    let size = writer.initializer(Array::list(size));
    let sizes = writer.node("Concat", vec![kept, size], &[("axis", Attribute::Int(0))]);
    let bilinear = node.op == "ResizeBilinear";
    let places = match (node.flag("align_corners"), node.flag("half_pixel_centers")) {
        (true, _) => "align_corners",
        (false, true) => "half_pixel",
        (false, false) => "asymmetric",
    };
    let mut attributes = vec![
        ("mode", Attribute::Word(if bilinear { "linear" } else { "nearest" })),
        ("coordinate_transformation_mode", Attribute::Word(places)),
    ];
    if !bilinear {
        attributes.push(("nearest_mode", Attribute::Word("floor")));
    }
    let name = writer.node("Resize", vec![input, String::new(), String::new(), sizes], &attributes);
    Ok(Value::Tensor { name, turned: true })
}

/// Errs unless the depth is last, as in all models made for browsers.
fn rows_first(node: &Node) -> Result<()> {
    match node.word("data_format").as_deref() {
        None | Some("NHWC") => Ok(()),
        Some(other) => wrong(format!("{} has its axes in the order {other}", node.name)),
    }
}

fn strides(node: &Node) -> Result<Vec<i64>> {
    match node.ints("strides").as_slice() {
        [1, down, across, 1] => Ok(vec![*down, *across]),
        other => wrong(format!("{} has strides of {other:?}", node.name)),
    }
}

fn padding(node: &Node) -> Result<(&'static str, Attribute<'static>)> {
    match node.word("padding").as_deref() {
        Some("SAME") => Ok(("auto_pad", Attribute::Word("SAME_UPPER"))),
        Some("VALID") => Ok(("pads", Attribute::Ints(vec![0; 4]))),
        Some("EXPLICIT") => match node.ints("explicit_paddings").as_slice() {
            [0, 0, top, bottom, left, right, 0, 0] => Ok(("pads", Attribute::Ints(vec![*top, *left, *bottom, *right]))),
            other => wrong(format!("{} has a padding of {other:?}", node.name)),
        },
        other => wrong(format!("{} has the padding {}", node.name, other.unwrap_or("of nobody"))),
    }
}
