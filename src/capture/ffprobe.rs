//! What ffprobe says of a file that ffmpeg must read or decode: the stream, and the packets of a container that framesql does not read.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use framesql_udfs::frame::{ColorMatrix, ColorRange};
use framesql_udfs::orientation::Orientation;

use super::ffmpeg::{Ffmpeg, file_argument, missing, start};
use super::{Codec, Demuxed, Sample, Track, damaged, no_video};
use crate::error::{Error, Result};

/// The pictures of a stream as the decoder will give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// ffmpeg's word for the codec, but "h265" for "hevc".
    pub codec: String,
    /// Width in pixels, before rotation.
    pub width: u32,
    /// Height in pixels, before rotation.
    pub height: u32,
    /// The range of luma.
    pub range: ColorRange,
    /// The matrix of chroma.
    pub matrix: ColorMatrix,
    /// Seconds in a unit of its times, as a fraction.
    time_base: (i128, i128),
}

impl Stream {
    /// µs of a time in units of the stream.
    fn us(&self, units: i64) -> i64 {
        time_us(i128::from(units), self.time_base)
    }
}

/// µs of a time in units of so many seconds; halves upwards.
pub fn time_us(units: i128, (numerator, denominator): (i128, i128)) -> i64 {
    let denominator = denominator.max(1);
    i64::try_from((units * 1_000_000 * numerator + denominator / 2).div_euclid(denominator)).unwrap_or(i64::MAX)
}

/// More packets than this are refused: a week at 25 frames a second.
const MOST_PACKETS: usize = 1 << 24;
/// A longer line is no packet.
const MOST_LINE_BYTES: u64 = 4 << 10;

