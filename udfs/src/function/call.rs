//! What every function needs to read its arguments and give its result: arrays of one length, frames with or without pixels, numbers or NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::compute::kernels::cmp::distinct;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit};
use arrow::util::display::array_value_to_string;
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{ColumnarValue, Expr, ScalarFunctionArgs};

use super::boxes::{is_box, is_boxes, is_point};
use super::parameters::{parameters, written};
use super::type_name::{field_type_name, type_name};
use crate::detection::{detection_type, detections_type};
use crate::embedding::Measure;
use crate::frame::{FrameBuilder, FrameColumn, FrameId, FrameView, Picture, PixelFormat, frame_type, is_frame};
use crate::interrupt;
use crate::out_of_range::out_of_range;
use crate::pixels::{Damaged, decoded, sized};

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A frame.
    Frame,
    /// A whole number; others are cast to int4.
    Int,
    /// A number; cast to float8.
    Float,
    /// A whole number of 64 bits; others are cast to int8.
    Long,
    /// A text.
    Text,
    /// A file.
    Bytes,
    /// A list of numbers; cast to float8[].
    Numbers,
    /// A moment; others are cast to timestamptz.
    Time,
    /// A list of DETECTION.
    Detections,
    /// A box or a detection, or what may be written for one; read by `boxes`, so not cast before.
    Box,
    /// A box as above, or a point (x, y).
    Place,
    /// A box or a list of boxes.
    Boxes,
    /// A list of texts.
    Texts,
    /// A list of numbers, as a model's vector.
    Vector,
    /// A DETECTION.
    Detection,
}

impl Kind {
    /// The type to cast an argument to. None if it cannot be one.
    fn accept(self, given: &DataType) -> Option<DataType> {
        let number = given.is_numeric() || matches!(given, DataType::Null | DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        match self {
            Kind::Frame => (given.is_null() || is_frame(given)).then(frame_type),
            Kind::Int => number.then_some(DataType::Int32),
            Kind::Float => number.then_some(DataType::Float64),
            Kind::Long => number.then_some(DataType::Int64),
            Kind::Text => {
                matches!(given, DataType::Null | DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8).then_some(DataType::Utf8)
            }
            Kind::Bytes => {
                let file = matches!(given, DataType::Null | DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
                file.then_some(DataType::Binary)
            }
            Kind::Numbers => match given {
                DataType::Null => Some(numbers_type()),
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    (item.data_type().is_numeric() || item.data_type().is_null()).then(numbers_type)
                }
                _ => None,
            },
            Kind::Time => matches!(given, DataType::Null | DataType::Timestamp(..)).then(time_type),
            Kind::Detections => (given.is_null() || *given == detections_type() || of_nulls(given)).then(detections_type),
            Kind::Box => is_box(given).then(|| given.clone()),
            Kind::Place => (is_box(given) || is_point(given)).then(|| given.clone()),
            Kind::Boxes => is_boxes(given).then(|| given.clone()),
            Kind::Texts => list_of(given, DataType::Utf8, |item| item.is_null() || item.is_string()),
            // What is float4 already, as every model's vectors are, stays so; all else is not narrowed.
            Kind::Vector => {
                list_of(given, DataType::Float32, |item| matches!(item, DataType::Null | DataType::Float16 | DataType::Float32))
                    .or_else(|| list_of(given, DataType::Float64, DataType::is_numeric))
            }
            Kind::Detection => (given.is_null() || *given == detection_type()).then(detection_type),
        }
    }

    /// As a message names it.
    fn text(self) -> &'static str {
        match self {
            Kind::Frame => "a frame",
            Kind::Int | Kind::Long => "a whole number",
            Kind::Text => "a text",
            Kind::Time => "a time (timestamptz)",
            Kind::Bytes => "a file (bytea)",
            Kind::Numbers => "a list of numbers",
            Kind::Detections => "a list of detections",
            Kind::Float => "a number",
            Kind::Box => "a box (x, y, w, h)",
            Kind::Place => "a box (x, y, w, h) or a point (x, y)",
            Kind::Boxes => "a box (x, y, w, h) or a list of boxes",
            Kind::Texts => "a list of texts",
            Kind::Vector => "a list of numbers",
            Kind::Detection => "a detection",
        }
    }
}

/// timestamptz: µs, UTC.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn numbers_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Float64, true)))
}

