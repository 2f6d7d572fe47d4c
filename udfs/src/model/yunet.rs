//! YuNet, the face detector that travels with the build: a picture in, faces with five landmarks out.

use std::fmt;
use std::sync::{Arc, LazyLock};

use datafusion_common::Result;

use super::description::Task;
use super::kernels::Isa;
use super::network::{Network, Weights};
use super::output::Output;
use super::{Model, Session};
use crate::detection::{Box as Bbox, Detection, iou};
use crate::frame::Picture;
use crate::pixels::{Order, render};

/// What it is called.
pub const NAME: &str = "face-yunet";
/// What it may be called as well.
pub const ALIAS: &str = "yunet";
/// Boxes that overlap a better one by more than this are the same face (OpenCV's sample has the same).
pub(super) const NMS_IOU: f64 = 0.3;
/// The threshold where the query names none.
const DEFAULT_SCORE: f32 = 0.7;
/// Below this the model finds faces in wallpaper; no query goes lower.
const FLOOR_SCORE: f32 = 0.3;
/// Larger pictures are scaled down to this longest side; smaller ones are not enlarged.
pub(super) const LONGEST_SIDE: u32 = 640;
/// sha256 of yunet.f32, which make_yunet.py checks.
const SHA256: &str = "2480a17e2b10be920282fe3c2f0349c0e76d3933bf1667bae9fd7cad4f403e1e";

/// The model: its landmarks are right eye, left eye, nose tip, right and left mouth corner, as the person has them.
pub struct YuNet {
    weights: Arc<Weights>,
    isa: Isa,
}

impl fmt::Debug for YuNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("YuNet").field("isa", &self.isa.name).finish_non_exhaustive()
    }
}

/// The model; its weights are unpacked once a process, as the code is there once.
pub fn embedded() -> Arc<dyn Model> {
    static EMBEDDED: LazyLock<Arc<dyn Model>> = LazyLock::new(|| Arc::new(YuNet::embedded()));
    Arc::clone(&EMBEDDED)
}

impl YuNet {
    /// The weights in the build, on the fastest kernels that the processor has.
    pub fn embedded() -> YuNet {
        YuNet::on_every_path().swap_remove(0)
    }

    /// One for each set of kernels that the processor has, the fastest first, the portable one last.
    pub fn on_every_path() -> Vec<YuNet> {
        let bytes = include_bytes!("yunet.f32");
        let floats: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let weights = Arc::new(Weights::new(&floats).expect("yunet.f32 in this folder has all weights, as its tests show"));
        Isa::all().into_iter().map(|isa| YuNet { weights: Arc::clone(&weights), isa }).collect()
    }

    /// The kernels in use: avx512, avx2 or portable.
    pub fn kernels(&self) -> &'static str {
        self.isa.name
    }
}

impl Model for YuNet {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> &str {
        "2023mar"
    }

    fn sha256(&self) -> &str {
        SHA256
    }

    fn licence(&self) -> &str {
        "BSD-3-Clause"
    }

    fn task(&self) -> Task {
        Task::Detection
    }

    fn runtime(&self) -> &'static str {
        "framesql"
    }

    fn input_size(&self, width: u32, height: u32) -> (u32, u32) {
        input_size(width, height)
    }

    fn floor_score(&self) -> f32 {
        FLOOR_SCORE
    }

    fn default_score(&self) -> f32 {
        DEFAULT_SCORE
    }

    fn new_session(&self) -> Box<dyn Session> {
        Box::new(YuNetSession { weights: Arc::clone(&self.weights), isa: self.isa, network: None })
    }
}

fn input_size(width: u32, height: u32) -> (u32, u32) {
    let longest = u64::from(width.max(height));
    if longest <= u64::from(LONGEST_SIDE) {
        return (width, height);
    }
    let side = |pixels: u32| ((u64::from(pixels) * u64::from(LONGEST_SIDE) + longest / 2) / longest).max(1) as u32;
    (side(width), side(height))
}

struct YuNetSession {
    weights: Arc<Weights>,
    isa: Isa,
    /// For the size of the last picture: those of one source have one size.
    network: Option<Network>,
}

impl Session for YuNetSession {
    fn infer(&mut self, picture: &Picture) -> Result<Output> {
        let (width, height) = picture.displayed();
        let input = input_size(width, height);
        let pixels = render(picture, Order::Bgr, Some(input))?;
        let (w, h) = (input.0 as usize, input.1 as usize);
        let fits = |n: &Network| (n.width, n.height) == (w.next_multiple_of(32), h.next_multiple_of(32));
        let network = match self.network.take().filter(fits) {
            Some(network) => self.network.insert(network),
            None => self.network.insert(Network::new(&self.weights, self.isa, w, h)),
        };
        network.run(&self.weights, &pixels.data, w, h);
        let scale = (width as f32 / input.0 as f32, height as f32 / input.1 as f32);
        Ok(Output::Detections(suppress(faces(network, scale))))
    }
}

