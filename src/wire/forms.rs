//! Forms of SQL that Postgres has and DataFusion's planner has not, rewritten by their structure to what it plans.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Select, SelectItem, SetExpr,
    TableAlias, TableFactor, TableWithJoins, Value, VisitorMut,
};

use super::functions::{ACL_ITEMS, OID_ARRAY, REGTYPES_TEXT};
use super::keys::EXPANDED;
use super::patterns;
use super::procedures::PROCEDURE_OID;
use super::rewrite::{call, last, null, single};
use super::typed::{JSONB, JSONBS, UUID, UUIDS};
use crate::error::Error;

/// Functions that give rows of one JSON value, each with the one that gives a list, and how the column is called in FROM.
const ROWS_OF_JSON: [(&str, &str, &str); 3] = [
    ("_array_elements", "jsonb_elements", "value"),
    ("_array_elements_text", "jsonb_elements_text", "value"),
    ("_object_keys", "jsonb_keys", "jsonb_object_keys"),
];

/// The list's function, and the column's name.
fn rows_of_json(function: &str) -> Option<(&'static str, &'static str)> {
    let of = function.strip_prefix("jsonb").or_else(|| function.strip_prefix("json"))?;
    ROWS_OF_JSON.iter().find(|(name, ..)| *name == of).map(|(_, list, column)| (*list, *column))
}

