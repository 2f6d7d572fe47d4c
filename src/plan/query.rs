//! A query from its AST to its optimised logical plan, the same for a SELECT and for a continuous query.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::error::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::logical_expr::{ColumnarValue, Distinct, Expr, LogicalPlan, Projection, ScalarUDF, Volatility, cast, create_udf};
use datafusion::optimizer::{Analyzer, AnalyzerRule, OptimizerRule};
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement, VisitMut};
use framesql_udfs::aggregate::aggregates;
use framesql_udfs::function::functions;
use parking_lot::Mutex;

use super::aggregate::argument_names::ArgumentNames;
use super::aggregate::moving::MovingFrames;
use super::aggregate::sum::SumsOfConstants;
use super::aggregate::zero_sign::ZeroSign;
use super::array::literals::ArrayLiterals;
use super::array::subscripts::ArraySubscripts;
use super::conditions::Conditions;
use super::figure::Bind;
use super::json::operators::JsonOperators;
use super::json::subscripts::JsonSubscripts;
use super::line_crossings::CrossingsPlanner;
use super::name::listing::Listing;
use super::name::{columns, first_of_each, outer, stars, using, whole_row};
use super::names::Names;
use super::number::beside_floats::BesideFloats;
use super::number::decimal_places::DecimalPlaces;
use super::number::numerics::Numerics;
use super::parse::Emit;
use super::pattern::planner::PatternPlanner;
use super::sorted_input;
use super::subquery::values::{self, SubqueryValues};
use super::subquery::{below, beside, by_row, elements, grouped, joined, list_value, lone_row, membership, rowless, set_all};
use super::time::clocks::CLOCKS;
use super::time::interval::Intervals;
use super::time::microseconds::Microseconds;
use super::time::overlaps::OverlapsOperator;
use super::time::session_zone::SessionZone;
use super::topn_updating::TopN;
use super::track::TrackPlanner;
use super::unnest::UnnestPlanner;
use super::value::flag_text::FlagText;
use super::value::frame_text::FrameText;
use super::value::in_lists::InLists;
use super::value::postgres_types::{PostgresTypes, PostgresTypesRule};
use super::value::text_literals::TextLiterals;
use super::value::told_type;
use super::value::untyped::{UntypedOperators, UntypedValues};
use super::value::untyped_texts::UntypedTexts;
use super::window::AssignWindow;
use super::window_function::WindowPlanner;
use super::zone_visits::VisitsPlanner;
use super::{
    aggregate, array, asof, changelog, common_expressions, event_time, infer, join, join_keys, json, number, over, pixels, previous,
    range_frame, rewrite, subquery, system_time, text, time, topn_updating, unnest, value,
};
use crate::error::Error;
use crate::settings::Variables;

