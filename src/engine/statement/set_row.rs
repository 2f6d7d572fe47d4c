//! `SET (a, b) = (SELECT …)`: each column is what a query of one column of that row gives.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins,
};

use crate::error::{Error, Result};
use crate::plan::parse::bare_select::query_of;

/// A query for each of `n` columns. Errs (42601) where the query is seen to have another number of them.
pub(super) fn columns(query: &Query, n: usize) -> Result<Vec<Expr>> {
    if let SetExpr::Select(select) = query.body.as_ref()
        && !select.projection.iter().any(|item| !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }))
        && select.projection.len() != n
    {
        let message = "number of columns does not match number of values".to_owned();
        return Err(Error::Syntax { message, hint: None });
    }
    Ok((0..n).map(|at| Expr::Subquery(Box::new(column(query, at, n)))).collect())
}

fn column(query: &Query, at: usize, n: usize) -> Query {
    // The column alone, where nothing says that another is read: a subquery that reads the row outside is joined more easily without one around it.
    if let SetExpr::Select(select) = query.body.as_ref()
        && query.order_by.is_none()
        && select.distinct.is_none()
        && let Some(item) = select.projection.get(at).filter(|_| select.projection.len() == n)
    {
        let mut only = query.clone();
        let item = item.clone();
        if let SetExpr::Select(select) = only.body.as_mut() {
            select.projection = vec![item];
        }
        return only;
    }
    let name = |at: usize| Ident::new(format!("framesql_column_{at}"));
    let columns = (0..n).map(|at| TableAliasColumnDef { name: name(at), data_type: None }).collect();
    let alias = TableAlias { explicit: true, name: Ident::new("framesql_row"), columns, at: None };
    let relation = TableFactor::Derived { lateral: false, subquery: Box::new(query.clone()), alias: Some(alias), sample: None };
    let mut only = query_of(SelectItem::UnnamedExpr(Expr::Identifier(name(at))));
    if let SetExpr::Select(select) = only.body.as_mut() {
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    }
    only
}
