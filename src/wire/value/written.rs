//! What the text of a query says of its columns where the plan does not: their names, that a whole number is an int4 unless it is too large for one,
//! and that a cast is of the type that it names. The plan stays as it is, so that a view of the same query has the columns that it had.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Cte, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, SelectItem,
    SetExpr, TableAlias, TableFactor, UnaryOperator, Value, WildcardAdditionalOptions, With,
};
use pgwire::api::Type;

use crate::plan::column_names::{self as names, Names};
use crate::plan::parse::{Body, Statement};

/// How many relations are followed into subqueries: two branches that read the same twice, one in the other, would be endless.
const MOST_STEPS: usize = 64;

/// The names and types that the text of a statement gives its columns.
#[derive(Clone, Debug, Default)]
pub(in crate::wire) struct Written {
    pub(in crate::wire) names: Names,
    types: Types,
}

/// Types by place; NULL is of none yet, which is UNKNOWN.
#[derive(Clone, Debug, Default)]
struct Types {
    before: Vec<Option<Type>>,
    /// Of what stands behind the last `*`, if there is one.
    after: Option<Vec<Option<Type>>>,
}

impl Written {
    /// What a statement's own text says.
    pub(in crate::wire) fn of_statement(statement: &Statement) -> Written {
        let types = match &statement.body {
            Body::Query(query) | Body::CopyQuery(query, _) => Reader { steps: 0 }.query(&query.query, None),
            _ => Types::default(),
        };
        Written { names: Names::of_statement(statement), types }
    }

    /// The type of a column of `n_columns`, if the text gives one.
    pub(in crate::wire) fn of(&self, at: usize, n_columns: usize) -> Option<&Type> {
        self.types.of(at, n_columns).filter(|data_type| **data_type != Type::UNKNOWN)
    }
}

impl Types {
    fn of(&self, at: usize, n_columns: usize) -> Option<&Type> {
        match &self.after {
            None if n_columns != self.before.len() => None,
            None => self.before.get(at)?.as_ref(),
            Some(after) => {
                let from_end = || after.get((at + after.len()).checked_sub(n_columns)?);
                self.before.get(at).or_else(from_end)?.as_ref()
            }
        }
    }

    /// What rows of both are of.
    fn both(self, other: Types) -> Types {
        match (self, other) {
            (Types { before: left, after: None }, Types { before: right, after: None }) if left.len() == right.len() => {
                Types { before: left.into_iter().zip(right).map(|(left, right)| of_both(left, right)).collect(), after: None }
            }
            _ => Types { before: Vec::new(), after: Some(Vec::new()) },
        }
    }
}

/// Beside a text that comes first a name is a text; a name that comes first stays one.
fn of_both(one: Option<Type>, other: Option<Type>) -> Option<Type> {
    match (one, other) {
        (Some(one), Some(other)) => common(one, other),
        (one, _) => one.filter(|data_type| *data_type == Type::TEXT),
    }
}

fn common(one: Type, other: Type) -> Option<Type> {
    match (one, other) {
        (Type::UNKNOWN, other) => Some(other),
        (one, other) => (other == Type::UNKNOWN || one == other).then_some(one),
    }
}

/// The common table expressions that a query sees, the nearest first.
#[derive(Clone, Copy)]
struct Around<'a> {
    tables: &'a [Cte],
    /// Whether each sees itself; those before it, it always does.
    recursive: bool,
    outer: Option<&'a Around<'a>>,
}

struct Reader {
    steps: usize,
}

/// The columns of a relation of a FROM clause, by name, each with its type if the text gives one.
type Columns = Vec<(Option<String>, Option<Type>)>;

/// The relations of a FROM clause: the name of each, and its columns if it is a part of the text.
struct From {
    relations: Vec<(Option<String>, Option<Columns>)>,
}

