//! IN and EXISTS over a subquery of its own, beside functions that look at pixels: a value known before the first frame is read, not a join, which
//! would keep only the references of frames.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{Row, RowConverter, SortField};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::utils::normalize_float_zero;
use datafusion::common::{DFSchema, ScalarValue, Spans, internal_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::count::count;
use datafusion::logical_expr::expr::{AggregateFunction, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery,
    Volatility, cast, lit, not,
};
use framesql_udfs::function::reads_pixels;

/// The plan with what can be known beforehand as values of scalar subqueries; unchanged where nothing looks at pixels, as a join is quicker then.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !looks(&plan)? {
        return Ok(plan);
    }
    let placed = plan.transform_down(|node| {
        let mut schema = merge_schema(&node.inputs());
        if node.inputs().is_empty() {
            schema = node.schema().as_ref().clone();
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|e| {
            let name = names.save(&e);
            let known = e.transform_up(|e| Ok(known(&e, &schema)?.map_or_else(|| Transformed::no(e), Transformed::yes)))?;
            Ok(known.update_data(|e| name.restore(e)))
        })
    })?;
    Ok(placed.data)
}

fn looks(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        node.apply_expressions(|e| {
            found |= e.exists(|e| Ok(matches!(e, Expr::ScalarFunction(f) if reads_pixels(f.func.name()))))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// The same condition over a value that is known beforehand; None for another expression, and for a subquery that reads the row outside.
pub(in crate::plan) fn known(expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    match expr {
        Expr::Exists(exists) if exists.subquery.outer_ref_columns.is_empty() => {
            let one = LogicalPlanBuilder::from(Arc::clone(&exists.subquery.subquery)).limit(0, Some(1))?;
            let n_rows = value(one.aggregate(Vec::<Expr>::new(), vec![count(lit(1))])?.build()?);
            Ok(Some(if exists.negated { n_rows.eq(lit(0_i64)) } else { n_rows.gt(lit(0_i64)) }))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if subquery.outer_ref_columns.is_empty() => {
            let rows = &subquery.subquery;
            let Some(column) = rows.schema().columns().into_iter().next() else {
                return internal_err!("IN of a subquery without a column");
            };
            let element = rows.schema().field(0).data_type();
            let common = comparison_coercion(&expr.get_type(schema)?, element).filter(|t| !t.is_nested() && !t.is_null());
            let Some(common) = common else { return Ok(None) };
            let element = cast(Expr::Column(column), common.clone());
            let list = Expr::AggregateFunction(AggregateFunction::new_udf(array_agg_udaf(), vec![element], true, None, Vec::new(), None));
            let list = value(LogicalPlanBuilder::from(Arc::clone(rows)).aggregate(Vec::<Expr>::new(), vec![list])?.build()?);
            let member = MEMBER.call(vec![cast(expr.as_ref().clone(), common), list]);
            Ok(Some(if *negated { not(member) } else { member }))
        }
        _ => Ok(None),
    }
}

fn value(plan: LogicalPlan) -> Expr {
    Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), outer_ref_columns: Vec::new(), spans: Spans::new() })
}

static MEMBER: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(2, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Member { signature }))
});

/// Whether a value is in a list, as `IN` says it: NULL if that hangs on a NULL, on either side.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Member {
    signature: Signature,
}

impl ScalarUDFImpl for Member {
    fn name(&self) -> &str {
        "in"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, list] = args.args.as_slice() else { return internal_err!("IN takes a value and a list") };
        let values = value.to_array(args.number_rows)?;
        let found = match list {
            ColumnarValue::Scalar(ScalarValue::List(list)) => member(&values, &members(list, 0))?,
            // A list a row, where the value of a subquery comes by a join.
            lists => {
                let lists = lists.to_array(args.number_rows)?;
                let lists = lists.as_list::<i32>();
                let one = |row: usize| -> Result<Option<bool>> {
                    Ok(member(&values.slice(row, 1), &members(lists, row))?.iter().next().flatten())
                };
                (0..values.len()).map(one).collect::<Result<BooleanArray>>()?
            }
        };
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// The list of no row at all is NULL.
fn members(lists: &ListArray, row: usize) -> Option<ArrayRef> {
    (lists.is_valid(row) && !lists.value(row).is_empty()).then(|| lists.value(row))
}

/// Whether each value is among the members.
fn member(values: &ArrayRef, members: &Option<ArrayRef>) -> Result<BooleanArray> {
    let Some(members) = members else { return Ok(BooleanArray::from(vec![false; values.len()])) };
    // -0 is in a list that has 0.
    let (values, members) = (normalize_float_zero(values), normalize_float_zero(members));
    let unknown = members.logical_null_count() > 0;
    // Rows are equal where the values are; a NULL is none of them.
    let rows = RowConverter::new(vec![SortField::new(members.data_type().clone())])?;
    let (of_members, of_values) = (rows.convert_columns(&[Arc::clone(&members)])?, rows.convert_columns(&[Arc::clone(&values)])?);
    let known: HashSet<Row<'_>> = of_members.iter().enumerate().filter(|(at, _)| members.is_valid(*at)).map(|(_, row)| row).collect();
    let found = of_values.iter().enumerate().map(|(at, row)| match values.is_valid(at) {
        true => {
            if known.contains(&row) {
                Some(true)
            } else {
                (!unknown).then_some(false)
            }
        }
        false => None,
    });
    Ok(found.collect())
}
