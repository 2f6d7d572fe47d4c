//! Types and values of Arrow in a message, in the words of SQL: `List(Struct("label": Utf8, …` is detection[], `Float64(0.5)` is 0.5.

/// The message with every type and value of Arrow's in the words of SQL. What stands in double quotes is a name and stays.
pub(super) fn in_sql(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(c) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (taken, written) = if c == '"' {
            let end = rest.get(1..).and_then(|text| text.find('"')).map_or(rest.len(), |end| end + 2);
            (end, None)
        } else if word == 0 {
            (c.len_utf8(), None)
        } else {
            read(rest, word).map_or((word, None), |(taken, written)| (taken, Some(written)))
        };
        let (text, behind) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        out.push_str(written.as_deref().unwrap_or(text));
        rest = behind;
    }
    out
}

/// A type or value at the beginning of a text whose first word ends there: how long it is, and its words.
fn read(text: &str, word: usize) -> Option<(usize, String)> {
    let (name, behind) = text.split_at_checked(word)?;
    let inside = inside(behind);
    // What is in parentheses, and where they end.
    let (parameters, end) = match inside {
        Some(inside) => (Some(inside), word + inside.len() + 2),
        None => (None, word),
    };
    if let Some(parameters) = parameters {
        if matches!(name, "List" | "LargeList" | "FixedSizeList" | "ListView") {
            let element =
                parameters.split_once(" x ").filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit())).map_or(parameters, |(_, of)| of);
            return Some((end, format!("{}[]", in_sql(element.strip_prefix("non-null ").unwrap_or(element)))));
        }
        if name == "Struct" {
            return Some((end, record(parameters).to_owned()));
        }
        if matches!(
            name,
            "Timestamp" | "Time32" | "Time64" | "Duration" | "Interval" | "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256"
        ) {
            return Some((end, of_type(text.get(..end)?)?.to_owned()));
        }
        // A value, with the name of its type before it.
        if of_type(name).is_some() || name.starts_with("Timestamp") || name.starts_with("Interval") || name.starts_with("Duration") {
            return Some((end, value(parameters)));
        }
    }
    // Words that people write, too, are left: only the spelling of Arrow is its type.
    let digits = name.ends_with("8") || name.ends_with("16") || name.ends_with("32") || name.ends_with("64");
    let own = digits || matches!(name, "Utf8View" | "LargeBinary" | "BinaryView");
    own.then(|| of_type(name))?.map(|of| (word, of.to_owned()))
}

/// What is between a text's first parenthesis, with which it begins, and the one that closes it.
fn inside(text: &str) -> Option<&str> {
    text.starts_with('(').then_some(())?;
    let (mut depth, mut quoted) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return text.get(1..at);
                }
            }
            _ => {}
        }
    }
    // Some messages are cut off.
    text.get(1..text.len().saturating_sub(1))
}

/// The name of a struct by its fields.
fn record(fields: &str) -> &'static str {
    let has = |name: &str| fields.contains(&format!("\"{name}\": "));
    if has("source_id") {
        "frame"
    } else if has("label") && has("box") {
        "detection"
    } else if has("x") && has("y") && has("w") && has("h") && !has("label") {
        "box"
    } else {
        "record"
    }
}

/// A value as SQL writes it: texts in quotes.
fn value(shown: &str) -> String {
    match shown.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => shown.to_owned(),
    }
}

/// Arrow's types, with commas between them, in the words of SQL.
pub(super) fn list(all: &str) -> String {
    let (mut words, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in all.char_indices().chain([(all.len(), ',')]) {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if c == ',' && depth == 0 {
            let of = all.get(from..at).unwrap_or_default().trim();
            words.push(of_type(of).map_or_else(|| in_sql(of).to_lowercase(), str::to_owned));
            from = at + 1;
        }
    }
    words.join(", ")
}

/// Postgres' name of a type of Arrow's that holds one value.
pub(super) fn of_type(of: &str) -> Option<&'static str> {
    Some(match of {
        "Null" => "unknown",
        "Utf8" | "Utf8View" | "LargeUtf8" => "text",
        "Boolean" => "boolean",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "Date32" | "Date64" => "date",
        "Binary" | "LargeBinary" | "BinaryView" => "bytea",
        of if of.starts_with("Decimal") => "numeric",
        of if of.starts_with("Timestamp") && of.contains(',') => "timestamp with time zone",
        of if of.starts_with("Timestamp") => "timestamp without time zone",
        of if of.starts_with("Time") => "time without time zone",
        of if of.starts_with("Interval") || of.starts_with("Duration") => "interval",
        of => return integer(of),
    })
}

/// Postgres' name of an integer of Arrow's.
pub(super) fn integer(of: &str) -> Option<&'static str> {
    Some(match of {
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" | "UInt64" => "bigint",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_values_of_arrow_are_said_in_sql() {
        for (arrow, sql) in [
            ("TRACK: is no box but Int64", "TRACK: is no box but bigint"),
            ("not Float64(1.5)", "not 1.5"),
            ("not Utf8(\"it's\")", "not 'it''s'"),
            ("CAST(t.n AS Int32) as an argument", "CAST(t.n AS integer) as an argument"),
            ("type List(Struct(\"label\": Utf8, \"score\": Float32, \"box\": Struct(\"x\": Float32))) is", "type detection[] is"),
            ("Utf8 || Struct(\"source_id\": Int64, \"y\": BinaryView)", "text || frame"),
            ("Struct(\"x\": Float32, \"y\": Float32, \"w\": Float32, \"h\": Float32)", "box"),
            ("List(non-null Int64), Timestamp(µs, \"UTC\")", "bigint[], timestamp with time zone"),
            ("FixedSizeList(1024 x Float32)", "real[]"),
            ("Decimal128(38, 9) and Interval(MonthDayNano)", "numeric and interval"),
            ("TimestampMicrosecond(5, Some(\"UTC\"))", "5, Some(\"UTC\")"),
            ("column \"Int64\" is Boolean, Null or Time", "column \"Int64\" is Boolean, Null or Time"),
            ("a Struct of the Liste of Timestamps", "a Struct of the Liste of Timestamps"),
            ("cut Struct(\"source_id\": Int64, \"source\": Utf", "cut frame"),
        ] {
            assert_eq!(in_sql(arrow), sql, "{arrow}");
        }
    }
}
