//! Plans MATCH_RECOGNIZE where a table is expected: a projection that computes what is read, and the node over it.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, DFSchema, DFSchemaRef};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, LogicalPlan, Projection};
use datafusion::sql::sqlparser::ast::{
    AfterMatchSkip, Expr as SqlExpr, FunctionArg, FunctionArgExpr, Ident, MatchRecognizePattern, MatchRecognizeSymbol, Measure,
    OrderByExpr, RowsPerMatch, SymbolDefinition, TableFactor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use parking_lot::Mutex;

use super::formula::{Formula, column_name};
use super::navigation::Formulas;
use super::read::read;
use super::{Part, Pattern, Recognition, Skip};
use crate::error::Error;
use crate::plan::order::Order;
use crate::plan::parse::pattern::ROWS;
use crate::plan::window_function::interval_us;
use crate::settings::Variables;

/// Plans MATCH_RECOGNIZE, by the zone of a session.
#[derive(Debug)]
pub struct PatternPlanner(pub Arc<Mutex<Variables>>);

impl RelationPlanner for PatternPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let TableFactor::MatchRecognize {
            table,
            partition_by,
            order_by,
            measures,
            rows_per_match,
            after_match_skip,
            pattern,
            symbols,
            alias,
        } = relation
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let all_rows = match rows_per_match {
            None | Some(RowsPerMatch::OneRow) => false,
            Some(RowsPerMatch::AllRows(None)) => true,
            Some(RowsPerMatch::AllRows(Some(_))) => {
                return Err(Error::unsupported(
                    "SHOW EMPTY MATCHES, OMIT EMPTY MATCHES or WITH UNMATCHED ROWS",
                    "Write ALL ROWS PER MATCH: no match is empty.",
                )
                .into());
            }
        };
        let table = context.plan(*table)?;
        let (part, variables, within_us) = read_pattern(pattern, context)?;
        let zone = self.0.lock().time_zone();
        let mut formulas = Formulas { context, table: table.schema(), variables: &variables, zone, below: Vec::new() };
        let (partition, partition_names) = keys(&mut formulas, partition_by)?;
        let (order, order_names) = sort(&mut formulas, order_by)?;
        let define = conditions(&mut formulas, symbols)?;
        let mut named = Vec::new();
        for Measure { expr, alias } in measures {
            let name = formulas.context.normalize_ident(alias);
            named.push((name, formulas.formula(expr, false)?));
        }
        let skip = skip(&formulas, after_match_skip, &part)?;
        let mut before: Vec<(usize, String)> = partition.iter().copied().zip(partition_names).collect();
        let mut after = Vec::new();
        if all_rows {
            for (order, name) in order.iter().zip(order_names) {
                if !before.iter().any(|(column, _)| *column == order.column) {
                    before.push((order.column, name));
                }
            }
            for (qualifier, field) in table.schema().iter() {
                let column = formulas.column(Expr::Column(Column::new(qualifier.cloned(), field.name())))?;
                if !before.iter().any(|(known, _)| *known == column) {
                    after.push((column, field.name().clone()));
                }
            }
        }
        if before.is_empty() && named.is_empty() && after.is_empty() {
            return Err(Error::Syntax {
                message: "MATCH_RECOGNIZE gives no column".into(),
                hint: Some("Say what is wanted of a match: MEASURES first(a.ts) AS began.".into()),
            }
            .into());
        }
        check_names(&before, &named, &after)?;
        let below = formulas.below.into_iter().enumerate().map(|(at, e)| e.alias(column_name(at))).collect();
        let input = LogicalPlan::Projection(Projection::try_new(below, Arc::new(table))?);
        let recognition =
            Recognition { partition, order, variables, part, define, measures: named, before, after, all_rows, skip, within_us };
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(Pattern::try_new(input, recognition)?) });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// Errs for a measure that has the name of another column of the answer.
fn check_names(before: &[(usize, String)], named: &[(String, Formula)], after: &[(usize, String)]) -> Result<()> {
    let mut taken: HashSet<&str> = before.iter().chain(after).map(|(_, name)| name.as_str()).collect();
    let twice = named.iter().map(|(name, _)| name).find(|name| !taken.insert(name.as_str()));
    match twice {
        Some(name) => Err(Error::Syntax {
            message: format!("measure \"{name}\" of MATCH_RECOGNIZE has the name of another column that it gives"),
            hint: Some(format!("Give the measure another name: AS {name}_of_match.")),
        }
        .into()),
        None => Ok(()),
    }
}

