//! An aggregate over windows that are to be filled, in a SELECT: our operators from the window function up, as DataFusion's know no time.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::{arrow, node, window};
use crate::run::{Description, assign, map};

/// The aggregate, with the plan below its window function as its input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Filled {
    /// What is put into windows.
    pub(super) input: LogicalPlan,
    /// The aggregate with all that is below it: what the descriptions are made of.
    aggregate: LogicalPlan,
}

impl Filled {
    /// None for an aggregate that fills nothing. Errs where it cannot be told which windows are to be filled.
    pub(super) fn of(aggregate: &Aggregate, plan: &LogicalPlan) -> Result<Option<Filled>> {
        let Some((assign, _)) = window::assigned(&aggregate.input) else { return Ok(None) };
        if !assign.fill {
            return Ok(None);
        }
        if window::by_pane(aggregate, plan)?.is_none() {
            return Err(window::without_aggregate().into());
        }
        Ok(Some(Filled { input: assign.input.clone(), aggregate: plan.clone() }))
    }

    /// The operators, the lowest first.
    pub(super) fn descriptions(&self) -> Result<Vec<Description>> {
        let LogicalPlan::Aggregate(aggregate) = &self.aggregate else { return internal_err!("windows are filled by no aggregate") };
        let Some(description) = window::by_pane(aggregate, &self.aggregate)? else { return internal_err!("windows are filled by pane") };
        let mut all = vec![Description::Window(description)];
        let mut at = aggregate.input.as_ref();
        loop {
            at = match at {
                LogicalPlan::SubqueryAlias(alias) => &alias.input,
                LogicalPlan::Filter(filter) => {
                    let input = Arc::clone(filter.input.schema());
                    let predicate = Some(filter.predicate.clone());
                    all.push(Description::Map(map::Map { input, predicate, columns: None, schema: arrow(at.schema()) }));
                    &filter.input
                }
                LogicalPlan::Projection(projection) => {
                    let input = Arc::clone(projection.input.schema());
                    let columns = Some(projection.expr.clone());
                    all.push(Description::Map(map::Map { input, predicate: None, columns, schema: arrow(at.schema()) }));
                    &projection.input
                }
                LogicalPlan::Extension(extension) => match node(extension.node.as_ref()) {
                    Some((_, Description::Assign(assign))) => {
                        all.push(Description::Assign(assign::Assign { panes: true, ..assign }));
                        all.reverse();
                        return Ok(all);
                    }
                    Some((input, description)) => {
                        all.push(description);
                        input
                    }
                    None => return internal_err!("{} below windows that are filled", extension.node.name()),
                },
                other => return internal_err!("{} below windows that are filled", other.display()),
            };
        }
    }
}

impl PartialOrd for Filled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.aggregate.partial_cmp(&other.aggregate)
    }
}

impl UserDefinedLogicalNodeCore for Filled {
    fn name(&self) -> &str {
        "Filled"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.aggregate.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filled")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.into_iter().next() {
            Some(input) => Ok(Filled { input, aggregate: self.aggregate.clone() }),
            None => plan_err!("windows are filled over an input"),
        }
    }
}
