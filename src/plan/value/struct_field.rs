//! A field of a struct, which is NULL where the struct is: DataFusion's own gives what lies under the NULL, which CASE and NULLIF leave there.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, make_array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::core::get_field;
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use framesql_udfs::frame::is_frame;

use crate::error::Error;

static FIELD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(StructField { signature }))
});

/// The function, under DataFusion's name.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FIELD)
}

/// The call of it in place of one of DataFusion's; None if it is none.
pub(in crate::plan) fn replaced(call: &ScalarFunction) -> Option<Expr> {
    call.func.inner().is::<GetFieldFunc>().then(|| function().call(call.args.clone()))
}

/// The fields of a frame that queries may read. Of the others its pixels are made, which stay inside a query.
const OF_A_FRAME: [&str; 7] = ["source", "frame_no", "ts", "width", "height", "rotation", "derived"];

/// There is no such field of a frame.
pub(in crate::plan) fn no_field(name: &str) -> Error {
    let hint = "A frame has source, frame_no, ts, width, height, rotation and derived; jpeg(frame) and png(frame) give its pixels.";
    Error::NoField { field: name.to_owned(), of: "frame", hint }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StructField {
    signature: Signature,
}

impl ScalarUDFImpl for StructField {
    fn name(&self) -> &str {
        "get_field"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        get_field().inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        get_field().inner().coerce_types(given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("get_field takes a struct and the name of a field")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if let [of, ..] = args.arg_fields
            && is_frame(of.data_type())
            && let Some(Some(name)) = args.scalar_arguments.get(1)
            && let Some(name) = name.try_as_str().flatten()
            && !OF_A_FRAME.contains(&name)
        {
            return Err(no_field(name).into());
        }
        get_field().inner().return_field_from_args(args)
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        get_field().inner().placement(args)
    }

    /// A field of a field is one call.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let inner = match args.first() {
            Some(Expr::ScalarFunction(call)) if call.func.inner().is::<StructField>() => call.args.clone(),
            _ => return Ok(ExprSimplifyResult::Original(args)),
        };
        let path = inner.into_iter().chain(args.into_iter().skip(1)).collect();
        Ok(ExprSimplifyResult::Simplified(function().call(path)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((base, names)) = args.args.split_first() else { return exec_err!("get_field takes a struct and the name of a field") };
        if !matches!(base.data_type(), DataType::Struct(_)) {
            return get_field().inner().invoke_with_args(args);
        }
        let mut found = base.to_array(if matches!(base, ColumnarValue::Scalar(_)) { 1 } else { args.number_rows })?;
        for name in names {
            let name = match name {
                ColumnarValue::Scalar(name) => name.try_as_str().flatten(),
                ColumnarValue::Array(_) => None,
            };
            let Some(name) = name else { return exec_err!("a field is known by its name") };
            found = field(&found, name)?;
        }
        Ok(match base {
            ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?),
            ColumnarValue::Array(_) => ColumnarValue::Array(found),
        })
    }
}

/// The field's array, shared where no struct is NULL.
fn field(of: &ArrayRef, name: &str) -> Result<ArrayRef> {
    let Some(structs) = of.as_struct_opt() else { return exec_err!("{} has no field {name}", of.data_type()) };
    let Some(column) = structs.column_by_name(name) else { return exec_err!("there is no field {name}") };
    if structs.null_count() == 0 || column.data_type().is_null() {
        return Ok(Arc::clone(column));
    }
    let nulls = NullBuffer::union(structs.nulls(), column.nulls());
    Ok(make_array(column.to_data().into_builder().nulls(nulls).build()?))
}
