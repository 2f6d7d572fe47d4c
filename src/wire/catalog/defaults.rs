//! What a column holds where nothing is said: pg_attrdef, its texts as Postgres writes them, and the look-up of one that clients write as a subquery.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Signature, SimpleScalarUDF, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, SelectItem, SetExpr, TableFactor, VisitorMut,
};
use pgwire::api::Type;

use super::fill::{Columns, Fill, some};
use super::functions::format_type;
use super::modifiers;
use super::schema::{Listed, PgCatalog};
use crate::engine::relation::value_text as text;
use crate::settings::TimeZone;
use crate::wire::query::forms::calls;
use crate::wire::query::look_ups::column;
use crate::wire::query::rewrite::last;

/// What the look-up of a default becomes.
const COLUMN_DEFAULT: &str = "pg_column_default";

/// A default: its oid, its table's, the column's place from 1, its text.
pub(in crate::wire) type Known = (i32, i32, i16, String);

/// Those of all tables.
pub(super) fn all(catalog: &PgCatalog, listed: &[Listed]) -> Vec<Known> {
    let of = |one: &Listed| -> Vec<Known> {
        let one_of = |at: usize| {
            let column = one.schema.fields().get(at)?;
            Some((catalog.default_oid(&one.name, column.name()), one.oid, i16::try_from(at + 1).ok()?, written(one, at)?))
        };
        (0..one.schema.fields().len()).filter_map(one_of).collect()
    };
    listed.iter().flat_map(of).collect()
}

/// pg_attrdef.
pub(in crate::wire) fn pg_attrdef(all: &[Known]) -> Columns {
    vec![
        ("oid", Fill::Oid(all.iter().map(|(oid, ..)| *oid).collect())),
        ("adrelid", Fill::Oid(all.iter().map(|(_, table, ..)| *table).collect())),
        ("adnum", Fill::Int2(all.iter().map(|(_, _, at, _)| *at).collect())),
        ("adbin", some(all.iter().map(|(.., text)| text))),
    ]
}

/// The default of a column as SQL; None where it has none.
pub(in crate::wire) fn written(one: &Listed, at: usize) -> Option<String> {
    let value = one.declared.get(at).map(|declared| &declared.default).filter(|value| !value.is_null())?;
    let (data_type, _) = modifiers::of(one, at)?;
    sql(value, &data_type)
}

/// Numbers and booleans as they are; all else, and what has a sign, as a text of its type.
fn sql(value: &ScalarValue, data_type: &Type) -> Option<String> {
    let mut written = String::new();
    text::write(&mut written, value.to_array().ok()?.as_ref(), 0, TimeZone::default()).ok()?;
    let number = matches!(*data_type, Type::INT2 | Type::INT4 | Type::INT8 | Type::NUMERIC | Type::FLOAT4 | Type::FLOAT8);
    match *data_type {
        Type::BOOL => Some(if written.starts_with('t') { "true" } else { "false" }.to_owned()),
        _ if number && written.starts_with(|c: char| c.is_ascii_digit()) => Some(written),
        _ => Some(format!("'{}'::{}", written.replace('\'', "''"), format_type(data_type.oid() as i32))),
    }
}

/// Registers pg_get_expr, whose expressions are their texts here, and the look-up.
pub(super) fn register(context: &SessionContext, catalog: &Arc<PgCatalog>) {
    let answer = |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let Some(first) = arrays.first() else { return datafusion::common::exec_err!("an expression is needed") };
        Ok(ColumnarValue::Array(cast(first, &DataType::Utf8)?))
    };
    let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Stable);
    context.register_udf(SimpleScalarUDF::new_with_signature("pg_get_expr", signature, DataType::Utf8, Arc::new(answer)).into());
    let held = Arc::clone(catalog);
    let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [tables, places] = arrays.as_slice() else { return datafusion::common::exec_err!("a table and a column are needed") };
        let number = |array: &ArrayRef| -> Result<Vec<Option<i32>>> {
            Ok(cast(array, &DataType::Int32)?.as_primitive::<Int32Type>().iter().collect())
        };
        let relations = held.own_relations();
        let one = |(table, at): (Option<i32>, Option<i32>)| {
            let (table, at) = (table?, usize::try_from(at?).ok()?.checked_sub(1)?);
            written(relations.iter().find(|one| one.oid == table)?, at)
        };
        let texts: StringArray = number(tables)?.into_iter().zip(number(places)?).map(one).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    };
    let signature = Signature::new(TypeSignature::Any(2), Volatility::Stable);
    context.register_udf(SimpleScalarUDF::new_with_signature(COLUMN_DEFAULT, signature, DataType::Utf8, Arc::new(answer)).into());
}

