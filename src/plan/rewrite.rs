//! A query's AST as DataFusion's planner can take it, and the clauses that framesql would otherwise drop in silence, refused.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Query, Select, TableFactor, TableWithJoins, VisitMut, VisitorMut, visit_expressions,
    visit_expressions_mut,
};

use super::array::series;
use super::grouping_sets;
use super::limit;
use super::name::arguments;
use super::name::columns::Named;
use super::name::{named_windows, selection, sorted, sorted_inside};
use super::number::literals;
use super::parse::copies::Copies;
use super::pattern::planner::expose_subquery;
use super::subquery::{row_values, written_rows};
use super::syntax;
use super::system_time;
use super::unnest::WHOLE;
use super::window_function::expose_table;
use crate::error::{Error, Result};

/// Rewrites the query in place. Errs with 0A000 for a clause that is not supported, with 54001 for a query that would become too large.
pub fn rewrite(query: &mut Query) -> Result<()> {
    literals::place(query);
    // What the query names without a qualifier: an element of UNNEST is a column of its own only if it is named whole.
    let mut bare = HashSet::new();
    let _ = visit_expressions(query, |e| {
        if let Expr::Identifier(ident) = e {
            bare.insert(folded(ident));
        }
        ControlFlow::<()>::Continue(())
    });
    match query.visit(&mut Rewriter { bare, copies: Copies::default() }) {
        ControlFlow::Break(error) => return Err(error),
        ControlFlow::Continue(()) => {}
    }
    let _ = query.visit(&mut Named);
    Ok(())
}

/// What is done before anybody else changes the query: rows that are written out have their types from what is written in them.
pub fn type_rows(query: &mut Query) {
    let _ = query.visit(&mut TypedRows);
}

struct TypedRows;

impl VisitorMut for TypedRows {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        written_rows::typed(query);
        ControlFlow::Continue(())
    }
}

/// An identifier as Postgres folds it.
pub(super) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

struct Rewriter {
    bare: HashSet<String>,
    copies: Copies,
}

fn refuse(what: &str, hint: &str) -> ControlFlow<Error> {
    ControlFlow::Break(Error::unsupported(what, hint))
}

