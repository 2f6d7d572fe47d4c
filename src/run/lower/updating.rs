//! The operators of a continuous query that update their answer: aggregates before they are final, Top-N, deduplication.

use std::sync::Arc;

use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use super::{Lowering, Part, arrow, window};
use crate::plan::changelog::changelog;
use crate::plan::topn_updating::TopN;
use crate::plan::{event_time, grouping};
use crate::run::touched::Pace;
use crate::run::{Description, aggregate, dedup, topn_updating};

impl Lowering<'_> {
    pub(super) fn updating_aggregate(&mut self, plan: &LogicalPlan) -> Result<Part> {
        let LogicalPlan::Aggregate(node) = plan else { return internal_err!("no aggregate") };
        let input = self.lower(&node.input)?;
        let input = self.detached(input);
        let (complete, pace) = (event_time::window_key(plan), self.run.pace);
        // The group of no keys is always there, and a window is remembered until it closes.
        let state_ttl_us = pace.state_ttl_us.filter(|_| complete.is_none() && !node.group_expr.is_empty());
        let description = aggregate::Aggregate {
            input: Arc::clone(node.input.schema()),
            keys: grouping::keys(node).into_iter().cloned().collect(),
            left_out: grouping::left_out(node)?,
            aggregates: node.aggr_expr.clone(),
            complete,
            retracted: changelog(&node.input, self.run.updating),
            pace: Pace { state_ttl_us, ..pace },
            sources: window::sources(&node.input)?,
            schema: arrow(plan.schema()),
        };
        Ok(Part { exec: self.operator(Description::Aggregate(description), vec![input]), pixels: false })
    }

    pub(super) fn topn_updating(&mut self, extension: &Extension) -> Result<Part> {
        let Some(node) = extension.node.as_any().downcast_ref::<TopN>() else { return internal_err!("no Top-N") };
        let input = self.lower(&node.input)?;
        let input = self.detached(input);
        let (columns, schema) = (Arc::clone(node.input.schema()), arrow(UserDefinedLogicalNodeCore::schema(node)));
        let (partition, retracted, pace) = (node.partition.clone(), changelog(&node.input, self.run.updating), self.run.pace);
        let description = match node.keeps_first() {
            Some((time, lag_us)) if !retracted => {
                let pace = Pace { every_us: None, ..pace };
                let sources = window::sources(&node.input)?;
                Description::Dedup(dedup::Dedup { input: columns, partition, time, lag_us, pace, sources, schema })
            }
            _ => Description::TopNUpdating(topn_updating::TopN {
                input: columns,
                partition,
                order: node.order.iter().map(|sort| sort.expr.clone()).collect(),
                directions: node.order.iter().map(|sort| (!sort.asc, sort.nulls_first)).collect(),
                n: node.n,
                retracted,
                pace,
                schema,
            }),
        };
        Ok(Part { exec: self.operator(description, vec![input]), pixels: false })
    }
}
