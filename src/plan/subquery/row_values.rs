//! Rows that are compared, `(a, b) = (c, d)`, as in Postgres: column by column, where NULL is not known, and IN of rows, also of those of a subquery.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, JoinConstraint, JoinOperator,
    Query, Select, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, UnaryOperator, Value,
    visit_expressions,
};

use crate::error::{Error, Result};
use crate::plan::parse::bare_select::query_of;
use crate::plan::parse::copies::Copies;
use crate::plan::syntax::{binary, in_parentheses, number};

/// The columns of the rows of a subquery.
const COLUMN: &str = "framesql_column";

/// The condition in place of one on rows; None for other expressions. Errs (54001) where it would be too large.
pub(in crate::plan) fn rewritten(expr: &Expr, copies: &mut Copies) -> Result<Option<Expr>> {
    match expr {
        Expr::BinaryOp { left, op, right } if asked(right).is_some() => match (values(left), asked(right)) {
            (Some(left), Some(right)) => with_subquery(&left, op, right, copies),
            _ => Ok(None),
        },
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. }
        | Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => {
            let (Some(_), Some(subquery)) = (row(left), asked(right)) else { return Ok(None) };
            let negated = matches!(expr, Expr::AllOp { .. });
            rewritten(&Expr::InSubquery { expr: left.clone(), subquery: Box::new(subquery.clone()), negated }, copies)
        }
        Expr::BinaryOp { left, op, right } => {
            let (Some(left), Some(right)) = (row(left), row(right)) else { return Ok(None) };
            if left.len() != right.len() {
                return Ok(None);
            }
            if matches!(op, BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq) {
                // All but the last are compared twice.
                for (left, right) in left.iter().zip(right).take(left.len().saturating_sub(1)) {
                    copies.take(1, left)?;
                    copies.take(1, right)?;
                }
            }
            Ok(compared(left, op, right).map(in_parentheses))
        }
        Expr::InList { expr, list, negated } => {
            let Some(of) = row(expr) else { return Ok(None) };
            // Constants are looked up, however many there are.
            if list.len() > MOST_ROWS {
                return Ok(None);
            }
            for value in of {
                copies.take(list.len().saturating_sub(1), value)?;
            }
            let equal = |other: &Expr| {
                let other = row(other).filter(|other| other.len() == of.len())?;
                compared(of, &BinaryOperator::Eq, other)
            };
            let any = list.iter().map(equal).collect::<Option<Vec<_>>>().and_then(|any| joined(any, &BinaryOperator::Or));
            Ok(any.map(|any| not_if(*negated, any)))
        }
        // All of its values are.
        Expr::IsNull(of) => Ok(values(of).and_then(|values| each(values, Expr::IsNull))),
        Expr::IsNotNull(of) => Ok(values(of).and_then(|values| each(values, Expr::IsNotNull))),
        // As a value: what a NULL keeps from being known is NULL.
        Expr::InSubquery { expr, subquery, negated } => {
            let Some(of) = row(expr) else { return Ok(None) };
            copies.take(1, expr)?;
            copies.take(1, subquery)?;
            let exists =
                |condition: fn(Expr) -> Expr| Expr::Exists { subquery: Box::new(holding(of, subquery, condition)), negated: false };
            let when = |condition, result| CaseWhen { condition, result: Expr::Value(result) };
            let known = |value| Value::Boolean(value).with_empty_span();
            let conditions = vec![
                when(exists(|equal| equal), known(true)),
                when(exists(|equal| Expr::IsNull(Box::new(in_parentheses(equal)))), Value::Null.with_empty_span()),
            ];
            let (case_token, end_token) = (AttachedToken::empty(), AttachedToken::empty());
            let else_result = Some(Box::new(Expr::Value(known(false))));
            let held = Expr::Case { case_token, end_token, operand: None, conditions, else_result };
            Ok(Some(not_if(*negated, held)))
        }
        _ => Ok(None),
    }
}

/// The query of a subquery that is read as a value.
fn asked(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Subquery(query) => Some(query),
        Expr::Nested(inner) => asked(inner),
        _ => None,
    }
}