/// `(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = t AND adnum = n)` is a function of t and n: DataFusion plans no such subquery whose
/// condition has also a part of the outer row only, `AND a.atthasdef`.
pub(in crate::wire) struct Lookups;

impl VisitorMut for Lookups {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some((table, at)) = looked_up(expr) {
            *expr = calls(COLUMN_DEFAULT, vec![table, at]);
        }
        ControlFlow::Continue(())
    }
}

/// The table and the column whose default is looked up.
fn looked_up(expr: &Expr) -> Option<(Expr, Expr)> {
    let Expr::Subquery(query) = expr else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [table] = select.from.as_slice() else { return None };
    let TableFactor::Table { name, args: None, .. } = &table.relation else { return None };
    let [SelectItem::UnnamedExpr(of) | SelectItem::ExprWithAlias { expr: of, .. }] = select.projection.as_slice() else { return None };
    if !table.joins.is_empty() || last(name).as_deref() != Some("pg_attrdef") || !shows_default(of) {
        return None;
    }
    let (mut table, mut at) = (None, None);
    for condition in parts(select.selection.as_ref()?) {
        match condition {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => match (column(left).as_deref(), column(right).as_deref()) {
                (Some("adrelid"), _) => table = Some(right.as_ref().clone()),
                (_, Some("adrelid")) => table = Some(left.as_ref().clone()),
                (Some("adnum"), _) => at = Some(right.as_ref().clone()),
                (_, Some("adnum")) => at = Some(left.as_ref().clone()),
                _ => return None,
            },
            // A column without a default has none to look up.
            other if column(other).as_deref() == Some("atthasdef") => {}
            _ => return None,
        }
    }
    table.zip(at)
}

fn shows_default(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let FunctionArguments::List(list) = &function.args else { return false };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first() else { return false };
    last(&function.name).as_deref() == Some("pg_get_expr") && column(of).as_deref() == Some("adbin")
}

/// The conditions that all must hold.
fn parts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Nested(inner) => parts(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => [parts(left), parts(right)].concat(),
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::VisitMut;

    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn a_default_is_looked_up_by_a_function() {
        for (sql, expected) in [
            (
                "SELECT (SELECT pg_get_expr(d.adbin, d.adrelid, true) FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef) FROM a",
                "SELECT pg_column_default(a.attrelid, a.attnum) FROM a",
            ),
            (
                "SELECT (SELECT adbin FROM pg_attrdef d WHERE d.adrelid = 1) FROM a",
                "SELECT (SELECT adbin FROM pg_attrdef d WHERE d.adrelid = 1) FROM a",
            ),
        ] {
            let mut query = parse_query(sql).unwrap().query;
            let _ = query.visit(&mut Lookups);
            assert_eq!(query.to_string(), expected);
        }
    }

    #[test]
    fn a_default_is_sql() {
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        assert_eq!(sql(&ScalarValue::Int32(Some(3)), &Type::INT4).as_deref(), Some("3"));
        assert_eq!(sql(&ScalarValue::Int64(Some(-3)), &Type::INT8).as_deref(), Some("'-3'::bigint"));
        assert_eq!(sql(&text("it's"), &Type::VARCHAR).as_deref(), Some("'it''s'::character varying"));
        assert_eq!(sql(&ScalarValue::Boolean(Some(true)), &Type::BOOL).as_deref(), Some("true"));
    }
}
