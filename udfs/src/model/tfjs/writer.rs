//! The ONNX graph as it grows: values by the names that TensorFlow gave them, how each lies, and constants that are written when they are used.

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use tract_onnx::pb;

use super::array::{Array, Data};
use super::{Result, wrong};

/// Rows, columns, depth to depth, rows, columns, and back.
pub(super) const TO_ONNX: [usize; 4] = [0, 3, 1, 2];
pub(super) const TO_TENSORFLOW: [usize; 4] = [0, 2, 3, 1];

/// A value of TensorFlow's graph.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(Array),
    /// A tensor of the ONNX graph.
    Tensor {
        name: String,
        turned: bool,
    },
}

/// An attribute of an ONNX node.
pub(super) enum Attribute<'a> {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Word(&'a str),
}

#[derive(Default)]
pub(super) struct Writer {
    values: HashMap<String, Value>,
    nodes: Vec<pb::NodeProto>,
    initializers: Vec<pb::TensorProto>,
    inputs: Vec<pb::ValueInfoProto>,
    outputs: Vec<pb::ValueInfoProto>,
    /// The names of ONNX tensors that exist.
    names: HashSet<String>,
    /// Tensors turned already, by what they were turned from.
    turns: HashMap<String, String>,
}

impl Writer {
    pub(super) fn input(&mut self, name: &str, shape: &[usize]) {
        let dim = |side: &usize| {
            let value = Some(pb::tensor_shape_proto::dimension::Value::DimValue(i64::try_from(*side).unwrap_or(i64::MAX)));
            pb::tensor_shape_proto::Dimension { value, ..Default::default() }
        };
        self.inputs.push(info(name, Some(pb::TensorShapeProto { dim: shape.iter().map(dim).collect() })));
        self.names.insert(name.to_owned());
        self.put(name, Value::Tensor { name: name.to_owned(), turned: false });
    }

    /// Gives a value as an output of the graph, under its own name and lying as TensorFlow has it.
    pub(super) fn output(&mut self, value: &str) -> Result<()> {
        let made = self.plain(value)?;
        if made != value {
            if self.names.contains(value) {
                return wrong(format!("two values would be called {value}"));
            }
            self.named("Identity", vec![made], value, &[]);
        }
        self.outputs.push(info(value, None));
        Ok(())
    }

    /// Whether a node's values are written already.
    pub(super) fn knows(&self, node: &str) -> bool {
        self.values.contains_key(node)
    }

    pub(super) fn put(&mut self, value: &str, made: Value) {
        self.values.insert(value.to_owned(), made);
    }

    pub(super) fn constant(&mut self, value: &str, array: Array) {
        self.put(value, Value::Constant(array));
    }

    pub(super) fn get(&self, value: &str) -> Result<&Value> {
        match self.values.get(value) {
            Some(found) => Ok(found),
            None => wrong(format!("{value} is not an output of its node")),
        }
    }

    /// A value that is known already, as weights and axes must be.
    pub(super) fn known(&self, value: &str) -> Result<&Array> {
        match self.get(value)? {
            Value::Constant(array) => Ok(array),
            Value::Tensor { .. } => wrong(format!("{value} must be a constant")),
        }
    }

    /// The ONNX tensor of a value, lying as TensorFlow has it.
    pub(super) fn plain(&mut self, value: &str) -> Result<String> {
        match self.get(value)?.clone() {
            Value::Constant(array) => Ok(self.initializer(array)),
            Value::Tensor { name, turned: false } => Ok(name),
            Value::Tensor { name, turned: true } => Ok(self.turn(name, TO_TENSORFLOW)),
        }
    }

    /// The ONNX tensor of a picture, lying as ONNX has it.
    pub(super) fn picture(&mut self, value: &str) -> Result<String> {
        match self.get(value)?.clone() {
            Value::Constant(array) => Ok(self.initializer(array.turned(&TO_ONNX)?)),
            Value::Tensor { name, turned: true } => Ok(name),
            Value::Tensor { name, turned: false } => Ok(self.turn(name, TO_ONNX)),
        }
    }