/// `(a, b) = (SELECT c, d …)`: each column of the subquery is one by itself. Errs where it has more or fewer of them (42601).
fn with_subquery(left: &[Expr], op: &BinaryOperator, query: &Query, copies: &mut Copies) -> Result<Option<Expr>> {
    let n_said = items(query).map(<[SelectItem]>::len);
    if left.len() < 2 && n_said.is_none_or(|n| n == left.len()) {
        return Ok(None);
    }
    if let Some(n) = n_said.filter(|n| *n != left.len()) {
        let message = format!("subquery has too {} columns", if n < left.len() { "few" } else { "many" });
        return Err(Error::Syntax { message, hint: None });
    }
    copies.take(2 * left.len(), query)?;
    for value in left {
        copies.take(1, value)?;
    }
    let right: Vec<Expr> = (0..left.len()).map(|at| Expr::Subquery(Box::new(column_of(query, at, left.len())))).collect();
    Ok(compared(left, op, &right).map(in_parentheses))
}

/// The columns that a plain SELECT lists; None where a `*` may be more, and of other queries.
fn items(query: &Query) -> Option<&[SelectItem]> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let listed = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    select.projection.iter().all(listed).then_some(select.projection.as_slice())
}

/// One column of a query.
fn column_of(query: &Query, at: usize, n_columns: usize) -> Query {
    let mut query = query.clone();
    let item = items(&query).and_then(|items| items.get(at)).cloned();
    let plain = query.order_by.is_none() && alone(&query);
    if let (true, Some(item), SetExpr::Select(select)) = (plain, item, query.body.as_mut())
        && select.distinct.is_none()
        && matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if !keys.iter().any(|key| answers(key, &select.projection)))
    {
        select.projection = vec![item];
        return query;
    }
    let (alias, names) = named_rows(n_columns);
    let mut one = query_of(SelectItem::UnnamedExpr(names.get(at).cloned().map_or_else(|| number("1"), Expr::Identifier)));
    if let SetExpr::Select(select) = one.body.as_mut() {
        let relation = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None };
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    }
    one
}

/// Aggregates that are surely such.
const AGGREGATES: [&str; 9] = ["count", "sum", "min", "max", "avg", "bool_and", "bool_or", "array_agg", "string_agg"];

/// Whether each column by itself has the rows that all of them have: without GROUP BY an aggregate beside it may make one of them.
fn alone(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    if matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if !keys.is_empty()) {
        return true;
    }
    let found = |item: &SelectItem, aggregates: bool| {
        let call = |expr: &Expr| match expr {
            Expr::Function(call) if !aggregates || AGGREGATES.iter().any(|name| call.name.to_string().eq_ignore_ascii_case(name)) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        };
        visit_expressions(item, call).is_break()
    };
    select.having.is_none() && !select.projection.iter().any(|item| found(item, false))
        || select.projection.iter().all(|item| found(item, true))
}

/// Whether a key of GROUP BY is a column of the answer, by its number or by its name.
fn answers(key: &Expr, items: &[SelectItem]) -> bool {
    let named = |name: &Ident| {
        items.iter().any(|item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value.eq_ignore_ascii_case(&name.value)))
    };
    match key {
        Expr::Value(_) => true,
        Expr::Identifier(name) => named(name),
        _ => false,
    }
}

/// What names the columns of a subquery in FROM.
fn named_rows(n_columns: usize) -> (TableAlias, Vec<Ident>) {
    let names: Vec<Ident> = (0..n_columns).map(|at| Ident::new(format!("{COLUMN}_{at}"))).collect();
    let columns = names.iter().map(|name| TableAliasColumnDef { name: name.clone(), data_type: None }).collect();
    (TableAlias { explicit: true, name: Ident::new("framesql_rows"), columns, at: None }, names)
}

/// IN of a row and a subquery in WHERE and HAVING.
pub(in crate::plan) fn conditions(select: &mut Select) {
    for condition in [&mut select.selection, &mut select.having].into_iter().flatten() {
        met(condition);
    }
}

/// The same in ON.
pub(in crate::plan) fn on(join: &mut JoinOperator) {
    let constraint = match join {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => constraint,
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => constraint,
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) | JoinOperator::FullOuter(constraint) => constraint,
        JoinOperator::AsOf { constraint, .. } => constraint,
        _ => return,
    };
    if let JoinConstraint::On(condition) = constraint {
        met(condition);
    }
}

