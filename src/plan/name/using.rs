//! `JOIN … USING (k)` and NATURAL JOIN: the column `k` is one of both sides, the left one's where there is such a row, which DataFusion takes from one side
//! whatever the join is. The join is written with ON, and the column as what it is of the sides.

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, OrderByKind, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
    WildcardAdditionalOptions,
};

use super::relations::{self, Relations, column, constraint, factors, name};
use crate::plan::column_names;
use crate::plan::rewrite::folded;
use crate::plan::syntax::{binary, call, number, quoted};

/// Writes such joins out where the columns of their sides can be known; the others DataFusion plans. Errs if a relation's columns cannot be looked up.
pub(in crate::plan) async fn write_out(state: &SessionState, query: &mut Query) -> Result<()> {
    relations::write_out(state, query, Asks, |relations| Writer { relations }).await
}

/// Breaks at such a join.
struct Asks;

impl Visitor for Asks {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.from.iter().any(merges) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn merges(from: &TableWithJoins) -> bool {
    let nested = |factor: &TableFactor| matches!(factor, TableFactor::NestedJoin { table_with_joins, .. } if merges(table_with_joins));
    let by = |join: &JoinOperator| matches!(constraint(join), Some(JoinConstraint::Using(_) | JoinConstraint::Natural));
    nested(&from.relation) || from.joins.iter().any(|join| by(&join.join_operator) || nested(&join.relation))
}

struct Writer {
    relations: Relations,
}

impl VisitorMut for Writer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.relations.enter(query);
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let Some(merged) = self.select(select) else { return ControlFlow::Continue(()) };
        if let Some(OrderByKind::Expressions(order)) = query.order_by.as_mut().map(|order| &mut order.kind) {
            for by in order {
                // A column of the answer by its name.
                let selected = |ident: &Ident| select.projection.iter().any(|item| is_named(item, &folded(ident)));
                if !matches!(&by.expr, Expr::Identifier(ident) if selected(ident)) {
                    self.read(&mut by.expr, &merged);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.relations.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // Those of set operations: of the others nothing is left to do.
        self.select(select);
        ControlFlow::Continue(())
    }
}

fn is_named(item: &SelectItem, name: &str) -> bool {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => folded(alias) == name,
        SelectItem::UnnamedExpr(expr) => column_names::of_expr(expr) == name,
        _ => false,
    }
}

/// A column of two relations by its name, and what it is.
#[derive(Clone, Debug)]
struct Merged {
    name: String,
    is: Box<Expr>,
}

/// What `*` lists in turn.
#[derive(Clone, Debug)]
enum Listed {
    Merged(Merged),
    /// A merged column that was merged once more.
    Hidden,
    /// The columns of a relation but these.
    Relation {
        name: Ident,
        columns: Option<Vec<String>>,
        but: Vec<String>,
    },
}

/// The columns of a side of a join.
#[derive(Clone, Debug, Default)]
struct Side(Vec<Listed>);

impl Side {
    /// The place of what has a column, and what the column is there; None if that is not known.
    fn find(&self, wanted: &str) -> Option<(usize, Expr)> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (at, listed) in self.0.iter().enumerate() {
            match listed {
                Listed::Merged(merged) if merged.name == wanted => known.push((at, merged.is.as_ref().clone())),
                Listed::Relation { name, columns, but } if !but.iter().any(|name| name == wanted) => match columns {
                    Some(columns) if columns.iter().any(|column| column == wanted) => known.push((at, column(name, wanted))),
                    Some(_) => {}
                    None => unknown.push((at, column(name, wanted))),
                },
                _ => {}
            }
        }
        let mut found = if known.is_empty() { unknown } else { known };
        if found.len() == 1 { found.pop() } else { None }
    }

    /// The names of its columns.
    fn names(&self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        for listed in &self.0 {
            match listed {
                Listed::Merged(merged) => names.push(merged.name.clone()),
                Listed::Hidden => {}
                Listed::Relation { columns, but, .. } => {
                    names.extend(columns.as_ref()?.iter().filter(|column| !but.contains(column)).cloned());
                }
            }
        }
        Some(names)
    }

    /// Leaves the column at that place out, which is a merged one now.
    fn hide(&mut self, at: usize, hidden: &str) {
        match self.0.get_mut(at) {
            Some(Listed::Relation { but, .. }) => but.push(hidden.to_owned()),
            Some(merged @ Listed::Merged(_)) => *merged = Listed::Hidden,
            _ => {}
        }
    }

