//! Queries as Postgres clients write them to queries as DataFusion plans them, by their structure and never by their text.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query, Select,
    SelectItem, SetExpr, Statement, TableFactor, Value, VisitMut, VisitorMut,
};
use datafusion_pg_catalog::sql::rules::{self, SqlStatementRewriteRule};

use super::arrays::nested;
use super::distinct::DistinctOn;
use super::empty::{Emptied, There, aggregates, plain_groups};
use super::empty_types::CatalogTypes;
use super::forms::{Forms, calls};
use super::look_ups::CatalogForms;
use super::order::Ordered;
use super::system_columns::SystemColumns;
use crate::engine::relation::elements;
use crate::error::{Error, Result};
use crate::plan::column_names as names;
use crate::plan::parse::bare_select::query_of;
use crate::wire::catalog::defaults::Lookups;
use crate::wire::catalog::functions::{REGCLASS_OID, REGCLASS_TEXT, REGNAMESPACE_TEXT, REGTYPE_OID};
use crate::wire::catalog::relations;

/// Rewrites a query; `there` says what tables have, `types` what the catalogue's columns are of. Errs for an array that cannot be
/// read (22P02).
pub(in crate::wire) fn rewrite(
    mut query: Box<Query>,
    there: impl Fn() -> There,
    types: impl Fn() -> Arc<CatalogTypes>,
) -> Result<Box<Query>> {
    let mut reader = Reader::default();
    let _ = ast::Visit::visit(&query, &mut reader);
    if reader.catalog {
        let _ = query.visit(&mut Qualified);
        let _ = query.visit(&mut SystemColumns);
        // First, as it removes what the others could not read.
        let _ = query.visit(&mut Lookups);
        let _ = query.visit(&mut Emptied::new(there(), &types()));
        let _ = query.visit(&mut Single);
        let _ = query.visit(&mut DistinctOn);
        let _ = query.visit(&mut CatalogForms);
    }
    let _ = query.visit(&mut Arrays { catalog: reader.catalog });
    let _ = query.visit(&mut Ordered);
    let _ = query.visit(&mut Forms);
    let mut types = Types::default();
    let _ = query.visit(&mut types);
    if let Some(error) = types.refused {
        return Err(error);
    }
    let mut statement = Statement::Query(query);
    let always: [&dyn SqlStatementRewriteRule; 9] = [
        &rules::ResolveUnqualifiedIdentifier,
        &rules::RewriteArrayAnyAllOperation,
        &rules::PrependUnqualifiedPgTableName,
        &rules::StripCallableQualifier,
        &rules::FixArrayLiteral,
        &rules::CurrentUserVariableToSessionUserFunctionCall,
        &rules::StripCollate,
        &rules::RewritePgCatalogOperator,
        &rules::RewriteRegCastToSubquery::new(),
    ];
    for rule in always {
        statement = rule.rewrite(statement);
    }
    if reader.catalog {
        // It makes NULL of what it does not understand: a user's own query must fail instead.
        statement = rules::RemoveSubqueryFromProjection.rewrite(statement);
    }
    let Statement::Query(query) = statement else { return Err(Error::Internal("a query was rewritten to something else".into())) };
    Ok(query)
}

/// Finds out whether a query reads the catalogue.
#[derive(Default)]
struct Reader {
    catalog: bool,
}

impl ast::Visitor for Reader {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.catalog |= last(relation).is_some_and(|name| name.starts_with("pg_"));
        ControlFlow::Continue(())
    }
}

pub(in crate::wire) fn last(name: &ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(|ident| ident.value.to_lowercase())
}

pub(in crate::wire) fn null() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}

pub(in crate::wire) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Relations of pg_catalog are found without its name.
struct Qualified;

impl VisitorMut for Qualified {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if relation.0.len() == 1 && last(relation).is_some_and(|name| relations::names().any(|known| known == name)) {
            relation.0.insert(0, ast::ObjectNamePart::Identifier(Ident::new("pg_catalog")));
        }
        ControlFlow::Continue(())
    }
}

/// `ARRAY(SELECT …)` is an aggregate of a subquery.
struct Arrays {
    /// Whether it is of the catalogue.
    catalog: bool,
}