/// The cells whose score reaches the floor, in source pixels. The decoding is that of libfacedetection and OpenCV's FaceDetectorYN.
fn faces(network: &Network, (sx, sy): (f32, f32)) -> Vec<Detection> {
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    // score = sqrt(class x object): to reach the floor both must reach its square, and most cells fall by their logits, without exp.
    let least_logit = (FLOOR_SCORE * FLOOR_SCORE / (1.0 - FLOOR_SCORE * FLOOR_SCORE)).ln() - 1e-3;
    let mut found = Vec::new();
    for level in network.levels() {
        let stride = level.stride as f32;
        for (at, cell) in level.cells.as_chunks::<16>().0.iter().enumerate() {
            if cell[0] < least_logit || cell[1] < least_logit {
                continue;
            }
            let score = (sigmoid(cell[0]) * sigmoid(cell[1])).sqrt();
            if score < FLOOR_SCORE {
                continue;
            }
            let (column, row) = ((at % level.columns) as f32, (at / level.columns) as f32);
            let (w, h) = (cell[4].exp() * stride, cell[5].exp() * stride);
            let (x, y) = ((column + cell[2]) * stride - w / 2.0, (row + cell[3]) * stride - h / 2.0);
            let landmark = |k: usize| ((cell[6 + 2 * k] + column) * stride * sx, (cell[7 + 2 * k] + row) * stride * sy);
            found.push(Detection {
                label: "face".to_owned(),
                score,
                bbox: Bbox { x: x * sx, y: y * sy, w: w * sx, h: h * sy },
                landmarks: Some((0..5).map(landmark).collect()),
                track_id: None,
            });
        }
    }
    found
}

/// Greedy non-maximum suppression: the best box stays, those that overlap it by more than the threshold go, and so on.
fn suppress(mut found: Vec<Detection>) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for detection in found {
        if !kept.iter().any(|k| iou(&k.bbox, &detection.bbox) > NMS_IOU) {
            kept.push(detection);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ColorMatrix, ColorRange, PixelFormat};
    use arrow::buffer::Buffer;

    fn detection(x: f32, score: f32) -> Detection {
        Detection { label: "face".into(), score, bbox: Bbox { x, y: 0.0, w: 10.0, h: 10.0 }, landmarks: None, track_id: None }
    }

    #[test]
    fn suppression_at_the_floor_and_a_threshold_above_equal_suppression_at_the_threshold() {
        let all = vec![detection(0.0, 0.5), detection(2.0, 0.9), detection(4.0, 0.6), detection(30.0, 0.4)];
        let scores = |d: &[Detection]| d.iter().map(|d| d.score).collect::<Vec<_>>();
        assert_eq!(scores(&suppress(all.clone())), [0.9, 0.4]);
        let above: Vec<Detection> = all.iter().filter(|d| d.score >= 0.55).cloned().collect();
        let kept: Vec<Detection> = suppress(all).into_iter().filter(|found| found.score >= 0.55).collect();
        assert_eq!(kept, suppress(above));
    }

    #[test]
    fn the_script_that_makes_the_weights_checks_the_digest_under_which_results_are_kept() {
        assert!(include_str!("make_yunet.py").contains(SHA256));
    }

    #[test]
    fn larger_pictures_are_scaled_to_640_and_smaller_ones_are_not() {
        let model = YuNet::embedded();
        assert_eq!(model.input_size(1280, 720), (640, 360));
        assert_eq!(model.input_size(720, 1280), (360, 640));
        assert_eq!(model.input_size(100, 37), (100, 37));
        assert_eq!(model.input_size(10_000, 1), (640, 1));
    }

    #[test]
    fn a_picture_of_any_size_goes_through_on_every_path() {
        for model in YuNet::on_every_path() {
            let mut session = model.new_session();
            for (width, height) in [(1, 1), (33, 31), (640, 2), (700, 64)] {
                let plane = Some(Buffer::from_vec((0..width * height).map(|i| (i * 7 % 251) as u8).collect::<Vec<u8>>()));
                let (range, matrix) = (ColorRange::Full, ColorMatrix::Bt601);
                let picture =
                    Picture { format: PixelFormat::Gray8, width, height, range, matrix, rotation: 0, planes: [plane, None, None] };
                let first = session.infer(&picture).unwrap();
                assert_eq!(first, session.infer(&picture).unwrap(), "state leaked from one frame to the next on {}", model.kernels());
            }
        }
    }
}
