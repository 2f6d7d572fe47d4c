//! Which container a file is: by its first bytes, never by its name, but for a raw stream of JPEGs, which begins like a picture.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::location::plain;
use super::{Track, gif, mjpeg, mkv, mp4};
use crate::error::{Error, Result};

/// What a file turned out to be.
#[derive(Debug)]
pub enum Contents {
    /// A track of pictures with their times.
    Track(Track),
    /// One picture.
    Picture,
}

/// Bytes that tell what a file is.
const HEAD_BYTES: u64 = 64;

/// Reads the table of a file. `fps` is for a raw stream of JPEGs and for pictures, which have no times of their own.
/// Errs if it cannot be read, is no video or picture, or is one of a kind that is not decoded.
pub fn open(path: &Path, fps: Option<f64>) -> Result<Contents> {
    let head = head_of(path)?;
    let stream = path.extension().and_then(|e| e.to_str()).is_some_and(|e| ["mjpeg", "mjpg"].contains(&e.to_lowercase().as_str()));
    let opener: fn(&Path) -> Result<Track> = match &head {
        h if mp4::recognises(h) => mp4::open,
        h if mkv::recognises(h) => mkv::open,
        h if gif::recognises(h) => gif::open,
        h if h.starts_with(&[0xff, 0xd8]) && stream => return mjpeg::open(path, fps.unwrap_or(25.0)).map(Contents::Track),
        h if picture(h) => return Ok(Contents::Picture),
        h => return Err(unknown(path, h)),
    };
    if fps.is_some() {
        return Err(Error::Option {
            message: "option \"fps\" is only for pictures, raw Motion JPEG and pattern:".into(),
            hint: Some(format!("\"{}\" has its own times.", path.display())),
        });
    }
    opener(path).map(Contents::Track)
}

fn picture(head: &[u8]) -> bool {
    let webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    webp || head.starts_with(&[0xff, 0xd8]) || head.starts_with(b"\x89PNG\r\n\x1a\n") || head.starts_with(b"BM")
}

fn unknown(path: &Path, head: &[u8]) -> Error {
    let ffmpeg = "Convert it with: ffmpeg -i in -c:v libx264 -pix_fmt yuv420p out.mp4";
    let known = match head {
        [] => return media("22023", format!("\"{}\" is empty", path.display()), None),
        h if h.starts_with(b"RIFF") && h.get(8..12) == Some(b"AVI ") => "an AVI file",
        h if h.starts_with(b"FLV") => "a Flash video",
        h if h.starts_with(b"OggS") => "an Ogg file",
        [0x30, 0x26, 0xb2, 0x75, ..] => "a Windows Media file",
        [0, 0, 1, 0xba, ..] => "an MPEG program stream",
        [0, 0, 0, 1, ..] | [0, 0, 1, ..] => "a raw video stream",
        [0x47, ..] => "an MPEG transport stream",
        h if h.starts_with(b"II*\0") || h.starts_with(b"MM\0*") => "a TIFF picture",
        _ => "",
    };
    if known.is_empty() {
        let message = format!("\"{}\" is not a video or picture that framesql reads", path.display());
        let hint = format!("It reads MP4, MOV and MKV with H.264 or Motion JPEG, raw .mjpeg, GIF, JPEG, PNG, BMP and WebP. {ffmpeg}");
        return media("22023", message, Some(hint));
    }
    media("0A000", format!("\"{}\" is {known}, which framesql does not read", path.display()), Some(ffmpeg.to_owned()))
}

fn media(code: &'static str, message: String, hint: Option<String>) -> Error {
    Error::Media { code, message, hint }
}

fn head_of(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| {
        let code = if e.kind() == std::io::ErrorKind::PermissionDenied { "42501" } else { "58030" };
        media(code, format!("could not open file \"{}\": {}", path.display(), plain(&e)), None)
    };
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(HEAD_BYTES).read_to_end(&mut head).map_err(failed)?;
    Ok(head)
}
