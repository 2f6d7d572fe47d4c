//! A whole row of a relation, `e` or `e.*`: a value of its columns, `(e).a` is one of them. Of an outer join that has no such partner it is NULL.

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::relations::{self, Relations, column, constraint_mut, factors, name};
use crate::plan::column_names;
use crate::plan::rewrite::folded;
use crate::plan::syntax::{binary, call, in_parentheses, number, quoted, text};
use crate::plan::value::row::ROW;

/// Writes such rows out by their columns, where those are known. Errs if a relation's columns cannot be looked up.
pub(in crate::plan) async fn write_out(state: &SessionState, query: &mut Query) -> Result<()> {
    let mut names = Names::default();
    let _ = Visit::visit(query, &mut names);
    relations::write_out(state, query, Asks(names), |relations| Writer { relations, scopes: Vec::new() }).await
}

/// The names of the relations of a query whose columns may be known.
#[derive(Default)]
struct Names(Vec<Ident>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if matches!(factor, TableFactor::Table { args: None, .. } | TableFactor::Derived { .. }) {
            self.0.extend(name(factor));
        }
        ControlFlow::Continue(())
    }
}

/// Breaks at what may be a row of one.
struct Asks(Names);

impl Visitor for Asks {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let row = match expr {
            Expr::Function(function) => starred(function),
            other => named(other),
        };
        let Names(names) = &self.0;
        let is = |(of, _): (&Ident, bool)| names.iter().any(|name| name.value.eq_ignore_ascii_case(&of.value));
        if row.is_some_and(is) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The name in `f(e.*)`.
fn starred(function: &Function) -> Option<(&Ident, bool)> {
    let FunctionArguments::List(list) = &function.args else { return None };
    list.args.iter().find_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(of)) => Some((relation(of)?, true)),
        _ => None,
    })
}

/// The name in `count(e)` and `count(e.*)`.
fn counted(function: &Function) -> Option<(&Ident, bool)> {
    let [ObjectNamePart::Identifier(called)] = function.name.0.as_slice() else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(argument)] = list.args.as_slice() else { return None };
    if folded(called) != "count" {
        return None;
    }
    match argument {
        FunctionArgExpr::QualifiedWildcard(of) => Some((relation(of)?, true)),
        FunctionArgExpr::Expr(expr) => named(expr),
        _ => None,
    }
}

/// The relation that is named, and whether it is with a `*`: without one it may be a column.
fn named(expr: &Expr) -> Option<(&Ident, bool)> {
    match expr {
        Expr::QualifiedWildcard(of, _) => Some((relation(of)?, true)),
        Expr::Identifier(ident) => Some((ident, false)),
        _ => None,
    }
}

fn relation(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(ObjectNamePart::as_ident)
}

struct Writer {
    relations: Relations,
    /// What the SELECTs around read from, the innermost last.
    scopes: Vec<Scope>,
}

/// The relations of a SELECT.
struct Scope {
    /// Each with its columns, None where they are not known.
    rows: Vec<(Ident, Option<Vec<String>>)>,
    /// Whether a join may give rows without partners.
    outer: bool,
    /// Whether it is not seen just now: a query in FROM does not see what stands beside it.
    hidden: bool,
}

impl Writer {
    fn scope(&self, select: &Select) -> Scope {
        // One without a name has columns, too.
        let named = |factor: &TableFactor| name(factor).unwrap_or_else(|| Ident::new(""));
        let of = |factor: &TableFactor| (named(factor), self.relations.columns(factor).or_else(|| of_series(factor)));
        let rows = select.from.iter().flat_map(factors).map(of).collect();
        Scope { rows, outer: select.from.iter().any(outer), hidden: false }
    }

    fn rows(&self) -> Rows<'_> {
        Rows { scopes: &self.scopes, depth: 0 }
    }
}

