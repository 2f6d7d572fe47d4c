//! The names of a query's columns as Postgres chooses them: `count(*)` is count, `1` is ?column?, a cast keeps the name of what it casts.

use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, DataType, Expr, Function, Ident, ObjectName, Query, SelectItem, SetExpr, Subscript, Value, ValueWithSpan,
};

use super::parse::{Body, Statement, Subscribed};

/// What stands between a name and the number that tells it from others of the same name: DataFusion refuses equal names, Postgres does not.
const MARK: char = '\u{1}';

/// The name of what has none.
const UNNAMED: &str = "?column?";

/// The names that the text of a query gives its columns; those that stand for a `*` come from the schema.
#[derive(Clone, Debug, Default)]
pub struct Names {
    before: Vec<String>,
    /// Whether columns that the text does not name stand between the others.
    open: bool,
    after: Vec<String>,
}

impl Names {
    /// The names that a statement's own text gives; none for statements that are not queries.
    pub fn of_statement(statement: &Statement) -> Names {
        match &statement.body {
            Body::Query(query) | Body::CopyQuery(query, _) => Names::of_query(&query.query),
            Body::Subscribe(subscribe) | Body::CopySubscribe(subscribe, _) => match &subscribe.of {
                // The watermark and the diff come first.
                Subscribed::Query(query) => match Names::of_query(&query.query) {
                    Names { before, open: false, .. } => Names { before: Vec::new(), open: true, after: before },
                    Names { after, .. } => Names { before: Vec::new(), open: true, after },
                },
                Subscribed::View(_) => Names { open: true, ..Names::default() },
            },
            _ => Names { open: true, ..Names::default() },
        }
    }

    /// The names that the text of a query gives.
    pub fn of_query(query: &Query) -> Names {
        let mut body = query.body.as_ref();
        let select = loop {
            match body {
                SetExpr::Select(select) => break select,
                SetExpr::Query(inner) => body = inner.body.as_ref(),
                SetExpr::SetOperation { left, .. } => body = left.as_ref(),
                _ => return Names { open: true, ..Names::default() },
            }
        };
        let mut names = Names::default();
        for item in &select.projection {
            let name = match item {
                SelectItem::UnnamedExpr(expr) => of_expr(expr),
                SelectItem::ExprWithAlias { alias, .. } => folded(alias),
                _ => {
                    names.open = true;
                    names.after.clear();
                    continue;
                }
            };
            if names.open { names.after.push(name) } else { names.before.push(name) }
        }
        names
    }

    /// The name of a column of `n_columns`, if the text gives one.
    pub fn of(&self, at: usize, n_columns: usize) -> Option<&str> {
        if !self.open && n_columns != self.before.len() {
            return None;
        }
        let from_end = || self.after.get((at + self.after.len()).checked_sub(n_columns)?);
        self.before.get(at).or_else(from_end).map(String::as_str)
    }
}

