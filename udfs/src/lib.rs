//! Everything that looks inside a frame: its type, the models, the SQL functions; no planner and no video file is known here.

pub mod aggregate;
pub mod detection;
pub mod embedding;
pub mod figure;
pub mod frame;
pub mod function;
pub mod gallery;
mod homography;
pub mod interrupt;
pub mod jpeg_file;
pub mod model;
pub mod orientation;
pub mod out_of_range;
pub mod pixels;
mod planes;
pub mod polygon;
pub mod previous;
pub mod track;
