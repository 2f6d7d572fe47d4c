//! Forms of SQL that Postgres has and DataFusion's planner has not, rewritten by their structure to what it plans.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Select, SelectItem, TableAlias, TableFactor,
    TableWithJoins, Value, VisitorMut,
};

use super::json_forms;
use super::patterns;
use super::quantified;
use super::rewrite::{call, last, null};
use crate::plan::parse::bare_select::query_of;
use crate::wire::catalog::functions::{ACL_ITEMS, REGCLASS_OID, REGTYPES_TEXT};
use crate::wire::catalog::keys::EXPANDED;
use crate::wire::catalog::procedures::PROCEDURE_OID;
use crate::wire::catalog::server::XID_AGE;
use crate::wire::value::typed::{JSON, JSONB, JSONBS, JSONS, UUID, UUIDS};

/// Functions that give rows, each with the one that gives a list.
const ROWS_OF_LISTS: [(&str, &str); 4] = [
    ("generate_subscripts", "generate_subscripts"),
    ("regexp_matches", "regexp_all_matches"),
    ("regexp_split_to_table", "regexp_split_to_array"),
    ("string_to_table", "string_to_array"),
];

fn rows_of_list(function: &str) -> Option<&'static str> {
    ROWS_OF_LISTS.iter().find(|(name, _)| *name == function).map(|(_, list)| *list)
}

/// Expressions and relations of any query.
pub(in crate::wire) struct Forms;

