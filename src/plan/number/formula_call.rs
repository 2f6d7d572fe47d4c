//! A tree of `+`, `-`, `*`, `/` and `%` on numbers of one type as one call: planned as calls in one another, a chain of a thousand would have the name
//! and the type of all that stands below written anew at each of them.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::{checked, numerics};

/// The call's name. Its first argument says what is done with the others: a dot takes the next of them, and an operator the last two that there are.
const NAME: &str = "checked_formula";
const NEXT: char = '.';

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Formula { signature: Signature::variadic_any(Volatility::Immutable) })));

/// The function.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// What is done, and with what, in the order of the text.
struct Steps {
    program: String,
    values: Vec<Expr>,
}

impl Steps {
    /// Puts a value, or what is done for it, behind the steps so far.
    fn take(&mut self, expr: Expr, constants: bool) {
        match read(expr) {
            // What is known before the query runs is worked out once.
            Ok(steps) if constants || !steps.constant() => {
                self.program.push_str(&steps.program);
                self.values.extend(steps.values);
            }
            Ok(steps) => {
                self.program.push(NEXT);
                self.values.push(steps.call());
            }
            Err(value) => {
                self.program.push(NEXT);
                self.values.push(value);
            }
        }
    }

    fn constant(&self) -> bool {
        self.values.iter().all(|value| matches!(value, Expr::Literal(..)))
    }

    fn call(self) -> Expr {
        match (self.program.chars().nth(2).and_then(operator), <[Expr; 2]>::try_from(self.values)) {
            (Some(operator), Ok([left, right])) => checked::one(left, operator, right),
            (_, Err(values)) => FUNCTION.call([lit(self.program)].into_iter().chain(values).collect()),
            (None, Ok(values)) => FUNCTION.call([lit(self.program)].into_iter().chain(values).collect()),
        }
    }
}

/// The operation on two expressions, each of which may be one already.
pub(in crate::plan) fn joined(left: Expr, of: Operator, right: Expr) -> Expr {
    let constant = |expr: &Expr| match parts(expr) {
        Some((_, values)) => values.iter().all(|value| matches!(value, Expr::Literal(..))),
        None => matches!(expr, Expr::Literal(..)),
    };
    let constants = constant(&left) && constant(&right);
    // The left one grows where it is: it is mostly the longer.
    let mut steps = match read(left) {
        Ok(steps) if constants || !steps.constant() => steps,
        Ok(steps) => Steps { program: NEXT.into(), values: vec![steps.call()] },
        Err(value) => Steps { program: NEXT.into(), values: vec![value] },
    };
    steps.take(right, constants);
    steps.program.push_str(word(of));
    steps.call()
}

/// The steps of an expression; itself if it is none of these.
fn read(expr: Expr) -> Result<Steps, Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == NAME => {
            let mut values = call.args.into_iter();
            match values.next() {
                Some(Expr::Literal(ScalarValue::Utf8(Some(program)), _)) => Ok(Steps { program, values: values.collect() }),
                first => Err(FUNCTION.call(first.into_iter().chain(values).collect())),
            }
        }
        Expr::ScalarFunction(call) => match checked::operator_of(&call) {
            Some(operator) => Ok(Steps { program: format!("..{}", word(operator)), values: call.args }),
            None => Err(Expr::ScalarFunction(call)),
        },
        other => Err(other),
    }
}

/// The same without taking it: the program and the values.
pub(in crate::plan) fn parts(expr: &Expr) -> Option<(String, &[Expr])> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    match args.as_slice() {
        [Expr::Literal(ScalarValue::Utf8(Some(program)), _), values @ ..] if func.name() == NAME => Some((program.clone(), values)),
        [_, _] => match expr {
            Expr::ScalarFunction(call) => checked::operator_of(call).map(|operator| (format!("..{}", word(operator)), args.as_slice())),
            _ => None,
        },
        _ => None,
    }
}

/// What is divided by in an expression: values that are no constants.
pub(super) fn divisors(expr: &Expr) -> Vec<&Expr> {
    if let Expr::BinaryExpr(BinaryExpr { op: Operator::Divide | Operator::Modulo, right, .. }) = expr {
        return Some(right.as_ref()).filter(|right| !known(right)).into_iter().collect();
    }
    if let Expr::ScalarFunction(ScalarFunction { func, args }) = expr
        && numerics::operator_of(func) == Some(Operator::Divide)
    {
        return args.get(1).filter(|right| !known(right)).into_iter().collect();
    }
    let Some((program, values)) = parts(expr) else { return Vec::new() };
    let mut found = Vec::new();
    // Where the operands begin among the values.
    let (mut begins, mut at) = (Vec::new(), 0);
    for step in program.chars() {
        match operator(step) {
            None => {
                begins.push(at);
                at += 1;
            }
            Some(of) => {
                let right = begins.pop().and_then(|begin| values.get(begin..at)).unwrap_or_default();
                if matches!(of, Operator::Divide | Operator::Modulo) && !matches!(right, [one] if known(one)) {
                    found.extend(right);
                }
            }
        }
    }
    found
}

