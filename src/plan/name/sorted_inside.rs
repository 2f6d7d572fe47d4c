//! ORDER BY of what is inside a query, beside columns that have the names of what is there: `SELECT upper(e.name) AS name … ORDER BY e.name`. As in
//! Postgres a name alone is that of a column of the answer, and all else is of the tables; DataFusion takes both together.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins,
    Value, ValueWithSpan, visit_expressions,
};

use crate::plan::column_names;
use crate::plan::parse::bare_select::{query_of, select_of};
use crate::plan::rewrite::folded;
use crate::plan::syntax::quoted;

/// What the query in the query is called; the mark keeps it apart from all that users name.
const INSIDE: &str = "sorted";

/// The query with what it is sorted by as columns of a query inside, where names would be confused.
pub(in crate::plan) fn place(query: &mut Query) {
    by_name(query);
    if !confused(query) {
        return;
    }
    let Query { body, order_by: Some(order_by), .. } = query else { return };
    let OrderByKind::Expressions(order) = &mut order_by.kind else { return };
    let SetExpr::Select(select) = body.as_mut() else { return };
    let names: Vec<String> = select.projection.iter().map(name_of).collect();
    for by in order {
        let at = match &by.expr {
            Expr::Value(ValueWithSpan { value: Value::Number(place, _), .. }) => {
                match place.parse::<usize>().ok().and_then(|place| place.checked_sub(1)) {
                    Some(at) if at < names.len() => at,
                    // Whoever reads it says that there is no such column.
                    _ => return,
                }
            }
            Expr::Identifier(name) if names.contains(&folded(name)) => {
                names.iter().position(|one| *one == folded(name)).unwrap_or_default()
            }
            other => {
                select.projection.push(SelectItem::UnnamedExpr(other.clone()));
                select.projection.len() - 1
            }
        };
        by.expr = Expr::Identifier(column(at));
    }
    let n_columns = select.projection.len();
    let grouped = grouped_by(select);
    for (at, item) in select.projection.iter_mut().enumerate() {
        let expr = match item {
            SelectItem::ExprWithAlias { alias, .. } if grouped.contains(&folded(alias)) => continue,
            SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => expr.clone(),
            _ => continue,
        };
        *item = SelectItem::ExprWithAlias { expr, alias: column(at) };
    }
    let shown = |(at, name): (usize, &String)| SelectItem::ExprWithAlias { expr: Expr::Identifier(column(at)), alias: quoted(name) };
    let mut outside: Select = select_of(SelectItem::UnnamedExpr(Expr::Identifier(column(0))));
    outside.projection = names.iter().enumerate().map(shown).collect();
    let mut inside = query_of(SelectItem::UnnamedExpr(Expr::Identifier(column(0))));
    *inside.body =
        std::mem::replace(body.as_mut(), SetExpr::Select(Box::new(select_of(SelectItem::UnnamedExpr(Expr::Identifier(column(0)))))));
    let columns = (0..n_columns).map(|at| TableAliasColumnDef { name: column(at), data_type: None }).collect();
    let alias = TableAlias { explicit: true, name: quoted(&column_names::with_mark(INSIDE, 0)), columns, at: None };
    let relation = TableFactor::Derived { lateral: false, subquery: Box::new(inside), alias: Some(alias), sample: None };
    outside.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    *body.as_mut() = SetExpr::Select(Box::new(outside));
}

/// The names that GROUP BY and HAVING may mean the columns of the answer by.
fn grouped_by(select: &Select) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut note = |expr: &Expr| {
        if let Expr::Identifier(name) = expr {
            names.insert(folded(name));
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = visit_expressions(&select.group_by, &mut note);
    let _ = visit_expressions(&select.having, &mut note);
    names
}

/// What is sorted by as it is selected is sorted by its name.
fn by_name(query: &mut Query) {
    let Query { body, order_by: Some(order_by), .. } = query else { return };
    let (OrderByKind::Expressions(order), SetExpr::Select(select)) = (&mut order_by.kind, body.as_ref()) else { return };
    // DISTINCT ON is told apart by what it is sorted by.
    if matches!(select.distinct, Some(Distinct::On(_))) {
        return;
    }
    for by in order.iter_mut().filter(|by| !matches!(by.expr, Expr::Identifier(_) | Expr::Value(_))) {
        let alias = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if *expr == by.expr => Some(alias),
            _ => None,
        });
        let only = |alias: &&Ident| select.projection.iter().filter(|item| name_of(item) == folded(alias)).count() == 1;
        if let Some(alias) = alias.filter(only) {
            by.expr = Expr::Identifier(alias.clone());
        }
    }
}

/// Whether something that the query is sorted by names a column inside as one of the answer is named.
fn confused(query: &Query) -> bool {
    let Some(OrderByKind::Expressions(order)) = query.order_by.as_ref().map(|order| &order.kind) else { return false };
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let listed = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    if select.distinct.is_some() || !select.projection.iter().all(listed) {
        return false;
    }
    let aliases: Vec<String> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
            _ => None,
        })
        .collect();
    let names_one = |expr: &Expr| {
        visit_expressions(expr, |expr| {
            let name = match expr {
                Expr::Identifier(name) => Some(name),
                Expr::CompoundIdentifier(parts) => parts.last(),
                _ => None,
            };
            match name {
                Some(name) if aliases.contains(&folded(name)) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })
        .is_break()
    };
    !aliases.is_empty() && order.iter().any(|by| !matches!(by.expr, Expr::Identifier(_) | Expr::Value(_)) && names_one(&by.expr))
}

fn name_of(item: &SelectItem) -> String {
    match item {
        SelectItem::UnnamedExpr(expr) => column_names::of_expr(expr),
        SelectItem::ExprWithAlias { alias, .. } => folded(alias),
        _ => String::new(),
    }
}

/// The name of a column of the query inside.
fn column(at: usize) -> Ident {
    quoted(&column_names::with_mark(INSIDE, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse_query;

    fn placed(sql: &str) -> String {
        let mut query = parse_query(sql).unwrap().query;
        place(&mut query);
        query.to_string().replace('\u{1}', "_")
    }

    #[test]
    fn what_is_confused_is_sorted_by_outside() {
        for (sql, expected) in [
            ("SELECT sum(a) AS a FROM t ORDER BY sum(a)", "SELECT sum(a) AS a FROM t ORDER BY a"),
            (
                "SELECT upper(t.a) AS a, b FROM t ORDER BY t.a DESC, b, 1",
                "SELECT \"sorted_1\" AS \"a\", \"sorted_2\" AS \"b\" FROM (SELECT upper(t.a) AS \"sorted_1\", \
                 b AS \"sorted_2\", t.a AS \"sorted_3\" FROM t) AS \"sorted_0\" (\"sorted_1\", \
                 \"sorted_2\", \"sorted_3\") ORDER BY \"sorted_3\" DESC, \"sorted_2\", \"sorted_1\"",
            ),
            ("SELECT a + 1 AS b FROM t ORDER BY a", "SELECT a + 1 AS b FROM t ORDER BY a"),
            ("SELECT a AS b FROM t ORDER BY b", "SELECT a AS b FROM t ORDER BY b"),
            ("SELECT *, -a AS a FROM t ORDER BY t.a", "SELECT *, -a AS a FROM t ORDER BY t.a"),
        ] {
            assert_eq!(placed(sql), expected);
        }
    }
}
