//! current_setting() and set_config(): the session's settings as functions see and change them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Signature, SimpleScalarUDF, Volatility};
use datafusion::prelude::SessionContext;
use parking_lot::Mutex;

use crate::engine::session::Session;
use crate::settings::{SESSION_SETTINGS, SessionSetting, Variables};

/// A session's settings while one of its statements runs; functions outlive no session, so they have a copy.
#[derive(Default)]
pub(in crate::wire) struct Current(Mutex<Settings>);

#[derive(Default)]
struct Settings {
    now: Variables,
    changes: Vec<(String, String)>,
}

impl Current {
    /// Takes the settings before a statement runs.
    pub(in crate::wire) fn take(&self, session: &Session) {
        let mut current = self.0.lock();
        current.now = session.variables().lock().clone();
        current.changes.clear();
    }

    /// Gives back what the statement has changed.
    pub(in crate::wire) fn give(&self, session: &Session) -> crate::error::Result<()> {
        let changes = std::mem::take(&mut self.0.lock().changes);
        let mut variables = session.variables().lock();
        changes.iter().try_for_each(|(name, value)| variables.set(name, Some(value)))
    }

    /// Every setting with its value.
    pub(in crate::wire) fn values(&self) -> Vec<(&'static SessionSetting, String)> {
        let current = self.0.lock();
        SESSION_SETTINGS.iter().map(|setting| (setting, current.now.show(setting.name).unwrap_or_default())).collect()
    }

    fn show(&self, name: &str, missing_ok: bool) -> Result<Option<String>> {
        match self.0.lock().now.show(name) {
            Ok(value) => Ok(Some(value)),
            Err(_) if missing_ok => Ok(None),
            Err(e) => Err(DataFusionError::from(e)),
        }
    }

    fn set(&self, name: &str, value: &str) -> Result<String> {
        let mut current = self.0.lock();
        current.now.set(name, Some(value))?;
        current.changes.push((name.to_owned(), value.to_owned()));
        Ok(current.now.show(name)?)
    }
}

/// Registers both functions.
pub(in crate::wire) fn register(context: &SessionContext, current: &Arc<Current>) {
    let held = Arc::clone(current);
    add(context, "current_setting", move |arguments| {
        let [names, rest @ ..] = arguments else { return plan_err!("current_setting() needs a name") };
        let missing_ok = rest.first().map(|flags| cast(flags, &DataType::Boolean)).transpose()?;
        let missing_ok = |row: usize| missing_ok.as_ref().is_some_and(|flags| flags.is_valid(row) && flags.as_boolean().value(row));
        let names = cast(names, &DataType::Utf8)?;
        let value = |(row, name): (usize, Option<&str>)| name.map_or(Ok(None), |name| held.show(name, missing_ok(row)));
        Ok(Arc::new(names.as_string::<i32>().iter().enumerate().map(value).collect::<Result<StringArray>>()?))
    });
    let held = Arc::clone(current);
    add(context, "set_config", move |arguments| {
        let [names, values, ..] = arguments else { return plan_err!("set_config() needs a name and a value") };
        let (names, values) = (cast(names, &DataType::Utf8)?, cast(values, &DataType::Utf8)?);
        let set = |(name, value): (Option<&str>, Option<&str>)| name.map(|name| held.set(name, value.unwrap_or_default())).transpose();
        Ok(Arc::new(names.as_string::<i32>().iter().zip(values.as_string::<i32>().iter()).map(set).collect::<Result<StringArray>>()?))
    });
}

fn add(context: &SessionContext, name: &str, answer: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static) {
    let answer = move |arguments: &[ColumnarValue]| Ok(ColumnarValue::Array(answer(&ColumnarValue::values_to_arrays(arguments)?)?));
    // Volatile: a value folded into a plan would be that of the time it was planned.
    let signature = Signature::variadic_any(Volatility::Volatile);
    context.register_udf(SimpleScalarUDF::new_with_signature(name, signature, DataType::Utf8, Arc::new(answer)).into());
}
