//! COPY: what it says of the form in which rows are written and read, and which of it does not go together.

use crate::error::{Error, Result};

/// `COPY table [(column, …)] FROM STDIN [WITH (…)]`.
#[derive(Clone, Debug)]
pub struct CopyIn {
    /// The table.
    pub table: String,
    /// The columns in the order in which they come; none is all.
    pub columns: Vec<String>,
    /// How the rows are written.
    pub form: CopyForm,
}

/// What COPY writes and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CopyFormat {
    /// A line a row, a character between the columns, a backslash before what would be read otherwise.
    #[default]
    Text,
    /// Values in quotes where they need them.
    Csv,
    /// Postgres' binary COPY.
    Binary,
}

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CopyHeader {
    /// A row as all others.
    #[default]
    None,
    /// The names of the columns, which nobody checks.
    Line,
    /// The names of the columns, which must be those of the table.
    Match,
}

/// Columns of which COPY says something.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CopyColumns {
    /// None of them.
    #[default]
    None,
    /// `*`.
    All,
    /// Those named.
    Named(Vec<String>),
}

impl CopyColumns {
    /// Which of the columns of these names are meant. Errs (42703) if one is not among them.
    pub fn among(&self, names: &[&str]) -> Result<Vec<bool>> {
        match self {
            CopyColumns::None => Ok(vec![false; names.len()]),
            CopyColumns::All => Ok(vec![true; names.len()]),
            CopyColumns::Named(said) => {
                if let Some(missing) = said.iter().find(|said| !names.contains(&said.as_str())) {
                    return Err(Error::NotFound { kind: "column", name: missing.clone() });
                }
                Ok(names.iter().map(|name| said.iter().any(|said| said == name)).collect())
            }
        }
    }
}

/// The form of a COPY's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyForm {
    /// What it writes and reads.
    pub format: CopyFormat,
    /// Whether the first line names the columns.
    pub header: CopyHeader,
    /// What stands between columns, one byte.
    pub delimiter: char,
    /// What stands for NULL.
    pub null: String,
    /// What stands around values of CSV, one byte.
    pub quote: char,
    /// What stands before a quote in quotes, one byte.
    pub escape: char,
    /// The columns whose values are always in quotes.
    pub force_quote: CopyColumns,
    /// The columns in which NULL's text in quotes is NULL too.
    pub force_null: CopyColumns,
    /// The columns in which NULL's text is a text.
    pub force_not_null: CopyColumns,
}

impl Default for CopyForm {
    fn default() -> CopyForm {
        CopyForm::of(CopyFormat::Text)
    }
}

impl CopyForm {
    /// A format as it is where nothing more is said.
    fn of(format: CopyFormat) -> CopyForm {
        let (delimiter, null) = if format == CopyFormat::Csv { (',', "") } else { ('\t', "\\N") };
        CopyForm {
            format,
            header: CopyHeader::None,
            delimiter,
            null: null.to_owned(),
            quote: '"',
            escape: '"',
            force_quote: CopyColumns::None,
            force_null: CopyColumns::None,
            force_not_null: CopyColumns::None,
        }
    }

    /// Whether nothing but the format, and for CSV its header, is another than where nothing is said.
    pub fn plain(&self) -> bool {
        let header = if self.format == CopyFormat::Csv { self.header } else { CopyHeader::None };
        *self == CopyForm { header, ..CopyForm::of(self.format) }
    }
}

/// The options that a COPY says, as they stand.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) format: Option<String>,
    pub(super) header: Option<CopyHeader>,
    pub(super) delimiter: Option<String>,
    pub(super) null: Option<String>,
    pub(super) quote: Option<String>,
    pub(super) escape: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) force_quote: Option<CopyColumns>,
    pub(super) force_null: Option<CopyColumns>,
    pub(super) force_not_null: Option<CopyColumns>,
}