/// Describes the first video stream of a file; `demuxer` is ffmpeg's word for the container. Errs if there is none, or ffprobe cannot read it.
pub fn stream(ffmpeg: &Ffmpeg, path: &Path, demuxer: &str) -> Result<Stream> {
    let entries = "stream=codec_name,width,height,pix_fmt,color_range,color_space,time_base";
    let mut fields = Vec::new();
    run(ffmpeg, path, demuxer, entries, |name, value| {
        fields.push((name.to_owned(), value.to_owned()));
        true
    })?;
    // A transport stream is told twice, in its programme and alone; the last is as good as the first.
    let field = |name: &str| fields.iter().rfind(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let number = |name: &str| field(name).and_then(|v| v.parse::<u32>().ok()).unwrap_or(0);
    let Some(codec) = field("codec_name") else { return Err(no_video(path)) };
    let (width, height) = (number("width"), number("height"));
    if width == 0 || height == 0 {
        return Err(damaged(path, "it does not say how large its pictures are"));
    }
    let pixels = field("pix_fmt").unwrap_or_default();
    // What is no YUV is made so by ffmpeg, in its own way.
    let converted = ["rgb", "bgr", "gbr", "pal", "argb", "abgr", "gray", "mono", "0rgb", "0bgr"].iter().any(|p| pixels.starts_with(p));
    let full = !converted && (pixels.starts_with("yuvj") || matches!(field("color_range"), Some("pc" | "jpeg")));
    let matrix = match field("color_space").unwrap_or_default() {
        _ if converted => ColorMatrix::Bt601,
        "bt709" => ColorMatrix::Bt709,
        "bt470bg" | "smpte170m" | "smpte240m" | "fcc" => ColorMatrix::Bt601,
        "bt2020nc" | "bt2020c" => ColorMatrix::Bt2020,
        // Not said: as players guess, by the height.
        _ if height >= 720 => ColorMatrix::Bt709,
        _ => ColorMatrix::Bt601,
    };
    let fraction = field("time_base").and_then(|t| t.split_once('/'));
    let time_base = fraction.and_then(|(n, d)| Some((n.parse().ok()?, d.parse().ok()?))).filter(|(n, d)| *n > 0 && *d > 0);
    let range = if full { ColorRange::Full } else { ColorRange::Limited };
    let codec = if codec == "hevc" { "h265" } else { codec }.to_owned();
    Ok(Stream { codec, width, height, range, matrix, time_base: time_base.unwrap_or((1, 1_000)) })
}

/// The table of a container that framesql does not read: ffprobe lists its packets and decodes none. Errs as `stream`, and if pictures have no times.
pub fn open(ffmpeg: &Ffmpeg, path: &Path, demuxer: &'static str) -> Result<Track> {
    let stream = stream(ffmpeg, path, demuxer)?;
    let mut packets = Vec::<Packet>::new();
    let mut too_many = false;
    run(ffmpeg, path, demuxer, "packet=pts,duration,size,flags", |name, value| {
        let number = value.parse::<i64>().ok();
        match (name, packets.last_mut()) {
            // The first field of a packet: the order is ffprobe's, not the one asked for.
            ("pts", _) => packets.push(Packet { pts: number, ..Packet::default() }),
            ("duration", Some(p)) => p.duration = number.filter(|d| *d > 0),
            ("size", Some(p)) => p.size = number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            ("flags", Some(p)) => p.keyframe = value.starts_with('K'),
            _ => {}
        }
        too_many = packets.len() > MOST_PACKETS;
        !too_many
    })?;
    if too_many {
        return Err(damaged(path, "it lists more pictures than a week of video has"));
    }
    // An empty packet says that the picture before is shown on.
    packets.retain(|p| p.size > 0);
    if packets.is_empty() {
        return Err(no_video(path));
    }
    if packets.iter().any(|p| p.pts.is_none()) {
        return Err(damaged(path, "some of its pictures have no time"));
    }
    let end_us = end_us(&stream, &packets);
    let sample = |p: &Packet| Sample { offset: 0, size: p.size, pts_us: stream.us(p.pts.unwrap_or(0)), keyframe: p.keyframe, shown: true };
    let samples: Vec<Sample> = packets.iter().map(sample).collect();
    let start_us = samples.iter().map(|s| s.pts_us).min().unwrap_or(0);
    let (width, height) = (stream.width, stream.height);
    let track = Track {
        container: demuxer,
        codec: Codec::Demuxed(Demuxed { stream, start_us }),
        width,
        height,
        orientation: Orientation::default(),
        samples,
        n_missing: 0,
        duration_us: end_us,
        prefix: Vec::new(),
    };
    Ok(track.starting_at_zero())
}

#[derive(Debug, Default)]
struct Packet {
    pts: Option<i64>,
    duration: Option<i64>,
    size: u64,
    keyframe: bool,
}

/// When the picture that is shown last ends: by its own duration, or the time from the one before to it.
fn end_us(stream: &Stream, packets: &[Packet]) -> i64 {
    let mut times: Vec<(i64, Option<i64>)> = packets.iter().filter_map(|p| Some((p.pts?, p.duration))).collect();
    times.sort_unstable();
    let Some((last, duration)) = times.pop() else { return 0 };
    let step = || times.last().and_then(|(before, _)| last.checked_sub(*before)).filter(|step| *step > 0);
    match duration.or_else(step) {
        Some(units) => stream.us(last.saturating_add(units)),
        None => stream.us(last).saturating_add(40_000),
    }
}

/// Runs ffprobe and hands every `name=value` that it prints to `each`, until that wants no more.
fn run(ffmpeg: &Ffmpeg, path: &Path, demuxer: &str, entries: &str, mut each: impl FnMut(&str, &str) -> bool) -> Result<()> {
    let mut command = ffmpeg.probe();
    command.args(["-protocol_whitelist", "file", "-fflags", "+genpts", "-f", demuxer, "-select_streams", "v:0", "-show_entries", entries]);
    command.args(["-of", "default=noprint_wrappers=1", "-i"]).arg(file_argument(path));
    let program = Path::new(command.get_program()).to_owned();
    let mut child = start(&mut command, Stdio::null()).map_err(|e| missing(&program, &e))?;
    let failed = |e| Error::io(format!("could not read what {} says", program.display()), e);
    let errors = child.stderr.take();
    std::thread::scope(|scope| {
        // Both pipes are emptied at once: a program whose errors nobody reads would wait for ever.
        let errors = scope.spawn(move || errors.map(said).unwrap_or_default());
        let mut wants_more = true;
        let read = child.stdout.take().map_or(Ok(()), |out| {
            let mut out = BufReader::new(out);
            let mut line = Vec::new();
            loop {
                line.clear();
                if (&mut out).take(MOST_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
                    return Ok(());
                }
                let text = String::from_utf8_lossy(&line);
                if let Some((name, value)) = text.trim_end().split_once('=')
                    && !each(name, value)
                {
                    wants_more = false;
                    return Ok(());
                }
            }
        });
        if read.is_err() || !wants_more {
            // It has ended or is not needed any more.
            let _ = child.kill();
        }
        let status = child.wait().map_err(failed)?;
        let said = errors.join().unwrap_or_default().last;
        read.map_err(failed)?;
        if wants_more && !status.success() {
            let said = if said.is_empty() { status.to_string() } else { said };
            return Err(damaged(path, &format!("ffprobe says: {said}")));
        }
        Ok(())
    })
}

/// What a program writes to tell of errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The last line that is not empty, at most a few hundred characters.
    pub last: String,
    /// Whether it says that its input has ended and held no picture that it could decode.
    pub nothing_decoded: bool,
}

/// Reads all of it and keeps little.
pub fn said(text: impl Read) -> Said {
    const MOST_CHARACTERS: usize = 300;
    let mut text = BufReader::new(text);
    let (mut said, mut line) = (Said::default(), Vec::new());
    loop {
        line.clear();
        match (&mut text).take(MOST_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(1..) => {
                let this = String::from_utf8_lossy(&line);
                let this = this.trim();
                if !this.is_empty() {
                    said.last = this.chars().filter(|c| !c.is_control()).take(MOST_CHARACTERS).collect();
                }
                said.nothing_decoded |= this.starts_with("Cannot determine format of input") && this.ends_with("after EOF");
            }
            _ => return said,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_the_nearest_microsecond() {
        assert_eq!((time_us(1, (1, 90_000)), time_us(90_001, (1, 90_000)), time_us(-3, (1, 25))), (11, 1_000_011, -120_000));
    }

    #[test]
    fn what_a_program_says_last_is_kept_in_one_line() {
        let last = |text: &[u8]| said(text).last;
        assert_eq!(last(b"first\n\nsecond\x1b[0m  \n\n"), "second[0m");
        assert_eq!((last(b""), last(&vec![b'x'; 20_000]).len()), (String::new(), 300));
        assert!(said(&b"Cannot determine format of input stream 0:0 after EOF\nError marking filters as finished\n"[..]).nothing_decoded);
    }
}
