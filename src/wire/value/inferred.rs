//! Types of parameters that neither the client nor a cast says: as in Postgres, what a function takes there, and else that of the other side.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};
use pgwire::api::Type;

use super::{columns, written};
use crate::engine::session::Session;
use crate::plan::parse::Statement;
use crate::wire::session::prepared::{expressions, expressions_mut, placeholder};

/// The parameters that an expression alone tells, with their types.
pub(in crate::wire) fn alone(statement: &Statement) -> Vec<(usize, Type)> {
    let mut found = Vec::new();
    // What is compared with a pattern is a text, also beside a name.
    let text = |expr: &Expr| number(expr).map(|number| (number, Type::TEXT));
    expressions(&statement.body, |expr| match expr {
        Expr::BinaryOp { left, op, right } if compares(op) => {
            let beside = |one: &Expr, other: &Expr| number(one).filter(|_| written::is_int4(other));
            found.extend(beside(left, right).or_else(|| beside(right, left)).map(|number| (number, Type::INT4)));
        }
        Expr::BinaryOp { left, op, right } if matches_pattern(op) => found.extend([left, right].into_iter().filter_map(|one| text(one))),
        Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } | Expr::SimilarTo { expr, pattern, .. } => {
            found.extend([expr, pattern].into_iter().filter_map(|one| text(one)));
        }
        Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => found.extend(number(expr).map(|number| (number, Type::BOOL))),
        Expr::Case { operand: None, conditions, .. } => {
            found.extend(conditions.iter().filter_map(|when| number(&when.condition)).map(|number| (number, Type::BOOL)));
        }
        Expr::Function(function) => {
            let (name, arguments) = (function.name.to_string().to_lowercase(), arguments_of(function));
            for (at, argument) in arguments.iter().enumerate() {
                found.extend(number(argument).zip(taken(&name, at, arguments.len())));
            }
        }
        _ => {}
    });
    found
}

/// What a function takes there, where Postgres has but one of that name, or prefers one.
fn taken(function: &str, at: usize, n_arguments: usize) -> Option<Type> {
    Some(match (function, at) {
        ("date_bin", 0) => Type::INTERVAL,
        ("to_timestamp", 0) if n_arguments == 1 => Type::FLOAT8,
        ("abs" | "sqrt" | "exp" | "ln" | "floor" | "ceil" | "ceiling", 0) => Type::FLOAT8,
        ("round", 0) if n_arguments == 2 => Type::NUMERIC,
        ("round", 1) => Type::INT4,
        ("split_part", 2) => Type::INT4,
        ("left" | "right" | "repeat" | "lpad" | "rpad" | "lag" | "lead", 1) => Type::INT4,
        _ => return None,
    })
}

/// What the type of the other side makes of a parameter.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// It is of that type.
    Same,
    /// Something is added to it.
    Sum,
    /// It is multiplied or divided.
    Factor,
}

impl Rule {
    fn of(self, other: Type) -> Option<Type> {
        Some(match (self, other) {
            (Rule::Sum, Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME) => Type::INTERVAL,
            // Postgres does not know either: a number of days, or an interval.
            (Rule::Sum, Type::DATE) => return None,
            (Rule::Factor, Type::INTERVAL) => Type::FLOAT8,
            (_, other) => other,
        })
    }
}

