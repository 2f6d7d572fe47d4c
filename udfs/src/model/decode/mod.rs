//! From the numbers that a detector gives to boxes in the source picture: one file a family, then suppression a class.

mod centernet;
mod nanodet;
mod ssd;
mod yolov8;
mod yolox;
mod yunet;

use super::description::{Decode, ModelDescription};
use super::input::Placed;
use super::output::Tensor;
use crate::detection::{Box as Bbox, Detection, iou};

/// Candidates that go into suppression, the best ones: a graph that finds something in every cell must not take all time.
const MAX_CANDIDATES: usize = 1000;

/// What a decoder reads.
struct Raw<'a> {
    tensors: &'a [Tensor],
    /// Size of the input, px.
    width: usize,
    height: usize,
    /// The least score that is of interest.
    floor: f32,
    /// How many classes the description names, perhaps none.
    n_named: usize,
}

/// Something found, in pixels of the input.
struct Candidate {
    class: usize,
    score: f32,
    /// Left, top, right, bottom.
    corners: [f32; 4],
    landmarks: Option<Vec<(f32, f32)>>,
}

/// Candidates and how many classes the graph knows.
type Decoded = Result<(Vec<Candidate>, usize), String>;

/// The detections at or above the floor score, the surest first, in pixels of the picture. Errs if the shapes are not those of the decoder, or the
/// classes not those of the labels.
pub(super) fn detections(
    description: &ModelDescription,
    tensors: &[Tensor],
    placed: &Placed,
    floor: f32,
) -> Result<Vec<Detection>, String> {
    let raw =
        Raw { tensors, width: description.width as usize, height: description.height as usize, floor, n_named: description.labels.len() };
    let (candidates, n_classes) = match description.decode {
        Decode::Yolox => yolox::decode(&raw)?,
        Decode::Yolov8 => yolov8::decode(&raw)?,
        Decode::Ssd => ssd::decode(&raw)?,
        Decode::Nanodet => nanodet::decode(&raw)?,
        Decode::Centernet => centernet::decode(&raw)?,
        Decode::Yunet => yunet::decode(&raw)?,
        Decode::None => return Err("it has no decoder".into()),
    };
    // An SSD's first class is the background, which has no name.
    let n_named = description.labels.len();
    let first = if description.decode == Decode::Ssd && n_named + 1 == n_classes { 1 } else { 0 };
    if n_named > 0 && n_named + first != n_classes {
        return Err(format!("it has {n_classes} classes and the description names {n_named}"));
    }
    let label = |class: usize| match (description.decode, n_named) {
        (Decode::Yunet, 0) => "face".to_owned(),
        _ => description.label(class - first),
    };
    if let Some(wrong) = candidates.iter().find(|c| c.score > 1.001) {
        return Err(format!("it gives a score of {}, and its decoder reads scores of 0 to 1", wrong.score));
    }
    let found = candidates.into_iter().filter(|c| c.class >= first && c.corners.iter().all(|v| v.is_finite()));
    let mut found: Vec<Detection> = found.filter_map(|c| placed.detection(&c, label(c.class))).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MAX_CANDIDATES);
    Ok(suppress(found, f64::from(description.iou)))
}

impl Placed {
    /// What was found, in pixels of the picture and cut at its edges; None if nothing of it is inside.
    fn detection(&self, found: &Candidate, label: String) -> Option<Detection> {
        let to_x = |x: f32| (x - self.start.0) * self.scale.0;
        let to_y = |y: f32| (y - self.start.1) * self.scale.1;
        let [left, top, right, bottom] = found.corners;
        let (width, height) = (self.picture.0 as f32, self.picture.1 as f32);
        let (x, y) = (to_x(left).clamp(0.0, width), to_y(top).clamp(0.0, height));
        let (w, h) = (to_x(right).clamp(0.0, width) - x, to_y(bottom).clamp(0.0, height) - y);
        let point = |(x, y): &(f32, f32)| (to_x(*x), to_y(*y));
        let landmarks = found.landmarks.as_ref().map(|all| all.iter().map(point).collect());
        (w > 0.0 && h > 0.0).then(|| Detection { label, score: found.score.min(1.0), bbox: Bbox { x, y, w, h }, landmarks, track_id: None })
    }
}

/// Greedy non-maximum suppression within each class; the detections come and go in order of score.
fn suppress(found: Vec<Detection>, most: f64) -> Vec<Detection> {
    let mut kept: Vec<Detection> = Vec::new();
    for detection in found {
        if !kept.iter().any(|k| k.label == detection.label && iou(&k.bbox, &detection.bbox) > most) {
            kept.push(detection);
        }
    }
    kept
}

