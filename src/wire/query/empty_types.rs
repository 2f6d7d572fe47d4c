//! The types of columns that are not planned because they have no rows: read from what stands there, as Postgres would find them.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Select, SelectItem, SetExpr, TableFactor, UnaryOperator,
    Value,
};
use pgwire::api::Type;

use super::look_ups::column;
use super::rewrite::{call, last};
use crate::plan::column_names as names;
use crate::wire::value::column_types::NULL_OF;
use crate::wire::value::columns;

/// The columns of the relations of the catalogue, and their types.
#[derive(Debug, Default)]
pub(in crate::wire) struct CatalogTypes {
    relations: BTreeMap<String, Vec<(String, Type)>>,
    /// By the name of a column: in the catalogue a name says what it is of.
    columns: HashMap<String, Type>,
}

/// Views that were not brought: nothing is locked, and nothing is prepared to be committed.
const VIEWS: [(&str, &[(&str, Type)]); 2] = [
    (
        "pg_locks",
        &[
            ("locktype", Type::TEXT),
            ("database", Type::OID),
            ("relation", Type::OID),
            ("page", Type::INT4),
            ("tuple", Type::INT2),
            ("virtualxid", Type::TEXT),
            ("transactionid", Type::XID),
            ("classid", Type::OID),
            ("objid", Type::OID),
            ("objsubid", Type::INT2),
            ("virtualtransaction", Type::TEXT),
            ("pid", Type::INT4),
            ("mode", Type::TEXT),
            ("granted", Type::BOOL),
            ("fastpath", Type::BOOL),
            ("waitstart", Type::TIMESTAMPTZ),
        ],
    ),
    (
        "pg_prepared_xacts",
        &[
            ("transaction", Type::XID),
            ("gid", Type::TEXT),
            ("prepared", Type::TIMESTAMPTZ),
            ("owner", Type::NAME),
            ("database", Type::NAME),
        ],
    ),
];

impl CatalogTypes {
    /// Of the relations with their schemas.
    pub(in crate::wire) fn of(relations: impl Iterator<Item = (String, SchemaRef)>) -> CatalogTypes {
        let views = VIEWS.into_iter().map(|(name, columns)| {
            (name.to_owned(), columns.iter().map(|(name, data_type)| ((*name).to_owned(), data_type.clone())).collect::<Vec<_>>())
        });
        let brought = relations.map(|(name, schema)| {
            (name, schema.fields().iter().map(|field| (field.name().clone(), columns::of_field(field))).collect::<Vec<_>>())
        });
        let relations: BTreeMap<_, _> = brought.chain(views).collect();
        let columns = relations.values().flatten().cloned().collect();
        CatalogTypes { relations, columns }
    }

    /// The columns of all relations of a FROM clause without joins; None if one is not known.
    pub(in crate::wire) fn star(&self, select: &Select) -> Option<Vec<&(String, Type)>> {
        let columns =
            |table: &ast::TableWithJoins| table.joins.is_empty().then(|| self.relation(&table.relation).map(|(_, columns)| columns));
        let all = select.from.iter().map(|table| columns(table).flatten()).collect::<Option<Vec<_>>>()?;
        Some(all.into_iter().flatten().collect())
    }

    /// The columns of a relation of a FROM clause, by the name that it has there.
    pub(in crate::wire) fn wildcard(&self, of: &str, select: &Select) -> Option<&[(String, Type)]> {
        factors(select).filter_map(|factor| self.relation(factor)).find(|(known, _)| known == of).map(|(_, columns)| columns)
    }

