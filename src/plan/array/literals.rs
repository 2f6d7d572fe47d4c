//! Arrays beside texts and NULLs as in Postgres: `a = '{1,2}'` reads the text as an array, and `3 = ANY('{1,NULL}')` is not known.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::functions_nested::expr_fn::{array_has_all, array_has_any};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, cast,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::plan::syntax;
use crate::plan::value::text_type::TextType;

static ANY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(EqualsAny { inner: array_has_udf() })));

/// The function that `x = ANY(array)` becomes, for plans that are read back.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&ANY)]
}

/// Plans operators between an array and a text that is written there.
#[derive(Debug)]
pub(in crate::plan) struct ArrayLiterals;

impl ExprPlanner for ArrayLiterals {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        let compares = syntax::compares(&op);
        let contains = matches!(op, BinaryOperator::AtArrow | BinaryOperator::ArrowAt | BinaryOperator::PGOverlap);
        // A text that is no array is an element.
        let joins = op == BinaryOperator::StringConcat && [&left, &right].into_iter().any(is_array_text);
        if !compares && !contains && !joins {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        // Without elements there is nothing of which the form would have to be known.
        let bare = |text: &Expr| matches!(text, Expr::Literal(ScalarValue::Utf8(Some(text)), _) if text.trim() == "{}");
        let of = |expr: &Expr, beside: &Expr| list_of(expr, schema).or_else(|| any_list(expr, schema).filter(|_| compares && bare(beside)));
        let (left, right) = match (of(&left, &right), of(&right, &left)) {
            (Some(list), None) if is_text(&right) => (left, cast(right, list)),
            (None, Some(list)) if is_text(&left) => (cast(left, list), right),
            (Some(_), Some(_)) if op == BinaryOperator::PGOverlap => (left, right),
            _ => return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right })),
        };
        Ok(match op {
            BinaryOperator::AtArrow => PlannerResult::Planned(array_has_all(left, right)),
            BinaryOperator::ArrowAt => PlannerResult::Planned(array_has_all(right, left)),
            BinaryOperator::PGOverlap => PlannerResult::Planned(array_has_any(left, right)),
            op => PlannerResult::Original(RawBinaryExpr { op, left, right }),
        })
    }
}

/// The type of an array; None for other values, and for arrays of uuid and jsonb, whose elements are texts of a form.
fn list_of(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    let data_type = expr.get_type(schema).ok()?;
    match &data_type {
        DataType::List(item) if TextType::of_field(item).is_none() => Some(data_type),
        _ => None,
    }
}

/// The type of any array.
fn any_list(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    expr.get_type(schema).ok().filter(|of| matches!(of, DataType::List(_)))
}

/// `'{a,b}'`.
fn is_array_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(text)), _) if text.trim_start().starts_with('{'))
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(_)), _))
}

/// The call in place of `array_has`, which `x = ANY(array)` is planned as; None where no element is NULL.
pub(in crate::plan) fn equals_any(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let array = call.args.first().filter(|_| call.func.name() == "array_has")?;
    may_hold_null(array, schema).then(|| ANY.call(call.args.clone()))
}

pub(super) fn may_hold_null(array: &Expr, schema: &DFSchema) -> bool {
    match array {
        Expr::Literal(ScalarValue::List(list), _) => list.values().null_count() > 0,
        Expr::ScalarFunction(made) if made.func.name() == "make_array" => {
            made.args.iter().any(|item| item.nullable(schema).unwrap_or(true))
        }
        Expr::Cast(cast) => may_hold_null(&cast.expr, schema),
        other => matches!(other.get_type(schema), Ok(DataType::List(_))),
    }
}

/// `array_has`, but that NULL among the elements could be what is looked for.
#[derive(Debug, PartialEq, Eq, Hash)]
struct EqualsAny {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for EqualsAny {
    fn name(&self) -> &str {
        "equals_any"
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let arrays = args.args.first().cloned();
        let found = self.inner.invoke_with_args(args)?;
        let Some(arrays) = arrays else { return Ok(found) };
        if !matches!(arrays.data_type(), DataType::List(_)) {
            return Ok(found);
        }
        // An array that is a constant is the same for all rows.
        let constant = matches!(arrays, ColumnarValue::Scalar(_));
        let (arrays, found) = (arrays.to_array(if constant { 1 } else { n_rows })?, found.to_array(n_rows)?);
        let (lists, found) = (arrays.as_list::<i32>(), found.as_boolean());
        let holds_null = |row: usize| lists.is_valid(row) && lists.value(row).null_count() > 0;
        let always = constant && holds_null(0);
        let could_be = |row: usize| if constant { always } else { holds_null(row) };
        let answers = found.iter().enumerate().map(|(row, found)| found.filter(|found| *found || !could_be(row)));
        Ok(ColumnarValue::Array(Arc::new(answers.collect::<BooleanArray>())))
    }
}
