//! `percentile_disc(f) WITHIN GROUP (ORDER BY x)` and `mode()`: the values are gathered by `array_agg` in that order, and one of them is picked.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, UInt32Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName,
};

use crate::error::Error;
use crate::plan::parse::copies::Copies;
use crate::plan::syntax::{binary, call, in_parentheses};

const PICK: &str = "percentile_of_sorted";
const BETWEEN: &str = "percentile_between_sorted";
const MOST: &str = "mode_of_sorted";

/// The call in place of one of these aggregates; None for another function. Errs (54001) where it would be too large.
pub(in crate::plan) fn rewritten(name: &str, function: &Function, copies: &mut Copies) -> Result<Option<Expr>, Error> {
    let (FunctionArguments::List(list), [by]) = (&function.args, function.within_group.as_slice()) else { return Ok(None) };
    let arguments: Option<Vec<&Expr>> = list
        .args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
            _ => None,
        })
        .collect();
    let Some(arguments) = arguments else { return Ok(None) };
    Ok(match (name, arguments.as_slice()) {
        ("mode", []) => {
            copies.take(COPIES, &by.expr)?;
            Some(call(MOST, [sorted(function)]))
        }
        ("percentile_disc" | "percentile_cont", [fraction]) => match fractions(fraction) {
            // One of each fraction.
            Some(fractions) => {
                let mut bare = function.clone();
                if let FunctionArguments::List(list) = &mut bare.args {
                    list.args.clear();
                }
                copies.take(fractions.len().saturating_sub(1), &bare)?;
                let each = fractions.into_iter().map(|fraction| -> Result<Expr, Error> {
                    let mut one = bare.clone();
                    if let FunctionArguments::List(list) = &mut one.args {
                        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(fraction))];
                    }
                    Ok(rewritten(name, &one, copies)?.unwrap_or(Expr::Function(one)))
                });
                Some(call("make_array", each.collect::<Result<Vec<Expr>, Error>>()?))
            }
            None if name == "percentile_disc" => {
                copies.take(COPIES, &by.expr)?;
                Some(call(PICK, [sorted(function), (*fraction).clone()]))
            }
            // DataFusion's own has no more than six digits of where it looks.
            None if function.over.is_none() => {
                copies.take(COPIES, &by.expr)?;
                Some(call(BETWEEN, [sorted(function), (*fraction).clone()]))
            }
            None => None,
        },
        _ => None,
    })
}

/// The elements of `ARRAY[0.25, 0.5]`.
fn fractions(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Array(array) => Some(array.elem.clone()),
        Expr::Cast { expr: of, .. } | Expr::Nested(of) => fractions(of),
        Expr::Function(made) if made.name.to_string() == "make_array" => match &made.args {
            FunctionArguments::List(list) => list
                .args
                .iter()
                .map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        },
        _ => None,
    }
}

/// How many times more than it is written the value is there then.
const COPIES: usize = 2;

/// The values as a list in their order, without NULLs.
fn sorted(function: &Function) -> Expr {
    let mut gathered = function.clone();
    gathered.name = ObjectName::from(vec![Ident::new("array_agg")]);
    let order = std::mem::take(&mut gathered.within_group);
    if let Some(value) = order.first().map(|by| by.expr.clone()) {
        let known = Expr::IsNotNull(Box::new(in_parentheses(value.clone())));
        gathered.filter = Some(Box::new(match gathered.filter.take() {
            Some(filter) => binary(in_parentheses(*filter), BinaryOperator::And, known),
            None => known,
        }));
        gathered.args = FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))],
            clauses: vec![FunctionArgumentClause::OrderBy(order)],
        });
    }
    Expr::Function(gathered)
}