/// EXISTS in place of it. Where NULLs would make it unknown, EXISTS says no: that is the same to a condition that is met or is not, through AND and OR too,
/// but not to its opposite, and not to who reads it as a value.
fn met(condition: &mut Expr) {
    let exists = match &mut *condition {
        Expr::Nested(inner) => return met(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            met(left);
            return met(right);
        }
        Expr::InSubquery { expr, subquery, negated: false } => match row(expr) {
            Some(of) => Expr::Exists { subquery: Box::new(holding(of, subquery, |equal| equal)), negated: false },
            None => return,
        },
        _ => return,
    };
    *condition = exists;
}

/// How many rows an IN may have to be written out.
const MOST_ROWS: usize = 64;

fn row(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Tuple(values) if values.len() > 1 => Some(values),
        Expr::Nested(inner) => row(inner),
        _ => None,
    }
}

/// The values of a row, which may be written ROW(…).
fn values(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Nested(inner) => values(inner),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let value = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
                _ => None,
            };
            list.args.iter().map(value).collect()
        }
        other => row(other).map(<[Expr]>::to_vec),
    }
}

fn each(values: Vec<Expr>, asked: fn(Box<Expr>) -> Expr) -> Option<Expr> {
    joined(values.into_iter().map(|value| asked(Box::new(in_parentheses(value)))).collect(), &BinaryOperator::And).map(in_parentheses)
}

fn not_if(negated: bool, condition: Expr) -> Expr {
    let condition = in_parentheses(condition);
    if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(condition) } } else { condition }
}

/// Conditions side by side, halved as long as there are several: a long chain would be deep.
fn joined(mut conditions: Vec<Expr>, op: &BinaryOperator) -> Option<Expr> {
    match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        n => {
            let others = conditions.split_off(n / 2);
            Some(in_parentheses(binary(joined(conditions, op)?, op.clone(), joined(others, op)?)))
        }
    }
}

fn compared(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    let pairs = left.iter().zip(right);
    let pair = |(left, right): (&Expr, &Expr), op: &BinaryOperator| {
        binary(in_parentheses(left.clone()), op.clone(), in_parentheses(right.clone()))
    };
    match op {
        BinaryOperator::Eq => joined(pairs.map(|both| pair(both, op)).collect(), &BinaryOperator::And),
        BinaryOperator::NotEq => joined(pairs.map(|both| pair(both, op)).collect(), &BinaryOperator::Or),
        BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq => {
            // The first column that differs tells, and of none the last by the operator itself.
            let strict = match op {
                BinaryOperator::LtEq => BinaryOperator::Lt,
                BinaryOperator::GtEq => BinaryOperator::Gt,
                other => other.clone(),
            };
            let mut pairs: Vec<(&Expr, &Expr)> = pairs.collect();
            let mut condition = pair(pairs.pop()?, op);
            for both in pairs.into_iter().rev() {
                let equal = binary(pair(both, &BinaryOperator::Eq), BinaryOperator::And, in_parentheses(condition));
                condition = binary(pair(both, &strict), BinaryOperator::Or, in_parentheses(equal));
            }
            Some(condition)
        }
        _ => None,
    }
}

/// The rows of a subquery that are such a one: `SELECT 1 FROM (…) AS rows (c1, c2) WHERE c1 = a AND c2 = b`; `read` makes the condition of what is equal.
fn holding(of: &[Expr], subquery: &Query, read: impl Fn(Expr) -> Expr) -> Query {
    let (alias, names) = named_rows(of.len());
    let rows: Vec<Expr> = names.into_iter().map(Expr::Identifier).collect();
    let mut query = query_of(SelectItem::UnnamedExpr(number("1")));
    if let SetExpr::Select(select) = query.body.as_mut() {
        let relation = TableFactor::Derived { lateral: false, subquery: Box::new(subquery.clone()), alias: Some(alias), sample: None };
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
        let equal = compared(&rows, &BinaryOperator::Eq, of).unwrap_or_else(|| Expr::Value(Value::Boolean(false).with_empty_span()));
        select.selection = Some(read(equal));
    }
    query
}