    fn merged(&self) -> Vec<Merged> {
        self.0.iter().filter_map(|listed| if let Listed::Merged(merged) = listed { Some(merged.clone()) } else { None }).collect()
    }
}

impl Writer {
    /// Writes the joins of a SELECT out; None where there is none, or where not enough is known.
    fn select(&self, select: &mut Select) -> Option<Vec<Merged>> {
        if !select.from.iter().any(merges) {
            return None;
        }
        let mut from = select.from.clone();
        let mut all = Side::default();
        for item in &mut from {
            all.0.extend(self.side(item)?.0);
        }
        let merged = all.merged();
        select.from = from;
        let items = std::mem::take(&mut select.projection);
        let starred = items.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
        let listed = |name: &str| {
            starred || items.iter().any(|item| matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(i)) if folded(i) == name))
        };
        let doubled: Vec<String> = merged.iter().filter(|merged| listed(&merged.name)).map(|merged| merged.name.clone()).collect();
        for (at, item) in items.into_iter().enumerate() {
            match item {
                SelectItem::Wildcard(options) if options == WildcardAdditionalOptions::default() => {
                    select.projection.extend(all.0.iter().filter_map(star));
                }
                SelectItem::UnnamedExpr(mut expr) => {
                    let name = column_names::of_expr(&expr);
                    let bare = matches!(expr, Expr::Identifier(_));
                    self.read(&mut expr, &merged);
                    // `e.id` beside the `id` of both is another column of that name.
                    let alias = if !bare && matches!(expr, Expr::CompoundIdentifier(_)) && doubled.contains(&name) {
                        Some(column_names::with_mark(&name, at + 1))
                    } else {
                        (bare && doubled.contains(&name) || column_names::of_expr(&expr) != name).then_some(name)
                    };
                    select.projection.push(match alias {
                        Some(alias) => SelectItem::ExprWithAlias { expr, alias: quoted(&alias) },
                        None => SelectItem::UnnamedExpr(expr),
                    });
                }
                SelectItem::ExprWithAlias { mut expr, alias } => {
                    self.read(&mut expr, &merged);
                    select.projection.push(SelectItem::ExprWithAlias { expr, alias });
                }
                other => select.projection.push(other),
            }
        }
        for condition in [&mut select.selection, &mut select.having, &mut select.qualify].into_iter().flatten() {
            self.read(condition, &merged);
        }
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.iter_mut().for_each(|key| self.read(key, &merged));
        }
        select.distinct.iter_mut().for_each(|distinct| self.read(distinct, &merged));
        select.named_window.iter_mut().for_each(|window| self.read(window, &merged));
        Some(merged)
    }

    fn side(&self, from: &mut TableWithJoins) -> Option<Side> {
        let mut left = self.factor(&mut from.relation)?;
        for join in &mut from.joins {
            let mut right = self.factor(&mut join.relation)?;
            let by = match constraint(&join.join_operator) {
                Some(JoinConstraint::Using(names)) => {
                    names.iter().map(|name| name.0.last()?.as_ident().map(folded)).collect::<Option<Vec<_>>>()?
                }
                Some(JoinConstraint::Natural) => {
                    let others = right.names()?;
                    left.names()?.into_iter().filter(|name| others.contains(name)).collect()
                }
                _ if matches!(join.join_operator, JoinOperator::CrossJoin(_)) || constraint(&join.join_operator).is_some() => {
                    self.read(&mut join.join_operator, &left.merged());
                    left.0.extend(right.0);
                    continue;
                }
                // ASOF and others have columns of their own.
                _ => return None,
            };
            let mut merged = Vec::new();
            let mut on: Option<Expr> = None;
            for name in by {
                let ((at_left, of_left), (at_right, of_right)) = (left.find(&name)?, right.find(&name)?);
                left.hide(at_left, &name);
                right.hide(at_right, &name);
                let equal = binary(of_left.clone(), BinaryOperator::Eq, of_right.clone());
                on = Some(match on {
                    Some(before) => binary(before, BinaryOperator::And, equal),
                    None => equal,
                });
                let is = match &join.join_operator {
                    JoinOperator::Right(_) | JoinOperator::RightOuter(_) => of_right,
                    JoinOperator::FullOuter(_) => call("coalesce", [of_left, of_right]),
                    _ => of_left,
                };
                merged.push(Merged { name, is: Box::new(is) });
            }
            let rest = left.0.into_iter().chain(right.0);
            left = Side(merged.into_iter().map(Listed::Merged).chain(rest).collect());
            join.join_operator = by_condition(&join.join_operator, on)?;
        }
        Some(left)
    }

    fn factor(&self, factor: &mut TableFactor) -> Option<Side> {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.side(table_with_joins),
            // A lookup wants its ON, and says so.
            TableFactor::Table { version: Some(_), .. } => None,
            other => Some(Side(vec![Listed::Relation { name: name(other)?, columns: self.relations.columns(other), but: Vec::new() }])),
        }
    }

    /// Reads the merged columns as what they are.
    fn read<T: VisitMut>(&self, of: &mut T, merged: &[Merged]) {
        if !merged.is_empty() {
            let _ = of.visit(&mut Reader { relations: self.relations.clone(), merged: vec![merged.to_vec()] });
        }
    }
}

