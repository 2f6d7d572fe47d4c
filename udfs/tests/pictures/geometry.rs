//! Boxes, polygons and detections: areas, middles, insides, and the surest of those that overlap.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, StringArray};
use arrow::datatypes::Float64Type;
use framesql_udfs::detection::{Box as Bbox, Detection, DetectionListBuilder, detections_of};

use crate::call::call;

fn boxes(rows: &[Option<[f64; 4]>]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows.iter().map(|row| row.map(|sides| sides.map(Some)))))
}

#[test]
fn a_box_has_an_area_and_a_middle() {
    let rows = boxes(&[Some([10.0, 20.0, 5.0, 8.0]), Some([0.0, 0.0, -5.0, -8.0]), None]);
    let areas = call("box_area", &[Arc::clone(&rows)]).unwrap();
    assert_eq!(areas.as_primitive::<Float64Type>(), &Float64Array::from(vec![Some(40.0), Some(0.0), None]));
    let middles = call("box_center", &[rows]).unwrap();
    let middles = middles.as_struct();
    let at = |column: usize| middles.column(column).as_primitive::<Float64Type>().value(0);
    assert_eq!((at(0), at(1)), (12.5, 24.0));
    assert!(middles.is_valid(1) && middles.is_null(2));
}

#[test]
fn a_point_lies_inside_a_polygon_or_not() {
    let polygon: ArrayRef = Arc::new(StringArray::from(vec![Some("((0 0, 10 0, 10 10, 0 10))"), Some("((0 0, 10 0, 0 10))"), None]));
    let numbers = |values: [f64; 3]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
    let inside = call("point_in_polygon", &[numbers([5.0, 8.0, 1.0]), numbers([10.0, 8.0, 1.0]), polygon]).unwrap();
    let inside = inside.as_boolean();
    assert!(inside.value(0) && !inside.value(1) && inside.is_null(2));
    let wrong: ArrayRef = Arc::new(StringArray::from(vec!["((0 0, 1 1))"; 3]));
    assert!(call("point_in_polygon", &[numbers([0.0; 3]), numbers([0.0; 3]), wrong]).unwrap_err().to_string().contains("three corners"));
}

#[test]
fn of_detections_that_overlap_the_surest_stays() {
    let one = |label: &str, score: f32, x: f32| Detection {
        label: label.into(),
        score,
        bbox: Bbox { x, y: 0.0, w: 10.0, h: 10.0 },
        landmarks: None,
        track_id: None,
    };
    // The first two share 8 of 12 columns, IoU 0.667; the third lies apart; the last is something else in the same place.
    let all = [one("face", 0.8, 2.0), one("face", 0.9, 0.0), one("face", 0.7, 50.0), one("car", 0.5, 0.0)];
    let mut list = DetectionListBuilder::new();
    list.append(&all);
    list.append_null();
    let list: ArrayRef = Arc::new(list.finish());
    let kept = |iou: Option<f64>| {
        let mut arguments = vec![Arc::clone(&list)];
        if let Some(iou) = iou {
            arguments.push(Arc::new(Float64Array::from(vec![iou; 2])));
        }
        let kept = call("nms", &arguments).unwrap();
        assert!(kept.is_null(1));
        detections_of(kept.as_list::<i32>().value(0).as_ref()).unwrap()
    };
    assert_eq!(kept(None), [all[1].clone(), all[2].clone(), all[3].clone()]);
    assert_eq!(kept(Some(0.7)), [all[1].clone(), all[0].clone(), all[2].clone(), all[3].clone()]);
    assert!(call("nms", &[Arc::clone(&list), Arc::new(Float64Array::from(vec![1.5; 2]))]).is_err());
}