/// The list type to cast a list to; None if its items cannot be.
fn list_of(given: &DataType, item: DataType, fits: impl Fn(&DataType) -> bool) -> Option<DataType> {
    let items = match given {
        DataType::List(items) | DataType::LargeList(items) | DataType::FixedSizeList(items, _) => items.data_type(),
        other => other,
    };
    let list = !std::ptr::eq(items, given);
    (given.is_null() || list && fits(items)).then(|| DataType::List(Arc::new(Field::new("item", item, true))))
}

/// Whether it is the type of `[]`, or of a list of nothing but NULL.
fn of_nulls(given: &DataType) -> bool {
    matches!(given, DataType::List(item) if item.data_type().is_null())
}

/// Checks the types that a call was written with and says what they are cast to; the first `n_required` arguments must be there.
fn coerce(function: &str, given: &[DataType], kinds: &[Kind], n_required: usize) -> Result<Vec<DataType>> {
    if given.len() < n_required || given.len() > kinds.len() {
        // One that names a figure is given its text behind what users write.
        let n_most = parameters(function).map_or(kinds.len(), |parameters| parameters.len());
        let upto = if n_required < n_most { format!(" to {n_most}") } else { String::new() };
        let written = written(function).map_or(String::new(), |written| format!(": {written}"));
        return plan_err!("{function} takes {n_required}{upto} argument(s), not {}{written}", given.len());
    }
    let one = |(at, (kind, given)): (usize, (&Kind, &DataType))| match kind.accept(given) {
        Some(to) => Ok(to),
        None => wrong(function, at, *kind, &type_name(given)),
    };
    kinds.iter().zip(given).enumerate().map(one).collect()
}

fn wrong<T>(function: &str, at: usize, kind: Kind, given: &str) -> Result<T> {
    let place = ["first", "second", "third", "fourth"].get(at).copied().unwrap_or("next");
    plan_err!("the {place} argument of {function} is {}, not {given}", kind.text())
}

/// The same where fractions in the place of a whole number are not cast, but looked at by `whole` when it is called, so that 3.5 is refused and not rounded.
pub(crate) fn coerce_exactly(function: &str, given: &[DataType], kinds: &[Kind], n_required: usize) -> Result<Vec<DataType>> {
    let mut types = coerce(function, given, kinds, n_required)?;
    for ((to, given), kind) in types.iter_mut().zip(given).zip(kinds) {
        if matches!(kind, Kind::Int | Kind::Long) && (given.is_floating() || given.is_decimal()) {
            *to = given.clone();
        }
    }
    Ok(types)
}

/// The same where a text in the place of what is none stays as it is: it may be the text of a jsonb or a uuid, and `check_texts`, which is told, errs.
pub(crate) fn coerce_all_but_texts(function: &str, given: &[DataType], kinds: &[Kind], n_required: usize) -> Result<Vec<DataType>> {
    let kind = |at: usize| kinds.get(at).copied();
    let left = |at: usize, of: &DataType| kind(at).is_some_and(|kind| of.is_string() && kind.accept(of).is_none());
    let known: Vec<DataType> = given.iter().enumerate().map(|(at, of)| if left(at, of) { DataType::Null } else { of.clone() }).collect();
    let types = coerce_exactly(function, &known, kinds, n_required)?;
    Ok(types.into_iter().zip(given).enumerate().map(|(at, (to, of))| if left(at, of) { of.clone() } else { to }).collect())
}

/// Errs for a text in the place of what is none.
pub(crate) fn check_texts(function: &str, given: &[FieldRef], kinds: &[Kind]) -> Result<()> {
    for (at, (field, kind)) in given.iter().zip(kinds).enumerate() {
        if field.data_type().is_string() && kind.accept(field.data_type()).is_none() {
            return wrong(function, at, *kind, &field_type_name(field));
        }
    }
    Ok(())
}

