//! `read_codes(frame) -> struct(format text, text text, box BOX, points struct(x float4, y float4)[])[]`: what the QR and bar codes in a picture say.

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use rxing::common::HybridBinarizer;
use rxing::datamatrix::DataMatrixReader;
use rxing::helpers::detect_multiple_in_luma_with_hints;
use rxing::multi::{GenericMultipleBarcodeReader, MultipleBarcodeReader};
use rxing::qrcode::cpp_port::QrReader;
use rxing::{Binarizer, BinaryBitmap, DecodeHints, Luma8LuminanceSource, RXingResult, RXingResultMetadataType, RXingResultMetadataValue};

use super::bar_lines::{BarCode, across};
use super::bars::ends;
use super::call::{Arguments, Decoder, sql_function};
use super::lists::{boxes, list_of, lists, point_type, points, struct_of, structs};
use super::stripes::stripes;
use crate::detection::{Box, box_type};
use crate::frame::Picture;
use crate::pixels::{Damaged, upright_luma};

sql_function!(
    ReadCodes, "read_codes", arguments: [Frame], required: 1, returns: codes_type(),
    syntax: "read_codes(frame) -> struct(format text, text text, box BOX, points struct(x float4, y float4)[])[]",
    description: "What the codes in a picture say, from the top down: QR codes, Data Matrix, and bar codes (EAN, UPC, Code 39, 93 and 128, ITF, Codabar, RSS). format is 'qr_code', 'ean_13', 'code_128' …, points are the patterns by which the code was found, in pixels of the \
picture (of a bar code the ends of a line across it), box their least box, at least a pixel high and wide. The luma is read as displayed and at its full size, so crop or resize a large picture first where time counts. Codes are read at any angle, dark ones on light and light ones on dark; a bar code whose bars are less than two pixels wide, or shorter than some sixteen, only where it lies along the rows or the columns of the picture. An empty list where there is no code that can be read whole. NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT code.format, code.text, code.points FROM badges CROSS JOIN UNNEST(read_codes(frame)) AS code"
);

fn codes_type() -> DataType {
    list_of(struct_of(&[("format", DataType::Utf8), ("text", DataType::Utf8), ("box", box_type()), ("points", list_of(point_type()))]))
}

struct Code {
    format: String,
    text: String,
    bbox: Box,
    points: Vec<(f32, f32)>,
}