    fn turn(&mut self, name: String, order: [usize; 4]) -> String {
        if let Some(turned) = self.turns.get(&name) {
            return turned.clone();
        }
        let perm = Attribute::Ints(order.iter().map(|axis| *axis as i64).collect());
        let turned = self.node("Transpose", vec![name.clone()], &[("perm", perm)]);
        self.turns.insert(name.clone(), turned.clone());
        self.turns.insert(turned.clone(), name);
        turned
    }

    /// A constant as a tensor of the graph.
    pub(super) fn initializer(&mut self, array: Array) -> String {
        let name = self.fresh("constant");
        let (data_type, raw_data): (_, Vec<u8>) = match &array.data {
            Data::Floats(values) => (pb::tensor_proto::DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Data::Ints(values) => (pb::tensor_proto::DataType::Int64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        let dims = array.shape.iter().map(|side| *side as i64).collect();
        self.initializers.push(pb::TensorProto { dims, data_type: data_type as i32, raw_data, name: name.clone(), ..Default::default() });
        name
    }

    /// Writes a node of one output, and gives its name.
    pub(super) fn node(&mut self, op: &str, inputs: Vec<String>, attributes: &[(&str, Attribute<'_>)]) -> String {
        let name = self.fresh(op);
        self.add(op, inputs, vec![name.clone()], attributes);
        name
    }

    /// The same with that name, which is free.
    pub(super) fn named(&mut self, op: &str, inputs: Vec<String>, name: &str, attributes: &[(&str, Attribute<'_>)]) {
        self.names.insert(name.to_owned());
        self.add(op, inputs, vec![name.to_owned()], attributes);
    }

    /// Writes a node of several outputs, and gives their names.
    pub(super) fn several(&mut self, op: &str, inputs: Vec<String>, n: usize, attributes: &[(&str, Attribute<'_>)]) -> Vec<String> {
        let names: Vec<String> = (0..n).map(|_| self.fresh(op)).collect();
        self.add(op, inputs, names.clone(), attributes);
        names
    }

    fn add(&mut self, op: &str, input: Vec<String>, output: Vec<String>, attributes: &[(&str, Attribute<'_>)]) {
        use pb::attribute_proto::AttributeType;
        let attribute = |(name, value): &(&str, Attribute<'_>)| {
            let name = (*name).to_owned();
            match value {
                Attribute::Int(i) => pb::AttributeProto { name, r#type: AttributeType::Int as i32, i: *i, ..Default::default() },
                Attribute::Ints(ints) => {
                    pb::AttributeProto { name, r#type: AttributeType::Ints as i32, ints: ints.clone(), ..Default::default() }
                }
                Attribute::Float(f) => pb::AttributeProto { name, r#type: AttributeType::Float as i32, f: *f, ..Default::default() },
                Attribute::Word(s) => {
                    pb::AttributeProto { name, r#type: AttributeType::String as i32, s: s.as_bytes().to_vec(), ..Default::default() }
                }
            }
        };
        let name = output.first().cloned().unwrap_or_default();
        let attribute = attributes.iter().map(attribute).collect();
        self.nodes.push(pb::NodeProto { input, output, name, op_type: op.to_owned(), attribute, ..Default::default() });
    }

    fn fresh(&mut self, what: &str) -> String {
        let mut n = self.names.len();
        loop {
            let name = format!("{what}_{n}");
            if self.names.insert(name.clone()) {
                return name;
            }
            n += 1;
        }
    }

    /// The bytes of the file.
    pub(super) fn finish(self) -> Vec<u8> {
        let graph = pb::GraphProto {
            node: self.nodes,
            name: "graph".to_owned(),
            initializer: self.initializers,
            input: self.inputs,
            output: self.outputs,
            ..Default::default()
        };
        let opset_import = vec![pb::OperatorSetIdProto { domain: String::new(), version: 13 }];
        let producer_name = "framesql".to_owned();
        pb::ModelProto { ir_version: 8, opset_import, producer_name, graph: Some(graph), ..Default::default() }.encode_to_vec()
    }
}

fn info(name: &str, shape: Option<pb::TensorShapeProto>) -> pb::ValueInfoProto {
    let tensor = pb::type_proto::Tensor { elem_type: pb::tensor_proto::DataType::Float as i32, shape };
    let kind = pb::TypeProto { value: Some(pb::type_proto::Value::TensorType(tensor)), ..Default::default() };
    pb::ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..Default::default() }
}
