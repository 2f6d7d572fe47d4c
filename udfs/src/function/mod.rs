//! The SQL functions over pictures: one file a function, one list of them.

mod call;
mod detect_faces;
mod height;
mod jpeg;
mod width;

use std::sync::Arc;

use datafusion_expr::{ScalarUDF, ScalarUDFImpl};

/// The list: name order.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    fn udf(f: impl ScalarUDFImpl + 'static) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(f))
    }
    vec![
        udf(detect_faces::DetectFaces::default()),
        udf(height::Height::default()),
        udf(jpeg::Jpeg::default()),
        udf(width::Width::default()),
    ]
}

/// Whether a function runs a model, so that the planner hoists its calls.
pub fn is_model(name: &str) -> bool {
    crate::model::model_of(name).is_some()
}

/// The page docs/functions.md.
pub fn reference() -> String {
    let mut page = String::from("# Functions of framesql\n\nGenerated from `udfs/src/function`, where each function has its file.\n");
    for function in functions() {
        if let Some(doc) = function.documentation() {
            page.push_str(&format!("\n## {}\n\n    {}\n\n{}\n", function.name(), doc.syntax_example, doc.description));
        }
    }
    page
}
