//! INSERT: rows of VALUES or a query behind those of a table, or, ON CONFLICT, in place of them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, cast, lit};
use datafusion::sql::sqlparser::ast::{
    self, Assignment, AssignmentTarget, ConflictTarget, ObjectName, OnConflictAction, OnInsert, SelectItem, SetExpr,
};

use super::create_table::check_conflict_target;
use super::insert_picture;
use super::over_rows;
use super::returning::Returning;
use super::set_row;
use super::table_rows::{
    Written, cast_sql, column_at, columns_at, default_sql, folded, keep, name_of, planned, quoted, refuse, rows_of, says_default,
    table_named,
};
use crate::engine::catalog::Body;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::view::constraint::{checked, keys};
use crate::view::table::{Table, TableColumn};

/// Inserts all rows, or none.
pub(super) async fn run(session: &Session, insert: &ast::Insert, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    if let Some(gallery) = gallery(session, insert)? {
        return insert_picture::run(session, insert, &gallery, parameters).await;
    }
    let table = target(session, insert)?;
    let writing = table.write().await;
    // Those of ON CONFLICT stand behind the query's.
    let (plan, n_of_query) = plan(session, insert, &table).await?;
    let of_query = parameters.iter().take(n_of_query).cloned().collect();
    let new = rows_of(session, plan, of_query).await?;
    let new = checked(&table, new.columns().to_vec(), new.num_rows())?;
    let conflict = match &insert.on {
        None => None,
        Some(OnInsert::OnConflict(conflict)) => Some(conflict),
        Some(_) => return Err(Error::unsupported("ON DUPLICATE KEY", "Write ON CONFLICT (key) DO UPDATE SET ….")),
    };
    let (written, n) = match conflict {
        None => (Written { replaced: Vec::new(), columns: new.columns().to_vec(), n_rows: new.num_rows() }, new.num_rows()),
        Some(conflict) => merged(session, insert, &table, &new, conflict, &parameters).await?,
    };
    let before = table.rows();
    let kept = keep(&table, &writing, written).await?;
    debug_assert_eq!(kept.num_rows(), n, "as many rows are kept as are counted");
    let alias = alias_of(insert, &table);
    returning(insert, &table, &alias).answer(session, kept, Vec::new(), &before, "INSERT 0").await
}

/// The name by which RETURNING reads the columns.
fn alias_of(insert: &ast::Insert, table: &Table) -> String {
    insert.table_alias.as_ref().map_or_else(|| table.name().to_owned(), |alias| folded(&alias.alias))
}

fn returning<'a>(insert: &'a ast::Insert, table: &'a Table, alias: &'a str) -> Returning<'a> {
    Returning { table, alias, from: &[], list: insert.returning.as_deref() }
}

/// The columns of its answer.
pub(super) async fn columns(session: &Session, insert: &ast::Insert) -> Result<Option<SchemaRef>> {
    let table = target(session, insert)?;
    let alias = alias_of(insert, &table);
    returning(insert, &table, &alias).schema(session).await
}

/// The query's plan: its parameters and their types.
pub(super) async fn describe(session: &Session, insert: &ast::Insert) -> Result<LogicalPlan> {
    if gallery(session, insert)?.is_some() {
        return insert_picture::describe(session, insert).await;
    }
    let table = target(session, insert)?;
    Ok(plan(session, insert, &table).await?.0)
}

/// The gallery that the statement writes, if it is one.
fn gallery(session: &Session, insert: &ast::Insert) -> Result<Option<Arc<Table>>> {
    let ast::TableObject::TableName(name) = &insert.table else { return Ok(None) };
    Ok(match session.engine().catalog().find(&name_of(name)?).map(|object| object.body) {
        Some(Body::Gallery(gallery)) => Some(session.written(gallery)),
        _ => None,
    })
}

/// Errs for a clause that is not used.
pub(super) fn check_clauses(insert: &ast::Insert) -> Result<()> {
    let i = insert;
    let other = i.or.is_some() || i.ignore || i.overwrite || i.replace_into || i.partitioned.is_some() || i.output.is_some();
    let more = !i.assignments.is_empty() || !i.after_columns.is_empty() || i.settings.is_some() || i.insert_alias.is_some();
    refuse(other || more, "a clause of INSERT", "Write INSERT INTO table (column, …) VALUES (…) or SELECT ….")
}

fn target(session: &Session, insert: &ast::Insert) -> Result<Arc<Table>> {
    check_clauses(insert)?;
    match &insert.table {
        ast::TableObject::TableName(name) => table_named(session, &name_of(name)?),
        other => Err(Error::unsupported(format!("INSERT INTO {other}"), "Name a table.")),
    }
}

