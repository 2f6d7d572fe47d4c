//! Calls with named arguments, `detect_objects(frame, min_score => 0.3)`: put in the order of the function's signature, as DataFusion reads them. Texts written
//! in the place of lists and files, `detect_objects(frame, '{person,car}')`: read as such, as what has no type is in Postgres.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, Ident, Value,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use framesql_udfs::function::parameters::{Parameter, literal_type, parameters};

use crate::error::{Error, Result};

/// Puts the arguments of a call in order and says what its texts are; calls of functions that are not framesql's own stay as they are. Errs as Postgres does: 42601
/// for a list that is no list, 42883 for names that the function does not have.
pub(in crate::plan) fn rewrite(call: &mut Function) -> Result<()> {
    let [name] = call.name.0.as_slice() else { return Ok(()) };
    let Some(name) = name.as_ident().map(folded) else { return Ok(()) };
    let FunctionArguments::List(list) = &mut call.args else { return Ok(()) };
    in_order(&name, &mut list.args)?;
    typed(&name, &mut list.args)
}

/// Gives texts the type that the function takes in their place, where that is no text and no number.
fn typed(name: &str, arguments: &mut [FunctionArg]) -> Result<()> {
    let n_given = arguments.len();
    for (at, argument) in arguments.iter_mut().enumerate() {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument else { continue };
        let Some(of) = text_of(value).and_then(|text| literal_type(name, at, n_given, text)) else { continue };
        let data_type: DataType = Parser::new(&PostgreSqlDialect {})
            .try_with_sql(of)
            .and_then(|mut parser| parser.parse_data_type())
            .map_err(|e| Error::Internal(format!("the type {of} cannot be read: {e}")))?;
        let text = std::mem::replace(value, Expr::value(Value::Null));
        *value = Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(text), data_type, array: false, format: None };
    }
    Ok(())
}

/// The text of an argument that is nothing else, and so has no type yet.
fn text_of(argument: &Expr) -> Option<&str> {
    match argument {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            Value::DollarQuotedString(text) => Some(&text.value),
            _ => None,
        },
        Expr::Nested(inner) => text_of(inner),
        _ => None,
    }
}

fn in_order(name: &str, given: &mut Vec<FunctionArg>) -> Result<()> {
    if !given.iter().any(|argument| named(argument).is_some()) {
        return Ok(());
    }
    let Some(known) = parameters(name) else { return Ok(()) };
    check(given)?;
    match place(&known, given)? {
        Some(placed) => {
            *given = placed;
            Ok(())
        }
        None => Err(missing(name, given, &known)),
    }
}

/// The arguments in the order of the signature; None if they do not fit it.
fn place(known: &[Parameter], given: &[FunctionArg]) -> Result<Option<Vec<FunctionArg>>> {
    let mut places: Vec<Option<FunctionArgExpr>> = vec![None; known.len()];
    for (at, argument) in given.iter().enumerate() {
        let (at, value) = match named(argument) {
            Some((name, value)) => (known.iter().position(|parameter| parameter.name == folded(name)), value.clone()),
            None => match argument {
                FunctionArg::Unnamed(value) => (Some(at), value.clone()),
                _ => return Ok(None),
            },
        };
        match at.and_then(|at| places.get_mut(at)) {
            Some(place) if place.is_none() => *place = Some(value),
            _ => return Ok(None),
        }
    }
    let n_given = places.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    if known.iter().skip(n_given).any(|parameter| !parameter.optional) {
        return Ok(None);
    }
    let mut placed = Vec::new();
    for (place, parameter) in places.into_iter().zip(known).take(n_given) {
        let value = match (place, parameter.default) {
            (Some(value), _) => value,
            (None, Some(sql)) => FunctionArgExpr::Expr(default(sql)?),
            (None, None) => return Ok(None),
        };
        placed.push(FunctionArg::Unnamed(value));
    }
    Ok(Some(placed))
}

fn default(sql: &str) -> Result<Expr> {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_expr());
    parsed.map_err(|e| Error::Internal(format!("the default {sql} cannot be read: {e}")))
}

/// The name and value of an argument that has one.
fn named(argument: &FunctionArg) -> Option<(&Ident, &FunctionArgExpr)> {
    match argument {
        FunctionArg::Named { name, arg, operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment } => Some((name, arg)),
        _ => None,
    }
}

/// Errs for a value behind a name, and for a name that is there twice.
fn check(given: &[FunctionArg]) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    for argument in given {
        match named(argument) {
            Some((name, _)) if names.contains(&folded(name)) => {
                let message = format!("argument name \"{}\" used more than once", folded(name));
                return Err(Error::Syntax { message, hint: None });
            }
            Some((name, _)) => names.push(folded(name)),
            None if names.is_empty() => {}
            None => {
                let message = "positional argument cannot follow named argument".to_owned();
                return Err(Error::Syntax { message, hint: None });
            }
        }
    }
    Ok(())
}

/// The error for arguments that do not fit: no such function, as it is in Postgres.
fn missing(name: &str, given: &[FunctionArg], known: &[Parameter]) -> Error {
    let shown = |argument: &FunctionArg| match named(argument) {
        Some((name, value)) => format!("{} => {value}", folded(name)),
        None => argument.to_string(),
    };
    let given = given.iter().map(shown).collect::<Vec<_>>().join(", ");
    let names = known.iter().map(|p| if p.optional { format!("[{}]", p.name) } else { p.name.clone() }).collect::<Vec<_>>().join(", ");
    Error::NoFunction { message: format!("function {name}({given}) does not exist"), hint: format!("Its arguments are {name}({names}).") }
}

/// An identifier as Postgres folds it.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
