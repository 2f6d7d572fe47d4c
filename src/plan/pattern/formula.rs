//! A condition or measure of MATCH_RECOGNIZE: an expression over values that are looked up in a match.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Column, DFSchema, DFSchemaRef, internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Aggregate, EmptyRelation, Expr, ExprSchemable, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use serde::{Deserialize, Serialize};

use crate::frame::batch::ts_type;
use crate::plan::time::session_zone;
use crate::plan::value::postgres_types::{PostgresTypesRule, shown};
use crate::settings::TimeZone;

/// Which row of a variable is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reach {
    /// FIRST, and so many rows of the variable after it.
    First(usize),
    /// LAST, and so many rows of the variable before it.
    Last(usize),
}

/// A value that is looked up in a match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Navigation {
    /// A column of one row.
    Value {
        /// The column of the input.
        column: usize,
        /// The variable; None is any.
        variable: Option<usize>,
        /// Which of its rows.
        reach: Reach,
        /// NEXT (more than 0) and PREV (less): so many rows of the partition from there.
        shift: i64,
        /// Whether the rows of the whole match are looked at, and not only those up to the current one.
        whole: bool,
    },
    /// An aggregate of the rows of a variable.
    Aggregate {
        /// The call, over columns of the input.
        call: Expr,
        /// The variable; None is any.
        variable: Option<usize>,
        /// As for a value.
        whole: bool,
    },
    /// CLASSIFIER(): the name of the current row's variable.
    Classifier,
    /// MATCH_NUMBER(): from 1 in each partition.
    MatchNumber,
    /// MATCH_ROWTIME(): the time of the match's last row.
    MatchRowtime,
}

/// An expression over the columns `__0`, `__1` …, one a navigation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Formula {
    /// The expression.
    pub expr: Expr,
    /// What its columns are.
    pub navigations: Vec<Navigation>,
    /// Its columns with their types.
    pub schema: DFSchemaRef,
}

/// The name of a column made for MATCH_RECOGNIZE.
pub(super) fn column_name(at: usize) -> String {
    format!("__{at}")
}

impl Formula {
    /// The navigation that it is, if it is one and nothing else.
    pub fn only(&self) -> Option<&Navigation> {
        match (&self.expr, self.navigations.as_slice()) {
            (Expr::Column(_), [only]) => Some(only),
            _ => None,
        }
    }

    /// The type of its result.
    pub fn data_type(&self) -> Result<DataType> {
        self.expr.get_type(&self.schema)
    }

    /// Whether it reads nothing but the row that it is a condition on, as `variable`: then it is known before any match is.
    pub fn of_one_row(&self, own: usize) -> bool {
        self.navigations.iter().all(|n| match n {
            Navigation::Value { variable, reach: Reach::Last(0), shift: 0, .. } => variable.is_none_or(|v| v == own),
            _ => false,
        })
    }

    /// How many rows before and after a row of the match it may look at.
    pub fn shifts(&self) -> (usize, usize) {
        let far = |sign: i64| {
            let of = |n: &Navigation| match n {
                Navigation::Value { shift, .. } => usize::try_from(shift.saturating_mul(sign)).unwrap_or(0),
                _ => 0,
            };
            self.navigations.iter().map(of).max().unwrap_or(0)
        };
        (far(-1), far(1))
    }

    /// Takes up the types that the input has: functions and operators are chosen by them.
    pub(super) fn fit(&mut self, input: &DFSchema) -> Result<()> {
        for navigation in &mut self.navigations {
            if let Navigation::Aggregate { call, .. } = navigation {
                *call = fit_aggregate(call.clone(), input)?;
            }
        }
        let schema = Arc::new(schema(&self.navigations, input)?);
        if schema == self.schema && schema.fields() == self.schema.fields() {
            return Ok(());
        }
        self.expr = fit(self.expr.clone(), &schema, TimeZone::default())?;
        self.schema = schema;
        Ok(())
    }
}

/// The columns of a formula.
pub(super) fn schema(navigations: &[Navigation], input: &DFSchema) -> Result<DFSchema> {
    let field = |(at, navigation): (usize, &Navigation)| -> Result<_> {
        let data_type = match navigation {
            Navigation::Value { column, .. } => match input.fields().get(*column) {
                Some(field) => field.data_type().clone(),
                None => return internal_err!("a pattern's input has no column {column}"),
            },
            Navigation::Aggregate { call, .. } => {
                let found = call.get_type(input)?;
                shown(&found).unwrap_or(found)
            }
            Navigation::Classifier => DataType::Utf8,
            Navigation::MatchNumber => DataType::Int64,
            Navigation::MatchRowtime => ts_type(),
        };
        Ok((None, Arc::new(Field::new(column_name(at), data_type, true))))
    };
    let fields = navigations.iter().enumerate().map(field).collect::<Result<Vec<_>>>()?;
    DFSchema::new_with_metadata(fields, Default::default())
}

fn no_rows(schema: &DFSchema) -> Arc<LogicalPlan> {
    Arc::new(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::new(schema.clone()) }))
}

/// An expression over `schema` as the analyser and the optimiser would make it in a projection, by the clocks of a zone; what has been told one stays.
pub(super) fn fit(expr: Expr, schema: &DFSchema, zone: TimeZone) -> Result<Expr> {
    let options = ConfigOptions::default();
    let plan = LogicalPlan::Projection(Projection::try_new(vec![expr.alias("value")], no_rows(schema))?);
    let plan = session_zone::tell(TypeCoercion::new().analyze(plan, &options)?, zone, &options)?;
    let plan = PostgresTypesRule.analyze(plan, &options)?;
    let fitted = match plan {
        LogicalPlan::Projection(p) => {
            p.expr.into_iter().next().map(Expr::unalias).ok_or_else(|| internal_datafusion_err!("a formula was lost"))?
        }
        other => return internal_err!("a formula became {}", other.display()),
    };
    // Some functions, such as coalesce, run only as what they are simplified to.
    let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).with_config_options(Arc::new(options)).build();
    ExprSimplifier::new(context).simplify(fitted)
}

fn fit_aggregate(call: Expr, input: &DFSchema) -> Result<Expr> {
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(no_rows(input), Vec::new(), vec![call])?);
    match TypeCoercion::new().analyze(plan, &ConfigOptions::default())? {
        LogicalPlan::Aggregate(a) => {
            a.aggr_expr.into_iter().next().map(Expr::unalias).ok_or_else(|| internal_datafusion_err!("an aggregate was lost"))
        }
        // Where the analyser wants the column to keep its name it stands below a projection.
        LogicalPlan::Projection(p) => match p.input.as_ref() {
            LogicalPlan::Aggregate(a) => {
                a.aggr_expr.first().cloned().map(Expr::unalias).ok_or_else(|| internal_datafusion_err!("an aggregate was lost"))
            }
            other => internal_err!("an aggregate became {}", other.display()),
        },
        other => internal_err!("an aggregate became {}", other.display()),
    }
}

/// The column of a navigation in its formula.
pub(super) fn column(at: usize) -> Expr {
    Expr::Column(Column::new_unqualified(column_name(at)))
}
