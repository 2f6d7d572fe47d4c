//! Descriptions of operators as text, so that a plan can travel or be kept: what is read back is written the same, and runs the same.
//!
//! Expressions are written by datafusion-proto, schemas as Arrow's IPC writes them. Reading needs the functions of a session and the sources
//! of a catalogue: they are given to `read`, and what is read below it finds them there and nowhere else.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::common::{DFSchema, DFSchemaRef, JoinType, TableReference, internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::bytes::Serializeable;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::exec::OperatorExec;
use super::{Description, Run};
use crate::error::Error;
use crate::frame::source::{Claim, Request, Source};
use crate::plan::infer::Call;

/// What the text names and does not hold.
pub trait Surroundings: Send + Sync {
    /// The functions.
    fn functions(&self) -> &TaskContext;
    /// The source of that name; None if there is none.
    fn source(&self, name: &str) -> Option<Arc<dyn Source>>;
}

thread_local! {
    /// The surroundings of the `read` that this thread is in.
    static READING: RefCell<Vec<Arc<dyn Surroundings>>> = const { RefCell::new(Vec::new()) };
}

/// One operator of a plan; its inputs stand before it in the list.
#[derive(Serialize, Deserialize)]
struct Step {
    number: usize,
    inputs: Vec<usize>,
    description: Description,
}

/// The text of a plan of operators. Errs for a plan that holds others than ours, and for an expression that cannot be written.
pub fn write(plan: &Arc<dyn ExecutionPlan>) -> Result<String> {
    let mut steps = Vec::new();
    add(plan, &mut steps)?;
    serde_json::to_string(&steps).map_err(|e| Error::Internal(e.to_string()).into())
}

fn add(plan: &Arc<dyn ExecutionPlan>, steps: &mut Vec<Step>) -> Result<usize> {
    let Some(ours) = plan.downcast_ref::<OperatorExec>() else { return internal_err!("{} cannot be written", plan.name()) };
    let inputs = plan.children().into_iter().map(|input| add(input, steps)).collect::<Result<_>>()?;
    steps.push(Step { number: ours.number(), inputs, description: ours.description().clone() });
    Ok(steps.len() - 1)
}

/// The plan of a text. Errs if the text is none, or names what the surroundings do not have.
pub fn read(text: &str, surroundings: Arc<dyn Surroundings>, run: &Run) -> Result<Arc<dyn ExecutionPlan>> {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            READING.with_borrow_mut(|all| all.pop());
        }
    }
    READING.with_borrow_mut(|all| all.push(surroundings));
    let inside = Inside;
    let steps: Vec<Step> = serde_json::from_str(text).map_err(|e| Error::Internal(e.to_string()))?;
    drop(inside);
    let mut made: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    for Step { number, inputs, description } in steps {
        let inputs = inputs.iter().map(|at| made.get(*at).cloned()).collect::<Option<Vec<_>>>();
        let Some(inputs) = inputs else { return internal_err!("an operator stands before its input") };
        made.push(Arc::new(OperatorExec::new(description, inputs, run.clone(), number)));
    }
    made.pop().ok_or_else(|| internal_datafusion_err!("a plan without operators"))
}

/// The surroundings of the `read` that goes on.
fn surroundings() -> Result<Arc<dyn Surroundings>> {
    READING.with_borrow(|all| all.last().cloned()).ok_or_else(|| internal_datafusion_err!("descriptions are read by run::written::read"))
}

/// A value that serde does not know, and the form in which it is written.
pub(super) trait Written: Sized {
    type Form: Serialize + DeserializeOwned;
    fn form(&self) -> Result<Self::Form>;
    fn back(form: Self::Form) -> Result<Self>;
}

/// For `#[serde(with = "super::written")]`.
pub(super) fn serialize<T: Written, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.form().map_err(S::Error::custom)?.serialize(serializer)
}

/// For `#[serde(with = "super::written")]`.
pub(super) fn deserialize<'de, T: Written, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::back(T::Form::deserialize(deserializer)?).map_err(D::Error::custom)
}

impl Written for Expr {
    type Form = String;

    fn form(&self) -> Result<String> {
        Ok(hex(&self.to_bytes()?))
    }

    fn back(form: String) -> Result<Expr> {
        Expr::from_bytes_with_ctx(&bytes(&form)?, surroundings()?.functions())
    }
}

