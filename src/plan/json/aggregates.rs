//! `json_agg(x ORDER BY y)` and `json_object_agg(k, v)`: the values are gathered by `array_agg`, with all that an aggregate may have beside it, and the
//! list is made JSON.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, ListArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CastKind, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, Ident, ObjectName,
};

use super::build::{ELEMENT, LISTS, MEMBERS};
use super::values;
use crate::error::Error;
use crate::plan::parse::copies::Copies;
use crate::plan::syntax::{binary, call, in_parentheses, text};
use crate::plan::value::text_type::TextType;

/// What is gathered by DISTINCT must be different, and sorted, as what it is: its texts are marked with whether they are JSON, and made JSON in the list.
const MARK: &str = "json_marked";
const READ: &str = "json_of_marked";

/// What a text begins with that is JSON, and one that is not.
const JSON: char = 'j';
const PLAIN: char = 't';

/// The call in place of an aggregate of JSON; None for another function.
pub(in crate::plan) fn rewritten(name: &str, function: &Function) -> Option<Expr> {
    let [list, list_b] = LISTS;
    let [members, members_b] = MEMBERS;
    let (whole, of_value) = match name {
        "json_agg" => (list, ELEMENT),
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
        ([value], true) if distinct_values => {
            let mut ordered = false;
            for clause in &mut arguments.clauses {
                if let FunctionArgumentClause::OrderBy(order) = clause {
                    ordered = true;
                    order.iter_mut().for_each(|by| by.expr = call(MARK, [by.expr.clone()]));
                }
            }
            arguments.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(call(MARK, [value.clone()])))];
            let values = if ordered { Expr::Function(gathered) } else { sorted(gathered) };
            return Some(call(whole, [call(READ, [values])]));
        }
        ([value], true) => call(of_value, [value.clone()]),
        ([key, value], false) => call("named_struct", [text("name"), as_text(key), text("value"), call(of_value, [value.clone()])]),
        _ => return None,
    };
    arguments.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))];
    Some(call(whole, [Expr::Function(gathered)]))
}

/// `array_agg(DISTINCT x)` and `string_agg(DISTINCT x, ',')`, whose values Postgres gives in their order, if no other is asked for; and
/// `string_agg(x, ',' ORDER BY y)`, whose values are gathered like those of `array_agg`: DataFusion's own needs its input sorted, and cannot have it in two
/// orders. None for other calls. Errs (54001) where it would be too large.
pub(in crate::plan) fn distinct(name: &str, function: &Function, copies: &mut Copies) -> Result<Option<Expr>, Error> {
    let FunctionArguments::List(arguments) = &function.args else { return Ok(None) };
    let ordered = match arguments.clauses.as_slice() {
        [] if arguments.duplicate_treatment == Some(DuplicateTreatment::Distinct) => false,
        [FunctionArgumentClause::OrderBy(_)] if name == "string_agg" => true,
        _ => return Ok(None),
    };
    if function.over.is_some() {
        return Ok(None);
    }
    Ok(match (name, arguments.args.as_slice()) {
        ("array_agg", [FunctionArg::Unnamed(FunctionArgExpr::Expr(_))]) => Some(sorted(function.clone())),
        // Another one for each row stays in the aggregate.
        (_, [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(between))]) if ordered && !constant(between) => None,
        ("string_agg", [FunctionArg::Unnamed(FunctionArgExpr::Expr(value)), FunctionArg::Unnamed(FunctionArgExpr::Expr(between))]) => {
            copies.take(1, value)?;
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
            gathered.name = ObjectName::from(vec![Ident::new("array_agg")]);
            let values = if ordered { Expr::Function(gathered) } else { sorted(gathered) };
            Some(call("array_to_string", [values, between.clone()]))
        }
        _ => None,
    })
}

fn constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Cast { expr: of, .. } | Expr::Nested(of) => constant(of),
        _ => false,
    }
}

/// The values that an aggregate gathers, sorted when they are all there.
fn sorted(mut gathered: Function) -> Expr {
    gathered.name = ObjectName::from(vec![Ident::new("array_agg")]);
    call("array_sort", [Expr::Function(gathered), text("ASC"), text("NULLS LAST")])
}

fn as_text(expr: &Expr) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr.clone()), data_type: ast::DataType::Text, array: false, format: None }
}

/// The functions.
pub(super) fn functions() -> [Arc<ScalarUDF>; 2] {
    [MARK, READ].map(|name| {
        let signature = Signature::new(TypeSignature::Any(1), Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Marked { name, signature }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Marked {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Marked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(of) => Ok(of.clone()),
            None => plan_err!("{} takes a value", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (Some(values), Some(field)) = (args.args.first(), args.arg_fields.first()) else {
            return exec_err!("{} takes a value", self.name);
        };
        let values = values.to_array(args.number_rows)?;
        if self.name == MARK {
            let Some(texts) = values.as_string_opt::<i32>() else { return Ok(ColumnarValue::Array(values)) };
            let mark = if TextType::of_field(field).is_some_and(TextType::json) { JSON } else { PLAIN };
            let marked: StringArray = texts.iter().map(|text| text.map(|text| format!("{mark}{text}"))).collect();
            return Ok(ColumnarValue::Array(Arc::new(marked)));
        }
        let (Some(lists), DataType::List(item)) = (values.as_list_opt::<i32>(), values.data_type()) else {
            return Ok(ColumnarValue::Array(values));
        };
        let Some(texts) = lists.values().as_string_opt::<i32>() else { return Ok(ColumnarValue::Array(values)) };
        let read: StringArray = texts.iter().map(|text| text.map(json_of)).collect();
        let read = ListArray::try_new(Arc::clone(item), lists.offsets().clone(), Arc::new(read), lists.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(read)))
    }
}

/// The JSON of a marked text.
fn json_of(text: &str) -> String {
    if let Some(json) = text.strip_prefix(JSON) {
        return json.to_owned();
    }
    let mut out = String::new();
    values::string(&mut out, text.strip_prefix(PLAIN).unwrap_or(text));
    out
}