impl VisitorMut for Arrays {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let FunctionArguments::Subquery(query) = &mut function.args else { return ControlFlow::Continue(()) };
        if last(&function.name).as_deref() != Some("array") {
            return ControlFlow::Continue(());
        }
        // psql unpacks the options of relations so, and no relation has any.
        if self.catalog
            && let SetExpr::Select(select) = query.body.as_ref()
            && let [table] = select.from.as_slice()
            && matches!(&table.relation, TableFactor::Table { name, args: Some(_), .. } if last(name).as_deref() == Some("unnest"))
        {
            *expr = null();
            return ControlFlow::Continue(());
        }
        let limited = query.limit_clause.is_some() || query.fetch.is_some();
        let plain = !limited && matches!(query.body.as_ref(), SetExpr::Select(select) if select.distinct.is_none() && plain_groups(select));
        if let SetExpr::Select(select) = query.body.as_mut()
            && let [SelectItem::UnnamedExpr(of) | SelectItem::ExprWithAlias { expr: of, .. }] = select.projection.as_mut_slice()
        {
            // The rows of a function are its array.
            if let Expr::Function(rows) = of
                && select.from.is_empty()
                && last(&rows.name).as_deref() == Some("generate_series")
            {
                // Inside a call it is an array: alone it would give rows.
                *expr = calls("coalesce", vec![of.clone(), calls("make_array", Vec::new())]);
                return ControlFlow::Continue(());
            }
            if !plain {
                *expr = or_none(of_rows(query));
                return ControlFlow::Continue(());
            }
            *of = gathered(of.clone(), query.order_by.take());
            *expr = or_none(query.as_ref().clone());
        } else if matches!(query.body.as_ref(), SetExpr::SetOperation { .. } | SetExpr::Values(_) | SetExpr::Query(_)) {
            *expr = or_none(of_rows(query));
        }
        ControlFlow::Continue(())
    }
}

/// Of no rows it is an empty array, where the aggregate is NULL.
fn or_none(aggregate: Query) -> Expr {
    calls("coalesce", vec![Expr::Subquery(Box::new(aggregate)), calls("make_array", Vec::new())])
}

/// The values of a query that is more than one plain SELECT, in its order where that is an order of the values; what LIMIT lets through comes in its own.
fn of_rows(query: &Query) -> Query {
    const ROWS: &str = "framesql_array";
    const VALUE: &str = "framesql_value";
    let value = Expr::CompoundIdentifier(vec![Ident::new(ROWS), Ident::new(VALUE)]);
    let selected = match query.body.as_ref() {
        SetExpr::Select(select) => match select.projection.as_slice() {
            [SelectItem::UnnamedExpr(of)] => vec![of.clone()],
            [SelectItem::ExprWithAlias { expr, alias }] => vec![expr.clone(), Expr::Identifier(alias.clone())],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let is_value = |by: &Expr| selected.contains(by) || matches!(by, Expr::Value(place) if matches!(place.value, Value::Number(..)));
    let order = query.order_by.clone().and_then(|order| match order.kind {
        ast::OrderByKind::Expressions(by) if by.iter().all(|by| is_value(&by.expr)) => {
            let by = by.into_iter().map(|by| ast::OrderByExpr { expr: value.clone(), ..by }).collect();
            Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(by), interpolate: None })
        }
        _ => None,
    });
    let mut outer = query_of(SelectItem::UnnamedExpr(gathered(value, order)));
    if let SetExpr::Select(select) = outer.body.as_mut() {
        let column = ast::TableAliasColumnDef { name: Ident::new(VALUE), data_type: None };
        let alias = Some(ast::TableAlias { explicit: true, name: Ident::new(ROWS), columns: vec![column], at: None });
        let relation = TableFactor::Derived { lateral: false, subquery: Box::new(query.clone()), alias, sample: None };
        select.from = vec![ast::TableWithJoins { relation, joins: Vec::new() }];
    }
    outer
}

/// The values as an array, in that order; a place in the SELECT list is the only value there.
fn gathered(of: Expr, order: Option<ast::OrderBy>) -> Expr {
    let mut aggregate = call("array_agg", of.clone());
    if let Some(ast::OrderByKind::Expressions(mut order)) = order.map(|order| order.kind)
        && let Expr::Function(function) = &mut aggregate
        && let FunctionArguments::List(list) = &mut function.args
    {
        for by in &mut order {
            if matches!(&by.expr, Expr::Value(value) if matches!(value.value, Value::Number(..))) {
                by.expr = of.clone();
            }
        }
        list.clauses.push(ast::FunctionArgumentClause::OrderBy(order));
    }
    aggregate
}

pub(in crate::wire) fn call(name: &str, argument: Expr) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A subquery in a condition looks up one row by its oid: DataFusion wants that to be seen.
struct Single;

impl VisitorMut for Single {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let Some(selection) = &mut select.selection else { return ControlFlow::Continue(()) };
        single(selection);
        ControlFlow::Continue(())
    }
}

