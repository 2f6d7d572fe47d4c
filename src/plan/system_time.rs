//! FOR SYSTEM_TIME AS OF and ASOF JOIN: from their clauses, which travel through the SQL planner as marks in ON, to joins over versions.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, JoinType, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Extension, Join, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    UserDefinedLogicalNodeCore, Volatility,
};
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinConstraint, JoinOperator,
    ObjectName, TableFactor,
};

use super::asof::AsofJoin;
use super::event_time;
use super::parse::VERSION;
use crate::error::Error;

/// ON's mark of `MATCH_CONDITION (…)`, of `FOR SYSTEM_TIME AS OF time`, and of one that is now.
const MARKS: [(&str, usize); 3] = [("__match_condition", 1), ("__as_of", 1), ("__as_of_now", 0)];

/// The functions that are the marks. None of them is ever called.
pub(super) fn functions() -> Vec<ScalarUDF> {
    MARKS
        .into_iter()
        .map(|(name, n_arguments)| {
            let signature = match n_arguments {
                0 => Signature::nullary(Volatility::Volatile),
                n => Signature::any(n, Volatility::Volatile),
            };
            ScalarUDF::new_from_impl(Mark { name, signature })
        })
        .collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mark {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Mark {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{} is a mark of the planner and was called", self.name)
    }
}

/// Moves the clauses of a join into its ON. Errs for a join that has no ON to move them to.
pub(super) fn mark(join: &mut ast::Join) -> crate::error::Result<()> {
    let (mark, what) = match (version_of(&mut join.relation)?, &mut join.join_operator) {
        (None, JoinOperator::AsOf { match_condition, constraint }) => {
            let condition = match_condition.clone();
            let constraint = constraint.clone();
            join.join_operator = JoinOperator::LeftOuter(constraint);
            (call(MARKS[0].0, Some(condition)), "ASOF JOIN")
        }
        (None, _) => return Ok(()),
        (Some(_), JoinOperator::AsOf { .. }) => {
            return Err(Error::unsupported("FOR SYSTEM_TIME AS OF in an ASOF JOIN", "Say the time once, in MATCH_CONDITION."));
        }
        (Some(time), _) => {
            let mark = if is_now(&time) { call(MARKS[2].0, None) } else { call(MARKS[1].0, Some(time)) };
            (mark, "FOR SYSTEM_TIME AS OF")
        }
    };
    let constraint = match &mut join.join_operator {
        JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => c,
        _ => return Err(Error::unsupported(format!("{what} in such a join"), "Write JOIN or LEFT JOIN, with ON.")),
    };
    *constraint = match std::mem::replace(constraint, JoinConstraint::None) {
        JoinConstraint::On(on) => JoinConstraint::On(SqlExpr::BinaryOp {
            left: Box::new(SqlExpr::Nested(Box::new(on))),
            op: BinaryOperator::And,
            right: Box::new(mark),
        }),
        JoinConstraint::None if what == "ASOF JOIN" => JoinConstraint::On(mark),
        _ => return Err(Error::unsupported(format!("{what} without ON"), "Write ON a.key = b.key.")),
    };
    Ok(())
}

/// Errs for a version of a table that stands in no join.
pub(super) fn check_first(relation: &mut TableFactor) -> crate::error::Result<()> {
    match version_of(relation)? {
        None => Ok(()),
        Some(_) => Err(Error::unsupported("FOR SYSTEM_TIME AS OF outside of a join", "Write stream JOIN table FOR SYSTEM_TIME AS OF ….")),
    }
}

/// Takes the version out of a table in FROM; the parser leaves it among the table's arguments.
fn version_of(relation: &mut TableFactor) -> crate::error::Result<Option<SqlExpr>> {
    let TableFactor::Table { args, .. } = relation else { return Ok(None) };
    let of = |arg: &FunctionArg| match arg {
        FunctionArg::ExprNamed { name: SqlExpr::Identifier(name), arg: FunctionArgExpr::Expr(time), .. } if name.value == VERSION => {
            Some(time.clone())
        }
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(time), .. } if name.value == VERSION => Some(time.clone()),
        _ => None,
    };
    let found = args.as_ref().and_then(|args| args.args.iter().find_map(of));
    if found.is_some() {
        *args = None;
    }
    Ok(found)
}

fn is_now(time: &SqlExpr) -> bool {
    matches!(time, SqlExpr::Function(f) if ["now", "proctime", "current_timestamp"].iter().any(|n| f.name.to_string().eq_ignore_ascii_case(n)))
}

fn call(name: &str, argument: Option<SqlExpr>) -> SqlExpr {
    let args = argument.map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).into_iter().collect();
    SqlExpr::Function(ast::Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// The plan with every marked join made what its mark says. Errs for a mark that stands elsewhere.
pub(super) fn take_up(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Join(join) => match marked(join)? {
            (Some(plan), _) => Ok(Transformed::yes(plan)),
            (None, Some(join)) => Ok(Transformed::no(LogicalPlan::Join(join))),
            (None, None) => internal_err!("a join that is no join"),
        },
        other => Ok(Transformed::no(other)),
    })?;
    plan.data.apply_with_subqueries(|node| {
        node.apply_expressions(|e| match e.exists(|e| Ok(mark_in(e).is_some())) {
            Ok(false) => Ok(TreeNodeRecursion::Continue),
            _ => plan_err!(
                "__match_condition and __as_of are no functions: write ASOF JOIN … MATCH_CONDITION (…) or FOR SYSTEM_TIME AS OF …"
            ),
        })
    })?;
    Ok(plan.data)
}

/// Which mark an expression is, and its argument.
fn mark_in(e: &Expr) -> Option<(usize, Option<&Expr>)> {
    let Expr::ScalarFunction(f) = e else { return None };
    let at = MARKS.iter().position(|(name, _)| f.func.name() == *name)?;
    Some((at, f.args.first()))
}

