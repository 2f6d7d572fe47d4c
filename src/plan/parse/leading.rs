//! The first words of a statement: those that stand for others, and those of statements that framesql has not, which are told before the parser says something
//! that misleads.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{is_word, syntax};
use crate::error::{Error, Result};

/// What CREATE, ALTER and DROP of Postgres name that the parser does not read. What it reads is refused when it is run.
const NO_OBJECTS: [&str; 16] = [
    "access",
    "aggregate",
    "cast",
    "collation",
    "conversion",
    "event",
    "foreign",
    "language",
    "large",
    "publication",
    "rule",
    "server",
    "statistics",
    "subscription",
    "tablespace",
    "transform",
];
/// What DROP names, of framesql and of the parser.
const DROPPED: [&str; 33] = [
    "source",
    "table",
    "view",
    "materialized",
    "model",
    "gallery",
    "zone",
    "line",
    "calibration",
    "role",
    "user",
    "index",
    "schema",
    "database",
    "function",
    "procedure",
    "sequence",
    "type",
    "domain",
    "trigger",
    "extension",
    "policy",
    "owned",
    "operator",
    "routine",
    "connector",
    "stage",
    "secret",
    "stream",
    "temporary",
    "persistent",
    "macro",
    "text",
];

/// Puts the words in their places. Errs (0A000) for a statement that is none of framesql's, and (42601) where DROP names nothing that there is.
pub(super) fn read(tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    check(tokens)?;
    role_for_user(tokens);
    rollback_for_abort(tokens);
    Ok(())
}

fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    let word = |at: usize, text: &str| tokens.get(at).is_some_and(|t| is_word(&t.token, text));
    let any = |at: usize, texts: &[&'static str]| texts.iter().find(|text| word(at, text)).copied();
    let list = "docs/sql.md lists the statements of framesql.";
    if word(0, "do") {
        return Err(Error::unsupported("DO", "There are no functions in SQL or PL/pgSQL: use views."));
    }
    if word(0, "call") {
        return Err(Error::unsupported("CALL", "There are no procedures: use views."));
    }
    if word(0, "create") && word(1, "sink") {
        return Err(Error::unsupported("CREATE SINK", "COPY (SUBSCRIBE …) TO STDOUT gives a client what comes."));
    }
    if word(0, "prepare") && word(1, "transaction") {
        return Err(Error::unsupported("PREPARE TRANSACTION", list));
    }
    if word(0, "alter") && word(1, "source") {
        return Err(Error::unsupported("ALTER SOURCE", "Drop it and create it again, in one transaction."));
    }
    if word(0, "alter") && word(1, "view") {
        let hint = "CREATE OR REPLACE VIEW changes its query; for another name drop it and create it again, in one transaction.";
        return Err(Error::unsupported("ALTER VIEW", hint));
    }
    if any(0, &["grant", "revoke"]).is_some()
        && matches!(tokens.get(1).map(|t| &t.token), Some(Token::Word(_)))
        && (word(2, "to") || word(2, "from"))
    {
        return Err(Error::unsupported("a role as a member of another", "GRANT SELECT ON relation TO role says what each may read."));
    }
    let verb = any(0, &["create", "alter", "drop"]);
    if let (Some(verb), Some(object)) = (verb, any(1, &NO_OBJECTS)) {
        let object = if object == "foreign" || object == "event" || object == "access" || object == "large" {
            format!("{object} {}", tokens.get(2).map_or_else(String::new, |t| t.token.to_string()))
        } else {
            object.to_owned()
        };
        return Err(Error::unsupported(format!("{verb} {object}").to_uppercase(), list));
    }
    if word(0, "drop")
        && let Some(TokenWithSpan { token: token @ Token::Word(_), span }) = tokens.get(1)
        && any(1, &DROPPED).is_none()
    {
        let kinds = "SOURCE, TABLE, VIEW, MATERIALIZED VIEW, MODEL, GALLERY, ZONE, LINE, CALIBRATION or ROLE";
        return Err(syntax(format!("expected {kinds}, found: {token} at line {}, column {}", span.start.line, span.start.column)));
    }
    if word(0, "create")
        && word(1, "table")
        && let Some(clause) = dropped_clause(tokens)
    {
        return Err(Error::unsupported(
            format!("{} of a column", clause.to_uppercase()),
            "A column has NOT NULL, PRIMARY KEY and DEFAULT.",
        ));
    }
    if word(0, "copy") && !tokens.iter().any(|t| is_word(&t.token, "stdin") || is_word(&t.token, "stdout")) {
        let file = |at: usize| matches!(tokens.get(at).map(|t| &t.token), Some(Token::SingleQuotedString(_))) || word(at, "program");
        let there = |direction: &str| (1..tokens.len()).any(|at| word(at, direction) && file(at + 1));
        if there("from") {
            return Err(Error::unsupported(
                "COPY from a file or a program",
                "The client sends the rows: \\copy in psql, COPY … FROM STDIN elsewhere.",
            ));
        }
        if there("to") {
            return Err(Error::unsupported(
                "COPY to a file or a program",
                "The client keeps the rows: \\copy in psql, COPY … TO STDOUT elsewhere.",
            ));
        }
    }
    Ok(())
}