impl Reader {
    fn query(&mut self, query: &Query, around: Option<&Around<'_>>) -> Types {
        match &query.with {
            Some(With { cte_tables, recursive, .. }) => {
                self.body(&query.body, Some(&Around { tables: cte_tables, recursive: *recursive, outer: around }))
            }
            None => self.body(&query.body, around),
        }
    }

    fn body(&mut self, body: &SetExpr, around: Option<&Around<'_>>) -> Types {
        match body {
            SetExpr::Query(query) => self.query(query, around),
            SetExpr::SetOperation { left, right, .. } => self.body(left, around).both(self.body(right, around)),
            SetExpr::Values(values) => {
                let rows = values.rows.iter().map(|row| Types { before: row.content.iter().map(of_constant).collect(), after: None });
                rows.reduce(Types::both).unwrap_or_default()
            }
            SetExpr::Select(select) => {
                let tables = select.from.iter();
                let factors =
                    tables.flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)));
                let from = From { relations: factors.map(|factor| (known_as(factor), self.relation(factor, around))).collect() };
                let mut types = Types::default();
                for item in &select.projection {
                    let place = types.after.as_mut().unwrap_or(&mut types.before);
                    match item {
                        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => place.push(from.of(expr)),
                        SelectItem::Wildcard(options) if *options == WildcardAdditionalOptions::default() => match from.alone() {
                            Some(columns) => place.extend(columns.iter().map(|(_, data_type)| data_type.clone())),
                            None => types.after = Some(Vec::new()),
                        },
                        _ => types.after = Some(Vec::new()),
                    }
                }
                types
            }
            _ => Types { before: Vec::new(), after: Some(Vec::new()) },
        }
    }

    fn relation(&mut self, factor: &TableFactor, around: Option<&Around<'_>>) -> Option<Columns> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        match factor {
            TableFactor::Derived { subquery, alias, .. } => self.inner(subquery, alias.as_ref(), around),
            TableFactor::Table { name: table, alias, args: None, .. } => {
                let [table] = table.0.as_slice() else { return None };
                let table = folded(table.as_ident()?);
                let mut outer = around;
                while let Some(seen) = outer {
                    if let Some(at) = seen.tables.iter().position(|cte| folded(&cte.alias.name) == table) {
                        let (before, found) = seen.tables.get(..at + usize::from(seen.recursive)).zip(seen.tables.get(at))?;
                        let renamed = alias.as_ref().filter(|alias| !alias.columns.is_empty()).unwrap_or(&found.alias);
                        return self.inner(&found.query, Some(renamed), Some(&Around { tables: before, ..*seen }));
                    }
                    outer = seen.outer;
                }
                None
            }
            TableFactor::Table { name, alias, args: Some(arguments), .. } => {
                let column = alias.as_ref().and_then(|alias| alias.columns.first()).map(|column| folded(&column.name));
                series(name, &arguments.args).map(|data_type| vec![(column.or_else(|| known_as(factor)), Some(data_type))])
            }
            _ => None,
        }
    }

    fn inner(&mut self, query: &Query, alias: Option<&TableAlias>, around: Option<&Around<'_>>) -> Option<Columns> {
        let renamed = alias.map(|alias| alias.columns.as_slice()).unwrap_or_default();
        let Types { before, after: None } = self.query(query, around) else { return None };
        let (inside, n_columns) = (Names::of_query(query), before.len());
        let called = |at: usize| match renamed.get(at) {
            Some(column) => Some(folded(&column.name)),
            None => inside.of(at, n_columns).map(str::to_owned),
        };
        Some(before.into_iter().enumerate().map(|(at, data_type)| (called(at), data_type)).collect())
    }
}

impl From {
    fn of(&self, expr: &Expr) -> Option<Type> {
        match expr {
            Expr::Nested(inner) => self.of(inner),
            Expr::Cast { data_type, .. } => of_cast(data_type),
            // Where two relations are joined, a name may be of either.
            Expr::Identifier(name) => column(self.alone()?, name),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, name] => {
                    let of = Some(folded(of));
                    column(self.relations.iter().find(|(known, _)| *known == of)?.1.as_ref()?, name)
                }
                _ => None,
            },
            Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) => series(name, &list.args),
            constant => of_constant(constant),
        }
    }

    /// The columns of the only relation.
    fn alone(&self) -> Option<&Columns> {
        match self.relations.as_slice() {
            [(_, columns)] => columns.as_ref(),
            _ => None,
        }
    }
}