impl VisitorMut for Writer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.relations.enter(query);
        let SetExpr::Select(select) = query.body.as_ref() else { return ControlFlow::Continue(()) };
        if let Some(OrderByKind::Expressions(order)) = query.order_by.as_mut().map(|order| &mut order.kind) {
            // A column of the answer goes before a row.
            let answers: Vec<String> = select.projection.iter().filter_map(answer).collect();
            self.scopes.push(self.scope(select));
            for by in order {
                if !matches!(&by.expr, Expr::Identifier(ident) if answers.contains(&folded(ident))) {
                    let _ = VisitMut::visit(&mut by.expr, &mut self.rows());
                }
            }
            self.scopes.pop();
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.relations.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let (TableFactor::Derived { lateral: false, .. }, Some(scope)) = (&*factor, self.scopes.last_mut()) {
            scope.hidden = true;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, _: &mut TableFactor) -> ControlFlow<()> {
        if let Some(scope) = self.scopes.last_mut() {
            scope.hidden = false;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.scopes.push(self.scope(select));
        let mut rows = self.rows();
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = column_names::of_expr(expr);
                    let _ = expr.visit(&mut rows);
                    if column_names::of_expr(expr) != name {
                        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&name) };
                    }
                }
                item => {
                    let _ = item.visit(&mut rows);
                }
            }
        }
        for condition in [&mut select.selection, &mut select.having].into_iter().flatten() {
            let _ = condition.visit(&mut rows);
        }
        // A column of the answer goes before a row here, too.
        let answers: Vec<String> = select.projection.iter().filter_map(answer).collect();
        match &mut select.group_by {
            GroupByExpr::Expressions(keys, _) => {
                let keys = keys.iter_mut().filter(|key| !matches!(key, Expr::Identifier(ident) if answers.contains(&folded(ident))));
                for key in keys {
                    let _ = VisitMut::visit(key, &mut rows);
                }
            }
            all => {
                let _ = VisitMut::visit(all, &mut rows);
            }
        }
        for from in &mut select.from {
            beside(from, &mut rows);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }
}

/// The name of a column of the answer.
fn answer(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(expr) => Some(column_names::of_expr(expr)),
        _ => None,
    }
}

/// What FROM has besides relations: the conditions of joins and the arguments of functions.
fn beside(from: &mut TableWithJoins, rows: &mut Rows<'_>) {
    of_factor(&mut from.relation, rows);
    for join in &mut from.joins {
        of_factor(&mut join.relation, rows);
        if let Some(JoinConstraint::On(condition)) = constraint_mut(&mut join.join_operator) {
            let _ = condition.visit(rows);
        }
    }
}

fn of_factor(factor: &mut TableFactor, rows: &mut Rows<'_>) {
    match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => beside(table_with_joins, rows),
        TableFactor::Table { args: Some(arguments), .. } => {
            let _ = VisitMut::visit(&mut arguments.args, rows);
        }
        TableFactor::Function { args, .. } => {
            let _ = VisitMut::visit(args, rows);
        }
        TableFactor::UNNEST { array_exprs, .. } => {
            let _ = VisitMut::visit(array_exprs, rows);
        }
        _ => {}
    }
}

/// The columns of `generate_series(1, 3) AS n`, and of a list that is unnested under names: of other functions none is known.
fn of_series(factor: &TableFactor) -> Option<Vec<String>> {
    match factor {
        TableFactor::Table { name, args: Some(_), alias, .. } | TableFactor::Function { name, alias, .. } => {
            let series = relation(name).filter(|name| folded(name) == "generate_series")?;
            let column = alias.as_ref().map_or(series, |alias| alias.columns.first().map_or(&alias.name, |column| &column.name));
            Some(vec![folded(column)])
        }
        TableFactor::UNNEST { alias: Some(alias), .. } if !alias.columns.is_empty() => {
            Some(alias.columns.iter().map(|column| folded(&column.name)).collect())
        }
        _ => None,
    }
}

/// Whether a join may give rows without partners.
fn outer(from: &TableWithJoins) -> bool {
    let nested = |factor: &TableFactor| matches!(factor, TableFactor::NestedJoin { table_with_joins, .. } if outer(table_with_joins));
    let inner = |join: &JoinOperator| matches!(join, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_));
    nested(&from.relation) || from.joins.iter().any(|join| !inner(&join.join_operator) || nested(&join.relation))
}

/// Writes the rows in the expressions of a SELECT.
struct Rows<'a> {
    scopes: &'a [Scope],
    /// How many queries there are between: those have relations of their own.
    depth: usize,
}

