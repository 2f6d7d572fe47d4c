//! Raw pictures with their times as ffmpeg writes them: one video stream of a NUT file, read from a pipe (the NUT open container format, 2013).

use std::io::{Error, ErrorKind, Read, Result};

/// What a file begins with.
const FILE_ID: &[u8; 25] = b"nut/multimedia container\0";
/// A header or index longer than this is not what ffmpeg writes.
const MOST_HEADER_BYTES: u64 = 1 << 24;

// The second byte of a startcode; the first is N, which no frame code is.
const MAIN: u8 = b'M';
const STREAM: u8 = b'S';
const SYNCPOINT: u8 = b'K';

// Flags of a frame code.
const CODED_PTS: u64 = 1 << 3;
const STREAM_ID: u64 = 1 << 4;
const SIZE_MSB: u64 = 1 << 5;
const CHECKSUM: u64 = 1 << 6;
const RESERVED: u64 = 1 << 7;
const SIDE_DATA: u64 = 1 << 8;
const HEADER_INDEX: u64 = 1 << 10;
const MATCH_TIME: u64 = 1 << 11;
const CODED_FLAGS: u64 = 1 << 12;
const INVALID: u64 = 1 << 13;

/// What a frame code stands for.
#[derive(Clone, Copy, Debug, Default)]
struct Code {
    flags: u64,
    size_mul: u64,
    size_lsb: u64,
    pts_delta: i64,
    n_reserved: u64,
    header: u64,
}

/// A picture whose bytes are the next in the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its time in units of the time base.
    pub(super) pts: i64,
    /// How many bytes it has.
    pub(super) size: u64,
}

/// Reads one stream of pictures.
#[derive(Debug)]
pub(super) struct Pictures<R> {
    pipe: R,
    begun: bool,
    time_bases: Vec<(u64, u64)>,
    codes: Vec<Code>,
    /// The lengths of the headers that may be left off a frame: there are none that raw pictures begin with.
    headers: Vec<usize>,
    /// Which time base the stream counts in, and the bits of a short time.
    time_base: usize,
    pts_bits: u32,
    size: (u32, u32),
    last_pts: i64,
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

impl<R: Read> Pictures<R> {
    /// Nothing is read yet.
    pub(super) fn new(pipe: R) -> Pictures<R> {
        Pictures {
            pipe,
            begun: false,
            time_bases: Vec::new(),
            codes: Vec::new(),
            headers: Vec::new(),
            time_base: 0,
            pts_bits: 0,
            size: (0, 0),
            last_pts: 0,
        }
    }

    /// Width and height, and the seconds in a unit of time as a fraction; known after the first `next`.
    pub(super) fn stream(&self) -> ((u32, u32), (u64, u64)) {
        (self.size, self.time_bases.get(self.time_base).copied().unwrap_or((1, 1)))
    }

