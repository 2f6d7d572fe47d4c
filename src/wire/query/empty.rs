//! Relations of the catalogue that have no rows: what is read from them is not planned, as DataFusion could not plan all of it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, GroupByExpr, JoinOperator, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitorMut,
};
use pgwire::api::Type;

use super::empty_types::{CatalogTypes, null_of};
use super::look_ups::column;
use super::rewrite::{last, null, quoted};
use crate::plan::column_names as names;
use crate::wire::value::inferred::compares;

/// Relations of pg_catalog that have rows only where a table has a primary key.
const OF_KEYS: [&str; 2] = ["pg_constraint", "pg_index"];

/// Relations of pg_catalog of which framesql has no rows: it has no triggers, policies, partitions, and its users make no aggregates.
const EMPTY: [&str; 27] = [
    "pg_aggregate",
    "pg_auth_members",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_event_trigger",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_inherits",
    "pg_largeobject_metadata",
    "pg_locks",
    "pg_partitioned_table",
    "pg_policy",
    "pg_prepared_xacts",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_replication_slots",
    "pg_seclabel",
    "pg_seclabels",
    "pg_sequence",
    "pg_shseclabel",
    "pg_statistic_ext",
    "pg_subscription",
    "pg_subscription_rel",
    "pg_trigger",
    "pg_user_mapping",
];

/// Functions that give a row where there is none to read.
const AGGREGATES: [&str; 12] =
    ["count", "sum", "min", "max", "avg", "array_agg", "string_agg", "bool_and", "bool_or", "json_agg", "jsonb_agg", "every"];

/// A SELECT over a relation without rows has none: what DataFusion cannot plan in it need not be planned.
pub(super) struct Emptied<'a> {
    /// What has rows.
    there: There,
    /// What the columns are of.
    types: &'a CatalogTypes,
    /// How many queries stand around what is visited.
    depth: usize,
}

impl<'a> Emptied<'a> {
    /// `types` are of the catalogue's columns.
    pub(in crate::wire) fn new(there: There, types: &'a CatalogTypes) -> Emptied<'a> {
        Emptied { there, types, depth: 0 }
    }
}

/// What tables have, of which relations of the catalogue tell.
#[derive(Clone, Copy, Default)]
pub(in crate::wire) struct There {
    /// Whether one has a primary key.
    pub(in crate::wire) keys: bool,
    /// Whether a column has a default.
    pub(in crate::wire) defaults: bool,
}

impl VisitorMut for Emptied<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Subquery(query) if without_rows(query, self.there) || gathers_nothing(query, self.there) => {
                *expr = known(self.types.of_subquery(query)).unwrap_or_else(null)
            }
            Expr::Subquery(query) if counts_nothing(query, self.there) => {
                *expr = Expr::Value(Value::Number("0".into(), false).with_empty_span())
            }
            Expr::Exists { subquery, negated } if without_rows(subquery, self.there) => *expr = boolean(*negated),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = query.with.as_mut().filter(|with| with.recursive) {
            // A recursion over what has no rows is its first step.
            let steps = with.cte_tables.iter_mut().map(|table| first_step(&mut table.query, self.there)).collect::<Vec<_>>();
            with.recursive = !steps.into_iter().all(|plain| plain);
        }
        let answer = self.depth == 0;
        self.depth += 1;
        empty_branches(query.body.as_mut(), self.there, self.types, answer);
        // The columns that it was sorted by may be gone.
        if matches!(query.body.as_ref(), SetExpr::Select(select) if select.from.is_empty()) {
            query.order_by = None;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Leaves only what a recursion begins with if its step reads nothing, and says whether it did.
fn first_step(query: &mut Query, there: There) -> bool {
    let SetExpr::SetOperation { left, right, .. } = query.body.as_mut() else { return false };
    if !matches!(right.as_ref(), SetExpr::Select(select) if reads_nothing(select, there) && !aggregates(select)) {
        return false;
    }
    let first =
        std::mem::replace(left, Box::new(SetExpr::Values(ast::Values { explicit_row: false, value_keyword: false, rows: Vec::new() })));
    query.body = first;
    true
}

fn empty_branches(body: &mut SetExpr, there: There, types: &CatalogTypes, answer: bool) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            empty_branches(left, there, types, answer);
            empty_branches(right, there, types, answer);
        }
        SetExpr::Select(select) if reads_nothing(select, there) && !aggregates(select) => make_empty(select, types, answer),
        _ => {}
    }
}

fn without_rows(query: &Query, there: There) -> bool {
    matches!(query.body.as_ref(), SetExpr::Select(select) if reads_nothing(select, there) && !aggregates(select))
}

fn counts_nothing(query: &Query, there: There) -> bool {
    aggregate_of_nothing(query, there).as_deref() == Some("count")
}

/// Whether a subquery is another aggregate of no rows, which is NULL.
fn gathers_nothing(query: &Query, there: There) -> bool {
    aggregate_of_nothing(query, there).is_some_and(|name| name != "count")
}

/// The aggregate that a query is of rows that are not there.
fn aggregate_of_nothing(query: &Query, there: There) -> Option<String> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(Expr::Function(function))] = select.projection.as_slice() else { return None };
    let name = last(&function.name).filter(|name| AGGREGATES.contains(&name.as_str()))?;
    (reads_nothing(select, there) && plain_groups(select)).then_some(name)
}

/// NULL of a type that is known. A text is left to be what stands beside it.
fn known(data_type: Option<Type>) -> Option<Expr> {
    data_type.filter(|data_type| *data_type != Type::TEXT).map(|data_type| null_of(&data_type))
}

pub(super) fn plain_groups(select: &Select) -> bool {
    matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
}

