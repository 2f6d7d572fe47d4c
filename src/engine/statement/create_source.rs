//! CREATE SOURCE: opens a medium, reads what it is, and, if it is paced by the clock, starts to play it.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;

use super::create_rows;
use crate::clock;
use crate::engine::Engine;
use crate::engine::block::Undo;
use crate::engine::catalog::{Body, Object};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};
use crate::frame::reader::{Media, MediaOptions};
use crate::frame::video::{Limits, Playing, Timeline, VideoSource};
use crate::metrics::SourceCounters;
use crate::plan::parse::{Statement, boolean};
use crate::settings::{DecoderChoice, duration_us};

/// The options, for the hint of one that is not among them.
const OPTIONS: &str = "pace, loop, start_ts, decoder, fps, size, frames, boxes, seed, watermark_delay, idle_timeout";
/// A live source that has waited so long for a frame holds nobody's watermark back.
const IDLE_TIMEOUT_US: i64 = 5_000_000;

/// Makes the source.
pub(super) async fn run(
    session: &Session,
    statement: &Statement,
    name: &str,
    if_not_exists: bool,
    url: &str,
    options: &[(String, String)],
) -> Result<Outcome> {
    let engine = session.engine();
    let _changing = engine.changing.lock().await;
    let done = || Ok(Outcome::Done { tag: "CREATE SOURCE".into() });
    if if_not_exists && engine.catalog.find(name).is_some() {
        session.skips("42P07", format!("relation \"{name}\" already exists, skipping"));
        return done();
    }
    engine.catalog.check_free(name)?;
    session.check_not_held(name)?;
    let body = match create_rows::open(engine, name, url, options).await? {
        Some(rows) => Body::Rows(Arc::new(rows), url.to_owned()),
        None => Body::Source(Arc::new(video(engine, name, url, options).await?), url.to_owned()),
    };
    let object = Object { name: name.to_owned(), body, definition: statement.text.clone(), reads: Vec::new() };
    session.keep(vec![Change::Add(name.to_owned(), statement.text.clone())])?;
    engine.catalog.add(object.clone())?;
    engine.missing.forget(name);
    session.did(Undo::Made(object));
    done()
}

/// A camera, clip, folder or pattern.
async fn video(engine: &Engine, name: &str, url: &str, options: &[(String, String)]) -> Result<VideoSource> {
    let mut options = Options::read(options)?;
    options.media.default_decoder = engine.settings.decoder;
    options.media.ffmpeg = Some(engine.settings.ffmpeg.clone());
    let (at, media_options, fence) = (url.to_owned(), options.media.clone(), engine.settings.files.clone());
    let media = open(at, media_options, fence).await?;
    let playing = options.playing(&media)?;
    let counters = Arc::new(SourceCounters::default());
    counters.samples_missing.add(media.info().samples_missing);
    let settings = &engine.settings;
    let limits =
        Limits { batch_rows: settings.batch_rows, batch_frames: settings.batch_frames, live_queue_frames: settings.live_queue_frames };
    let timeline = Timeline { media: Arc::new(media), playing, counters };
    Ok(VideoSource::start(engine.next_source_id(), name, timeline, limits)?)
}

/// Opens the medium on a thread that may wait for a disk.
async fn open(url: String, options: MediaOptions, fence: Vec<PathBuf>) -> Result<Media> {
    let opened = tokio::task::spawn_blocking(move || Media::open(&url, &options, &fence)).await;
    opened.map_err(|e| Error::Internal(e.to_string()))?
}

/// The WITH list.
#[derive(Default)]
struct Options {
    realtime: Option<bool>,
    looped: bool,
    start_ts_us: Option<i64>,
    watermark_delay_us: i64,
    idle_timeout_us: Option<i64>,
    media: MediaOptions,
}

impl Options {
    fn read(list: &[(String, String)]) -> Result<Options> {
        let mut options = Options::default();
        for (key, value) in list {
            let expected = |what: &str| Error::Option { message: format!("option \"{key}\" is {what}, not \"{value}\""), hint: None };
            let duration = || duration_us(value, 1_000_000).ok_or_else(|| expected("a time such as '500 ms'"));
            let number = || value.parse::<u64>().map_err(|_| expected("a whole number"));
            match key.as_str() {
                "pace" => {
                    options.realtime = Some(match value.to_lowercase().as_str() {
                        "realtime" => true,
                        "max" => false,
                        _ => return Err(expected("'max' or 'realtime'")),
                    })
                }
                "loop" => options.looped = boolean(key, value)?,
                "start_ts" => {
                    let ns = string_to_timestamp_nanos(value).map_err(|_| expected("a time such as '2026-05-01 12:00:00+00'"))?;
                    options.start_ts_us = Some(ns.div_euclid(1_000));
                }
                "watermark_delay" => options.watermark_delay_us = duration()?,
                "idle_timeout" => {
                    options.idle_timeout_us = Some(duration()?).filter(|us| *us > 0).ok_or_else(|| expected("above 0")).map(Some)?
                }
                "decoder" => {
                    options.media.decoder = Some(DecoderChoice::parse(value).ok_or_else(|| expected("'auto', 'builtin' or 'ffmpeg'"))?)
                }
                "fps" => options.media.fps = Some(value.parse().map_err(|_| expected("a number"))?),
                "size" => {
                    let size = value.split_once('x').and_then(|(w, h)| Some((w.trim().parse().ok()?, h.trim().parse().ok()?)));
                    options.media.size = Some(size.ok_or_else(|| expected("a width and a height such as '640x360'"))?);
                }
                "frames" => options.media.frames = Some(number()?),
                "boxes" => options.media.boxes = Some(u32::try_from(number()?).map_err(|_| expected("a small number"))?),
                "seed" => options.media.seed = Some(number()?),
                _ => {
                    return Err(Error::Option {
                        message: format!("option \"{key}\" of a source does not exist"),
                        hint: Some(format!("The options are {OPTIONS}.")),
                    });
                }
            }
        }
        Ok(options)
    }

    fn playing(&self, media: &Media) -> Result<Playing> {
        let endless = self.looped || media.info().n_rows.is_none();
        // A camera, synthetic or not, runs by the clock unless the query says otherwise.
        let realtime = self.realtime.unwrap_or(media.info().n_rows.is_none());
        if endless && !realtime {
            return Err(Error::Option {
                message: "a source that does not end cannot have pace = 'max'".into(),
                hint: Some("Use pace = 'realtime', or give it an end: leave loop out, and give pattern: a number of frames.".into()),
            });
        }
        if self.looped && media.info().n_rows == Some(0) {
            return Err(Error::Option { message: "a source without frames cannot loop".into(), hint: None });
        }
        Ok(Playing {
            realtime,
            looped: self.looped,
            from_now: realtime && self.start_ts_us.is_none(),
            start_ts_us: self.start_ts_us.unwrap_or(if realtime { clock::now_us() } else { 0 }),
            idle_timeout_us: self.idle_timeout_us.unwrap_or(IDLE_TIMEOUT_US),
            watermark_delay_us: self.watermark_delay_us,
        })
    }
}
