//! `x.k` in a subquery is a column of the relation `x` outside it, as in Postgres, also where a relation of the subquery has a column `x`: DataFusion would
//! look for a field `k` of that column, so the relation outside is given another name.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor,
    TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::error::Error;
use crate::plan::rewrite::folded;

/// Renames the relations of a query that a column of a subquery hides. Errs (42703) for a column that a relation outside has not, and if a relation's columns
/// cannot be looked up.
pub(in crate::plan) async fn rename(state: &SessionState, query: &mut Query) -> Result<()> {
    let mut uses = Uses::default();
    let _ = Visit::visit(query, &mut uses);
    let mut hidden = HashSet::new();
    for use_of in uses.found {
        if let (Some(table), Some(column)) = (&use_of.of, &use_of.column)
            && has(state, table, column).await? == Some(false)
        {
            return Err(Error::NotFound { kind: "column", name: format!("{}.{column}", use_of.name) }.into());
        }
        if hides(state, &use_of.inner, &use_of.name).await? {
            hidden.insert((use_of.select, use_of.name));
        }
    }
    if !hidden.is_empty() {
        let _ = VisitMut::visit(query, &mut Renamer { hidden, scopes: Scopes::default() });
    }
    Ok(())
}

/// Whether one of the relations has a column of that name.
async fn hides(state: &SessionState, inner: &[Inner], name: &str) -> Result<bool> {
    for relation in inner {
        let hides = match relation {
            Inner::Columns(columns) => columns.iter().any(|column| column == name),
            Inner::Table(table) => has(state, table, name).await? == Some(true),
        };
        if hides {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a relation of the catalogue has a column of that name; None if there is no such relation.
async fn has(state: &SessionState, table: &ObjectName, column: &str) -> Result<Option<bool>> {
    let Ok(reference) = object_name_to_table_reference(table.clone(), true) else { return Ok(None) };
    let table = reference.table().to_owned();
    let Ok(schema) = state.schema_for_ref(reference) else { return Ok(None) };
    Ok(schema.table(&table).await?.map(|table| table.schema().column_with_name(column).is_some()))
}

/// A relation of a subquery: a name in the catalogue, or the columns of a query by their names.
#[derive(Clone)]
enum Inner {
    Table(ObjectName),
    Columns(Vec<String>),
}

/// What a SELECT reads from.
struct Scope {
    /// Its number in the order of the text.
    select: usize,
    /// The names of its relations, each with what it is in the catalogue, if its columns are those that it has there.
    names: Vec<(String, Option<ObjectName>)>,
    relations: Vec<Inner>,
}

/// The SELECTs around a place, the outermost first, as a visitor goes through a query.
#[derive(Default)]
struct Scopes {
    open: Vec<Scope>,
    /// Of each query around, how many were open before it, and whether its body is one SELECT, whose names its ORDER BY sees, too.
    queries: Vec<(usize, bool)>,
    /// The names of the WITHs around, each with the number of the queries around it: they go before what is in the catalogue.
    named: Vec<(usize, String)>,
    n_selects: usize,
}

impl Scopes {
    fn enter_query(&mut self, query: &Query) {
        self.queries.push((self.open.len(), matches!(query.body.as_ref(), SetExpr::Select(_))));
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.named.extend(tables.map(|table| (self.queries.len(), folded(&table.alias.name))));
    }

    fn leave_query(&mut self) {
        self.named.retain(|(n, _)| *n < self.queries.len());
        if let Some((n_open, _)) = self.queries.pop() {
            self.open.truncate(n_open);
        }
    }

    fn enter_select(&mut self, select: &Select) {
        let mut scope = Scope { select: self.n_selects, names: Vec::new(), relations: Vec::new() };
        self.n_selects += 1;
        select.from.iter().for_each(|from| each(from, &mut |factor| scope.add(factor, &self.named)));
        self.open.push(scope);
    }

    fn leave_select(&mut self) {
        if self.queries.last().is_none_or(|(_, alone)| !alone) {
            self.open.pop();
        }
    }

    /// Where a name is that of a relation of a SELECT further outside: its place among those open.
    fn outside(&self, name: &str) -> Option<usize> {
        let at = self.open.iter().rposition(|scope| scope.names.iter().any(|(other, _)| other == name))?;
        (at + 1 < self.open.len()).then_some(at)
    }
}

impl Scope {
    fn add(&mut self, factor: &TableFactor, named: &[(usize, String)]) {
        let (alias, relation) = match factor {
            TableFactor::Table { name, alias, .. } => (alias, Some(Inner::Table(name.clone()))),
            TableFactor::Derived { subquery, alias, .. } => (alias, Some(Inner::Columns(columns(subquery)))),
            TableFactor::Function { alias, .. } | TableFactor::TableFunction { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                (alias, None)
            }
            _ => return,
        };
        let name = match (alias, factor) {
            (Some(alias), _) => Some(folded(&alias.name)),
            (None, TableFactor::Table { name, .. }) => name.0.last().and_then(ObjectNamePart::as_ident).map(folded),
            _ => None,
        };
        let table = match factor {
            TableFactor::Table { name, args: None, .. } if alias.as_ref().is_none_or(|alias| alias.columns.is_empty()) => {
                Some(name.clone())
            }
            _ => None,
        };
        let own = |table: &ObjectName| !named.iter().any(|(_, other)| table.to_string().eq_ignore_ascii_case(other));
        self.names.extend(name.map(|name| (name, table.filter(own))));
        self.relations.extend(relation);
        if let Some(alias) = alias.as_ref().filter(|alias| !alias.columns.is_empty()) {
            self.relations.push(Inner::Columns(alias.columns.iter().map(|column| folded(&column.name)).collect()));
        }
    }
}

/// The relations of one item of FROM.
fn each(from: &TableWithJoins, take: &mut dyn FnMut(&TableFactor)) {
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => each(table_with_joins, take),
            factor => take(factor),
        }
    }
}

/// The names that a query gives its columns; none of those behind a `*`.
fn columns(query: &Query) -> Vec<String> {
    let SetExpr::Select(select) = query.body.as_ref() else { return Vec::new() };
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        _ => None,
    };
    select.projection.iter().filter_map(name).collect()
}

