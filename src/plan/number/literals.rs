//! Constants with a fraction are numerics, as in Postgres, where they are what a SELECT gives: `0.1 + 0.2` is 0.3, and `1.10` keeps its zero. Beside
//! columns they are float8, as what they meet there mostly is.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Query,
    Select, SelectItem, SetExpr, UnaryOperator, Value, VisitMut, VisitorMut,
};

use crate::plan::column_names;
use crate::plan::syntax::{cast, compares, text};

/// Functions that write what they are given, or tell its type.
const FUNCTIONS: [&str; 13] = [
    "pg_typeof",
    "to_json",
    "to_jsonb",
    "json_build_object",
    "jsonb_build_object",
    "json_build_array",
    "jsonb_build_array",
    "format",
    "concat",
    "concat_ws",
    "quote_literal",
    "quote_nullable",
    "round",
];

/// Makes numerics of the constants in the SELECT list of a query.
pub(in crate::plan) fn place(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let Select { projection, group_by: GroupByExpr::Expressions(groups, _), .. } = select.as_mut() else { return };
    if !groups.is_empty() {
        return;
    }
    for item in projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        if let Some(written) = numeric(expr) {
            let name = column_names::of_expr(expr);
            *item = match item {
                SelectItem::ExprWithAlias { alias, .. } => SelectItem::ExprWithAlias { expr: written, alias: alias.clone() },
                _ => SelectItem::ExprWithAlias { expr: written, alias: Ident::with_quote('"', name) },
            };
        } else {
            let _ = expr.visit(&mut Written);
        }
    }
}

/// A constant that is cast to a numeric gives it the digits that are written, of which a float8 has not all; so do two that are compared.
pub(in crate::plan) fn exactly(expr: &mut Expr) {
    if let Expr::BinaryOp { left, op, right } = &mut *expr
        && compares(op)
        && Constant::of(left).is_some()
        && Constant::of(right).is_some()
    {
        for side in [left, right] {
            if let Some(written) = numeric(side) {
                **side = written;
            }
        }
        return;
    }
    let Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: of, data_type, .. } = &mut *expr else { return };
    let (DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info)) = data_type else { return };
    let Some(written) = numeric(of) else { return };
    // A numeric without a scale has ten decimal places here, and a constant as many as it is written with.
    if *info == ExactNumberInfo::None && Constant::of(of).is_some_and(|constant| constant.scale > 10) {
        *expr = written;
    } else {
        **of = written;
    }
}

/// Constants that are written as text.
struct Written;

