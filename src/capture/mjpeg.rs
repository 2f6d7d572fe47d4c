//! A raw stream of JPEG files, one behind another: where each begins and ends, by its markers.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Result as IoResult, Seek};
use std::path::Path;

use framesql_udfs::orientation::Orientation;

use super::pictures::time_us;
use super::{Codec, Sample, Track, no_video};
use crate::error::{Error, Result};

/// The marker of the start of a picture.
const SOI: u8 = 0xd8;
/// And of its end.
const EOI: u8 = 0xd9;

/// Reads the table of its pictures, `fps` of them a second: the whole file is gone through once, a buffer at a time. Errs if there is none.
pub fn open(path: &Path, fps: f64) -> Result<Track> {
    super::pictures::check_fps(fps)?;
    let file = File::open(path).map_err(|e| Error::io(format!("could not open file \"{}\"", path.display()), e))?;
    let mut stream = Stream { reader: BufReader::with_capacity(1 << 16, file), at: 0 };
    let (places, cut) = places(&mut stream).map_err(|e| Error::io(format!("could not read file \"{}\"", path.display()), e))?;
    if places.is_empty() && !cut {
        return Err(no_video(path));
    }
    let sample = |(n, (start, end)): (usize, &(u64, u64))| Sample {
        offset: *start,
        size: end - start,
        pts_us: time_us(n as u64, fps),
        keyframe: true,
        shown: true,
    };
    Ok(Track {
        container: "mjpeg",
        codec: Codec::Jpeg,
        width: 0,
        height: 0,
        orientation: Orientation::default(),
        samples: places.iter().enumerate().map(sample).collect(),
        n_missing: u64::from(cut),
        duration_us: time_us(places.len() as u64, fps),
        prefix: Vec::new(),
    })
}

struct Stream<R> {
    reader: BufReader<R>,
    at: u64,
}

impl<R: Read + Seek> Stream<R> {
    fn byte(&mut self) -> IoResult<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.at += 1;
        Ok(byte[0])
    }

    /// Goes behind the next 0xff that is followed by something else than a stuffed 0 or a restart, and gives what follows it.
    fn marker(&mut self) -> IoResult<u8> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let found = buffer.iter().position(|b| *b == 0xff);
            let n = found.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(n);
            self.at += n as u64;
            if found.is_none() {
                continue;
            }
            let mut code = 0xff;
            while code == 0xff {
                code = self.byte()?;
            }
            if !matches!(code, 0 | 0x01 | 0xd0..=0xd7) {
                return Ok(code);
            }
        }
    }

    /// Goes past a segment, whose length stands at its beginning.
    fn skip_segment(&mut self) -> IoResult<()> {
        let length = u16::from_be_bytes([self.byte()?, self.byte()?]).saturating_sub(2);
        self.at += u64::from(length);
        self.reader.seek_relative(i64::from(length))
    }
}

/// Begin and end of each picture, and whether the last is cut off by the end of the file.
fn places<R: Read + Seek>(stream: &mut Stream<R>) -> IoResult<(Vec<(u64, u64)>, bool)> {
    let mut places = Vec::new();
    let mut start = None;
    loop {
        let code = match stream.marker() {
            Ok(code) => code,
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok((places, start.is_some())),
            Err(e) => return Err(e),
        };
        match (code, start) {
            (SOI, _) => {
                // The end of the one before is lost: it is what stands up to here.
                places.extend(start.map(|from| (from, stream.at - 2)));
                start = Some(stream.at - 2);
            }
            (EOI, Some(from)) => {
                places.push((from, stream.at));
                start = None;
            }
            // What stands between pictures is passed over, and so is what is in a segment: a thumbnail is a JPEG too.
            (0xc0..=0xfe, Some(_)) if code != EOI => match stream.skip_segment() {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok((places, true)),
                Err(e) => return Err(e),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_end_at_their_marker_and_a_thumbnail_is_not_one() {
        let thumbnail = [0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let scan = [0xff, 0xda, 0, 3, 1, 7, 0xff, 0, 0xff, 0xd3, 8];
        let whole = [&[0xff, 0xd8][..], &thumbnail, &scan, &[0xff, 0xd9]].concat();
        let endless = [&[0xff, 0xd8][..], &scan].concat();
        let file = [&whole[..], b"junk", &endless, &whole, &whole[..15]].concat();
        let mut stream = Stream { reader: BufReader::with_capacity(5, std::io::Cursor::new(file)), at: 0 };
        let (places, cut) = places(&mut stream).unwrap();
        assert_eq!((places, cut), (vec![(0, 23), (27, 40), (40, 63)], true));
    }
}
