//! FRAME: a picture as a value of SQL, with the reference that names it and the planes that hold its pixels, shared and never copied.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BinaryViewBuilder, BooleanBuilder, Int32Builder, Int64Builder, NullBufferBuilder,
    PrimitiveArray, StringBuilder, StructArray, TimestampMicrosecondBuilder, new_null_array,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Fields, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion_common::{Result, exec_err, internal_err};

/// The name under which the type travels in Arrow metadata.
pub const EXTENSION_NAME: &str = "framesql.frame";
/// How many planes a picture has at most.
const N_PLANES: usize = 3;
/// Where the planes begin among the fields of the struct.
const FIRST_PLANE: usize = 11;

/// How the planes hold the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Planes Y (w x h), U and V (half the size each way, rounded up), tightly packed, 8 bits.
    I420,
    /// Planes Y and UV interleaved, tightly packed.
    Nv12,
    /// One plane: the whole encoded file.
    Jpeg,
    /// One plane: w x h x 3 bytes, red first.
    Rgb8,
    /// One plane: w x h bytes of full-range luma.
    Gray8,
}

/// Whether luma runs from 16 to 235 or from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorRange {
    /// 16 to 235, as video has it.
    Limited,
    /// 0 to 255, as JPEG has it.
    Full,
}

/// Which matrix makes red, green and blue of luma and chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorMatrix {
    /// ITU-R BT.601: JPEG, and video below 720 lines.
    Bt601,
    /// ITU-R BT.709: HD video.
    Bt709,
    /// ITU-R BT.2020.
    Bt2020,
}

/// One decoded picture. The planes are shared buffers: cloning copies no pixel.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What the planes hold.
    pub format: PixelFormat,
    /// Width of the planes, before `rotation`.
    pub width: u32,
    /// Height of the planes, before `rotation`.
    pub height: u32,
    /// The range of luma.
    pub range: ColorRange,
    /// The matrix of chroma.
    pub matrix: ColorMatrix,
    /// Degrees to turn clockwise for display: 0, 90, 180 or 270.
    pub rotation: u16,
    /// The planes; as many as the format has.
    pub planes: [Option<Buffer>; N_PLANES],
}

impl Picture {
    /// Width and height as displayed.
    pub fn displayed(&self) -> (u32, u32) {
        if self.turned() { (self.height, self.width) } else { (self.width, self.height) }
    }

    /// Whether width and height change places for display.
    pub fn turned(&self) -> bool {
        on_its_side(self.rotation)
    }
}

fn on_its_side(rotation: u16) -> bool {
    matches!(rotation, 90 | 270)
}

/// Which picture it is, whether its pixels are there or not.
#[derive(Clone, Debug)]
pub struct FrameId {
    /// The source, unique in the engine.
    pub source_id: u64,
    /// The source's name.
    pub source: Arc<str>,
    /// Its number on the source's timeline, from 0.
    pub frame_no: i64,
    /// Its event time, µs since 1970.
    pub ts_us: i64,
    /// Whether a function made it (crop, resize): its pixels are no longer the source's.
    pub derived: bool,
}

/// Made once: whether a type is FRAME is asked for every batch. Every field is nullable, as those of a NULL frame are NULL: a field's access reads
/// the field's own array and not the frame's validity.
static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let ts = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Fields::from(vec![
        Field::new("source_id", DataType::Int64, true),
        Field::new("source", DataType::Utf8, true),
        Field::new("frame_no", DataType::Int64, true),
        Field::new("ts", ts, true),
        Field::new("width", DataType::Int32, true),
        Field::new("height", DataType::Int32, true),
        Field::new("format", DataType::Int32, true),
        Field::new("range", DataType::Int32, true),
        Field::new("matrix", DataType::Int32, true),
        Field::new("rotation", DataType::Int32, true),
        Field::new("derived", DataType::Boolean, true),
        Field::new("y", DataType::BinaryView, true),
        Field::new("u", DataType::BinaryView, true),
        Field::new("v", DataType::BinaryView, true),
    ])
});

