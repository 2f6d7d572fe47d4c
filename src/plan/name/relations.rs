//! The columns of the relations of a query, by their names, where they can be known before it is planned.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut, WildcardAdditionalOptions,
};

use crate::plan::column_names;
use crate::plan::rewrite::folded;

/// What is known of the relations that a query names.
#[derive(Clone, Debug, Default)]
pub(super) struct Relations {
    /// The columns of the tables that it names, by the name as it is written.
    tables: HashMap<String, Vec<String>>,
    /// What WITH names, the innermost last.
    with: Vec<With>,
}

/// What the WITH of one query names.
#[derive(Clone, Debug, Default)]
struct With {
    /// The names in their order, each with its columns; None where they are not known.
    tables: Vec<(String, Option<Vec<String>>)>,
    /// Where their queries are in memory, by which one is known when it is gone into.
    places: Vec<usize>,
    /// Whether a query of them sees itself.
    recursive: bool,
    /// How many are seen, within the query of one: those before it. None is all.
    seen: Option<usize>,
}

/// Writes a query anew by what its relations are, if `asks` breaks at something in it: most queries have nothing such, and look nothing up. Errs if a
/// relation's columns cannot be looked up.
pub(super) async fn write_out<W: VisitorMut>(
    state: &SessionState,
    query: &mut Query,
    mut asks: impl Visitor,
    writer: impl FnOnce(Relations) -> W,
) -> Result<()> {
    if Visit::visit(query, &mut asks).is_break() {
        let relations = Relations::of(state, query).await?;
        let _ = VisitMut::visit(query, &mut writer(relations));
    }
    Ok(())
}

impl Relations {
    /// Looks up what the query names.
    async fn of(state: &SessionState, query: &Query) -> Result<Relations> {
        let mut named = Tables(Vec::new());
        let _ = Visit::visit(query, &mut named);
        let mut relations = Relations::default();
        for name in named.0 {
            let Ok(reference) = object_name_to_table_reference(name.clone(), true) else { continue };
            let table = reference.table().to_owned();
            let Ok(schema) = state.schema_for_ref(reference) else { continue };
            if let Some(table) = schema.table(&table).await? {
                let columns = table.schema().fields().iter().map(|field| field.name().clone()).collect();
                relations.tables.insert(name.to_string(), columns);
            }
        }
        Ok(relations)
    }

