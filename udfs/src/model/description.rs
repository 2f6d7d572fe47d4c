//! A model in words: what it is for, how a picture becomes its input and what its output means; the manifest and CREATE MODEL write the same.

use serde::{Deserialize, Serialize};

use super::error::ModelError;

/// The largest side of an input, in pixels: a wrong description must not take all memory.
pub const MAX_SIDE: u32 = 4096;

/// What a model is for: which functions may run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Boxes: `detect`, `detect_objects`, `detect_faces`.
    Detection,
    /// A score a class: `classify`.
    Classification,
    /// One vector: `embed`, `face_embedding`.
    Embedding,
    /// A class or a share a pixel: `infer`, which gives the numbers as they are.
    Segmentation,
    /// Anything else: `infer`.
    Raw,
    /// Lines of text: `read_text`, `read_plate`. Only the model that is composed of two of the manifest has it.
    Text,
}

/// The order of the input's axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[1, 3, height, width]`, as PyTorch has it; one channel of gray.
    #[default]
    Nchw,
    /// `[1, height, width, 3]`, as TensorFlow has it; one channel of gray.
    Nhwc,
}

/// The order of the colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV has it.
    Bgr,
    /// One channel, as OpenCV's cvtColor makes it of the three.
    Gray,
}

/// How a picture of another shape becomes the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Width and height are scaled each by its own factor.
    Stretch,
    /// Both are scaled by one factor, so that the picture fits; it stands at the top left, and what is left is gray (114) or, for `yunet`, black.
    Letterbox,
}

/// How the output of a detector is read; `decode` has each one's shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decode {
    /// YOLOX, cells of strides 8, 16 and 32.
    Yolox,
    /// YOLOv8 and those that came after it.
    Yolov8,
    /// Boxes and scores, as SSD exports have them.
    Ssd,
    /// NanoDet: distances as distributions.
    Nanodet,
    /// CenterNet: a peak is an object.
    Centernet,
    /// YuNet: faces with five landmarks.
    Yunet,
    /// The output is not read as boxes.
    #[default]
    None,
}

/// What the numbers of a classification model are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scores {
    /// Shares of 1, by softmax.
    Softmax,
    /// Nothing: they are scores already.
    None,
}

/// What is known of a model before its file is opened. As TOML or JSON its fields have these names, the words in lower case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// The name by which SQL calls it.
    pub name: String,
    /// What it is for.
    pub task: Task,
    /// The sha256 of its ONNX file, lower case hex. Empty where it is not known before: `Models::insert` computes it.
    #[serde(default)]
    pub sha256: String,
    /// Under which licence its weights may be used (SPDX).
    #[serde(default)]
    pub licence: String,
    /// Where it comes from: a package and the path in it, a file.
    #[serde(default)]
    pub origin: String,
    /// Width of its input, px.
    pub width: u32,
    /// Height of its input, px.
    pub height: u32,
    /// The order of its input's axes.
    #[serde(default)]
    pub layout: Layout,
    /// The order of its input's colours.
    #[serde(default)]
    pub color: Color,
    /// Taken from each value of 0 to 255, a colour each, in the order of `color`; of gray the first alone.
    #[serde(default)]
    pub mean: [f32; 3],
    /// What the difference is divided by, in the same order.
    #[serde(default = "ones")]
    pub std: [f32; 3],
    /// How a picture of another shape is fitted; None is letterbox for yolox, yolov8 and yunet, and stretch for all else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// How its output is read; none unless its task is detection.
    #[serde(default)]
    pub decode: Decode,
    /// What the numbers of a classification model are made; None is softmax unless its graph ends in scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    /// The names of its classes, in its order. A class without a name is called by its number.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The least score where a query names none, 0 to 1.
    #[serde(default = "half")]
    pub score: f32,
    /// Of two boxes of one class that overlap by more than this, the better one stays, 0 to 1.
    #[serde(default = "half")]
    pub iou: f32,
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

fn half() -> f32 {
    0.5
}

