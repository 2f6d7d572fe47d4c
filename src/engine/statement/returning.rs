//! RETURNING: what a statement that writes rows of a table gives back of them.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, SelectItem, SetExpr, TableWithJoins};

use super::over_rows::{self, Named};
use super::query;
use super::table_rows::{folded, planned, quoted};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::plan::column_names;
use crate::plan::names::Names;
use crate::plan::parse::bare_select::query_of;
use crate::plan::rewrite;
use crate::run::apart;
use crate::view::table::Table;

/// The list of RETURNING, and what it reads: the table's rows, and those of FROM or USING beside them.
#[derive(Clone, Copy)]
pub(super) struct Returning<'a> {
    pub(super) table: &'a Table,
    /// The name by which its columns are read.
    pub(super) alias: &'a str,
    pub(super) from: &'a [TableWithJoins],
    pub(super) list: Option<&'a [SelectItem]>,
}

impl Returning<'_> {
    /// What the statement answers: the rows that it has written, read through the list, or how many they were. Behind the columns of the table come those of
    /// `beside`; `before` is what the table held.
    pub(super) async fn answer(
        self,
        session: &Session,
        rows: RecordBatch,
        beside: Vec<ArrayRef>,
        before: &RecordBatch,
        tag: &'static str,
    ) -> Result<Outcome> {
        let Some(list) = self.list else { return Ok(Outcome::Done { tag: format!("{tag} {}", rows.num_rows()) }) };
        let plan = if self.stands_alone(list) {
            plan(session, self.table, self.alias, list, rows)?
        } else {
            let (select, n_rows) = (over_rows::before(self.select(session, list).await?, self.table.name(), before)?, rows.num_rows());
            let mut beside = beside.into_iter();
            let written =
                |(relation, name): &Named| if self.own(relation.as_ref()) { rows.column_by_name(name).cloned() } else { beside.next() };
            let columns = over_rows::columns(&select)?.iter().map(written).collect::<Option<Vec<_>>>();
            let columns = columns.ok_or_else(|| Error::Internal("rows without a column that RETURNING reads".into()))?;
            over_rows::read(&select, columns, n_rows)?
        };
        let plan = query::physical_of(session, plan, Vec::new()).await?;
        Ok(Outcome::Rows { stream: apart::rows(plan, session.context().task_ctx(), session.engine().threads()).await?, tag })
    }

    /// The columns of the answer.
    pub(super) async fn schema(self, session: &Session) -> Result<Option<SchemaRef>> {
        let Some(list) = self.list else { return Ok(None) };
        let plan = if self.stands_alone(list) {
            plan(session, self.table, self.alias, list, RecordBatch::new_empty(self.table.schema()))?
        } else {
            self.select(session, list).await?
        };
        Ok(Some(Arc::clone(session.state().optimize(&plan)?.schema().inner())))
    }

    /// The columns beside the table's, as SQL that reads them where the rows are found.
    pub(super) async fn beside(self, session: &Session) -> Result<Vec<String>> {
        let Some(list) = self.list.filter(|_| !self.from.is_empty()) else { return Ok(Vec::new()) };
        let columns =
            over_rows::columns(&self.select(session, list).await?)?.into_iter().filter(|(relation, _)| !self.own(relation.as_ref()));
        let read = |(at, (relation, name)): (usize, Named)| {
            let relation = relation.map(|relation| format!("{}.", relation.to_quoted_string())).unwrap_or_default();
            format!("{relation}{} AS \"framesql_beside_{at}\"", quoted(&name))
        };
        Ok(columns.enumerate().map(read).collect())
    }

    fn own(&self, relation: Option<&TableReference>) -> bool {
        relation.is_some_and(|relation| relation.table() == self.alias)
    }

    /// Whether the list reads the table's row and nothing else.
    fn stands_alone(&self, list: &[SelectItem]) -> bool {
        self.from.is_empty() && !list.iter().any(over_rows::asks)
    }

    async fn select(&self, session: &Session, list: &[SelectItem]) -> Result<LogicalPlan> {
        let list = list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let from: String = self.from.iter().map(|one| format!(", {one}")).collect();
        planned(session, &format!("SELECT {list} FROM {} AS {}{from}", quoted(self.table.name()), quoted(self.alias))).await
    }
}

fn plan(session: &Session, table: &Table, alias: &str, list: &[SelectItem], rows: RecordBatch) -> Result<LogicalPlan> {
    let relation = TableReference::bare(alias.to_owned());
    let written = provider_as_source(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?));
    let read = LogicalPlanBuilder::scan(relation.clone(), written, None)?;
    let state = session.state();
    let of_row = |expr: &SqlExpr| -> Result<Expr> { Ok(state.create_logical_expr(&rewritten(expr)?.to_string(), read.schema())?) };
    let mut columns: Vec<Expr> = Vec::new();
    for item in list {
        match item {
            SelectItem::UnnamedExpr(expr) => columns.push(of_row(expr)?.alias(column_names::of_expr(expr))),
            SelectItem::ExprWithAlias { expr, alias } => columns.push(of_row(expr)?.alias(folded(alias))),
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                let unlisted = session.engine().catalog().unlisted(table.name());
                let listed = table.columns().iter().filter(|column| !unlisted.contains(&column.field.name().as_str()));
                let all = listed.map(|column| Expr::Column(Column::new(Some(relation.clone()), column.field.name())));
                columns.extend(all);
            }
            other => return Err(Error::unsupported(format!("{other} in RETURNING"), "Name each expression by itself.")),
        }
    }
    Ok(read.project(columns)?.build()?)
}

/// The expression as a SELECT list would have it.
fn rewritten(expr: &SqlExpr) -> Result<SqlExpr> {
    let mut query = query_of(SelectItem::UnnamedExpr(expr.clone()));
    rewrite::rewrite(&mut query)?;
    Ok(match query.body.as_ref() {
        SetExpr::Select(select) => match select.projection.first() {
            Some(SelectItem::UnnamedExpr(written) | SelectItem::ExprWithAlias { expr: written, .. }) => written.clone(),
            _ => expr.clone(),
        },
        _ => expr.clone(),
    })
}
