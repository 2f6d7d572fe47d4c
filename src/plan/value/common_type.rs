//! COALESCE, GREATEST and LEAST of a value and a text that is written: the text is one of the value's type, as in Postgres; and what they give of uuid,
//! jsonb and json is one too.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::functions::core;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::postgres_types::shown;
use super::text_type::TextType;

/// The functions in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 3] {
    [core::coalesce(), core::greatest(), core::least()].map(|inner| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(OneOf { inner, signature }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneOf {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for OneOf {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let others: Vec<DataType> =
            given.iter().filter(|of| !text(of) && !of.is_null()).map(|of| shown(of).unwrap_or_else(|| of.clone())).collect();
        match others.first() {
            // Nothing but a text that is written stands beside a value of another type: of other texts Postgres would say so.
            Some(first) if given.iter().any(text) && !matches!(first, DataType::Struct(_)) => {
                let common = self.inner.coerce_types(&others)?.into_iter().next().unwrap_or_else(|| first.clone());
                Ok(given.iter().map(|_| common.clone()).collect())
            }
            // Times in µs, where a function among them gives ns.
            Some(_) if given.iter().any(|of| matches!(of, DataType::Timestamp(..))) => {
                let of_us: Vec<DataType> = given.iter().map(|of| shown(of).unwrap_or_else(|| of.clone())).collect();
                self.inner.coerce_types(&of_us)
            }
            _ => self.inner.coerce_types(given),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let of = args.arg_fields.iter().find_map(|field| TextType::of_field(field));
        let field = self.inner.return_field_from_args(args)?;
        Ok(match of {
            Some(of) => Arc::new(Field::new(field.name(), field.data_type().clone(), field.is_nullable()).with_metadata(of.metadata())),
            None => field,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }
}