/// The Arrow type of FRAME: the reference, the layout of the planes, and the planes (NULL where only the reference is left).
pub fn frame_type() -> DataType {
    DataType::Struct(FIELDS.clone())
}

/// A nullable column of frames.
pub fn frame_field(name: &str) -> Field {
    Field::new(name, frame_type(), true).with_metadata(HashMap::from([("ARROW:extension:name".to_owned(), EXTENSION_NAME.to_owned())]))
}

/// Whether a type is FRAME; the shape decides, as metadata does not survive every operator.
pub fn is_frame(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(fields) if *fields == *FIELDS)
}

const FORMATS: [PixelFormat; 5] = [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Jpeg, PixelFormat::Rgb8, PixelFormat::Gray8];
const RANGES: [ColorRange; 2] = [ColorRange::Limited, ColorRange::Full];
const MATRICES: [ColorMatrix; 3] = [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020];

/// The code of an enumerated value: its place in the list above.
fn code<T: PartialEq>(all: &[T], value: &T) -> i32 {
    all.iter().position(|v| v == value).map_or(0, |at| at as i32)
}

/// Fills a column of frames; planes are shared with the pictures given.
#[derive(Debug)]
pub struct FrameBuilder {
    source_id: Int64Builder,
    source: StringBuilder,
    frame_no: Int64Builder,
    ts: TimestampMicrosecondBuilder,
    /// width, height, format, range, matrix, rotation.
    numbers: [Int32Builder; 6],
    derived: BooleanBuilder,
    planes: [BinaryViewBuilder; N_PLANES],
    valid: NullBufferBuilder,
}

impl Default for FrameBuilder {
    fn default() -> FrameBuilder {
        FrameBuilder::new()
    }
}

impl FrameBuilder {
    /// An empty column.
    pub fn new() -> FrameBuilder {
        FrameBuilder {
            source_id: Int64Builder::new(),
            source: StringBuilder::new(),
            frame_no: Int64Builder::new(),
            ts: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            numbers: std::array::from_fn(|_| Int32Builder::new()),
            derived: BooleanBuilder::new(),
            planes: std::array::from_fn(|_| BinaryViewBuilder::new()),
            valid: NullBufferBuilder::new(0),
        }
    }

    /// Adds a frame of `width` x `height` pixels as displayed; without a picture only the reference is kept.
    pub fn append(&mut self, id: &FrameId, width: u32, height: u32, picture: Option<&Picture>) {
        self.source_id.append_value(i64::try_from(id.source_id).unwrap_or(i64::MAX));
        self.source.append_value(&id.source);
        self.frame_no.append_value(id.frame_no);
        self.ts.append_value(id.ts_us);
        let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        let (format, range, matrix, rotation) = picture.map_or((0, 0, 0, 0), |p| {
            (code(&FORMATS, &p.format), code(&RANGES, &p.range), code(&MATRICES, &p.matrix), i32::from(p.rotation))
        });
        for (builder, number) in self.numbers.iter_mut().zip([side(width), side(height), format, range, matrix, rotation]) {
            builder.append_value(number);
        }
        self.derived.append_value(id.derived);
        for (at, builder) in self.planes.iter_mut().enumerate() {
            match picture.and_then(|p| p.planes.get(at)).and_then(Option::as_ref) {
                None => builder.append_null(),
                Some(plane) => {
                    let length = u32::try_from(plane.len()).unwrap_or(u32::MAX);
                    let block = builder.append_block(plane.clone());
                    // Views address blocks with 32 bits; a plane of more than 4 GiB is kept as a reference only.
                    if length == u32::MAX || builder.try_append_view(block, 0, length).is_err() {
                        builder.append_null();
                    }
                }
            }
        }
        self.valid.append_non_null();
    }

    /// Adds a NULL: a frame that could not be decoded.
    pub fn append_null(&mut self) {
        self.source_id.append_null();
        self.source.append_null();
        self.frame_no.append_null();
        self.ts.append_null();
        self.numbers.iter_mut().for_each(|b| b.append_null());
        self.derived.append_null();
        self.planes.iter_mut().for_each(|b| b.append_null());
        self.valid.append_null();
    }