/// The join by that condition; without one it is a join with all.
fn by_condition(join: &JoinOperator, on: Option<Expr>) -> Option<JoinOperator> {
    let on = JoinConstraint::On(on.unwrap_or_else(|| binary(number("1"), BinaryOperator::Eq, number("1"))));
    Some(match join {
        JoinOperator::Join(_) => JoinOperator::Join(on),
        JoinOperator::Inner(_) => JoinOperator::Inner(on),
        JoinOperator::Left(_) => JoinOperator::Left(on),
        JoinOperator::LeftOuter(_) => JoinOperator::LeftOuter(on),
        JoinOperator::Right(_) => JoinOperator::Right(on),
        JoinOperator::RightOuter(_) => JoinOperator::RightOuter(on),
        JoinOperator::FullOuter(_) => JoinOperator::FullOuter(on),
        _ => return None,
    })
}

/// What `*` gives of it.
fn star(listed: &Listed) -> Option<SelectItem> {
    match listed {
        Listed::Merged(Merged { name, is }) => Some(SelectItem::ExprWithAlias { expr: is.as_ref().clone(), alias: quoted(name) }),
        Listed::Hidden => None,
        Listed::Relation { columns: Some(columns), but, .. } if columns.iter().all(|column| but.contains(column)) => None,
        Listed::Relation { name, but, .. } => {
            let but: Vec<ObjectName> = but.iter().map(|column| ObjectName::from(vec![quoted(column)])).collect();
            let opt_exclude = (!but.is_empty()).then_some(ExcludeSelectItem::Multiple(but));
            let of = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![name.clone()]));
            Some(SelectItem::QualifiedWildcard(of, WildcardAdditionalOptions { opt_exclude, ..WildcardAdditionalOptions::default() }))
        }
    }
}

/// Puts what merged columns are in place of their names, also in subqueries that have no column of that name themselves.
struct Reader {
    relations: Relations,
    /// Those that are seen, the innermost query's last.
    merged: Vec<Vec<Merged>>,
}

impl VisitorMut for Reader {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.relations.enter(query);
        let mut seen = self.merged.last().cloned().unwrap_or_default();
        if !seen.is_empty() {
            let mut within = Within { relations: self.relations.clone(), columns: Some(Vec::new()) };
            let _ = Visit::visit(query, &mut within);
            match within.columns {
                Some(columns) => seen.retain(|merged| !columns.contains(&merged.name)),
                None => seen.clear(),
            }
        }
        self.merged.push(seen);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.merged.pop();
        self.relations.leave();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && let Some(seen) = self.merged.last()
            && let Some(merged) = seen.iter().find(|merged| merged.name == folded(ident))
        {
            *expr = merged.is.as_ref().clone();
        }
        ControlFlow::Continue(())
    }
}

/// The columns of all relations of a query and of those in it; None if some are not known.
struct Within {
    relations: Relations,
    columns: Option<Vec<String>>,
}

impl Visitor for Within {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for factor in select.from.iter().flat_map(factors) {
            match (self.relations.columns(factor), self.columns.as_mut()) {
                (Some(more), Some(columns)) => columns.extend(more),
                _ => self.columns = None,
            }
        }
        ControlFlow::Continue(())
    }
}