/// The rows to be inserted, with all columns of the table in their types; and how many parameters stand in it.
async fn plan(session: &Session, insert: &ast::Insert, table: &Table) -> Result<(LogicalPlan, usize)> {
    let names: Vec<String> = insert.columns.iter().filter_map(|c| c.0.last()?.as_ident()).map(folded).collect();
    let mut places = columns_at(table, &names)?;
    let source = match &insert.source {
        // INSERT … DEFAULT VALUES.
        None => {
            places.clear();
            planned(session, "SELECT 1").await?
        }
        Some(query) => {
            let mut query = query.clone();
            if let SetExpr::Values(values) = query.body.as_mut() {
                for row in &mut values.rows {
                    check_width(row.len(), &places, !names.is_empty())?;
                    for (expr, at) in row.iter_mut().zip(&places) {
                        typed(expr, table, *at)?;
                    }
                }
            }
            if let SetExpr::Select(select) = query.body.as_mut() {
                // A parameter that stands by itself is what its column is.
                for (item, at) in select.projection.iter_mut().zip(&places) {
                    match item {
                        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } if number_of(expr).is_some() => {
                            typed(expr, table, *at)?;
                        }
                        SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => {}
                        // Nobody knows yet for how many columns it stands.
                        _ => break,
                    }
                }
            }
            session.plan(&query).await?
        }
    };
    let n_columns = if insert.source.is_none() { 0 } else { source.schema().fields().len() };
    check_width(n_columns, &places, !names.is_empty() || insert.source.is_none())?;
    places.truncate(n_columns);
    let n_parameters = super::query::parameters_of(&source)?.len();
    let given = source.schema().columns();
    let mut columns = Vec::with_capacity(table.columns().len());
    for (at, column) in table.columns().iter().enumerate() {
        let (name, data_type) = (column.field.name(), column.field.data_type().clone());
        let value = match places.iter().position(|place| *place == at).and_then(|place| given.get(place)) {
            Some(from) => cast(Expr::Column(Column::clone(from)), data_type),
            None => lit(column.default.clone()),
        };
        columns.push(value.alias(name));
    }
    Ok((LogicalPlan::Projection(Projection::try_new(columns, Arc::new(source))?), n_parameters))
}

/// The parameters that stand by themselves for a column, with their columns.
pub(super) fn parameter_types(session: &Session, insert: &ast::Insert) -> Result<Vec<(usize, FieldRef)>> {
    if gallery(session, insert)?.is_some() {
        return Ok(Vec::new());
    }
    let table = target(session, insert)?;
    let names: Vec<String> = insert.columns.iter().filter_map(|c| c.0.last()?.as_ident()).map(folded).collect();
    let places = columns_at(&table, &names)?;
    let expr = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    let rows: Vec<Vec<ast::Expr>> = match insert.source.as_ref().map(|query| query.body.as_ref()) {
        Some(SetExpr::Values(values)) => values.rows.iter().map(|row| row.to_vec()).collect(),
        Some(SetExpr::Select(select)) => vec![select.projection.iter().map_while(expr).collect()],
        _ => Vec::new(),
    };
    let mut types: Vec<(usize, FieldRef)> =
        rows.iter().flat_map(|row| row.iter().zip(&places)).filter_map(|(expr, at)| of_column(expr, &table, *at)).collect();
    if let Some(OnInsert::OnConflict(ast::OnConflict { action: OnConflictAction::DoUpdate(update), .. })) = &insert.on {
        types.extend(assigned_types(&table, &update.assignments)?);
    }
    Ok(types)
}

/// The same of SET.
pub(super) fn assigned_types(table: &Table, assignments: &[Assignment]) -> Result<Vec<(usize, FieldRef)>> {
    let mut types = Vec::new();
    for (target, value) in assignments.iter().map(single).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        types.extend(of_column(&value, table, assigned(table, &target)?));
    }
    Ok(types)
}

fn of_column(expr: &ast::Expr, table: &Table, at: usize) -> Option<(usize, FieldRef)> {
    let column = table.columns().get(at)?;
    Some((number_of(expr)?, Arc::new(column.field.clone())))
}

/// The number of a parameter that stands by itself.
fn number_of(expr: &ast::Expr) -> Option<usize> {
    match expr {
        ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Placeholder(name), .. }) => name.trim_start_matches('$').parse().ok(),
        _ => None,
    }
}

