//! `to_char(number, '9,999.00')`: numbers by the templates of Postgres.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{exec_err, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};

use crate::error::Error;
use crate::plan::value::write;
use crate::settings::TimeZone;

/// The function that `to_char` is where its template is one of numbers.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    let signature = Signature::new(TypeSignature::Any(2), Volatility::Immutable);
    [Arc::new(ScalarUDF::new_from_impl(NumberToChar { signature }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NumberToChar {
    signature: Signature,
}

impl ScalarUDFImpl for NumberToChar {
    fn name(&self) -> &str {
        "number_to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args.args.iter().map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let [numbers, templates] = arrays.as_slice() else { return internal_err!("to_char takes a number and a template") };
        if !numbers.data_type().is_numeric() && !numbers.data_type().is_null() {
            return exec_err!("to_char by a template of numbers takes a number, not a {}", numbers.data_type());
        }
        let templates = cast(templates, &DataType::Utf8)?;
        let templates = templates.as_string::<i32>();
        // Of a float as many digits as it has for sure.
        let floats = match numbers.data_type() {
            DataType::Float32 | DataType::Float64 => Some(cast(numbers, &DataType::Float64)?),
            _ => None,
        };
        let one = |row: usize| -> Result<Option<String>> {
            if numbers.is_null(row) || numbers.data_type().is_null() || templates.is_null(row) {
                return Ok(None);
            }
            let template = Template::read(templates.value(row))?;
            let text = match &floats {
                Some(floats) => {
                    let value = floats.as_primitive::<Float64Type>().value(row);
                    if value.is_nan() && template.parts.iter().any(|part| matches!(part, Part::Ordinal { .. })) {
                        let message = "\"NaN\" is not a number".to_owned();
                        return Err(Error::Encode { code: "22P02", message }.into());
                    }
                    let whole = if value.is_finite() { value.abs().log10().floor().max(0.0) as usize + 1 } else { 0 };
                    format!("{value:.*}", template.n_fraction.min(15usize.saturating_sub(whole)))
                }
                None => {
                    let mut text = String::new();
                    write::write(&mut text, numbers.as_ref(), row, TimeZone::default())?;
                    text
                }
            };
            Ok(Some(template.write(&text)))
        };
        let found = (0..args.number_rows).map(one).collect::<Result<StringArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// A digit, which is shown as 0 where the number has none if it is `0`.
    Digit {
        zero: bool,
    },
    /// The point, and what parts thousands.
    Point,
    Group,
    /// What stands there.
    Text(String),
    /// `S`, `MI`, `PL`, `SG`: where the sign is.
    Sign,
    Minus,
    Plus,
    AnySign,
    /// `th` and `TH`.
    Ordinal {
        capitals: bool,
    },
}

/// A template that was read.
#[derive(Debug)]
struct Template {
    parts: Vec<Part>,
    /// No blanks, and no zeros at the end of a fraction but those of `0`.
    fill: bool,
    /// Negative numbers in angle brackets.
    brackets: bool,
    roman: Option<bool>,
    n_whole: usize,
    n_fraction: usize,
    /// How many digits the number is shifted by: `V99`.
    shift: usize,
}

impl Template {
    fn read(text: &str) -> Result<Template> {
        let mut template = Template { parts: Vec::new(), fill: false, brackets: false, roman: None, n_whole: 0, n_fraction: 0, shift: 0 };
        let (mut rest, mut behind, mut shifted) = (text, false, false);
        let wrong = |message: &str| Err(Error::Encode { code: "42601", message: message.to_owned() }.into());
        while let Some(c) = rest.chars().next() {
            let word = |word: &str| rest.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
            let mut length = c.len_utf8();
            if c == '"' {
                let quoted = rest.get(1..).unwrap_or_default();
                let end = quoted.find('"').unwrap_or(quoted.len());
                template.parts.push(Part::Text(quoted.get(..end).unwrap_or_default().to_owned()));
                length = (end + 2).min(rest.len());
            } else if word("FM") {
                template.fill = true;
                length = 2;
            } else if word("MI") {
                template.parts.push(Part::Minus);
                length = 2;
            } else if word("PL") {
                template.parts.push(Part::Plus);
                length = 2;
            } else if word("SG") {
                template.parts.push(Part::AnySign);
                length = 2;
            } else if word("PR") {
                template.brackets = true;
                length = 2;
            } else if word("RN") {
                template.roman = Some(c == 'R');
                length = 2;
            } else if word("TH") {
                template.parts.push(Part::Ordinal { capitals: c == 'T' });
                length = 2;
            } else if word("EEEE") {
                let hint = "Write it by FM and digits, or cast the number to text.";
                return Err(Error::unsupported("EEEE in a template of numbers", hint).into());
            } else {
                match c {
                    '9' | '0' => {
                        template.parts.push(Part::Digit { zero: c == '0' });
                        if behind {
                            template.n_fraction += 1;
                        } else {
                            template.n_whole += 1;
                            template.shift += usize::from(shifted);
                        }
                    }
                    '.' | 'D' | 'd' => {
                        if behind {
                            return wrong("multiple decimal points");
                        }
                        behind = true;
                        template.parts.push(Part::Point);
                    }
                    ',' | 'G' | 'g' => template.parts.push(Part::Group),
                    'S' | 's' => template.parts.push(Part::Sign),
                    'V' | 'v' => shifted = true,
                    // The sign of a currency, which has none here.
                    'L' | 'l' => template.parts.push(Part::Text(" ".into())),
                    other => template.parts.push(Part::Text(other.to_string())),
                }
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(template)
    }

    fn write(&self, number: &str) -> String {
        if let Some(capitals) = self.roman {
            return self.roman(number, capitals);
        }
        let negative = number.starts_with('-');
        let digits = number.trim_start_matches('-');
        let not_a_number = digits == "NaN";
        let (whole, fraction) = match digits {
            // Wider than every template.
            "inf" => ("9".repeat(self.n_whole + 1), String::new()),
            "NaN" => (digits.to_owned(), String::new()),
            _ => rounded(digits, self.n_fraction, self.shift),
        };
        // What rounds to nothing has no sign.
        let negative = negative && [&whole, &fraction].iter().any(|digits| digits.bytes().any(|digit| digit != b'0'));
        let (whole, too_wide) = if whole.len() > self.n_whole { (String::new(), true) } else { (whole, false) };
        let anchored = self.parts.iter().any(|part| matches!(part, Part::Sign | Part::Minus | Part::AnySign));
        // Behind the last 0 of the template zeros of a fraction are left out with FM.
        let last_zero = self
            .parts
            .iter()
            .filter_map(|part| if let Part::Digit { zero } = part { Some(*zero) } else { None })
            .skip(self.n_whole)
            .enumerate()
            .filter(|(_, zero)| *zero)
            .map(|(at, _)| at + 1)
            .last()
            .unwrap_or(0);
        let shown_fraction = if self.fill { fraction.trim_end_matches('0').len().max(last_zero) } else { self.n_fraction };
        // From which place on digits are shown: the first that is there, or the first 0 of the template.
        let first_zero = self
            .parts
            .iter()
            .filter_map(|part| if let Part::Digit { zero } = part { Some(*zero) } else { None })
            .take(self.n_whole)
            .position(|zero| zero);
        let mut begin = self.n_whole.saturating_sub(whole.trim_start_matches('0').len());
        if let Some(zero) = first_zero {
            begin = begin.min(zero);
        } else if begin == self.n_whole && self.n_whole > 0 && shown_fraction == 0 {
            // Zero itself is shown.
            begin = self.n_whole - 1;
        }
        let padded = format!("{}{whole}", "0".repeat(self.n_whole.saturating_sub(whole.len())));
        let mut out = String::new();
        let mut signed = anchored;
        let (mut place, mut place_behind, mut behind) = (0, 0, false);
        let sign_before = |out: &mut String| {
            if self.brackets {
                out.push_str(if negative {
                    "<"
                } else if self.fill {
                    ""
                } else {
                    " "
                });
            } else if negative {
                out.push('-');
            } else if !self.fill {
                out.push(' ');
            }
        };
        // A sign before all digits stands at the first that is shown.
        let floating = self.parts.iter().position(|part| *part == Part::Sign);
        let first_digit = self.parts.iter().position(|part| matches!(part, Part::Digit { .. }));
        let leading = floating.is_some() && floating < first_digit;
        let mut signed_leading = !leading;
        for part in &self.parts {
            match part {
                Part::Digit { .. } if behind => {
                    if too_wide {
                        out.push('#');
                    } else if place_behind < shown_fraction {
                        out.push_str(fraction.get(place_behind..place_behind + 1).unwrap_or("0"));
                    }
                    place_behind += 1;
                }
                Part::Digit { .. } => {
                    if place >= begin || too_wide {
                        if !signed {
                            sign_before(&mut out);
                            signed = true;
                        }
                        if !signed_leading {
                            out.push(if negative { '-' } else { '+' });
                            signed_leading = true;
                        }
                        out.push_str(if too_wide { "#" } else { padded.get(place..place + 1).unwrap_or("0") });
                    } else if !self.fill {
                        out.push(' ');
                    }
                    place += 1;
                }
                // It has no fraction, and nothing stands in its place.
                Part::Point if not_a_number && !too_wide => return out,
                Part::Point => {
                    if !signed {
                        sign_before(&mut out);
                        signed = true;
                    }
                    if !signed_leading {
                        out.push(if negative { '-' } else { '+' });
                        signed_leading = true;
                    }
                    behind = true;
                    // Nothing stands behind it in the template: it is left out.
                    if self.n_fraction > 0 || too_wide {
                        out.push('.');
                    }
                }
                Part::Group => {
                    if behind || place > begin || too_wide {
                        out.push(',');
                    } else if !self.fill {
                        out.push(' ');
                    }
                }
                Part::Text(text) => out.push_str(text),
                Part::Sign if leading => {}
                Part::Sign | Part::AnySign => out.push(if negative { '-' } else { '+' }),
                Part::Minus => out.push_str(if negative {
                    "-"
                } else if self.fill {
                    ""
                } else {
                    " "
                }),
                Part::Plus => out.push_str(if !negative {
                    "+"
                } else if self.fill {
                    ""
                } else {
                    " "
                }),
                Part::Ordinal { capitals } => {
                    if !negative && !too_wide {
                        let suffix = ordinal(&whole);
                        out.push_str(&if *capitals { suffix.to_uppercase() } else { suffix.to_owned() });
                    }
                }
            }
        }
        if self.brackets {
            out.push_str(if negative {
                ">"
            } else if self.fill {
                ""
            } else {
                " "
            });
        }
        out
    }

    fn roman(&self, number: &str, capitals: bool) -> String {
        const ROMAN: [(u32, &str); 13] = [
            (1000, "M"),
            (900, "CM"),
            (500, "D"),
            (400, "CD"),
            (100, "C"),
            (90, "XC"),
            (50, "L"),
            (40, "XL"),
            (10, "X"),
            (9, "IX"),
            (5, "V"),
            (4, "IV"),
            (1, "I"),
        ];
        let value = number.parse::<f64>().ok().map(f64::round).filter(|value| (1.0..=3999.0).contains(value));
        let text = match value {
            None => "#".repeat(15),
            Some(value) => {
                let (mut left, mut text) = (value as u32, String::new());
                for (worth, letters) in ROMAN {
                    while left >= worth {
                        text.push_str(letters);
                        left -= worth;
                    }
                }
                if capitals { text } else { text.to_lowercase() }
            }
        };
        if self.fill { text } else { format!("{text:>15}") }
    }
}

/// The digits before and behind the point, rounded half away from zero to that many, the point moved to the right before.
fn rounded(digits: &str, n_fraction: usize, shift: usize) -> (String, String) {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let moved: String = fraction.chars().chain(std::iter::repeat('0')).take(shift).collect();
    let fraction = fraction.get(shift..).unwrap_or_default();
    let mut all: Vec<u8> = whole.bytes().chain(moved.bytes()).collect();
    let n_whole = all.len();
    all.extend(fraction.bytes().chain(std::iter::repeat(b'0')).take(n_fraction));
    if fraction.as_bytes().get(n_fraction).is_some_and(|digit| *digit >= b'5') {
        let mut carried = true;
        for digit in all.iter_mut().rev() {
            if *digit == b'9' {
                *digit = b'0';
            } else {
                *digit += 1;
                carried = false;
                break;
            }
        }
        if carried {
            all.insert(0, b'1');
        }
    }
    let n_whole = n_whole + all.len() - n_whole - n_fraction;
    let text: String = all.into_iter().map(char::from).collect();
    let (whole, fraction) = text.split_at(n_whole);
    let whole = whole.trim_start_matches('0');
    (if whole.is_empty() { "0".to_owned() } else { whole.to_owned() }, fraction.to_owned())
}

fn ordinal(whole: &str) -> &'static str {
    let last = |n: usize| whole.get(whole.len().saturating_sub(n)..).unwrap_or_default();
    match (last(2), last(1)) {
        ("11" | "12" | "13", _) => "th",
        (_, "1") => "st",
        (_, "2") => "nd",
        (_, "3") => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL 15 writes.
    #[test]
    fn numbers_are_written_as_in_postgres() {
        for (number, template, expected) in EXPECTED {
            assert_eq!(Template::read(template).unwrap().write(number), expected, "{number} {template}");
        }
    }

    const EXPECTED: [(&str, &str, &str); 47] = [
        ("1234.5", "9,999.99", " 1,234.50"),
        ("1234.5", "999", " ###"),
        ("1234.5", "FM999,999,999,990.00", "1,234.50"),
        ("1234.5", "RN", "        MCCXXXV"),
        ("1234.5", "FMRN", "MCCXXXV"),
        ("-5", "999", "  -5"),
        ("-5", "FM0000", "-0005"),
        ("-5", "9999MI", "   5-"),
        ("-5", "9999PR", "   <5>"),
        ("-5", "SG999", "-  5"),
        ("0.5", "0.00", " 0.50"),
        ("0", "FM999999999.99", "0."),
        ("0.45", "99%", "  0%"),
        ("-0.4", "9999", "    0"),
        ("-0.4", "S9999", "   +0"),
        ("12", "FM0000", "0012"),
        ("1234567", "FM9,999,999", "1,234,567"),
        ("-1234.567", "9G999D99", "-1,234.57"),
        ("99.999", "FM999.990", "99.999"),
        ("21", "999th", "  21st"),
        ("112", "FM999TH", "112TH"),
        ("12345678", "FM999999990.00", "12345678.00"),
        ("1234.5", "\"n=\"999", "n= ###"),
        ("148.5", "99V99", " ####"),
        ("0.5", ".99", " .##"),
        ("485", "L999", "  485"),
        ("485", "PL999", "+ 485"),
        ("inf", "999", " ###"),
        ("-inf", "999", "-###"),
        ("inf", "FM999.99", "###.##"),
        ("inf", "9,999.00", " #,###.##"),
        ("-inf", "S999", "-###"),
        ("inf", "999MI", "### "),
        ("-inf", "9999PR", "<####>"),
        ("-inf", "PL999", " -###"),
        ("inf", "999th", " ###"),
        ("-inf", ".99", "-.##"),
        ("inf", "99V9", " ###"),
        ("inf", "FMRN", "###############"),
        ("NaN", "999", " NaN"),
        ("NaN", "9,999.00", "   NaN"),
        ("NaN", "9999PR", "  NaN "),
        ("NaN", "S0999", "+0NaN"),
        ("NaN", "FM0000.00", "0NaN"),
        ("NaN", "99V9", " NaN"),
        ("NaN", "9", " #"),
        ("NaN", "RN", "###############"),
    ];
}
