//! Rows that are compared, `(a, b) = (c, d)`, as in Postgres: column by column, where NULL is not known, and IN of rows, also of those of a subquery.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, UnaryOperator,
    Value,
};

use super::parse::bare_select::query_of;
use super::syntax::{binary, in_parentheses, number};

/// The columns of the rows of a subquery.
const COLUMN: &str = "framesql_column";

/// The condition in place of one on rows; None for other expressions.
pub(super) fn rewritten(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (row(left)?, row(right)?);
            if left.len() != right.len() {
                return None;
            }
            Some(in_parentheses(compared(left, op, right)?))
        }
        Expr::InList { expr, list, negated } => {
            let of = row(expr)?;
            // Constants are looked up, however many there are.
            if list.len() > MOST_ROWS {
                return None;
            }
            let equal = |other: &Expr| {
                let other = row(other).filter(|other| other.len() == of.len())?;
                compared(of, &BinaryOperator::Eq, other)
            };
            let any = list.iter().map(equal).collect::<Option<Vec<_>>>()?;
            Some(not_if(*negated, joined(any, &BinaryOperator::Or)?))
        }
        // Where NULLs would make it unknown, EXISTS says no, which is the same to a condition, but not to its opposite.
        Expr::InSubquery { expr, subquery, negated: false } => {
            Some(Expr::Exists { subquery: Box::new(holding(row(expr)?, subquery)), negated: false })
        }
        _ => None,
    }
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

/// Whether a subquery has such a row: `SELECT 1 FROM (…) AS rows (c1, c2) WHERE c1 = a AND c2 = b`.
fn holding(of: &[Expr], subquery: &Query) -> Query {
    let names: Vec<Ident> = (0..of.len()).map(|at| Ident::new(format!("{COLUMN}_{at}"))).collect();
    let columns = names.iter().map(|name| TableAliasColumnDef { name: name.clone(), data_type: None }).collect();
    let alias = TableAlias { explicit: true, name: Ident::new("framesql_rows"), columns, at: None };
    let rows: Vec<Expr> = names.into_iter().map(Expr::Identifier).collect();
    let mut query = query_of(SelectItem::UnnamedExpr(number("1")));
    if let SetExpr::Select(select) = query.body.as_mut() {
        let relation = TableFactor::Derived { lateral: false, subquery: Box::new(subquery.clone()), alias: Some(alias), sample: None };
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
        select.selection = compared(&rows, &BinaryOperator::Eq, of).or_else(|| Some(Expr::Value(Value::Boolean(false).with_empty_span())));
    }
    query
}