/// An argument of that kind as it is read: whole numbers that came as fractions of nothing. Errs for a fraction, and for what has no room.
pub(crate) fn whole(function: &str, given: ArrayRef, kind: Kind) -> Result<ArrayRef> {
    let (to, bits) = match kind {
        Kind::Int => (DataType::Int32, 32),
        Kind::Long => (DataType::Int64, 64),
        _ => return Ok(given),
    };
    if *given.data_type() == to {
        return Ok(given);
    }
    let made = cast(&given, &to)?;
    let back = cast(&made, given.data_type())?;
    // -0 is a whole number, and comes back as 0.
    let given = match given.as_primitive_opt::<Float64Type>() {
        Some(floats) => Arc::new(floats.unary::<_, Float64Type>(|v| v + 0.0)) as ArrayRef,
        None => given,
    };
    match distinct(&back, &given)?.iter().position(|other| other == Some(true)) {
        Some(row) => out_of_range!("{function} needs a whole number of {bits} bits, not {}", array_value_to_string(&given, row)?),
        None => Ok(made),
    }
}

/// Errs for a constant of a call that is no whole number: where an aggregate hands it to a function, the aggregate is to be named.
pub(crate) fn check_whole(function: &str, argument: &Expr) -> Result<()> {
    match argument {
        Expr::Literal(value, _) => whole(function, value.to_array()?, Kind::Int).map(|_| ()),
        _ => Ok(()),
    }
}

/// The arguments as arrays, one value a row.
#[derive(Clone)]
pub(super) struct Arguments {
    function: &'static str,
    arrays: Vec<ArrayRef>,
    /// Which of them the query names as constants, as far as that is known.
    constants: Vec<bool>,
    /// Rows.
    pub(super) n_rows: usize,
}

/// Evaluates a function: once if all arguments are constants, else row by row.
pub(super) fn invoke(
    function: &'static str,
    args: &ScalarFunctionArgs,
    kinds: &[Kind],
    run: impl FnOnce(&Arguments) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let n_rows = if constant { 1 } else { args.number_rows };
    let arrays = args.args.iter().map(|a| a.to_array(n_rows)).collect::<Result<_>>()?;
    let mut arguments = Arguments::whole(function, arrays, n_rows, kinds)?;
    arguments.constants = args.args.iter().map(|a| matches!(a, ColumnarValue::Scalar(_))).collect();
    let result = run(&arguments)?;
    Ok(if constant { ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?) } else { ColumnarValue::Array(result) })
}

impl Arguments {
    /// Arguments that have been evaluated already.
    pub(super) fn of(function: &'static str, arrays: Vec<ArrayRef>, n_rows: usize) -> Arguments {
        Arguments { function, arrays, constants: Vec::new(), n_rows }
    }

    /// Arguments that have been evaluated, of the types that the function coerces to: whole numbers among them may still be of another.
    pub(super) fn whole(function: &'static str, arrays: Vec<ArrayRef>, n_rows: usize, kinds: &[Kind]) -> Result<Arguments> {
        let arrays = arrays.into_iter().zip(kinds).map(|(array, kind)| whole(function, array, *kind)).collect::<Result<_>>()?;
        Ok(Arguments { function, arrays, constants: Vec::new(), n_rows })
    }

    /// Whether the call has that argument, be it NULL.
    pub(super) fn given(&self, at: usize) -> bool {
        at < self.arrays.len()
    }

    /// Whether an argument is a constant of the query, the same for every row.
    pub(super) fn constant(&self, at: usize) -> bool {
        self.constants.get(at).copied().unwrap_or(false)
    }

    /// One argument.
    pub(super) fn array(&self, at: usize) -> Result<&ArrayRef> {
        match self.arrays.get(at) {
            Some(array) => Ok(array),
            None => exec_err!("{} needs more than {at} arguments", self.function),
        }
    }

