//! `LATERAL (SELECT … WHERE u.k = t.k ORDER BY … LIMIT n)`: the first rows for each row beside it, which DataFusion cannot join. The rows are numbered for each
//! value that they are joined by, and those with higher numbers are left out.

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, LimitClause, ObjectName, OrderByExpr,
    OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Value, ValueWithSpan, Visitor, VisitorMut,
    WindowSpec, WindowType, visit_expressions,
};

use super::relations::{self, Relations, column, factors, name};
use crate::plan::column_names;
use crate::plan::parse::bare_select::query_of;
use crate::plan::rewrite::folded;
use crate::plan::syntax::{binary, in_parentheses, number, quoted};

/// The relation of the numbered rows, and the columns that it has beside theirs.
const ROWS: &str = "framesql_rows";
const NUMBER: &str = "framesql_number";
const KEY: &str = "framesql_key";

/// Numbers the rows of such subqueries. Errs if a relation's columns cannot be looked up.
pub(in crate::plan) async fn number_rows(state: &SessionState, query: &mut Query) -> Result<()> {
    relations::write_out(state, query, Asks, |relations| Writer { relations }).await
}

/// Breaks at such a subquery.
struct Asks;

impl Visitor for Asks {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Derived { lateral: true, subquery, .. } if subquery.limit_clause.is_some() || subquery.fetch.is_some() => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
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

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { lateral: true, subquery, .. } = factor
            && let Some(numbered) = self.numbered(subquery)
        {
            **subquery = numbered;
        }
        ControlFlow::Continue(())
    }
}

impl Writer {
    /// The same rows without LIMIT; None where it cannot be said so.
    fn numbered(&self, query: &Query) -> Option<Query> {
        let (skipped, most) = limits(query)?;
        let SetExpr::Select(select) = query.body.as_ref() else { return None };
        let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if query.with.is_some() || grouped || select.having.is_some() || select.distinct.is_some() || select.from.is_empty() {
            return None;
        }
        let inner = Inner::of(&self.relations, select)?;
        let (mut keys, mut rest) = (Vec::new(), None);
        for condition in conjuncts(select.selection.as_ref()?) {
            match (inner.reads(condition)?, condition) {
                (Reads::Inside, _) => {
                    rest = Some(match rest {
                        Some(before) => binary(before, BinaryOperator::And, condition.clone()),
                        None => condition.clone(),
                    });
                }
                (Reads::Both, Expr::BinaryOp { left, op: BinaryOperator::Eq, right }) => match (inner.reads(left)?, inner.reads(right)?) {
                    (Reads::Inside, Reads::Outside) => keys.push((left.as_ref().clone(), right.as_ref().clone())),
                    (Reads::Outside, Reads::Inside) => keys.push((right.as_ref().clone(), left.as_ref().clone())),
                    _ => return None,
                },
                _ => return None,
            }
        }
        if keys.is_empty() {
            return None;
        }
        let columns = self.relations.columns(&derived(query.clone(), None))?;
        if columns.iter().enumerate().any(|(at, column)| columns.iter().take(at).any(|before| before == column)) {
            return None;
        }
        let mut rows = select.as_ref().clone();
        rows.selection = rest;
        for item in &mut rows.projection {
            if let SelectItem::UnnamedExpr(expr) = item {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&column_names::of_expr(expr)) };
            }
        }
        if rows
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::ExprWithAlias { expr, .. } if inner.reads(expr) != Some(Reads::Inside)))
        {
            return None;
        }
        let order = match &query.order_by {
            None => Vec::new(),
            Some(order) => match &order.kind {
                OrderByKind::Expressions(order) => order.iter().map(|by| selected(by, &rows)).collect::<Option<Vec<_>>>()?,
                OrderByKind::All(_) => return None,
            },
        };
        let partition_by = keys.iter().map(|(key, _)| key.clone()).collect();
        rows.projection.push(SelectItem::ExprWithAlias { expr: row_number(partition_by, order), alias: Ident::new(NUMBER) });
        let mut condition =
            binary(column(&Ident::new(ROWS), NUMBER), BinaryOperator::LtEq, number(&(skipped.checked_add(most)?).to_string()));
        if skipped > 0 {
            let behind = binary(column(&Ident::new(ROWS), NUMBER), BinaryOperator::Gt, number(&skipped.to_string()));
            condition = binary(condition, BinaryOperator::And, behind);
        }
        for (at, (key, outside)) in keys.into_iter().enumerate() {
            let alias = format!("{KEY}_{at}");
            let equal = binary(column(&Ident::new(ROWS), &alias), BinaryOperator::Eq, in_parentheses(outside));
            rows.projection.push(SelectItem::ExprWithAlias { expr: key, alias: Ident::new(alias) });
            condition = binary(condition, BinaryOperator::And, equal);
        }
        let mut of_rows = query_of(SelectItem::UnnamedExpr(number("1")));
        *of_rows.body = SetExpr::Select(Box::new(rows));
        let mut first = query_of(SelectItem::UnnamedExpr(number("1")));
        if let SetExpr::Select(select) = first.body.as_mut() {
            let read = |name: &String| SelectItem::ExprWithAlias { expr: column(&Ident::new(ROWS), name), alias: quoted(name) };
            select.projection = columns.iter().map(read).collect();
            select.from = vec![TableWithJoins { relation: derived(of_rows, Some(ROWS)), joins: Vec::new() }];
            select.selection = Some(condition);
        }
        Some(first)
    }
}