impl VisitorMut for Written {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replace = |of: &mut Expr| {
            if let Some(written) = numeric(of) {
                *of = written;
            }
        };
        match expr {
            Expr::Cast { expr: of, data_type: DataType::Text | DataType::Varchar(_), .. } => replace(of),
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
                replace(left);
                replace(right);
            }
            Expr::Function(function) => {
                let name = function.name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.to_lowercase());
                let known = name.is_some_and(|name| FUNCTIONS.contains(&name.as_str()));
                if let FunctionArguments::List(list) = &mut function.args
                    && known
                {
                    for argument in &mut list.args {
                        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(of)) = argument {
                            replace(of);
                        }
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A constant as a cast to its numeric; None for others, and for one without a fraction in it.
fn numeric(expr: &Expr) -> Option<Expr> {
    let constant = Constant::of(expr).filter(|constant| !constant.whole)?;
    let written = constant.to_string();
    let digits = written.bytes().filter(u8::is_ascii_digit).count() as u64;
    let info = ExactNumberInfo::PrecisionAndScale(digits, i64::from(constant.scale));
    (digits <= 38).then(|| cast(text(&written), DataType::Numeric(info)))
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Constant {
    digits: i128,
    scale: u32,
    /// Whether it is an integer, whose quotients are integers.
    whole: bool,
}

impl std::fmt::Display for Constant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = format!("{:0>1$}", self.digits.unsigned_abs(), self.scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        write!(f, "{sign}{whole}{}{fraction}", if fraction.is_empty() { "" } else { "." })
    }
}

impl Constant {
    fn of(expr: &Expr) -> Option<Constant> {
        match expr {
            Expr::Nested(inner) => Constant::of(inner),
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) => Constant::read(text),
                _ => None,
            },
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => Constant::of(expr),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
                let of = Constant::of(expr)?;
                Some(Constant { digits: of.digits.checked_neg()?, ..of })
            }
            Expr::BinaryOp { left, op, right } => {
                let (left, right) = (Constant::of(left)?, Constant::of(right)?);
                let whole = left.whole && right.whole;
                let scale = left.scale.max(right.scale);
                match op {
                    BinaryOperator::Plus => Some(Constant { digits: left.at(scale)?.checked_add(right.at(scale)?)?, scale, whole }),
                    BinaryOperator::Minus => Some(Constant { digits: left.at(scale)?.checked_sub(right.at(scale)?)?, scale, whole }),
                    BinaryOperator::Multiply => {
                        Some(Constant { digits: left.digits.checked_mul(right.digits)?, scale: left.scale + right.scale, whole })
                    }
                    BinaryOperator::Modulo => Some(Constant { digits: left.at(scale)?.checked_rem(right.at(scale)?)?, scale, whole }),
                    BinaryOperator::Divide if whole => Some(Constant { digits: left.digits.checked_div(right.digits)?, scale: 0, whole }),
                    BinaryOperator::Divide => left.over(right),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn read(number: &str) -> Option<Constant> {
        let whole = number.bytes().all(|c| c.is_ascii_digit());
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i64 = exponent.parse().ok().filter(|e: &i64| e.abs() <= 38)?;
        let scale = i64::try_from(behind.len()).ok()? - exponent;
        let digits: i128 = format!("{before}{behind}").parse().ok()?;
        let raised = 10i128.checked_pow(u32::try_from(-scale.min(0)).ok()?)?;
        Some(Constant { digits: digits.checked_mul(raised)?, scale: u32::try_from(scale.max(0)).ok().filter(|scale| *scale <= 38)?, whole })
    }

    /// Its digits with a longer fraction.
    fn at(self, scale: u32) -> Option<i128> {
        self.digits.checked_mul(10i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    /// The quotient, with as long a fraction as Postgres gives it: sixteen significant digits at least, counted in groups of four.
    fn over(self, by: Constant) -> Option<Constant> {
        let ((weight, first), (by_weight, by_first)) = (self.leading()?, by.leading()?);
        let weight = weight - by_weight - i64::from(first <= by_first);
        let scale = (16 - weight * 4).max(i64::from(self.scale)).max(i64::from(by.scale)).max(0);
        let scale = u32::try_from(scale).ok().filter(|scale| *scale <= 38)?;
        // One digit more than is kept, by which it is rounded.
        let power = i64::from(scale) + 1 + i64::from(by.scale) - i64::from(self.scale);
        let raised = self.digits.checked_mul(10i128.checked_pow(u32::try_from(power).ok()?)?)?;
        let quotient = raised.checked_div(by.digits)?;
        let rounded = quotient / 10 + if (quotient % 10).abs() >= 5 { quotient.signum() } else { 0 };
        Some(Constant { digits: rounded, scale, whole: false })
    }

    /// The place of the first group of four digits, counted from the point, and what is there.
    fn leading(self) -> Option<(i64, i128)> {
        // With a fraction of whole groups.
        let groups = i64::from(self.scale.div_ceil(4));
        let mut left = self.at(u32::try_from(groups).ok()? * 4)?.checked_abs()?;
        if left == 0 {
            return Some((0, 0));
        }
        let mut weight = -groups;
        while left >= 10_000 {
            left /= 10_000;
            weight += 1;
        }
        Some((weight, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse_query;

    fn placed(sql: &str) -> String {
        let mut query = parse_query(sql).unwrap().query;
        place(&mut query);
        query.to_string()
    }

    #[test]
    fn constants_are_computed_as_numerics() {
        // What PostgreSQL 15 gives.
        for (sql, expected) in [
            ("0.1 + 0.2", "0.3"),
            ("1.10", "1.10"),
            ("-1.5", "-1.5"),
            ("1.5 * 2.0", "3.00"),
            ("7.0 / 2", "3.5000000000000000"),
            ("1 / 3.0", "0.33333333333333333333"),
            ("2 / 0.3", "6.6666666666666667"),
            ("100.0 / 7", "14.2857142857142857"),
            ("10000 / 3.0", "3333.3333333333333333"),
            ("5.5 % 2", "1.5"),
            ("1.5e-3", "0.0015"),
            ("1e3", "1000"),
            ("7 / 2 + 0.5", "3.5"),
            (".5", "0.5"),
        ] {
            let of = match *parse_query(&format!("SELECT {sql}")).unwrap().query.body {
                SetExpr::Select(select) => match select.projection.first() {
                    Some(SelectItem::UnnamedExpr(expr)) => Constant::of(expr),
                    _ => None,
                },
                _ => None,
            };
            assert_eq!(of.map(|of| of.to_string()).as_deref(), Some(expected), "{sql}");
        }
    }

    #[test]
    fn what_meets_a_column_stays_a_float() {
        for same in ["SELECT x > 0.7, x * 1.5 FROM t", "SELECT 1, 2 / 3", "SELECT x FROM t WHERE x = 0.1", "SELECT 1 / 0.0"] {
            assert_eq!(placed(same), same);
        }
        assert_eq!(placed("SELECT 1.50, x::text FROM t"), "SELECT CAST('1.50' AS NUMERIC(3,2)) AS \"?column?\", x::TEXT FROM t");
        assert_eq!(
            placed("SELECT pg_typeof(1.5), 'a' || 0.50"),
            "SELECT pg_typeof(CAST('1.5' AS NUMERIC(2,1))), 'a' || CAST('0.50' AS NUMERIC(3,2))"
        );
    }
}