/// A session's planner: DataFusion's, with framesql's functions, relations and types. `catalog` is the database that it is in, its queries run in
/// that environment, `names` knows what they name besides relations, and `variables` the zone whose clocks they mean.
pub fn state(catalog: &str, environment: Arc<RuntimeEnv>, names: Arc<dyn Names>, variables: Arc<Mutex<Variables>>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(catalog, "public")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        // Rows of a source are never reordered, and a filter must not wait for a second partition.
        .with_target_partitions(1);
    config.set_extension(Arc::new(Listing(Arc::clone(&names))));
    let options = config.options_mut();
    options.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    options.sql_parser.map_string_types_to_utf8view = false;
    // What gathers values gives them in the order of its subquery.
    options.sql_parser.enable_subquery_sort_elimination = false;
    options.execution.time_zone = Some("UTC".to_owned());
    let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![
        Arc::new(Bind(names)),
        Arc::new(FrameText),
        Arc::new(DecimalPlaces),
        Arc::new(BesideFloats),
        Arc::new(Microseconds),
        Arc::new(TextLiterals),
        Arc::new(UntypedValues),
        Arc::new(UntypedTexts),
        Arc::new(FlagText),
    ];
    rules.extend(Analyzer::new().rules);
    rules.push(Arc::new(SessionZone(Arc::clone(&variables))));
    rules.push(Arc::new(Conditions));
    rules.push(Arc::new(PostgresTypesRule));
    rules.push(Arc::new(ZeroSign));
    rules.push(Arc::new(MovingFrames));
    rules.push(Arc::new(InLists));
    let mut optimiser: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![Arc::new(SubqueryValues)];
    optimiser.extend(common_expressions::rules());
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        // Before DataFusion's own, which takes every subscript, and every text beside an array for an element.
        .with_expr_planners(vec![Arc::new(JsonSubscripts), Arc::new(ArraySubscripts), Arc::new(ArrayLiterals)])
        .with_default_features()
        .with_type_planner(Arc::new(PostgresTypes))
        .with_relation_planners(vec![
            Arc::new(WindowPlanner),
            Arc::new(PatternPlanner(variables)),
            Arc::new(TrackPlanner),
            Arc::new(UnnestPlanner),
            Arc::new(VisitsPlanner),
            Arc::new(CrossingsPlanner),
        ])
        .with_analyzer_rules(rules)
        .with_optimizer_rules(optimiser)
        .build();
    let here = [named("current_database", catalog), named("current_schema", "public")];
    let marks = system_time::functions().into_iter().map(Arc::new);
    for function in functions()
        .into_iter()
        .chain(aggregate::functions())
        .chain(array::functions())
        .chain(json::functions())
        .chain(number::functions())
        .chain(text::functions())
        .chain(time::functions())
        .chain(value::functions())
        .chain(marks)
        .chain(here)
    {
        // A function of ours replaces one of the same name; nothing else can go wrong.
        let _ = state.register_udf(function);
    }
    // Planners of this kind cannot be refused.
    let _ = state.register_expr_planner(Arc::new(SumsOfConstants));
    let _ = state.register_expr_planner(Arc::new(ArgumentNames));
    let _ = state.register_expr_planner(Arc::new(OverlapsOperator));
    // Before Intervals, which looks for one.
    let _ = state.register_expr_planner(Arc::new(UntypedOperators));
    let _ = state.register_expr_planner(Arc::new(Intervals));
    let _ = state.register_expr_planner(Arc::new(Numerics));
    let _ = state.register_expr_planner(Arc::new(JsonOperators));
    for function in aggregate::aggregates().chain(subquery::aggregates()).chain(aggregates()) {
        let _ = state.register_udaf(function);
    }
    state
}

/// A function without arguments that gives a name.
fn named(function: &str, name: &str) -> Arc<ScalarUDF> {
    let value = ColumnarValue::Scalar(ScalarValue::from(name));
    Arc::new(create_udf(function, Vec::new(), DataType::Utf8, Volatility::Stable, Arc::new(move |_| Ok(value.clone()))))
}

/// Plans a query, not yet optimised: what a view keeps, and what describes its columns and parameters.
pub async fn plan(state: &SessionState, mut query: Box<Query>) -> Result<LogicalPlan> {
    using::write_out(state, &mut query).await?;
    whole_row::write_out(state, &mut query).await?;
    stars::write_out(state, &mut query).await?;
    first_of_each::number_rows(state, &mut query).await?;
    outer::rename(state, &mut query).await?;
    rewrite::rewrite(&mut query)?;
    if let Some(listing) = state.config().get_extension::<Listing>() {
        listing.rewrite(&mut query);
    }
    let mut kept = query.clone();
    let planned = |query| state.statement_to_plan(Statement::Statement(Box::new(SqlStatement::Query(query))));
    let plan = match planned(query).await {
        Err(error) if columns::named_twice(&error) => {
            let _ = kept.visit(&mut columns::AllNamed);
            let _ = kept.visit(&mut columns::CastsNamed::default());
            planned(kept).await?
        }
        plan => plan?,
    };
    let plan = system_time::take_up(unnest::decorrelate(sorted_input::place(plan)?)?)?;
    range_frame::check(&plan)?;
    let plan = told_type::place(text_for_null(plan)?)?;
    if !below::any(&plan) {
        unnest::check(&plan)?;
        return Ok(plan);
    }
    let plan = elements::place(grouped::place(rowless::place(plan)?)?)?;
    unnest::check(&plan)?;
    list_value::place(lone_row::place(joined::place(beside::place(plan)?)?)?)
}

