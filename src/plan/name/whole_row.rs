//! A whole row of a relation, `e` or `e.*`, where it is counted or asked whether it is NULL: the row of an outer join that has no such partner is NULL.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinOperator,
    ObjectName, ObjectNamePart, Query, Select, SelectItem, TableFactor, TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::relations::{Relations, column, factors, name};
use crate::plan::column_names;
use crate::plan::rewrite::folded;
use crate::plan::syntax::{binary, call, in_parentheses, number, quoted};

/// Writes such rows out by their columns, where those are known. Errs if a relation's columns cannot be looked up.
pub(in crate::plan) async fn write_out(state: &SessionState, query: &mut Query) -> Result<()> {
    let mut names = Names::default();
    let _ = Visit::visit(query, &mut names);
    if Visit::visit(query, &mut Asks(names)).is_continue() {
        return Ok(());
    }
    let relations = Relations::of(state, query).await?;
    let _ = VisitMut::visit(query, &mut Writer { relations });
    Ok(())
}

/// The names of all relations of a query.
#[derive(Default)]
struct Names(HashSet<String>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.0.extend(name(factor).map(|name| folded(&name)));
        ControlFlow::Continue(())
    }
}

/// Breaks at what may be a row of one.
struct Asks(Names);

impl Visitor for Asks {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let row = match expr {
            Expr::IsNull(of) | Expr::IsNotNull(of) => named(of),
            Expr::Function(function) => counted(function),
            _ => None,
        };
        let Names(names) = &self.0;
        if row.is_some_and(|(name, _)| names.contains(&folded(name))) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
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
}

impl VisitorMut for Writer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.relations.enter(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.relations.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let of = |factor: &TableFactor| Some((name(factor)?, self.relations.columns(factor)));
        let rows: Vec<(Ident, Option<Vec<String>>)> = select.from.iter().flat_map(factors).filter_map(of).collect();
        if rows.iter().all(|(_, columns)| columns.is_none()) {
            return ControlFlow::Continue(());
        }
        let mut rows = Rows { rows, outer: select.from.iter().any(outer), depth: 0 };
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
        ControlFlow::Continue(())
    }
}

/// Whether a join may give rows without partners.
fn outer(from: &TableWithJoins) -> bool {
    let nested = |factor: &TableFactor| matches!(factor, TableFactor::NestedJoin { table_with_joins, .. } if outer(table_with_joins));
    let inner = |join: &JoinOperator| matches!(join, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_));
    nested(&from.relation) || from.joins.iter().any(|join| !inner(&join.join_operator) || nested(&join.relation))
}

/// The relations of a SELECT.
struct Rows {
    rows: Vec<(Ident, Option<Vec<String>>)>,
    outer: bool,
    /// How many queries there are between: those have relations of their own.
    depth: usize,
}

impl Rows {
    /// The columns of a row that is named; None for what is a column, or may be one.
    fn columns(&self, (named, starred): (&Ident, bool)) -> Option<Vec<Expr>> {
        let wanted = folded(named);
        let hides = |columns: &Option<Vec<String>>| columns.as_ref().is_none_or(|columns| columns.contains(&wanted));
        if !starred && self.rows.iter().any(|(_, columns)| hides(columns)) {
            return None;
        }
        let (name, columns) = self.rows.iter().find(|(name, _)| folded(name) == wanted)?;
        Some(columns.as_ref()?.iter().map(|of| column(name, of)).collect())
    }

    fn count(&self, function: &Function) -> Option<FunctionArgExpr> {
        let columns = self.columns(counted(function)?)?;
        let FunctionArguments::List(list) = &function.args else { return None };
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        if !distinct && !self.outer {
            return Some(FunctionArgExpr::Wildcard);
        }
        let row = if distinct { call("struct", columns.clone()) } else { number("1") };
        if !self.outer {
            return Some(FunctionArgExpr::Expr(row));
        }
        let null = Expr::Value(Value::Null.with_empty_span());
        let conditions = vec![CaseWhen { condition: all(columns, Expr::IsNull)?, result: null }];
        let (case_token, end_token) = (AttachedToken::empty(), AttachedToken::empty());
        Some(FunctionArgExpr::Expr(Expr::Case { case_token, end_token, operand: None, conditions, else_result: Some(Box::new(row)) }))
    }
}

fn all(columns: Vec<Expr>, asked: fn(Box<Expr>) -> Expr) -> Option<Expr> {
    let each = columns.into_iter().map(|column| asked(Box::new(column)));
    each.reduce(|all, one| binary(all, BinaryOperator::And, one)).map(in_parentheses)
}

impl VisitorMut for Rows {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let written = match &*expr {
            Expr::IsNull(of) => named(of).and_then(|of| self.columns(of)).and_then(|columns| all(columns, Expr::IsNull)),
            Expr::IsNotNull(of) => named(of).and_then(|of| self.columns(of)).and_then(|columns| all(columns, Expr::IsNotNull)),
            Expr::Function(function) => {
                let argument = self.count(function);
                if let (Some(argument), Expr::Function(Function { args: FunctionArguments::List(list), .. })) = (argument, expr) {
                    list.args = vec![FunctionArg::Unnamed(argument)];
                }
                return ControlFlow::Continue(());
            }
            _ => None,
        };
        if let Some(written) = written {
            *expr = written;
        }
        ControlFlow::Continue(())
    }
}
