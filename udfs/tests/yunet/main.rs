//! The face model on real pictures: what ONNX Runtime finds with the same weights is found on every kernel path and in every pixel format.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

use arrow::buffer::Buffer;
use framesql_udfs::detection::{Detection, iou};
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use framesql_udfs::model::output::Output;
use framesql_udfs::model::yunet::{YuNet, embedded};
use framesql_udfs::model::{Model, Session};
use framesql_udfs::pixels::{Damaged, Order, Pixels, render};

const PICTURES: [(&str, &[u8]); 2] = [("astronaut.jpg", include_bytes!("astronaut.jpg")), ("several.jpg", include_bytes!("several.jpg"))];

/// Those at or above a score, as detect_faces keeps them.
fn keep_above(all: &[Detection], least: f32) -> Vec<Detection> {
    all.iter().filter(|found| found.score >= least).cloned().collect()
}

fn picture(format: PixelFormat, (width, height): (u32, u32), planes: &[Vec<u8>]) -> Picture {
    let planes = std::array::from_fn(|at| planes.get(at).cloned().map(Buffer::from_vec));
    Picture { format, width, height, range: ColorRange::Full, matrix: ColorMatrix::Bt601, rotation: 0, planes }
}

fn jpeg(name: &str) -> Picture {
    let file = PICTURES.iter().find(|p| p.0 == name).unwrap().1;
    let size = if name == "astronaut.jpg" { (512, 512) } else { (1001, 563) };
    picture(PixelFormat::Jpeg, size, &[file.to_vec()])
}

fn rgb(name: &str) -> Pixels {
    render(&jpeg(name), Order::Rgb, None).unwrap()
}

/// The faces in a picture.
fn faces(session: &mut dyn Session, picture: &Picture) -> Vec<Detection> {
    match session.infer(picture).unwrap() {
        Output::Detections(faces) => faces,
        other => panic!("a detector gives detections, not {other:?}"),
    }
}

/// What ONNX Runtime found, as detections.
fn expected(name: &str) -> Vec<Detection> {
    let all: serde_json::Value = serde_json::from_str(include_str!("expected.json")).unwrap();
    let number = |v: &serde_json::Value| v.as_f64().unwrap() as f32;
    let face = |face: &serde_json::Value| {
        let [x, y, w, h] = [0, 1, 2, 3].map(|at| number(&face["box"][at]));
        Detection {
            label: "face".to_owned(),
            score: number(&face["score"]),
            bbox: framesql_udfs::detection::Box { x, y, w, h },
            landmarks: Some(face["landmarks"].as_array().unwrap().iter().map(|p| (number(&p[0]), number(&p[1]))).collect()),
            track_id: None,
        }
    };
    all[name].as_array().unwrap().iter().map(face).collect()
}

/// The greatest differences in score and in pixels between faces that are in the same order. What is near the floor may be missing on either side.
fn differences(found: &[Detection], expected: &[Detection], tolerance: f32) -> (f32, f32) {
    let (found, expected) = (keep_above(found, 0.3 + tolerance), keep_above(expected, 0.3 + tolerance));
    assert_eq!(found.len(), expected.len(), "{found:#?}\n{expected:#?}");
    let (mut score, mut pixels) = (0_f32, 0_f32);
    for (f, e) in found.iter().zip(&expected) {
        assert_eq!((&f.label, f.track_id), (&e.label, None));
        score = score.max((f.score - e.score).abs());
        let sides = [f.bbox.x - e.bbox.x, f.bbox.y - e.bbox.y, f.bbox.w - e.bbox.w, f.bbox.h - e.bbox.h];
        let (ours, theirs) = (f.landmarks.as_ref().unwrap(), e.landmarks.as_ref().unwrap());
        assert_eq!((ours.len(), theirs.len()), (5, 5));
        let points = ours.iter().zip(theirs).flat_map(|(a, b)| [a.0 - b.0, a.1 - b.1]);
        pixels = sides.into_iter().chain(points).fold(pixels, |most, d| most.max(d.abs()));
    }
    (score, pixels)
}