impl ModelDescription {
    /// A description of that name with everything else as it is where nothing is said.
    pub fn new(name: impl Into<String>, task: Task, width: u32, height: u32) -> ModelDescription {
        ModelDescription {
            name: name.into(),
            task,
            sha256: String::new(),
            licence: String::new(),
            origin: String::new(),
            width,
            height,
            layout: Layout::default(),
            color: Color::default(),
            mean: [0.0; 3],
            std: ones(),
            fit: None,
            decode: Decode::None,
            scores: None,
            labels: Vec::new(),
            score: half(),
            iou: half(),
        }
    }

    /// Errs if the parts do not fit each other; the file is not looked at.
    pub fn check(&self) -> Result<(), ModelError> {
        let bad = |message: String, hint: &str| Err(ModelError::Description { message, hint: hint.to_owned() });
        let name = &self.name;
        if name.is_empty() {
            return bad("a model needs a name".into(), "Name it in lower case, such as objects.");
        }
        if self.width == 0 || self.height == 0 || self.width > MAX_SIDE || self.height > MAX_SIDE {
            let hint = format!("Width and height of the input are 1 to {MAX_SIDE} pixels.");
            return bad(format!("model \"{name}\" has an input of {}x{}", self.width, self.height), &hint);
        }
        if self.std.iter().any(|s| !s.is_finite() || *s == 0.0) || self.mean.iter().any(|m| !m.is_finite()) {
            return bad(
                format!("model \"{name}\" cannot be given its input: std is zero, or mean or std is not finite"),
                "Use std = 1 for none.",
            );
        }
        if !(0.0..=1.0).contains(&self.score) || !(0.0..=1.0).contains(&self.iou) {
            return bad(format!("score and iou of model \"{name}\" are not both between 0 and 1"), "Both default to 0.5.");
        }
        if self.scores.is_some() && self.task != Task::Classification {
            return bad(
                format!("model \"{name}\" says what its scores are and is no classification model"),
                "Set the task to classification, or leave scores out.",
            );
        }
        match (self.task == Task::Detection, self.decode == Decode::None) {
            (true, true) => bad(
                format!("model \"{name}\" is a detection model and does not say how its output is read"),
                "Set decode to yolox, yolov8, ssd, nanodet, centernet or yunet, or the task to raw.",
            ),
            (false, false) => {
                bad(format!("model \"{name}\" has a decoder and is no detection model"), "Set the task to detection, or decode to none.")
            }
            _ => Ok(()),
        }
    }

    /// How a picture of another shape is fitted.
    pub fn fitted(&self) -> Fit {
        self.fit.unwrap_or(match self.decode {
            Decode::Yolox | Decode::Yolov8 | Decode::Yunet => Fit::Letterbox,
            Decode::Ssd | Decode::Nanodet | Decode::Centernet | Decode::None => Fit::Stretch,
        })
    }

    /// The shape of its input.
    pub fn input_shape(&self) -> [usize; 4] {
        let (width, height) = (self.width as usize, self.height as usize);
        match self.layout {
            Layout::Nchw => [1, self.n_channels(), height, width],
            Layout::Nhwc => [1, height, width, self.n_channels()],
        }
    }

    /// Numbers a pixel of its input.
    pub fn n_channels(&self) -> usize {
        match self.color {
            Color::Rgb | Color::Bgr => 3,
            Color::Gray => 1,
        }
    }

    /// The name of a class.
    pub fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

impl Task {
    /// The word in SQL and in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            Task::Detection => "detection",
            Task::Classification => "classification",
            Task::Embedding => "embedding",
            Task::Segmentation => "segmentation",
            Task::Raw => "raw",
            Task::Text => "text",
        }
    }

    /// The function that runs such a model, as a hint names it.
    pub fn function(self) -> &'static str {
        match self {
            Task::Detection => "detect",
            Task::Classification => "classify",
            Task::Embedding => "embed",
            Task::Segmentation | Task::Raw => "infer",
            Task::Text => "read_text",
        }
    }
}