impl Said {
    /// What it comes to; `reads` is COPY FROM. Errs for what is no value of its option or does not go with the others, with Postgres' codes.
    pub(super) fn form(self, reads: bool) -> Result<CopyForm> {
        let format = match self.format.as_deref() {
            None | Some("text") => CopyFormat::Text,
            Some("csv") => CopyFormat::Csv,
            Some("binary") => CopyFormat::Binary,
            Some(other) => {
                let hint = Some("The formats are text, csv and binary.".into());
                return Err(Error::Option { message: format!("COPY format \"{other}\" not recognized"), hint });
            }
        };
        if let Some(encoding) = self.encoding.filter(|said| !["utf8", "utf-8", "unicode"].contains(&said.to_lowercase().as_str())) {
            return Err(Error::unsupported(format!("COPY in encoding \"{encoding}\""), "Texts are UTF8."));
        }
        if format == CopyFormat::Binary {
            for (word, said) in [("DELIMITER", self.delimiter.is_some()), ("NULL", self.null.is_some())] {
                if said {
                    return Err(refused("42601", format!("cannot specify {word} in BINARY mode")));
                }
            }
            if self.header.is_some_and(|header| header != CopyHeader::None) {
                return Err(refused("0A000", "cannot specify HEADER in BINARY mode"));
            }
        }
        if self.header == Some(CopyHeader::Match) && !reads {
            return Err(refused("0A000", "cannot use \"match\" with HEADER in COPY TO"));
        }
        let csv = format == CopyFormat::Csv;
        for (word, said, of_reading) in [
            ("quote", self.quote.is_some(), None),
            ("escape", self.escape.is_some(), None),
            ("force quote", self.force_quote.is_some(), Some(false)),
            ("force not null", self.force_not_null.is_some(), Some(true)),
            ("force null", self.force_null.is_some(), Some(true)),
        ] {
            if said && !csv {
                return Err(refused("0A000", format!("COPY {word} available only in CSV mode")));
            }
            if said && of_reading.is_some_and(|of_reading| of_reading != reads) {
                return Err(refused("0A000", format!("COPY {word} only available using COPY {}", if reads { "TO" } else { "FROM" })));
            }
        }
        let mut form = CopyForm::of(format);
        form.header = self.header.unwrap_or_default();
        let set = |place: &mut char, word: &str, said: Option<String>| match said {
            None => Ok(()),
            Some(text) => one_byte(word, &text).map(|c| *place = c),
        };
        set(&mut form.delimiter, "delimiter", self.delimiter)?;
        set(&mut form.quote, "quote", self.quote)?;
        form.escape = form.quote;
        set(&mut form.escape, "escape", self.escape)?;
        form.null = self.null.unwrap_or(form.null);
        form.force_quote = self.force_quote.unwrap_or_default();
        form.force_null = self.force_null.unwrap_or_default();
        form.force_not_null = self.force_not_null.unwrap_or_default();
        if format != CopyFormat::Binary {
            check(&form)?;
        }
        Ok(form)
    }
}

/// Errs if one character would mean two things.
fn check(form: &CopyForm) -> Result<()> {
    let csv = form.format == CopyFormat::Csv;
    if ['\n', '\r'].contains(&form.delimiter) {
        return Err(refused("22023", "COPY delimiter cannot be newline or carriage return"));
    }
    if form.null.contains(['\n', '\r']) {
        return Err(refused("22023", "COPY null representation cannot use newline or carriage return"));
    }
    // In text a backslash stands before it, and these would then mean something else.
    if !csv && "\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(form.delimiter) {
        return Err(refused("22023", format!("COPY delimiter cannot be \"{}\"", form.delimiter)));
    }
    if csv && form.delimiter == form.quote {
        return Err(refused("22023", "COPY delimiter and quote must be different"));
    }
    if form.null.contains(form.delimiter) {
        return Err(refused("0A000", "COPY delimiter must not appear in the NULL specification"));
    }
    if csv && form.null.contains(form.quote) {
        return Err(refused("0A000", "CSV quote character must not appear in the NULL specification"));
    }
    Ok(())
}

fn one_byte(word: &str, text: &str) -> Result<char> {
    let mut chars = text.chars();
    match (chars.next().filter(char::is_ascii), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(refused("0A000", format!("COPY {word} must be a single one-byte character"))),
    }
}

fn refused(code: &'static str, message: impl Into<String>) -> Error {
    Error::Data { code, message: message.into(), detail: None }
}

/// Sets what may be said once. Errs with 42601.
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Result<()> {
    if place.is_some() {
        return Err(Error::Syntax { message: "conflicting or redundant options".into(), hint: None });
    }
    *place = Some(value);
    Ok(())
}
