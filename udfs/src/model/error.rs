//! What can be wrong with a model, in the words that a user reads, with a hint and a SQLSTATE.

use datafusion_common::DataFusionError;

/// It travels through DataFusion's errors and is found by `ModelError::caused`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// No model has that name (42704).
    #[error("model \"{name}\" does not exist")]
    NotFound {
        /// The name.
        name: String,
    },
    /// The manifest names it, its file is not here (55000).
    #[error("model \"{name}\" is not installed")]
    NotInstalled {
        /// The name.
        name: String,
        /// What installs it.
        hint: String,
    },
    /// The description cannot be (22023).
    #[error("{message}")]
    Description {
        /// Which model, and what of it.
        message: String,
        /// What to write.
        hint: String,
    },
    /// The file is damaged, is not the one that was named, or does not fit the description (22023).
    #[error("model \"{name}\" cannot be loaded: {message}")]
    File {
        /// The model.
        name: String,
        /// Why.
        message: String,
        /// What would help.
        hint: Option<String>,
    },
    /// A function cannot run models of that task (42809).
    #[error("{function} cannot run model \"{name}\": it is a model for {task}")]
    WrongTask {
        /// The function.
        function: String,
        /// The model.
        name: String,
        /// Its task.
        task: &'static str,
        /// What runs it.
        hint: String,
    },
    /// An inference failed (38000).
    #[error("model \"{name}\" has failed: {message}")]
    Failed {
        /// The model.
        name: String,
        /// Why.
        message: String,
    },
    /// An output for one picture holds a number that is not finite (38000): NULL for that picture, as for one that cannot be decoded.
    #[error("model \"{name}\" has failed: output {output} holds a number that is not finite")]
    NotFinite {
        /// The model.
        name: String,
        /// The output.
        output: String,
    },
    /// An inference went beyond a limit (54000).
    #[error("model \"{name}\" {message}")]
    Limit {
        /// The model.
        name: String,
        /// Which limit, and by how much.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl ModelError {
    /// One sentence that says what to do, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            ModelError::NotFound { .. } => Some("SELECT name, task, state FROM framesql.models lists them.".to_owned()),
            ModelError::NotInstalled { hint, .. }
            | ModelError::Description { hint, .. }
            | ModelError::WrongTask { hint, .. }
            | ModelError::Limit { hint, .. } => Some(hint.clone()),
            ModelError::File { hint, .. } => hint.clone(),
            ModelError::Failed { .. } | ModelError::NotFinite { .. } => None,
        }
    }

    /// The SQLSTATE.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            ModelError::NotFound { .. } => "42704",
            ModelError::NotInstalled { .. } => "55000",
            ModelError::Description { .. } | ModelError::File { .. } => "22023",
            ModelError::WrongTask { .. } => "42809",
            ModelError::Failed { .. } | ModelError::NotFinite { .. } => "38000",
            ModelError::Limit { .. } => "54000",
        }
    }

    /// Whether an error is about the numbers of one picture only.
    pub fn of_one_picture(error: &DataFusionError) -> bool {
        matches!(ModelError::caused(error), Some(ModelError::NotFinite { .. }))
    }

    /// The model's error behind one of DataFusion's.
    pub fn caused(error: &DataFusionError) -> Option<&ModelError> {
        match error.find_root() {
            DataFusionError::External(cause) => cause.downcast_ref(),
            _ => None,
        }
    }
}

impl From<ModelError> for DataFusionError {
    fn from(error: ModelError) -> DataFusionError {
        DataFusionError::External(Box::new(error))
    }
}