/// The parameters with what stands beside them: the planner is asked what that is. Empty if it cannot say.
pub(in crate::wire) async fn beside(session: &Session, statement: &Statement, unknown: impl Fn(usize) -> bool) -> Vec<(usize, Type)> {
    let wanted = |expr: &Expr| number(expr).filter(|number| unknown(*number));
    let compared = compared(statement, wanted);
    let mut single = statement.clone();
    let mut rules: HashMap<usize, Rule> = compared.keys().map(|number| (*number, Rule::Same)).collect();
    // A parameter that is compared is of what it is compared with, wherever else it stands.
    let mut told = |expr: &mut Expr, other: &Expr, rule: Rule| {
        let Some(number) = wanted(expr) else { return false };
        if let Some(other) = compared.get(&number) {
            *expr = other.clone();
            return false;
        }
        *expr = as_compared(other, expr);
        rules.entry(number).or_insert(rule);
        true
    };
    expressions_mut(&mut single.body, |expr: &mut Expr| match expr {
        Expr::BinaryOp { left, op, right } => {
            let Some(rule) = rule_of(op) else { return pairs(expr) };
            let (place, other) = match (number(left), number(right)) {
                (None, Some(_)) => (right, left),
                (Some(_), None) => (left, right),
                _ => return,
            };
            if told(place, other, rule) {
                // It is of the other side's type now, with which it need not go together.
                let probe = place.as_ref().clone();
                *expr = probe;
            }
        }
        Expr::Function(function) => {
            if !["coalesce", "nullif", "greatest", "least"].contains(&function.name.to_string().to_lowercase().as_str()) {
                return;
            }
            let other = arguments_of(function).into_iter().find(|argument| number(argument).is_none()).cloned();
            let FunctionArguments::List(list) = &mut function.args else { return };
            for argument in &mut list.args {
                if let (FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)), Some(other)) = (argument, &other) {
                    told(argument, other, Rule::Same);
                }
            }
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            let results = conditions.iter().map(|when| &when.result).chain(else_result.as_deref());
            let other = results.into_iter().find(|result| number(result).is_none()).cloned();
            for when in conditions {
                if let Some(operand) = operand {
                    told(&mut when.condition, operand, Rule::Same);
                }
                if let Some(other) = &other {
                    told(&mut when.result, other, Rule::Same);
                }
            }
            if let (Some(result), Some(other)) = (else_result, &other) {
                told(result, other, Rule::Same);
            }
        }
        _ => {}
    });
    if rules.is_empty() {
        return Vec::new();
    }
    let Ok(described) = session.describe(&single).await else { return Vec::new() };
    let of = |(number, rule): (usize, Rule)| {
        let field = described.parameters.get(number.checked_sub(1)?)?.as_deref().filter(|field| !field.data_type().is_null())?;
        Some((number, rule.of(columns::of_field(field))?))
    };
    rules.into_iter().filter_map(of).collect()
}

/// The parameters that are compared with something, and with what.
fn compared(statement: &Statement, wanted: impl Fn(&Expr) -> Option<usize>) -> HashMap<usize, Expr> {
    let mut compared = HashMap::new();
    let mut pair = |one: &Expr, other: &Expr| {
        if let (Some(at), None) = (wanted(one), number(other)) {
            compared.entry(at).or_insert_with(|| other.clone());
        }
    };
    expressions(&statement.body, |expr| match expr {
        Expr::BinaryOp { left, op, right } if compares(op) => match (left.as_ref(), right.as_ref()) {
            (Expr::Tuple(left), Expr::Tuple(right)) => left.iter().zip(right).for_each(|(left, right)| {
                pair(left, right);
                pair(right, left);
            }),
            (left, right) => {
                pair(left, right);
                pair(right, left);
            }
        },
        Expr::Between { expr, low, high, .. } => {
            pair(low, expr);
            pair(high, expr);
        }
        Expr::InList { expr, list, .. } => list.iter().for_each(|item| pair(item, expr)),
        _ => {}
    });
    compared
}

/// Whether an operator compares two values of one type.
pub(in crate::wire) fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn matches_pattern(op: &BinaryOperator) -> bool {
    use BinaryOperator::{PGCustomBinaryOperator, PGRegexIMatch, PGRegexMatch, PGRegexNotIMatch, PGRegexNotMatch};
    match op {
        PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch => true,
        PGCustomBinaryOperator(parts) => parts.last().is_some_and(|part| part.contains('~')),
        _ => false,
    }
}

fn rule_of(op: &BinaryOperator) -> Option<Rule> {
    match op {
        BinaryOperator::Plus => Some(Rule::Sum),
        BinaryOperator::Minus | BinaryOperator::Modulo => Some(Rule::Same),
        BinaryOperator::Multiply | BinaryOperator::Divide => Some(Rule::Factor),
        _ => None,
    }
}

/// `(a, b) = ($1, $2)` as `a = $1 AND b = $2`.
fn pairs(expr: &mut Expr) {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expr else { return };
    let (Expr::Tuple(left), Expr::Tuple(right)) = (left.as_ref(), right.as_ref()) else { return };
    let equal = left.iter().zip(right).map(|(left, right)| binary(left.clone(), BinaryOperator::Eq, right.clone()));
    if let Some(all) = equal.reduce(|all, one| binary(all, BinaryOperator::And, one)) {
        *expr = all;
    }
}

/// An expression of the other side's type in which the parameter is compared with it.
fn as_compared(other: &Expr, parameter: &Expr) -> Expr {
    let condition = binary(Expr::Nested(Box::new(other.clone())), BinaryOperator::Eq, parameter.clone());
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: other.clone() }],
        else_result: Some(Box::new(other.clone())),
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// The number of a parameter that stands by itself.
fn number(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Nested(inner) => number(inner),
        other => placeholder(other).filter(|number| *number > 0),
    }
}

/// The arguments of a function; none if one is named, as it has no place of its own.
fn arguments_of(function: &ast::Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    list.args.iter().map(unnamed).collect::<Option<Vec<_>>>().unwrap_or_default()
}

fn unnamed(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}