fn assert_close(found: &[Detection], expected: &[Detection], score: f32, pixels: f32, what: &str) {
    let most = differences(found, expected, score);
    assert!(most.0 <= score && most.1 <= pixels, "{what}: scores differ by up to {}, pixels by up to {}", most.0, most.1);
}

#[test]
fn every_kernel_path_finds_what_onnx_runtime_finds() {
    for model in YuNet::on_every_path() {
        let mut session = model.new_session();
        for (name, _) in PICTURES {
            let found = faces(&mut *session, &jpeg(name));
            assert_close(&found, &expected(name), 0.01, 1.0, &format!("{name} on {}", model.kernels()));
        }
    }
}

#[test]
fn every_kernel_path_finds_the_same() {
    let models = YuNet::on_every_path();
    for (name, _) in PICTURES {
        let found: Vec<_> = models.iter().map(|m| faces(&mut *m.new_session(), &jpeg(name))).collect();
        for (model, other) in models.iter().zip(&found).skip(1) {
            assert_close(other, &found[0], 1e-4, 0.01, &format!("{name} on {} against {}", model.kernels(), models[0].kernels()));
        }
    }
}

#[test]
fn the_default_score_keeps_the_faces_and_nothing_else() {
    let model = embedded();
    let mut session = model.new_session();
    let counts = ["astronaut.jpg", "several.jpg"].map(|n| keep_above(&faces(&mut *session, &jpeg(n)), model.default_score()).len());
    assert_eq!(counts, [1, 5]);
}

#[test]
fn video_planes_give_the_faces_of_the_jpeg() {
    for (name, _) in PICTURES {
        for (range, matrix) in [(ColorRange::Full, ColorMatrix::Bt601), (ColorRange::Limited, ColorMatrix::Bt709)] {
            let planes = planes(&rgb(name), range, matrix);
            let interleaved = planes[1].iter().zip(&planes[2]).flat_map(|(u, v)| [*u, *v]).collect();
            let size = (jpeg(name).width, jpeg(name).height);
            let i420 = Picture { range, matrix, ..picture(PixelFormat::I420, size, &planes) };
            let nv12 = Picture { range, matrix, ..picture(PixelFormat::Nv12, size, &[planes[0].clone(), interleaved]) };
            let mut session = YuNet::embedded().new_session();
            for video in [i420, nv12] {
                let found = faces(&mut *session, &video);
                assert_eq!(found.len(), expected(name).len());
                for face in expected(name) {
                    let best = found.iter().max_by(|a, b| iou(&a.bbox, &face.bbox).total_cmp(&iou(&b.bbox, &face.bbox))).unwrap();
                    // Pixels that differ by one step may let the neighbouring cell win the suppression: same face, slightly other box.
                    let (overlap, score) = (iou(&best.bbox, &face.bbox), (best.score - face.score).abs());
                    let what = format!("{name} as {:?} {range:?} {matrix:?}", video.format);
                    assert!(overlap > 0.8 && score < 0.02, "{what}: overlap {overlap}, scores differ by {score}");
                }
            }
        }
    }
}