impl Code {
    /// Whether it is no bar code.
    fn square(&self) -> bool {
        self.format.contains("qr_code") || self.format == "data_matrix"
    }
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let found = arguments.pictures(|_, picture| Ok(Some(codes(&decoder.decode(picture)?)?)))?;
    let all = || found.iter().flatten().flatten();
    let texts = |of: fn(&Code) -> &String| Arc::new(all().map(|c| Some(of(c))).collect::<StringArray>()) as ArrayRef;
    let of_points = points(all().flat_map(|c| c.points.iter().copied()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("format", texts(|c| &c.format)),
        ("text", texts(|c| &c.text)),
        ("box", boxes(all().map(|c| Some(&c.bbox)))),
        ("points", lists(all().map(|c| Some(c.points.len())), of_points)),
    ];
    Ok(lists(found.iter().map(|row| row.as_ref().map(Vec::len)), Arc::new(structs(columns))))
}

fn codes(picture: &Picture) -> Result<Vec<Code>, Damaged> {
    let (width, height) = picture.displayed();
    let luma = upright_luma(picture)?;
    let found = attempt(|| detect_multiple_in_luma_with_hints(luma.to_vec(), width, height, &mut DecodeHints::default()).ok());
    // In parts as small as letters: made where the first code asks for it.
    let matrix = OnceCell::new();
    let black = |x: i64, y: i64| {
        let (x, y) = (u32::try_from(x).ok().filter(|x| *x < width)?, u32::try_from(y).ok().filter(|y| *y < height)?);
        let binarize = || Some(HybridBinarizer::new(Luma8LuminanceSource::new(luma.to_vec(), width, height).ok()?));
        matrix.get_or_init(|| binarize().and_then(|b| attempt(|| b.get_black_matrix().ok().cloned()))).as_ref().map(|m| m.get(x, y))
    };
    let as_is = |code: &RXingResult| {
        let mut points: Vec<(f32, f32)> = code.getPoints().iter().map(|p| (p.x, p.y)).collect();
        let format = format!("{:?}", code.getBarcodeFormat()).to_lowercase();
        let bars = points.first().and_then(|first| ends(&format, code.getText(), *first, direction(code), black));
        if let Some(bars) = bars {
            points = bars.to_vec();
        }
        Code { format, text: code.getText().to_owned(), bbox: around(&points), points }
    };
    let mut codes: Vec<Code> = found.iter().flatten().map(as_is).collect();
    codes.extend(attempt(|| Some(light_squares(&luma, width, height))).iter().flatten().map(as_is));
    for area in stripes(&luma, width as usize) {
        let read = attempt(|| Some(across(&luma, width as usize, &area))).unwrap_or_default();
        // A line of the picture that cuts bars askew may read some of them as another code, and ends elsewhere.
        if area.askew() {
            let read_askew = |code: &Code| read.iter().any(|other| meet(&around(&other.points), &code.bbox));
            codes.retain(|code| code.square() || !code.points.iter().all(|point| area.holds(*point)) || !read_askew(code));
        }
        for BarCode { format, text, points, .. } in read {
            if !codes.iter().any(|known| known.format == format && known.text == text) {
                codes.push(Code { format, text, bbox: around(&points), points });
            }
        }
    }
    codes.sort_by(|a, b| a.bbox.y.total_cmp(&b.bbox.y).then(a.bbox.x.total_cmp(&b.bbox.x)));
    Ok(codes)
}

/// What a reader gives, which errs where it finds nothing. A young crate over foreign pixels: should it ever panic, it has found nothing either.
fn attempt<T>(read: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}

/// The QR codes and Data Matrices that are light on dark.
fn light_squares(luma: &[u8], width: u32, height: u32) -> Vec<RXingResult> {
    let hints = DecodeHints { TryHarder: Some(true), ..DecodeHints::default() };
    let inverted: Vec<u8> = luma.iter().map(|v| 255 - v).collect();
    let Ok(source) = Luma8LuminanceSource::new(inverted, width, height) else { return Vec::new() };
    let mut picture = BinaryBitmap::new(HybridBinarizer::new(source));
    let mut found = GenericMultipleBarcodeReader::new(QrReader).decode_multiple_with_hints(&mut picture, &hints).unwrap_or_default();
    found.extend(GenericMultipleBarcodeReader::new(DataMatrixReader).decode_multiple_with_hints(&mut picture, &hints).unwrap_or_default());
    found
}

/// In which direction a bar code is read, px: the lines of the picture are, forwards and backwards, and after them its columns.
fn direction(code: &RXingResult) -> (i64, i64) {
    match code.getRXingResultMetadata().get(&RXingResultMetadataType::ORIENTATION) {
        Some(RXingResultMetadataValue::Orientation(180)) => (-1, 0),
        Some(RXingResultMetadataValue::Orientation(270)) => (0, 1),
        Some(RXingResultMetadataValue::Orientation(90)) => (0, -1),
        _ => (1, 0),
    }
}

fn meet(a: &Box, b: &Box) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

fn around(points: &[(f32, f32)]) -> Box {
    let least = |of: fn(&(f32, f32)) -> f32| points.iter().map(of).reduce(f32::min).unwrap_or(0.0);
    let most = |of: fn(&(f32, f32)) -> f32| points.iter().map(of).reduce(f32::max).unwrap_or(0.0);
    let (x, y) = (least(|p| p.0), least(|p| p.1));
    Box { x, y, w: (most(|p| p.0) - x).max(1.0), h: (most(|p| p.1) - y).max(1.0) }
}