    /// A relation of the catalogue, and the name that it has in a FROM clause.
    fn relation(&self, factor: &TableFactor) -> Option<(String, &[(String, Type)])> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
        let relation = last(name)?;
        let columns = self.relations.get(&relation)?;
        Some((alias.as_ref().map_or(relation, |alias| alias.name.value.to_lowercase()), columns))
    }

    /// A column of one of the relations of a FROM clause.
    fn column(&self, expr: &Expr, select: &Select) -> Option<Type> {
        let name = column(expr)?;
        let of = match expr {
            Expr::CompoundIdentifier(parts) => parts.iter().rev().nth(1).map(|of| of.value.to_lowercase()),
            _ => None,
        };
        let here = factors(select).filter_map(|factor| self.relation(factor)).filter(|(known, _)| of.as_ref().is_none_or(|of| of == known));
        let found = here.flat_map(|(_, columns)| columns).find(|(known, _)| *known == name).map(|(_, data_type)| data_type.clone());
        // It may be one of a query around it.
        found.or_else(|| series(of.as_deref(), select)).or_else(|| self.columns.get(&name).cloned())
    }

    /// The type of a subquery that gives one value; None where nothing tells.
    pub(super) fn of_subquery(&self, query: &ast::Query) -> Option<Type> {
        let SetExpr::Select(inner) = query.body.as_ref() else { return None };
        self.find(of_item(inner.projection.first()?)?, inner)
    }

    /// The type of an expression of a SELECT; None where nothing tells.
    pub(in crate::wire) fn find(&self, expr: &Expr, select: &Select) -> Option<Type> {
        match expr {
            Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => self.find(inner, select),
            Expr::Cast { data_type, .. } => of_sql(data_type),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                let name = column(expr)?;
                inner_column(&name, select).and_then(|(of, inner)| self.find(of, inner)).or_else(|| self.column(expr, select))
            }
            Expr::BinaryOp { op, left, .. } => match op {
                BinaryOperator::StringConcat => Some(Type::TEXT),
                BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
                | BinaryOperator::BitwiseAnd
                | BinaryOperator::BitwiseOr
                | BinaryOperator::PGBitwiseXor
                | BinaryOperator::PGBitwiseShiftLeft
                | BinaryOperator::PGBitwiseShiftRight => self.find(left, select),
                BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
                | BinaryOperator::And
                | BinaryOperator::Or
                | BinaryOperator::PGRegexMatch
                | BinaryOperator::PGRegexIMatch
                | BinaryOperator::PGRegexNotMatch
                | BinaryOperator::PGRegexNotIMatch
                | BinaryOperator::PGLikeMatch
                | BinaryOperator::PGILikeMatch
                | BinaryOperator::PGNotLikeMatch
                | BinaryOperator::PGNotILikeMatch
                | BinaryOperator::PGCustomBinaryOperator(_) => Some(Type::BOOL),
                _ => None,
            },
            Expr::UnaryOp { op: UnaryOperator::Not, .. }
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Exists { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. } => Some(Type::BOOL),
            Expr::Value(value) => match &value.value {
                Value::Number(..) => Some(Type::INT4),
                Value::Boolean(_) => Some(Type::BOOL),
                _ => None,
            },
            Expr::Case { conditions, else_result, .. } => {
                conditions.iter().find_map(|when| self.find(&when.result, select)).or_else(|| self.find(else_result.as_ref()?, select))
            }
            Expr::Subquery(query) => self.of_subquery(query),
            Expr::Function(function) => self.of_function(function, select),
            _ => None,
        }
    }

    fn of_function(&self, function: &ast::Function, select: &Select) -> Option<Type> {
        let first = match &function.args {
            FunctionArguments::List(list) => list.args.first(),
            // ARRAY(SELECT …).
            FunctionArguments::Subquery(query) => {
                return self.of_subquery(query).and_then(|of| array_of(&of));
            }
            FunctionArguments::None => None,
        };
        let first = || match first? {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(of)) => self.find(of, select),
            _ => None,
        };
        match last(&function.name)?.as_str() {
            "count" => Some(Type::INT8),
            "bool_and" | "bool_or" | "every" => Some(Type::BOOL),
            "generate_subscripts" | "array_length" | "array_upper" | "array_lower" | "col_count" => Some(Type::INT4),
            "json_build_object" | "json_agg" | "row_to_json" => Some(Type::JSON),
            "pg_get_userbyid" | "current_database" | "current_user" => Some(Type::NAME),
            "array_agg" => first().and_then(|of| array_of(&of)),
            "unnest" => first().and_then(|array| columns::element_of(&array)),
            "coalesce" | "nullif" | "max" | "min" | "sum" => first(),
            _ => None,
        }
    }
}

