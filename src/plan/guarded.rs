//! DataFusion's functions with a look at what they are given and at what they give: where Postgres errs and they do not.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

/// Where a function errs that DataFusion's own does not.
pub(super) trait Guard: Debug + Eq + Hash + Send + Sync + 'static {
    /// Errs for what it may not be given, before anything is worked out.
    fn before(&self, _function: &str, _given: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    /// Errs for what it may not give of that.
    fn after(&self, _found: &ArrayRef, _given: &[ArrayRef]) -> Result<()> {
        Ok(())
    }
}

/// The function under its own name, guarded.
pub(super) fn guarded(inner: Arc<ScalarUDF>, guard: impl Guard) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Guarded { inner, guard }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded<G> {
    inner: Arc<ScalarUDF>,
    guard: G,
}

impl<G: Guard> ScalarUDFImpl for Guarded<G> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given = ColumnarValue::values_to_arrays(&args.args)?;
        self.guard.before(self.name(), &given)?;
        let found = self.inner.invoke_with_args(args)?;
        if let Some(first) = given.first() {
            self.guard.after(&found.to_array(first.len())?, &given)?;
        }
        Ok(found)
    }
}