/// The functions.
pub(super) fn functions() -> [Arc<ScalarUDF>; 3] {
    [(PICK, 2), (BETWEEN, 2), (MOST, 1)].map(|(name, n)| {
        let signature = Signature::new(TypeSignature::Any(n), Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Picked { name, signature }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Picked {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Picked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(DataType::List(item)) if self.name == BETWEEN && item.data_type().is_numeric() => Ok(DataType::Float64),
            Some(DataType::List(_)) if self.name == BETWEEN => plan_err!("percentile_cont takes numbers"),
            Some(DataType::List(item)) => Ok(item.data_type().clone()),
            _ => plan_err!("{} takes a list", self.name),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if self.name == BETWEEN {
            let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
            return Ok(Arc::new(Field::new(self.name, self.return_type(&types)?, true)));
        }
        match args.arg_fields.first().map(|field| field.data_type()) {
            Some(DataType::List(item)) => {
                Ok(Arc::new(Field::new(self.name, item.data_type().clone(), true).with_metadata(item.metadata().clone())))
            }
            _ => plan_err!("{} takes a list", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let arrays = args.args.iter().map(|value| value.to_array(n_rows)).collect::<Result<Vec<_>>>()?;
        let Some(lists) = arrays.first().and_then(|lists| lists.as_list_opt::<i32>()) else {
            return exec_err!("{} takes a list", self.name);
        };
        let fractions = arrays.get(1).map(|fractions| cast(fractions, &DataType::Float64)).transpose()?;
        if self.name == BETWEEN {
            let numbers = cast(lists.values(), &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            let between = |row: usize| -> Result<Option<f64>> {
                let Some(fraction) = fractions.as_ref().filter(|of| of.is_valid(row)) else { return Ok(None) };
                let fraction = checked(fraction.as_primitive::<Float64Type>().value(row))?;
                let n_values = usize::try_from(lists.value_length(row)).unwrap_or_default();
                if lists.is_null(row) || n_values == 0 {
                    return Ok(None);
                }
                let begin = lists.value_offsets().get(row).and_then(|begin| usize::try_from(*begin).ok()).unwrap_or_default();
                let place = fraction * (n_values - 1) as f64;
                let (low, high) = (numbers.value(begin + place.floor() as usize), numbers.value(begin + place.ceil() as usize));
                Ok(Some(if place.floor() == place.ceil() { low } else { low + (place - place.floor()) * (high - low) }))
            };
            let found = (0..n_rows).map(between).collect::<Result<Float64Array>>()?;
            return Ok(ColumnarValue::Array(Arc::new(found)));
        }
        let one = |row: usize| -> Result<Option<u32>> {
            let fraction = match &fractions {
                Some(fractions) if fractions.is_null(row) => return Ok(None),
                Some(fractions) => Some(fractions.as_primitive::<Float64Type>().value(row)),
                None => None,
            };
            let fraction = fraction.map(checked).transpose()?;
            if lists.is_null(row) || lists.value_length(row) == 0 {
                return Ok(None);
            }
            let at = match fraction {
                Some(fraction) => ((fraction * f64::from(lists.value_length(row))).ceil() as usize).saturating_sub(1),
                None => most(&lists.value(row))?,
            };
            let begin = lists.value_offsets().get(row).copied().unwrap_or_default();
            Ok(u32::try_from(begin).ok().zip(u32::try_from(at).ok()).map(|(begin, at)| begin + at))
        };
        let places = (0..n_rows).map(one).collect::<Result<UInt32Array>>()?;
        Ok(ColumnarValue::Array(take(lists.values(), &places, None)?))
    }
}

fn checked(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    Err(Error::Encode { code: "22003", message: format!("percentile value {fraction} is not between 0 and 1") }.into())
}

/// The place of the value that is there most often, of several the first; the values are sorted.
fn most(values: &ArrayRef) -> Result<usize> {
    let (mut best, mut best_length, mut begin) = (0, 0, 0);
    let mut value = ScalarValue::try_from_array(values, 0)?;
    for at in 1..=values.len() {
        let next = if at < values.len() { Some(ScalarValue::try_from_array(values, at)?) } else { None };
        if next.as_ref() == Some(&value) {
            continue;
        }
        if at - begin > best_length {
            (best, best_length) = (begin, at - begin);
        }
        begin = at;
        if let Some(next) = next {
            value = next;
        }
    }
    Ok(best)
}