impl Written for SchemaRef {
    type Form = String;

    fn form(&self) -> Result<String> {
        let mut writer = StreamWriter::try_new(Vec::new(), self)?;
        writer.finish()?;
        Ok(hex(&writer.into_inner()?))
    }

    fn back(form: String) -> Result<SchemaRef> {
        let bytes = bytes(&form)?;
        Ok(StreamReader::try_new(bytes.as_slice(), None)?.schema())
    }
}

impl Written for DFSchemaRef {
    /// The relation of each column, in its parts, and the columns.
    type Form = (Vec<Vec<String>>, String);

    fn form(&self) -> Result<Self::Form> {
        let parts = |relation: Option<&TableReference>| match relation {
            None => Vec::new(),
            Some(TableReference::Bare { table }) => vec![table.to_string()],
            Some(TableReference::Partial { schema, table }) => vec![schema.to_string(), table.to_string()],
            Some(TableReference::Full { catalog, schema, table }) => vec![catalog.to_string(), schema.to_string(), table.to_string()],
        };
        Ok((self.iter().map(|(relation, _)| parts(relation)).collect(), self.inner().form()?))
    }

    fn back((relations, schema): Self::Form) -> Result<DFSchemaRef> {
        let relation = |parts: Vec<String>| match parts.as_slice() {
            [] => Ok(None),
            [table] => Ok(Some(TableReference::bare(table.as_str()))),
            [schema, table] => Ok(Some(TableReference::partial(schema.as_str(), table.as_str()))),
            [catalog, schema, table] => Ok(Some(TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()))),
            _ => internal_err!("a relation has at most three parts"),
        };
        let relations = relations.into_iter().map(relation).collect::<Result<_>>()?;
        Ok(Arc::new(DFSchema::from_field_specific_qualified_schema(relations, &SchemaRef::back(schema)?)?))
    }
}

impl Written for Arc<dyn Source> {
    type Form = String;

    fn form(&self) -> Result<String> {
        Ok(self.name().to_owned())
    }

    fn back(name: String) -> Result<Arc<dyn Source>> {
        surroundings()?.source(&name).ok_or_else(|| Error::NotFound { kind: "source", name }.into())
    }
}

impl Written for JoinType {
    type Form = String;

    fn form(&self) -> Result<String> {
        Ok(self.to_string())
    }

    fn back(form: String) -> Result<JoinType> {
        form.parse()
    }
}

impl Written for Call {
    type Form = (String, String, Vec<String>, Option<String>);

    fn form(&self) -> Result<Self::Form> {
        Ok((self.function.clone(), self.model.clone(), self.arguments.form()?, self.guard.form()?))
    }

    fn back((function, model, arguments, guard): Self::Form) -> Result<Call> {
        Ok(Call { function, model, arguments: Written::back(arguments)?, guard: Written::back(guard)? })
    }
}

impl Written for Request {
    /// Its fields in their order.
    type Form = (Vec<usize>, Vec<String>, bool, u64, Option<usize>, Option<usize>, bool);

    fn form(&self) -> Result<Self::Form> {
        let Request { projection, filters, continuous, skip_rows, position: _, batch_rows, limit, one_before, claim: _ } = self;
        Ok((projection.clone(), filters.form()?, *continuous, *skip_rows, *batch_rows, *limit, *one_before))
    }

    fn back((projection, filters, continuous, skip_rows, batch_rows, limit, one_before): Self::Form) -> Result<Request> {
        let filters = Written::back(filters)?;
        Ok(Request { projection, filters, continuous, skip_rows, position: None, batch_rows, limit, one_before, claim: Claim::None })
    }
}

impl<T: Written> Written for Vec<T> {
    type Form = Vec<T::Form>;

    fn form(&self) -> Result<Self::Form> {
        self.iter().map(T::form).collect()
    }

    fn back(form: Self::Form) -> Result<Vec<T>> {
        form.into_iter().map(T::back).collect()
    }
}

impl<T: Written> Written for Option<T> {
    type Form = Option<T::Form>;

    fn form(&self) -> Result<Self::Form> {
        self.as_ref().map(T::form).transpose()
    }

    fn back(form: Self::Form) -> Result<Option<T>> {
        form.map(T::back).transpose()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let byte = |at: usize| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
    bytes.ok_or_else(|| internal_datafusion_err!("\"{hex}\" is not in hexadecimal"))
}