/// Errs (42601) for a row that has not as many values as columns are written; `named` says that the statement names them.
pub(super) fn check_width(n: usize, places: &[usize], named: bool) -> Result<()> {
    let message = if n > places.len() {
        "INSERT has more expressions than target columns"
    } else if n < places.len() && named {
        "INSERT has more target columns than expressions"
    } else {
        return Ok(());
    };
    Err(Error::Syntax { message: message.into(), hint: None })
}

/// A value of VALUES has the type of its column, so that a text is read as what it stands for and a parameter has a type.
fn typed(expr: &mut ast::Expr, table: &Table, at: usize) -> Result<()> {
    let column = table.columns().get(at).ok_or_else(|| Error::Internal("a column that is not there".into()))?;
    let value = if says_default(expr) { default_sql(column) } else { cast_sql(column, &expr.to_string()) };
    *expr = expression(&value)?;
    Ok(())
}

/// SQL's text as an expression.
pub(super) fn expression(sql: &str) -> Result<ast::Expr> {
    let query = crate::plan::parse::parse_query(&format!("SELECT {sql}"))?.query;
    match *query.body {
        SetExpr::Select(mut select) => match select.projection.pop() {
            Some(SelectItem::UnnamedExpr(expr)) => Ok(expr),
            _ => Err(Error::Internal(format!("{sql} is no expression"))),
        },
        _ => Err(Error::Internal(format!("{sql} is no expression"))),
    }
}

/// The new rows where their keys are not there yet; where they are, nothing or what DO UPDATE makes of both. And how many rows it writes.
async fn merged(
    session: &Session,
    insert: &ast::Insert,
    table: &Table,
    new: &RecordBatch,
    conflict: &ast::OnConflict,
    parameters: &[ScalarValue],
) -> Result<(Written, usize)> {
    let update = match &conflict.action {
        OnConflictAction::DoNothing => None,
        OnConflictAction::DoUpdate(update) => Some(update),
    };
    match &conflict.conflict_target {
        Some(ConflictTarget::Columns(columns)) => check_conflict_target(table, columns)?,
        Some(ConflictTarget::OnConstraint(name)) if name_of(name)? == format!("{}_pkey", table.name()) => {}
        Some(ConflictTarget::OnConstraint(name)) => {
            return Err(Error::NotFound { kind: "constraint", name: name_of(name)? });
        }
        None if update.is_some() => {
            let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name".to_owned();
            return Err(Error::Syntax { message, hint: Some("For example, ON CONFLICT (column_name).".into()) });
        }
        None => {}
    }
    let old = table.rows();
    let (Some(old_keys), Some(new_keys)) = (keys(table, &old)?, keys(table, new)?) else {
        let n = new.num_rows();
        return Ok((Written { replaced: Vec::new(), columns: new.columns().to_vec(), n_rows: n }, n));
    };
    let mut known: HashMap<Vec<u8>, Option<usize>> = old_keys.into_iter().enumerate().map(|(row, key)| (key, Some(row))).collect();
    let (mut appended, mut pairs) = (Vec::<u32>::new(), Vec::<(usize, u32)>::new());
    for (row, key) in new_keys.into_iter().enumerate() {
        match known.insert(key, None) {
            None => appended.push(row as u32),
            Some(_) if update.is_none() => {}
            Some(Some(place)) => pairs.push((place, row as u32)),
            Some(None) => {
                let message = "ON CONFLICT DO UPDATE command cannot affect row a second time".to_owned();
                return Err(Error::Data { code: "21000", message, detail: None });
            }
        }
    }
    let alias = insert.table_alias.as_ref().map_or(table.name().to_owned(), |a| folded(&a.alias));
    let (replaced, updated) = match update {
        Some(update) => updated(session, table, &alias, (&old, new), &pairs, update, parameters).await?,
        None => (Vec::new(), old.columns().iter().map(|c| c.slice(0, 0)).collect()),
    };
    let (n, rows) = (replaced.len() + appended.len(), UInt32Array::from(appended));
    let both = |(updated, new): (&ArrayRef, &ArrayRef)| Ok(concat(&[updated.as_ref(), take(new.as_ref(), &rows, None)?.as_ref()])?);
    let columns = updated.iter().zip(new.columns()).map(both).collect::<Result<Vec<_>>>()?;
    Ok((Written { replaced, columns, n_rows: n }, n))
}

