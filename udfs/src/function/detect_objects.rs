//! `detect_objects(frame [, labels text[] [, min_score float8]]) -> DETECTION[]`: people, vehicles and other things of everyday life, the surest first.

use std::collections::HashSet;

use arrow::array::{ArrayRef, AsArray};
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::inference::{Chosen, ModelFunction, Results, without_frames};
use crate::detection::{Detection, detections_type, iou};
use crate::model::description::Task;

sql_function!(
    DetectObjects, "detect_objects", arguments: [Frame, Texts, Float], required: 1, returns: detections_type(),
    syntax: "detect_objects(frame [, labels text[] [, min_score float8]]) -> DETECTION[]",
    description: "The things in a picture that the model named objects knows, the surest first: with the model of the manifest the 80 classes of COCO \
('person', 'bicycle', 'car', 'bus', 'truck', 'dog' ...). Only those with one of the labels, where labels are given; '*' among them is all; a label that the model does not have \
finds nothing. min_score is the model's own unless given; what scores below 0.1 is never kept, so a lower one is as 0.1; a negative one, and NaN, is an error. NULL for a NULL frame, a picture that cannot be decoded, NULL labels or a NULL min_score; an \
empty list where nothing is found. A thing has one label, the surest of those asked for: of boxes of two labels that overlap by more than 0.9 (a van that is seen as car and as truck) one stays. Otherwise it is \
detect(frame, 'objects') with a filter: the model runs once a frame for all of them.",
    example: "SELECT ts, thing.label, thing.score FROM clip CROSS JOIN UNNEST(detect_objects(frame, ARRAY['person', 'car'])) AS thing WHERE frame_no % 25 = 0"
);

/// The label that all have.
pub(super) const ALL: &str = "*";

/// Boxes that overlap by more are one thing under two labels: detectors suppress within a label only, and those of two things, also of one before the
/// other, differ by more than a tenth.
const ONE_THING: f64 = 0.9;

/// Whether what is found is among those that are kept, under another label.
pub(super) fn is_named(kept: &[&Detection], found: &Detection) -> bool {
    kept.iter().any(|k| k.label != found.label && iou(&k.bbox, &found.bbox) > ONE_THING)
}

/// How it runs its model.
pub(super) const MODEL: ModelFunction = ModelFunction {
    name: "detect_objects",
    chosen: Chosen::Named("objects"),
    tasks: &[Task::Detection],
    part: None,
    gallery: None,
    column,
};

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    let arguments = results.arguments();
    let labels = |row: usize| -> Option<HashSet<String>> {
        let list = arguments.list(1, row)?;
        Some(list.as_string_opt::<i32>()?.iter().flatten().map(str::to_owned).collect())
    };
    // The labels are mostly a constant, but may be a column: those of the row that is looked at.
    let mut wanted: (Option<usize>, Option<HashSet<String>>) = (None, None);
    results.detections(2, |row, kept, found| {
        if wanted.0 != Some(row) {
            wanted = (Some(row), labels(row));
        }
        wanted.1.as_ref().is_none_or(|labels| labels.contains(ALL) || labels.contains(&found.label)) && !is_named(kept, found)
    })
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "detect_objects", &detections_type())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Box;

    #[test]
    fn one_box_under_two_labels_is_one_thing_and_a_rider_on_a_horse_are_two() {
        let one = |label: &str, (x, y, w, h)| Detection {
            label: label.to_owned(),
            score: 0.5,
            bbox: Box { x, y, w, h },
            landmarks: None,
            track_id: None,
        };
        // A van in the model of objects' own numbers.
        let truck = one("truck", (650.9, 43.7, 75.0, 57.5));
        assert!(is_named(&[&truck], &one("car", (650.5, 43.4, 75.8, 57.6))));
        assert!(!is_named(&[&one("horse", (10.0, 20.0, 100.0, 80.0))], &one("person", (30.0, 0.0, 50.0, 70.0))));
        assert!(!is_named(&[&truck], &truck), "suppression within a label is the model's");
    }
}
