//! An ffmpeg child process as a decoder: coded pictures or a file go in, I420 pictures with their times come out of a pipe.

pub mod matroska;
mod nut;

use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread::{self, JoinHandle};

use datafusion::arrow::buffer::Buffer;
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use framesql_udfs::orientation::Orientation;

use self::nut::Pictures;
use crate::capture::ffmpeg::{Ffmpeg, file_argument, missing, start};
use crate::capture::ffprobe::{Said, said, time_us};
use crate::error::{Error, Result};
use crate::metrics::SourceCounters;

/// What the child is given.
#[derive(Clone, Debug)]
pub enum Input {
    /// Samples, written to it one after another.
    Samples(matroska::Track),
    /// A file that it opens itself; ffmpeg's word for the container.
    File(&'static str),
}

/// How its pictures are to be understood; I420 does not say it.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The range of luma.
    pub range: ColorRange,
    /// The matrix of chroma.
    pub matrix: ColorMatrix,
    /// How the pictures are held for display.
    pub orientation: Orientation,
}

/// A coded picture on its way to the child: its bytes are in the buffer that was given.
#[derive(Clone, Copy, Debug)]
pub struct Coded {
    /// Its time in milliseconds: the decoded picture comes back with it.
    pub at_ms: u64,
    /// Whether decoding can start here.
    pub keyframe: bool,
}

/// Gives the coded pictures in decoding order, one a call, into the buffer; None after the last.
pub type Feed = Box<dyn FnMut(&mut Vec<u8>) -> Result<Option<Coded>> + Send>;

/// One picture that came out.
#[derive(Debug)]
pub struct Decoded {
    /// Its time, µs.
    pub time_us: i64,
    /// The picture; None if it has another size than the stream began with, which the pipe does not tell.
    pub picture: Option<Picture>,
}

/// A picture of more pixels than this is not taken: 8K has half of it.
const MOST_PIXELS: u64 = 1 << 26;

/// A running child. Dropping it ends the process, and waits until it is gone.
#[derive(Debug)]
pub struct FfmpegDecoder {
    child: Child,
    program: PathBuf,
    path: PathBuf,
    look: Look,
    pictures: Pictures<BufReader<ChildStdout>>,
    feeding: Option<JoinHandle<Result<()>>>,
    saying: Option<JoinHandle<Said>>,
    said: Said,
    n_pictures: u64,
    ended: bool,
}