/// Whether a relation without rows is among those that each row must be taken from.
fn reads_nothing(select: &Select, there: There) -> bool {
    select.selection.as_ref().is_some_and(no_key)
        || select.from.iter().any(|table| {
            // A RIGHT or FULL JOIN gives rows of its other side.
            let optional =
                |join: &JoinOperator| matches!(join, JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_));
            let inner = |join: &JoinOperator| matches!(join, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_));
            !table.joins.iter().any(|join| optional(&join.join_operator))
                && (is_empty(&table.relation, there)
                    || table.joins.iter().any(|join| inner(&join.join_operator) && is_empty(&join.relation, there)))
        })
}

/// Whether a condition asks for constraints and indexes that are no primary keys: there are none.
fn no_key(condition: &Expr) -> bool {
    let word = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(word) => Some(word.to_lowercase()),
            Value::Boolean(value) => Some(if *value { "t" } else { "f" }.to_owned()),
            _ => None,
        },
        _ => None,
    };
    match condition {
        Expr::Nested(inner) => no_key(inner),
        Expr::BinaryOp { left, op: ast::BinaryOperator::And, right } => no_key(left) || no_key(right),
        Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } => match (column(left).as_deref(), word(right).as_deref()) {
            (Some("contype"), Some(word)) => word != "p",
            (Some("indisprimary"), Some(word)) => word.starts_with('f'),
            _ => false,
        },
        Expr::InList { expr, list, negated: false } => {
            column(expr).as_deref() == Some("contype") && list.iter().all(|one| word(one).is_some_and(|word| word != "p"))
        }
        Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => column(expr).as_deref() == Some("indisprimary"),
        _ => false,
    }
}

fn is_empty(relation: &TableFactor, there: There) -> bool {
    match relation {
        TableFactor::Table { name, args: None, .. } => {
            let qualified =
                name.0.len() == 1 || name.0.first().and_then(|part| part.as_ident()).is_some_and(|schema| schema.value == "pg_catalog");
            let empty = |name: &str| match name {
                "pg_attrdef" => !there.defaults,
                name => EMPTY.contains(&name) || !there.keys && OF_KEYS.contains(&name),
            };
            qualified && last(name).is_some_and(|name| empty(&name))
        }
        TableFactor::Derived { subquery, .. } => without_rows(subquery, there),
        _ => false,
    }
}

/// Whether a SELECT without rows to read gives one all the same.
pub(super) fn aggregates(select: &Select) -> bool {
    let mut finder = Aggregates { found: select.having.is_some(), depth: 0 };
    let _ = select.projection.iter().try_for_each(|item| ast::Visit::visit(item, &mut finder));
    finder.found && plain_groups(select)
}

/// Looks for aggregates of a SELECT itself, not of subqueries in it.
struct Aggregates {
    found: bool,
    depth: usize,
}

impl ast::Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let aggregate =
            matches!(expr, Expr::Function(function) if last(&function.name).is_some_and(|name| AGGREGATES.contains(&name.as_str())));
        self.found |= aggregate && self.depth == 0;
        ControlFlow::Continue(())
    }
}

/// Leaves the names and the types of the columns, and no rows.
fn make_empty(select: &mut Select, types: &CatalogTypes, answer: bool) {
    // In the answer what is not known is text, inside it a bare NULL, which is of any type.
    let other = || if answer { null_of(&Type::TEXT) } else { null() };
    let value = |expr: &Expr| known(types.find(expr, select)).unwrap_or_else(other);
    let column = |(name, data_type): &(String, Type)| SelectItem::ExprWithAlias { expr: null_of(data_type), alias: quoted(name) };
    let star = types.star(select);
    let named = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => vec![SelectItem::ExprWithAlias { expr: value(expr), alias: quoted(&names::of_expr(expr)) }],
        SelectItem::ExprWithAlias { alias, expr } => vec![SelectItem::ExprWithAlias { expr: value(expr), alias: alias.clone() }],
        SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(of), _) => {
            let columns = last(of).and_then(|of| types.wildcard(&of, select));
            // Where nobody shows them those of `t.*` are left out.
            columns.unwrap_or_default().iter().map(column).collect()
        }
        SelectItem::Wildcard(_) => star.iter().flatten().map(|one| column(one)).collect(),
        _ => Vec::new(),
    };
    // What else a `*` stands for is known to the planner only.
    if star.is_none() && select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_))) {
        return;
    }
    let projection: Vec<_> = select.projection.iter().flat_map(named).collect();
    if projection.is_empty() {
        return;
    }
    let compared = compared(select, types);
    select.projection = projection;
    select.from.clear();
    select.distinct = None;
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    select.having = None;
    select.selection = Some(compared.into_iter().fold(boolean(false), |all, one| operation(all, ast::BinaryOperator::And, one)));
}

/// Each parameter beside NULL of the type that it is compared with: it says of which type it is.
fn compared(select: &Select, types: &CatalogTypes) -> Vec<Expr> {
    let parameter = |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)));
    let mut found = Vec::new();
    let mut pair = |one: &Expr, other: &Expr| {
        if let (true, Some(of)) = (parameter(one), types.find(other, select)) {
            found.push(operation(null_of(&of), ast::BinaryOperator::Eq, one.clone()));
        }
    };
    let _ = ast::visit_expressions(select, |expr| {
        match expr {
            Expr::BinaryOp { left, op, right } if compares(op) => {
                pair(left, right);
                pair(right, left);
            }
            Expr::InList { expr, list, .. } => list.iter().for_each(|one| pair(one, expr)),
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

fn operation(left: Expr, op: ast::BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn boolean(value: bool) -> Expr {
    Expr::Value(Value::Boolean(value).with_empty_span())
}
