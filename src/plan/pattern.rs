//! MATCH_RECOGNIZE: rows of a partition, in the order of event time, that follow one another as a pattern says.

pub mod formula;
mod navigation;
pub mod planner;
mod read;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::{DFSchema, DFSchemaRef, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use serde::{Deserialize, Serialize};

use super::order::Order;
use formula::{Formula, Navigation};

/// A pattern as a tree; variables by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Part {
    /// One row that the variable's condition holds for.
    Variable(usize),
    /// One after the other.
    Sequence(Vec<Part>),
    /// One of them, the first preferred.
    Choice(Vec<Part>),
    /// Several times.
    Repeat {
        /// What is repeated.
        part: Box<Part>,
        /// At least so often.
        least: u32,
        /// At most so often; None is without end.
        most: Option<u32>,
        /// Whether more is preferred to fewer.
        greedy: bool,
    },
}

impl Part {
    /// Whether it can be without a row.
    pub fn empty(&self) -> bool {
        match self {
            Part::Variable(_) => false,
            Part::Sequence(parts) => parts.iter().all(Part::empty),
            Part::Choice(parts) => parts.iter().any(Part::empty),
            Part::Repeat { part, least, .. } => *least == 0 || part.empty(),
        }
    }
}

/// Where the search goes on after a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Skip {
    /// Behind its last row.
    PastLastRow,
    /// At its second row.
    ToNextRow,
    /// At the first row of a variable.
    ToFirst(usize),
    /// At the last row of a variable.
    ToLast(usize),
}

/// What is recognised; columns are those of the input, by index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recognition {
    /// PARTITION BY.
    pub partition: Vec<usize>,
    /// ORDER BY: the event time, ascending, and what tells rows of one time apart.
    pub order: Vec<Order>,
    /// The names of the variables.
    pub variables: Vec<String>,
    /// PATTERN.
    pub part: Part,
    /// DEFINE, by variable; None holds for every row.
    pub define: Vec<Option<Formula>>,
    /// MEASURES, with their names.
    pub measures: Vec<(String, Formula)>,
    /// The input's columns before the measures, with their names.
    pub before: Vec<(usize, String)>,
    /// Those after the measures.
    pub after: Vec<(usize, String)>,
    /// ALL ROWS PER MATCH.
    pub all_rows: bool,
    /// AFTER MATCH SKIP.
    pub skip: Skip,
    /// WITHIN: from the first row of a match to its last, µs.
    pub within_us: Option<i64>,
}

impl Recognition {
    /// The column of event time.
    pub fn time(&self) -> usize {
        self.order.first().map_or(0, |o| o.column)
    }

    /// Every formula.
    pub fn formulas(&self) -> impl Iterator<Item = &Formula> {
        self.define.iter().flatten().chain(self.measures.iter().map(|(_, formula)| formula))
    }

    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let mut text = format!("pattern=({})", self.text(&self.part));
        if let Some(us) = self.within_us {
            text.push_str(&format!(", within={} ms", us / 1_000));
        }
        let name = |variable: usize| self.variables.get(variable).map_or("", String::as_str);
        text.push_str(&match self.skip {
            Skip::PastLastRow => ", skip=past last row".to_owned(),
            Skip::ToNextRow => ", skip=to next row".to_owned(),
            Skip::ToFirst(variable) => format!(", skip=to first {}", name(variable)),
            Skip::ToLast(variable) => format!(", skip=to last {}", name(variable)),
        });
        text.push_str(if self.all_rows { ", rows=all" } else { ", rows=one" });
        text
    }

    fn text(&self, part: &Part) -> String {
        let all = |parts: &[Part], between: &str| parts.iter().map(|p| self.text(p)).collect::<Vec<_>>().join(between);
        match part {
            Part::Variable(variable) => self.variables.get(*variable).cloned().unwrap_or_default(),
            Part::Sequence(parts) => all(parts, " "),
            Part::Choice(parts) => format!("({})", all(parts, " | ")),
            Part::Repeat { part, least, most, greedy } => {
                let inner = match part.as_ref() {
                    Part::Variable(_) | Part::Choice(_) => self.text(part),
                    _ => format!("({})", self.text(part)),
                };
                let times = match (least, most) {
                    (0, None) => "*".to_owned(),
                    (1, None) => "+".to_owned(),
                    (0, Some(1)) => "?".to_owned(),
                    (least, None) => format!("{{{least},}}"),
                    (least, Some(most)) if least == most => format!("{{{least}}}"),
                    (least, Some(most)) => format!("{{{least},{most}}}"),
                };
                format!("{inner}{times}{}", if *greedy { "" } else { "?" })
            }
        }
    }
}

/// The node: a row a match, or the rows of the matches, with the measures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The columns that conditions and measures read, each computed already.
    pub input: LogicalPlan,
    /// What is recognised in them.
    pub recognition: Recognition,
    schema: DFSchemaRef,
}

impl Pattern {
    /// Errs if a formula does not fit the types of the input.
    pub fn try_new(input: LogicalPlan, mut recognition: Recognition) -> Result<Pattern> {
        for formula in recognition.define.iter_mut().flatten().chain(recognition.measures.iter_mut().map(|(_, f)| f)) {
            formula.fit(input.schema())?;
        }
        let column = |(at, name): &(usize, String)| match input.schema().fields().get(*at) {
            Some(field) => Ok((None, Arc::new(field.as_ref().clone().with_name(name)))),
            None => internal_err!("a pattern's input has no column {at}"),
        };
        let mut fields = recognition.before.iter().map(column).collect::<Result<Vec<_>>>()?;
        for (name, formula) in &recognition.measures {
            fields.push((None, Arc::new(Field::new(name, formula.data_type()?, true))));
        }
        fields.extend(recognition.after.iter().map(column).collect::<Result<Vec<_>>>()?);
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Pattern { input, recognition, schema })
    }

    /// Whether a column of the node is the time of its match, or in ALL ROWS PER MATCH that of its row: what the operator's watermark is of.
    pub fn carries_time(&self, at: usize) -> bool {
        let r = &self.recognition;
        if let Some((column, _)) = r.before.get(at) {
            return r.all_rows && *column == r.time();
        }
        let measure = at.checked_sub(r.before.len()).and_then(|at| r.measures.get(at));
        measure.is_some_and(|(_, formula)| formula.only() == Some(&Navigation::MatchRowtime))
    }
}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.recognition == other.recognition).then(|| self.input.partial_cmp(&other.input)).flatten()
    }
}

impl UserDefinedLogicalNodeCore for Pattern {
    fn name(&self) -> &str {
        "Pattern"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// None: its formulas are over columns of a match, which no rule of the optimiser knows; what they read is computed below.
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// No condition on its rows holds for the rows that it reads.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema.fields().iter().map(|f| f.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern: {}", self.recognition.detail())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.into_iter().next() {
            Some(input) => Pattern::try_new(input, self.recognition.clone()),
            None => plan_err!("MATCH_RECOGNIZE needs a table"),
        }
    }

    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}