    /// Goes into a query: its WITH is seen within it.
    pub(super) fn enter(&mut self, query: &Query) {
        if let Some(around) = self.with.last_mut()
            && let Some(at) = around.places.iter().position(|place| *place == place_of(query))
        {
            around.seen = Some(at + usize::from(around.recursive));
        }
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        self.with.push(With { recursive, ..With::default() });
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns =
                self.renamed(self.of_query(&table.query), &table.alias.columns.iter().map(|c| folded(&c.name)).collect::<Vec<_>>());
            if let Some(with) = self.with.last_mut() {
                with.tables.push((folded(&table.alias.name), columns));
                with.places.push(place_of(&table.query));
            }
        }
    }

    /// Comes out of it.
    pub(super) fn leave(&mut self) {
        self.with.pop();
        if let Some(around) = self.with.last_mut() {
            around.seen = None;
        }
    }

    /// The columns of a relation of FROM; None if they are not known.
    pub(super) fn columns(&self, factor: &TableFactor) -> Option<Vec<String>> {
        let (columns, alias) = match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let with = || {
                    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
                    let wanted = folded(ident);
                    let seen = |with: &'_ With| {
                        with.tables.iter().take(with.seen.unwrap_or(usize::MAX)).rev().find(|(name, _)| *name == wanted).cloned()
                    };
                    self.with.iter().rev().find_map(seen).map(|(_, columns)| columns)
                };
                (with().unwrap_or_else(|| self.tables.get(&name.to_string()).cloned()), alias)
            }
            TableFactor::Derived { subquery, alias, .. } => (self.of_query(subquery), alias),
            _ => return None,
        };
        let names: Vec<String> = alias.iter().flat_map(|alias| &alias.columns).map(|column| folded(&column.name)).collect();
        self.renamed(columns, &names)
    }

    /// The columns with the names that an alias gives the first of them.
    fn renamed(&self, columns: Option<Vec<String>>, names: &[String]) -> Option<Vec<String>> {
        let mut columns = columns?;
        for (column, name) in columns.iter_mut().zip(names) {
            column.clone_from(name);
        }
        Some(columns)
    }

    /// The columns of a query.
    fn of_query(&self, query: &Query) -> Option<Vec<String>> {
        if query.with.is_some() {
            let mut inner = self.clone();
            inner.enter(query);
            return inner.of_body(&query.body);
        }
        self.of_body(&query.body)
    }

    fn of_body(&self, body: &SetExpr) -> Option<Vec<String>> {
        match body {
            SetExpr::Select(select) => self.of_select(select),
            SetExpr::Query(query) => self.of_query(query),
            SetExpr::SetOperation { left, .. } => self.of_body(left),
            SetExpr::Values(values) => Some((1..=values.rows.first()?.len()).map(|at| format!("column{at}")).collect()),
            _ => None,
        }
    }

    fn of_select(&self, select: &Select) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => columns.push(column_names::of_expr(expr)),
                SelectItem::ExprWithAlias { alias, .. } => columns.push(folded(alias)),
                SelectItem::Wildcard(options) if *options == WildcardAdditionalOptions::default() => {
                    for from in &select.from {
                        columns.extend(self.of_from(from)?);
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), options)
                    if *options == WildcardAdditionalOptions::default() =>
                {
                    let of = of.0.last().and_then(ObjectNamePart::as_ident).map(folded)?;
                    let mut factors = select.from.iter().flat_map(factors);
                    columns.extend(self.columns(factors.find(|factor| name(factor).is_some_and(|name| folded(&name) == of))?)?);
                }
                _ => return None,
            }
        }
        Some(columns)
    }

    /// The columns that `*` gives of an item of FROM.
    pub(super) fn of_from(&self, from: &TableWithJoins) -> Option<Vec<String>> {
        let mut columns = self.of_factor(&from.relation)?;
        for join in &from.joins {
            let other = self.of_factor(&join.relation)?;
            let merged: Vec<String> = match constraint(&join.join_operator) {
                Some(JoinConstraint::Using(names)) => names.iter().filter_map(|name| name.0.last()?.as_ident()).map(folded).collect(),
                Some(JoinConstraint::Natural) => columns.iter().filter(|column| other.contains(column)).cloned().collect(),
                _ => Vec::new(),
            };
            let rest: Vec<String> = columns.into_iter().chain(other).filter(|column| !merged.contains(column)).collect();
            columns = merged.into_iter().chain(rest).collect();
        }
        Some(columns)
    }

    fn of_factor(&self, factor: &TableFactor) -> Option<Vec<String>> {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.of_from(table_with_joins),
            other => self.columns(other),
        }
    }
}

/// Where a query is in memory.
fn place_of(query: &Query) -> usize {
    std::ptr::from_ref(query).addr()
}

/// What a join that Postgres has is by; None for the others.
pub(super) fn constraint(join: &JoinOperator) -> Option<&JoinConstraint> {
    match join {
        JoinOperator::Join(by) | JoinOperator::Inner(by) | JoinOperator::Left(by) | JoinOperator::LeftOuter(by) => Some(by),
        JoinOperator::Right(by) | JoinOperator::RightOuter(by) | JoinOperator::FullOuter(by) => Some(by),
        _ => None,
    }
}

/// The same, to be written otherwise.
pub(super) fn constraint_mut(join: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match join {
        JoinOperator::Join(by) | JoinOperator::Inner(by) | JoinOperator::Left(by) | JoinOperator::LeftOuter(by) => Some(by),
        JoinOperator::Right(by) | JoinOperator::RightOuter(by) | JoinOperator::FullOuter(by) => Some(by),
        _ => None,
    }
}

/// The name by which a relation's columns are read.
pub(super) fn name(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => Some(alias.name.clone()),
        TableFactor::Table { name, args: None, .. } => name.0.last().and_then(ObjectNamePart::as_ident).cloned(),
        _ => None,
    }
}

/// The relations of one item of FROM.
pub(super) fn factors(from: &TableWithJoins) -> Vec<&TableFactor> {
    let mut all = Vec::new();
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => all.extend(factors(table_with_joins)),
            other => all.push(other),
        }
    }
    all
}

/// A column of a relation.
pub(super) fn column(relation: &Ident, name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![relation.clone(), Ident::with_quote('"', name)])
}

struct Tables(Vec<ObjectName>);

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            self.0.push(name.clone());
        }
        ControlFlow::Continue(())
    }
}