/// What a marked join is; the join itself if it has no mark.
fn marked(join: Join) -> Result<(Option<LogicalPlan>, Option<Join>)> {
    let terms: Vec<Expr> = join.filter.clone().map(split_conjunction_owned).unwrap_or_default();
    let mark = terms.iter().find_map(|t| mark_in(t).map(|(at, argument)| (at, argument.cloned())));
    let Some((which, argument)) = mark else { return Ok((None, Some(join))) };
    let terms: Vec<Expr> = terms.into_iter().filter(|t| mark_in(t).is_none()).collect();
    if which == 2 {
        let node = AsOfNow { input: join.right.as_ref().clone() };
        let right = Arc::new(LogicalPlan::Extension(Extension { node: Arc::new(node) }));
        let filter = conjunction(terms);
        let looked_up =
            Join::try_new(join.left, right, join.on, filter, join.join_type, join.join_constraint, join.null_equality, join.null_aware)?;
        return Ok((Some(LogicalPlan::Join(looked_up)), None));
    }
    let mut on = join.on;
    for term in terms {
        let pair = match &term {
            Expr::BinaryExpr(b) if b.op == Operator::Eq => {
                find_valid_equijoin_key_pair(&b.left, &b.right, join.left.schema(), join.right.schema())?
            }
            _ => None,
        };
        match pair {
            Some(pair) => on.push(pair),
            None => {
                return Err(Error::unsupported(
                    "a condition other than = in ON of a join over versions",
                    "Filter the sides in subqueries, or the answer with WHERE.",
                )
                .into());
            }
        }
    }
    let (left_time, op, right_time) = match (which, argument) {
        (0, Some(Expr::BinaryExpr(b))) => match_condition(&b, &join.left, &join.right)?,
        (1, Some(time)) => (time, Operator::GtEq, versions(&join.right)?),
        _ => return Err(no_match_condition().into()),
    };
    let node = AsofJoin::try_new(join.left.as_ref().clone(), join.right.as_ref().clone(), on, (left_time, op, right_time), join.join_type)?;
    Ok((Some(LogicalPlan::Extension(Extension { node: Arc::new(node) })), None))
}

fn no_match_condition() -> Error {
    Error::unsupported(
        "a MATCH_CONDITION that is not one comparison of a left time with a right one",
        "Write MATCH_CONDITION (l.ts >= r.ts); the comparison is >=, >, <= or <.",
    )
}

/// `left op right`, turned so that the left table's time stands left.
fn match_condition(b: &BinaryExpr, left: &LogicalPlan, right: &LogicalPlan) -> Result<(Expr, Operator, Expr)> {
    let compares = matches!(b.op, Operator::GtEq | Operator::Gt | Operator::LtEq | Operator::Lt);
    let pair = find_valid_equijoin_key_pair(&b.left, &b.right, left.schema(), right.schema())?;
    let (Some((l, r)), Some(swapped), true) = (pair, b.op.swap(), compares) else { return Err(no_match_condition().into()) };
    let op = if l == *b.left { b.op } else { swapped };
    Ok((l, op, r))
}

/// The time at which the versions of a stream or view begin: its event time.
fn versions(right: &LogicalPlan) -> Result<Expr> {
    let nearest = event_time::columns_of(right).into_iter().min_by_key(|(at, lag_us)| (*lag_us, *at));
    match nearest {
        Some((at, _)) => Ok(Expr::Column(Column::from(right.schema().qualified_field(at)))),
        None => Err(Error::refused(
            "FOR SYSTEM_TIME AS OF a time needs a stream or view with event time, which tells when each version began",
            "Write FOR SYSTEM_TIME AS OF now() to look rows up as they are.",
        )
        .into()),
    }
}

/// The node over a table or view of which a continuous query reads what it holds when the other side's rows come.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct AsOfNow {
    /// What is looked up.
    pub input: LogicalPlan,
}

impl UserDefinedLogicalNodeCore for AsOfNow {
    fn name(&self) -> &str {
        "AsOfNow"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsOfNow")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.into_iter().next() {
            Some(input) => Ok(AsOfNow { input }),
            None => plan_err!("a lookup needs a table"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

/// The plan without these nodes: a SELECT reads everything as it is now.
pub(super) fn strip(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| match &plan {
        LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<AsOfNow>() {
            Some(node) => Ok(Transformed::yes(node.input.clone())),
            None => Ok(Transformed::no(plan)),
        },
        _ => Ok(Transformed::no(plan)),
    })?;
    Ok(plan.data)
}

/// Whether a continuous join looks this side up as it is now: it is marked so, or rows of a table.
pub fn looked_up(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(p) => looked_up(&p.input),
        LogicalPlan::Filter(f) => looked_up(&f.input),
        LogicalPlan::SubqueryAlias(s) => looked_up(&s.input),
        LogicalPlan::TableScan(scan) => event_time::source_of(scan).is_some_and(|source| !source.flows()),
        LogicalPlan::Extension(extension) => extension.node.as_any().is::<AsOfNow>(),
        _ => false,
    }
}

/// Joins over versions keep the left side's rows: inner and left.
pub(super) fn check_type(join_type: JoinType) -> Result<()> {
    match join_type {
        JoinType::Inner | JoinType::Left => Ok(()),
        other => Err(Error::unsupported(format!("{other} JOIN over versions"), "Write JOIN or LEFT JOIN.").into()),
    }
}

/// The order of two nodes by what they hold, for `PartialOrd`.
pub(super) fn ordered(ordering: Option<Ordering>, equal: bool) -> Option<Ordering> {
    ordering.filter(|o| *o != Ordering::Equal || equal)
}
