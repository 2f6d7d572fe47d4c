//! CREATE MODEL and CREATE GALLERY: their words.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Reader;
use crate::error::{Error, Result};
use crate::plan::parse::{Body, syntax};

impl Reader<'_> {
    /// `CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name FROM 'file.onnx' TASK task [WITH (…)]`.
    pub(super) fn create_model(&mut self, or_replace: bool) -> Result<Body> {
        self.expect("create")?;
        if or_replace {
            self.expect("or")?;
            self.expect("replace")?;
        }
        self.expect("model")?;
        let if_not_exists = self.if_words(&["not", "exists"])?;
        let name = self.name()?;
        self.expect("from")?;
        let file = match self.parser.next_token().token {
            Token::SingleQuotedString(file) => file,
            other => {
                return Err(Error::Syntax {
                    message: format!("syntax error: expected a file in quotes, found: {other}"),
                    hint: Some("Write CREATE MODEL name FROM 'file:///path/model.onnx' TASK detection WITH (input = '640x640', …).".into()),
                });
            }
        };
        self.expect("task")?;
        let task = match self.parser.next_token().token {
            Token::Word(word) => word.value.to_lowercase(),
            Token::SingleQuotedString(word) => word.to_lowercase(),
            other => return Err(syntax(format!("expected a task, found: {other}"))),
        };
        let options = if self.word("with") { self.options()? } else { Vec::new() };
        self.end()?;
        Ok(Body::CreateModel { name, or_replace, if_not_exists, file, task, options })
    }

    /// `CREATE GALLERY [IF NOT EXISTS] name`.
    pub(super) fn create_gallery(&mut self) -> Result<Body> {
        self.expect("create")?;
        self.expect("gallery")?;
        let if_not_exists = self.if_words(&["not", "exists"])?;
        let name = self.name()?;
        self.end()?;
        Ok(Body::CreateGallery { name, if_not_exists })
    }
}
