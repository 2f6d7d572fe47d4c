//! What a pattern recognises, in the form in which descriptions are written.

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use serde::{Deserialize, Serialize};

use crate::plan::order::Order;
use crate::plan::pattern::formula::{Formula, Navigation, Reach};
use crate::plan::pattern::{Part, Recognition, Skip};
use crate::run::written::Written;

/// A navigation with its call written.
#[derive(Serialize, Deserialize)]
pub(crate) enum NavigationForm {
    Value { column: usize, variable: Option<usize>, reach: Reach, shift: i64, whole: bool },
    Aggregate { call: String, variable: Option<usize>, whole: bool },
    Classifier,
    MatchNumber,
    MatchRowtime,
}

impl Written for Navigation {
    type Form = NavigationForm;

    fn form(&self) -> Result<NavigationForm> {
        Ok(match self.clone() {
            Navigation::Value { column, variable, reach, shift, whole } => NavigationForm::Value { column, variable, reach, shift, whole },
            Navigation::Aggregate { call, variable, whole } => NavigationForm::Aggregate { call: call.form()?, variable, whole },
            Navigation::Classifier => NavigationForm::Classifier,
            Navigation::MatchNumber => NavigationForm::MatchNumber,
            Navigation::MatchRowtime => NavigationForm::MatchRowtime,
        })
    }

    fn back(form: NavigationForm) -> Result<Navigation> {
        Ok(match form {
            NavigationForm::Value { column, variable, reach, shift, whole } => Navigation::Value { column, variable, reach, shift, whole },
            NavigationForm::Aggregate { call, variable, whole } => Navigation::Aggregate { call: Expr::back(call)?, variable, whole },
            NavigationForm::Classifier => Navigation::Classifier,
            NavigationForm::MatchNumber => Navigation::MatchNumber,
            NavigationForm::MatchRowtime => Navigation::MatchRowtime,
        })
    }
}

impl Written for Formula {
    type Form = (String, Vec<NavigationForm>, <DFSchemaRef as Written>::Form);

    fn form(&self) -> Result<Self::Form> {
        Ok((self.expr.form()?, self.navigations.form()?, self.schema.form()?))
    }

    fn back((expr, navigations, schema): Self::Form) -> Result<Formula> {
        Ok(Formula { expr: Written::back(expr)?, navigations: Written::back(navigations)?, schema: Written::back(schema)? })
    }
}

/// A recognition with its formulas written.
#[derive(Serialize, Deserialize)]
pub(crate) struct RecognitionForm {
    partition: Vec<usize>,
    order: Vec<Order>,
    variables: Vec<String>,
    part: Part,
    define: Vec<Option<<Formula as Written>::Form>>,
    measures: Vec<(String, <Formula as Written>::Form)>,
    before: Vec<(usize, String)>,
    after: Vec<(usize, String)>,
    all_rows: bool,
    skip: Skip,
    within_us: Option<i64>,
}

impl Written for Recognition {
    type Form = RecognitionForm;

    fn form(&self) -> Result<RecognitionForm> {
        let Recognition { partition, order, variables, part, define, measures, before, after, all_rows, skip, within_us } = self.clone();
        let measures = measures.iter().map(|(name, formula)| Ok((name.clone(), formula.form()?))).collect::<Result<_>>()?;
        let define = define.form()?;
        Ok(RecognitionForm { partition, order, variables, part, define, measures, before, after, all_rows, skip, within_us })
    }

    fn back(form: RecognitionForm) -> Result<Recognition> {
        let RecognitionForm { partition, order, variables, part, define, measures, before, after, all_rows, skip, within_us } = form;
        let measures = measures.into_iter().map(|(name, formula)| Ok((name, Formula::back(formula)?))).collect::<Result<_>>()?;
        let define = Written::back(define)?;
        Ok(Recognition { partition, order, variables, part, define, measures, before, after, all_rows, skip, within_us })
    }
}
