//! YuNet: for each of the strides 8, 16, 32 the outputs cls, obj `[1, n, 1]`, bbox `[1, n, 4]` and kps `[1, n, 10]`, found by their names; the decoding
//! is that of OpenCV's FaceDetectorYN. Landmarks: right eye, left eye, nose tip, right and left mouth corner, as the person has them.

use super::{Candidate, Decoded, Raw};

pub(super) fn decode(raw: &Raw<'_>) -> Decoded {
    let expected = || raw.wrong("cls_8, obj_8, bbox_8, kps_8 and the same for the strides 16 and 32");
    let mut found = Vec::new();
    for stride in [8_usize, 16, 32] {
        let (columns, rows) = (raw.width.div_ceil(stride), raw.height.div_ceil(stride));
        let output = |kind: &str, width: usize| {
            let name = format!("{kind}_{stride}");
            let tensor = raw.tensors.iter().find(|t| t.name == name)?;
            (tensor.values.len() == columns * rows * width).then_some(tensor.values.as_slice())
        };
        let (Some(classes), Some(objects)) = (output("cls", 1), output("obj", 1)) else { return Err(expected()) };
        let (Some(boxes), Some(points)) = (output("bbox", 4), output("kps", 10)) else { return Err(expected()) };
        let cells = classes.iter().zip(objects).zip(boxes.as_chunks::<4>().0).zip(points.as_chunks::<10>().0);
        for (at, (((class, object), [dx, dy, w, h]), points)) in cells.enumerate() {
            let score = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
            if score < raw.floor || score.is_nan() {
                continue;
            }
            let (column, row, stride) = ((at % columns) as f32, (at / columns) as f32, stride as f32);
            let (x, y, w, h) = ((column + dx) * stride, (row + dy) * stride, w.exp() * stride, h.exp() * stride);
            let point = |[px, py]: &[f32; 2]| ((px + column) * stride, (py + row) * stride);
            let landmarks = Some(points.as_chunks::<2>().0.iter().map(point).collect());
            found.push(Candidate { class: 0, score, corners: [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0], landmarks });
        }
    }
    Ok((found, 1))
}
