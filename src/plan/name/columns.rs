//! The columns of queries as Postgres lets them be: two may have one name, and those of a subquery are read by the names that Postgres gives them.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    TrimWhereField, VisitMut, VisitorMut,
};

use crate::plan::column_names;
use crate::plan::syntax::{call, text};

/// Columns of one name are told apart, and those of a subquery have the names by which Postgres lets them be read.
pub(in crate::plan) struct Named;

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        tell_apart(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { subquery, .. } = factor {
            name_columns(subquery);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            name_columns(&mut table.query);
        }
        ControlFlow::Continue(())
    }
}

/// The same for every column whose name is not surely its own: what two expressions are called that DataFusion plans as one is known once it has
/// planned them.
pub(in crate::plan) struct AllNamed;

impl VisitorMut for AllNamed {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.projection.len() < 2 {
            return ControlFlow::Continue(());
        }
        let mut seen = HashSet::new();
        for (at, item) in select.projection.iter_mut().enumerate() {
            let (expr, name) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, None),
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.value.clone())),
                _ => continue,
            };
            let column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let own = column || name.is_some();
            let name = name.unwrap_or_else(|| column_names::of_expr(expr));
            if !own || !seen.insert(name.clone()) {
                let alias = quoted(&column_names::with_mark(column_names::without_mark(&name), at + 1));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }
}

/// Casts in calls that a name tells of, `sum(a::float8)` beside `sum(a)`: DataFusion leaves them out of the names by which it knows aggregates and keys.
#[derive(Default)]
pub(in crate::plan) struct CastsNamed {
    types: Vec<String>,
}

impl VisitorMut for CastsNamed {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { data_type, .. } = expr {
            let to = data_type.to_string().to_lowercase();
            let at = self.types.iter().position(|of| *of == to).unwrap_or(self.types.len());
            if at == self.types.len() {
                self.types.push(to);
            }
            // One value of COALESCE is that value. As many as tell the types apart.
            for _ in 0..=at {
                *expr = call("coalesce", [expr.clone()]);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Whether DataFusion found two columns of one name; the text is of 55.2.
pub(in crate::plan) fn named_twice(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::Plan(m) => m.contains("require unique expression names"),
        DataFusionError::SchemaError(error, _) => matches!(error.as_ref(), SchemaError::DuplicateUnqualifiedField { .. }),
        _ => false,
    }
}

fn name_columns(query: &mut Query) {
    let mut body = query.body.as_mut();
    let select = loop {
        match body {
            SetExpr::Select(select) => break select,
            SetExpr::SetOperation { left, .. } => body = left.as_mut(),
            _ => return,
        }
    };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. })
        {
            let alias = quoted(&column_names::of_expr(expr));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// Other names of functions, each with the one that DataFusion knows it by.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("pow", "power"),
    ("substring", "substr"),
    ("trim", "btrim"),
    ("instr", "strpos"),
    ("position", "strpos"),
    ("char_length", "character_length"),
    ("datepart", "date_part"),
    ("datetrunc", "date_trunc"),
    ("array_contains", "array_has"),
    ("array_cat", "array_concat"),
    ("mean", "avg"),
    ("stddev_samp", "stddev"),
    ("var_samp", "var"),
    ("variance", "var"),
];

/// A form of its own as the call that DataFusion makes of it, and a call by the name that it knows; None for the others.
fn as_call(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::Position { expr: of, r#in } => Some(call("strpos", [r#in.as_ref().clone(), of.as_ref().clone()])),
        Expr::Extract { field, expr: of, .. } => Some(call("date_part", [text(&field.to_string()), of.as_ref().clone()])),
        Expr::Substring { expr: of, substring_from, substring_for, .. } => {
            let parts = [Some(of), substring_from.as_mut(), substring_for.as_mut()];
            Some(call("substr", parts.into_iter().flatten().map(|part| part.as_ref().clone())))
        }
        Expr::Trim { expr: of, trim_where: None | Some(TrimWhereField::Both), trim_what, .. } => {
            Some(call("btrim", [Some(of), trim_what.as_mut()].into_iter().flatten().map(|part| part.as_ref().clone())))
        }
        Expr::Ceil { expr: of, .. } => Some(call("ceil", [of.as_ref().clone()])),
        Expr::Floor { expr: of, .. } => Some(call("floor", [of.as_ref().clone()])),
        Expr::BinaryOp { left, op: BinaryOperator::PGExp, right } => Some(call("power", [left.as_ref().clone(), right.as_ref().clone()])),
        Expr::Function(function) => {
            let name = column_names::of_function(function).unwrap_or_default();
            if let Some((_, known)) = OTHER_NAMES.iter().find(|(other, _)| *other == name) {
                function.name = ObjectName::from(vec![Ident::new(*known)]);
            }
            None
        }
        _ => None,
    }
}

/// An expression's text without what DataFusion leaves out of its name, or spells in one way only: parentheses, casts, qualifiers, case, the names
/// of functions.
/// Two that differ may have the same; then one of them gets a name that it did not need.
fn spelled(expr: &Expr) -> String {
    struct Plain;
    impl VisitorMut for Plain {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let plain = match expr {
                Expr::Cast { expr, .. } | Expr::Nested(expr) => expr.as_ref().clone(),
                // `timestamp '…'` is a cast.
                Expr::TypedString(typed) => Expr::Value(typed.value.clone()),
                Expr::CompoundIdentifier(parts) => match parts.last() {
                    Some(last) => Expr::Identifier(Ident::new(last.value.clone())),
                    None => return ControlFlow::Continue(()),
                },
                Expr::Identifier(ident) => Expr::Identifier(Ident::new(ident.value.clone())),
                Expr::Exists { negated, .. } => Expr::Identifier(Ident::new(if *negated { "not exists" } else { "exists" })),
                Expr::InSubquery { negated, .. } => Expr::Identifier(Ident::new(if *negated { "not in" } else { "in" })),
                Expr::Subquery(_) => Expr::Identifier(Ident::new("subquery")),
                _ => match as_call(expr) {
                    Some(call) => call,
                    None => return ControlFlow::Continue(()),
                },
            };
            *expr = plain;
            ControlFlow::Continue(())
        }
    }
    let mut plain = expr.clone();
    let _ = plain.visit(&mut Plain);
    plain.to_string().to_lowercase()
}