impl VisitorMut for Forms {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // `'name'::regproc::oid`: a function is looked up.
        if let Expr::Cast { expr: inner, data_type: ast::DataType::Custom(to, _), .. } = expr
            && last(to).as_deref() == Some("oid")
            && let Expr::Cast { expr: name, data_type: ast::DataType::Custom(from, _), .. } = inner.as_ref()
            && matches!(last(from).as_deref(), Some("regproc" | "regprocedure"))
            && matches!(name.as_ref(), Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
        {
            *expr = call(PROCEDURE_OID, name.as_ref().clone());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(written) = quantified::rewritten(expr) {
            *expr = written;
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::Cast { expr: inner, data_type, .. } => {
                if let Some(cast) = cast(inner, data_type) {
                    *expr = cast;
                }
            }
            // DataFusion escapes with the backslash only.
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                let escape =
                    escape_char.as_ref().filter(|escape| !matches!(&escape.value, Value::SingleQuotedString(c) if c == "\\")).cloned();
                if let Some(escape) = escape {
                    **pattern = calls("like_escape", vec![pattern.as_ref().clone(), Expr::Value(escape)]);
                    *escape_char = None;
                }
            }
            // `(item).grantee`: a field of a row.
            Expr::CompoundFieldAccess { root, access_chain } if matches!(root.as_ref(), Expr::Nested(_)) => {
                for access in access_chain {
                    if let ast::AccessExpr::Dot(Expr::Identifier(field)) = access {
                        let name = Value::SingleQuotedString(field.value.clone());
                        *access = ast::AccessExpr::Dot(Expr::Value(name.with_empty_span()));
                    }
                }
            }
            // `substring(x FROM 'pattern')`: the first group that a regular expression finds.
            Expr::Substring { expr: text, substring_from: Some(pattern), substring_for: None, .. } if matches!(pattern.as_ref(), Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_))) =>
            {
                let found = calls("regexp_match", vec![text.as_ref().clone(), pattern.as_ref().clone()]);
                let first = Expr::Value(Value::Number("1".into(), false).with_empty_span());
                *expr = calls("array_element", vec![found, first]);
            }
            Expr::Function(function) if last(&function.name).is_some_and(|name| patterns::READERS.contains(&name.as_str())) => {
                if let Some(read) = last(&function.name).and_then(|name| patterns::read(&name, function)) {
                    *expr = read;
                }
            }
            Expr::Function(function) if last(&function.name).as_deref() == Some("to_char") => {
                if let Some(written) = patterns::to_char(function) {
                    *expr = written;
                }
            }
            Expr::Function(function) if last(&function.name).as_deref() == Some("transaction_timestamp") => {
                function.name = ObjectName::from(vec![Ident::new("now")]);
            }
            // `pg_get_viewdef('v')`: a name where there may be an oid.
            Expr::Function(function) if last(&function.name).as_deref() == Some("pg_get_viewdef") => {
                if let FunctionArguments::List(list) = &mut function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first_mut()
                    && matches!(of, Expr::Value(value) if matches!(&value.value, Value::SingleQuotedString(name) if name.parse::<i64>().is_err()))
                {
                    *of = call(REGCLASS_OID, of.clone());
                }
            }
            // `bpchar(x)`: a type's name is its function.
            Expr::Function(function) if last(&function.name).as_deref() == Some("bpchar") => {
                if let FunctionArguments::List(list) = &function.args
                    && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))] = list.args.as_slice()
                {
                    *expr = as_text(of.clone());
                }
            }
            // `age(xmin)`: of moments it is another function.
            Expr::Function(function) if last(&function.name).as_deref() == Some("age") => {
                if let FunctionArguments::List(list) = &function.args
                    && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))] = list.args.as_slice()
                    && is_transaction(of)
                {
                    function.name = ObjectName::from(vec![Ident::new(XID_AGE)]);
                }
            }
            // Functions of rows in a SELECT list.
            Expr::Function(function) if last(&function.name).as_deref() == Some("_pg_expandarray") => {
                function.name = ObjectName::from(vec![Ident::new(EXPANDED)]);
                *expr = call("unnest", expr.clone());
            }
            Expr::Function(function)
                if last(&function.name).is_some_and(|name| json_forms::reads_literals(&name) || json_forms::rows_of(&name).is_some()) =>
            {
                let Some(name) = last(&function.name) else { return ControlFlow::Continue(()) };
                json_forms::read_literals_of(function, &name);
                if let Some((list, _)) = json_forms::rows_of(&name) {
                    function.name = ObjectName::from(vec![Ident::new(list)]);
                    *expr = json_forms::unnested(&name, expr.clone());
                }
            }
            Expr::Function(function) if last(&function.name).is_some_and(|name| rows_of_list(&name).is_some()) => {
                if let Some(list) = last(&function.name).as_deref().and_then(rows_of_list) {
                    function.name = ObjectName::from(vec![Ident::new(list)]);
                    *expr = call("unnest", expr.clone());
                }
            }
            Expr::Function(function) if last(&function.name).as_deref() == Some("aclexplode") => {
                function.name = ObjectName::from(vec![Ident::new(ACL_ITEMS)]);
                *expr = call("unnest", expr.clone());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // Beside nothing else the column of `unnest(…)` is named like the function.
        if let [TableWithJoins { relation: TableFactor::UNNEST { alias: alias @ None, array_exprs, with_ordinality: false, .. }, joins }] =
            select.from.as_mut_slice()
            && joins.is_empty()
            && array_exprs.len() == 1
        {
            *alias = Some(named_column("unnest", "unnest"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<()> {
        without_lateral(relation);
        let TableFactor::Table { name, alias, args: Some(arguments), with_ordinality, .. } = relation else {
            return ControlFlow::Continue(());
        };
        let Some(function) = last(name) else { return ControlFlow::Continue(()) };
        let exprs: Option<Vec<Expr>> = arguments
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            })
            .collect();
        let Some(mut exprs) = exprs else { return ControlFlow::Continue(()) };
        json_forms::read_literals(&function, &mut exprs);
        let (alias, numbered) = (alias.clone(), *with_ordinality);
        let plain = exprs.iter().all(|expr| matches!(expr, Expr::Value(_) | Expr::UnaryOp { .. } | Expr::Interval(_)));
        match function.as_str() {
            "unnest" => *relation = unnest(exprs, alias, numbered),
            _ if numbered && rows_of_list(&function).is_none() && json_forms::rows_of(&function).is_none() => {}
            "string_to_array" | "current_schemas" | "current_schema" | "current_setting" | "version" | "current_database" => {
                *relation = one_row(calls(&function, exprs), &function, alias);
            }
            // Its rows have columns of their own.
            "aclexplode" => {
                let array_exprs = vec![calls(ACL_ITEMS, exprs)];
                *relation = TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality: false };
            }
            // The table function wants literals; the function of arrays takes what is computed.
            "generate_series" if !plain => {
                let alias = alias.or_else(|| Some(named_column("generate_series", "generate_series")));
                *relation = unnest(vec![calls("generate_series", exprs)], alias, false);
            }
            listed if rows_of_list(listed).is_some() => {
                if let Some(list) = rows_of_list(listed) {
                    *relation = unnest(vec![calls(list, exprs)], alias.or_else(|| Some(named_column(listed, listed))), numbered);
                }
            }
            of_json => {
                let Some((list, column)) = json_forms::rows_of(of_json) else { return ControlFlow::Continue(()) };
                // The columns have their own names, but for one that is named by the alias.
                let alias = if column.is_empty() {
                    alias.or_else(|| Some(TableAlias { explicit: true, name: Ident::new(of_json), columns: Vec::new(), at: None }))
                } else {
                    Some(with_column(alias.unwrap_or_else(|| named_column(of_json, column))))
                };
                *relation = match json_forms::of_constant(of_json, &exprs).filter(|_| !numbered) {
                    Some(subquery) => TableFactor::Derived { lateral: false, subquery, alias, sample: None },
                    None => {
                        let array_exprs = vec![calls(list, exprs)];
                        TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality: numbered }
                    }
                };
            }
        }
        ControlFlow::Continue(())
    }
}

/// `LATERAL f(…)` is `f(…)`: a function in FROM reads what stands before it anyway.
fn without_lateral(relation: &mut TableFactor) {
    let TableFactor::Function { lateral: true, name, args, alias, with_ordinality } = relation else { return };
    let arguments = ast::TableFunctionArgs { args: std::mem::take(args), settings: None };
    *relation = TableFactor::Table {
        name: name.clone(),
        alias: alias.take(),
        args: Some(arguments),
        with_hints: Vec::new(),
        version: None,
        with_ordinality: *with_ordinality,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    };
}