    /// The column; the builder is empty again.
    pub fn finish(&mut self) -> StructArray {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.source_id.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.frame_no.finish()),
            Arc::new(self.ts.finish()),
        ];
        columns.extend(self.numbers.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
        columns.push(Arc::new(self.derived.finish()));
        columns.extend(self.planes.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
        StructArray::new(FIELDS.clone(), columns, self.valid.finish())
    }
}

/// A column of frames to read from.
#[derive(Debug)]
pub struct FrameColumn<'a>(&'a StructArray);

impl<'a> FrameColumn<'a> {
    /// Errs if the array is not a column of frames.
    pub fn try_new(array: &'a dyn Array) -> Result<FrameColumn<'a>> {
        match array.as_struct_opt() {
            Some(frames) if is_frame(array.data_type()) => Ok(FrameColumn(frames)),
            _ => internal_err!("expected a frame, found {}", array.data_type()),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The frame of that row; None is NULL.
    pub fn get(&self, row: usize) -> Option<FrameView<'a>> {
        if row >= self.0.len() || self.0.is_null(row) {
            return None;
        }
        let frames = self.0;
        let number = |at: usize| primitive::<Int32Type>(frames, at).map_or(0, |a| a.value(row));
        let wide = |at: usize| primitive::<Int64Type>(frames, at).map_or(0, |a| a.value(row));
        Some(FrameView {
            source_id: u64::try_from(wide(0)).unwrap_or(0),
            source: frames.column(1).as_string_opt::<i32>().map_or("", |a| a.value(row)),
            frame_no: wide(2),
            ts_us: primitive::<TimestampMicrosecondType>(frames, 3).map_or(0, |a| a.value(row)),
            width: u32::try_from(number(4)).unwrap_or(0),
            height: u32::try_from(number(5)).unwrap_or(0),
            derived: frames.column(10).as_boolean_opt().is_some_and(|a| a.value(row)),
            layout: [number(6), number(7), number(8), number(9)],
            frames,
            row,
        })
    }
}

fn primitive<T: ArrowPrimitiveType>(frames: &StructArray, at: usize) -> Option<&PrimitiveArray<T>> {
    frames.column(at).as_primitive_opt::<T>()
}

/// One frame of a column.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    /// The source, unique in the engine.
    pub source_id: u64,
    /// The source's name.
    pub source: &'a str,
    /// Its number on the source's timeline.
    pub frame_no: i64,
    /// Its event time, µs.
    pub ts_us: i64,
    /// Width in pixels, as displayed.
    pub width: u32,
    /// Height in pixels, as displayed.
    pub height: u32,
    /// Whether a function made it.
    pub derived: bool,
    layout: [i32; 4],
    frames: &'a StructArray,
    row: usize,
}

impl FrameView<'_> {
    /// The reference, for a frame made from this one.
    pub fn id(&self, derived: bool) -> FrameId {
        FrameId { source_id: self.source_id, source: self.source.into(), frame_no: self.frame_no, ts_us: self.ts_us, derived }
    }

    /// The pixels, shared with the column; None where only the reference is left.
    pub fn picture(&self) -> Option<Picture> {
        let [format, range, matrix, rotation] = self.layout;
        let planes: [Option<Buffer>; N_PLANES] =
            std::array::from_fn(|at| self.frames.column(FIRST_PLANE + at).as_binary_view_opt().and_then(|p| plane(p, self.row)));
        planes.first()?.as_ref()?;
        let rotation = u16::try_from(rotation).unwrap_or(0);
        let (width, height) = if on_its_side(rotation) { (self.height, self.width) } else { (self.width, self.height) };
        Some(Picture {
            format: *FORMATS.get(usize::try_from(format).ok()?)?,
            width,
            height,
            range: *RANGES.get(usize::try_from(range).ok()?)?,
            matrix: *MATRICES.get(usize::try_from(matrix).ok()?)?,
            rotation,
            planes,
        })
    }