impl Raw<'_> {
    /// The only output, as rows of `[n, width]`.
    fn only(&self) -> Result<&Tensor, String> {
        match self.tensors {
            [one] => Ok(one),
            _ => Err(format!("it has {} outputs, and its decoder reads one", self.tensors.len())),
        }
    }

    /// The cells of the three strides 8, 16 and 32, in the order in which they follow each other: stride, column, row.
    fn cells(&self) -> impl Iterator<Item = (f32, f32, f32)> + use<> {
        let (width, height) = (self.width, self.height);
        [8, 16, 32].into_iter().flat_map(move |stride| {
            let (columns, rows) = (width.div_ceil(stride), height.div_ceil(stride));
            (0..rows).flat_map(move |row| (0..columns).map(move |column| (stride as f32, column as f32, row as f32)))
        })
    }

    fn n_cells(&self) -> usize {
        [8, 16, 32].into_iter().map(|stride| self.width.div_ceil(stride) * self.height.div_ceil(stride)).sum()
    }

    /// An error that names the shapes that there are.
    fn wrong(&self, expected: &str) -> String {
        let shapes: Vec<String> = self.tensors.iter().map(|t| format!("{} {:?}", t.name, t.shape)).collect();
        format!("its decoder reads {expected}, and it gives {}", shapes.join(", "))
    }
}

impl Tensor {
    /// The lengths of the two last axes, where all axes before are 1.
    fn matrix(&self) -> Option<(usize, usize)> {
        let (last, before) = self.shape.split_last()?;
        let (rows, ones) = before.split_last()?;
        (ones.iter().all(|side| *side == 1) && self.values.len() == rows * last).then_some((*rows, *last))
    }
}

/// The place and value of the greatest of some scores.
fn best(scores: impl Iterator<Item = f32>) -> (usize, f32) {
    scores.enumerate().fold((0, f32::NEG_INFINITY), |best, (at, score)| if score > best.1 { (at, score) } else { best })
}

#[cfg(test)]
mod tests {
    use super::super::description::Task;
    use super::*;

