//! UNNEST beside a table in FROM: one row an element, with the element's fields under the alias.
//!
//! DataFusion plans it as a correlated subquery that it cannot run; here it becomes a node over the table it stands beside.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinType, TableReference, UnnestOptions, plan_err};
use datafusion::error::Result;
use datafusion::functions::core::get_field;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, Join, LogicalPlan, LogicalPlanBuilder, Projection, UserDefinedLogicalNodeCore, lit,
};
use datafusion::sql::sqlparser::ast::{TableAlias, TableFactor};
use framesql_udfs::frame::is_frame;

use super::array::ordinality;
use crate::error::Error;

/// What `rewrite` puts in UNNEST's unused place to say that the query names the whole element.
pub const WHOLE: &str = "whole";
/// The column that holds the list until it is unnested.
const LIST: &str = "__list";
/// The column that holds an element of it. Another name: DataFusion pushes expressions below a node by the names of columns.
const ELEMENT: &str = "__element";
/// The relation of the columns that are whole elements: they are no fields of the alias, whose `*` stands for its fields.
const ELEMENTS: &str = "__elements";

/// The node: its input's columns, with one row an element of the list column, which is the last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unnest {
    /// What stands beside UNNEST, and the list.
    pub input: LogicalPlan,
    /// LEFT JOIN: a row without elements stays, with a NULL element.
    pub keep_empty: bool,
    schema: DFSchemaRef,
}

impl Unnest {
    /// Errs if the last column of the input is not a list.
    pub fn try_new(input: LogicalPlan, keep_empty: bool) -> Result<Unnest> {
        let mut fields: Vec<(Option<TableReference>, FieldRef)> = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        let Some((_, list)) = fields.pop() else { return plan_err!("unnest needs a list") };
        let element = element_of(list.data_type())?;
        let element = Field::new(ELEMENT, element.data_type().clone(), true).with_metadata(element.metadata().clone());
        fields.push((None, Arc::new(element)));
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Unnest { input, keep_empty, schema })
    }

    /// The list's place among the columns: the last.
    pub fn list(&self) -> usize {
        self.schema.fields().len().saturating_sub(1)
    }
}

/// What a list holds, which may be a text that stands for another type.
pub fn element_of(list: &DataType) -> Result<&FieldRef> {
    match list {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => Ok(f),
        other => plan_err!("unnest takes a list, not {other}"),
    }
}

impl PartialOrd for Unnest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.keep_empty, &self.input).partial_cmp(&(&other.keep_empty, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for Unnest {
    fn name(&self) -> &str {
        "UnnestFrames"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::from([ELEMENT.to_owned()])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.keep_empty { "UnnestFrames: rows without elements stay" } else { "UnnestFrames" })
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.into_iter().next() {
            Some(input) => Unnest::try_new(input, self.keep_empty),
            None => plan_err!("unnest needs an input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let mut needed: Vec<usize> = output_columns.iter().copied().chain([self.list()]).collect();
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// UNNEST as the SQL planner sees it, before it meets the table it stands beside: a leaf with the element's columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lateral {
    /// The list, over columns of the outer query.
    pub(super) list: Expr,
    /// The relation of the element's fields.
    alias: TableReference,
    /// The element's fields in order; None for an element that is no struct.
    fields: Option<Vec<String>>,
    /// Whether the last column is the element itself.
    whole: bool,
    schema: DFSchemaRef,
}

impl PartialOrd for Lateral {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.list.partial_cmp(&other.list)
    }
}

impl UserDefinedLogicalNodeCore for Lateral {
    fn name(&self) -> &str {
        "LateralUnnest"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.list.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LateralUnnest: {}", self.list)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        match exprs.into_iter().next() {
            Some(list) => Ok(Lateral { list, ..self.clone() }),
            None => plan_err!("unnest needs a list"),
        }
    }
}

/// Plans UNNEST of one list: the column is called as the alias, which DataFusion's own is not. One of several lists is left to DataFusion.
#[derive(Debug)]
pub struct UnnestPlanner;

impl RelationPlanner for UnnestPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias, with_ordinality } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let [list] = array_exprs.as_slice() else {
            let several = TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality };
            return Ok(RelationPlanning::Original(Box::new(several)));
        };
        let list = context.sql_to_expr(list.clone(), &DFSchema::empty())?;
        let whole = with_offset_alias.is_some_and(|marker| marker.value == WHOLE);
        let (name, mut renamed) = names(alias, context);
        let list = if with_ordinality { numbered(list, &name, &mut renamed)? } else { list };
        let outer = list.contains_outer();
        let node = Lateral::try_new(list, whole, &name, &renamed)?;
        let plan = if outer { LogicalPlan::Extension(Extension { node: Arc::new(node) }) } else { node.alone()? };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