/// A column of which nothing but NULL is known is text, as in Postgres.
fn text_for_null(plan: LogicalPlan) -> Result<LogicalPlan> {
    if plan.schema().fields().iter().all(|f| !f.data_type().is_null()) {
        return Ok(plan);
    }
    let column = |(qualifier, field): (Option<&TableReference>, &FieldRef)| {
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        if field.data_type().is_null() { cast(column, DataType::Utf8).alias_qualified(qualifier.cloned(), field.name()) } else { column }
    };
    let columns = plan.schema().iter().map(column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// The plan that runs: optimised, with the calls of models, and of what compares frames, in nodes of their own.
pub fn optimise(state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    let plan = set_all::place(plan.clone())?;
    let plan = if below::any(&plan) { by_row::place(plan)? } else { plan };
    whole(state, &membership::place(system_time::strip(plan)?)?)
}

fn whole(state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    pixels::place(infer::hoist(previous::hoist(join_keys::place(state.optimize(plan)?)?)?)?)
}

/// The plan of a continuous query. Errs if it could never answer, or not what it says, with the way out.
pub fn optimise_continuous(state: &SessionState, plan: &LogicalPlan, emit: Emit) -> Result<LogicalPlan> {
    // The optimiser folds now() to a constant, so it is looked for before.
    check_now(plan)?;
    set_all::check(plan)?;
    values::check(state, plan)?;
    let plan = topn_updating::place(whole(state, plan)?)?;
    plan.apply_with_subqueries(|node| {
        check_node(node, emit)?;
        changelog::check(node, emit)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    check_emit(&plan, emit)?;
    Ok(plan)
}

/// Errs for an EMIT that the rows of the plan cannot keep.
fn check_emit(plan: &LogicalPlan, emit: Emit) -> Result<()> {
    match emit {
        Emit::OnWindowClose if changelog::changelog(plan, false) => Err(changelog::refusal("EMIT ON WINDOW CLOSE").into()),
        Emit::Every(_) if !changelog::gives_updates(plan, emit)? => {
            Err(Error::refused("EMIT EVERY has nothing to hold back in a query of rows", "Leave it out: rows are given at once.").into())
        }
        _ => Ok(()),
    }
}

fn check_now(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            e.apply(|e| match e {
                Expr::ScalarFunction(call) if CLOCKS.contains(&call.func.name()) => {
                    let what = format!("{}() in a continuous query would keep the time at which it was planned", call.func.name());
                    Err(Error::refused(what, "Compare with the event time, ts.").into())
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

fn check_node(node: &LogicalPlan, emit: Emit) -> Result<()> {
    let unsupported = |what: &str, hint: &str| Err(Error::unsupported(format!("{what} in a continuous query"), hint).into());
    let mut subquery = false;
    node.apply_expressions(|e| {
        subquery |= e.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_))))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if subquery {
        return unsupported("a subquery in an expression", "Write its value, or compare where you read.");
    }
    match node {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => Err(Error::refused(
            "ORDER BY without LIMIT in a continuous query has no end to sort by",
            "Leave it out, and sort where you read: SELECT … FROM view ORDER BY ….",
        )
        .into()),
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            unsupported("LIMIT", "Leave it out, and limit where you read: SELECT … FROM view LIMIT ….")
        }
        LogicalPlan::Distinct(Distinct::On(_)) => unsupported("DISTINCT ON", "Group by window instead."),
        LogicalPlan::Join(join) => match join::way(join)? {
            join::Way::Unbounded if !changelog::updating(emit) => Err(join::unbounded(join)?.into()),
            _ => Ok(()),
        },
        LogicalPlan::Window(_) if event_time::over_key(node).is_some() => Ok(()),
        LogicalPlan::Window(_) => over::check(node),
        LogicalPlan::RecursiveQuery(_) => unsupported("WITH RECURSIVE", "Use it where you read."),
        LogicalPlan::Aggregate(aggregate) => {
            if event_time::window_key(node).is_some() {
                return Ok(());
            }
            // A window over a column that is no event time is the nearer mistake.
            check_windows(&aggregate.input)?;
            if changelog::updating(emit) {
                return Ok(());
            }
            Err(Error::refused(
                "GROUP BY without a window in a continuous query would never answer",
                "Group by window_start and window_end of TUMBLE(source, ts, INTERVAL '1 second'), or add EMIT CHANGES.",
            )
            .into())
        }
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            if let Some(asof) = node.downcast_ref::<asof::AsofJoin>() {
                return asof.times().map(|_| ());
            }
            match node.downcast_ref::<TopN>() {
                Some(topn) if topn.keeps_first().is_none() && !changelog::updating(emit) => Err(Error::refused(
                    "ROW_NUMBER() without a window in a continuous query would never be final",
                    "Add window_start to its PARTITION BY, or add EMIT CHANGES.",
                )
                .into()),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn check_windows(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        if let LogicalPlan::Extension(extension) = node
            && let Some(assign) = extension.node.as_any().downcast_ref::<AssignWindow>()
            && let Ok(at) = assign.input.schema().index_of_column(&assign.time)
            && event_time::lag_us(&assign.input, at).is_none()
        {
            return Err(event_time::refusal(&assign.input, &assign.time).into());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
