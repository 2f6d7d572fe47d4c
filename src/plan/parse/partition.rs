//! `SESSION(t PARTITION BY a, b, ts, gap)`: no dialect of sqlparser reads PARTITION BY in an argument, so it becomes a named argument.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{PARTITION, is_word};

/// Rewrites every SESSION of the statement: its keys go to its end, as `partition => (a, b)`. What cannot be read stays, for the parser to refuse.
pub(super) fn name_session_keys(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at + 1 < tokens.len() {
        if is_word(&tokens[at].token, "session")
            && tokens[at + 1].token == Token::LParen
            && let Some(rewritten) = arguments(tokens.get(at + 2..).unwrap_or_default())
        {
            tokens.splice(at + 2..at + 2 + rewritten.n_read, rewritten.tokens);
        }
        at += 1;
    }
}

struct Rewritten {
    /// How many tokens it stands for.
    n_read: usize,
    tokens: Vec<TokenWithSpan>,
}

/// The arguments of a SESSION, up to its closing parenthesis, if there is a PARTITION BY among them.
fn arguments(tokens: &[TokenWithSpan]) -> Option<Rewritten> {
    let (mut depth, mut keyword, mut commas, mut end) = (0_usize, None, Vec::new(), None);
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen if depth == 0 => {
                end = Some(at);
                break;
            }
            Token::RParen | Token::RBracket => depth = depth.checked_sub(1)?,
            Token::Comma if depth == 0 && keyword.is_some() => commas.push(at),
            _ if depth == 0 && keyword.is_none() && is_word(&token.token, "partition") && is_word(&tokens.get(at + 1)?.token, "by") => {
                keyword = Some(at);
            }
            _ => {}
        }
    }
    let (keyword, end) = (keyword?, end?);
    let first = keyword + 2;
    let parts: Vec<(usize, usize)> =
        std::iter::once(first).chain(commas.iter().map(|c| c + 1)).zip(commas.iter().copied().chain([end])).collect();
    let named = parts.iter().position(|(from, to)| tokens.get(*from..*to).is_some_and(|p| p.iter().any(|t| t.token == Token::RArrow)));
    let n_keys = match named {
        Some(n) => n,
        None if tokens.get(first)?.token == Token::LParen => 1,
        // The time and the gap come last.
        None => parts.len().checked_sub(2)?,
    };
    let keys_end = parts.get(n_keys.checked_sub(1)?)?.1;
    let keys = tokens.get(first..keys_end)?;
    let span = tokens.get(keyword)?.span;
    let like = |token: Token| TokenWithSpan { token, span };
    let mut out: Vec<TokenWithSpan> = tokens.get(..keyword)?.to_vec();
    out.extend_from_slice(tokens.get(keys_end..end)?);
    out.extend([Token::Comma, Token::make_word(PARTITION, None), Token::RArrow].map(like));
    let bare = keys.first().is_some_and(|k| k.token != Token::LParen);
    out.extend(bare.then(|| like(Token::LParen)));
    out.extend_from_slice(keys);
    out.extend(bare.then(|| like(Token::RParen)));
    Some(Rewritten { n_read: end, tokens: out })
}
