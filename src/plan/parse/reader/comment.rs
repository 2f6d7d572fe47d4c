//! COMMENT ON and ALTER MATERIALIZED VIEW: what is said of objects that are there.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::Reader;
use crate::error::{Error, Result};
use crate::plan::parse::{Body, Commented, Kind, parser_error, syntax};

impl Reader<'_> {
    /// `COMMENT ON kind name IS 'text' | NULL`.
    pub(super) fn comment(&mut self) -> Result<Body> {
        self.expect("comment")?;
        self.expect("on")?;
        let on = if self.word("source") {
            Commented::Relation(Kind::Source, self.name()?)
        } else if self.word("table") {
            Commented::Relation(Kind::Table, self.name()?)
        } else if self.word("view") {
            Commented::Relation(Kind::View, self.name()?)
        } else if self.word("materialized") {
            self.expect("view")?;
            Commented::Relation(Kind::MaterializedView, self.name()?)
        } else if self.word("column") {
            self.column()?
        } else if self.word("role") || self.word("user") {
            Commented::Role(self.name()?)
        } else {
            let what = self.parser.next_token().token;
            return Err(Error::unsupported(
                format!("COMMENT ON {what}"),
                "A SOURCE, TABLE, VIEW, MATERIALIZED VIEW, COLUMN or ROLE has a comment.",
            ));
        };
        self.expect("is")?;
        let text = match self.parser.next_token().token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Some(text).filter(|text| !text.is_empty()),
            Token::DollarQuotedString(quoted) => Some(quoted.value).filter(|text| !text.is_empty()),
            Token::Word(word) if word.value.eq_ignore_ascii_case("null") => None,
            other => return Err(syntax(format!("expected a text in quotes or NULL, found: {other}"))),
        };
        self.end()?;
        Ok(Body::Comment { on, text })
    }

    /// `relation.column`, perhaps behind `public.`.
    fn column(&mut self) -> Result<Commented> {
        let parts = self.parser.parse_object_name(false).map_err(parser_error)?.0;
        let fold = |part: &ast::ObjectNamePart| match part {
            ast::ObjectNamePart::Identifier(i) if i.quote_style.is_some() => Ok(i.value.clone()),
            ast::ObjectNamePart::Identifier(i) => Ok(i.value.to_lowercase()),
            other => Err(syntax(format!("expected a name, found: {other}"))),
        };
        let names = parts.iter().map(fold).collect::<Result<Vec<_>>>()?;
        match names.as_slice() {
            [relation, column] => Ok(Commented::Column { relation: relation.clone(), column: column.clone() }),
            [schema, relation, column] if schema == "public" => {
                Ok(Commented::Column { relation: relation.clone(), column: column.clone() })
            }
            [schema, _, _] => Err(Error::NotFound { kind: "schema", name: schema.clone() }),
            _ => Err(syntax("column name must be qualified")),
        }
    }

    /// `ALTER MATERIALIZED VIEW name SET (option = value, …) | RESET (option, …)`.
    pub(super) fn alter_view(&mut self) -> Result<Body> {
        for word in ["alter", "materialized", "view"] {
            self.expect(word)?;
        }
        let name = self.name()?;
        let options = if self.word("reset") {
            self.column_names()?.into_iter().map(|option| (option, None)).collect()
        } else if self.word("set") {
            self.options()?.into_iter().map(|(option, value)| (option, Some(value))).collect()
        } else {
            return Err(Error::unsupported(
                "ALTER MATERIALIZED VIEW without SET or RESET",
                "CREATE OR REPLACE MATERIALIZED VIEW changes its query; SET (notify = 'channel') says who hears of its changes.",
            ));
        };
        self.end()?;
        Ok(Body::AlterView { name, options })
    }
}