fn column(columns: &Columns, name: &Ident) -> Option<Type> {
    let name = Some(folded(name));
    columns.iter().find(|(known, _)| *known == name)?.1.clone()
}

/// What generate_series gives of numbers that are int4.
fn series(function: &ObjectName, arguments: &[FunctionArg]) -> Option<Type> {
    let numbers = arguments.iter().all(|one| matches!(one, FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if is_int4(expr)));
    let called = function.0.last()?.as_ident().map(folded);
    (numbers && called.as_deref() == Some("generate_series")).then_some(Type::INT4)
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// The name by which columns of a relation are asked for.
fn known_as(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| folded(&alias.name)),
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(folded(&alias.name)),
            None => name.0.last()?.as_ident().map(folded),
        },
        _ => None,
    }
}

/// The type that a cast names, where several are kept alike.
fn of_cast(data_type: &DataType) -> Option<Type> {
    if matches!(data_type, DataType::Array(_)) {
        return None;
    }
    Some(match names::of_type(data_type).as_str() {
        "text" => Type::TEXT,
        "varchar" => Type::VARCHAR,
        "bpchar" => Type::BPCHAR,
        "name" => Type::NAME,
        "char" => Type::CHAR,
        "int4" => Type::INT4,
        "oid" => Type::OID,
        "xid" => Type::XID,
        _ => return None,
    })
}

/// An int4 if an expression is made of whole numbers alone, and each of them and what comes of it fits one; UNKNOWN for NULL.
fn of_constant(expr: &Expr) -> Option<Type> {
    match expr {
        Expr::Value(value) if value.value == Value::Null => Some(Type::UNKNOWN),
        Expr::Nested(inner) => of_constant(inner),
        Expr::Case { conditions, else_result, .. } => {
            let others = else_result.as_ref().map_or(Some(Type::UNKNOWN), |result| of_constant(result));
            conditions.iter().map(|when| of_constant(&when.result)).chain([others]).reduce(|one, other| common(one?, other?)).flatten()
        }
        _ => int4(expr).map(|_| Type::INT4),
    }
}

