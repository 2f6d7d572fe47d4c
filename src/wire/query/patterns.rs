//! to_timestamp, to_date and to_number with a template of Postgres: its words become those that DataFusion reads a time by. And to_char of numbers.

use datafusion::sql::sqlparser::ast::{self, CastKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::forms::calls;

/// The words of a template, the longer before those that they begin with, and what each is.
const WORDS: [(&str, &str); 20] = [
    ("YYYY", "%Y"),
    ("MONTH", "%B"),
    ("MON", "%b"),
    ("MM", "%m"),
    ("DDD", "%j"),
    ("DD", "%d"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("DAY", "%A"),
    ("DY", "%a"),
    ("TZH:TZM", "%:z"),
    ("TZH", "%#z"),
    ("YY", "%y"),
];

/// What is a number with zeros before it.
const NUMBERS: [&str; 7] = ["m", "d", "j", "H", "I", "M", "S"];

/// A template as a format; None if it is one already, or has a word that is not known.
fn format_of(template: &str) -> Option<String> {
    if template.contains('%') {
        return None;
    }
    let (mut format, mut rest) = (String::new(), template);
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = quoted.split_once('"')?;
            format.push_str(text);
            rest = after;
            continue;
        }
        if !first.is_ascii_alphabetic() {
            format.push(first);
            rest = rest.get(first.len_utf8()..)?;
            continue;
        }
        // The number behind it has no zeros before it.
        let short = rest.get(..2).is_some_and(|begin| begin.eq_ignore_ascii_case("FM"));
        if short {
            rest = rest.get(2..)?;
        }
        let known = |(word, _): &&(&str, &str)| rest.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
        match WORDS.iter().find(known) {
            Some((word, "%p")) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => {
                format.push_str("%P");
                rest = rest.get(word.len()..)?;
            }
            Some((word, meaning)) => {
                match meaning.strip_prefix('%').filter(|number| short && NUMBERS.contains(number)) {
                    Some(number) => format.push_str(&format!("%-{number}")),
                    None => format.push_str(meaning),
                }
                rest = rest.get(word.len()..)?;
            }
            None if first == 'T' => {
                format.push('T');
                rest = rest.get(1..)?;
            }
            None => return None,
        }
    }
    Some(format)
}

/// `to_char(number, '999')`, where the template is one of numbers; None for other calls.
pub(in crate::wire) fn to_char(function: &ast::Function) -> Option<Expr> {
    template(function).filter(|template| of_numbers(template))?;
    let mut function = function.clone();
    function.name = ast::ObjectName::from(vec![ast::Ident::new("number_to_char")]);
    Some(Expr::Function(function))
}

/// Words that only templates of times have: beside one of them a digit stands as it is, `HH24:00`.
const OF_TIMES: [&str; 17] = ["HH", "Y", "MM", "MON", "DD", "DAY", "DY", "SS", "MS", "US", "TZ", "AM", "PM", "W", "Q", "J", "CC"];

/// Whether a template is one of numbers: it has a place for a digit.
fn of_numbers(template: &str) -> bool {
    let bare: String = template.split('"').step_by(2).collect();
    let roman = bare.trim_start_matches("FM").eq_ignore_ascii_case("RN");
    // A format of DataFusion's has letters behind the sign.
    let format = bare.split('%').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    let upper = bare.to_uppercase();
    roman || bare.contains(['9', '0']) && !format && !OF_TIMES.iter().any(|word| upper.contains(word))
}

/// `to_number('12,345.6', '99,999.9')`: what is no digit, point or sign is left out. None for a template with other words, or that is no constant.
fn to_number(function: &ast::Function) -> Option<Expr> {
    let plain = |c: char| matches!(c, '9' | '0' | '.' | ',' | 'S' | 'L' | 'G' | 'D' | '$' | ' ');
    if !template(function)?.chars().all(plain) {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first() else { return None };
    let digits = calls("regexp_replace", vec![of.clone(), text("[^0-9.+-]"), text(""), text("g")]);
    Some(as_type(digits, ast::DataType::Numeric(ast::ExactNumberInfo::None)))
}

fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

fn binary(left: Expr, op: ast::BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// The template of a call, if it is a constant.
fn template(function: &ast::Function) -> Option<&str> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(template)))] = list.args.as_slice() else { return None };
    if let Value::SingleQuotedString(text) = &template.value { Some(text) } else { None }
}