    /// Calls `each` for every frame of the first argument, in order. A NULL frame gives None, and so does a picture that is damaged;
    /// any other error is the query's.
    pub(super) fn frames<T>(&self, mut each: impl FnMut(usize, &FrameView<'_>) -> Result<Option<T>>) -> Result<Vec<Option<T>>> {
        let frames = FrameColumn::try_new(self.array(0)?.as_ref())?;
        let one = |row| {
            let found = frames.get(row).map(|view| each(row, &view));
            // A picture that was left half done is never shown.
            interrupt::check()?;
            match found {
                None => Ok(None),
                Some(Err(error)) if Damaged::caused(&error) => Ok(None),
                Some(result) => result,
            }
        };
        (0..self.n_rows).map(one).collect()
    }

    /// The same with the pixels of each frame, as they are stored. Errs where only the reference is left.
    pub(super) fn pictures<T>(&self, mut each: impl FnMut(usize, &Picture) -> Result<Option<T>>) -> Result<Vec<Option<T>>> {
        self.frames(|row, view| each(row, &self.pixels(view)?))
    }

    fn pixels(&self, view: &FrameView<'_>) -> Result<Picture> {
        let picture = view.pixels(self.function)?;
        sized(picture.width, picture.height)?;
        Ok(picture)
    }

    /// Calls `each` for every pair of frames of the first two arguments, with the reference that a frame derived from the first has.
    /// A pair with a NULL frame or a damaged picture gives None. Errs where only the reference of one is left.
    pub(super) fn pairs<T>(&self, mut each: impl FnMut(&FrameId, &Picture, &Picture) -> Result<Option<T>>) -> Result<Vec<Option<T>>> {
        let others = FrameColumn::try_new(self.array(1)?.as_ref())?;
        self.frames(|row, view| match others.get(row) {
            Some(other) => each(&view.id(true), &self.pixels(view)?, &self.pixels(&other)?),
            None => Ok(None),
        })
    }

    /// A column of the pictures that `each` makes: frames with the reference of their original, marked as derived. What is RGB keeps the matrix of the video
    /// that it comes from, by which its luma is that video's.
    pub(super) fn derive(&self, mut each: impl FnMut(usize, &Picture) -> Result<Option<Picture>>) -> Result<ArrayRef> {
        let made = self.frames(|row, view| {
            let original = self.pixels(view)?;
            Ok(each(row, &original)?.map(|picture| (view.id(true), Picture { matrix: original.matrix, ..picture })))
        })?;
        let mut frames = FrameBuilder::new();
        for frame in &made {
            match frame {
                Some((id, picture)) => {
                    let (width, height) = picture.displayed();
                    frames.append(id, width, height, Some(picture));
                }
                None => frames.append_null(),
            }
        }
        Ok(Arc::new(frames.finish()))
    }

    /// A whole number of one row; None is NULL, or an argument that is not there.
    pub(super) fn int(&self, at: usize, row: usize) -> Option<i32> {
        let array = self.arrays.get(at)?.as_primitive_opt::<Int32Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    /// A whole number of 64 bits of one row; None is NULL, or an argument that is not there.
    pub(super) fn long(&self, at: usize, row: usize) -> Option<i64> {
        let array = self.arrays.get(at)?.as_primitive_opt::<Int64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    /// A text of one row; None is NULL, or an argument that is not there.
    pub(super) fn text(&self, at: usize, row: usize) -> Option<&str> {
        let array = self.arrays.get(at)?.as_string_opt::<i32>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    /// A list of numbers of one row, each of them perhaps NULL; None is NULL, or an argument that is not there.
    pub(super) fn numbers(&self, at: usize, row: usize) -> Option<Vec<Option<f64>>> {
        let array = self.arrays.get(at)?.as_list_opt::<i32>()?;
        array.is_valid(row).then(|| array.value(row).as_primitive_opt::<Float64Type>().map(|n| n.iter().collect()))?
    }

    /// Measures the two vectors of every row. One that is NULL or holds a NULL gives NULL; two of different lengths are an error.
    pub(super) fn vectors<M: Measure>(&self) -> Result<ArrayRef> {
        let one = |row: usize| {
            let (Some(a), Some(b)) = (self.list(0, row), self.list(1, row)) else { return Ok(None) };
            if a.null_count() + b.null_count() > 0 {
                return Ok(None);
            }
            if a.len() != b.len() {
                return out_of_range!("different vector dimensions {} and {}", a.len(), b.len());
            }
            let (narrow, wide) =
                (|v: &ArrayRef| v.as_primitive_opt::<Float32Type>().cloned(), |v: &ArrayRef| v.as_primitive_opt::<Float64Type>().cloned());
            Ok(match (narrow(&a), narrow(&b), wide(&a), wide(&b)) {
                (Some(a), Some(b), ..) => M::of(a.values(), b.values()),
                (Some(a), _, _, Some(b)) => M::of(a.values(), b.values()),
                (_, Some(b), Some(a), _) => M::of(a.values(), b.values()),
                (_, _, Some(a), Some(b)) => M::of(a.values(), b.values()),
                _ => None,
            })
        };
        Ok(Arc::new((0..self.n_rows).map(one).collect::<Result<Float64Array>>()?))
    }

    /// A list of one row; None is NULL, or an argument that is not there.
    pub(super) fn list(&self, at: usize, row: usize) -> Option<ArrayRef> {
        let array = self.arrays.get(at)?.as_list_opt::<i32>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    /// A number of one row that is at least 0, `named` as the signature has it; None is NULL, or an argument that is not there. Errs for a negative one and
    /// for NaN.
    pub(super) fn amount(&self, at: usize, row: usize, named: &str) -> Result<Option<f64>> {
        match self.float(at, row) {
            Some(amount) if amount.is_nan() || amount < 0.0 => {
                out_of_range!("{} needs a {named} of at least 0, not {amount}", self.function)
            }
            amount => Ok(amount),
        }
    }

    /// A number of one row; None is NULL, or an argument that is not there.
    pub(super) fn float(&self, at: usize, row: usize) -> Option<f64> {
        let array = self.arrays.get(at)?.as_primitive_opt::<Float64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }
}

/// Decodes a JPEG once for all the rows in a row that show it, as UNNEST makes one a face.
#[derive(Default)]
pub(super) struct Decoder {
    /// The picture as it was stored and what came of it. It holds the file, so that the same address is the same file.
    last: Option<(Picture, Result<Picture, Damaged>)>,
}

impl Decoder {
    /// The picture with its pixels decoded.
    pub(super) fn decode(&mut self, picture: &Picture) -> Result<Picture, Damaged> {
        if picture.format != PixelFormat::Jpeg {
            return Ok(picture.clone());
        }
        let name = |p: &Picture| {
            let [file, ..] = &p.planes;
            (file.as_ref().map(|f: &Buffer| (f.as_ptr(), f.len())), p.format, p.width, p.height, p.rotation)
        };
        match &self.last {
            Some((of, result)) if name(of) == name(picture) => result.clone(),
            _ => self.last.insert((picture.clone(), decoded(picture))).1.clone(),
        }
    }
}

/// The parts of ScalarUDFImpl that all functions share: name, signature, coercion, documentation.
macro_rules! sql_function {
    (
        $type:ident, $name:literal, arguments: [$($kind:ident),+], required: $required:literal, returns: $returns:expr,
        syntax: $syntax:literal, description: $description:literal, example: $example:literal
    ) => {
        /// What its arguments may be.
        pub(super) const KINDS: &[$crate::function::call::Kind] = &[$($crate::function::call::Kind::$kind),+];

        /// The function.
        #[derive(Debug, PartialEq, Eq, Hash)]
        pub(super) struct $type(datafusion_expr::Signature);

        impl Default for $type {
            fn default() -> Self {
                $type(datafusion_expr::Signature::user_defined(datafusion_expr::Volatility::Immutable))
            }
        }

        impl datafusion_expr::ScalarUDFImpl for $type {
            fn name(&self) -> &str {
                $name
            }

            fn signature(&self) -> &datafusion_expr::Signature {
                &self.0
            }

            fn coerce_types(&self, given: &[arrow::datatypes::DataType]) -> datafusion_common::Result<Vec<arrow::datatypes::DataType>> {
                $crate::function::call::coerce_all_but_texts($name, given, KINDS, $required)
            }

            fn return_field_from_args(
                &self,
                args: datafusion_expr::ReturnFieldArgs<'_>,
            ) -> datafusion_common::Result<arrow::datatypes::FieldRef> {
                $crate::function::call::check_texts($name, args.arg_fields, KINDS)?;
                Ok(std::sync::Arc::new(arrow::datatypes::Field::new($name, $returns, true)))
            }

            fn return_type(&self, _: &[arrow::datatypes::DataType]) -> datafusion_common::Result<arrow::datatypes::DataType> {
                Ok($returns)
            }

            fn invoke_with_args(
                &self,
                args: datafusion_expr::ScalarFunctionArgs,
            ) -> datafusion_common::Result<datafusion_expr::ColumnarValue> {
                $crate::function::call::invoke($name, &args, KINDS, run)
            }

            fn documentation(&self) -> Option<&datafusion_expr::Documentation> {
                static DOCUMENTATION: std::sync::LazyLock<datafusion_expr::Documentation> = std::sync::LazyLock::new(|| {
                    datafusion_expr::Documentation::builder(datafusion_expr::DocSection::default(), $description, $syntax)
                        .with_sql_example($example)
                        .build()
                });
                Some(&DOCUMENTATION)
            }
        }
    };
}
pub(super) use sql_function;
