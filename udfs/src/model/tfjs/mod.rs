//! TensorFlow.js graph models as ONNX: the file `model.json` and its weights in, the bytes of an ONNX file out. What is not known is an error.
//!
//! TensorFlow keeps pictures as rows, columns, depth and ONNX as depth, rows, columns. A value here knows how it lies, so that it is turned only
//! where an operation needs it: between two convolutions nothing is.

mod array;
mod file;
mod operation;
mod picture;
mod writer;

use file::{File, Node};
use writer::Writer;

/// Why a file cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TensorFlow.js model cannot be converted: {0}")]
pub struct TfjsError(String);

type Result<T> = std::result::Result<T, TfjsError>;

fn wrong<T>(message: impl Into<String>) -> Result<T> {
    Err(TfjsError(message.into()))
}

/// The deepest chain of operations that is followed.
const MAX_DEPTH: usize = 10_000;

/// The ONNX file (IR 8, operators 13) of a graph model. `weights` are the bytes of its weight files, one after another as the manifest names them;
/// `outputs` the names of the nodes to give, in order, or none for those of the model's signature by their names. A dimension of the input that may be any
/// becomes 1. Errs for files that are not whole, and for an operation that is not known.
pub fn onnx_from_tfjs(model_json: &[u8], weights: &[u8], outputs: &[&str]) -> std::result::Result<Vec<u8>, TfjsError> {
    let file = File::read(model_json, weights)?;
    let outputs: Vec<String> = if outputs.is_empty() { file.outputs.clone() } else { outputs.iter().map(|o| (*o).to_owned()).collect() };
    if outputs.is_empty() {
        return wrong("it names no outputs");
    }
    let mut writer = Writer::default();
    for (name, shape) in &file.inputs {
        writer.input(name, shape);
    }
    for output in &outputs {
        make(&file, &mut writer, output)?;
        writer.output(output)?;
    }
    Ok(writer.finish())
}

/// Writes the node that makes a value and, before it, those that it needs.
fn make(file: &File, writer: &mut Writer, output: &str) -> Result<()> {
    // A list of what is to be done, as a graph is too deep for calls within calls.
    let mut open = vec![output.split(':').next().unwrap_or_default().to_owned()];
    while let Some(name) = open.last().cloned() {
        if open.len() > MAX_DEPTH {
            return wrong("its operations go round in a circle");
        }
        if writer.knows(&name) {
            open.pop();
            continue;
        }
        if let Some(array) = file.constants.get(&name) {
            writer.constant(&name, array.clone());
            continue;
        }
        let Some(node) = file.nodes.get(&name) else { return wrong(format!("there is no node {name}")) };
        let missing: Vec<String> = node.inputs.iter().map(|i| Node::source(i).to_owned()).filter(|i| !writer.knows(i)).collect();
        if missing.is_empty() {
            operation::write(node, writer)?;
        } else {
            open.extend(missing);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_none_are_an_error() {
        let node = |op: &str| {
            let nodes = format!(
                r#"[{{"name":"x","op":"Placeholder","attr":{{"shape":{{"shape":{{"dim":[{{"size":"1"}},{{"size":"3"}}]}}}}}}}},{{"name":"y","op":"{op}","input":["x"]}}]"#
            );
            format!(r#"{{"modelTopology":{{"node":{nodes}}},"weightsManifest":[],"signature":{{"outputs":{{"y:0":{{"name":"y:0"}}}}}}}}"#)
        };
        assert!(onnx_from_tfjs(node("Relu").as_bytes(), &[], &[]).is_ok());
        let error = |json: &str, outputs: &[&str]| onnx_from_tfjs(json.as_bytes(), &[], outputs).unwrap_err().0;
        assert_eq!(error(&node("Fourier"), &[]), "the operation Fourier of y is not known");
        assert_eq!(error(&node("Relu"), &["z"]), "there is no node z");
        assert_eq!(error(&node("Relu").replace(r#"["x"]"#, r#"["y"]"#), &[]), "its operations go round in a circle");
        assert!(error("{", &[]).contains("JSON"));
        let weights = r#"{"modelTopology":{"node":[]},"weightsManifest":[{"weights":[{"name":"w","shape":[4],"dtype":"float32"}]}]}"#;
        assert_eq!(error(weights, &["w"]), "the weights end in w");
    }
}
