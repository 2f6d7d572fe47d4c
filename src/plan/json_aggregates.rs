//! `json_agg(x ORDER BY y)` and `json_object_agg(k, v)`: the values are gathered by `array_agg`, with all that an aggregate may have beside it, and the
//! list is made JSON.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName,
};

use super::json_build::{LISTS, MEMBERS};
use super::syntax::{binary, call, in_parentheses, text};

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
    let distinct_values = arguments.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let argument = match (values?.as_slice(), whole == list || whole == list_b) {
        // What is different is so before it is JSON.
        ([_], true) if distinct_values && arguments.clauses.is_empty() => return Some(call(of_value, [sorted(function.clone())])),
        ([_], true) if distinct_values => {
            let mut gathered = function.clone();
            gathered.name = ObjectName::from(vec![Ident::new("array_agg")]);
            return Some(call(of_value, [Expr::Function(gathered)]));
        }
        ([value], true) => call(of_value, [value.clone()]),
        ([key, value], false) => call("named_struct", [text("name"), as_text(key), text("value"), call(of_value, [value.clone()])]),
        _ => return None,
    };
    arguments.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))];
    Some(call(whole, [Expr::Function(gathered)]))
}

/// `array_agg(DISTINCT x)` and `string_agg(DISTINCT x, ',')`, whose values Postgres gives in their order, if no other is asked for; None for other calls.
pub(super) fn distinct(name: &str, function: &Function) -> Option<Expr> {
    let FunctionArguments::List(arguments) = &function.args else { return None };
    if arguments.duplicate_treatment != Some(DuplicateTreatment::Distinct) || !arguments.clauses.is_empty() || function.over.is_some() {
        return None;
    }
    match (name, arguments.args.as_slice()) {
        ("array_agg", [FunctionArg::Unnamed(FunctionArgExpr::Expr(_))]) => Some(sorted(function.clone())),
        ("string_agg", [FunctionArg::Unnamed(FunctionArgExpr::Expr(value)), FunctionArg::Unnamed(FunctionArgExpr::Expr(between))]) => {
            let mut gathered = function.clone();
            // Of NULLs no text is made.
            let known = Expr::IsNotNull(Box::new(in_parentheses(value.clone())));
            gathered.filter = Some(Box::new(match gathered.filter.take() {
                Some(filter) => binary(in_parentheses(*filter), BinaryOperator::And, known),
                None => known,
            }));
            if let FunctionArguments::List(list) = &mut gathered.args {
                list.args.truncate(1);
            }
            Some(call("array_to_string", [sorted(gathered), between.clone()]))
        }
        _ => None,
    }
}

/// The values that an aggregate gathers, sorted when they are all there.
fn sorted(mut gathered: Function) -> Expr {
    gathered.name = ObjectName::from(vec![Ident::new("array_agg")]);
    call("array_sort", [Expr::Function(gathered), text("ASC"), text("NULLS LAST")])
}

fn as_text(expr: &Expr) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr.clone()), data_type: DataType::Text, array: false, format: None }
}