/// What DO UPDATE makes of old rows and the new ones of their keys: the places of the old ones that its WHERE lets through, and their columns.
async fn updated(
    session: &Session,
    table: &Table,
    alias: &str,
    (old, new): (&RecordBatch, &RecordBatch),
    pairs: &[(usize, u32)],
    update: &ast::DoUpdate,
    parameters: &[ScalarValue],
) -> Result<(Vec<usize>, Vec<ArrayRef>)> {
    let olds = UInt32Array::from_iter_values(pairs.iter().map(|(place, _)| *place as u32));
    let rows = UInt32Array::from_iter_values(pairs.iter().map(|(_, row)| *row));
    let taken = |batch: &RecordBatch, at: &UInt32Array| {
        batch.columns().iter().map(|c| Ok(take(c.as_ref(), at, None)?)).collect::<Result<Vec<ArrayRef>>>()
    };
    let before = taken(old, &olds)?;
    let both: Vec<ArrayRef> = before.iter().cloned().chain(taken(new, &rows)?).collect();
    let set = set(table, &update.assignments)?;
    let made = if over_rows::asks(update) {
        made_of_queries(session, table, alias, both, pairs.len(), (&set, update), parameters).await?
    } else {
        made(session, table, alias, both, (&set, update), parameters).await?
    };
    let places = set.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    let mut after = before;
    for (at, values) in places.iter().zip(made.columns()) {
        if let Some(place) = after.get_mut(*at) {
            *place = Arc::clone(values);
        }
    }
    let passes = made.columns().last().and_then(|passes| passes.as_boolean_opt());
    let Some(passes) = passes else {
        let message = "argument of WHERE must be type boolean".to_owned();
        return Err(Error::Data { code: "42804", message, detail: None });
    };
    let passed: Vec<usize> = (0..pairs.len()).filter(|row| passes.is_valid(*row) && passes.value(*row)).collect();
    let rows = UInt32Array::from_iter_values(passed.iter().map(|row| *row as u32));
    let after = after.iter().map(|c| Ok(take(c.as_ref(), &rows, None)?)).collect::<Result<Vec<_>>>()?;
    Ok((passed.iter().filter_map(|row| pairs.get(*row).map(|(place, _)| *place)).collect(), after))
}

/// The values of SET, and whether WHERE lets the row through, for each pair of an old row and the new one behind it.
async fn made(
    session: &Session,
    table: &Table,
    alias: &str,
    both: Vec<ArrayRef>,
    (set, update): (&[(usize, String)], &ast::DoUpdate),
    parameters: &[ScalarValue],
) -> Result<RecordBatch> {
    // One row a pair, its columns read as those of the table and of `excluded`.
    let name = |at: usize| format!("column{at}");
    let fields = table.schema().fields().iter().chain(table.schema().fields()).cloned().enumerate().collect::<Vec<_>>();
    let fields: Vec<Field> = fields.into_iter().map(|(at, f)| f.as_ref().clone().with_name(name(at))).collect();
    let both = RecordBatch::try_new(Arc::new(Schema::new(fields)), both)?;
    let pairs_table = provider_as_source(Arc::new(MemTable::try_new(both.schema(), vec![vec![both]])?));
    let n_columns = table.columns().len();
    let qualified = |at: usize, column: &TableColumn, relation: &str| {
        Expr::Column(Column::from_name(name(at))).alias_qualified(Some(TableReference::bare(relation.to_owned())), column.field.name())
    };
    let own = table.columns().iter().enumerate().map(|(at, column)| qualified(at, column, alias));
    let excluded = table.columns().iter().enumerate().map(|(at, column)| qualified(at + n_columns, column, "excluded"));
    let columns: Vec<Expr> = own.chain(excluded).collect();
    let read = LogicalPlanBuilder::scan("pairs", pairs_table, None)?.project(columns)?.build()?;
    let state = session.state();
    let bound = |sql: &str| -> Result<Expr> {
        let bound = state.create_logical_expr(sql, read.schema())?.transform_up(|e| match &e {
            Expr::Placeholder(place) => {
                let value = place.id.trim_start_matches('$').parse::<usize>().ok().and_then(|n| parameters.get(n.checked_sub(1)?));
                Ok(value.map_or(Transformed::no(e.clone()), |value| Transformed::yes(lit(value.clone()))))
            }
            _ => Ok(Transformed::no(e)),
        });
        Ok(bound?.data)
    };
    let mut values = Vec::new();
    for (at, sql) in set {
        let column = table.columns().get(*at).ok_or_else(|| Error::Internal("a column that is not there".into()))?;
        values.push(cast(bound(sql)?, column.field.data_type().clone()).alias(name(values.len())));
    }
    let selection = update.selection.as_ref().map_or(Ok(lit(true)), |selection| bound(&selection.to_string()))?;
    values.push(selection.alias("passes"));
    rows_of(session, LogicalPlan::Projection(Projection::try_new(values, Arc::new(read.clone()))?), Vec::new()).await
}

