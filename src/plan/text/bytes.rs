//! Functions of bytea as in Postgres: `convert_from`, `convert_to`, `get_byte`, `set_byte`, `bit_count`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    From,
    To,
    Get,
    Set,
    Count,
}

/// The functions.
pub(super) fn functions() -> [Arc<ScalarUDF>; 5] {
    let all = [
        ("convert_from", What::From, vec![DataType::Binary, DataType::Utf8]),
        ("convert_to", What::To, vec![DataType::Utf8, DataType::Utf8]),
        ("get_byte", What::Get, vec![DataType::Binary, DataType::Int64]),
        ("set_byte", What::Set, vec![DataType::Binary, DataType::Int64, DataType::Int64]),
        ("bit_count", What::Count, vec![DataType::Binary]),
    ];
    all.map(|(name, what, types)| {
        Arc::new(ScalarUDF::new_from_impl(Bytes { name, what, signature: Signature::exact(types, Volatility::Immutable) }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bytes {
    name: &'static str,
    what: What,
    signature: Signature,
}

impl ScalarUDFImpl for Bytes {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.what {
            What::From => DataType::Utf8,
            What::To | What::Set => DataType::Binary,
            What::Get => DataType::Int32,
            What::Count => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(first) = arrays.first() else { return exec_err!("{} takes a value", self.name) };
        let rows = 0..first.len();
        let known = |row: usize| arrays.iter().all(|array| array.is_valid(row));
        if self.what == What::To {
            let texts = first.as_string::<i32>();
            let one = |row: usize| known(row).then(|| self.encoding(&arrays, row).map(|()| texts.value(row).as_bytes())).transpose();
            let found = rows.map(one).collect::<Result<Vec<_>>>()?;
            return Ok(ColumnarValue::Array(Arc::new(BinaryArray::from(found))));
        }
        let values = cast(first, &DataType::Binary)?;
        let values = values.as_binary::<i32>();
        let number = |at: usize, row: usize| arrays.get(at).map_or(0, |numbers| numbers.as_primitive::<Int64Type>().value(row));
        let place = |row: usize| -> Result<usize> {
            let (index, length) = (number(1, row), values.value(row).len());
            usize::try_from(index).ok().filter(|at| *at < length).ok_or_else(|| {
                let last = length as i64 - 1;
                Error::Encode { code: "2202E", message: format!("index {index} out of valid range, 0..{last}") }.into()
            })
        };
        let found: ArrayRef = match self.what {
            What::From => {
                let one = |row: usize| -> Result<Option<String>> {
                    if !known(row) {
                        return Ok(None);
                    }
                    self.encoding(&arrays, row)?;
                    let wrong = |_| -> DataFusionError {
                        Error::Encode { code: "22021", message: "invalid byte sequence for encoding \"UTF8\"".into() }.into()
                    };
                    String::from_utf8(values.value(row).to_vec()).map(Some).map_err(wrong)
                };
                Arc::new(rows.map(one).collect::<Result<StringArray>>()?)
            }
            What::Get => {
                let byte = |row: usize| Ok(values.value(row).get(place(row)?).copied().map(i32::from).unwrap_or_default());
                Arc::new(rows.map(|row| known(row).then(|| byte(row)).transpose()).collect::<Result<Int32Array>>()?)
            }
            What::Set => {
                let one = |row: usize| -> Result<Option<Vec<u8>>> {
                    if !known(row) {
                        return Ok(None);
                    }
                    let (mut bytes, at) = (values.value(row).to_vec(), place(row)?);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = (number(2, row) & 255) as u8;
                    }
                    Ok(Some(bytes))
                };
                Arc::new(rows.map(one).collect::<Result<Vec<_>>>()?.into_iter().collect::<BinaryArray>())
            }
            _ => {
                let count = |row: usize| values.value(row).iter().map(|byte| i64::from(byte.count_ones())).sum::<i64>();
                Arc::new(rows.map(|row| known(row).then(|| count(row))).collect::<Int64Array>())
            }
        };
        Ok(ColumnarValue::Array(found))
    }
}

impl Bytes {
    /// Errs for an encoding that is not known here.
    fn encoding(&self, arrays: &[ArrayRef], row: usize) -> Result<()> {
        let name = arrays.get(1).map_or("", |names| names.as_string::<i32>().value(row));
        if ["utf8", "utf-8", "unicode", "sql_ascii"].contains(&name.to_ascii_lowercase().as_str()) {
            return Ok(());
        }
        Err(Error::unsupported(format!("the encoding \"{name}\""), "The encoding is UTF8.").into())
    }
}
