//! `in_zone(box, zone text) -> bool`: whether a box is in a zone of its source.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::boxes::boxes;
use super::call::{Arguments, sql_function};
use super::figures::FigureFunction;
use crate::figure::FigureKind;
use crate::figure::zone::Zone;

/// Its figure.
pub(super) const FIGURE: FigureFunction = FigureFunction { name: "in_zone", kind: FigureKind::Zone, argument: 1, optional: false };

sql_function!(
    InZone, "in_zone", arguments: [Box, Text, Text], required: 2, returns: DataType::Boolean,
    syntax: "in_zone(box, zone text) -> bool",
    description: "Whether a box is in a zone: its anchor, which CREATE ZONE says and which is the middle of its lower edge else, is inside the zone's polygon or on its border. The zone is named by a constant; a zone that is replaced counts as it is from the next watermark on in queries that run. The box is a BOX, a DETECTION, a struct or a list of four numbers, in pixels of the picture \
of the zone's source: boxes of other sources are yours to leave out. NULL for a NULL box.",
    example: "SELECT frame_no, face.box FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE in_zone(face.box, 'door') LIMIT 5"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let zone = FIGURE.text(arguments)?.map(|text| Zone::parse(&text)).transpose()?;
    let boxes = boxes(arguments.array(0)?)?;
    let inside = boxes.iter().map(|bbox| zone.as_ref().zip(bbox.as_ref()).map(|(zone, bbox)| zone.contains(bbox)));
    Ok(Arc::new(BooleanArray::from_iter(inside)))
}
