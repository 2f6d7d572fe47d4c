//! Arrays as Postgres writes them: `{a,"b c",NULL}`.

/// The elements of `{a,"b c",NULL}`. None for anything else, arrays in arrays included.
pub fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    if inner.trim().is_empty() {
        return Some(items);
    }
    let mut characters = inner.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let mut item = String::new();
        let quoted = characters.next_if_eq(&'"').is_some();
        if quoted {
            loop {
                match characters.next()? {
                    '"' => break,
                    '\\' => item.push(characters.next()?),
                    c => item.push(c),
                }
            }
            while characters.next_if(|c| c.is_whitespace()).is_some() {}
        } else {
            while let Some(c) = characters.next_if(|c| *c != ',') {
                match c {
                    '{' | '}' | '"' => return None,
                    '\\' => item.push(characters.next()?),
                    c => item.push(c),
                }
            }
            item.truncate(item.trim_end().len());
            if item.is_empty() {
                return None;
            }
        }
        items.push(if !quoted && item.eq_ignore_ascii_case("null") { None } else { Some(item) });
        match characters.next() {
            None => return Some(items),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_as_postgres_writes_them() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(elements("{a,\"b \\\"c\",null,\"null\"}").unwrap(), [some("a"), some("b \"c"), None, some("null")]);
        assert_eq!(elements("{}"), Some(Vec::new()));
        for text in ["", "a,b", "{a", "{a,}", "{{a},{b}}", "{\"a}"] {
            assert_eq!(elements(text), None, "{text}");
        }
    }
}