/// Makes the subqueries of a condition aggregates of the one row that they look up.
pub(in crate::wire) fn single(condition: &mut Expr) {
    let _ = ast::visit_expressions_mut(condition, |expr| {
        if let Expr::Subquery(query) = expr
            && let SetExpr::Select(select) = query.body.as_mut()
            && query.limit_clause.is_none()
            && plain_groups(select)
            && !aggregates(select)
            && let [SelectItem::UnnamedExpr(of) | SelectItem::ExprWithAlias { expr: of, .. }] = select.projection.as_mut_slice()
        {
            *of = call("max", of.clone());
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Types that only Postgres has: oids are integers, names are text, and an oid that is shown as a name is looked up.
#[derive(Default)]
struct Types {
    /// How many queries stand around what is visited.
    depth: usize,
    /// What cannot be read.
    refused: Option<Error>,
}

/// `regclass` and its like.
fn alias_of(data_type: &ast::DataType) -> Option<String> {
    match data_type {
        ast::DataType::Regclass => Some("regclass".to_owned()),
        ast::DataType::Custom(name, _) => {
            last(name).filter(|name| matches!(name.as_str(), "oid" | "xid" | "cid") || name.starts_with("reg"))
        }
        _ => None,
    }
}

/// What a type of pg_catalog is without its schema.
fn plain(data_type: &ast::DataType) -> Option<ast::DataType> {
    let ast::DataType::Custom(name, arguments) = data_type else { return None };
    if !arguments.is_empty() {
        return None;
    }
    Some(match last(name)?.as_str() {
        "text" | "name" | "varchar" | "bpchar" | "char" | "aclitem" | "int2vector" | "oidvector" | "citext" => ast::DataType::Text,
        "bool" | "boolean" => ast::DataType::Boolean,
        "int2" => ast::DataType::SmallInt(None),
        "int4" => ast::DataType::Integer(None),
        "int8" => ast::DataType::BigInt(None),
        "float4" => ast::DataType::Real,
        "float8" => ast::DataType::DoublePrecision,
        "timestamptz" => ast::DataType::Timestamp(None, ast::TimezoneInfo::WithTimeZone),
        _ => return None,
    })
}

/// A name as text, or a parameter, which may be one.
fn name_in(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::SingleQuotedString(_) | Value::Placeholder(_)).then_some(expr),
        Expr::Nested(inner) => name_in(inner),
        _ => None,
    }
}

/// The oid behind a name that is cast to such a type, where a function finds it.
fn named_oid(alias: &str, name: &Expr) -> Option<Expr> {
    match alias {
        "regclass" => Some(call(REGCLASS_OID, name.clone())),
        "regtype" => Some(call(REGTYPE_OID, name.clone())),
        _ => None,
    }
}

/// The type whose values a function gives.
fn alias_of_call(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(function) = expr else { return None };
    match last(&function.name)?.as_str() {
        "to_regclass" => Some("regclass"),
        "to_regtype" => Some("regtype"),
        _ => None,
    }
}

/// What a value that is cast to one of these types is shown as; of a name only where `names`.
fn shown_cast(data_type: &ast::DataType, of: &Expr, names: bool) -> Option<Expr> {
    let alias = alias_of(data_type)?;
    match name_in(of) {
        Some(name) => shown(&alias, named_oid(&alias, name).filter(|_| names)?),
        None => shown(&alias, of.clone()),
    }
}

fn shown(alias: &str, oid: Expr) -> Option<Expr> {
    match alias {
        "regclass" => Some(call(REGCLASS_TEXT, oid)),
        "regtype" => Some(call("format_type", oid)),
        "regnamespace" => Some(call(REGNAMESPACE_TEXT, oid)),
        "regrole" => Some(call("pg_get_userbyid", oid)),
        _ => None,
    }
}

impl VisitorMut for Types {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                let name = names::of_expr(expr);
                // In a subquery a name stands for the oid that others are compared with; in the answer it is read.
                let answer = self.depth == 1;
                let text = match expr {
                    Expr::Cast { expr: of, data_type, .. } => shown_cast(data_type, of, answer),
                    other => alias_of_call(other).filter(|_| answer).and_then(|alias| shown(alias, other.clone())),
                };
                let Some(text) = text else { continue };
                *item = match item {
                    SelectItem::ExprWithAlias { alias, .. } => SelectItem::ExprWithAlias { expr: text, alias: alias.clone() },
                    _ => SelectItem::ExprWithAlias { expr: text, alias: quoted(&name) },
                };
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { expr: inner, data_type, .. } = expr {
            if let ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, _)) = data_type {
                if alias_of(element).is_some() {
                    **element = ast::DataType::Integer(None);
                } else if let Some(text) = plain(element) {
                    **element = text;
                }
                // The rule for literals reads no NULL, no quotes and nothing but numbers and texts.
                if let Expr::Value(literal) = inner.as_ref()
                    && let Value::SingleQuotedString(text) = &literal.value
                {
                    if let Some(items) = elements(text) {
                        let item = |item: Option<String>| item.map_or(Value::Null, Value::SingleQuotedString).with_empty_span();
                        let elem = items.into_iter().map(|one| Expr::Value(item(one))).collect();
                        **inner = Expr::Array(ast::Array { elem, named: true });
                    } else if let Some((array, depth)) = nested(text) {
                        **inner = array;
                        for _ in 1..depth {
                            let within = std::mem::replace(element.as_mut(), ast::DataType::Text);
                            **element = ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(within), None));
                        }
                    } else {
                        let message = format!("malformed array literal: \"{text}\"");
                        self.refused = self.refused.take().or(Some(Error::Encode { code: "22P02", message }));
                    }
                }
                return ControlFlow::Continue(());
            }
            if let Some(builtin) = plain(data_type) {
                *data_type = builtin;
            }
            let text = matches!(data_type, ast::DataType::Text | ast::DataType::Varchar(_));
            let shown = match inner.as_ref() {
                Expr::Cast { expr: of, data_type: alias, .. } => shown_cast(alias, of, true),
                other => alias_of_call(other).and_then(|alias| shown(alias, other.clone())),
            };
            if let Some(shown) = shown.filter(|_| text) {
                *expr = shown;
                return ControlFlow::Continue(());
            }
            // A parameter is a name, or an oid as text.
            let name = name_in(inner);
            if let Some(oid) = alias_of(data_type).zip(name).and_then(|(alias, name)| named_oid(&alias, name)) {
                *expr = oid;
                return ControlFlow::Continue(());
            }
            // A name is looked up by a rule that knows the catalogue; a number is a number.
            let named = name.is_some() && alias_of(data_type).is_some_and(|alias| alias.starts_with("reg"));
            if !named && alias_of(data_type).is_some() {
                *data_type = ast::DataType::Integer(None);
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse_query;

    fn rewritten(sql: &str) -> String {
        rewrite(parse_query(sql).unwrap().query, There::default, Arc::default).unwrap().to_string()
    }

    #[test]
    fn a_relation_without_rows_gives_none() {
        assert_eq!(
            rewritten("SELECT polname, 'd' = any(stxkind) AS d FROM pg_catalog.pg_policy, pg_class"),
            "SELECT pg_null_of(25) AS \"polname\", pg_null_of(16) AS d WHERE false"
        );
        assert!(rewritten("SELECT count(*) FROM pg_policy").contains("FROM pg_catalog.pg_policy"));
        assert!(rewritten("SELECT relname FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid").contains("pg_index"));
        assert!(rewritten("SELECT (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid) FROM pg_class c").contains("SELECT 0 "));
    }

    #[test]
    fn a_name_is_shown_and_compared_by_its_oid() {
        for (sql, expected) in [
            ("SELECT 't'::regclass", "SELECT pg_regclass_text(pg_regclass_oid('t')) AS \"regclass\""),
            ("SELECT 't'::regclass::text AS t", "SELECT pg_regclass_text(pg_regclass_oid('t')) AS t"),
            ("SELECT 't'::regclass::oid", "SELECT pg_regclass_oid('t')::INTEGER"),
            ("SELECT a FROM b WHERE c = 'int4'::regtype", "SELECT a FROM b WHERE c = pg_regtype_oid('int4')"),
            ("SELECT a FROM b WHERE c IN (SELECT 't'::regclass)", "SELECT a FROM b WHERE c IN (SELECT pg_regclass_oid('t'))"),
            ("SELECT to_regclass('t')", "SELECT pg_regclass_text(to_regclass('t')) AS \"to_regclass\""),
            ("SELECT to_regclass('t') IS NULL", "SELECT to_regclass('t') IS NULL"),
            ("SELECT a::regclass FROM b", "SELECT pg_regclass_text(a) AS \"a\" FROM b"),
        ] {
            assert_eq!(rewritten(sql), expected);
        }
    }

    #[test]
    fn a_users_correlated_subquery_is_left_alone() {
        let sql = "SELECT (SELECT max(x) FROM b WHERE b.id = a.id) FROM a";
        assert_eq!(rewritten(sql), sql);
    }
}