/// A word of other systems behind the type of a column, which the parser takes and forgets.
fn dropped_clause(tokens: &[TokenWithSpan]) -> Option<&'static str> {
    const FORGOTTEN: [&str; 6] = ["auto_increment", "autoincrement", "asc", "desc", "identity", "srid"];
    let mut depth = 0;
    for (before, token) in tokens.iter().zip(tokens.iter().skip(1)) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            // The query, which may sort.
            as_query if depth == 0 && is_word(as_query, "as") => return None,
            clause if depth == 1 && !matches!(before.token, Token::LParen | Token::Comma) && !is_word(&before.token, "constraint") => {
                if let Some(forgotten) = FORGOTTEN.iter().find(|forgotten| is_word(clause, forgotten)) {
                    return Some(forgotten);
                }
            }
            _ => {}
        }
    }
    None
}

/// CREATE USER is CREATE ROLE with LOGIN, ALTER USER is ALTER ROLE: sqlparser reads another system's statement.
fn role_for_user(tokens: &mut Vec<TokenWithSpan>) {
    let create = tokens.first().is_some_and(|t| is_word(&t.token, "create"));
    let alter = tokens.first().is_some_and(|t| is_word(&t.token, "alter"));
    if !(create || alter) || !tokens.get(1).is_some_and(|t| is_word(&t.token, "user")) {
        return;
    }
    let word = |text: &str| Token::make_word(text, None);
    if let Some(user) = tokens.get_mut(1) {
        user.token = word("ROLE");
    }
    let says_login = tokens.iter().any(|t| is_word(&t.token, "login") || is_word(&t.token, "nologin"));
    if create
        && !says_login
        && let Some(last) = tokens.last().cloned()
    {
        // The end of the text comes last, where there is one.
        let at = if last.token == Token::EOF { tokens.len() - 1 } else { tokens.len() };
        tokens.insert(at, TokenWithSpan { token: word("LOGIN"), ..last });
    }
}

/// ABORT is ROLLBACK.
fn rollback_for_abort(tokens: &mut [TokenWithSpan]) {
    if let Some(first) = tokens.first_mut().filter(|first| is_word(&first.token, "abort")) {
        first.token = Token::make_keyword("ROLLBACK");
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::parse::parse;

    #[test]
    fn what_is_not_framesqls_is_called_by_its_name() {
        for (sql, code, message) in [
            ("DO $$ BEGIN END $$", "0A000", "DO is not supported"),
            ("CREATE FOREIGN TABLE t (a int) SERVER s", "0A000", "CREATE FOREIGN TABLE is not supported"),
            ("create rule r AS ON INSERT TO t DO NOTHING", "0A000", "CREATE RULE is not supported"),
            ("CREATE TABLE t (a int AUTO_INCREMENT, b int)", "0A000", "AUTO_INCREMENT of a column is not supported"),
            ("CREATE TABLE t (a int DEFAULT 5 AUTO_INCREMENT)", "0A000", "AUTO_INCREMENT of a column is not supported"),
            ("CREATE SINK s FROM v", "0A000", "CREATE SINK is not supported"),
            ("PREPARE TRANSACTION 'a'", "0A000", "PREPARE TRANSACTION is not supported"),
            ("COPY t FROM '/tmp/x.csv'", "0A000", "COPY from a file or a program is not supported"),
            ("COPY (SELECT 1) TO PROGRAM 'cat'", "0A000", "COPY to a file or a program is not supported"),
            (
                "DROP SORCE clip",
                "42601",
                "syntax error: expected SOURCE, TABLE, VIEW, MATERIALIZED VIEW, MODEL, GALLERY, ZONE, LINE, CALIBRATION or ROLE, found: SORCE at line 1, column 6",
            ),
        ] {
            let error = parse(sql).unwrap_err();
            assert_eq!((error.sqlstate(), error.to_string().as_str()), (code, message), "{sql}");
        }
        for sql in [
            "CREATE TABLE t (identity int, \"desc\" text)",
            "CREATE TABLE t AS (SELECT a FROM b ORDER BY a DESC)",
            "DROP SOURCE IF EXISTS a",
            "COPY t FROM STDIN",
            "COPY (SELECT 'x' FROM t) TO STDOUT",
            "DROP ROLE a",
            "CREATE USER a",
        ] {
            assert!(parse(sql).is_ok(), "{sql}");
        }
    }
}