/// Makes the argument that the parser was given a subquery again.
pub fn expose_subquery(table: &mut TableFactor) {
    let TableFactor::Table { name, args: Some(args), alias, .. } = table else { return };
    if name.to_string() != ROWS {
        return;
    }
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(SqlExpr::Subquery(subquery)))) = args.args.first() {
        *table = TableFactor::Derived { lateral: false, subquery: subquery.clone(), alias: alias.take(), sample: None };
    }
}

/// The pattern, its variables, and WITHIN in µs.
fn read_pattern(pattern: MatchRecognizePattern, context: &mut dyn RelationPlannerContext) -> Result<(Part, Vec<String>, Option<i64>)> {
    let text = |p: &MatchRecognizePattern| match p {
        MatchRecognizePattern::Symbol(MatchRecognizeSymbol::Named(Ident { value, .. })) => value.clone(),
        other => other.to_string(),
    };
    let (pattern, within) = match &pattern {
        MatchRecognizePattern::Concat(parts) => (parts.first().map(text).unwrap_or_default(), parts.get(1).map(text)),
        one => (text(one), None),
    };
    let (part, variables) = read(&pattern)?;
    if part.empty() {
        return Err(
            Error::unsupported("a PATTERN that matches no rows at all", "Make one of its variables obligatory: a+ instead of a*.").into()
        );
    }
    let within_us = within
        .map(|within| {
            let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(&within).and_then(|mut p| p.parse_expr());
            let parsed = parsed.map_err(|e| Error::Syntax {
                message: format!("syntax error in WITHIN: {e}"),
                hint: Some("Write WITHIN INTERVAL '10' SECOND.".into()),
            })?;
            interval_us("MATCH_RECOGNIZE", "WITHIN", context.sql_to_expr(parsed, &DFSchema::empty())?)
        })
        .transpose()?;
    if within_us.is_some_and(|us| us <= 0) {
        return Err(Error::Option {
            message: "the WITHIN of MATCH_RECOGNIZE must be longer than nothing".into(),
            hint: Some("Write WITHIN INTERVAL '10' SECOND.".into()),
        }
        .into());
    }
    Ok((part, variables, within_us))
}

/// A column of the table by its expression: its place, and its name.
fn column(formulas: &mut Formulas<'_>, clause: &str, sql: SqlExpr) -> Result<(usize, String, DataType)> {
    let table: DFSchemaRef = Arc::clone(formulas.table);
    match formulas.context.sql_to_expr(sql, &table)? {
        Expr::Column(column) => {
            let (name, data_type) = (column.name.clone(), Expr::Column(column.clone()).get_type(&table)?);
            Ok((formulas.column(Expr::Column(column))?, name, data_type))
        }
        other => {
            Err(Error::unsupported(format!("{other} in {clause} of MATCH_RECOGNIZE"), "Name a column: compute it in a subquery below.")
                .into())
        }
    }
}

fn keys(formulas: &mut Formulas<'_>, partition_by: Vec<SqlExpr>) -> Result<(Vec<usize>, Vec<String>)> {
    let (mut columns, mut names) = (Vec::new(), Vec::new());
    for sql in partition_by {
        let (at, name, _) = column(formulas, "PARTITION BY", sql)?;
        if !columns.contains(&at) {
            columns.push(at);
            names.push(name);
        }
    }
    Ok((columns, names))
}

