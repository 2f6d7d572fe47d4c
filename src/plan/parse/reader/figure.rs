//! Reads CREATE and ALTER of ZONE, LINE and CALIBRATION.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Reader;
use crate::error::{Error, Result};
use crate::plan::parse::{AlterFigure, Body, CreateFigure, Kind, is_word};

/// The kinds, the word before the points of each, and what a hint shows.
const SHAPES: [(Kind, &str, &str); 3] = [
    (Kind::Zone, "polygon", "CREATE ZONE door ON gate AS POLYGON '((100 200, 300 200, 300 360, 100 360))'"),
    (Kind::Line, "linestring", "CREATE LINE entry ON gate AS LINESTRING '(320 360, 320 0)'"),
    (
        Kind::Calibration,
        "points",
        "CREATE CALIBRATION ground ON gate AS POINTS '((100 360 -> 0 0, 540 360 -> 4 0, 420 120 -> 4 20, 220 120 -> 0 20))'",
    ),
];

/// The kind of figure that is named at a token.
pub(super) fn kind(tokens: &[TokenWithSpan], at: usize) -> Option<Kind> {
    let token = &tokens.get(at)?.token;
    SHAPES.iter().map(|(kind, ..)| *kind).find(|kind| is_word(token, kind.word()))
}

impl Reader<'_> {
    pub(super) fn create_figure(&mut self, kind: Kind, or_replace: bool) -> Result<Body> {
        self.expect("create")?;
        if or_replace {
            self.expect("or")?;
            self.expect("replace")?;
        }
        self.expect(kind.word())?;
        let if_not_exists = self.if_words(&["not", "exists"])?;
        let name = self.name()?;
        self.expect("on")?;
        let source = self.name()?;
        self.expect("as")?;
        let shape = self.shape(kind)?;
        let options = if self.word("with") { self.options()? } else { Vec::new() };
        self.end()?;
        Ok(Body::CreateFigure(CreateFigure { kind, name, or_replace, if_not_exists, source, shape, options }))
    }

    pub(super) fn alter_figure(&mut self, kind: Kind) -> Result<Body> {
        self.expect("alter")?;
        self.expect(kind.word())?;
        let name = self.name()?;
        let shape = if self.word("as") { Some(self.shape(kind)?) } else { None };
        let options = if self.word("with") { self.options()? } else { Vec::new() };
        if shape.is_none() && options.is_empty() {
            return Err(self.unexpected("AS or WITH"));
        }
        self.end()?;
        Ok(Body::AlterFigure(AlterFigure { kind, name, shape, options }))
    }

    /// `POLYGON '…'` and its like.
    fn shape(&mut self, kind: Kind) -> Result<String> {
        let (word, example) =
            SHAPES.iter().find(|(other, ..)| *other == kind).map(|(_, word, example)| (*word, *example)).unwrap_or_default();
        let found = self.word(word);
        match self.parser.peek_token().token {
            Token::SingleQuotedString(points) if found => {
                self.parser.next_token();
                Ok(points)
            }
            other => Err(Error::Syntax {
                message: format!("syntax error: expected {} and its points in quotes, found: {other}", word.to_uppercase()),
                hint: Some(format!("Write {example}.")),
            }),
        }
    }
}
