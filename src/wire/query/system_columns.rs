//! The columns that each relation of Postgres has without saying so: xmin, ctid, tableoid. Those of the catalogue tell tools what has changed; here nothing
//! tells a row's age, so all of them are old.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, Ident, Select, SelectItem, TableFactor, TableWithJoins, Value, VisitorMut, visit_expressions_mut,
};

use super::rewrite::{call, last, quoted};
use crate::wire::catalog::functions::REGCLASS_OID;

/// The columns.
const COLUMNS: [&str; 6] = ["xmin", "xmax", "cmin", "cmax", "ctid", "tableoid"];

/// A relation that lists one of them among its own.
const OWN: [(&str, &str); 1] = [("pg_replication_slots", "xmin")];

/// Puts their values in the place of such columns of relations of the catalogue.
pub(super) struct SystemColumns;

impl VisitorMut for SystemColumns {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let factors: Vec<Option<(String, String)>> = select.from.iter().flat_map(joined).map(of_catalogue).collect();
        // A bare name is the column of the one relation that is read; beside others, it may be theirs.
        let alone = match factors.as_slice() {
            [Some((_, relation))] if !asks(select) => Some(relation.clone()),
            _ => None,
        };
        let relations: Vec<(String, String)> = factors.into_iter().flatten().collect();
        if relations.is_empty() {
            return ControlFlow::Continue(());
        }
        let value = |expr: &Expr| -> Option<(String, Expr)> {
            let (relation, name) = match expr {
                Expr::CompoundIdentifier(parts) => {
                    let [.., of, name] = parts.as_slice() else { return None };
                    let of = folded(of);
                    (relations.iter().find(|(known, _)| *known == of).map(|(_, relation)| relation)?, folded(name))
                }
                Expr::Identifier(name) => (alone.as_ref()?, folded(name)),
                _ => return None,
            };
            Some((name.clone(), value_of(relation, &name)?))
        };
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && let Some((name, value)) = value(expr)
            {
                *item = SelectItem::ExprWithAlias { expr: value, alias: quoted(&name) };
            }
        }
        let _ = visit_expressions_mut(select, |expr| {
            if let Some((_, value)) = value(expr) {
                *expr = value;
            }
            ControlFlow::<()>::Continue(())
        });
        ControlFlow::Continue(())
    }
}

fn joined(table: &TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation))
}

/// Under what name a relation of the catalogue is read, and its own.
fn of_catalogue(factor: &TableFactor) -> Option<(String, String)> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let relation = last(name).filter(|name| name.starts_with("pg_"))?;
    Some((alias.as_ref().map_or_else(|| relation.clone(), |alias| folded(&alias.name)), relation))
}

fn asks(select: &Select) -> bool {
    ast::visit_expressions(select, |expr| match expr {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

fn value_of(relation: &str, column: &str) -> Option<Expr> {
    if !COLUMNS.contains(&column) || OWN.contains(&(relation, column)) {
        return None;
    }
    let text = |text: String| Expr::Value(Value::SingleQuotedString(text).with_empty_span());
    Some(match column {
        "ctid" => text("(0,0)".to_owned()),
        "tableoid" => call(REGCLASS_OID, text(format!("pg_catalog.{relation}"))),
        _ => Expr::Cast {
            kind: CastKind::DoubleColon,
            expr: Box::new(Expr::Value(Value::Number("0".to_owned(), false).with_empty_span())),
            data_type: ast::DataType::BigInt(None),
            array: false,
            format: None,
        },
    })
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::VisitMut;

    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn they_are_those_of_the_catalogue_only() {
        for (sql, expected) in [
            ("SELECT n.xmin FROM pg_namespace n", "SELECT 0::BIGINT AS \"xmin\" FROM pg_namespace n"),
            ("SELECT oid FROM pg_type WHERE age(xmin) < 9", "SELECT oid FROM pg_type WHERE age(0::BIGINT) < 9"),
            (
                "SELECT d.tableoid FROM pg_database AS d",
                "SELECT pg_regclass_oid('pg_catalog.pg_database') AS \"tableoid\" FROM pg_database AS d",
            ),
            ("SELECT xmin, age(xmin) FROM pg_replication_slots", "SELECT xmin, age(xmin) FROM pg_replication_slots"),
            ("SELECT xmin, b.xmin FROM boxes b JOIN pg_class c ON true", "SELECT xmin, b.xmin FROM boxes b JOIN pg_class c ON true"),
        ] {
            let mut query = parse_query(sql).unwrap().query;
            let _ = query.visit(&mut SystemColumns);
            assert_eq!(query.to_string(), expected);
        }
    }
}