    /// Goes to the next picture; None at the end of the pipe. Its bytes must be read before the next call. Errs if what comes is no NUT or ends within a head.
    pub(super) fn next(&mut self) -> Result<Option<Head>> {
        if !self.begun {
            let Some(first) = self.first_byte()? else { return Ok(None) };
            let mut id = [first; FILE_ID.len()];
            self.read(id.get_mut(1..).unwrap_or_default())?;
            if id != *FILE_ID {
                return Err(damaged("it does not begin like a NUT file"));
            }
            self.begun = true;
        }
        while let Some(first) = self.first_byte()? {
            if first == b'N' {
                self.packet()?;
            } else if let Some(head) = self.frame(first)? {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// The bytes of the picture, as they are.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.pipe.read_exact(bytes)
    }

    /// Goes past bytes of the picture.
    pub(super) fn skip(&mut self, n: u64) -> Result<()> {
        let copied = std::io::copy(&mut (&mut self.pipe).take(n), &mut std::io::sink())?;
        if copied == n { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn first_byte(&mut self) -> Result<Option<u8>> {
        let mut byte = [0];
        loop {
            match self.pipe.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// A head, a syncpoint, or what is passed over, after the N of its startcode.
    fn packet(&mut self) -> Result<()> {
        let mut startcode = [0; 7];
        self.read(&mut startcode)?;
        let length = unsigned(&mut self.pipe)?;
        if length > MOST_HEADER_BYTES {
            return Err(damaged("a head of the NUT file is too long"));
        }
        if length > 4096 {
            // The sum of the head itself.
            self.skip(4)?;
        }
        let mut content = vec![0; length as usize];
        self.read(&mut content)?;
        let mut content = content.as_slice();
        match startcode[0] {
            MAIN => self.main_head(&mut content),
            STREAM => self.stream_head(&mut content),
            SYNCPOINT => {
                let time = unsigned(&mut content)?;
                let n = self.time_bases.len().max(1) as u64;
                let base = |at: usize| self.time_bases.get(at).map_or((1, 1), |(n, d)| (i128::from(*n), i128::from(*d)));
                let (theirs, ours) = (base((time % n) as usize), base(self.time_base));
                let scaled = (i128::from(time / n) * theirs.0 * ours.1).div_euclid((theirs.1 * ours.0).max(1));
                self.last_pts = i64::try_from(scaled).unwrap_or(0);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn main_head(&mut self, content: &mut &[u8]) -> Result<()> {
        let version = unsigned(content)?;
        if !(2..=4).contains(&version) {
            return Err(damaged("the version of the NUT file is not known"));
        }
        if version > 3 {
            unsigned(content)?;
        }
        let (n_streams, _, n_time_bases) = (unsigned(content)?, unsigned(content)?, unsigned(content)?);
        if n_streams != 1 || !(1..=16).contains(&n_time_bases) {
            return Err(damaged("the NUT file has other streams than one of pictures"));
        }
        self.time_bases = (0..n_time_bases).map(|_| Ok((unsigned(content)?, unsigned(content)?))).collect::<Result<_>>()?;
        if self.time_bases.iter().any(|(n, d)| *n == 0 || *d == 0) {
            return Err(damaged("the NUT file has a time base of zero"));
        }
        self.codes.clear();
        let mut code = Code { size_mul: 1, ..Code::default() };
        while self.codes.len() < 256 {
            code.flags = unsigned(content)?;
            let n_fields = unsigned(content)?;
            if n_fields > 0 {
                code.pts_delta = signed(content)?;
            }
            if n_fields > 1 {
                code.size_mul = unsigned(content)?;
            }
            if n_fields > 2 {
                unsigned(content)?;
            }
            let size_lsb = if n_fields > 3 { unsigned(content)? } else { 0 };
            code.n_reserved = if n_fields > 4 { unsigned(content)? } else { 0 };
            let count = if n_fields > 5 { unsigned(content)? } else { code.size_mul.saturating_sub(size_lsb) };
            if n_fields > 6 {
                signed(content)?;
            }
            if n_fields > 7 {
                code.header = unsigned(content)?;
            }
            for _ in 8..n_fields {
                unsigned(content)?;
            }
            if count == 0 {
                return Err(damaged("the NUT file has a frame code for nothing"));
            }
            for at in 0..count.min(256) {
                // The code that begins a startcode is left out of the list.
                if self.codes.len() == usize::from(b'N') {
                    self.codes.push(Code { flags: INVALID, ..Code::default() });
                }
                if self.codes.len() < 256 {
                    self.codes.push(Code { size_lsb: size_lsb.saturating_add(at), ..code });
                }
            }
        }
        // The first header is the empty one.
        self.headers = vec![0];
        for _ in 0..unsigned(content)?.min(256) {
            let length = unsigned(content)?;
            let (_, rest) = content.split_at_checked(length as usize).ok_or_else(|| damaged("the head of the NUT file is cut off"))?;
            *content = rest;
            self.headers.push(length as usize);
        }
        Ok(())
    }

    fn stream_head(&mut self, content: &mut &[u8]) -> Result<()> {
        let (_, class) = (unsigned(content)?, unsigned(content)?);
        if class != 0 {
            return Err(damaged("the NUT file has other streams than one of pictures"));
        }
        self.bytes_passed(content)?;
        self.time_base = unsigned(content)? as usize;
        self.pts_bits = u32::try_from(unsigned(content)?).unwrap_or(u32::MAX);
        if self.time_base >= self.time_bases.len() || self.pts_bits > 32 {
            return Err(damaged("the NUT file counts in a time base that it does not have"));
        }
        // Pictures that may be reordered, and flags.
        for _ in 0..3 {
            unsigned(content)?;
        }
        self.bytes_passed(content)?;
        let side = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        self.size = (side(unsigned(content)?), side(unsigned(content)?));
        Ok(())
    }

    fn bytes_passed(&self, content: &mut &[u8]) -> Result<()> {
        let length = unsigned(content)?;
        let (_, rest) = content.split_at_checked(length as usize).ok_or_else(|| damaged("the head of the NUT file is cut off"))?;
        *content = rest;
        Ok(())
    }

    /// The head of a frame; None if it holds no picture.
    fn frame(&mut self, code: u8) -> Result<Option<Head>> {
        let code = *self.codes.get(usize::from(code)).ok_or_else(|| damaged("a frame comes before the head of the NUT file"))?;
        let mut flags = code.flags;
        if flags & INVALID != 0 {
            return Err(damaged("the NUT file has a frame code that it does not know"));
        }
        if flags & CODED_FLAGS != 0 {
            flags ^= unsigned(&mut self.pipe)?;
        }
        if flags & STREAM_ID != 0 {
            unsigned(&mut self.pipe)?;
        }
        let mut pts = self.last_pts.saturating_add(code.pts_delta);
        if flags & CODED_PTS != 0 {
            let coded = i64::try_from(unsigned(&mut self.pipe)?).unwrap_or(i64::MAX);
            let span = 1_i64 << self.pts_bits;
            pts = if coded < span {
                // The low bits of the time nearest to the one before.
                let from = self.last_pts.saturating_sub((span - 1) / 2);
                from.saturating_add(coded.wrapping_sub(from) & (span - 1))
            } else {
                coded - span
            };
        }
        self.last_pts = pts;
        let mut size = code.size_lsb;
        if flags & SIZE_MSB != 0 {
            size = size.saturating_add(code.size_mul.saturating_mul(unsigned(&mut self.pipe)?));
        }
        if flags & MATCH_TIME != 0 {
            signed(&mut self.pipe)?;
        }
        let header = if flags & HEADER_INDEX != 0 { unsigned(&mut self.pipe)? } else { code.header };
        let n_reserved = if flags & RESERVED != 0 { unsigned(&mut self.pipe)? } else { code.n_reserved };
        for _ in 0..n_reserved.min(64) {
            unsigned(&mut self.pipe)?;
        }
        if flags & CHECKSUM != 0 {
            self.skip(4)?;
        }
        let left_off = usize::try_from(header).ok().and_then(|at| self.headers.get(at)).copied().unwrap_or(0);
        if flags & SIDE_DATA != 0 || left_off != 0 {
            // ffmpeg does neither to raw pictures.
            self.skip(size.saturating_sub(left_off as u64))?;
            return Ok(None);
        }
        Ok(Some(Head { pts, size }))
    }
}

/// A number of seven bits a byte, the highest first.
fn unsigned(from: &mut impl Read) -> Result<u64> {
    let mut value = 0_u64;
    for _ in 0..10 {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        value = value << 7 | u64::from(byte[0] & 0x7f);
        if byte[0] & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number of the NUT file does not end"))
}

/// A number whose lowest bit is its sign.
fn signed(from: &mut impl Read) -> Result<i64> {
    let value = unsigned(from)?.saturating_add(1);
    let half = (value >> 1).cast_signed();
    Ok(if value & 1 == 1 { -half } else { half })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[b'N', kind, 0, 0, 0, 0, 0, 0, content.len() as u8 + 4][..], content, &[0; 4]].concat()
    }

    /// A file of two pictures of one pixel: the first with a whole time, the second with a short one.
    fn file() -> Vec<u8> {
        // Version, streams, distance, a time base of 1/1000; codes that each stand for their own number of bytes, flags coded, time and more bytes told;
        // no headers to leave off.
        let main = [3, 1, 1, 1, 1, 0x87, 0x68, 0xa0, 0x28, 6, 0, 1, 0, 0, 0, 0x82, 0x00, 0];
        let stream = [0, 0, 4, b'I', b'4', b'2', b'0', 0, 7, 0, 0, 0, 0, 1, 1, 1, 1, 0];
        let whole = [1, 0, 0x83, 0x2c, 2, 9, 8, 7];
        let short = [2, 0, 0x34, 1, 1, 2, 3];
        [&FILE_ID[..], &packet(MAIN, &main), &packet(STREAM, &stream), &packet(SYNCPOINT, &[0, 0]), &whole, &short].concat()
    }

    #[test]
    fn pictures_come_with_their_times() {
        let bytes = file();
        let mut pictures = Pictures::new(&bytes[..]);
        let mut read = Vec::new();
        while let Some(head) = pictures.next().unwrap() {
            let mut pixels = [0; 3];
            pictures.read(&mut pixels).unwrap();
            read.push((head.pts, head.size, pixels));
        }
        assert_eq!(pictures.stream(), ((1, 1), (1, 1000)));
        assert_eq!(read, [(300, 3, [9, 8, 7]), (308, 3, [1, 2, 3])]);
    }

    #[test]
    fn what_is_cut_or_changed_is_an_error_or_an_end_and_no_panic() {
        let bytes = file();
        let all = |bytes: &[u8]| {
            let mut pictures = Pictures::new(bytes);
            let mut n = 0;
            while let Ok(Some(head)) = pictures.next() {
                n += 1;
                if pictures.skip(head.size).is_err() || n > 100 {
                    break;
                }
            }
        };
        for end in 0..bytes.len() {
            all(&bytes[..end]);
            for value in [0, 0x7f, 0x80, 0xff, b'N'] {
                let mut changed = bytes.clone();
                changed[end] = value;
                all(&changed);
            }
        }
        assert!(Pictures::new(&b"RIFF and more than twenty-five bytes"[..]).next().is_err());
    }
}
