//! Types as Postgres users know them: no unsigned integers, times with a zone in µs, `float` of 64 bits; a rule casts what DataFusion's functions give
//! otherwise.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Aggregate, Between, BinaryExpr, Expr, ExprSchemable, Extension, LogicalPlan, Operator, Projection, cast};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ExactNumberInfo, TimezoneInfo};
use framesql_udfs::interrupt;

use super::{casts, coalesce, struct_field};
use crate::frame::batch::ts_type;
use crate::plan::array::{literals, nulls, order};
use crate::plan::number::{checked, round};
use crate::plan::time::{duration_part, interval};

/// The names of types that DataFusion reads otherwise: TIMESTAMPTZ is µs UTC, and FLOAT is float8 unless it asks for no more than 24 bits.
#[derive(Debug)]
pub struct PostgresTypes;

impl TypePlanner for PostgresTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        let data_type = match sql_type {
            SqlType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => ts_type(),
            SqlType::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, None),
            SqlType::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => DataType::Float32,
            SqlType::Float(_) => DataType::Float64,
            // By a field of its own a cast says that its text is no json and no uuid any more.
            SqlType::Text | SqlType::Varchar(None) => return Ok(Some(Arc::new(Field::new("text", DataType::Utf8, true)))),
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

/// The rule; it runs after types are coerced.
#[derive(Debug)]
pub struct PostgresTypesRule;

impl AnalyzerRule for PostgresTypesRule {
    fn name(&self) -> &str {
        "postgres_types"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| Ok(Transformed::yes(cast_node(plan)?)))?.data)
    }
}

/// The type that a user sees in place of one that Postgres does not have; None if it has it.
pub fn shown(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::UInt8 | DataType::UInt16 | DataType::Int8 => Some(DataType::Int32),
        DataType::UInt32 | DataType::UInt64 => Some(DataType::Int64),
        DataType::Timestamp(unit, Some(zone)) if *unit != TimeUnit::Microsecond || zone.as_ref() != "UTC" => Some(ts_type()),
        DataType::Timestamp(unit, None) if *unit != TimeUnit::Microsecond => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        DataType::List(item) if item.data_type().is_unsigned_integer() => {
            let item = item.as_ref().clone().with_data_type(shown(item.data_type())?);
            Some(DataType::List(Arc::new(item)))
        }
        _ => None,
    }
}

/// The columns as a user sees them.
pub fn shown_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| match shown(f.data_type()) {
        Some(data_type) => Arc::new(f.as_ref().clone().with_data_type(data_type)),
        None => Arc::clone(f),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn cast_node(plan: LogicalPlan) -> Result<LogicalPlan> {
    // Where a node gives columns of its own that are no expressions of its parents, they are cast by a projection on top.
    if matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)) {
        let plan = cast_expressions(plan)?;
        return cast_columns(plan);
    }
    if matches!(plan, LogicalPlan::TableScan(_)) {
        return cast_columns(plan);
    }
    match plan {
        // A node of ours has its schema from its inputs, whose types may have changed.
        LogicalPlan::Extension(extension) => {
            let inputs = extension.node.inputs().into_iter().cloned().collect();
            let node = extension.node.with_exprs_and_inputs(extension.node.expressions(), inputs)?;
            Ok(LogicalPlan::Extension(Extension { node }))
        }
        // Its columns keep the types that the planner found; what a cast gives is of the same type.
        LogicalPlan::Values(_) => {
            let schema = DFSchema::empty();
            let cast = |e: Expr| match &e {
                Expr::Cast(cast) => Ok(casts::replaced(cast, &schema)?.map_or_else(|| Transformed::no(e.clone()), Transformed::yes)),
                _ => Ok(Transformed::no(e)),
            };
            Ok(plan.map_expressions(|e| e.transform_up(cast))?.data)
        }
        LogicalPlan::Unnest(_) => plan.recompute_schema(),
        plan => cast_expressions(plan),
    }
}

/// Casts the result of every function call in the node's expressions.
fn cast_expressions(plan: LogicalPlan) -> Result<LogicalPlan> {
    let inputs = plan.inputs();
    let mut schema = merge_schema(&inputs);
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&scan.projected_schema);
    }
    let names = NamePreserver::new(&plan);
    let sorts = matches!(plan, LogicalPlan::Sort(_));
    let rewritten = plan.map_expressions(|e| {
        let name = names.save(&e);
        let called = cast_calls(e, &schema)?;
        coalesce::check(&called.data)?;
        // Intervals are sorted by how long they are, as they are compared.
        if sorts && is_span(&called.data, &schema) {
            return Ok(Transformed::yes(interval::length(&called.data, &schema)));
        }
        Ok(called.update_data(|e| name.restore(e)))
    })?;
    // The types of its expressions, or of its inputs, may have changed.
    rewritten.data.recompute_schema()
}

