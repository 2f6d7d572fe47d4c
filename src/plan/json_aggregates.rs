//! `json_agg(x ORDER BY y)` and `json_object_agg(k, v)`: the values are gathered by `array_agg`, with all that an aggregate may have beside it, and the
//! list is made JSON.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident,
    ObjectName, OrderByExpr, OrderByOptions,
};

use super::json_build::{LISTS, MEMBERS};
use super::syntax::{call, text};

/// The call in place of an aggregate of JSON; None for another function.
pub(super) fn rewritten(name: &str, function: &Function) -> Option<Expr> {
    let [list, list_b] = LISTS;
    let [members, members_b] = MEMBERS;
    let (whole, of_value) = match name {
        "json_agg" => (list, "to_json"),
        "jsonb_agg" => (list_b, "to_jsonb"),
        "json_object_agg" => (members, "to_json"),
        "jsonb_object_agg" => (members_b, "to_jsonb"),
        _ => return None,
    };
    let mut gathered = function.clone();
    gathered.name = ObjectName::from(vec![Ident::new("array_agg")]);
    let FunctionArguments::List(arguments) = &mut gathered.args else { return None };
    let values: Option<Vec<Expr>> = arguments
        .args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
            _ => None,
        })
        .collect();
    let distinct = arguments.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let argument = match (values?.as_slice(), whole == list || whole == list_b) {
        // What is different is so before it is JSON, and is told apart by what it is sorted by.
        ([value], true) if distinct => {
            let gathered = sorted(function, value)?;
            return Some(call(of_value, [gathered]));
        }
        ([value], true) => call(of_value, [value.clone()]),
        ([key, value], false) => call("named_struct", [text("name"), as_text(key), text("value"), call(of_value, [value.clone()])]),
        _ => return None,
    };
    arguments.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))];
    Some(call(whole, [Expr::Function(gathered)]))
}

/// `array_agg(DISTINCT x)`, whose values Postgres gives in their order.
fn sorted(function: &Function, value: &Expr) -> Option<Expr> {
    let mut gathered = function.clone();
    gathered.name = ObjectName::from(vec![Ident::new("array_agg")]);
    order(&mut gathered, value)?;
    Some(Expr::Function(gathered))
}

/// Sorts the different values of an aggregate that does not say how, as Postgres does to find them.
pub(super) fn order_distinct(function: &mut Function) {
    let FunctionArguments::List(arguments) = &function.args else { return };
    let distinct = arguments.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) = arguments.args.first().filter(|_| distinct) {
        let value = value.clone();
        order(function, &value);
    }
}

fn order(function: &mut Function, value: &Expr) -> Option<()> {
    let FunctionArguments::List(arguments) = &mut function.args else { return None };
    if !arguments.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_))) {
        let by = OrderByExpr { expr: value.clone(), options: OrderByOptions { asc: None, nulls_first: None }, with_fill: None };
        arguments.clauses.push(FunctionArgumentClause::OrderBy(vec![by]));
    }
    Some(())
}

fn as_text(expr: &Expr) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr.clone()), data_type: DataType::Text, array: false, format: None }
}
