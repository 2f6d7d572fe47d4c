//! A row of a relation as one value: a struct of its columns that keeps what their types are told as, which DataFusion's `named_struct` forgets.

use std::sync::Arc;

use datafusion::arrow::array::StructArray;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// The function: the names of the columns and their values in turn.
pub(in crate::plan) const ROW: &str = "row_of_columns";

/// The function.
pub(super) fn function() -> Arc<ScalarUDF> {
    let signature = Signature::one_of(vec![TypeSignature::VariadicAny], Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Row { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Row {
    signature: Signature,
}

impl ScalarUDFImpl for Row {
    fn name(&self) -> &str {
        ROW
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("{ROW} takes names and values")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let pairs = args.scalar_arguments.chunks(2).zip(args.arg_fields.chunks(2));
        let fields: Option<Fields> = pairs
            .map(|(said, fields)| {
                let (Some(name), Some(value)) = (said.first().copied().flatten(), fields.get(1)) else { return None };
                let field = Field::new(name.try_as_str().flatten()?, value.data_type().clone(), true);
                Some(field.with_metadata(value.metadata().clone()))
            })
            .collect();
        match fields {
            Some(fields) => Ok(Arc::new(Field::new(ROW, DataType::Struct(fields), false))),
            None => plan_err!("{ROW} takes names and values"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = args.return_field.data_type() else { return internal_err!("{ROW} gives a struct") };
        let columns = args.args.iter().skip(1).step_by(2).map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields.clone(), columns, None)?)))
    }
}