impl FfmpegDecoder {
    /// Starts the child. `path` is the file that it opens, or that the samples come from; `feed` is for samples only. Errs if the program has gone.
    pub fn start(ffmpeg: &Ffmpeg, input: &Input, path: &Path, look: Look, feed: Feed) -> Result<FfmpegDecoder> {
        let mut command = ffmpeg.decode();
        let program = PathBuf::from(command.get_program());
        // One thread: sources run side by side. Damage is concealed and shown, as the built-in decoder does.
        command.args(["-threads", "1", "-noautorotate", "-flags", "+output_corrupt", "-max_error_rate", "1"]);
        match input {
            // The head says all that is needed, so nothing is decoded twice to find it out; `strict` is what makes H.264 wait for all that may be reordered.
            Input::Samples(_) => command.args(["-strict", "strict", "-analyzeduration", "0", "-probesize", "32"]),
            Input::File(_) => command.args(["-fflags", "+genpts"]),
        };
        match input {
            Input::Samples(_) => command.args(["-protocol_whitelist", "pipe", "-f", "matroska", "-i", "pipe:0"]),
            Input::File(demuxer) => command.args(["-protocol_whitelist", "file", "-f", demuxer, "-i"]).arg(file_argument(path)),
        };
        command.args(["-map", "0:v:0", "-copyts", "-enc_time_base", if matches!(input, Input::Samples(_)) { "1:1000" } else { "-1" }]);
        command.args(ffmpeg.passthrough());
        command.args(["-vf", "format=yuv420p|yuvj420p", "-c:v", "rawvideo", "-f", "nut", "pipe:1"]);
        let stdin = if matches!(input, Input::Samples(_)) { Stdio::piped() } else { Stdio::null() };
        let mut child = start(&mut command, stdin).map_err(|e| missing(&program, &e))?;
        let (Some(out), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::Internal("a pipe to ffmpeg is missing".into()));
        };
        let spawned = |e| Error::io("could not start a thread", e);
        let saying = thread::Builder::new().name("ffmpeg says".into()).spawn(move || said(errors)).map_err(spawned)?;
        let feeding = match (input, child.stdin.take()) {
            (Input::Samples(track), Some(pipe)) => {
                let track = track.clone();
                Some(thread::Builder::new().name("feed ffmpeg".into()).spawn(move || write(pipe, &track, feed)).map_err(spawned)?)
            }
            _ => None,
        };
        let pictures = Pictures::new(BufReader::with_capacity(1 << 10, out));
        let path = path.to_owned();
        let (saying, said) = (Some(saying), Said::default());
        Ok(FfmpegDecoder { child, program, path, look, pictures, feeding, saying, said, n_pictures: 0, ended: false })
    }

    /// The next picture in the order that they are shown; None after the last. Errs if the child died, naming it and what it said last.
    pub fn next(&mut self, counters: &SourceCounters) -> Result<Option<Decoded>> {
        if self.ended {
            return Ok(None);
        }
        match self.read(counters) {
            Ok(Some(decoded)) => {
                self.n_pictures += 1;
                Ok(Some(decoded))
            }
            Ok(None) => self.end(None).map(|()| None),
            Err(e) => self.end(Some(e)).map(|()| None),
        }
    }

    fn read(&mut self, counters: &SourceCounters) -> std::io::Result<Option<Decoded>> {
        let Some(head) = self.pictures.next()? else { return Ok(None) };
        let ((width, height), (numerator, denominator)) = self.pictures.stream();
        let time_us = time_us(i128::from(head.pts), (i128::from(numerator), i128::from(denominator)));
        let n_luma = u64::from(width) * u64::from(height);
        let n_chroma = u64::from(width.div_ceil(2)) * u64::from(height.div_ceil(2));
        if n_luma == 0 || n_luma > MOST_PIXELS || head.size != n_luma + 2 * n_chroma {
            self.pictures.skip(head.size)?;
            return Ok(Some(Decoded { time_us, picture: None }));
        }
        let mut plane = |length: u64| -> std::io::Result<Option<Buffer>> {
            let mut bytes = vec![0; length as usize];
            self.pictures.read(&mut bytes)?;
            Ok(Some(Buffer::from_vec(bytes)))
        };
        let planes = [plane(n_luma)?, plane(n_chroma)?, plane(n_chroma)?];
        counters.frames_decoded.add(1);
        let Look { range, matrix, orientation } = self.look;
        let picture = Picture { format: PixelFormat::I420, width, height, range, matrix, rotation: 0, planes };
        Ok(Some(Decoded { time_us, picture: Some(orientation.held(picture)) }))
    }

    /// Waits for the child at the end of its pictures: an end that it did not say, or said with an error, is an error.
    fn end(&mut self, broken: Option<std::io::Error>) -> Result<()> {
        self.ended = true;
        if broken.as_ref().is_some_and(|e| e.kind() != ErrorKind::UnexpectedEof) {
            // It goes on writing what nobody understands.
            let _ = self.child.kill();
        }
        let status = self.child.wait().map_err(|e| Error::io(format!("could not wait for {}", self.program.display()), e))?;
        let fed = self.feeding.take().map_or(Ok(()), |thread| {
            thread.join().unwrap_or_else(|_| Err(Error::Internal("the thread that feeds ffmpeg has stopped".into())))
        });
        self.said = self.saying.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let how = match broken {
            Some(e) if e.kind() == ErrorKind::InvalidData => e.to_string(),
            // Some versions call it an error that nothing could be decoded: here every row of it is a NULL.
            None if self.n_pictures == 0 && self.said.nothing_decoded && status.code().is_some() => return fed,
            _ if !status.success() => status.to_string(),
            Some(_) => "it ended within a picture".to_owned(),
            None => return fed,
        };
        fed?;
        let said = if self.said.last.is_empty() { String::new() } else { format!(": {}", self.said.last) };
        Err(Error::Media {
            code: "58030",
            message: format!("{} failed to decode \"{}\" ({how}){said}", self.program.display(), self.path.display()),
            hint: None,
        })
    }

    /// What the child said last, once it has ended; empty before.
    pub fn said(&self) -> &str {
        &self.said.last
    }
}

impl Drop for FfmpegDecoder {
    fn drop(&mut self) {
        // A child that has ended is gone already: killing it again is nothing, waiting for it again gives the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(feeding) = self.feeding.take() {
            let _ = feeding.join();
        }
        if let Some(saying) = self.saying.take() {
            let _ = saying.join();
        }
    }
}

/// Writes all samples. A child that wants no more of them is no error here: how it ended says why.
fn write(mut pipe: ChildStdin, track: &matroska::Track, mut feed: Feed) -> Result<()> {
    let gone = |e: std::io::Error| match e.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Error::io("could not write to ffmpeg", e)),
    };
    if let Err(e) = matroska::write_head(&mut pipe, track) {
        return gone(e);
    }
    let (mut coded, mut head) = (Vec::new(), Vec::new());
    while let Some(Coded { at_ms, keyframe }) = feed(&mut coded)? {
        if let Err(e) = matroska::write_picture(&mut pipe, at_ms, keyframe, &coded, &mut head) {
            return gone(e);
        }
    }
    Ok(())
}
