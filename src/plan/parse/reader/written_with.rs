//! `WITH x AS (…) INSERT …`, UPDATE and DELETE: the statement itself, whose queries have the WITH, and whose relations named `x` are such queries.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins,
    UpdateTableFromKind, VisitMut, VisitorMut, WildcardAdditionalOptions, With,
};

use crate::plan::parse::bare_select::query_of;
use crate::plan::parse::{Body, QueryText};
use crate::plan::rewrite::folded;

/// What such a query is; a query that only reads stays one.
pub(super) fn body(mut query: QueryText) -> Body {
    let written = matches!(query.query.body.as_ref(), SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_));
    let Some(with) = query.query.with.take_if(|_| written) else { return Body::Query(query) };
    match *query.query.body {
        SetExpr::Insert(ast::Statement::Insert(mut insert)) => {
            if let Some(source) = insert.source.as_mut() {
                add(source, &with);
            }
            let _ = insert.returning.visit(&mut Queries(&with));
            Body::Other(Box::new(ast::Statement::Insert(insert)))
        }
        SetExpr::Update(ast::Statement::Update(mut update)) => {
            let from = match &mut update.from {
                Some(UpdateTableFromKind::AfterSet(from) | UpdateTableFromKind::BeforeSet(from)) => from.as_mut_slice(),
                None => &mut [],
            };
            from.iter_mut().for_each(|item| relations(item, &with));
            for assignment in &mut update.assignments {
                let _ = assignment.value.visit(&mut Queries(&with));
            }
            let _ = update.selection.visit(&mut Queries(&with));
            let _ = update.returning.visit(&mut Queries(&with));
            Body::Other(Box::new(ast::Statement::Update(update)))
        }
        SetExpr::Delete(ast::Statement::Delete(mut delete)) => {
            delete.using.iter_mut().flatten().for_each(|item| relations(item, &with));
            let _ = delete.selection.visit(&mut Queries(&with));
            let _ = delete.returning.visit(&mut Queries(&with));
            Body::Other(Box::new(ast::Statement::Delete(delete)))
        }
        other => {
            let query_of_it = Query { with: Some(with), body: Box::new(other), ..*query.query };
            Body::Query(QueryText { query: Box::new(query_of_it), ..query })
        }
    }
}

/// The query behind a WITH of its own.
fn add(query: &mut Query, with: &With) {
    match &mut query.with {
        None => query.with = Some(with.clone()),
        Some(own) => {
            own.recursive |= with.recursive;
            let hidden = |name: &Ident| own.cte_tables.iter().any(|table| folded(&table.alias.name) == folded(name));
            let outer: Vec<_> = with.cte_tables.iter().filter(|table| !hidden(&table.alias.name)).cloned().collect();
            own.cte_tables.splice(0..0, outer);
        }
    }
}

/// Gives the WITH to the outermost queries of an expression.
struct Queries<'a>(&'a With);

impl VisitorMut for Queries<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Subquery(query) | Expr::Exists { subquery: query, .. } | Expr::InSubquery { subquery: query, .. } = expr {
            add(query, self.0);
        }
        ControlFlow::Continue(())
    }
}

/// Relations that WITH names are queries of it.
fn relations(item: &mut TableWithJoins, with: &With) {
    let factors = std::iter::once(&mut item.relation).chain(item.joins.iter_mut().map(|join| &mut join.relation));
    for factor in factors {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let Some(named) = named(name, with) else { continue };
                let alias = alias.take().or(Some(TableAlias { explicit: true, name: named, columns: Vec::new(), at: None }));
                let mut query = query_of(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
                if let SetExpr::Select(select) = query.body.as_mut() {
                    let relation = TableFactor::Table {
                        name: name.clone(),
                        alias: None,
                        args: None,
                        with_hints: Vec::new(),
                        version: None,
                        with_ordinality: false,
                        partitions: Vec::new(),
                        json_path: None,
                        sample: None,
                        index_hints: Vec::new(),
                    };
                    select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
                }
                query.with = Some(with.clone());
                *factor = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias, sample: None };
            }
            TableFactor::Derived { subquery, .. } => add(subquery, with),
            TableFactor::NestedJoin { table_with_joins, .. } => relations(table_with_joins, with),
            _ => {}
        }
    }
}

/// The name, if WITH has it.
fn named(name: &ObjectName, with: &With) -> Option<Ident> {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
    with.cte_tables.iter().any(|table| folded(&table.alias.name) == folded(ident)).then(|| ident.clone())
}
