//! What a model gives for one picture: detections, classes, a vector, or tensors as they are.

use crate::detection::{Box as Bbox, Detection};

/// A class with its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its name.
    pub label: String,
    /// How sure the model is, 0 to 1.
    pub score: f32,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// How sure the model is of its characters, in the mean, 0 to 1.
    pub score: f32,
    /// Its corners from the upper left one clockwise, px.
    pub corners: [(f32, f32); 4],
}

impl Line {
    /// The least box around it.
    pub fn bbox(&self) -> Bbox {
        let least = |of: fn(&(f32, f32)) -> f32| self.corners.iter().map(of).fold(f32::INFINITY, f32::min);
        let most = |of: fn(&(f32, f32)) -> f32| self.corners.iter().map(of).fold(f32::NEG_INFINITY, f32::max);
        let (x, y) = (least(|p| p.0), least(|p| p.1));
        Bbox { x, y, w: most(|p| p.0) - x, h: most(|p| p.1) - y }
    }
}

/// An array of numbers of any rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name in the graph.
    pub name: String,
    /// Its shape; the product is the number of values.
    pub shape: Vec<usize>,
    /// Its values, the last axis fastest.
    pub values: Vec<f32>,
}

/// The result of one inference.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// What was found at or above the model's floor score, the surest first, in pixels of the picture as displayed.
    Detections(Vec<Detection>),
    /// Every class, the surest first.
    Classes(Vec<Class>),
    /// One vector.
    Embedding(Vec<f32>),
    /// The outputs of the graph in their order.
    Tensors(Vec<Tensor>),
    /// Lines of text in the order in which they are read.
    Lines(Vec<Line>),
}

impl Output {
    /// Bytes that it holds on the heap and itself.
    pub fn bytes(&self) -> usize {
        let held: usize = match self {
            Output::Detections(all) => {
                let one =
                    |d: &Detection| size_of::<Detection>() + d.label.capacity() + d.landmarks.as_ref().map_or(0, |l| l.capacity() * 8);
                all.iter().map(one).sum()
            }
            Output::Classes(all) => all.iter().map(|c| size_of::<Class>() + c.label.capacity()).sum(),
            Output::Embedding(values) => values.capacity() * 4,
            Output::Lines(all) => all.iter().map(|line| size_of::<Line>() + line.text.capacity()).sum(),
            Output::Tensors(all) => {
                let one = |t: &Tensor| {
                    size_of::<Tensor>() + t.name.capacity() + t.shape.capacity() * size_of::<usize>() + t.values.capacity() * 4
                };
                all.iter().map(one).sum()
            }
        };
        size_of::<Output>() + held
    }

    /// The detections; none of another model.
    pub fn detections(&self) -> &[Detection] {
        match self {
            Output::Detections(all) => all,
            _ => &[],
        }
    }
}
