//! Subqueries over a list of the row outside, `(SELECT max(d.score) FROM UNNEST(detect_faces(frame)) AS d WHERE …)`: what they say of its elements is worked
//! out row by row, so that it has an answer in a continuous query too. DataFusion looks for a relation to join.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue, TableReference, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Extension, FetchType, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, SkipType, Subquery, UserDefinedLogicalNodeCore, Volatility, lit, when,
};

use super::below::{self, Below, asks_further, columns_of, outside, replaced};
use super::lone_row;
use crate::error::Error;
use crate::plan::unnest::{self, Lateral};

/// The column that holds the list.
const LIST: &str = "__list_of_row";
/// The columns that hold what is said of it.
const VALUE: &str = "__of_list";

static ELEMENT: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Element { signature: Signature::any(1, Volatility::Immutable) })));

/// The node: its input's columns but the last, which is the list, and a column for each aggregate over the elements that the condition lets through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Elements {
    /// The rows, each with its list.
    pub input: LogicalPlan,
    /// Which elements count, over the columns and the element; None is all.
    pub condition: Option<Expr>,
    /// What is said of them, over the same.
    pub aggregates: Vec<Expr>,
    /// The columns of the aggregates.
    names: Vec<String>,
    schema: DFSchemaRef,
}

impl Elements {
    fn try_new(input: LogicalPlan, condition: Option<Expr>, aggregates: Vec<Expr>, names: Vec<String>) -> Result<Elements> {
        let mut fields: Vec<(Option<TableReference>, FieldRef)> = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        fields.pop();
        for (aggregate, name) in aggregates.iter().zip(&names) {
            let (_, field) = aggregate.to_field(input.schema())?;
            fields.push((None, Arc::new(field.as_ref().clone().with_name(name))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Elements { input, condition, aggregates, names, schema })
    }

    /// How many of the input's columns it passes on, and so the place of the list.
    pub fn n_passed(&self) -> usize {
        self.input.schema().fields().len().saturating_sub(1)
    }

    /// The same expression with the element as a column of that name.
    pub fn over_element(expr: &Expr, name: &str) -> Result<Expr> {
        let read = expr.clone().transform_up(|e| match e {
            Expr::ScalarFunction(call) if call.func.inner().is::<Element>() => {
                Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(read.data)
    }
}

impl PartialOrd for Elements {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.aggregates, &self.input).partial_cmp(&(&other.aggregates, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for Elements {
    fn name(&self) -> &str {
        "Elements"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.condition.iter().chain(&self.aggregates).cloned().collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.names.iter().cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.aggregates.iter().map(Expr::to_string).collect();
        write!(f, "Subquery over a list: {}", all.join(", "))?;
        self.condition.iter().try_for_each(|condition| write!(f, " WHERE {condition}"))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Some(input) = inputs.into_iter().next() else { return plan_err!("a list needs an input") };
        let mut exprs = exprs.into_iter();
        let condition = self.condition.as_ref().and_then(|_| exprs.next());
        Elements::try_new(input, condition, exprs.collect(), self.names.clone())
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let n_passed = self.n_passed();
        let read = self.expressions().into_iter().flat_map(|e| e.column_refs().into_iter().cloned().collect::<Vec<_>>());
        let read = read.filter_map(|column| self.input.schema().index_of_column(&column).ok());
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|at| *at < n_passed).chain(read).chain([n_passed]).collect();
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// Stands for the element of a list that is looked at, in the expressions of the node.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Element {
    signature: Signature,
}

impl ScalarUDFImpl for Element {
    fn name(&self) -> &str {
        "element"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of an element is that of its list")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [list] = args.arg_fields else { return plan_err!("an element is one of a list") };
        let element = unnest::element_of(list.data_type())?;
        Ok(Arc::new(Field::new(self.name(), element.data_type().clone(), true).with_metadata(element.metadata().clone())))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // A function that looks at the picture has been taken below the node.
        Err(Error::unsupported(
            "a model, or a comparison with the frame before, of an element of a list in a subquery",
            "Write the list beside its table: FROM t CROSS JOIN UNNEST(…) AS x.",
        )
        .into())
    }
}

/// The plan with a node for each such subquery of a projection or a condition.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        any |= matches!(node, LogicalPlan::Extension(extension) if extension.node.as_any().is::<Lateral>());
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    below::place(plan, value)
}

fn value(below: &mut Below, e: &Expr) -> Result<Option<Expr>> {
    match e {
        Expr::ScalarSubquery(subquery) => scalar(below, subquery),
        Expr::Exists(of) => exists(below, &of.subquery, of.negated),
        Expr::InSubquery(of) => found(below, &of.expr, &of.subquery, of.negated),
        _ => Ok(None),
    }
}

fn scalar(below: &mut Below, subquery: &Subquery) -> Result<Option<Expr>> {
    let Some(question) = Question::of(subquery) else { return Ok(None) };
    let (aggregates, value) = match (&question.shape, &question.value) {
        (Shape::Aggregate { aggregates, having }, value) => {
            let value = match having {
                Some(having) => when(having.clone(), value.clone()).end()?,
                None => value.clone(),
            };
            (aggregates.clone(), value)
        }
        (Shape::First(order), value) => {
            let first = AggregateFunction::new_udf(first_value_udaf(), vec![value.clone()], false, None, order.clone(), None);
            let of = Expr::Column(Column::new_unqualified(VALUE));
            (vec![(Column::new_unqualified(VALUE), Expr::AggregateFunction(first))], of)
        }
        (Shape::Rows, value) => {
            let one = AggregateFunction::new_udf(lone_row::function(), vec![value.clone()], false, None, Vec::new(), None);
            let of = Expr::Column(Column::new_unqualified(VALUE));
            (vec![(Column::new_unqualified(VALUE), Expr::AggregateFunction(one))], of)
        }
    };
    node(below, &question, aggregates, value).map(Some)
}

fn exists(below: &mut Below, subquery: &Subquery, negated: bool) -> Result<Option<Expr>> {
    let Some(question) = Question::of_rows(subquery) else { return Ok(None) };
    let n = Column::new_unqualified(VALUE);
    let none = Expr::Column(n.clone()).eq(lit(0_i64));
    let value = if negated { none } else { Expr::Not(Box::new(none)) };
    node(below, &question, vec![(n, count(lit(1_i64)))], value).map(Some)
}

fn found(below: &mut Below, of: &Expr, subquery: &Subquery, negated: bool) -> Result<Option<Expr>> {
    // Of what LIMIT lets through it is another question.
    let Some(question) = Question::of(subquery).filter(|question| matches!(question.shape, Shape::Rows)) else { return Ok(None) };
    let equal = of.clone().eq(question.value.clone());
    let counted = |condition: Expr| Ok::<_, datafusion::error::DataFusionError>(count(when(condition, lit(1_i64)).end()?));
    let (found, unknown) = (Column::new_unqualified(format!("{VALUE}_found")), Column::new_unqualified(format!("{VALUE}_unknown")));
    let aggregates = vec![(found.clone(), counted(equal.clone())?), (unknown.clone(), counted(equal.is_null())?)];
    let some = |n: Column| Expr::Column(n).gt(lit(0_i64));
    let value = when(some(found), lit(!negated)).when(some(unknown), lit(ScalarValue::Boolean(None))).otherwise(lit(negated))?;
    node(below, &question, aggregates, value).map(Some)
}

/// Puts a node on top, and reads the value over its columns.
fn node(below: &mut Below, question: &Question<'_>, aggregates: Vec<(Column, Expr)>, value: Expr) -> Result<Expr> {
    let list = Column::new_unqualified(format!("{LIST}_{}", below.n));
    let around = Arc::clone(below.plan.schema());
    let element = ELEMENT.call(vec![Expr::Column(list.clone())]);
    let elements: HashMap<Column, Expr> = question.leaf.fields_of(&element).into_iter().collect();
    let inside = |e: Expr| outside(replaced(e, &elements)?, &around);
    let condition = question.conditions.iter().map(|e| inside((*e).clone())).reduce(|all, one| Ok(all?.and(one?))).transpose()?;
    let names: Vec<String> = (0..aggregates.len()).map(|at| format!("{VALUE}_{}_{at}", below.n)).collect();
    let mut columns: HashMap<Column, Expr> = HashMap::new();
    let mut said = Vec::with_capacity(aggregates.len());
    for ((column, aggregate), name) in aggregates.into_iter().zip(&names) {
        columns.insert(column, Expr::Column(Column::new_unqualified(name)));
        said.push(inside(aggregate)?);
    }
    let mut columns_below: Vec<Expr> = around.columns().into_iter().map(Expr::Column).collect();
    columns_below.push(outside(question.leaf.list.clone(), &around)?.alias(list.name()));
    let input = LogicalPlanBuilder::from(below.plan.clone()).project(columns_below)?.build()?;
    let node = Elements::try_new(input, condition, said, names)?;
    below.plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
    below.n += 1;
    outside(replaced(value, &columns)?, &around)
}

/// A subquery over a list, taken apart.
struct Question<'a> {
    leaf: Lateral,
    conditions: Vec<&'a Expr>,
    shape: Shape,
    /// What is selected: over the aggregates, or over the element.
    value: Expr,
}

enum Shape {
    /// One row: the aggregates by the columns that they are read as.
    Aggregate { aggregates: Vec<(Column, Expr)>, having: Option<Expr> },
    /// The first of its rows in an order.
    First(Vec<Sort>),
    /// Its rows.
    Rows,
}

impl<'a> Question<'a> {
    /// None for what is over another relation, or has another shape; of several columns, too.
    fn of(subquery: &'a Subquery) -> Option<Question<'a>> {
        let [selected] = subquery.subquery.schema().columns().try_into().ok()?;
        Question::about(subquery, Expr::Column(selected))
    }

    /// The same for a subquery of which nothing is read but whether it has rows.
    fn of_rows(subquery: &'a Subquery) -> Option<Question<'a>> {
        Question::about(subquery, lit(true)).filter(|question| !matches!(question.shape, Shape::Aggregate { .. }))
    }

    fn about(subquery: &'a Subquery, selected: Expr) -> Option<Question<'a>> {
        let mut plan = subquery.subquery.as_ref();
        let mut first = false;
        if let LogicalPlan::Limit(limit) = plan {
            let skip = limit.get_skip_type().ok()?;
            let fetch = limit.get_fetch_type().ok()?;
            if !matches!((skip, fetch), (SkipType::Literal(0), FetchType::Literal(Some(1)))) {
                return None;
            }
            first = true;
            plan = &limit.input;
        }
        let (mut order, mut value) = (Vec::new(), selected);
        // ORDER BY stands above what is selected, or below where it reads more.
        loop {
            match plan {
                LogicalPlan::Sort(sort) if first && order.is_empty() => {
                    order = sort.expr.clone();
                    plan = &sort.input;
                }
                LogicalPlan::Projection(projection) => {
                    let selected = columns_of(projection);
                    for by in &mut order {
                        by.expr = replaced(by.expr.clone(), &selected).ok()?;
                    }
                    value = replaced(value, &selected).ok()?;
                    plan = &projection.input;
                }
                _ => break,
            }
        }
        let mut having = None;
        if let LogicalPlan::Filter(filter) = plan
            && matches!(filter.input.as_ref(), LogicalPlan::Aggregate(_))
        {
            having = Some(filter.predicate.clone());
            plan = &filter.input;
        }
        let mut shape = if first { Shape::First(order) } else { Shape::Rows };
        if let LogicalPlan::Aggregate(aggregate) = plan {
            // LIMIT 1 of one row is that row.
            if !aggregate.group_expr.is_empty() {
                return None;
            }
            let named = aggregate.schema.columns().into_iter().zip(aggregate.aggr_expr.iter().map(|e| e.clone().unalias()));
            shape = Shape::Aggregate { aggregates: named.collect(), having };
            plan = &aggregate.input;
        }
        let mut conditions = Vec::new();
        while let LogicalPlan::Filter(filter) = plan {
            conditions.push(&filter.predicate);
            plan = &filter.input;
        }
        let leaf = unnest::lateral(plan)?;
        let question = Question { leaf, conditions, shape, value };
        (!question.asks_further()).then_some(question)
    }

    /// Whether there are subqueries in it.
    fn asks_further(&self) -> bool {
        let aggregates = match &self.shape {
            Shape::Aggregate { aggregates, having } => aggregates.iter().map(|(_, e)| e).chain(having).collect(),
            Shape::First(order) => order.iter().map(|by| &by.expr).collect(),
            Shape::Rows => Vec::new(),
        };
        self.conditions.iter().copied().chain([&self.value]).chain(aggregates).any(asks_further)
    }
}