fn derived(query: Query, alias: Option<&str>) -> TableFactor {
    let alias = alias.map(|name| TableAlias { explicit: true, name: Ident::new(name), columns: Vec::new(), at: None });
    TableFactor::Derived { lateral: false, subquery: Box::new(query), alias, sample: None }
}

/// How many rows are left out, and how many there may be behind them.
fn limits(query: &Query) -> Option<(u64, u64)> {
    let whole = |expr: &Expr| match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => number.parse().ok(),
        _ => None,
    };
    let (limit, offset) = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => (limit.as_ref(), offset.as_ref()),
        Some(_) => return None,
        None => (None, None),
    };
    let skipped = offset.map_or(Some(0), |offset| whole(&offset.value))?;
    let most = match (limit, &query.fetch) {
        (Some(limit), None) => whole(limit)?,
        (None, Some(fetch)) if !fetch.with_ties && !fetch.percent => fetch.quantity.as_ref().map_or(Some(1), whole)?,
        _ => return None,
    };
    Some((skipped, most))
}

/// What it is sorted by: a column of the answer by its name or place is what is selected there.
fn selected(by: &OrderByExpr, select: &Select) -> Option<OrderByExpr> {
    let of = |item: &SelectItem| if let SelectItem::ExprWithAlias { expr, .. } = item { Some(expr.clone()) } else { None };
    let expr = match &by.expr {
        Expr::Value(ValueWithSpan { value: Value::Number(place, _), .. }) => {
            of(select.projection.get(place.parse::<usize>().ok()?.checked_sub(1)?)?)?
        }
        Expr::Identifier(ident) => {
            let named = |item: &&SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if folded(alias) == folded(ident));
            select.projection.iter().find(named).and_then(of).unwrap_or_else(|| by.expr.clone())
        }
        other => other.clone(),
    };
    Some(OrderByExpr { expr, ..by.clone() })
}

fn row_number(partition_by: Vec<Expr>, order_by: Vec<OrderByExpr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("row_number")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args: Vec::new(), clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: Some(WindowType::WindowSpec(WindowSpec { window_name: None, partition_by, order_by, window_frame: None })),
        within_group: Vec::new(),
    })
}

fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Nested(inner) => conjuncts(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => [conjuncts(left), conjuncts(right)].concat(),
        other => vec![other],
    }
}

/// Whose columns an expression reads; of a constant Inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Inside,
    Outside,
    Both,
}

/// The relations of a subquery.
struct Inner {
    names: Vec<String>,
    /// Their columns, if all are known.
    columns: Option<Vec<String>>,
}

impl Inner {
    fn of(relations: &Relations, select: &Select) -> Option<Inner> {
        let mut inner = Inner { names: Vec::new(), columns: Some(Vec::new()) };
        for factor in select.from.iter().flat_map(factors) {
            inner.names.push(folded(&name(factor)?));
            inner.columns = inner.columns.zip(relations.columns(factor)).map(|(all, more)| [all, more].concat());
        }
        Some(inner)
    }

    /// None if that is not known, and for a subquery and an aggregate, which are not looked into.
    fn reads(&self, expr: &Expr) -> Option<Reads> {
        let (mut inside, mut outside) = (false, false);
        let looked = visit_expressions(expr, |e| {
            let is_inside = match e {
                Expr::CompoundIdentifier(parts) => parts.first().map(|first| self.names.contains(&folded(first))),
                Expr::Identifier(ident) => match &self.columns {
                    Some(columns) => Some(columns.contains(&folded(ident))),
                    None => return ControlFlow::Break(()),
                },
                Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => return ControlFlow::Break(()),
                _ => None,
            };
            inside |= is_inside == Some(true);
            outside |= is_inside == Some(false);
            ControlFlow::Continue(())
        });
        match (looked.is_continue(), inside, outside) {
            (false, ..) => None,
            (true, true, true) => Some(Reads::Both),
            (true, false, true) => Some(Reads::Outside),
            (true, _, false) => Some(Reads::Inside),
        }
    }
}
