//! Forms of SQL in queries that read the catalogue: look-ups, vectors, and names where Postgres keeps oids.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select, SelectItem, SetExpr, Value, VisitorMut,
};

use super::forms::{as_text, calls};
use super::rewrite::{call, last, null, single};
use crate::wire::catalog::functions::OID_ARRAY;

/// Columns of pg_catalog that hold oids and that clients gather into arrays.
const OIDS: [&str; 8] = ["oid", "atttypid", "attrelid", "typelem", "typarray", "typbasetype", "enumtypid", "indexrelid"];

/// Expressions of a query that reads the catalogue.
pub(super) struct CatalogForms;

impl VisitorMut for CatalogForms {
    type Break = ();

    /// EXISTS is planned in a condition; in a SELECT list it is a number that is not 0.
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
            let _ = ast::visit_expressions_mut(expr, |expr| {
                if let Expr::Exists { subquery, negated } = expr
                    && let SetExpr::Select(select) = subquery.body.as_mut()
                    && select.projection.len() == 1
                {
                    let one = Expr::Value(Value::Number("1".into(), false).with_empty_span());
                    select.projection = vec![SelectItem::UnnamedExpr(call("count", one))];
                    let op = if *negated { ast::BinaryOperator::Eq } else { ast::BinaryOperator::Gt };
                    let zero = Expr::Value(Value::Number("0".into(), false).with_empty_span());
                    let counted = Box::new(Expr::Subquery(subquery.clone()));
                    *expr = Expr::Nested(Box::new(Expr::BinaryOp { left: counted, op, right: Box::new(zero) }));
                }
                ControlFlow::<()>::Continue(())
            });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // An array of oids is one to the client too: drivers look a type up by it.
            Expr::Function(function) if last(&function.name).as_deref() == Some("array_agg") => {
                let oids = match &function.args {
                    FunctionArguments::List(list) => {
                        matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))] if is_oid(of))
                    }
                    _ => false,
                };
                if oids {
                    *expr = call(OID_ARRAY, expr.clone());
                }
            }
            // A look-up in a branch, of what only composite types and domains have: framesql has neither, and DataFusion cannot plan it.
            Expr::Case { conditions, else_result, .. } => {
                for when in conditions.iter_mut() {
                    without_lookup(&mut when.result);
                    single(&mut when.condition);
                    single(&mut when.result);
                }
                if let Some(otherwise) = else_result {
                    without_lookup(otherwise);
                    single(otherwise);
                }
                let oids = |of: &Expr| matches!(of, Expr::Function(function) if last(&function.name).as_deref() == Some(OID_ARRAY));
                // A CASE forgets what its branches say of themselves.
                if conditions.iter().any(|when| oids(&when.result)) {
                    *expr = call(OID_ARRAY, expr.clone());
                }
            }
            // A flag may be asked for by its letter.
            Expr::BinaryOp { left, right, .. }
                if column(left).is_some_and(|name| name.starts_with("indis") || name.starts_with("attis")) =>
            {
                if let Expr::Value(value) = right.as_ref()
                    && let Value::SingleQuotedString(letter) = &value.value
                {
                    **right = Expr::Value(Value::Boolean(letter.starts_with('t')).with_empty_span());
                }
            }
            // The vectors of pg_index count from 0, arrays from 1.
            Expr::CompoundFieldAccess { root, access_chain } => {
                let dotted = access_chain.iter().rev().find_map(|access| match access {
                    ast::AccessExpr::Dot(Expr::Identifier(name)) => Some(name.value.to_lowercase()),
                    _ => None,
                });
                if dotted.or_else(|| column(root)).is_some_and(|name| is_vector(&name)) {
                    for access in access_chain {
                        if let ast::AccessExpr::Subscript(ast::Subscript::Index { index }) = access {
                            let one = Expr::Value(Value::Number("1".into(), false).with_empty_span());
                            let before = Box::new(Expr::Nested(Box::new(index.clone())));
                            *index = Expr::BinaryOp { left: before, op: ast::BinaryOperator::Plus, right: Box::new(one) };
                        }
                    }
                }
            }
            // `generate_subscripts(a, 1)` in a SELECT list.
            Expr::Function(function) if last(&function.name).as_deref() == Some("generate_subscripts") => {
                if let FunctionArguments::List(list) = &function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first()
                {
                    let number = |n: &str| Expr::Value(Value::Number(n.to_owned(), false).with_empty_span());
                    let length = Expr::Cast {
                        kind: CastKind::DoubleColon,
                        expr: Box::new(call("cardinality", of.clone())),
                        data_type: ast::DataType::BigInt(None),
                        array: false,
                        format: None,
                    };
                    let vector = column(of).is_some_and(|name| is_vector(&name));
                    let last = Expr::BinaryOp {
                        left: Box::new(length),
                        op: ast::BinaryOperator::Minus,
                        right: Box::new(number(if vector { "1" } else { "0" })),
                    };
                    let series = calls("generate_series", vec![number(if vector { "0" } else { "1" }), last]);
                    *expr = call("unnest", series);
                }
            }
            // Lists of rights that Postgres' own objects do not have here.
            Expr::Function(function) if last(&function.name).as_deref() == Some("array_to_string") => {
                if let FunctionArguments::List(list) = &function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first()
                    && column(of).is_some_and(|name| ["typacl", "proacl", "lanacl", "spcacl"].contains(&name.as_str()))
                {
                    *expr = as_text(null());
                }
            }
            // The function of a type is looked up by its oid: by its name, as that is what pg_type keeps, and pg_proc has each of them once.
            Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } if is_procedure(left) && of_oid(right) => by_name(right),
            Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } if is_procedure(right) && of_oid(left) => by_name(left),
            // The catalogue keeps the names of functions; that there is none is `-`, as Postgres shows it.
            Expr::BinaryOp { left, right, .. } if is_procedure(left) => {
                if matches!(right.as_ref(), Expr::Value(value) if matches!(&value.value, Value::Number(number, _) if number == "0")) {
                    **right = Expr::Value(Value::SingleQuotedString("-".to_owned()).with_empty_span());
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Columns of pg_index that are vectors, perhaps under a name that says so.
fn is_vector(name: &str) -> bool {
    ["indkey", "indoption", "indclass", "indcollation"].iter().any(|vector| name.ends_with(vector))
}

/// Columns of pg_type that name functions.
const PROCEDURES: [&str; 7] = ["typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typanalyze"];

fn is_procedure(expr: &Expr) -> bool {
    column(expr).is_some_and(|name| PROCEDURES.contains(&name.as_str()))
}

/// Whether an expression is the column oid of a relation that is named.
fn of_oid(expr: &Expr) -> bool {
    matches!(expr, Expr::CompoundIdentifier(_)) && column(expr).as_deref() == Some("oid")
}

fn by_name(expr: &mut Expr) {
    if let Expr::CompoundIdentifier(parts) = expr
        && let Some(name) = parts.last_mut()
    {
        *name = Ident::new("proname");
    }
}

/// The column that an expression is, lower case.
pub(in crate::wire) fn column(expr: &Expr) -> Option<String> {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    name.map(|name| name.value.to_lowercase())
}

fn is_oid(expr: &Expr) -> bool {
    column(expr).is_some_and(|name| OIDS.contains(&name.as_str()))
}

fn without_lookup(expr: &mut Expr) {
    let Expr::Subquery(query) = expr else { return };
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let [SelectItem::UnnamedExpr(of) | SelectItem::ExprWithAlias { expr: of, .. }] = select.projection.as_slice() else { return };
    let Expr::Function(function) = of else {
        if query.with.is_some() {
            *expr = Expr::Cast {
                kind: CastKind::DoubleColon,
                expr: Box::new(null()),
                data_type: ast::DataType::Integer(None),
                array: false,
                format: None,
            };
        }
        return;
    };
    let texts = || ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(ast::DataType::Text), None));
    match last(&function.name).as_deref() {
        Some(OID_ARRAY) => *expr = call(OID_ARRAY, null()),
        Some("json_build_object" | "jsonb_build_object") => *expr = as_text(null()),
        Some("array_agg") => {
            *expr = Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(null()), data_type: texts(), array: false, format: None };
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::VisitMut;

    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn what_is_looked_up_by_an_oid_is_found() {
        for (sql, expected) in [
            (
                "SELECT 1 FROM pg_type t JOIN pg_proc p ON p.oid = t.typreceive",
                "SELECT 1 FROM pg_type t JOIN pg_proc p ON p.proname = t.typreceive",
            ),
            (
                "SELECT 1 FROM pg_type t, pg_proc p WHERE t.typsend = p.oid",
                "SELECT 1 FROM pg_type t, pg_proc p WHERE t.typsend = p.proname",
            ),
            ("SELECT 1 FROM pg_type WHERE typanalyze = 0", "SELECT 1 FROM pg_type WHERE typanalyze = '-'"),
            (
                "SELECT CASE WHEN a THEN (SELECT x FROM r WHERE r.y = t.oid) ELSE 1 END FROM t",
                "SELECT CASE WHEN a THEN (SELECT max(x) FROM r WHERE r.y = t.oid) ELSE 1 END FROM t",
            ),
        ] {
            let mut query = parse_query(sql).unwrap().query;
            let _ = query.visit(&mut CatalogForms);
            assert_eq!(query.to_string(), expected);
        }
    }
}