fn with_format(function: &ast::Function, read: fn(&str) -> Option<String>) -> Option<ast::Function> {
    let mut function = function.clone();
    let FunctionArguments::List(list) = &mut function.args else { return None };
    let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(template)))] = list.args.as_mut_slice() else { return None };
    let Value::SingleQuotedString(text) = &mut template.value else { return None };
    *text = read(text)?;
    Some(function)
}

/// What a format leaves out that a time needs: the minutes of an hour, and the day of a month or the month of a year, which are the first. Each with the
/// text that says so.
fn left_out(format: &str) -> Vec<(&'static str, &'static str)> {
    let has = |words: &[&str]| words.iter().any(|word| format.contains(word));
    let mut missing = Vec::new();
    if has(&["%H", "%I", "%-H", "%-I"]) && !has(&["%M", "%-M"]) {
        missing.push((" %M", " 00"));
    }
    if has(&["%Y", "%y"]) && !has(&["%j", "%-j"]) {
        if !has(&["%m", "%-m", "%b", "%B"]) {
            missing.push((" %m", " 01"));
        }
        if !has(&["%d", "%-d"]) {
            missing.push((" %d", " 01"));
        }
    }
    missing
}

/// The functions that read a text by a template.
pub(super) const READERS: [&str; 3] = ["to_timestamp", "to_date", "to_number"];

/// One of them as DataFusion's; None for other calls of it.
pub(in crate::wire) fn read(name: &str, function: &ast::Function) -> Option<Expr> {
    match name {
        "to_timestamp" => to_timestamp(function),
        "to_date" => to_date(function),
        _ => to_number(function),
    }
}

/// `to_timestamp(text, 'YYYY-MM-DD')` as DataFusion's, of the type that Postgres gives it. None for other calls of it.
fn to_timestamp(function: &ast::Function) -> Option<Expr> {
    let mut function = with_format(function, format_of)?;
    if let FunctionArguments::List(list) = &mut function.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(text)), FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(format)))] =
            list.args.as_mut_slice()
        && let Value::SingleQuotedString(format) = &mut format.value
    {
        for (word, said) in left_out(format) {
            format.push_str(word);
            let said = self::text(said);
            let before = std::mem::replace(text, said.clone());
            *text = binary(before, ast::BinaryOperator::StringConcat, said);
        }
    }
    let zoned = ast::DataType::Timestamp(None, ast::TimezoneInfo::WithTimeZone);
    Some(as_type(Expr::Function(function), zoned))
}

/// `to_date(text, 'DD.MM.YYYY')`: the day of the time that it says. None for other calls of it.
fn to_date(function: &ast::Function) -> Option<Expr> {
    let mut time = function.clone();
    time.name = ast::ObjectName::from(vec![ast::Ident::new("to_timestamp")]);
    Some(as_type(to_timestamp(&time)?, ast::DataType::Date))
}

fn as_type(expr: Expr, data_type: ast::DataType) -> Expr {
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(expr), data_type, array: false, format: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_formats() {
        assert_eq!(format_of("YYYY-MM-DD HH24:MI:SS.US").as_deref(), Some("%Y-%m-%d %H:%M:%S.%6f"));
        assert_eq!(format_of("DD Mon YYYY\"T\"HH12:mi am").as_deref(), Some("%d %b %YT%I:%M %P"));
        assert_eq!(format_of("HH12 PM").as_deref(), Some("%I %p"));
        assert_eq!(left_out("%Y-%m-%d %H"), [(" %M", " 00")]);
        assert_eq!(left_out("%Y"), [(" %m", " 01"), (" %d", " 01")]);
        assert_eq!(left_out("%d.%m.%Y"), []);
        for (template, numbers) in
            [("9,999.00", true), ("FM00", true), ("99%", true), ("RN", true), ("YYYY \"9\"", false), ("%Y-0", false), ("HH24", false)]
        {
            assert_eq!(of_numbers(template), numbers, "{template}");
        }
        assert_eq!((format_of("%Y-%m-%d"), format_of("Q YYYY")), (None, None));
    }
}
