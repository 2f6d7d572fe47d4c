//! uuid, jsonb and json: types whose values are text of a form that is checked.

use std::collections::HashMap;

use datafusion::arrow::datatypes::Field;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable};
use framesql_udfs::function::type_name::TEXT_OF;

use crate::plan::json::tree::{self, Fault};

/// One of the types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextType {
    /// 128 bits.
    Uuid,
    /// JSON of any shape, in the one form that is equal where the values are.
    Json,
    /// JSON as it was written.
    JsonText,
}

impl TextType {
    /// What they are called.
    pub const ALL: [(TextType, &'static str); 3] = [(TextType::Uuid, "uuid"), (TextType::Json, "jsonb"), (TextType::JsonText, "json")];

    /// Its name in SQL.
    pub fn word(self) -> &'static str {
        match self {
            TextType::Uuid => "uuid",
            TextType::Json => "jsonb",
            TextType::JsonText => "json",
        }
    }

    /// Whether its values are JSON.
    pub fn json(self) -> bool {
        self != TextType::Uuid
    }

    /// The type that a field of text stands for.
    pub fn of_field(field: &Field) -> Option<TextType> {
        let word = field.metadata().get(TEXT_OF)?;
        TextType::ALL.iter().find(|(_, name)| name == word).map(|(of, _)| *of)
    }

    /// The type that an expression stands for; None where that cannot be told. Of operators it is asked by nobody: they give other types, and a long chain
    /// would be named at each.
    pub fn of_expr(expr: &Expr, schema: &DFSchema) -> Option<TextType> {
        match expr {
            Expr::BinaryExpr(_) | Expr::Literal(_, None) | Expr::Like(_) | Expr::Not(_) | Expr::Negative(_) => None,
            // A text that is written beside one of them is one too.
            Expr::Case(case) => {
                let values = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                values.into_iter().find_map(|value| TextType::of_expr(value, schema))
            }
            Expr::ScalarFunction(call) if call.func.name() == "nullif" => {
                call.args.first().and_then(|value| TextType::of_expr(value, schema))
            }
            other => other.to_field(schema).ok().and_then(|(_, field)| TextType::of_field(&field)),
        }
    }

    /// The metadata of a field of this type.
    pub fn metadata(self) -> HashMap<String, String> {
        HashMap::from([(TEXT_OF.to_owned(), self.word().to_owned())])
    }

    /// The value as it is kept; None for a text that is none.
    pub fn read(self, text: &str) -> Option<String> {
        match self {
            TextType::Uuid => uuid(text),
            TextType::Json => tree::canonical(text).ok(),
            TextType::JsonText => serde_json::from_str::<serde::de::IgnoredAny>(text).ok().map(|_| text.to_owned()),
        }
    }

    /// Why a text is none, as Postgres says it: the code and the message.
    pub fn fault(self, text: &str) -> (&'static str, String) {
        match tree::canonical(text) {
            Err(Fault::Character) if self == TextType::Json => return ("22P05", "unsupported Unicode escape sequence".to_owned()),
            Err(Fault::Length) if self == TextType::Json => return ("54000", "a value of jsonb is too long".to_owned()),
            _ => {}
        }
        let name = if self.json() { "json" } else { self.word() };
        ("22P02", format!("invalid input syntax for type {name}: \"{text}\""))
    }
}

/// 32 hexadecimal digits, with hyphens after any group of four and perhaps braces around, as Postgres shows them.
fn uuid(text: &str) -> Option<String> {
    let inner = text.trim();
    let inner = inner.strip_prefix('{').map_or(Some(inner), |rest| rest.strip_suffix('}'))?;
    let digits: String = inner.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    let mut n_digits = 0;
    let hyphens = inner.chars().all(|c| {
        let fits = c != '-' || n_digits > 0 && n_digits % 4 == 0 && n_digits < 32;
        n_digits += usize::from(c != '-');
        fits
    });
    if digits.len() != 32 || !hyphens || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let parts = [digits.get(..8)?, digits.get(8..12)?, digits.get(12..16)?, digits.get(16..20)?, digits.get(20..)?];
    Some(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_in_every_form_that_postgres_reads() {
        let one = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in
            [one, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"]
        {
            assert_eq!(uuid(text).as_deref(), Some(one));
        }
        for text in
            ["", "a0eebc99", "g0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eeb-c999c0b4ef8bb6d6bb9bd380a11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11"]
        {
            assert_eq!(uuid(text), None, "{text}");
        }
    }

    #[test]
    fn json_is_kept_as_it_was_written_and_jsonb_is_not() {
        let text = "{\"b\": [1],  \"a\": 2}";
        assert_eq!(TextType::JsonText.read(text).as_deref(), Some(text));
        assert_eq!(TextType::Json.read(text).as_deref(), Some("{\"a\": 2, \"b\": [1]}"));
        assert_eq!(TextType::Json.read("{a}"), None);
        assert_eq!(TextType::Json.fault("{a}").0, "22P02");
        assert_eq!(TextType::Json.fault("\"\\u0000\"").0, "22P05");
    }
}