impl VisitorMut for Rewriter {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if !query.locks.is_empty() {
            return refuse("FOR UPDATE or FOR SHARE", "Leave it out: a SELECT reads a snapshot and blocks nobody.");
        }
        if query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
            return refuse("a FOR, SETTINGS or FORMAT clause", "Leave it out.");
        }
        if let Err(error) = named_windows::of_query(query) {
            return ControlFlow::Break(error);
        }
        limit::plain(query);
        sorted_inside::place(query);
        written_rows::as_selects(query);
        sorted::name(query);
        if query.fetch.as_ref().is_some_and(|f| f.with_ties || f.percent) {
            return refuse("FETCH with ties or percent", "Use LIMIT.");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        if let Err(error) = named_windows::of_select(select) {
            return ControlFlow::Break(error);
        }
        if let Err(error) = grouping_sets::write_out(select) {
            return ControlFlow::Break(error);
        }
        selection::name_fields(&mut select.projection);
        if let Err(error) = syntax::name_columns(&mut select.projection, &mut self.copies) {
            return ControlFlow::Break(error);
        }
        row_values::conditions(select);
        if select.into.is_some() {
            return refuse("SELECT INTO", "Use CREATE TABLE … AS SELECT.");
        }
        if select.top.is_some() {
            return refuse("TOP", "Use LIMIT.");
        }
        let unused = !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.value_table_mode.is_some();
        if unused {
            return refuse("a LATERAL VIEW, PREWHERE, CONNECT BY, CLUSTER BY, DISTRIBUTE BY or SORT BY clause", "Leave it out.");
        }
        joins(&mut select.from)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Function(call) = expr
            && let Err(error) = arguments::rewrite(call)
        {
            return ControlFlow::Break(error);
        }
        selection::subscripts(expr);
        literals::exactly(expr);
        match syntax::rewrite(expr, &mut self.copies) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = relation {
            joins(std::slice::from_mut(table_with_joins))?;
        }
        written_rows::lateral(relation);
        arrays(relation);
        match relation {
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                return refuse("TABLESAMPLE", "Filter by frame_no, as in WHERE frame_no % 10 = 0.");
            }
            TableFactor::Table { with_ordinality: true, name, .. } if series::is_series(name) => series::unnest(relation),
            TableFactor::Function { with_ordinality: true, name, .. } if name.to_string().eq_ignore_ascii_case("unnest") => {}
            TableFactor::Table { with_ordinality: true, .. } | TableFactor::Function { with_ordinality: true, .. } => {
                return refuse("WITH ORDINALITY of such a function", "Leave it out, or number the rows with row_number() OVER (…).");
            }
            TableFactor::UNNEST { with_ordinality: true, array_exprs, .. } if array_exprs.len() > 1 => {
                return refuse("WITH ORDINALITY of several arrays", "Unnest one, and read the others by its number, as in b[ordinality].");
            }
            TableFactor::UNNEST { with_offset: true, .. } => return refuse("WITH OFFSET", "Leave it out."),
            TableFactor::Table { version: Some(_), .. } => return refuse("such a version of a table", "Write FOR SYSTEM_TIME AS OF."),
            TableFactor::Table { with_hints, index_hints, partitions, .. }
                if !with_hints.is_empty() || !index_hints.is_empty() || !partitions.is_empty() =>
            {
                return refuse("a table hint", "Leave it out.");
            }
            TableFactor::MatchRecognize { table, .. } => expose_subquery(table),
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => return refuse("PIVOT and UNPIVOT", "Use sum(…) FILTER (WHERE …)."),
            _ => {}
        }
        expose_table(relation);
        series::unnest_fractions(relation);
        series::beside(relation);
        series::name(relation);
        lateral_function(relation);
        if let TableFactor::UNNEST { alias, with_offset_alias, .. } = relation
            && alias.as_ref().is_some_and(|a| self.bare.contains(&folded(&a.name)))
        {
            *with_offset_alias = Some(Ident::new(WHOLE));
        }
        ControlFlow::Continue(())
    }
}

/// ASOF JOIN and FOR SYSTEM_TIME AS OF, of which DataFusion's planner knows nothing.
fn joins(from: &mut [TableWithJoins]) -> ControlFlow<Error> {
    for table in from {
        table.joins.iter_mut().for_each(|join| row_values::on(&mut join.join_operator));
        let first = system_time::check_first(&mut table.relation);
        let marked = table.joins.iter_mut().try_for_each(system_time::mark);
        if let Err(error) = first.and(marked) {
            return ControlFlow::Break(error);
        }
    }
    ControlFlow::Continue(())
}

/// `UNNEST(ARRAY[t.a, t.b])`: DataFusion does not look for the columns of an array beside it, but for those of a call.
fn arrays(relation: &mut TableFactor) {
    let TableFactor::UNNEST { array_exprs, .. } = relation else { return };
    for list in array_exprs {
        let _ = visit_expressions_mut(list, |expr| {
            if let Expr::Array(array) = expr
                && !array.elem.is_empty()
            {
                *expr = syntax::call("make_array", std::mem::take(&mut array.elem));
            }
            ControlFlow::<()>::Continue(())
        });
    }
}

/// `LATERAL UNNEST(…)` is read as a call of any table function.
fn lateral_function(relation: &mut TableFactor) {
    let TableFactor::Function { lateral: true, name, args, alias, with_ordinality } = relation else { return };
    if !name.to_string().eq_ignore_ascii_case("unnest") {
        return;
    }
    let exprs: Option<Vec<Expr>> = args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e.clone()),
            _ => None,
        })
        .collect();
    if let Some(array_exprs) = exprs {
        let (alias, with_ordinality) = (alias.take(), *with_ordinality);
        *relation = TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality };
    }
}
