//! A whole row as a value: `row_to_json(t)` of a subquery `t` is the JSON of its columns.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitMut,
    VisitorMut,
};

use super::forms::calls;
use super::rewrite::{last, quoted};
use crate::plan::column_names as names;

/// The functions that take one, each with the one that makes JSON of it.
const FUNCTIONS: [(&str, &str); 5] = [
    ("row_to_json", "json_build_row"),
    ("to_json", "json_build_row"),
    ("to_jsonb", "jsonb_build_row"),
    ("json_agg", "json_build_row"),
    ("jsonb_agg", "jsonb_build_row"),
];

/// Rewrites such calls where the columns of the subquery are named.
pub(super) struct WholeRows;

impl VisitorMut for WholeRows {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let joined = |table: &ast::TableWithJoins| -> Vec<TableFactor> {
            std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)).cloned().collect()
        };
        let rows: Vec<(String, Vec<String>)> = select.from.iter().flat_map(joined).filter_map(|factor| named(&factor)).collect();
        if !rows.is_empty() {
            let mut calls = Calls { rows };
            let _ = select.projection.visit(&mut calls);
        }
        ControlFlow::Continue(())
    }
}

/// A subquery's name and its columns, if all of them are said.
fn named(factor: &TableFactor) -> Option<(String, Vec<String>)> {
    let TableFactor::Derived { subquery, alias: Some(alias), .. } = factor else { return None };
    Some((alias.name.value.clone(), columns(subquery)?))
}

fn columns(query: &Query) -> Option<Vec<String>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let column = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => Some(names::of_expr(expr)),
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    };
    select.projection.iter().map(column).collect()
}

struct Calls {
    rows: Vec<(String, Vec<String>)>,
}

impl VisitorMut for Calls {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let Some(name) = last(&function.name) else { return ControlFlow::Continue(()) };
        let Some((_, row)) = FUNCTIONS.iter().find(|(taker, _)| *taker == name) else { return ControlFlow::Continue(()) };
        let FunctionArguments::List(list) = &mut function.args else { return ControlFlow::Continue(()) };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument @ Expr::Identifier(_)))] = list.args.as_mut_slice() else {
            return ControlFlow::Continue(());
        };
        let Some((table, columns)) = self.rows.iter().find(|(table, _)| matches!(argument, Expr::Identifier(of) if of.value == *table))
        else {
            return ControlFlow::Continue(());
        };
        let field = |column: &String| {
            let label = Expr::Value(Value::SingleQuotedString(column.clone()).with_empty_span());
            [label, Expr::CompoundIdentifier(vec![quoted(table), quoted(column)])]
        };
        let row = calls(row, columns.iter().flat_map(field).collect());
        if name.ends_with("_agg") {
            *argument = row;
        } else {
            *expr = row;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn a_row_is_an_object_of_its_columns() {
        let rewritten = |sql: &str| {
            let mut query = parse_query(sql).unwrap().query;
            let _ = query.visit(&mut WholeRows);
            query.to_string()
        };
        assert_eq!(
            rewritten("SELECT row_to_json(t) AS j FROM (SELECT 1 AS a, count(*) FROM u) t"),
            "SELECT json_build_row('a', \"t\".\"a\", 'count', \"t\".\"count\") AS j FROM (SELECT 1 AS a, count(*) FROM u) t"
        );
        for same in ["SELECT row_to_json(u) FROM (SELECT 1 AS a) t", "SELECT row_to_json(t) FROM (SELECT * FROM u) t"] {
            assert_eq!(rewritten(same), same);
        }
    }
}
