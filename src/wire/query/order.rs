//! ORDER BY with a subquery in it: DataFusion plans one in a SELECT list only, so the query is sorted by a column that it has for itself.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, VisitorMut,
};

use super::forms::calls;
use super::rewrite::{call, quoted};
use crate::plan::column_names as names;
use crate::plan::parse::bare_select::select_of;

/// Queries that are sorted so.
pub(super) struct Ordered;

impl VisitorMut for Ordered {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Some(OrderByKind::Expressions(order)) = query.order_by.as_mut().map(|order| &mut order.kind) else {
            return ControlFlow::Continue(());
        };
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        if select.distinct.is_some() || !order.iter().any(|by| asks(&by.expr)) {
            return ControlFlow::Continue(());
        }
        let Some(columns) = named(select) else { return ControlFlow::Continue(()) };
        let mut inner = select.as_ref().clone();
        for (at, by) in order.iter_mut().enumerate() {
            let own = |name: &Ident| columns.iter().any(|column| column.value == name.value);
            // A place in the SELECT list, and a name of it, are the same outside.
            if matches!(&by.expr, Expr::Value(_)) || matches!(&by.expr, Expr::Identifier(name) if own(name)) {
                continue;
            }
            let column = quoted(&format!("order {at}"));
            let expr = std::mem::replace(&mut by.expr, Expr::Identifier(column.clone()));
            inner.projection.push(SelectItem::ExprWithAlias { expr, alias: column });
        }
        for item in &mut inner.projection {
            if let SelectItem::ExprWithAlias { expr, .. } = item {
                gathered(expr);
            }
        }
        let mut items = columns.into_iter().map(|column| SelectItem::UnnamedExpr(Expr::Identifier(column)));
        let Some(first) = items.next() else { return ControlFlow::Continue(()) };
        let mut outer = select_of(first);
        outer.projection.extend(items);
        let subquery = Query { body: Box::new(SetExpr::Select(Box::new(inner))), order_by: None, limit_clause: None, ..empty(query) };
        let alias = TableAlias { explicit: true, name: quoted("ordered"), columns: Vec::new(), at: None };
        let relation = TableFactor::Derived { lateral: false, subquery: Box::new(subquery), alias: Some(alias), sample: None };
        outer.from = vec![TableWithJoins { relation, joins: Vec::new() }];
        *query.body = SetExpr::Select(Box::new(outer));
        ControlFlow::Continue(())
    }
}

/// `x IN (SELECT y …)` is planned in a condition only; elsewhere it asks whether an array has x.
fn gathered(expr: &mut Expr) {
    let _ = ast::visit_expressions_mut(expr, |expr| {
        if let Expr::InSubquery { expr: of, subquery, negated } = expr {
            let name = quoted("gathered");
            let column = ast::TableAliasColumnDef { name: name.clone(), data_type: None };
            let alias = TableAlias { explicit: true, name: name.clone(), columns: vec![column], at: None };
            let relation = TableFactor::Derived { lateral: false, subquery: subquery.clone(), alias: Some(alias), sample: None };
            let mut select = select_of(SelectItem::UnnamedExpr(call("array_agg", Expr::Identifier(name))));
            select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
            let body = Box::new(SetExpr::Select(Box::new(select)));
            let all = Query { body, order_by: None, limit_clause: None, ..empty(subquery) };
            let has = calls("array_has", vec![Expr::Subquery(Box::new(all)), of.as_ref().clone()]);
            *expr = if *negated { Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: Box::new(has) } } else { has };
        }
        ControlFlow::<()>::Continue(())
    });
}

/// A query with nothing but a body, which is put into it.
fn empty(query: &Query) -> Query {
    Query { with: None, fetch: None, locks: Vec::new(), ..query.clone() }
}

/// The names of the columns, which become aliases; None if they are not known, or not different.
fn named(select: &mut Select) -> Option<Vec<Ident>> {
    let mut columns: Vec<Ident> = Vec::new();
    for item in &select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(expr) => quoted(&names::of_expr(expr)),
            SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
            _ => return None,
        };
        if columns.iter().any(|column| column.value == name.value) {
            return None;
        }
        columns.push(name);
    }
    for (item, name) in select.projection.iter_mut().zip(&columns) {
        if let SelectItem::UnnamedExpr(expr) = item {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name.clone() };
        }
    }
    Some(columns)
}

/// Whether there is a subquery in it.
fn asks(expr: &Expr) -> bool {
    ast::visit_expressions(expr, |expr| match expr {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::VisitMut;

    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn what_is_asked_in_order_by_is_asked_in_the_list() {
        for (sql, expected) in [
            (
                "SELECT a + 1 AS b, c FROM t ORDER BY CASE WHEN a IN (SELECT x FROM u) THEN 0 ELSE 1 END, b, 2 DESC LIMIT 3",
                "SELECT b, \"c\" FROM (SELECT a + 1 AS b, c AS \"c\", CASE WHEN array_has((SELECT array_agg(\"gathered\") FROM \
                 (SELECT x FROM u) AS \"gathered\" (\"gathered\")), a) THEN 0 ELSE 1 END AS \"order 0\" FROM t) \
                 AS \"ordered\" ORDER BY \"order 0\", b, 2 DESC LIMIT 3",
            ),
            ("SELECT a FROM t ORDER BY a + 1", "SELECT a FROM t ORDER BY a + 1"),
            ("SELECT * FROM t ORDER BY (SELECT 1)", "SELECT * FROM t ORDER BY (SELECT 1)"),
        ] {
            let mut query = parse_query(sql).unwrap().query;
            let _ = query.visit(&mut Ordered);
            assert_eq!(query.to_string(), expected);
        }
    }
}