    fn tensor(name: &str, shape: &[usize], values: Vec<f32>) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Tensor { name: name.to_owned(), shape: shape.to_vec(), values }
    }

    fn description(decode: Decode) -> ModelDescription {
        ModelDescription { decode, ..ModelDescription::new("m", Task::Detection, 64, 32) }
    }

    /// The picture is twice as wide and three times as high as the input.
    const PLACED: Placed = Placed { scale: (2.0, 3.0), start: (0.0, 0.0), picture: (128, 96) };

    fn found(decode: Decode, tensors: &[Tensor]) -> Vec<(String, f32, [f32; 4])> {
        let all = detections(&description(decode), tensors, &PLACED, 0.1).unwrap();
        all.iter().map(|d| (d.label.clone(), d.score, [d.bbox.x, d.bbox.y, d.bbox.w, d.bbox.h])).collect()
    }

    /// 8x4 + 4x2 + 2x1 cells.
    const N_CELLS: usize = 42;

    #[test]
    fn yolox_reads_offsets_from_its_cells() {
        let mut values = vec![0.0; N_CELLS * 7];
        // Stride 16, column 1, row 1: its centre is at (1.5, 1.5) cells, its sides are 16 e^0 and 16 e^0.
        let at = (32 + 4 + 1) * 7;
        values[at..at + 7].copy_from_slice(&[0.5, 0.5, 0.0, 0.0, 0.5, 0.2, 0.8]);
        assert_eq!(found(Decode::Yolox, &[tensor("output", &[1, N_CELLS, 7], values)]), [("1".into(), 0.4, [32.0, 48.0, 32.0, 48.0])]);
    }

    #[test]
    fn yolov8_reads_columns_or_rows() {
        let one = [20.0, 10.0, 8.0, 4.0, 0.3, 0.9];
        let mut rows = vec![0.0; N_CELLS * 6];
        rows[5 * 6..6 * 6].copy_from_slice(&one);
        let columns = (0..6).flat_map(|k| (0..N_CELLS).map(move |n| if n == 5 { one[k] } else { 0.0 })).collect();
        for tensor in [tensor("output0", &[1, 6, N_CELLS], columns), tensor("output0", &[1, N_CELLS, 6], rows)] {
            assert_eq!(found(Decode::Yolov8, &[tensor]), [("1".into(), 0.9, [32.0, 24.0, 16.0, 12.0])]);
        }
    }

    #[test]
    fn what_is_found_in_a_letterbox_in_the_middle_is_in_pixels_of_the_picture() {
        let mut rows = vec![0.0; N_CELLS * 6];
        rows[..6].copy_from_slice(&[20.0, 16.0, 8.0, 4.0, 0.3, 0.9]);
        // A picture of 128x32 on an input of 64x32: rows 8 to 23 hold it.
        let placed = Placed { scale: (2.0, 2.0), start: (0.0, 8.0), picture: (128, 32) };
        let all = detections(&description(Decode::Yolov8), &[tensor("output0", &[1, N_CELLS, 6], rows)], &placed, 0.1).unwrap();
        assert_eq!(all[0].bbox, Bbox { x: 32.0, y: 12.0, w: 16.0, h: 8.0 });
    }

    #[test]
    fn ssd_reads_shares_of_the_picture_and_leaves_out_the_background() {
        let boxes = tensor("boxes", &[1, 3, 4], vec![0.0, 0.0, 0.5, 0.5, 0.25, 0.5, 0.75, 1.5, 0.0, 0.0, 1.0, 1.0]);
        let scores = tensor("scores", &[1, 3, 2], vec![0.9, 0.1, 0.2, 0.8, 0.95, 0.05]);
        let named = ModelDescription { labels: vec!["cat".into()], ..description(Decode::Ssd) };
        let all = detections(&named, &[scores, boxes], &PLACED, 0.5).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].label.as_str(), all[0].score), ("cat", 0.8));
        // Cut at the lower edge.
        assert_eq!(all[0].bbox, Bbox { x: 32.0, y: 48.0, w: 64.0, h: 48.0 });
    }

    #[test]
    fn nanodet_reads_the_mean_of_its_distances() {
        let (mut tensors, sizes) = (Vec::new(), [32, 8, 2]);
        for (level, n_cells) in sizes.into_iter().enumerate() {
            let (mut classes, mut sides) = (vec![0.0; n_cells * 2], vec![0.0; n_cells * 12]);
            if level == 1 {
                // Column 1, row 0 of stride 16: centre (24, 8); the left distance is 2 cells for certain, the others are 0, 1 or 2 alike: 1 cell.
                classes[3] = 0.75;
                sides[12 + 2] = 100.0;
            }
            tensors.push(tensor("classes", &[1, n_cells, 2], classes));
            tensors.push(tensor("sides", &[1, n_cells, 12], sides));
        }
        // x from 24 - 32 < 0 to 40, y from 8 - 16 < 0 to 24.
        assert_eq!(found(Decode::Nanodet, &tensors), [("1".into(), 0.75, [0.0, 0.0, 80.0, 72.0])]);
    }

    #[test]
    fn centernet_takes_peaks_only() {
        let (mut heat, mut sides) = (vec![0.0; 8 * 16 * 2], vec![0.0; 8 * 16 * 4]);
        let cell = |row: usize, column: usize| row * 16 + column;
        heat[cell(3, 4) * 2 + 1] = 0.6;
        heat[cell(3, 5) * 2 + 1] = 0.5;
        for at in [cell(3, 4), cell(3, 5)] {
            sides[at * 4..at * 4 + 4].copy_from_slice(&[4.0, 4.0, 8.0, 12.0]);
        }
        let tensors = [tensor("wh", &[1, 8, 16, 4], sides), tensor("keypoints", &[1, 8, 16, 2], heat)];
        assert_eq!(found(Decode::Centernet, &tensors), [("1".into(), 0.6, [24.0, 24.0, 24.0, 48.0])]);
    }

    #[test]
    fn other_shapes_are_an_error_that_names_them() {
        for decode in [Decode::Yolox, Decode::Yolov8, Decode::Ssd, Decode::Nanodet, Decode::Centernet, Decode::Yunet] {
            let error = detections(&description(decode), &[tensor("logits", &[1, 10], vec![0.0; 10])], &PLACED, 0.1).unwrap_err();
            assert!(error.contains("logits [1, 10]"), "{decode:?}: {error}");
        }
        let named = ModelDescription { labels: vec!["a".into(); 5], ..description(Decode::Yolox) };
        let error = detections(&named, &[tensor("output", &[1, N_CELLS, 7], vec![0.0; N_CELLS * 7])], &PLACED, 0.1).unwrap_err();
        assert_eq!(error, "it has 2 classes and the description names 5");
    }

    #[test]
    fn numbers_that_are_none_find_nothing_and_scores_above_one_are_an_error() {
        assert!(found(Decode::Yolox, &[tensor("output", &[1, N_CELLS, 7], vec![f32::NAN; N_CELLS * 7])]).is_empty());
        let logits = [tensor("output", &[1, 6, N_CELLS], vec![7.5; N_CELLS * 6])];
        let error = detections(&description(Decode::Yolov8), &logits, &PLACED, 0.1).unwrap_err();
        assert_eq!(error, "it gives a score of 7.5, and its decoder reads scores of 0 to 1");
    }

    #[test]
    fn boxes_of_two_classes_do_not_suppress_each_other() {
        let one = |label: &str, score| Detection {
            label: label.into(),
            score,
            bbox: Bbox { x: 0.0, y: 0.0, w: 10.0, h: 10.0 },
            landmarks: None,
            track_id: None,
        };
        let kept = suppress(vec![one("car", 0.9), one("bus", 0.8), one("car", 0.7)], 0.5);
        assert_eq!(kept.iter().map(|d| d.score).collect::<Vec<_>>(), [0.9, 0.8]);
    }
}