    /// The pixels, or the error that a function gives where they are gone.
    pub fn pixels(&self, function: &str) -> Result<Picture> {
        match self.picture() {
            Some(picture) => Ok(picture),
            None => exec_err!("{function} needs the pixels of {}#{} and only the reference is left", self.source, self.frame_no),
        }
    }
}

/// The bytes of one plane as a buffer that shares them.
fn plane(planes: &BinaryViewArray, row: usize) -> Option<Buffer> {
    if planes.is_null(row) {
        return None;
    }
    let view = arrow::array::ByteView::from(*planes.views().get(row)?);
    let (offset, length) = (view.offset as usize, view.length as usize);
    match planes.data_buffers().get(view.buffer_index as usize) {
        // Up to 12 bytes stand in the view itself: a picture of a few pixels.
        Some(block) if length > 12 && offset + length <= block.len() => Some(block.slice_with_length(offset, length)),
        _ => Some(Buffer::from(planes.value(row))),
    }
}

/// The same frames with the planes NULL: what may cross into state, a view or the wire.
pub fn without_pixels(frames: &StructArray) -> StructArray {
    let (fields, mut columns, valid) = frames.clone().into_parts();
    for column in columns.iter_mut().skip(FIRST_PLANE) {
        *column = new_null_array(&DataType::BinaryView, column.len());
    }
    StructArray::new(fields, columns, valid)
}

/// Bytes of pixels that a column holds, shared or not.
pub fn pixel_bytes(array: &dyn Array) -> usize {
    let Some(frames) = array.as_struct_opt().filter(|_| is_frame(array.data_type())) else { return 0 };
    let planes = frames.columns().iter().skip(FIRST_PLANE);
    planes
        .filter_map(|p| p.as_binary_view_opt())
        .flat_map(|p| p.views().iter())
        .map(|v| arrow::array::ByteView::from(*v).length as usize)
        .sum()
}

/// How a frame prints: `lobby#48213 1920x1080`.
impl std::fmt::Display for FrameView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{} {}x{}", self.source, self.frame_no, self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> FrameId {
        FrameId { source_id: 7, source: "lobby".into(), frame_no: 12, ts_us: 480_000, derived: false }
    }

    #[test]
    fn planes_are_shared_and_come_back_as_they_went_in() {
        let plane = |n: usize| Some(Buffer::from_vec(vec![n as u8; n]));
        let picture = Picture {
            format: PixelFormat::I420,
            width: 8,
            height: 4,
            range: ColorRange::Full,
            matrix: ColorMatrix::Bt709,
            rotation: 90,
            planes: [plane(32), plane(8), plane(8)],
        };
        let mut builder = FrameBuilder::new();
        builder.append_null();
        builder.append(&id(), 4, 8, Some(&picture));
        builder.append(&id(), 4, 8, None);
        let frames = builder.finish();
        assert!(is_frame(frames.data_type()));
        assert_eq!(pixel_bytes(&frames), 48);
        let column = FrameColumn::try_new(&frames).unwrap();
        assert!(column.get(0).is_none() && column.get(3).is_none());
        let view = column.get(1).unwrap();
        assert_eq!((view.to_string(), view.source_id), ("lobby#12 4x8".to_owned(), 7));
        let read = view.picture().unwrap();
        assert_eq!(
            (read.width, read.height, read.displayed(), read.matrix, read.range),
            (8, 4, (4, 8), ColorMatrix::Bt709, ColorRange::Full)
        );
        let (ours, theirs) = (picture.planes[0].as_ref().unwrap(), read.planes[0].as_ref().unwrap());
        assert_eq!(ours.as_ptr(), theirs.as_ptr(), "the plane was copied");
        assert_eq!(read.planes[1].as_ref().unwrap().as_slice(), [8; 8]);
        assert!(column.get(2).unwrap().picture().is_none());
        let bare = without_pixels(&frames);
        assert_eq!(pixel_bytes(&bare), 0);
        assert!(FrameColumn::try_new(&bare).unwrap().get(1).unwrap().picture().is_none());
    }
}
