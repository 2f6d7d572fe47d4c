//! The files of a TensorFlow.js graph model: nodes with their attributes, and constants, whose 16- and 8-bit forms are widened.

use std::collections::HashMap;

use arrow::datatypes::{ArrowPrimitiveType, Float16Type};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::array::{Array, Data};
use super::{Result, TfjsError, wrong};

/// What the files hold.
pub(super) struct File {
    pub(super) nodes: HashMap<String, Node>,
    pub(super) constants: HashMap<String, Array>,
    /// Placeholders with their shapes.
    pub(super) inputs: Vec<(String, Vec<usize>)>,
    /// The outputs of the signature, in name order.
    pub(super) outputs: Vec<String>,
}

/// One operation.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) op: String,
    /// Values: a node's name and, for another than its first output, `:` and a number.
    pub(super) inputs: Vec<String>,
    attributes: Map<String, Value>,
}

impl File {
    pub(super) fn read(model_json: &[u8], weights: &[u8]) -> Result<File> {
        let json: Value = serde_json::from_slice(model_json).map_err(|e| TfjsError(format!("model.json is no JSON: {e}")))?;
        let mut file = File { nodes: HashMap::new(), constants: constants(&json, weights)?, inputs: Vec::new(), outputs: Vec::new() };
        let Some(nodes) = json.pointer("/modelTopology/node").and_then(Value::as_array) else { return wrong("it is no graph model") };
        for node in nodes {
            let (Some(name), Some(op)) = (text(node, "name"), text(node, "op")) else { return wrong("a node has no name or no operation") };
            let inputs = node.get("input").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            // An input that begins with ^ is an order of execution, not a value.
            let inputs =
                inputs.iter().filter_map(Value::as_str).filter(|i| !i.starts_with('^')).map(|i| i.trim_end_matches(":0").to_owned());
            let attributes = node.get("attr").and_then(Value::as_object).cloned().unwrap_or_default();
            let node = Node { name: name.to_owned(), op: op.to_owned(), inputs: inputs.collect(), attributes };
            match op {
                "Const" => {}
                "Placeholder" => file.inputs.push((node.name.clone(), node.shape()?)),
                _ => _ = file.nodes.insert(node.name.clone(), node),
            }
        }
        let signature = json.pointer("/signature/outputs").or_else(|| json.pointer("/userDefinedMetadata/signature/outputs"));
        let outputs = signature.and_then(Value::as_object).into_iter().flat_map(|o| o.values());
        file.outputs = outputs.filter_map(|o| Some(text(o, "name")?.trim_end_matches(":0").to_owned())).collect();
        file.outputs.sort();
        Ok(file)
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

/// A number, which the format writes as a text or as a number.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn constants(json: &Value, mut rest: &[u8]) -> Result<HashMap<String, Array>> {
    let mut all = HashMap::new();
    let groups = json.get("weightsManifest").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for weight in groups.iter().filter_map(|g| g.get("weights")?.as_array()).flatten() {
        let Some(name) = text(weight, "name") else { return wrong("a weight has no name") };
        let shape =
            weight.get("shape").and_then(Value::as_array).and_then(|s| s.iter().map(|side| usize::try_from(whole(side)?).ok()).collect());
        let Some(shape): Option<Vec<usize>> = shape else { return wrong(format!("{name} has no shape")) };
        let Some(n) = shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side)) else { return wrong(format!("{name} is too large")) };
        let dtype = text(weight, "dtype").unwrap_or("float32");
        let quantization = weight.get("quantization");
        let stored = quantization.and_then(|q| text(q, "dtype")).unwrap_or(dtype);
        let width = match stored {
            "float32" | "int32" => 4,
            "float16" | "uint16" => 2,
            "uint8" | "bool" => 1,
            other => return wrong(format!("{name} is stored as {other}, which is not known")),
        };
        let Some((bytes, after)) = n.checked_mul(width).and_then(|length| rest.split_at_checked(length)) else {
            return wrong(format!("the weights end in {name}"));
        };
        rest = after;
        let number = |field: &str| quantization.and_then(|q| q.get(field)?.as_f64());
        let values = floats(bytes, stored, number("scale").unwrap_or(1.0), number("min").unwrap_or(0.0));
        let data = match (dtype, stored) {
            ("int32", "int32") => Data::Ints(bytes.as_chunks::<4>().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()),
            ("int32" | "bool", _) => Data::Ints(values.iter().map(|v| v.round() as i64).collect()),
            ("float32", _) => Data::Floats(values),
            (other, _) => return wrong(format!("{name} is of {other}, which is not known")),
        };
        all.insert(name.to_owned(), Array { shape, data });
    }
    Ok(all)
}

fn floats(bytes: &[u8], stored: &str, scale: f64, least: f64) -> Vec<f32> {
    let scaled = |stored: u32| (f64::from(stored) * scale + least) as f32;
    match stored {
        "float16" => {
            type Half = <Float16Type as ArrowPrimitiveType>::Native;
            bytes.as_chunks::<2>().0.iter().map(|b| Half::from_le_bytes(*b).to_f32()).collect()
        }
        "uint16" => bytes.as_chunks::<2>().0.iter().map(|b| scaled(u32::from(u16::from_le_bytes(*b)))).collect(),
        "uint8" | "bool" => bytes.iter().map(|b| scaled(u32::from(*b))).collect(),
        "float32" => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        _ => Vec::new(),
    }
}

impl Node {
    /// The node that makes a value.
    pub(super) fn source(value: &str) -> &str {
        value.split(':').next().unwrap_or(value)
    }

    /// One of its inputs.
    pub(super) fn input(&self, at: usize) -> Result<&str> {
        match self.inputs.get(at) {
            Some(input) => Ok(input),
            None => wrong(format!("{} {} has only {at} inputs", self.op, self.name)),
        }
    }

    fn attribute(&self, name: &str, kind: &str) -> Option<&Value> {
        self.attributes.get(name)?.get(kind)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.attribute(name, "b").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name, "f").and_then(Value::as_f64).map(|f| f as f32)
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name, "i").and_then(whole)
    }

    pub(super) fn word(&self, name: &str) -> Option<String> {
        decoded(self.attribute(name, "s")?)
    }

    pub(super) fn ints(&self, name: &str) -> Vec<i64> {
        let list = self.attribute(name, "list").and_then(|list| list.get("i")?.as_array());
        list.map_or(Vec::new(), |list| list.iter().filter_map(whole).collect())
    }

    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let list = self.attribute(name, "list").and_then(|list| list.get("s")?.as_array());
        list.map_or(Vec::new(), |list| list.iter().filter_map(decoded).collect())
    }

    /// The shape of a placeholder; a side that may be any is 1.
    fn shape(&self) -> Result<Vec<usize>> {
        let sides = self.attribute("shape", "shape").and_then(|shape| shape.get("dim")?.as_array());
        let Some(sides) = sides else { return wrong(format!("the input {} has no shape", self.name)) };
        let side = |side: &Value| side.get("size").and_then(whole).map_or(1, |n| usize::try_from(n).unwrap_or(1));
        Ok(sides.iter().map(side).collect())
    }
}

fn decoded(value: &Value) -> Option<String> {
    String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok()
}
