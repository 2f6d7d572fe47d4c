//! `SELECT *` of a relation that has columns which nobody wants to see: the vectors of a gallery. They are read by their names.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Ident, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    TableFactor, TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use crate::plan::names::Names;

/// Leaves them out of `*` and `t.*`.
#[derive(Debug)]
pub(in crate::plan) struct Listing(pub(in crate::plan) Arc<dyn Names>);

impl Listing {
    pub(in crate::plan) fn rewrite(&self, query: &mut Query) {
        let _ = query.visit(&mut Lists { names: self.0.as_ref(), with: Vec::new() });
    }
}

struct Lists<'a> {
    names: &'a dyn Names,
    /// What WITH calls its queries: they hide relations of the same name.
    with: Vec<String>,
}

/// A relation of FROM: how its columns are qualified, and those that are not listed.
struct Relation {
    name: Option<ObjectName>,
    unlisted: &'static [&'static str],
}

impl VisitorMut for Lists<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.with.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|table| folded(&table.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let relations: Vec<Relation> = select.from.iter().flat_map(factors).map(|factor| self.relation(factor)).collect();
        if relations.iter().all(|relation| relation.unlisted.is_empty()) {
            return ControlFlow::Continue(());
        }
        let merged = select.from.iter().flat_map(|table| &table.joins).any(|join| merges(&join.join_operator));
        let mut listed = Vec::new();
        for item in std::mem::take(&mut select.projection) {
            match item {
                SelectItem::Wildcard(options) if options == WildcardAdditionalOptions::default() => match relations.as_slice() {
                    [one] => listed.push(SelectItem::Wildcard(without(one.unlisted))),
                    // The list of columns is that of each relation in turn, unless a join makes one of two.
                    all if !merged && all.iter().all(|relation| relation.name.is_some()) => {
                        listed.extend(all.iter().filter_map(|relation| Some(qualified(relation.name.clone()?, relation.unlisted))));
                    }
                    _ => listed.push(SelectItem::Wildcard(options)),
                },
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                    if options == WildcardAdditionalOptions::default() =>
                {
                    let of = relations.iter().find(|relation| relation.name.as_ref().is_some_and(|known| last(known) == last(&name)));
                    listed.push(qualified(name, of.map_or(&[], |relation| relation.unlisted)));
                }
                other => listed.push(other),
            }
        }
        select.projection = listed;
        ControlFlow::Continue(())
    }
}

impl Lists<'_> {
    fn relation(&self, factor: &TableFactor) -> Relation {
        let plain = |name: Option<ObjectName>| Relation { name, unlisted: &[] };
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let with = name.0.len() == 1 && last(name).is_some_and(|name| self.with.contains(&name));
                // Columns that an alias names anew are the user's.
                let renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                let unlisted: &'static [&'static str] =
                    if with || renamed { &[] } else { last(name).map_or(&[][..], |name| self.names.unlisted(&name)) };
                Relation {
                    name: Some(alias.as_ref().map_or_else(|| name.clone(), |alias| ObjectName::from(vec![alias.name.clone()]))),
                    unlisted,
                }
            }
            TableFactor::Derived { alias, .. } => plain(alias.as_ref().map(|alias| ObjectName::from(vec![alias.name.clone()]))),
            _ => plain(None),
        }
    }
}

fn factors(table: &TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation))
}

/// Whether a join gives other columns than those of both sides.
fn merges(join: &JoinOperator) -> bool {
    let constraint = match join {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c)
        | JoinOperator::CrossJoin(c) => c,
        _ => return true,
    };
    matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
}

fn without(columns: &[&str]) -> WildcardAdditionalOptions {
    let names: Vec<ObjectName> = columns.iter().map(|name| ObjectName::from(vec![Ident::new(*name)])).collect();
    let opt_exclude = (!names.is_empty()).then_some(ExcludeSelectItem::Multiple(names));
    WildcardAdditionalOptions { opt_exclude, ..WildcardAdditionalOptions::default() }
}

fn qualified(name: ObjectName, unlisted: &[&str]) -> SelectItem {
    SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), without(unlisted))
}

fn last(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(folded)
}

/// An identifier as Postgres folds it.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
