//! Joins that let others run in between, such as who cancels them: one may look at a hundred million pairs before it gives a row.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use framesql_udfs::interrupt;

/// The plan with its joins made so: each gives way now and then, and what a join of keys asks of its pairs stops where nobody waits for the answer.
pub fn cooperative(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        let join = match node.downcast_ref::<HashJoinExec>() {
            Some(join) => match join.filter() {
                Some(filter) => {
                    let asked = Arc::new(Heeding(Arc::clone(filter.expression())));
                    let filter = JoinFilter::new(asked, filter.column_indices().to_vec(), Arc::clone(filter.schema()));
                    join.builder().with_filter(Some(filter)).build_exec()?
                }
                None => node,
            },
            None if node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() => node,
            None => return Ok(Transformed::no(node)),
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>))
    });
    Ok(wrapped?.data)
}

/// An expression that errs on a thread that is asked to stop.
#[derive(Debug, Eq)]
struct Heeding(Arc<dyn PhysicalExpr>);

// Derived, the comparison would move what is shared.
impl PartialEq for Heeding {
    fn eq(&self, other: &Heeding) -> bool {
        self.0.eq(&other.0)
    }
}

impl Hash for Heeding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Heeding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PhysicalExpr for Heeding {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.0.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.0.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        interrupt::check()?;
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let [of]: [Arc<dyn PhysicalExpr>; 1] =
            children.try_into().map_err(|_| datafusion::common::internal_datafusion_err!("an expression of one input"))?;
        Ok(Arc::new(Heeding(of)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}