/// The same where they have subqueries.
async fn made_of_queries(
    session: &Session,
    table: &Table,
    alias: &str,
    both: Vec<ArrayRef>,
    n_rows: usize,
    (set, update): (&[(usize, String)], &ast::DoUpdate),
    parameters: &[ScalarValue],
) -> Result<RecordBatch> {
    let values: String = set.iter().enumerate().map(|(at, (_, value))| format!("{value} AS column{at}, ")).collect();
    let passes = update.selection.as_ref().map_or_else(|| "true".to_owned(), ToString::to_string);
    let (name, alias) = (quoted(table.name()), quoted(alias));
    let select = planned(session, &format!("SELECT {values}{passes} AS passes FROM {name} AS {alias}, {name} AS excluded")).await?;
    let read = over_rows::read(&select, both, n_rows)?;
    let mut types = Vec::new();
    for (at, _) in set {
        types.push(table.columns().get(*at).ok_or_else(|| Error::Internal("a column that is not there".into()))?.field.data_type().clone());
    }
    let column = |(at, column): (usize, Column)| match types.get(at) {
        Some(data_type) => cast(Expr::Column(column), data_type.clone()),
        None => Expr::Column(column),
    };
    let columns = read.schema().columns().into_iter().enumerate().map(column).collect();
    rows_of(session, LogicalPlan::Projection(Projection::try_new(columns, Arc::new(read))?), parameters.to_vec()).await
}

/// What SET says of columns, one by one: `(a, b) = (1, 2)` is `a = 1, b = 2`.
fn single(assignment: &Assignment) -> Result<Vec<(ObjectName, ast::Expr)>> {
    let names = match &assignment.target {
        AssignmentTarget::ColumnName(name) => return Ok(vec![(name.clone(), assignment.value.clone())]),
        AssignmentTarget::Tuple(names) => names,
    };
    let values = match &assignment.value {
        ast::Expr::Tuple(values) => values.clone(),
        ast::Expr::Nested(value) if names.len() == 1 => vec![value.as_ref().clone()],
        ast::Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            let ast::FunctionArguments::List(list) = &function.args else { return Err(no_row()) };
            let plain = |argument: &ast::FunctionArg| match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
                _ => Err(no_row()),
            };
            list.args.iter().map(plain).collect::<Result<_>>()?
        }
        ast::Expr::Subquery(query) => set_row::columns(query, names.len())?,
        _ => return Err(no_row()),
    };
    if values.len() != names.len() {
        let message = "number of columns does not match number of values".to_owned();
        return Err(Error::Syntax { message, hint: None });
    }
    Ok(names.iter().cloned().zip(values).collect())
}

fn no_row() -> Error {
    Error::unsupported("a row from a query in SET", "Write SET a = …, b = …, or (a, b) = (…, …).")
}

/// The column that SET names.
fn assigned(table: &Table, name: &ObjectName) -> Result<usize> {
    let ident = name.0.last().and_then(|part| part.as_ident());
    column_at(table, &ident.map(folded).unwrap_or_default())
}

/// The values of SET as SQL, and the places of their columns. Errs (42601) for a column that is set twice.
fn set(table: &Table, assignments: &[Assignment]) -> Result<Vec<(usize, String)>> {
    let mut all = Vec::<(usize, String)>::new();
    for (name, value) in assignments.iter().map(single).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        let at = assigned(table, &name)?;
        let column = table.columns().get(at).ok_or_else(|| Error::Internal("a column that is not there".into()))?;
        if all.iter().any(|(known, _)| *known == at) {
            let message = format!("multiple assignments to same column \"{}\"", column.field.name());
            return Err(Error::Syntax { message, hint: None });
        }
        let value = if says_default(&value) { default_sql(column) } else { cast_sql(column, &value.to_string()) };
        all.push((at, value));
    }
    Ok(all)
}

/// The values of SET as SQL with the names of their columns, and the places of the columns.
pub(super) fn assignments(table: &Table, assignments: &[Assignment]) -> Result<(Vec<usize>, Vec<String>)> {
    let (mut places, mut values) = (Vec::new(), Vec::new());
    for (at, value) in set(table, assignments)? {
        let column = table.columns().get(at).ok_or_else(|| Error::Internal("a column that is not there".into()))?;
        places.push(at);
        values.push(format!("{value} AS {}", quoted(column.field.name())));
    }
    Ok((places, values))
}