/// The schema of an answer with the names that its reader is shown.
pub fn shown(schema: &Schema, names: &Names) -> SchemaRef {
    let n_columns = schema.fields().len();
    let field = |(at, field): (usize, &FieldRef)| {
        let name = names.of(at, n_columns).unwrap_or_else(|| without_mark(field.name()));
        if name == field.name() { Arc::clone(field) } else { Arc::new(field.as_ref().clone().with_name(name)) }
    };
    Arc::new(Schema::new(schema.fields().iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// A name that is told from others of the same name.
pub fn with_mark(name: &str, number: usize) -> String {
    format!("{name}{MARK}{number}")
}

/// A text in which such names stand, to be read by a user: `area#2`.
pub fn with_shown_marks(text: &str) -> String {
    text.replace(MARK, "#")
}

/// The name as the user knows it.
pub fn without_mark(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

fn last(name: &ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(folded)
}

/// The name of an expression without an alias.
pub fn of_expr(expr: &Expr) -> String {
    strong(expr).or_else(|| weak(expr)).unwrap_or_else(|| UNNAMED.to_owned())
}

/// The name of a function.
pub fn of_function(function: &Function) -> Option<String> {
    last(&function.name)
}

/// A name that a cast or a CASE around it keeps.
fn strong(expr: &Expr) -> Option<String> {
    let word = |word: &str| Some(word.to_owned());
    match expr {
        Expr::Identifier(name) => Some(folded(name)),
        Expr::CompoundIdentifier(names) => names.last().map(folded),
        Expr::CompoundFieldAccess { root, access_chain } => access_chain
            .iter()
            .rev()
            .find_map(|access| match access {
                // As it is rewritten for the planner.
                AccessExpr::Dot(Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(field), .. })) => Some(field.clone()),
                AccessExpr::Dot(field) => strong(field),
                AccessExpr::Subscript(Subscript::Index { .. } | Subscript::Slice { .. }) => None,
            })
            .or_else(|| strong(root)),
        Expr::Function(function) => of_function(function),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => strong(inner),
        Expr::Cast { expr: inner, .. } => strong(inner),
        Expr::Case { else_result: Some(inner), .. } => strong(inner),
        Expr::Subquery(query) => {
            let names = Names::of_query(query);
            names.before.into_iter().next().filter(|name| name != UNNAMED)
        }
        Expr::Extract { .. } => word("extract"),
        Expr::Ceil { .. } => word("ceil"),
        Expr::Floor { .. } => word("floor"),
        Expr::Position { .. } => word("position"),
        Expr::Substring { .. } => word("substring"),
        Expr::Overlay { .. } => word("overlay"),
        Expr::Trim { .. } => word("btrim"),
        Expr::AtTimeZone { .. } => word("timezone"),
        Expr::Array(_) => word("array"),
        Expr::Exists { .. } => word("exists"),
        Expr::BinaryOp { op: BinaryOperator::Overlaps, .. } => word("overlaps"),
        Expr::Tuple(_) => word("row"),
        _ => None,
    }
}

/// A name that gives way to one that a cast around it brings.
fn weak(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => weak(inner),
        Expr::Cast { data_type, .. } => Some(of_type(data_type)),
        Expr::TypedString(typed) => Some(of_type(&typed.data_type)),
        Expr::Interval(_) => Some("interval".to_owned()),
        Expr::Case { .. } => Some("case".to_owned()),
        _ => None,
    }
}

/// The catalogue's name of a type; of an array, that of its element.
pub fn of_type(data_type: &DataType) -> String {
    let text = data_type.to_string().to_lowercase();
    let plain = text.split('(').next().unwrap_or(&text).trim();
    let plain = plain.rsplit('.').next().unwrap_or(plain);
    let name = match plain {
        "integer" | "int" => "int4",
        "smallint" => "int2",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" | "double" | "float" => "float8",
        "boolean" => "bool",
        "decimal" | "dec" => "numeric",
        "character varying" => "varchar",
        "character" | "char" => "bpchar",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        "time without time zone" => "time",
        other => other.trim_matches('"').trim_end_matches("[]"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse;

    fn names(sql: &str, n_columns: usize) -> Vec<Option<String>> {
        let names = Names::of_statement(&parse(sql).unwrap()[0]);
        (0..n_columns).map(|at| names.of(at, n_columns).map(str::to_owned)).collect()
    }

    #[test]
    fn columns_are_named_as_in_postgres() {
        for (expr, name) in [
            ("1", "?column?"),
            ("1 + a", "?column?"),
            ("count(*)", "count"),
            ("pg_catalog.version()", "version"),
            ("t.a", "a"),
            ("a::text", "a"),
            ("'1'::int", "int4"),
            ("'x'::timestamp with time zone", "timestamptz"),
            ("CASE WHEN a THEN 1 END", "case"),
            ("CASE WHEN a THEN 1 ELSE b END", "b"),
            ("(SELECT max(a) FROM t)", "max"),
            ("EXISTS (SELECT 1)", "exists"),
            ("1 AS \"A b\"", "A b"),
            ("1 AS A", "a"),
            ("INTERVAL '1 s'", "interval"),
        ] {
            assert_eq!(names(&format!("SELECT {expr}"), 1), [Some(name.to_owned())], "{expr}");
        }
    }

    #[test]
    fn what_stands_for_a_star_is_named_by_the_schema() {
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(names("SELECT 1, *, count(*) FROM t", 4), [some("?column?"), None, None, some("count")]);
        assert_eq!(names("SUBSCRIBE (SELECT a, count(*) FROM t)", 4), [None, None, some("a"), some("count")]);
        assert_eq!(names("SELECT 1 UNION SELECT 2", 1), [some("?column?")]);
    }
}