/// The alias, and the new names of the element's first columns.
fn names(alias: Option<TableAlias>, context: &dyn RelationPlannerContext) -> (String, Vec<String>) {
    match alias {
        None => ("unnest".to_owned(), Vec::new()),
        Some(alias) => {
            let renamed = alias.columns.into_iter().map(|c| context.normalize_ident(c.name)).collect();
            (context.normalize_ident(alias.name), renamed)
        }
    }
}

/// The list WITH ORDINALITY. The column of an element that is no struct is named like the relation.
fn numbered(list: Expr, name: &str, renamed: &mut Vec<String>) -> Result<Expr> {
    let list_type = list.get_type(&DFSchema::empty())?;
    let element = element_of(&list_type)?.data_type();
    if renamed.is_empty() && (!matches!(element, DataType::Struct(_)) || is_frame(element)) {
        renamed.push(name.to_owned());
    }
    Ok(ordinality::numbered(list))
}

impl Lateral {
    /// The rows of a list that reads nothing outside.
    fn alone(&self) -> Result<LogicalPlan> {
        let list = LogicalPlanBuilder::empty(true).project([self.list.clone().alias(LIST)])?;
        // A list that is NULL has no rows.
        let list = list.unnest_column_with_options(LIST, UnnestOptions::new().with_preserve_nulls(false))?;
        list.project(self.columns(&Column::new_unqualified(LIST)))?.build()
    }

