//! A medium and its rows: what a URL names, opened, and its pictures one after another in display order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use framesql_udfs::detection::Detection;
use framesql_udfs::frame::Picture;
use tracing::warn;

use super::decoder::{Chosen, Pipe, choose, demuxed, refuse_choice};
use super::order::{Video, VideoDecoder};
use super::piped::PipedDecoder;
use crate::capture::Track;
use crate::capture::container::{self, Contents};
use crate::capture::identity::Identity;
use crate::capture::location::{Location, locate};
use crate::capture::pattern::Pattern;
use crate::capture::pictures::Pictures;
use crate::decode::picture;
use crate::error::{Error, Result};
use crate::metrics::SourceCounters;
use crate::settings::DecoderChoice;

/// What CREATE SOURCE says of a medium; each option belongs to some kinds of media only.
#[derive(Clone, Debug, Default)]
pub struct MediaOptions {
    /// Frames a second of pictures, raw Motion JPEG or a pattern.
    pub fps: Option<f64>,
    /// Width and height of a pattern.
    pub size: Option<(u32, u32)>,
    /// Frames of a pattern; without it is endless.
    pub frames: Option<u64>,
    /// Moving boxes of a pattern.
    pub boxes: Option<u32>,
    /// What the pattern's numbers are made from.
    pub seed: Option<u64>,
    /// The decoder of a video.
    pub decoder: Option<DecoderChoice>,
    /// The decoder of a video that names none.
    pub default_decoder: DecoderChoice,
    /// The ffmpeg program; None is the one on PATH.
    pub ffmpeg: Option<PathBuf>,
}

impl MediaOptions {
    /// The decoder to use.
    pub(super) fn decoder(&self) -> DecoderChoice {
        self.decoder.unwrap_or(self.default_decoder)
    }
}

/// What is known of a medium before it is read.
#[derive(Clone, Debug)]
pub struct MediaInfo {
    /// The codec: "h264", "mjpeg", "gif", "pattern", ffmpeg's word where it decodes, "vp9", or the format of the first picture, "jpeg", "png".
    pub codec: String,
    /// The container: "mp4", "mkv", "mjpeg", "gif", "pictures", "pattern", or ffmpeg's word where it reads, "avi", "mpegts".
    pub container: &'static str,
    /// Width as displayed; of the first picture where they differ.
    pub width: u32,
    /// Height as displayed.
    pub height: u32,
    /// How many rows it has; None is endless.
    pub n_rows: Option<u64>,
    /// What one pass of it adds to the event time, µs; None is endless.
    pub duration_us: Option<i64>,
    /// Whether it knows where its objects are.
    pub has_truth: bool,
    /// Samples that the container names and whose bytes are not in the file.
    pub samples_missing: u64,
}

/// A medium, opened: its table is read, its pictures are not.
#[derive(Debug)]
pub struct Media {
    info: MediaInfo,
    kind: Kind,
    /// Whether it was logged that a picture cannot be decoded.
    warned: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    Video { video: Arc<Video>, file: Identity, pipe: Option<Pipe>, builtin: bool },
    Pictures(Pictures),
    Pattern(Pattern),
}

/// What a reader asks for; bounds are inclusive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Whether pictures are decoded.
    pub pixels: bool,
    /// Whether the truth is given.
    pub truth: bool,
    /// The first frame number.
    pub from_frame_no: Option<i64>,
    /// The last frame number.
    pub to_frame_no: Option<i64>,
    /// The earliest time.
    pub from_pts_us: Option<i64>,
    /// The latest time.
    pub to_pts_us: Option<i64>,
    /// Whether other frames than keyframes may be left out.
    pub keyframes_only: bool,
}

/// One picture of a medium, in display order.
#[derive(Debug)]
pub struct Shot {
    /// Its number in the medium, from 0, counted over all its pictures.
    pub frame_no: i64,
    /// When it is shown, µs after the first.
    pub pts_us: i64,
    /// Width as displayed.
    pub width: u32,
    /// Height as displayed.
    pub height: u32,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// Frames lost before it.
    pub missed: i32,
    /// The picture; None where it was not asked for or cannot be decoded.
    pub picture: Option<Picture>,
    /// Where the objects are; None where nobody knows.
    pub truth: Option<Vec<Detection>>,
}

