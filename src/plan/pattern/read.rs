//! The text of PATTERN to its tree: concatenation, `|`, groups and quantifiers.

use super::Part;
use crate::error::{Error, Result};

/// Variables that a pattern may have.
const MOST_VARIABLES: usize = 1_000;

/// Reads the text between the parentheses of PATTERN; variables are numbered as they first come, and folded as identifiers are.
pub(super) fn read(text: &str) -> Result<(Part, Vec<String>)> {
    let mut reader = Reader { rest: text, variables: Vec::new(), depth: 0 };
    let part = reader.choice()?;
    match reader.peek() {
        None => Ok((part, reader.variables)),
        Some(c) => Err(reader.unexpected(c)),
    }
}

struct Reader<'a> {
    rest: &'a str,
    variables: Vec<String>,
    depth: usize,
}

fn syntax(message: String) -> Error {
    Error::Syntax {
        message: format!("syntax error in PATTERN: {message}"),
        hint: Some("A pattern is made of variables, | for a choice, parentheses, and the quantifiers * + ? {2} {2,} {2,5}.".into()),
    }
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = self.rest.get(wanted.len_utf8()..).unwrap_or("");
        }
        found
    }

    fn unexpected(&self, found: char) -> Error {
        syntax(format!("\"{found}\" is not expected here"))
    }

    fn choice(&mut self) -> Result<Part> {
        let mut parts = vec![self.sequence()?];
        while self.take('|') {
            parts.push(self.sequence()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Part::Choice(parts) })
    }

    fn sequence(&mut self) -> Result<Part> {
        let mut parts = Vec::new();
        while self.peek().is_some_and(|c| c != '|' && c != ')') {
            parts.push(self.repeat()?);
        }
        match parts.len() {
            0 => Err(Error::unsupported("an empty part of a PATTERN", "Write what follows, or make a variable optional: a?.")),
            1 => Ok(parts.swap_remove(0)),
            _ => Ok(Part::Sequence(parts)),
        }
    }

    fn repeat(&mut self) -> Result<Part> {
        let part = self.one()?;
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.take('{');
                return self.counted(part);
            }
            _ => return Ok(part),
        };
        self.rest = self.rest.get(1..).unwrap_or("");
        self.quantified(part, least, most)
    }

    fn counted(&mut self, part: Part) -> Result<Part> {
        if self.peek() == Some('-') {
            return Err(exclusion());
        }
        let least = self.number()?;
        let most = if self.take(',') { self.number()? } else { least };
        let (least, most) = match (least, most) {
            (None, None) => return Err(syntax("a number of times is expected".into())),
            (least, most) => (least.unwrap_or(0), most),
        };
        if !self.take('}') {
            return Err(syntax("a number of times ends with }".into()));
        }
        if most.is_some_and(|most| most < least || most == 0) {
            return Err(Error::Option {
                message: format!("a variable that comes {least} to {} times is in no match", most.unwrap_or(0)),
                hint: Some("The first number is the least, the second the most, and at least one.".into()),
            });
        }
        self.quantified(part, least, most)
    }

    fn quantified(&mut self, part: Part, least: u32, most: Option<u32>) -> Result<Part> {
        let greedy = !self.take('?');
        if part.empty() {
            return Err(Error::unsupported(
                "a quantifier on a part of a PATTERN that may have no rows",
                "Make one of its variables obligatory: (a b?)* instead of (a? b?)*.",
            ));
        }
        match self.peek() {
            Some('*' | '+' | '?' | '{') => Err(syntax("two quantifiers follow each other".into())),
            _ => Ok(Part::Repeat { part: Box::new(part), least, most, greedy }),
        }
    }

    fn number(&mut self) -> Result<Option<u32>> {
        self.peek();
        let digits: String = self.rest.chars().take_while(char::is_ascii_digit).collect();
        if digits.is_empty() {
            return Ok(None);
        }
        self.rest = self.rest.get(digits.len()..).unwrap_or("");
        digits.parse().map(Some).map_err(|_| syntax(format!("{digits} times is too often")))
    }

    fn one(&mut self) -> Result<Part> {
        match self.peek() {
            Some('(') => {
                self.take('(');
                self.depth += 1;
                if self.depth > 50 {
                    return Err(syntax("it is nested too deeply".into()));
                }
                let part = self.choice()?;
                self.depth -= 1;
                if self.take(')') { Ok(part) } else { Err(syntax("a parenthesis is not closed".into())) }
            }
            Some('{') => Err(exclusion()),
            Some('^' | '$') => Err(Error::unsupported("an anchor in PATTERN", "A stream has no last row: leave ^ and $ out.")),
            Some('"') => {
                let name = self.rest.get(1..).unwrap_or("");
                let Some(end) = name.find('"') else { return Err(syntax("a quoted name is not closed".into())) };
                let quoted = name.get(..end).unwrap_or("").to_owned();
                self.rest = name.get(end + 1..).unwrap_or("");
                self.variable(quoted)
            }
            Some(c) if c.is_alphabetic() || c == '_' => {
                let name: String = self.rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '$')).collect();
                self.rest = self.rest.get(name.len()..).unwrap_or("");
                if name.eq_ignore_ascii_case("permute") && self.peek() == Some('(') {
                    return Err(Error::unsupported("PERMUTE", "Write the orders as a choice: (a b | b a)."));
                }
                self.variable(name.to_lowercase())
            }
            Some(c) => Err(self.unexpected(c)),
            None => Err(syntax("it ends too early".into())),
        }
    }

    fn variable(&mut self, name: String) -> Result<Part> {
        let known = self.variables.iter().position(|v| *v == name);
        let number = known.unwrap_or(self.variables.len());
        if known.is_none() {
            self.variables.push(name);
        }
        if number >= MOST_VARIABLES {
            return Err(syntax(format!("it has more than {MOST_VARIABLES} variables")));
        }
        Ok(Part::Variable(number))
    }
}

fn exclusion() -> Error {
    Error::unsupported("an exclusion {- … -} in PATTERN", "Keep the rows, and filter by a measure CLASSIFIER().")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantifiers_bind_closer_than_sequence_and_sequence_than_choice() {
        let (part, variables) = read("A B+? | ( C | \"d D\" ) { 2 , }").unwrap();
        assert_eq!(variables, ["a", "b", "c", "d D"]);
        let repeat = |part, least, most, greedy| Part::Repeat { part: Box::new(part), least, most, greedy };
        let first = Part::Sequence(vec![Part::Variable(0), repeat(Part::Variable(1), 1, None, false)]);
        let second = repeat(Part::Choice(vec![Part::Variable(2), Part::Variable(3)]), 2, None, true);
        assert_eq!(part, Part::Choice(vec![first, second]));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, code) in [
            ("", "0A000"),
            ("a |", "0A000"),
            ("(a", "42601"),
            ("a)", "42601"),
            ("a**", "42601"),
            ("a{}", "42601"),
            ("a{3,2}", "22023"),
            ("a{0}", "22023"),
            ("(a? b*)+", "0A000"),
            ("a{99999999999}", "42601"),
            ("{- a -}", "0A000"),
            ("PERMUTE(a, b)", "0A000"),
            ("^ a", "0A000"),
            ("a & b", "42601"),
        ] {
            assert_eq!(read(text).unwrap_err().sqlstate(), code, "{text}");
        }
    }
}
