//! Animated GIF: where the blocks of each picture stand and how long it is shown; nothing is decompressed.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Result as IoResult, Seek};
use std::path::Path;

use framesql_udfs::orientation::Orientation;

use super::{Codec, Sample, Track, damaged, no_video};
use crate::error::{Error, Result};

/// Hundredths of a second that a picture is shown whose delay is 0 or 1, as browsers do.
const DEFAULT_DELAY: u16 = 10;

/// Whether a file begins like a GIF.
pub fn recognises(head: &[u8]) -> bool {
    head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a")
}

/// Reads the table of its pictures. Errs if there is none or its screen is empty.
pub fn open(path: &Path) -> Result<Track> {
    let file = File::open(path).map_err(|e| Error::io(format!("could not open file \"{}\"", path.display()), e))?;
    let mut blocks = Blocks { reader: BufReader::new(file), at: 0 };
    let mut table = Table::default();
    match table.fill(&mut blocks) {
        Ok(()) => {}
        // A picture that is cut off by the end of the file has begun and is not whole.
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => table.n_missing += u64::from(table.begun),
        Err(e) => return Err(Error::io(format!("could not read file \"{}\"", path.display()), e)),
    }
    let (width, height) = table.screen;
    if width == 0 || height == 0 {
        return Err(damaged(path, "its screen has no pixels"));
    }
    if table.samples.is_empty() && table.n_missing == 0 {
        return Err(no_video(path));
    }
    Ok(Track {
        container: "gif",
        codec: Codec::Gif(table.head),
        width: u32::from(width),
        height: u32::from(height),
        orientation: Orientation::default(),
        samples: table.samples,
        n_missing: table.n_missing,
        duration_us: table.end_us,
        prefix: Vec::new(),
    })
}

struct Blocks<R> {
    reader: BufReader<R>,
    at: u64,
}

impl<R: Read + Seek> Blocks<R> {
    fn bytes<const N: usize>(&mut self) -> IoResult<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn skip(&mut self, n: u32) -> IoResult<()> {
        self.at += u64::from(n);
        self.reader.seek_relative(i64::from(n))
    }

    /// Goes to the next control block behind the byte `first`, which was read. Errs at the end of the file.
    fn find_control(&mut self, first: u8) -> IoResult<()> {
        let mut last = [0, 0, 0, 0, 0, 0, 0, first];
        loop {
            let [next] = self.bytes()?;
            last.rotate_left(1);
            last[7] = next;
            if last.starts_with(&CONTROL) && next == 0 {
                self.at -= 8;
                return self.reader.seek_relative(-8);
            }
        }
    }

    /// Goes past a chain of sub-blocks; the length of each stands before it, 0 ends the chain.
    fn skip_chain(&mut self) -> IoResult<()> {
        loop {
            match self.bytes()? {
                [0] => return Ok(()),
                [n] => self.skip(u32::from(n))?,
            }
        }
    }
}

/// How a control block begins; four bytes and a 0 follow.
const CONTROL: [u8; 3] = [0x21, 0xf9, 4];

/// How many colours a packed field names, in bytes.
fn colors(packed: u8) -> u32 {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}

#[derive(Default)]
struct Table {
    screen: (u16, u16),
    head: Vec<u8>,
    samples: Vec<Sample>,
    n_missing: u64,
    end_us: i64,
    /// Whether a picture has begun that is not in `samples` yet.
    begun: bool,
}

impl Table {
    fn fill<R: Read + Seek>(&mut self, blocks: &mut Blocks<R>) -> IoResult<()> {
        let screen: [u8; 13] = blocks.bytes()?;
        let [_, _, _, _, _, _, w0, w1, h0, h1, packed, _, _] = screen;
        self.screen = (u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]));
        self.head = screen.to_vec();
        for _ in 0..colors(packed) {
            self.head.extend(blocks.bytes::<1>()?);
        }
        // Where the blocks of the next picture begin: its control block if it has one.
        let (mut start, mut delay) = (None, 0);
        loop {
            let at = blocks.at;
            match blocks.bytes()? {
                [0x21] => {
                    if blocks.bytes()? == [0xf9] {
                        start = Some(at);
                        let [size, _, d0, d1] = blocks.bytes()?;
                        delay = u16::from_le_bytes([d0, d1]);
                        blocks.skip(u32::from(size).saturating_sub(3))?;
                    }
                    blocks.skip_chain()?;
                }
                [0x2c] => {
                    self.begun = true;
                    let start = start.take().unwrap_or(at);
                    let [_, _, _, _, _, _, _, _, packed] = blocks.bytes()?;
                    blocks.skip(colors(packed) + 1)?;
                    blocks.skip_chain()?;
                    self.samples.push(Sample { offset: start, size: blocks.at - start, pts_us: self.end_us, keyframe: true, shown: true });
                    self.begun = false;
                    let shown_for = if delay < 2 { DEFAULT_DELAY } else { delay };
                    self.end_us = self.end_us.saturating_add(i64::from(shown_for) * 10_000);
                    delay = 0;
                }
                [0x3b] => return Ok(()),
                // Damage: the next control block begins the next picture.
                [first] => blocks.find_control(first)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_shown_as_long_as_its_control_block_says_and_a_cut_one_is_missing() {
        let head = [&b"GIF89a"[..], &[4, 0, 2, 0, 0x80, 0, 0], &[1, 2, 3, 4, 5, 6]].concat();
        let control = |delay: u8| vec![0x21, 0xf9, 4, 0, delay, 0, 0, 0];
        let picture = [0x2c, 0, 0, 0, 0, 4, 0, 2, 0, 0, 2, 2, 0x44, 1, 0];
        let file = [&head[..], &[0x21, 0xfe, 1, b'x', 0], &control(7), &picture, &control(0), &picture, &picture[..12]].concat();
        let mut table = Table::default();
        let error = table.fill(&mut Blocks { reader: BufReader::new(std::io::Cursor::new(file)), at: 0 }).unwrap_err();
        assert_eq!((error.kind(), table.begun, table.screen, table.head.len()), (ErrorKind::UnexpectedEof, true, (4, 2), 19));
        assert_eq!(table.samples.iter().map(|s| (s.offset, s.size, s.pts_us)).collect::<Vec<_>>(), [(24, 23, 0), (47, 23, 70_000)]);
        assert_eq!(table.end_us, 170_000);
    }

    #[test]
    fn after_damage_the_next_control_block_begins_a_picture() {
        let control = [0x21, 0xf9, 4, 0, 5, 0, 0, 0];
        let picture = [0x2c, 0, 0, 0, 0, 4, 0, 2, 0, 0, 2, 2, 0x44, 1, 0];
        let file = [&b"GIF89a"[..], &[4, 0, 2, 0, 0, 0, 0], &control, &picture, &[0, 7, 0x21, 0xf9, 9], &control, &picture, &[0x3b, 0x2c]]
            .concat();
        let mut table = Table::default();
        table.fill(&mut Blocks { reader: BufReader::with_capacity(16, std::io::Cursor::new(file)), at: 0 }).unwrap();
        assert_eq!(table.samples.iter().map(|s| (s.offset, s.size, s.pts_us)).collect::<Vec<_>>(), [(13, 23, 0), (41, 23, 50_000)]);
    }
}
