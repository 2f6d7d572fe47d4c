//! DISTINCT ON in queries of the catalogue whose list holds subqueries: they are read first, as DataFusion plans them in a projection only.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Distinct, Expr, Ident, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins,
    VisitorMut, WildcardAdditionalOptions,
};

use super::rewrite::quoted;
use crate::plan::column_names as names;
use crate::plan::parse::bare_select::select_of;

/// Puts the list in a subquery, and DISTINCT ON above it.
pub(super) struct DistinctOn;

/// The name of the subquery.
const INNER: &str = "read";

impl VisitorMut for DistinctOn {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let Some(Distinct::On(keys)) = &select.distinct else { return ControlFlow::Continue(()) };
        if !has_subquery(select) {
            return ControlFlow::Continue(());
        }
        let named = |expr: &Expr| column_of(&select.projection, expr);
        let Some(keys) = keys.iter().map(named).collect::<Option<Vec<Expr>>>() else { return ControlFlow::Continue(()) };
        let order: Option<Vec<Expr>> = match query.order_by.as_ref().map(|order| &order.kind) {
            None => Some(Vec::new()),
            Some(OrderByKind::Expressions(by)) => by.iter().map(|by| named(&by.expr)).collect(),
            Some(_) => None,
        };
        let Some(order) = order else { return ControlFlow::Continue(()) };
        if let Some(OrderByKind::Expressions(by)) = query.order_by.as_mut().map(|order| &mut order.kind) {
            by.iter_mut().zip(order).for_each(|(by, column): (&mut OrderByExpr, Expr)| by.expr = column);
        }
        let mut outer = select_of(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
        std::mem::swap(&mut outer, select);
        let mut inner = outer;
        inner.distinct = None;
        let subquery =
            Query { body: Box::new(SetExpr::Select(Box::new(inner))), order_by: None, limit_clause: None, with: None, ..query.clone() };
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let alias = TableAlias { explicit: true, name: Ident::new(INNER), columns: Vec::new(), at: None };
        let relation = TableFactor::Derived { lateral: false, subquery: Box::new(subquery), alias: Some(alias), sample: None };
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
        select.distinct = Some(Distinct::On(keys));
        ControlFlow::Continue(())
    }
}

fn has_subquery(select: &Select) -> bool {
    let found = ast::visit_expressions(&select.projection, |expr| match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The column of the list that is that expression, or has that name.
fn column_of(projection: &[SelectItem], expr: &Expr) -> Option<Expr> {
    let name = projection.iter().find_map(|item| match item {
        SelectItem::UnnamedExpr(of) if of == expr => Some(names::of_expr(of)),
        SelectItem::ExprWithAlias { expr: of, alias } if of == expr => Some(alias.value.clone()),
        SelectItem::ExprWithAlias { alias, .. } if matches!(expr, Expr::Identifier(name) if name.value == alias.value) => {
            Some(alias.value.clone())
        }
        _ => None,
    })?;
    Some(Expr::Identifier(quoted(&name)))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::VisitMut;

    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn subqueries_are_read_below_distinct_on() {
        let rewritten = |sql: &str| {
            let mut query = parse_query(sql).unwrap().query;
            let _ = query.visit(&mut DistinctOn);
            query.to_string()
        };
        assert_eq!(
            rewritten("SELECT DISTINCT ON (a.n) a.n, (SELECT b FROM u WHERE u.n = a.n) AS m FROM a ORDER BY a.n DESC"),
            "SELECT DISTINCT ON (\"n\") * FROM (SELECT a.n, (SELECT b FROM u WHERE u.n = a.n) AS m FROM a) AS read ORDER BY \"n\" DESC"
        );
        for same in ["SELECT DISTINCT ON (a.n) a.n FROM a", "SELECT DISTINCT ON (a.k) a.n, (SELECT 1) FROM a"] {
            assert_eq!(rewritten(same), same);
        }
    }
}
