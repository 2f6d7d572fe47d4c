//! ONNX files of a few nodes, written for the tests: what they give for a picture can be said by heart.

use prost::Message as _;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

/// A graph that grows node by node.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<pb::NodeProto>,
    initializers: Vec<pb::TensorProto>,
}

impl Graph {
    /// A constant of floats.
    pub(crate) fn floats(&mut self, name: &str, shape: &[i64], values: &[f32]) -> String {
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, shape, DataType::Float, raw_data)
    }

    /// A list of whole numbers.
    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, &[values.len() as i64], DataType::Int64, raw_data)
    }

    fn constant(&mut self, name: &str, shape: &[i64], data_type: DataType, raw_data: Vec<u8>) -> String {
        let (name, dims, data_type) = (name.to_owned(), shape.to_vec(), data_type as i32);
        self.initializers.push(pb::TensorProto { name: name.clone(), dims, data_type, raw_data, ..Default::default() });
        name
    }

    /// A node of one output of that name; attributes are lists of whole numbers, or one.
    pub(crate) fn node(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> String {
        let attribute = |(name, values): &(&str, &[i64])| {
            let name = (*name).to_owned();
            match values {
                [one] if !matches!(name.as_str(), "axes") => {
                    pb::AttributeProto { name, r#type: AttributeType::Int as i32, i: *one, ..Default::default() }
                }
                all => pb::AttributeProto { name, r#type: AttributeType::Ints as i32, ints: all.to_vec(), ..Default::default() },
            }
        };
        self.nodes.push(pb::NodeProto {
            op_type: op.to_owned(),
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes.iter().map(attribute).collect(),
            ..Default::default()
        });
        output.to_owned()
    }

    /// The file: `picture` of that shape in, in floats, those outputs out.
    pub(crate) fn file(self, shape: &[i64], outputs: &[&str]) -> Vec<u8> {
        self.file_of(DataType::Float, shape, outputs)
    }

    fn file_of(self, number: DataType, shape: &[i64], outputs: &[&str]) -> Vec<u8> {
        let info = |name: &str, of: DataType, shape: Option<pb::TensorShapeProto>| {
            let tensor = pb::type_proto::Tensor { elem_type: of as i32, shape };
            let kind = pb::TypeProto { value: Some(pb::type_proto::Value::TensorType(tensor)), ..Default::default() };
            pb::ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..Default::default() }
        };
        let dim = |side: &i64| {
            let value = Some(pb::tensor_shape_proto::dimension::Value::DimValue(*side));
            pb::tensor_shape_proto::Dimension { value, ..Default::default() }
        };
        let graph = pb::GraphProto {
            name: "test".to_owned(),
            node: self.nodes,
            initializer: self.initializers,
            input: vec![info("picture", number, Some(pb::TensorShapeProto { dim: shape.iter().map(dim).collect() }))],
            output: outputs.iter().map(|o| info(o, DataType::Float, None)).collect(),
            ..Default::default()
        };
        let opset_import = vec![pb::OperatorSetIdProto { domain: String::new(), version: 13 }];
        pb::ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..Default::default() }.encode_to_vec()
    }
}

/// `[1, 3, 8, 8]` in, the mean of each colour out: `[1, 3]`.
pub(crate) fn mean_colour() -> Vec<u8> {
    let mut graph = Graph::default();
    graph.node("ReduceMean", &["picture"], "mean", &[("axes", &[2, 3]), ("keepdims", &[0])]);
    graph.file(&[1, 3, 8, 8], &["mean"])
}

/// The same, and the steps behind it, each with one whole number.
pub(crate) fn mean_then(steps: &[(&str, &str, i64)]) -> Vec<u8> {
    let mut graph = Graph::default();
    let mut last = graph.node("ReduceMean", &["picture"], "mean", &[("axes", &[2, 3]), ("keepdims", &[0])]);
    for (at, (op, attribute, value)) in steps.iter().enumerate() {
        last = graph.node(op, &[&last], &format!("step{at}"), &[(attribute, &[*value])]);
    }
    graph.file(&[1, 3, 8, 8], &[&last])
}

