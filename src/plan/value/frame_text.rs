//! `frame::text`: which picture it is, `lobby#48213 1920x1080`, as a client is shown it; a cast that DataFusion has not for a struct.

use std::sync::Arc;

use datafusion::arrow::array::{Array, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarUDF, Signature, SimpleScalarUDF, Volatility};
use datafusion::optimizer::AnalyzerRule;
use framesql_udfs::frame::{FrameColumn, is_frame};

/// The rule; it stands before types are coerced, which would refuse the cast.
#[derive(Debug)]
pub(in crate::plan) struct FrameText;

impl AnalyzerRule for FrameText {
    fn name(&self) -> &str {
        "frame_text"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite)?.data)
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|e| {
        let name = names.save(&e);
        let rewritten = e.transform_up(|e| {
            let (Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })) = &e else { return Ok(Transformed::no(e)) };
            let text = matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
            if text && expr.get_type(&schema).is_ok_and(|of| is_frame(&of)) {
                return Ok(Transformed::yes(udf().call(vec![expr.as_ref().clone()])));
            }
            Ok(Transformed::no(e))
        })?;
        Ok(rewritten.update_data(|e| name.restore(e)))
    })
}

/// NULL for a frame that could not be decoded; it needs no pixels.
fn udf() -> ScalarUDF {
    let answer = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let mut texts = Vec::new();
        for array in &arrays {
            let frames = FrameColumn::try_new(array.as_ref())?;
            let text = |row| frames.get(row).map(|f| format!("{}#{} {}x{}", f.source, f.frame_no, f.width, f.height));
            texts.extend((0..array.len()).map(text));
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(texts))))
    };
    let signature = Signature::any(1, Volatility::Immutable);
    SimpleScalarUDF::new_with_signature("frame_text", signature, DataType::Utf8, Arc::new(answer)).into()
}
