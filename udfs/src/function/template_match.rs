//! `template_match(frame, template frame) -> struct(box BOX, score float8)`: where a small picture is found in a large one.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::lists::{boxes, struct_of, structs_where};
use super::matching::{Luma, best};
use crate::detection::{Box, box_type};
use crate::frame::Picture;
use crate::pixels::{Damaged, of_one_matrix, owned, upright_luma};

sql_function!(
    TemplateMatch, "template_match", arguments: [Frame, Frame], required: 2, returns: match_type(),
    syntax: "template_match(frame, template frame) -> struct(box BOX, score float8)",
    description: "Where the template is found best in the picture, by luma, and how well: score is the correlation of the two there, 1 for the same up to brightness and contrast, 0 for no likeness, as OpenCV's matchTemplate with TM_CCOEFF_NORMED; compare it with 0.8 or so, as some place is always the best. Every place is looked at, whatever the sizes. NULL for a NULL frame or template, a template of one colour or larger than the picture, or a picture that cannot be decoded.",
    example: "SELECT template_match(frame, crop(frame, [100, 60, 40, 30])) FROM clip WHERE frame_no = 100"
);

fn match_type() -> DataType {
    struct_of(&[("box", box_type()), ("score", DataType::Float64)])
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (mut first, mut second) = (Decoder::default(), Decoder::default());
    let found = arguments.pairs(|_, picture, template| {
        let (picture, template) = of_one_matrix(first.decode(picture)?, second.decode(template)?);
        let (whole, part) = (read(&picture)?, read(&template)?);
        if part.width > whole.width || part.height > whole.height {
            return Ok(None);
        }
        let place =
            |((x, y), score): ((usize, usize), f64)| (Box { x: x as f32, y: y as f32, w: part.width as f32, h: part.height as f32 }, score);
        Ok(best(&whole, &part).map(place))
    })?;
    let places = boxes(found.iter().map(|f| f.as_ref().map(|(place, _)| place)));
    let scores = found.iter().map(|f| f.as_ref().map(|(_, score)| *score)).collect::<Float64Array>();
    let valid = NullBuffer::from_iter(found.iter().map(Option::is_some));
    Ok(Arc::new(structs_where(vec![("box", places), ("score", Arc::new(scores))], Some(valid))))
}

fn read(picture: &Picture) -> Result<Luma, Damaged> {
    let (width, height) = picture.displayed();
    Ok(Luma { width: width as usize, height: height as usize, data: owned(upright_luma(picture)?) })
}
