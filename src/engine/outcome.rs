//! What a statement gives back: rows, a copy, or a word that says it is done.

use datafusion::execution::SendableRecordBatchStream;

use crate::plan::parse::copy::CopyForm;

/// The answer to one statement. Dropping the stream cancels what makes it.
pub enum Outcome {
    /// Rows as they come; the stream may never end (SUBSCRIBE with subscribe_as = rows).
    Rows {
        /// The rows; its schema is what the client is told.
        stream: SendableRecordBatchStream,
        /// The word of the command tag before the number of rows: "SELECT", "SHOW", "EXPLAIN".
        tag: &'static str,
    },
    /// Rows to be written as COPY OUT, as they come.
    Copy {
        /// The rows.
        stream: SendableRecordBatchStream,
        /// How they are written.
        form: CopyForm,
    },
    /// Done, with the command tag: "CREATE SOURCE".
    Done {
        /// The command tag.
        tag: String,
    },
}

/// A message beside the answer.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Its SQLSTATE.
    pub code: &'static str,
    /// What the user should know.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}