/// 4:2:0 planes by the definition of the matrix, chroma as the mean of the pixels that share it.
fn planes(rgb: &Pixels, range: ColorRange, matrix: ColorMatrix) -> [Vec<u8>; 3] {
    let (kr, kb) = if matrix == ColorMatrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
    let (black, luma, chroma) = if range == ColorRange::Full { (0.0, 1.0, 1.0) } else { (16.0, 219.0 / 255.0, 224.0 / 255.0) };
    let (w, h) = (rgb.width as usize, rgb.height as usize);
    let pixel = |x: usize, y: usize| {
        let [r, g, b] = [0, 1, 2].map(|c| f32::from(rgb.data[(y * w + x) * 3 + c]));
        let grey = kr * r + (1.0 - kr - kb) * g + kb * b;
        (grey, (b - grey) / (2.0 - 2.0 * kb), (r - grey) / (2.0 - 2.0 * kr))
    };
    let y = (0..w * h).map(|at| (black + luma * pixel(at % w, at / w).0).round() as u8).collect();
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let mean = |at: usize, of: fn((f32, f32, f32)) -> f32| {
        let (x, y) = (at % cw * 2, at / cw * 2);
        let all: Vec<f32> = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)]
            .into_iter()
            .filter(|(x, y)| *x < w && *y < h)
            .map(|(x, y)| of(pixel(x, y)))
            .collect();
        (128.0 + chroma * all.iter().sum::<f32>() / all.len() as f32).round() as u8
    };
    [y, (0..cw * ch).map(|at| mean(at, |p| p.1)).collect(), (0..cw * ch).map(|at| mean(at, |p| p.2)).collect()]
}

#[test]
fn a_picture_that_is_stored_turned_gives_boxes_as_displayed() {
    let upright = rgb("several.jpg");
    let (w, h) = (upright.width as usize, upright.height as usize);
    let found = faces(&mut *YuNet::embedded().new_session(), &picture(PixelFormat::Rgb8, (1001, 563), &[upright.data.to_vec()]));
    for rotation in [90_u16, 180, 270] {
        // Stored so that turning it clockwise by `rotation` gives the upright picture again.
        let (stored_w, stored_h) = if rotation == 180 { (w, h) } else { (h, w) };
        let mut stored = vec![0; w * h * 3];
        for y in 0..h {
            for x in 0..w {
                let (sx, sy) = match rotation {
                    90 => (y, w - 1 - x),
                    180 => (w - 1 - x, h - 1 - y),
                    _ => (h - 1 - y, x),
                };
                let (to, from) = ((sy * stored_w + sx) * 3, (y * w + x) * 3);
                stored[to..to + 3].copy_from_slice(&upright.data[from..from + 3]);
            }
        }
        let stored = Picture { rotation, ..picture(PixelFormat::Rgb8, (stored_w as u32, stored_h as u32), &[stored]) };
        let turned = faces(&mut *YuNet::embedded().new_session(), &stored);
        assert_close(&turned, &found, 0.01, 1.0, &format!("turned by {rotation}"));
    }
}

#[test]
fn a_gray_picture_has_the_same_faces() {
    let rgb = rgb("astronaut.jpg");
    let luma = planes(&rgb, ColorRange::Full, ColorMatrix::Bt601)[0].clone();
    let gray = picture(PixelFormat::Gray8, (512, 512), &[luma]);
    let found = keep_above(&faces(&mut *YuNet::embedded().new_session(), &gray), 0.7);
    assert_eq!(found.len(), 1);
}

#[test]
fn damaged_jpegs_give_an_error_or_a_picture_and_the_session_goes_on() {
    let model = YuNet::embedded();
    let mut session = model.new_session();
    let file = PICTURES[0].1;
    let whole = session.infer(&jpeg("astronaut.jpg")).unwrap();
    let infer = |session: &mut Box<dyn Session>, bytes: Vec<u8>| session.infer(&picture(PixelFormat::Jpeg, (512, 512), &[bytes]));
    for damaged in [Vec::new(), vec![0; 1000], file[..100].to_vec()] {
        assert!(Damaged::caused(&infer(&mut session, damaged).unwrap_err()));
    }
    for length in (0..file.len()).step_by(file.len() / 20) {
        let _ = infer(&mut session, file[..length].to_vec());
    }
    // A fixed walk over the file, one byte changed at a time: any answer will do, a panic will not.
    for step in 0..60_usize {
        let mut bytes = file.to_vec();
        let at = if step < 30 { step * 21 } else { step * 977 % file.len() };
        bytes[at] ^= 0x5a;
        let _ = infer(&mut session, bytes);
    }
    assert_eq!(infer(&mut session, file.to_vec()).unwrap(), whole);
}