fn named_column(table: &str, column: &str) -> TableAlias {
    let columns = vec![ast::TableAliasColumnDef { name: Ident::new(column), data_type: None }];
    TableAlias { explicit: true, name: Ident::new(table), columns, at: None }
}

/// The column of `AS i` is i too.
fn unnest(array_exprs: Vec<Expr>, alias: Option<TableAlias>, with_ordinality: bool) -> TableFactor {
    TableFactor::UNNEST { alias: alias.map(with_column), array_exprs, with_offset: false, with_offset_alias: None, with_ordinality }
}

fn with_column(mut alias: TableAlias) -> TableAlias {
    if alias.columns.is_empty() {
        alias.columns.push(ast::TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
    alias
}

/// Whether an expression is the number of a transaction: a column that is named as the catalogue names them, or the number that stands for one.
fn is_transaction(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        Expr::Cast { expr, data_type: ast::DataType::BigInt(_), .. } => {
            return matches!(expr.as_ref(), Expr::Value(value) if matches!(value.value, Value::Number(..)));
        }
        _ => None,
    };
    name.is_some_and(|name| ["xid", "xmin", "xmax", "mxid"].iter().any(|of| name.value.to_lowercase().ends_with(of)))
}

/// A function of one value in FROM is a relation of one row, whose column is named like it.
fn one_row(value: Expr, function: &str, alias: Option<TableAlias>) -> TableFactor {
    let named = alias.as_ref().map_or_else(|| Ident::new(function), |alias| alias.name.clone());
    let alias = alias.or_else(|| Some(TableAlias { explicit: true, name: named.clone(), columns: Vec::new(), at: None }));
    let select = SelectItem::ExprWithAlias { expr: value, alias: named };
    TableFactor::Derived { lateral: false, subquery: Box::new(query_of(select)), alias, sample: None }
}

/// A call of several arguments.
pub(in crate::wire) fn calls(name: &str, arguments: Vec<Expr>) -> Expr {
    let mut function = call(name, null());
    if let Expr::Function(function) = &mut function
        && let FunctionArguments::List(list) = &mut function.args
    {
        list.args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    }
    function
}

/// A cast to a type that DataFusion has not, or reads otherwise.
fn cast(inner: &Expr, data_type: &ast::DataType) -> Option<Expr> {
    match data_type {
        ast::DataType::Bytea => match inner {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => hexadecimal(text),
                _ => None,
            },
            _ => None,
        },
        ast::DataType::Uuid => Some(call(UUID, inner.clone())),
        ast::DataType::JSONB => Some(call(JSONB, inner.clone())),
        ast::DataType::JSON => Some(call(JSON, inner.clone())),
        // A function's name is all that the catalogue keeps of it.
        ast::DataType::Custom(name, _) if last(name).as_deref() == Some("regproc") => Some(match inner {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => {
                    let bare = text.rsplit('.').next().unwrap_or(text).to_owned();
                    Expr::Value(Value::SingleQuotedString(bare).with_empty_span())
                }
                _ => inner.clone(),
            },
            inner => as_text(inner.clone()),
        }),
        ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, _)) => match element.as_ref() {
            ast::DataType::Custom(name, _) if last(name).as_deref() == Some("regtype") => Some(call(REGTYPES_TEXT, inner.clone())),
            ast::DataType::Uuid => Some(call(UUIDS, inner.clone())),
            ast::DataType::JSONB => Some(call(JSONBS, inner.clone())),
            ast::DataType::JSON => Some(call(JSONS, inner.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// A cast to text.
pub(in crate::wire) fn as_text(expr: Expr) -> Expr {
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(expr), data_type: ast::DataType::Text, array: false, format: None }
}

/// `'\x00ff'::bytea` as a literal of bytes; the other form of bytea, and what is neither, is left to be cast.
fn hexadecimal(text: &str) -> Option<Expr> {
    let digits = text.strip_prefix("\\x")?;
    let whole = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    whole.then(|| Expr::Value(Value::HexStringLiteral(digits.to_owned()).with_empty_span()))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::VisitMut;

    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn forms_of_postgres_become_those_of_datafusion() {
        for (sql, expected) in [
            ("SELECT '\\x00ff'::bytea", "SELECT X'00ff'"),
            ("SELECT '\\xzz'::bytea", "SELECT '\\xzz'::BYTEA"),
            ("SELECT a LIKE 'x/_%' ESCAPE '/'", "SELECT a LIKE like_escape('x/_%', '/')"),
            ("SELECT a LIKE 'x' ESCAPE '\\'", "SELECT a LIKE 'x' ESCAPE '\\'"),
            ("SELECT * FROM generate_series(1, 3) AS s(i)", "SELECT * FROM generate_series(1, 3) AS s (i)"),
            ("SELECT * FROM generate_series(1, n + 1) AS s(i)", "SELECT * FROM UNNEST(generate_series(1, n + 1)) AS s (i)"),
            ("SELECT typinput = 'pg_catalog.array_in'::regproc", "SELECT typinput = 'array_in'"),
        ] {
            let mut query = parse_query(sql).unwrap().query;
            let _ = query.visit(&mut Forms);
            assert_eq!(query.to_string(), expected);
        }
    }
}
