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
    /// A video that only ffmpeg can read.
    Foreign {
        /// What people call the container, with its article.
        kind: &'static str,
        /// ffmpeg's word for it.
        demuxer: &'static str,
    },
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
        h => return foreign(path, h, fps),
    };
    without_fps(path, fps)?;
    opener(path).map(Contents::Track)
}

fn without_fps(path: &Path, fps: Option<f64>) -> Result<()> {
    if fps.is_some() {
        return Err(Error::Option {
            message: "option \"fps\" is only for pictures, raw Motion JPEG and pattern:".into(),
            hint: Some(format!("\"{}\" has its own times.", path.display())),
        });
    }
    Ok(())
}

fn picture(head: &[u8]) -> bool {
    let webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    webp || head.starts_with(&[0xff, 0xd8]) || head.starts_with(b"\x89PNG\r\n\x1a\n") || head.starts_with(b"BM")
}

/// The containers that ffmpeg is asked to read, by their first bytes. None of them names other files, as a playlist does: the fence holds.
fn demuxer(head: &[u8]) -> Option<(&'static str, &'static str)> {
    Some(match head {
        h if h.starts_with(b"RIFF") && h.get(8..12) == Some(b"AVI ") => ("an AVI file", "avi"),
        h if h.starts_with(b"FLV") => ("a Flash video", "flv"),
        h if h.starts_with(b"OggS") => ("an Ogg file", "ogg"),
        h if h.starts_with(b"DKIF") => ("an IVF file", "ivf"),
        [0x30, 0x26, 0xb2, 0x75, ..] => ("a Windows Media file", "asf"),
        [0x06, 0x0e, 0x2b, 0x34, ..] => ("an MXF file", "mxf"),
        [0, 0, 1, 0xba, ..] => ("an MPEG program stream", "mpeg"),
        [0x47, ..] => ("an MPEG transport stream", "mpegts"),
        _ => return None,
    })
}

fn foreign(path: &Path, head: &[u8], fps: Option<f64>) -> Result<Contents> {
    if let Some((kind, demuxer)) = demuxer(head) {
        without_fps(path, fps)?;
        return Ok(Contents::Foreign { kind, demuxer });
    }
    let ffmpeg = "Convert it with: ffmpeg -i in -c:v libx264 -pix_fmt yuv420p out.mp4";
    Err(match head {
        [] => media("22023", format!("\"{}\" is empty", path.display()), None),
        // Its pictures have no times, and ffmpeg would only make them up.
        [0, 0, 0, 1, ..] | [0, 0, 1, ..] => unread(path, "a raw video stream"),
        h if h.starts_with(b"II*\0") || h.starts_with(b"MM\0*") => unread(path, "a TIFF picture"),
        _ => {
            let message = format!("\"{}\" is not a video or picture that framesql reads", path.display());
            let hint = format!("It reads MP4, MOV and MKV with H.264 or Motion JPEG, raw .mjpeg, GIF, JPEG, PNG, BMP and WebP. {ffmpeg}");
            media("22023", message, Some(hint))
        }
    })
}

/// The error for a container that is known and not read.
pub fn unread(path: &Path, kind: &str) -> Error {
    let hint = "Convert it with: ffmpeg -i in -c:v libx264 -pix_fmt yuv420p out.mp4";
    media("0A000", format!("\"{}\" is {kind}, which framesql does not read", path.display()), Some(hint.to_owned()))
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