/// Gives a second column of the same name one of its own; the mark in it is not shown.
fn tell_apart(projection: &mut [SelectItem]) {
    let mut seen = HashSet::new();
    // What each `*` is of; None is everything.
    let stars: Vec<Option<String>> = projection.iter().filter_map(star).collect();
    let columns: HashSet<String> = projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => Some(column_names::of_expr(expr)),
            _ => None,
        })
        .collect();
    for (at, item) in projection.iter_mut().enumerate() {
        let (key, name) = match item {
            // `t.a` and `u.a` differ, `a` and `t.a` may not.
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                (dotted(parts), parts.last().map(|part| part.value.clone()).unwrap_or_default())
            }
            SelectItem::UnnamedExpr(expr @ Expr::Identifier(_)) => (expr.to_string(), column_names::of_expr(expr)),
            SelectItem::UnnamedExpr(expr) => (spelled(expr), column_names::of_expr(expr)),
            SelectItem::ExprWithAlias { alias, .. } => (alias.value.clone(), alias.value.clone()),
            _ => continue,
        };
        // A column beside a `*` that may hold it, before or behind, is there twice.
        let twice = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(_)) => !stars.is_empty(),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                let of = parts.split_last().map(|(_, relation)| dotted(relation)).unwrap_or_default();
                stars.iter().any(|star| star.as_ref().is_none_or(|star| *star == of))
            }
            // A subquery is called as its column, of which DataFusion knows no relation.
            SelectItem::UnnamedExpr(expr @ Expr::Subquery(_)) => columns.contains(&column_names::of_expr(expr)),
            _ => false,
        };
        if seen.insert(key) && !twice {
            continue;
        }
        let expr = match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr.clone(),
            _ => continue,
        };
        *item = SelectItem::ExprWithAlias { expr, alias: quoted(&column_names::with_mark(&name, at + 1)) };
    }
}

/// The relation whose columns an item is, None for all; an outer None if it is no `*`.
fn star(item: &SelectItem) -> Option<Option<String>> {
    match item {
        SelectItem::Wildcard(_) => Some(None),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
            Some(Some(dotted(&parts)))
        }
        SelectItem::QualifiedWildcard(..) => Some(None),
        _ => None,
    }
}

fn dotted(parts: &[Ident]) -> String {
    parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse_query;

    fn rewritten(sql: &str) -> String {
        let mut query = parse_query(sql).unwrap().query;
        let _ = query.visit(&mut Named);
        query.to_string()
    }

    #[test]
    fn equal_columns_are_told_apart() {
        assert_eq!(rewritten("SELECT 1, 1"), "SELECT 1, 1 AS \"?column?\u{1}2\"");
        assert_eq!(rewritten("SELECT a, t.a, 2 AS a FROM t"), "SELECT a, t.a, 2 AS \"a\u{1}3\" FROM t");
        assert_eq!(rewritten("SELECT (a + 1) * 2, t.a + 1 * 2 FROM t"), "SELECT (a + 1) * 2, t.a + 1 * 2 AS \"?column?\u{1}2\" FROM t");
        assert_eq!(
            rewritten("SELECT position('a' IN x), strpos(x, 'a') FROM t"),
            "SELECT POSITION('a' IN x), strpos(x, 'a') AS \"strpos\u{1}2\" FROM t"
        );
        assert_eq!(rewritten("SELECT a, * FROM t"), "SELECT a AS \"a\u{1}1\", * FROM t");
        assert_eq!(rewritten("SELECT t.*, t.a, a, u.a FROM t, u"), "SELECT t.*, t.a AS \"a\u{1}2\", a AS \"a\u{1}3\", u.a FROM t, u");
    }

    #[test]
    fn columns_of_a_subquery_can_be_read_by_their_names() {
        assert_eq!(rewritten("SELECT count FROM (SELECT count(*) FROM t)"), "SELECT count FROM (SELECT count(*) AS \"count\" FROM t)");
    }
}