/// An SSD of four classes that finds one box whatever it sees, its two outputs in that order, named so.
pub(crate) fn four_classes(boxes_first: bool, boxes: &str, scores: &str) -> Vec<u8> {
    let mut graph = Graph::default();
    graph.floats("none", &[], &[0.0]);
    graph.node("ReduceMean", &["picture"], "mean", &[("axes", &[1, 2, 3]), ("keepdims", &[0])]);
    graph.node("Mul", &["mean", "none"], "zero", &[]);
    graph.floats("corners", &[1, 2, 4], &[0.1, 0.2, 0.5, 0.6, 0.0, 0.0, 0.1, 0.1]);
    graph.floats("shares", &[1, 2, 4], &[0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    graph.node("Add", &["corners", "zero"], boxes, &[]);
    graph.node("Add", &["shares", "zero"], scores, &[]);
    graph.file(&[1, 3, 8, 8], &if boxes_first { [boxes, scores] } else { [scores, boxes] })
}

/// The mean of each colour of two pictures at once.
pub(crate) fn of_two_pictures() -> Vec<u8> {
    let mut graph = Graph::default();
    graph.node("ReduceMean", &["picture"], "mean", &[("axes", &[2, 3]), ("keepdims", &[0])]);
    graph.file(&[2, 3, 8, 8], &["mean"])
}

/// The mean of each colour, and the picture itself as a second output.
pub(crate) fn mean_and_picture() -> Vec<u8> {
    let mut graph = Graph::default();
    graph.node("ReduceMean", &["picture"], "mean", &[("axes", &[2, 3]), ("keepdims", &[0])]);
    graph.node("Identity", &["picture"], "same", &[]);
    graph.file(&[1, 3, 8, 8], &["mean", "same"])
}

/// Gray pixels in of those numbers, the mean out in floats.
pub(crate) fn mean_gray(number: DataType, shape: &[i64; 4]) -> Vec<u8> {
    let mut graph = Graph::default();
    graph.node("Cast", &["picture"], "floats", &[("to", &[DataType::Float as i64])]);
    graph.node("ReduceMean", &["floats"], "mean", &[("axes", &[1, 2, 3]), ("keepdims", &[0])]);
    graph.file_of(number, shape, &["mean"])
}

/// The mean of each colour divided by itself: 1, and for a colour that is not there no number.
pub(crate) fn mean_by_itself() -> Vec<u8> {
    let mut graph = Graph::default();
    graph.node("ReduceMean", &["picture"], "mean", &[("axes", &[2, 3]), ("keepdims", &[0])]);
    graph.node("Div", &["mean", "mean"], "share", &[]);
    graph.file(&[1, 3, 8, 8], &["share"])
}

/// `[1, 3, 8, 8]` in, the logarithm of what is below zero out.
pub(crate) fn no_number() -> Vec<u8> {
    let mut graph = Graph::default();
    graph.floats("minus", &[], &[-1000.0]);
    graph.node("Add", &["picture", "minus"], "below", &[]);
    graph.node("Log", &["below"], "log", &[]);
    graph.node("ReduceMean", &["log"], "mean", &[("axes", &[2, 3]), ("keepdims", &[0])]);
    graph.file(&[1, 3, 8, 8], &["mean"])
}

/// `[1, 3, 8, 8]` in, one number out after 64 products of matrices of that side.
pub(crate) fn long_work(side: i64) -> Vec<u8> {
    let mut graph = Graph::default();
    graph.node("ReduceMean", &["picture"], "mean", &[("axes", &[1, 2, 3]), ("keepdims", &[1])]);
    graph.ints("shape", &[1, 1, side, side]);
    graph.node("Expand", &["mean", "shape"], "product0", &[]);
    for at in 0..64 {
        graph.node("MatMul", &[&format!("product{at}"), "product0"], &format!("product{}", at + 1), &[]);
    }
    graph.node("ReduceMean", &["product64"], "result", &[("axes", &[2, 3]), ("keepdims", &[0])]);
    graph.file(&[1, 3, 8, 8], &["result"])
}

/// `[1, 3, 8, 8]` in, one number out, for which eight matrices of that side are needed at once: each is made of the one before, and they are added from the
/// last to the first.
pub(crate) fn wide_work(side: i64) -> Vec<u8> {
    let mut graph = Graph::default();
    graph.node("ReduceMean", &["picture"], "mean", &[("axes", &[1, 2, 3]), ("keepdims", &[1])]);
    graph.ints("shape", &[1, 1, side, side]);
    graph.node("Expand", &["mean", "shape"], "product0", &[]);
    for at in 0..8 {
        graph.node("MatMul", &[&format!("product{at}"), "product0"], &format!("product{}", at + 1), &[]);
    }
    let mut sum = "product8".to_owned();
    for at in (0..8).rev() {
        sum = graph.node("Add", &[&sum, &format!("product{at}")], &format!("sum{at}"), &[]);
    }
    graph.node("ReduceMean", &[&sum], "result", &[("axes", &[2, 3]), ("keepdims", &[0])]);
    graph.file(&[1, 3, 8, 8], &["result"])
}

/// A detector in YOLOX's layout of two classes, `[1, 3, 32, 32]` in (0 to 255), 16 + 4 + 1 cells out: a box as large as each cell, with the cell's mean
/// brightness as its score, of the class 0 if it is more red than blue, of the class 1 if not.
pub(crate) fn bright_cells() -> Vec<u8> {
    let mut graph = Graph::default();
    let third = 1.0 / (3.0 * 255.0);
    // x, y, w, h, objectness, and the classes as red - blue + 1/2 and the other way round, between 0 and 1.
    let rows = [[0.0; 3], [0.0; 3], [0.0; 3], [0.0; 3], [third; 3], [1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]];
    graph.floats("weights", &[7, 3, 1, 1], &rows.concat());
    graph.floats("bias", &[7], &[0.5, 0.5, 0.0, 0.0, 0.0, 0.5, 0.5]);
    graph.floats("least", &[], &[0.0]);
    graph.floats("most", &[], &[1.0]);
    let mut levels = Vec::new();
    for stride in [8_i64, 16, 32] {
        let (pool, cells, flat) = (format!("pool{stride}"), format!("cells{stride}"), format!("flat{stride}"));
        graph.node("AveragePool", &["picture"], &pool, &[("kernel_shape", &[stride, stride]), ("strides", &[stride, stride])]);
        graph.node("Conv", &[&pool, "weights", "bias"], &cells, &[("kernel_shape", &[1, 1])]);
        graph.node("Clip", &[&cells, "least", "most"], &format!("clipped{stride}"), &[]);
        let shape = graph.ints(&format!("shape{stride}"), &[1, 7, (32 / stride) * (32 / stride)]);
        levels.push(graph.node("Reshape", &[&format!("clipped{stride}"), &shape], &flat, &[]));
    }
    let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
    graph.node("Concat", &levels, "columns", &[("axis", &[2])]);
    graph.node("Transpose", &["columns"], "output", &[("perm", &[0, 2, 1])]);
    graph.file(&[1, 3, 32, 32], &["output"])
}
