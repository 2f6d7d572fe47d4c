//! The functions that Postgres brings, as its functions about functions describe them: result, arguments, and the statement that would make one.

use arrow::array::{Array, AsArray, BooleanArray, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use arrow::record_batch::RecordBatch;

use super::functions::format_type;

/// One of them.
pub(in crate::wire) struct Builtin {
    /// Its oid.
    pub(in crate::wire) oid: i32,
    /// Its name.
    pub(in crate::wire) name: String,
    /// Its arguments, as SQL.
    pub(in crate::wire) arguments: String,
    /// What it gives, as SQL.
    pub(in crate::wire) result: String,
    /// `f` function, `a` aggregate, `w` window, `p` procedure.
    kind: String,
    volatility: String,
    parallel: String,
    strict: bool,
    source: String,
}

/// Reads them from the rows of pg_proc, in the order of their oids.
pub(in crate::wire) fn read(rows: &[RecordBatch]) -> Vec<Builtin> {
    let mut all: Vec<Builtin> = rows.iter().filter_map(of_rows).flatten().collect();
    all.sort_by_key(|one| one.oid);
    all
}

fn of_rows(rows: &RecordBatch) -> Option<Vec<Builtin>> {
    let text = |name: &str| Some(cast(rows.column_by_name(name)?, &DataType::Utf8).ok()?.as_string::<i32>().clone());
    let number = |name: &str| Some(cast(rows.column_by_name(name)?, &DataType::Int32).ok()?.as_primitive::<Int32Type>().clone());
    let flag = |name: &str| Some(cast(rows.column_by_name(name)?, &DataType::Boolean).ok()?.as_boolean().clone());
    let (oids, results): (Int32Array, Int32Array) = (number("oid")?, number("prorettype")?);
    let (names, types, all_types) = (text("proname")?, text("proargtypes")?, text("proallargtypes")?);
    let (modes, labels, sources) = (text("proargmodes")?, text("proargnames")?, text("prosrc")?);
    let (kinds, volatilities, parallels) = (text("prokind")?, text("provolatile")?, text("proparallel")?);
    let (stricts, sets): (BooleanArray, BooleanArray) = (flag("proisstrict")?, flag("proretset")?);
    let word = |array: &StringArray, row: usize| if array.is_valid(row) { array.value(row).to_owned() } else { String::new() };
    let one = |row: usize| {
        let arguments = Arguments {
            types: numbers(&word(&types, row)),
            all_types: numbers(&word(&all_types, row)),
            modes: words(&word(&modes, row)),
            names: words(&word(&labels, row)),
        };
        Builtin {
            oid: oids.value(row),
            name: word(&names, row),
            result: arguments.result(results.value(row), sets.is_valid(row) && sets.value(row)),
            arguments: arguments.written(),
            kind: word(&kinds, row),
            volatility: word(&volatilities, row),
            parallel: word(&parallels, row),
            strict: stricts.is_valid(row) && stricts.value(row),
            source: word(&sources, row),
        }
    };
    Some((0..rows.num_rows()).map(one).collect())
}

/// The numbers in `25 23` or `[25, 23]`.
fn numbers(text: &str) -> Vec<i32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// The words in `['a', 'b']`; an empty one stands for an argument without a name.
fn words(text: &str) -> Vec<String> {
    let inside = text.trim().trim_start_matches(['[', '{']).trim_end_matches([']', '}']);
    if inside.is_empty() {
        return Vec::new();
    }
    inside.split(',').map(|word| word.trim().trim_matches(['\'', '"']).to_owned()).collect()
}

struct Arguments {
    types: Vec<i32>,
    /// With those that are results; empty where there are none.
    all_types: Vec<i32>,
    /// `i` in, `o` out, `b` both, `v` variadic, `t` a column of the result.
    modes: Vec<String>,
    names: Vec<String>,
}

impl Arguments {
    fn each(&self) -> impl Iterator<Item = (&str, &str, i32)> {
        let types = if self.all_types.is_empty() { &self.types } else { &self.all_types };
        types.iter().enumerate().map(|(at, data_type)| {
            (self.modes.get(at).map_or("i", String::as_str), self.names.get(at).map_or("", String::as_str), *data_type)
        })
    }

    fn written(&self) -> String {
        let one = |(mode, name, data_type): (&str, &str, i32)| {
            let mode = match mode {
                "o" => "OUT ",
                "b" => "INOUT ",
                "v" => "VARIADIC ",
                _ => "",
            };
            let space = if name.is_empty() { "" } else { " " };
            format!("{mode}{name}{space}{}", format_type(data_type))
        };
        self.each().filter(|(mode, ..)| *mode != "t").map(one).collect::<Vec<_>>().join(", ")
    }

    fn result(&self, data_type: i32, set: bool) -> String {
        let columns: Vec<String> =
            self.each().filter(|(mode, ..)| *mode == "t").map(|(_, name, of)| format!("{name} {}", format_type(of))).collect();
        if !columns.is_empty() {
            return format!("TABLE({})", columns.join(", "));
        }
        format!("{}{}", if set { "SETOF " } else { "" }, format_type(data_type))
    }
}

impl Builtin {
    /// The statement that would make it; None for an aggregate, which has no such statement.
    pub(in crate::wire) fn definition(&self) -> Option<String> {
        if self.kind == "a" {
            return None;
        }
        let Builtin { name, arguments, result, source, .. } = self;
        let mut marks = Vec::new();
        match self.volatility.as_str() {
            "i" => marks.push("IMMUTABLE"),
            "s" => marks.push("STABLE"),
            _ => {}
        }
        match self.parallel.as_str() {
            "s" => marks.push("PARALLEL SAFE"),
            "r" => marks.push("PARALLEL RESTRICTED"),
            _ => {}
        }
        if self.strict {
            marks.push("STRICT");
        }
        let marks = if marks.is_empty() { String::new() } else { format!("\n {}", marks.join(" ")) };
        Some(format!(
            "CREATE OR REPLACE FUNCTION pg_catalog.{name}({arguments})\n RETURNS {result}\n LANGUAGE internal{marks}\nAS $function${source}$function$\n"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_written_as_postgres_writes_them() {
        let arguments = |types: &str, all: &str, modes: &str, names: &str| Arguments {
            types: numbers(types),
            all_types: numbers(all),
            modes: words(modes),
            names: words(names),
        };
        let plain = arguments("25 23", "", "", "");
        assert_eq!((plain.written(), plain.result(25, false)), ("text, integer".to_owned(), "text".to_owned()));
        let variadic = arguments("25 2276", "[25, 2276]", "['i', 'v']", "");
        assert_eq!(variadic.written(), "text, VARIADIC \"any\"");
        let out = arguments("1034", "[1034, 26, 16]", "['i', 'o', 'o']", "['acl', 'grantor', 'is_grantable']");
        assert_eq!(out.written(), "acl aclitem[], OUT grantor oid, OUT is_grantable boolean");
        assert_eq!(out.result(2249, true), "SETOF record");
    }
}
