//! An aggregate that has accumulators of single groups only, as one of many groups: DataFusion's adapter errs where there are none.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, new_empty_array};
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::GroupsAccumulatorAdapter;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

/// DataFusion's adapter, which also gives the values of no groups.
pub(super) struct Adapted {
    function: Arc<AggregateFunctionExpr>,
    adapter: GroupsAccumulatorAdapter,
    n_groups: usize,
}

impl Adapted {
    pub(super) fn new(function: &Arc<AggregateFunctionExpr>) -> Adapted {
        let of = Arc::clone(function);
        let adapter = GroupsAccumulatorAdapter::new(move || of.create_accumulator());
        Adapted { function: Arc::clone(function), adapter, n_groups: 0 }
    }

    /// How many groups are given, and are there no more.
    fn give(&mut self, emit_to: EmitTo) -> usize {
        let given = match emit_to {
            EmitTo::All => self.n_groups,
            EmitTo::First(n) => n.min(self.n_groups),
        };
        self.n_groups -= given;
        given
    }
}

impl GroupsAccumulator for Adapted {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, n_groups: usize) -> Result<()> {
        self.n_groups = self.n_groups.max(n_groups);
        self.adapter.update_batch(values, groups, filter, n_groups)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], n_groups: usize) -> Result<()> {
        self.n_groups = self.n_groups.max(n_groups);
        self.adapter.merge_batch(values, groups, n_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        if self.give(emit_to) == 0 {
            return Ok(new_empty_array(self.function.field().data_type()));
        }
        self.adapter.evaluate(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        if self.give(emit_to) == 0 {
            return Ok(self.function.state_fields()?.iter().map(|field| new_empty_array(field.data_type())).collect());
        }
        self.adapter.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.adapter.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.adapter.size()
    }
}