/// Expressions and relations of any query.
#[derive(Default)]
pub(super) struct Forms {
    /// What it met that cannot be written otherwise.
    pub(super) refused: Option<Error>,
}

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
            Expr::Function(function) if last(&function.name).as_deref() == Some("to_char") => match patterns::to_char(function) {
                Ok(Some(written)) => *expr = written,
                Ok(None) => {}
                Err(error) => self.refused = self.refused.take().or(Some(error)),
            },
            // `bpchar(x)`: a type's name is its function.
            Expr::Function(function) if last(&function.name).as_deref() == Some("bpchar") => {
                if let FunctionArguments::List(list) = &function.args
                    && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))] = list.args.as_slice()
                {
                    *expr = as_text(of.clone());
                }
            }
            // Functions of rows in a SELECT list.
            Expr::Function(function) if last(&function.name).as_deref() == Some("_pg_expandarray") => {
                function.name = ObjectName::from(vec![Ident::new(EXPANDED)]);
                *expr = call("unnest", expr.clone());
            }
            Expr::Function(function) if last(&function.name).is_some_and(|name| rows_of_json(&name).is_some()) => {
                if let Some((list, _)) = last(&function.name).as_deref().and_then(rows_of_json) {
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

    fn pre_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: Some(arguments), .. } = relation else { return ControlFlow::Continue(()) };
        let Some(function) = last(name) else { return ControlFlow::Continue(()) };
        let exprs: Option<Vec<Expr>> = arguments
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            })
            .collect();
        let Some(exprs) = exprs else { return ControlFlow::Continue(()) };
        let alias = alias.clone();
        let plain = exprs.iter().all(|expr| matches!(expr, Expr::Value(_) | Expr::UnaryOp { .. } | Expr::Interval(_)));
        match function.as_str() {
            "unnest" => *relation = unnest(exprs, alias),
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
                *relation = unnest(vec![calls("generate_series", exprs)], alias);
            }
            of_json => {
                if let Some((list, column)) = rows_of_json(of_json) {
                    *relation = unnest(vec![calls(list, exprs)], alias.or_else(|| Some(named_column(of_json, column))));
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn named_column(table: &str, column: &str) -> TableAlias {
    let columns = vec![ast::TableAliasColumnDef { name: Ident::new(column), data_type: None }];
    TableAlias { explicit: true, name: Ident::new(table), columns, at: None }
}

/// The column of `AS i` is i too.
fn unnest(array_exprs: Vec<Expr>, mut alias: Option<TableAlias>) -> TableFactor {
    if let Some(alias) = alias.as_mut().filter(|alias| alias.columns.is_empty()) {
        alias.columns.push(ast::TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
    TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality: false }
}

/// A function of one value in FROM is a relation of one row, whose column is named like it.
fn one_row(value: Expr, function: &str, alias: Option<TableAlias>) -> TableFactor {
    let named = alias.as_ref().map_or_else(|| Ident::new(function), |alias| alias.name.clone());
    let alias = alias.or_else(|| Some(TableAlias { explicit: true, name: named.clone(), columns: Vec::new(), at: None }));
    let select = SelectItem::ExprWithAlias { expr: value, alias: named };
    TableFactor::Derived { lateral: false, subquery: Box::new(query_of(select)), alias, sample: None }
}

fn query_of(item: SelectItem) -> Query {
    let mut query = Query {
        with: None,
        body: Box::new(SetExpr::Values(ast::Values { explicit_row: false, value_keyword: false, rows: Vec::new() })),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    };
    *query.body = SetExpr::Select(Box::new(select_of(item)));
    query
}

/// A SELECT of one thing, from nothing.
pub(super) fn select_of(item: SelectItem) -> Select {
    Select {
        select_token: ast::helpers::attached_token::AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![item],
        exclude: None,
        into: None,
        from: Vec::<TableWithJoins>::new(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: ast::GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: ast::SelectFlavor::Standard,
    }
}

/// A call of several arguments.
pub(super) fn calls(name: &str, arguments: Vec<Expr>) -> Expr {
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
        ast::DataType::JSON | ast::DataType::JSONB => Some(call(JSONB, inner.clone())),
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
            ast::DataType::JSON | ast::DataType::JSONB => Some(call(JSONBS, inner.clone())),
            _ => None,
        },
        _ => None,
    }
}

fn as_text(expr: Expr) -> Expr {
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(expr), data_type: ast::DataType::Text, array: false, format: None }
}

/// `'\x00ff'::bytea` as a literal of bytes; the other form of bytea, and what is neither, is left to be cast.
fn hexadecimal(text: &str) -> Option<Expr> {
    let digits = text.strip_prefix("\\x")?;
    let whole = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    whole.then(|| Expr::Value(Value::HexStringLiteral(digits.to_owned()).with_empty_span()))
}

/// Columns of pg_catalog that hold oids and that clients gather into arrays.
const OIDS: [&str; 8] = ["oid", "atttypid", "attrelid", "typelem", "typarray", "typbasetype", "enumtypid", "indexrelid"];

/// Expressions of a query that reads the catalogue.
pub(super) struct CatalogForms;

impl VisitorMut for CatalogForms {
    type Break = ();

    /// EXISTS is planned in a condition; in a SELECT list it is a number that is not 0.
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
            let _ = ast::visit_expressions_mut(expr, |expr| {
                if let Expr::Exists { subquery, negated } = expr
                    && let SetExpr::Select(select) = subquery.body.as_mut()
                    && select.projection.len() == 1
                {
                    let one = Expr::Value(Value::Number("1".into(), false).with_empty_span());
                    select.projection = vec![SelectItem::UnnamedExpr(call("count", one))];
                    let op = if *negated { ast::BinaryOperator::Eq } else { ast::BinaryOperator::Gt };
                    let zero = Expr::Value(Value::Number("0".into(), false).with_empty_span());
                    let counted = Box::new(Expr::Subquery(subquery.clone()));
                    *expr = Expr::Nested(Box::new(Expr::BinaryOp { left: counted, op, right: Box::new(zero) }));
                }
                ControlFlow::<()>::Continue(())
            });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // An array of oids is one to the client too: drivers look a type up by it.
            Expr::Function(function) if last(&function.name).as_deref() == Some("array_agg") => {
                let oids = match &function.args {
                    FunctionArguments::List(list) => {
                        matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))] if is_oid(of))
                    }
                    _ => false,
                };
                if oids {
                    *expr = call(OID_ARRAY, expr.clone());
                }
            }
            // A look-up in a branch, of what only composite types and domains have: framesql has neither, and DataFusion cannot plan it.
            Expr::Case { conditions, else_result, .. } => {
                for when in conditions.iter_mut() {
                    without_lookup(&mut when.result);
                    single(&mut when.condition);
                }
                if let Some(otherwise) = else_result {
                    without_lookup(otherwise);
                }
                let oids = |of: &Expr| matches!(of, Expr::Function(function) if last(&function.name).as_deref() == Some(OID_ARRAY));
                // A CASE forgets what its branches say of themselves.
                if conditions.iter().any(|when| oids(&when.result)) {
                    *expr = call(OID_ARRAY, expr.clone());
                }
            }
            // A flag may be asked for by its letter.
            Expr::BinaryOp { left, right, .. }
                if column(left).is_some_and(|name| name.starts_with("indis") || name.starts_with("attis")) =>
            {
                if let Expr::Value(value) = right.as_ref()
                    && let Value::SingleQuotedString(letter) = &value.value
                {
                    **right = Expr::Value(Value::Boolean(letter.starts_with('t')).with_empty_span());
                }
            }
            // The vectors of pg_index count from 0, arrays from 1.
            Expr::CompoundFieldAccess { root, access_chain } => {
                let dotted = access_chain.iter().rev().find_map(|access| match access {
                    ast::AccessExpr::Dot(Expr::Identifier(name)) => Some(name.value.to_lowercase()),
                    _ => None,
                });
                if dotted.or_else(|| column(root)).is_some_and(|name| is_vector(&name)) {
                    for access in access_chain {
                        if let ast::AccessExpr::Subscript(ast::Subscript::Index { index }) = access {
                            let one = Expr::Value(Value::Number("1".into(), false).with_empty_span());
                            let before = Box::new(Expr::Nested(Box::new(index.clone())));
                            *index = Expr::BinaryOp { left: before, op: ast::BinaryOperator::Plus, right: Box::new(one) };
                        }
                    }
                }
            }
            // `generate_subscripts(a, 1)` in a SELECT list.
            Expr::Function(function) if last(&function.name).as_deref() == Some("generate_subscripts") => {
                if let FunctionArguments::List(list) = &function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first()
                {
                    let number = |n: &str| Expr::Value(Value::Number(n.to_owned(), false).with_empty_span());
                    let length = Expr::Cast {
                        kind: CastKind::DoubleColon,
                        expr: Box::new(call("cardinality", of.clone())),
                        data_type: ast::DataType::BigInt(None),
                        array: false,
                        format: None,
                    };
                    let vector = column(of).is_some_and(|name| is_vector(&name));
                    let last = Expr::BinaryOp {
                        left: Box::new(length),
                        op: ast::BinaryOperator::Minus,
                        right: Box::new(number(if vector { "1" } else { "0" })),
                    };
                    let series = calls("generate_series", vec![number(if vector { "0" } else { "1" }), last]);
                    *expr = call("unnest", series);
                }
            }
            // Lists of rights that Postgres' own objects do not have here.
            Expr::Function(function) if last(&function.name).as_deref() == Some("array_to_string") => {
                if let FunctionArguments::List(list) = &function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first()
                    && column(of).is_some_and(|name| ["typacl", "proacl", "lanacl", "spcacl"].contains(&name.as_str()))
                {
                    *expr = as_text(null());
                }
            }
            // The catalogue keeps the names of functions; that there is none is `-`, as Postgres shows it.
            Expr::BinaryOp { left, right, .. } if column(left).is_some_and(|name| PROCEDURES.contains(&name.as_str())) => {
                if matches!(right.as_ref(), Expr::Value(value) if matches!(&value.value, Value::Number(number, _) if number == "0")) {
                    **right = Expr::Value(Value::SingleQuotedString("-".to_owned()).with_empty_span());
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Columns of pg_index that are vectors, perhaps under a name that says so.
fn is_vector(name: &str) -> bool {
    ["indkey", "indoption", "indclass", "indcollation"].iter().any(|vector| name.ends_with(vector))
}

/// Columns of pg_type that name functions.
const PROCEDURES: [&str; 7] = ["typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typanalyze"];

/// The column that an expression is, lower case.
pub(super) fn column(expr: &Expr) -> Option<String> {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    name.map(|name| name.value.to_lowercase())
}

fn is_oid(expr: &Expr) -> bool {
    column(expr).is_some_and(|name| OIDS.contains(&name.as_str()))
}

fn without_lookup(expr: &mut Expr) {
    let Expr::Subquery(query) = expr else { return };
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let [SelectItem::UnnamedExpr(of) | SelectItem::ExprWithAlias { expr: of, .. }] = select.projection.as_slice() else { return };
    let Expr::Function(function) = of else {
        if query.with.is_some() {
            *expr = Expr::Cast {
                kind: CastKind::DoubleColon,
                expr: Box::new(null()),
                data_type: ast::DataType::Integer(None),
                array: false,
                format: None,
            };
        }
        return;
    };
    let texts = || ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(ast::DataType::Text), None));
    match last(&function.name).as_deref() {
        Some(OID_ARRAY) => *expr = call(OID_ARRAY, null()),
        Some("json_build_object" | "jsonb_build_object") => *expr = as_text(null()),
        Some("array_agg") => {
            *expr = Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(null()), data_type: texts(), array: false, format: None };
        }
        _ => {}
    }
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
            let _ = query.visit(&mut Forms::default());
            assert_eq!(query.to_string(), expected);
        }
    }
}