fn known(divisor: &Expr) -> bool {
    match divisor {
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Literal(..)),
        other => matches!(other, Expr::Literal(..)),
    }
}

fn operator(step: char) -> Option<Operator> {
    Some(match step {
        '+' => Operator::Plus,
        '-' => Operator::Minus,
        '*' => Operator::Multiply,
        '/' => Operator::Divide,
        '%' => Operator::Modulo,
        _ => return None,
    })
}

fn word(of: Operator) -> &'static str {
    match of {
        Operator::Minus => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Modulo => "%",
        _ => "+",
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Formula {
    signature: Signature,
}

/// The formula as text, each operator with its operands in parentheses, as names tell expressions apart.
fn written(args: &[Expr], name: impl Fn(&Expr) -> String) -> Result<String> {
    let [Expr::Literal(ScalarValue::Utf8(Some(program)), _), values @ ..] = args else {
        return internal_err!("{NAME} takes a program");
    };
    // Of each value: the operator before it, how many parentheses open before it, and how many close behind it.
    let mut marks = vec![(None, 0_usize, 0_usize); values.len()];
    let (mut begins, mut at) = (Vec::new(), 0_usize);
    let short = || internal_datafusion_err!("{NAME} has too few values");
    for step in program.chars() {
        let Some(of) = operator(step) else {
            begins.push(at);
            at += 1;
            continue;
        };
        let (Some(right), Some(left)) = (begins.pop(), begins.pop()) else { return Err(short()) };
        marks.get_mut(right).ok_or_else(short)?.0 = Some(of);
        marks.get_mut(left).ok_or_else(short)?.1 += 1;
        marks.get_mut(at.saturating_sub(1)).ok_or_else(short)?.2 += 1;
        begins.push(left);
    }
    let mut text = String::new();
    for (value, (of, n_open, n_close)) in values.iter().zip(marks) {
        if let Some(of) = of {
            text.push_str(&format!(" {of} "));
        }
        text.extend(std::iter::repeat_n('(', n_open));
        text.push_str(&name(value));
        text.extend(std::iter::repeat_n(')', n_close));
    }
    Ok(text)
}

impl ScalarUDFImpl for Formula {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.last().cloned().ok_or_else(|| internal_datafusion_err!("{NAME} takes values"))
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        written(args, Expr::to_string)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        written(args, |value| value.schema_name().to_string())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut values = args.args.into_iter();
        let Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(program)))) = values.next() else {
            return internal_err!("{NAME} takes a program");
        };
        let short = || internal_datafusion_err!("{NAME} has too few values");
        let mut found = Vec::new();
        for step in program.chars() {
            let value = match operator(step) {
                None => values.next().ok_or_else(short)?,
                Some(of) => {
                    let right = found.pop().ok_or_else(short)?;
                    let left = found.pop().ok_or_else(short)?;
                    checked::work_out(of, &left, &right)?
                }
            };
            found.push(value);
        }
        found.pop().ok_or_else(short)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::col;

    use super::*;

    #[test]
    fn a_tree_is_one_call_that_is_written_as_the_tree() {
        let (a, b, c) = (|| col("a"), || col("b"), || col("c"));
        let left = joined(joined(a(), Operator::Minus, b()), Operator::Multiply, c());
        assert_eq!(left.schema_name().to_string(), "((a - b) * c)");
        let right = joined(a(), Operator::Minus, joined(b(), Operator::Divide, c()));
        assert_eq!(right.schema_name().to_string(), "(a - (b / c))");
        let both = joined(left, Operator::Plus, right);
        assert_eq!(both.schema_name().to_string(), "(((a - b) * c) + (a - (b / c)))");
        assert_eq!(parts(&both).map(|(program, values)| (program, values.len())), Some(("..-.*.../-+".to_owned(), 6)));
        assert_eq!(divisors(&both), [&c()]);
        // What is known before is no part of it.
        let known = joined(lit(2_i64), Operator::Multiply, lit(3_i64));
        let half = joined(joined(a(), Operator::Plus, known.clone()), Operator::Divide, known);
        assert_eq!(parts(&half).map(|(program, _)| program), Some("..+./".to_owned()));
    }
}