impl Media {
    /// Opens what `url` names, inside the fence. Errs if it is missing, no video or picture, or coded in a way that is not decoded.
    pub fn open(url: &str, options: &MediaOptions, fence: &[PathBuf]) -> Result<Media> {
        let location = locate(url, fence)?;
        let pattern_option = [
            ("size", options.size.is_some()),
            ("frames", options.frames.is_some()),
            ("boxes", options.boxes.is_some()),
            ("seed", options.seed.is_some()),
        ];
        if let (false, Some((name, _))) = (location == Location::Pattern, pattern_option.iter().find(|(_, given)| *given)) {
            return Err(Error::Option { message: format!("option \"{name}\" is only for pattern:"), hint: None });
        }
        match location {
            Location::Pattern => {
                refuse_choice(options)?;
                let (size, fps) = (options.size.unwrap_or((640, 360)), options.fps.unwrap_or(25.0));
                let pattern = Pattern::new(size, fps, options.frames, options.boxes.unwrap_or(3), options.seed.unwrap_or(0))?;
                Ok(Media::of_pattern(pattern))
            }
            Location::Pictures(files) => {
                refuse_choice(options)?;
                Ok(Media::of_pictures(Pictures::new(url, files, options.fps)?))
            }
            Location::File(path) => match container::open(&path, options.fps)? {
                Contents::Track(track) => Media::of_track(&path, track, options),
                Contents::Foreign { kind, demuxer } => Media::of_track(&path, demuxed(&path, kind, demuxer, options)?, options),
                Contents::Picture => {
                    refuse_choice(options)?;
                    // A folder may hold a broken picture; a source of one that is broken has nothing to show.
                    picture::size(&path).map_err(|reason| broken(&path, &reason))?;
                    Ok(Media::of_pictures(Pictures::new(url, vec![path], options.fps)?))
                }
            },
        }
    }

    fn new(info: MediaInfo, kind: Kind) -> Media {
        Media { info, kind, warned: AtomicBool::new(false) }
    }

    fn of_pattern(pattern: Pattern) -> Media {
        let info = MediaInfo {
            codec: "pattern".to_owned(),
            container: "pattern",
            width: pattern.width,
            height: pattern.height,
            n_rows: pattern.n_frames,
            duration_us: pattern.n_frames.map(|n| pattern.pts_us(n)),
            has_truth: true,
            samples_missing: 0,
        };
        Media::new(info, Kind::Pattern(pattern))
    }

    fn of_pictures(pictures: Pictures) -> Media {
        let first = pictures.file(0);
        let (width, height) = first.and_then(|path| picture::size(path).ok()).unwrap_or((0, 0));
        let n = pictures.len() as u64;
        let info = MediaInfo {
            codec: first.map_or("picture", |path| picture::format(path)).to_owned(),
            container: "pictures",
            width,
            height,
            n_rows: Some(n),
            duration_us: Some(pictures.pts_us(n)),
            has_truth: false,
            samples_missing: 0,
        };
        Media::new(info, Kind::Pictures(pictures))
    }

    fn of_track(path: &Path, mut track: Track, options: &MediaOptions) -> Result<Media> {
        let file = Identity::of(path)?;
        let Chosen { codec, pipe, builtin } = choose(path, &mut track, options)?;
        let turned = track.orientation.rotation % 180 == 90;
        let (width, height) = if turned { (track.height, track.width) } else { (track.width, track.height) };
        let (container, duration_us, samples_missing) = (track.container, Some(track.duration_us), track.n_missing);
        if samples_missing > 0 {
            warn!(file = %path.display(), samples_missing, "the file is cut off: pictures whose bytes are not in it make no row");
        }
        let video = Video::new(path, track);
        let info = MediaInfo {
            codec,
            container,
            width,
            height,
            n_rows: Some(video.n_rows() as u64),
            duration_us,
            has_truth: false,
            samples_missing,
        };
        Ok(Media::new(info, Kind::Video { video: Arc::new(video), file, pipe, builtin }))
    }

    /// What is known of it.
    pub fn info(&self) -> &MediaInfo {
        &self.info
    }

    /// Starts reading. Errs if the file has gone, or is another one.
    pub fn read(self: &Arc<Self>, wanted: Wanted, counters: Arc<SourceCounters>) -> Result<Reader> {
        if let Kind::Video { file, .. } = &self.kind {
            file.check()?;
        }
        let decoder = match &self.kind {
            // A child decodes all that it is given: for keyframes alone the built-in decoder is the faster one.
            Kind::Video { video, pipe: Some(_), builtin, .. } if wanted.pixels && !(wanted.keyframes_only && *builtin) => {
                Some(Decoding::Piped(Box::new(PipedDecoder::new(video, &counters))))
            }
            Kind::Video { video, .. } if wanted.pixels => Some(Decoding::Builtin(VideoDecoder::open(video)?)),
            _ => None,
        };
        Ok(Reader { media: Arc::clone(self), next_row: wanted.from_frame_no.unwrap_or(0).max(0), wanted, counters, decoder })
    }