fn cast_calls(e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    interrupt::check()?;
    e.transform_up(|mut e| {
        // What stays as it is is not copied: a long chain would be, at each of its operators.
        let replaced = match &mut e {
            Expr::Cast(cast) => casts::replaced(cast, schema)?,
            Expr::BinaryExpr(condition) if matches!(condition.op, Operator::And | Operator::Or) => checked::in_turn(condition)?,
            Expr::BinaryExpr(operation) => operated(operation, schema)?,
            Expr::Negative(of) => checked::negated(of, schema),
            Expr::ScalarFunction(call) if casts::rounds_float(call, schema) => round::half_even(call),
            Expr::ScalarFunction(call) => {
                let of_array = || literals::equals_any(call, schema).or_else(|| nulls::contains(call, schema));
                coalesce::flattened(call).or_else(of_array).or_else(|| duration_part::rewritten(call, schema))
            }
            Expr::Between(between) if is_span(&between.expr, schema) => {
                let length = |e: &Expr| Box::new(interval::length(e, schema));
                let (expr, low, high) = (length(&between.expr), length(&between.low), length(&between.high));
                Some(Expr::Between(Between::new(expr, between.negated, low, high)))
            }
            _ => None,
        };
        let called = matches!(e, Expr::ScalarFunction(_));
        Ok(match replaced {
            Some(replaced) => Transformed::yes(replaced),
            None if called => {
                let field = match &e {
                    Expr::ScalarFunction(call) => struct_field::replaced(call),
                    _ => None,
                };
                match shown(&e.get_type(schema)?) {
                    Some(to) => Transformed::yes(cast(field.unwrap_or(e), to)),
                    None => field.map_or_else(|| Transformed::no(e), Transformed::yes),
                }
            }
            None => Transformed::no(e),
        })
    })
}

/// What stands for an operator that is no AND and no OR; None if it stays, and its operands are left where they are.
fn operated(operation: &mut BinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let BinaryExpr { left, op, right } = operation;
    if let (Some(l), Some(r)) = (checked::type_of(left, schema), checked::type_of(right, schema))
        && l == r
    {
        return Ok(checked::call(left, *op, right, &l));
    }
    let (l, r) = (left.get_type(schema).ok(), right.get_type(schema).ok());
    let is_span = |of: &Option<DataType>| matches!(of, Some(DataType::Interval(_)));
    if (is_span(&l) || is_span(&r))
        && let Some(compared) = interval::compared(left, *op, right, schema)
    {
        return Ok(Some(compared));
    }
    match (l, r) {
        (Some(DataType::Timestamp(l, _)), Some(DataType::Timestamp(r, _))) if l != r => one_unit(left, *op, right, schema).map(Some),
        (Some(DataType::List(l)), Some(DataType::List(r))) if l.data_type() == r.data_type() => Ok(order::compared(left, *op, right)),
        _ => Ok(None),
    }
}

fn is_span(e: &Expr, schema: &DFSchema) -> bool {
    matches!(e.get_type(schema), Ok(DataType::Interval(_)))
}

/// Times of one operator in one unit: they were before a call among them, which gives ns, was cast.
fn one_unit(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<Expr> {
    let shown = |e: &Expr| -> Result<Expr> { Ok(shown(&e.get_type(schema)?).map_or_else(|| e.clone(), |to| cast(e.clone(), to))) };
    Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(shown(left)?), op, Box::new(shown(right)?))))
}

/// A projection that casts the columns, which keep their names.
fn cast_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    // The bits of grouping() are shifted and masked as they are: no user sees them.
    let shown = |field: &Field| (field.name() != Aggregate::INTERNAL_GROUPING_ID).then(|| shown(field.data_type())).flatten();
    if plan.schema().fields().iter().all(|f| shown(f).is_none()) {
        return Ok(plan);
    }
    let columns = plan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            match shown(field) {
                Some(to) => cast(column, to).alias_qualified(qualifier.cloned(), field.name()),
                None => column,
            }
        })
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_is_of_64_bits_unless_it_asks_for_fewer() {
        let of = |sql_type| PostgresTypes.plan_type_field(&sql_type).unwrap().map(|field| field.data_type().clone());
        assert_eq!(of(SqlType::Float(ExactNumberInfo::None)), Some(DataType::Float64));
        assert_eq!(of(SqlType::Float(ExactNumberInfo::Precision(53))), Some(DataType::Float64));
        assert_eq!(of(SqlType::Float(ExactNumberInfo::Precision(24))), Some(DataType::Float32));
        assert_eq!(of(SqlType::Real), None);
    }
}
