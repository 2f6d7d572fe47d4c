//! A `*` beside another that holds the same columns, `SELECT *, t.*`, and beside a column of one of their names by which rows are sorted: the second is
//! written out, so that its columns can be told from those of the first.

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, Visitor,
    VisitorMut, WildcardAdditionalOptions,
};

use super::relations::{self, Relations, column, factors, name};
use crate::plan::column_names;
use crate::plan::rewrite::folded;
use crate::plan::syntax::quoted;

/// Writes them out where the columns of what they are of can be known. Errs if a relation's columns cannot be looked up.
pub(in crate::plan) async fn write_out(state: &SessionState, query: &mut Query) -> Result<()> {
    relations::write_out(state, query, Asks, |relations| Writer { relations }).await
}

/// Breaks at a SELECT that may have such.
struct Asks;

impl Visitor for Asks {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_ref() else { return ControlFlow::Continue(()) };
        if n_stars(select) > 0 && !sorted_by(query, select).is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if n_stars(select) > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn n_stars(select: &Select) -> usize {
    select.projection.iter().filter(|item| is_star(item)).count()
}

fn is_star(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

/// The names of columns of relations by which the rows are sorted, `ORDER BY t.a`, where another column of the answer is called so.
fn sorted_by(query: &Query, select: &Select) -> Vec<String> {
    let Some(OrderByKind::Expressions(order)) = query.order_by.as_ref().map(|order| &order.kind) else { return Vec::new() };
    let own = |name: &String| {
        select.projection.iter().any(|item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if folded(alias) == *name))
    };
    let of = |expr: &Expr| match expr {
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).filter(own),
        _ => None,
    };
    order.iter().filter_map(|by| of(&by.expr)).collect()
}

struct Writer {
    relations: Relations,
}

impl VisitorMut for Writer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.relations.enter(query);
        let names = match query.body.as_ref() {
            SetExpr::Select(select) if n_stars(select) > 0 => sorted_by(query, select),
            _ => return ControlFlow::Continue(()),
        };
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let held: Vec<String> =
            select.projection.iter().filter_map(|item| self.columns(select, item)).flatten().map(|(_, name)| name).collect();
        for (at, item) in select.projection.iter_mut().enumerate() {
            if let SelectItem::ExprWithAlias { alias, .. } = item
                && names.contains(&folded(alias))
                && held.contains(&folded(alias))
            {
                *alias = quoted(&column_names::with_mark(&folded(alias), at + 1));
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.relations.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if n_stars(select) < 2 {
            return ControlFlow::Continue(());
        }
        let mut first = true;
        let mut items = Vec::new();
        for item in &select.projection {
            let columns = if is_star(item) && !std::mem::take(&mut first) { self.columns(select, item) } else { None };
            match columns {
                Some(columns) => items.extend(columns.into_iter().map(|(column, _)| SelectItem::UnnamedExpr(column))),
                None => items.push(item.clone()),
            }
        }
        select.projection = items;
        ControlFlow::Continue(())
    }
}

impl Writer {
    /// The columns of a `*` with their names; None where they are not known.
    fn columns(&self, select: &Select, item: &SelectItem) -> Option<Vec<(Expr, String)>> {
        let plain = |options: &WildcardAdditionalOptions| *options == WildcardAdditionalOptions::default();
        let of = |factor: &TableFactor| {
            let relation = name(factor)?;
            let columns = self.relations.columns(factor)?;
            Some(columns.into_iter().map(|name| (column(&relation, &name), name)).collect::<Vec<_>>())
        };
        let mut all = select.from.iter().flat_map(factors);
        match item {
            SelectItem::Wildcard(options) if plain(options) => Some(all.map(of).collect::<Option<Vec<_>>>()?.concat()),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(relation), options) if plain(options) => {
                let wanted = relation.0.last().and_then(ObjectNamePart::as_ident).map(folded)?;
                of(all.find(|factor| name(factor).is_some_and(|name| folded(&name) == wanted))?)
            }
            _ => None,
        }
    }
}