impl Rows<'_> {
    fn seen(&self) -> impl DoubleEndedIterator<Item = &Scope> {
        self.scopes.iter().filter(|scope| !scope.hidden)
    }

    /// The columns of a row that is named, and whether there may be no such row; None for what is a column, or may be one.
    fn columns(&self, (named, starred): (&Ident, bool)) -> Option<(Vec<Expr>, bool)> {
        let wanted = folded(named);
        // A column goes before a row, also one of a query further out.
        let hides = |(_, columns): &(Ident, Option<Vec<String>>)| columns.as_ref().is_none_or(|columns| columns.contains(&wanted));
        if !starred && self.seen().flat_map(|scope| &scope.rows).any(hides) {
            return None;
        }
        self.seen().rev().find_map(|scope| {
            let (name, columns) = scope.rows.iter().find(|(name, _)| folded(name) == wanted)?;
            Some((columns.as_ref()?.iter().map(|of| column(name, of)).collect(), scope.outer))
        })
    }

    fn count(&self, function: &Function) -> Option<FunctionArgExpr> {
        let (columns, outer) = self.columns(counted(function)?)?;
        let FunctionArguments::List(list) = &function.args else { return None };
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        if !distinct && !outer {
            return Some(FunctionArgExpr::Wildcard);
        }
        let row = if distinct { call("struct", columns.clone()) } else { number("1") };
        Some(FunctionArgExpr::Expr(if outer { unless_absent(columns, row)? } else { row }))
    }

    /// The row as a value.
    fn value(&self, named: (&Ident, bool)) -> Option<Expr> {
        let (columns, outer) = self.columns(named)?;
        let field = |column: &Expr| [text(&column_names::of_expr(column)), column.clone()];
        let row = call(ROW, columns.iter().flat_map(field).collect::<Vec<_>>());
        if outer { unless_absent(columns, row) } else { Some(row) }
    }

    /// `(e).a`, with what may stand behind it.
    fn field(&self, root: &Expr, access: &[AccessExpr]) -> Option<Expr> {
        let Expr::Nested(of) = root else { return None };
        let (AccessExpr::Dot(Expr::Identifier(field)), rest) = access.split_first()? else { return None };
        let wanted = folded(field);
        let (columns, _) = self.columns(named(of)?)?;
        let of = columns.into_iter().find(|column| column_names::of_expr(column) == wanted)?;
        Some(match rest {
            [] => of,
            rest => Expr::CompoundFieldAccess { root: Box::new(in_parentheses(of)), access_chain: rest.to_vec() },
        })
    }
}

/// `t.a[1]`: the name before a point is no row, which stands in brackets there.
fn qualified(root: &mut Expr, access: &mut Vec<AccessExpr>) {
    if let (Expr::Identifier(relation), Some(AccessExpr::Dot(Expr::Identifier(column)))) = (&*root, access.first()) {
        *root = Expr::CompoundIdentifier(vec![relation.clone(), column.clone()]);
        access.remove(0);
    }
}

/// NULL in place of a row of which there is no column.
fn unless_absent(columns: Vec<Expr>, row: Expr) -> Option<Expr> {
    let null = Expr::Value(Value::Null.with_empty_span());
    let conditions = vec![CaseWhen { condition: all(columns, Expr::IsNull)?, result: null }];
    let (case_token, end_token) = (AttachedToken::empty(), AttachedToken::empty());
    Some(Expr::Case { case_token, end_token, operand: None, conditions, else_result: Some(Box::new(row)) })
}

fn all(columns: Vec<Expr>, asked: fn(Box<Expr>) -> Expr) -> Option<Expr> {
    let each = columns.into_iter().map(|column| asked(Box::new(column)));
    each.reduce(|all, one| binary(all, BinaryOperator::And, one)).map(in_parentheses)
}

impl VisitorMut for Rows<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let asked = |of: &Expr, asked| named(of).and_then(|of| self.columns(of)).and_then(|(columns, _)| all(columns, asked));
        let written = match &mut *expr {
            Expr::IsNull(of) => asked(of, Expr::IsNull),
            Expr::IsNotNull(of) => asked(of, Expr::IsNotNull),
            Expr::Function(function) => {
                let counted = self.count(function);
                let FunctionArguments::List(list) = &mut function.args else { return ControlFlow::Continue(()) };
                if let Some(counted) = counted {
                    list.args = vec![FunctionArg::Unnamed(counted)];
                }
                for argument in &mut list.args {
                    if let FunctionArg::Unnamed(argument @ FunctionArgExpr::QualifiedWildcard(_)) = argument
                        && let FunctionArgExpr::QualifiedWildcard(of) = &*argument
                        && let Some(row) = relation(of).and_then(|of| self.value((of, true)))
                    {
                        *argument = FunctionArgExpr::Expr(row);
                    }
                }
                None
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                qualified(root, access_chain);
                let field = self.field(root, access_chain);
                if field.is_none() {
                    // The name of a field is no row.
                    for access in access_chain {
                        if let AccessExpr::Dot(Expr::Identifier(name)) = access
                            && self.columns((&*name, false)).is_some()
                        {
                            *access = AccessExpr::Dot(text(&folded(name)));
                        }
                    }
                }
                field
            }
            other => named(other).and_then(|of| self.value(of)),
        };
        if let Some(written) = written {
            *expr = written;
        }
        ControlFlow::Continue(())
    }
}
