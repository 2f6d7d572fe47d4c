//! What the catalogue tells others of an object: its name, kind, columns, and the statement that made it.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;

pub use crate::plan::array::text::elements;
pub use crate::plan::json::values as value_json;
use crate::plan::parse::Kind;
pub use crate::plan::value::text_type::TextType;
pub use crate::plan::value::{read as value_read, write as value_text};

/// An object that SQL can read from.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its columns.
    pub schema: SchemaRef,
    /// The statement that made it, as the user wrote it.
    pub definition: String,
    /// The columns of its primary key, in the key's order; only a table has one.
    pub primary_key: Vec<String>,
    /// Of each column, how it was declared; only a table says.
    pub declared: Vec<Declared>,
}

/// What the statement that made a table says of a column, beside its name.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The type as SQL names it.
    pub sql_type: String,
    /// How many characters its text may have.
    pub max_chars: Option<usize>,
    /// What it holds where an INSERT does not say; NULL without a DEFAULT.
    pub default: ScalarValue,
}