    fn try_new(list: Expr, whole: bool, alias: &str, renamed: &[String]) -> Result<Lateral> {
        let list_type = list.get_type(&DFSchema::empty())?;
        let of_list = element_of(&list_type)?;
        let element = of_list.data_type().clone();
        let parts: Option<Vec<FieldRef>> = match &element {
            DataType::Struct(fields) if !is_frame(&element) => Some(fields.iter().cloned().collect()),
            _ => None,
        };
        let column = |name: &str, of: &Field| Field::new(name, of.data_type().clone(), true).with_metadata(of.metadata().clone());
        let mut columns: Vec<Field> = match &parts {
            Some(parts) => parts.iter().map(|p| column(p.name(), p)).collect(),
            None => vec![column(alias, of_list)],
        };
        if renamed.len() > columns.len() {
            return plan_err!("unnest gives {} column(s) but {} names are given", columns.len(), renamed.len());
        }
        for (column, name) in columns.iter_mut().zip(renamed) {
            *column = column.clone().with_name(name);
        }
        let whole = whole && parts.is_some() && !columns.iter().any(|c| c.name() == alias);
        if let Some(twice) = columns.iter().enumerate().find(|(at, c)| columns.iter().take(*at).any(|before| before.name() == c.name())) {
            let all = parts.iter().flatten().map(|p| p.name().as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::Syntax {
                message: format!("column name \"{}\" of \"{alias}\" is given twice", twice.1.name()),
                hint: Some(format!("Names in parentheses rename the columns in their order, which is {all}.")),
            }
            .into());
        }
        let relation = TableReference::bare(alias);
        let mut fields: Vec<_> = columns.into_iter().map(|c| (Some(relation.clone()), Arc::new(c))).collect();
        if whole {
            fields.push((Some(TableReference::bare(ELEMENTS)), Arc::new(Field::new(alias, element, true))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Lateral { list, alias: relation, fields: parts.map(|p| p.iter().map(|f| f.name().clone()).collect()), whole, schema })
    }

    /// The node's columns, made from the element.
    fn columns(&self, element: &Column) -> Vec<Expr> {
        let named = self.fields_of(&Expr::Column(element.clone())).into_iter();
        named.map(|(column, value)| value.alias_qualified(column.relation, column.name)).collect()
    }

    /// What each of the node's columns is of the element.
    pub(super) fn fields_of(&self, element: &Expr) -> Vec<(Column, Expr)> {
        let value = |at: usize| match self.fields.as_ref().map(|fields| fields.get(at)) {
            Some(Some(part)) => get_field().call(vec![element.clone(), lit(part.as_str())]),
            // The element itself: the one column of an element that is no struct, and the column after its fields of one that is.
            _ => element.clone(),
        };
        self.schema.columns().into_iter().enumerate().map(|(at, column)| (column, value(at))).collect()
    }
}

/// The plan with every join to a lateral UNNEST made an Unnest node over the join's other side.
pub fn decorrelate(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Join(join) => match lateral(&join.right) {
            Some(node) => Ok(Transformed::yes(over(&join, &node)?)),
            None => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// The UNNEST that a plan is.
pub(super) fn lateral(plan: &LogicalPlan) -> Option<Lateral> {
    let node = match plan {
        LogicalPlan::Subquery(subquery) => subquery.subquery.as_ref(),
        other => other,
    };
    match node {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref::<Lateral>().cloned(),
        _ => None,
    }
}

fn over(join: &Join, node: &Lateral) -> Result<LogicalPlan> {
    let condition =
        join.on.iter().map(|(a, b)| a.clone().eq(b.clone())).chain(join.filter.clone()).filter(|c| *c != lit(true)).reduce(Expr::and);
    let keep_empty = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left if condition.is_none() => true,
        JoinType::Left => {
            return Err(Error::unsupported(
                "LEFT JOIN UNNEST with a condition",
                "Write ON true, and filter the list or the rows in a subquery.",
            )
            .into());
        }
        other => return Err(Error::unsupported(format!("{other} JOIN with UNNEST"), "Use CROSS JOIN or LEFT JOIN … ON true.").into()),
    };
    let left: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let list = node.list.clone().transform(|e| match e {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    })?;
    let mut below = left.clone();
    below.push(list.data.alias(LIST));
    let input = LogicalPlan::Projection(Projection::try_new(below, Arc::clone(&join.left))?);
    let unnest = LogicalPlan::Extension(Extension { node: Arc::new(Unnest::try_new(input, keep_empty)?) });
    let mut columns = left;
    columns.extend(node.columns(&Column::new_unqualified(ELEMENT)));
    let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(unnest))?);
    match condition {
        None => Ok(plan),
        Some(condition) => LogicalPlanBuilder::from(plan).filter(condition)?.build(),
    }
}

/// Errs if a lateral UNNEST is left that no join could take up.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|p| match p {
        LogicalPlan::Extension(e) if e.node.as_any().is::<Lateral>() => Err(Error::unsupported(
            "UNNEST of an outer query's column here",
            "Write it beside its table: FROM t CROSS JOIN UNNEST(…) AS x.",
        )
        .into()),
        LogicalPlan::Unnest(unnest)
            if unnest.struct_type_columns.iter().any(|at| is_frame(unnest.input.schema().field(*at).data_type())) =>
        {
            Err(Error::unsupported("UNNEST of a frame", "Name what is asked for: frame.width, jpeg(frame).").into())
        }
        _ => Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue),
    })?;
    Ok(())
}