    /// The number of the first row that is not shown before that time; rows ascend in time.
    pub(super) fn first_not_before(&self, pts_us: i64) -> i64 {
        let before = |frame_no: i64| self.bare(frame_no).is_some_and(|shot| shot.pts_us < pts_us);
        let (mut low, mut high) = (0, 1);
        while high < i64::MAX / 2 && before(high) {
            (low, high) = (high, high * 2);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if before(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Logs the first picture of the medium that cannot be decoded; the others are only counted.
    fn warn_once(&self, path: &Path, frame_no: i64, reason: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            warn!(file = %path.display(), frame_no, reason, "a picture cannot be decoded; more of them are only counted");
        }
    }

    /// A row without its picture; None after the last.
    fn bare(&self, frame_no: i64) -> Option<Shot> {
        let at = u64::try_from(frame_no).ok()?;
        if self.info.n_rows.is_some_and(|n| at >= n) {
            return None;
        }
        let (pts_us, keyframe) = match &self.kind {
            Kind::Pattern(pattern) => (pattern.pts_us(at), true),
            Kind::Pictures(pictures) => (pictures.pts_us(at), true),
            Kind::Video { video, .. } => video.sample(usize::try_from(at).ok()?).map(|s| (s.pts_us, s.keyframe))?,
        };
        Some(Shot { frame_no, pts_us, width: self.info.width, height: self.info.height, keyframe, missed: 0, picture: None, truth: None })
    }
}

fn broken(path: &Path, reason: &str) -> Error {
    Error::Media { code: "22023", message: format!("picture \"{}\" cannot be read: {reason}", path.display()), hint: None }
}

/// What gives the pictures of a video.
#[derive(Debug)]
enum Decoding {
    Builtin(VideoDecoder),
    Piped(Box<PipedDecoder>),
}

/// Gives the rows of a medium, in display order.
#[derive(Debug)]
pub struct Reader {
    media: Arc<Media>,
    wanted: Wanted,
    counters: Arc<SourceCounters>,
    next_row: i64,
    decoder: Option<Decoding>,
}

impl Reader {
    /// The next row that was asked for; None at the end.
    #[expect(clippy::should_implement_trait, reason = "an error is not an item: what follows it is not read")]
    pub fn next(&mut self) -> Result<Option<Shot>> {
        loop {
            let frame_no = self.next_row;
            self.next_row += 1;
            let Some(mut shot) = self.media.bare(frame_no) else { return Ok(None) };
            let w = &self.wanted;
            if w.to_frame_no.is_some_and(|to| frame_no > to) || w.to_pts_us.is_some_and(|to| shot.pts_us > to) {
                return Ok(None);
            }
            if w.from_pts_us.is_some_and(|from| shot.pts_us < from) || w.keyframes_only && !shot.keyframe {
                continue;
            }
            self.look(&mut shot)?;
            return Ok(Some(shot));
        }
    }

    /// Fills in what was asked for.
    fn look(&mut self, shot: &mut Shot) -> Result<()> {
        let (media, w, counters) = (&self.media, &self.wanted, &self.counters);
        let at = usize::try_from(shot.frame_no).unwrap_or(0);
        match &media.kind {
            Kind::Pattern(pattern) => {
                counters.frames_demuxed.add(1);
                if w.truth {
                    shot.truth = Some(pattern.truth(at as u64));
                }
                if w.pixels {
                    counters.frames_decoded.add(1);
                    shot.picture = Some(pattern.picture(at as u64));
                }
            }
            Kind::Pictures(pictures) => {
                let Some(path) = pictures.file(at) else { return Ok(()) };
                counters.frames_demuxed.add(1);
                // Without the pixels the size comes from the header, which a broken picture may still have.
                let size = if w.pixels {
                    match picture::read(path) {
                        Ok(picture) => {
                            counters.frames_decoded.add(1);
                            shot.picture.insert(picture).displayed()
                        }
                        Err(reason) => {
                            counters.frames_failed.add(1);
                            media.warn_once(path, shot.frame_no, &reason);
                            picture::size(path).unwrap_or((0, 0))
                        }
                    }
                } else {
                    picture::size(path).unwrap_or((0, 0))
                };
                (shot.width, shot.height) = size;
            }
            Kind::Video { video, pipe, .. } => {
                if let Some(decoder) = &mut self.decoder {
                    let failed = |reason: &str| media.warn_once(&video.path, shot.frame_no, reason);
                    shot.picture = match (decoder, pipe) {
                        (Decoding::Piped(child), Some(pipe)) => child.picture(pipe, at, &failed)?,
                        (Decoding::Builtin(decoder), _) => decoder.picture(video, at, counters, &failed)?,
                        (Decoding::Piped(_), None) => None,
                    };
                    match &shot.picture {
                        // The stream may change its size on the way.
                        Some(picture) => (shot.width, shot.height) = picture.displayed(),
                        None => counters.frames_failed.add(1),
                    }
                }
            }
        }
        Ok(())
    }
}