fn sort(formulas: &mut Formulas<'_>, order_by: Vec<OrderByExpr>) -> Result<(Vec<Order>, Vec<String>)> {
    let (mut order, mut names) = (Vec::new(), Vec::new());
    for OrderByExpr { expr, options, .. } in order_by {
        let (at, name, data_type) = column(formulas, "ORDER BY", expr)?;
        let descending = options.asc == Some(false);
        let event_time = matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(_))) && !descending;
        if order.is_empty() && !event_time {
            return Err(Error::refused(
                format!("the first column of MATCH_RECOGNIZE's ORDER BY is the event time, ascending, not {name}"),
                "Write ORDER BY ts, and behind it what tells rows of one time apart: ORDER BY ts, frame_no.",
            )
            .into());
        }
        // As in Postgres: NULLs are the largest.
        order.push(Order { column: at, descending, nulls_first: options.nulls_first.unwrap_or(descending) });
        names.push(name);
    }
    if order.is_empty() {
        return Err(Error::refused(
            "MATCH_RECOGNIZE without ORDER BY has no order in which rows follow one another",
            "Write ORDER BY ts, the event time.",
        )
        .into());
    }
    Ok((order, names))
}

/// The condition of each variable.
fn conditions(formulas: &mut Formulas<'_>, symbols: Vec<SymbolDefinition>) -> Result<Vec<Option<Formula>>> {
    let mut define = vec![None; formulas.variables.len()];
    for SymbolDefinition { symbol, definition } in symbols {
        let name = formulas.context.normalize_ident(symbol);
        let Some(at) = formulas.variables.iter().position(|v| *v == name) else {
            return Err(Error::Syntax {
                message: format!("variable \"{name}\" is defined but not in the pattern"),
                hint: Some(format!("The pattern has {}.", formulas.variables.join(", "))),
            }
            .into());
        };
        let formula = formulas.formula(definition, true)?;
        if formula.data_type()? != DataType::Boolean {
            return Err(Error::Syntax {
                message: format!("the condition of variable \"{name}\" is no boolean"),
                hint: Some("Write a comparison: DEFINE a AS a.score > 0.5.".into()),
            }
            .into());
        }
        if let Some(slot) = define.get_mut(at) {
            if slot.is_some() {
                return Err(Error::Syntax { message: format!("variable \"{name}\" is defined twice"), hint: None }.into());
            }
            *slot = Some(formula);
        }
    }
    Ok(define)
}

fn skip(formulas: &Formulas<'_>, skip: Option<AfterMatchSkip>, part: &Part) -> Result<Skip> {
    let variable = |ident: Ident| {
        let name = formulas.context.normalize_ident(ident);
        formulas.variables.iter().position(|v| *v == name).ok_or_else(|| Error::Syntax {
            message: format!("\"{name}\" is no variable of the pattern"),
            hint: Some(format!("The pattern has {}.", formulas.variables.join(", "))),
        })
    };
    Ok(match skip {
        None | Some(AfterMatchSkip::PastLastRow) => Skip::PastLastRow,
        Some(AfterMatchSkip::ToNextRow) => Skip::ToNextRow,
        Some(AfterMatchSkip::ToLast(name)) => Skip::ToLast(variable(name)?),
        Some(AfterMatchSkip::ToFirst(name)) => {
            let name = variable(name)?;
            if begins_with(part, name) {
                return Err(Error::refused(
                    "AFTER MATCH SKIP TO FIRST of the variable that a match begins with finds the same match for ever",
                    "Use AFTER MATCH SKIP TO NEXT ROW.",
                )
                .into());
            }
            Skip::ToFirst(name)
        }
    })
}

/// Whether every match begins with a row of the variable.
fn begins_with(part: &Part, variable: usize) -> bool {
    match part {
        Part::Variable(own) => *own == variable,
        Part::Sequence(parts) => parts.first().is_some_and(|first| begins_with(first, variable)),
        Part::Choice(parts) => parts.iter().all(|part| begins_with(part, variable)),
        Part::Repeat { part, least, .. } => *least > 0 && begins_with(part, variable),
    }
}
