//! `read_plate(frame, box BOX) -> struct(text text, score float4)`: what the licence plate of a vehicle says.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::inference::{Chosen, ModelFunction, Results, without_frames};
use super::read_text::{PART, lines_of};
use crate::model::description::Task;
use crate::model::output::Line;

sql_function!(
    ReadPlate, "read_plate", arguments: [Frame, Box], required: 2, returns: DataType::Struct(fields()),
    syntax: "read_plate(frame, box BOX) -> struct(text text, score float4)",
    description: "What the licence plate in a box says: the box of the plate, or of the vehicle that it is on. Of the lines that read_text finds there it is the \
surest and largest that can be a plate: at least four of its characters are letters A to Z or digits, one a digit; all others, blanks and hyphens too, are left out and small letters \
made large, so that one plate is spelled in one way. score is how sure its characters are in the mean. What is read differs from frame to frame: vote(text, score) over the frames of a track \
takes the best of it. NULL for a NULL frame or box, a picture that cannot be decoded, a box that has no area or lies outside, and where there is no plate.",
    example: "SELECT ts, read_plate(draw_text(frame, 'ABC 1234', 40, 40, 'white', 64), [0, 0, 640, 360]) AS plate FROM clip WHERE frame_no = 100"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction =
    ModelFunction { name: "read_plate", chosen: Chosen::Named("text"), tasks: &[Task::Text], part: Some(PART), gallery: None, column };

/// The fewest characters of a plate.
const LEAST_LENGTH: usize = 4;

fn fields() -> Fields {
    Fields::from(vec![Field::new("text", DataType::Utf8, true), Field::new("score", DataType::Float32, true)])
}

/// What a plate says, in the one way in which it is spelled; None if the line is none.
fn spelled(line: &str) -> Option<String> {
    let plain: String = line.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    (plain.len() >= LEAST_LENGTH && plain.bytes().any(|b| b.is_ascii_digit())).then_some(plain)
}

/// The surest and largest plate among lines: how sure it is counts as often as it is high, px.
fn plate(lines: &[Line]) -> Option<(String, f32)> {
    let plates = lines.iter().filter_map(|line| Some((spelled(&line.text)?, line.score, line.score * line.bbox().h)));
    plates.reduce(|best, next| if next.2 > best.2 { next } else { best }).map(|(text, score, _)| (text, score))
}

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    let plates: Vec<Option<(String, f32)>> = lines_of(results)?.into_iter().map(|lines| plate(&lines?)).collect();
    let texts = plates.iter().map(|plate| plate.as_ref().map(|plate| plate.0.as_str())).collect::<StringArray>();
    let scores = plates.iter().map(|plate| plate.as_ref().map(|plate| plate.1)).collect::<Float32Array>();
    let known: NullBuffer = plates.iter().map(Option::is_some).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(texts), Arc::new(scores)];
    Ok(Arc::new(StructArray::try_new(fields(), columns, Some(known))?))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "read_plate", &DataType::Struct(fields()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_the_sure_lines_that_can_be_a_plate_is_it() {
        let line = |text: &str, score: f32, height: f32| Line {
            text: text.into(),
            score,
            corners: [(0.0, 0.0), (40.0, 0.0), (40.0, height), (0.0, height)],
        };
        let lines = [line("TAXI", 0.99, 40.0), line("ab-123 c", 0.9, 20.0), line("555 0199", 0.95, 10.0), line("A1", 0.99, 50.0)];
        assert_eq!(plate(&lines), Some(("AB123C".to_owned(), 0.9)));
        assert_eq!(plate(&lines[..1]), None);
        assert_eq!(plate(&[]), None);
        assert_eq!(spelled("苏A·12345"), Some("A12345".to_owned()));
    }
}