/// What comes of such an expression. Of numbers that are too large framesql's int8 has an answer, where PostgreSQL errs.
fn int4(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) => digits.parse().ok(),
            _ => None,
        },
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } => int4(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => int4(expr)?.checked_neg(),
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (int4(left)?, int4(right)?);
            match op {
                BinaryOperator::Plus => left.checked_add(right),
                BinaryOperator::Minus => left.checked_sub(right),
                BinaryOperator::Multiply => left.checked_mul(right),
                BinaryOperator::Divide => left.checked_div(right),
                BinaryOperator::Modulo => left.checked_rem(right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether an expression is a whole number that PostgreSQL takes for an int4.
pub(super) fn is_int4(expr: &Expr) -> bool {
    int4(expr).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse;

    fn types(sql: &str, n_columns: usize) -> Vec<Option<Type>> {
        let written = Written::of_statement(&parse(sql).unwrap()[0]);
        (0..n_columns).map(|at| written.of(at, n_columns).cloned()).collect()
    }

    #[test]
    fn a_column_has_the_type_that_its_text_says() {
        for (sql, expected) in [
            ("SELECT 1", Some(Type::INT4)),
            ("SELECT -(40 + 2) * 3 % 5", Some(Type::INT4)),
            ("SELECT 2147483648", None),
            ("SELECT 2147483647 + 1", None),
            ("SELECT 1 / 0", None),
            ("SELECT 1.5", None),
            ("SELECT a + 1 FROM t", None),
            ("SELECT NULL", None),
            ("SELECT CASE WHEN a THEN 1 ELSE NULL END FROM t", Some(Type::INT4)),
            ("SELECT CASE WHEN a THEN 1 END FROM t", Some(Type::INT4)),
            ("SELECT CASE WHEN a THEN 1 ELSE b END FROM t", None),
            ("SELECT 1 UNION ALL SELECT NULL", Some(Type::INT4)),
            ("SELECT 1 UNION ALL SELECT a FROM t", None),
            ("SELECT 1 UNION ALL SELECT * FROM t", None),
            ("SELECT NULL::text UNION ALL SELECT a FROM t", Some(Type::TEXT)),
            ("SELECT a FROM t UNION ALL SELECT NULL::text", None),
            ("SELECT NULL::name UNION ALL SELECT a FROM t", None),
            ("SELECT s.n FROM generate_series(1, 3) AS s(n), t", Some(Type::INT4)),
            ("SELECT n FROM generate_series(1, 3) AS n", Some(Type::INT4)),
            ("SELECT generate_series(1, 3)", Some(Type::INT4)),
            ("SELECT * FROM generate_series(1, 3)", Some(Type::INT4)),
            ("SELECT * FROM (SELECT 1 AS a) AS t", Some(Type::INT4)),
            ("SELECT * FROM (SELECT 1 AS a) AS t, u", None),
            ("VALUES (1), (NULL)", Some(Type::INT4)),
            ("VALUES (1), (3000000000)", None),
            ("SELECT v.b FROM (VALUES (1)) AS v(b)", Some(Type::INT4)),
            ("SELECT column1 FROM (VALUES (1)) AS v", None),
            ("SELECT n FROM generate_series(1, 3000000000) AS n", None),
            ("SELECT n FROM generate_series(a, 3) AS n", None),
            ("SELECT a::varchar FROM t", Some(Type::VARCHAR)),
            ("SELECT CAST(a AS character varying(3)) FROM t", Some(Type::VARCHAR)),
            ("SELECT a::\"char\" FROM t", Some(Type::CHAR)),
            ("SELECT a::char(2) FROM t", Some(Type::BPCHAR)),
            ("SELECT a::pg_catalog.name FROM t", Some(Type::NAME)),
            ("SELECT a::text[] FROM t", None),
            ("SELECT a FROM (SELECT 1 AS a) AS t", Some(Type::INT4)),
            ("SELECT t.b FROM (SELECT 1) AS t(b), u", Some(Type::INT4)),
            ("SELECT b FROM (SELECT 1 AS b) AS t, u", None),
            ("SELECT a FROM (SELECT 1 AS a) AS t JOIN u USING (a)", None),
            ("WITH t AS (SELECT c::name AS n FROM u) SELECT x.n FROM t AS x", Some(Type::NAME)),
            ("WITH t AS (SELECT n FROM u), u AS (SELECT 1 AS n) SELECT n FROM t", None),
            ("WITH u AS (SELECT 1 AS n), t AS (SELECT n FROM u) SELECT n FROM t", Some(Type::INT4)),
            ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t", None),
        ] {
            assert_eq!(types(sql, 1), [expected], "{sql}");
        }
    }

    #[test]
    fn what_stands_for_a_star_is_of_the_plan() {
        let int4 = Some(Type::INT4);
        assert_eq!(types("SELECT 1, *, 2 FROM t", 4), [int4.clone(), None, None, int4.clone()]);
        assert_eq!(types("SELECT 1, * FROM t", 3), [int4, None, None]);
    }

    #[test]
    fn what_reads_itself_twice_is_left_after_a_while() {
        let step = |at: usize| format!(", t{} AS (SELECT a FROM t{at} UNION ALL SELECT a FROM t{at})", at + 1);
        let sql = format!("WITH t0 AS (SELECT 1 AS a){} SELECT a FROM t60", (0..60).map(step).collect::<String>());
        assert_eq!(types(&sql, 1), [None]);
    }
}