/// NULL of that type.
pub(in crate::wire) fn null_of(data_type: &Type) -> Expr {
    call(NULL_OF, Expr::Value(Value::Number(data_type.oid().to_string(), false).with_empty_span()))
}

fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select.from.iter().flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)))
}

/// The numbers of `generate_series(…) AS s(n)`.
fn series(of: Option<&str>, select: &Select) -> Option<Type> {
    let called = |factor: &TableFactor| match factor {
        TableFactor::Table { name, alias: Some(alias), args: Some(_), .. } => {
            last(name).as_deref() == Some("generate_series") && of.is_some_and(|of| alias.name.value.eq_ignore_ascii_case(of))
        }
        _ => false,
    };
    factors(select).any(called).then_some(Type::INT4)
}

fn of_item(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// What a column of a subquery is computed by.
fn inner_column<'a>(name: &str, select: &'a Select) -> Option<(&'a Expr, &'a Select)> {
    factors(select).find_map(|factor| {
        let TableFactor::Derived { subquery, .. } = factor else { return None };
        let SetExpr::Select(inner) = subquery.body.as_ref() else { return None };
        let found = inner.projection.iter().find(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.value.eq_ignore_ascii_case(name),
            SelectItem::UnnamedExpr(expr) => names::of_expr(expr) == name,
            _ => false,
        })?;
        // A column that only passes through is looked for further inside.
        Some((of_item(found)?, inner.as_ref()))
    })
}

/// The type that SQL names.
fn of_sql(data_type: &ast::DataType) -> Option<Type> {
    if let ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, _)) = data_type {
        return of_sql(element).and_then(|element| array_of(&element));
    }
    named(&names::of_type(data_type))
}

/// The array type of any type, as the catalogue calls it.
fn array_of(element: &Type) -> Option<Type> {
    named(&format!("_{}", element.name()))
}

fn named(name: &str) -> Option<Type> {
    (16..LAST).filter_map(Type::from_oid).find(|known| known.name() == name)
}

/// The last oid of the types that Postgres brings.
const LAST: u32 = 5100;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn a_column_has_the_type_that_it_would_have_with_rows() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("polpermissive", arrow::datatypes::DataType::Boolean, true),
            Field::new("polnumber", arrow::datatypes::DataType::Int16, true),
        ]));
        let types = CatalogTypes::of(std::iter::once(("pg_policy".to_owned(), schema)));
        for (sql, expected) in [
            ("SELECT polpermissive FROM pg_policy", Type::BOOL),
            ("SELECT p.polnumber FROM pg_policy p", Type::INT2),
            ("SELECT polnumber = 1 FROM pg_policy", Type::BOOL),
            ("SELECT 'd' = any(x) FROM pg_policy", Type::BOOL),
            ("SELECT x::regclass FROM pg_policy", Type::REGCLASS),
            ("SELECT x::text[] FROM pg_policy", Type::TEXT_ARRAY),
            ("SELECT CASE WHEN y THEN NULL ELSE 1 END FROM pg_policy", Type::INT4),
            ("SELECT count(*) FROM pg_policy", Type::INT8),
            ("SELECT s.n FROM (SELECT polnumber AS n FROM pg_policy) s", Type::INT2),
            ("SELECT pg_get_expr(a, b) FROM pg_policy", Type::TEXT),
        ] {
            let query = parse_query(sql).unwrap().query;
            let SetExpr::Select(select) = query.body.as_ref() else { panic!("{sql}") };
            assert_eq!(types.find(of_item(&select.projection[0]).unwrap(), select).unwrap_or(Type::TEXT), expected, "{sql}");
        }
        let query = parse_query("SELECT p.* FROM pg_policy p").unwrap().query;
        let SetExpr::Select(select) = query.body.as_ref() else { panic!("a SELECT") };
        assert_eq!(types.wildcard("p", select).map(<[_]>::len), Some(2));
    }
}