/// A relation that is named from within a subquery.
struct Use {
    /// The SELECT that reads from it.
    select: usize,
    name: String,
    /// What it is in the catalogue, and the column that is asked for.
    of: Option<ObjectName>,
    column: Option<String>,
    /// The relations of all SELECTs between.
    inner: Vec<Inner>,
}

#[derive(Default)]
struct Uses {
    scopes: Scopes,
    found: Vec<Use>,
}

impl Visitor for Uses {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.scopes.enter_query(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.scopes.leave_query();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.scopes.enter_select(select);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.scopes.leave_select();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let Some(name) = parts.first().map(folded)
            && let Some(at) = self.scopes.outside(&name)
            && let Some((scope, between)) = self.scopes.open.get(at..).and_then(<[Scope]>::split_first)
        {
            let inner = between.iter().flat_map(|scope| scope.relations.clone()).collect();
            let of = scope.names.iter().find(|(other, _)| *other == name).and_then(|(_, table)| table.clone());
            let column = parts.get(1).map(folded);
            self.found.push(Use { select: scope.select, name, of, column, inner });
        }
        ControlFlow::Continue(())
    }
}

struct Renamer {
    /// The SELECT and the name of its relation.
    hidden: HashSet<(usize, String)>,
    scopes: Scopes,
}

/// The other name: an error that shows it says what it is of.
fn outer(ident: &Ident) -> Ident {
    Ident::with_quote('"', format!("{} (outer)", folded(ident)))
}

impl Renamer {
    /// Renames what stands for a relation that is hidden somewhere.
    fn rename(&self, ident: &mut Ident) {
        let name = folded(ident);
        let scope = self.scopes.open.iter().rfind(|scope| scope.names.iter().any(|(other, _)| *other == name));
        if scope.is_some_and(|scope| self.hidden.contains(&(scope.select, name))) {
            *ident = outer(ident);
        }
    }

    fn relation(&self, select: usize, factor: &mut TableFactor) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => self.relations(select, table_with_joins),
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::UNNEST { alias, .. }
                if alias.is_some() =>
            {
                if let Some(alias) = alias.as_mut().filter(|alias| self.hidden.contains(&(select, folded(&alias.name)))) {
                    alias.name = outer(&alias.name);
                }
            }
            TableFactor::Table { name, alias, .. } => {
                let own = name.0.last().and_then(ObjectNamePart::as_ident);
                if let Some(own) = own.filter(|own| self.hidden.contains(&(select, folded(own)))) {
                    *alias = Some(TableAlias { explicit: true, name: outer(own), columns: Vec::new(), at: None });
                }
            }
            _ => {}
        }
    }

    fn relations(&self, select: usize, from: &mut TableWithJoins) {
        self.relation(select, &mut from.relation);
        from.joins.iter_mut().for_each(|join| self.relation(select, &mut join.relation));
    }
}

impl VisitorMut for Renamer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.scopes.enter_query(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.scopes.leave_query();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.scopes.enter_select(select);
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
                && let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice()
            {
                self.rename(ident);
            }
        }
        let number = self.scopes.open.last().map_or(0, |scope| scope.select);
        select.from.iter_mut().for_each(|from| self.relations(number, from));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.scopes.leave_select();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let Some(first) = parts.first_mut()
        {
            self.rename(first);
        }
        ControlFlow::Continue(())
    }
}
