//! A folder or glob of pictures, or a single one: a name and a time for each; a picture is not opened before its row is read.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Pictures shown one after another at an even pace.
#[derive(Clone, Debug)]
pub struct Pictures {
    files: Vec<PathBuf>,
    fps: f64,
}

impl Pictures {
    /// `files` in the order they are shown, 25 a second unless `fps` says otherwise. Errs if there is none (naming `url`) or the rate cannot be.
    pub fn new(url: &str, files: Vec<PathBuf>, fps: Option<f64>) -> Result<Pictures> {
        let fps = fps.unwrap_or(25.0);
        check_fps(fps)?;
        if files.is_empty() {
            return Err(Error::Media {
                code: "22023",
                message: format!("\"{url}\" holds no picture"),
                hint: Some(
                    "A folder or glob gives its files that end in .jpg, .jpeg, .png, .bmp or .webp, or rows in .csv, .ndjson, .jsonl, .json, .parquet or .pq; a video is named itself."
                        .into(),
                ),
            });
        }
        Ok(Pictures { files, fps })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none; there always is one.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file of that picture.
    pub fn file(&self, at: usize) -> Option<&PathBuf> {
        self.files.get(at)
    }

    /// When that picture is shown, µs after the first.
    pub fn pts_us(&self, at: u64) -> i64 {
        time_us(at, self.fps)
    }
}

/// When the picture of that number is shown, µs after the first.
pub(super) fn time_us(at: u64, fps: f64) -> i64 {
    (at as f64 * 1e6 / fps).round() as i64
}

/// Errs unless the rate is above 0 and at most 1000.
pub(super) fn check_fps(fps: f64) -> Result<()> {
    if fps > 0.0 && fps <= 1000.0 {
        return Ok(());
    }
    Err(Error::Option {
        message: format!("pictures cannot have {fps} frames a second"),
        hint: Some("fps is above 0 and at most 1000.".into()),
    })
}
