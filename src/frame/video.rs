//! A clip, folder or pattern as a source of rows: the timeline, its loops, and the thread that reads it.

use std::sync::Arc;
use std::thread;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use futures::stream;
use tokio::sync::mpsc;

use super::batch::{self, BatchBuilder, Row};
use super::live::{Ending, Live};
use super::range::Range;
use super::reader::{Media, Reader, Wanted};
use super::source::{Again, EventStream, Request, Source, TimeColumn, until_end};
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::metrics::SourceCounters;
use crate::priority;

/// Batches between the reading thread and its reader: with two of them one is made while the other is used.
const BATCHES_AHEAD: usize = 2;
/// A batch with pixels leaves when it holds so many bytes of them, so that memory does not grow with the frame size.
const BATCH_PIXEL_BYTES: usize = 16 << 20;

/// How CREATE SOURCE said that a medium is played.
#[derive(Clone, Debug)]
pub struct Playing {
    /// By the clock, or as fast as its readers go.
    pub realtime: bool,
    /// Starts again at its end; event time runs on.
    pub looped: bool,
    /// The event time of media time 0, µs.
    pub start_ts_us: i64,
    /// Whether that is when the source was started, so that time goes on when it is started again.
    pub from_now: bool,
    /// A live source that has waited so long is idle, µs.
    pub idle_timeout_us: i64,
    /// What the watermark stays behind the newest row, µs.
    pub watermark_delay_us: i64,
}

/// The limits of its batches and queues, from the engine's settings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of a batch without pixels.
    pub batch_rows: usize,
    /// Rows of a batch with pixels.
    pub batch_frames: usize,
    /// Frames that a reader of a live source may lag.
    pub live_queue_frames: usize,
}

/// A medium on its timeline: what both the live thread and a SELECT play.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The medium.
    pub media: Arc<Media>,
    /// How it is played.
    pub playing: Playing,
    /// What is counted.
    pub counters: Arc<SourceCounters>,
}

/// A video source of the catalogue.
#[derive(Debug)]
pub struct VideoSource {
    id: u64,
    name: Arc<str>,
    schema: SchemaRef,
    timeline: Timeline,
    limits: Limits,
    live: Option<Live>,
}

impl VideoSource {
    /// Makes the source; a live one starts playing. `id` is unique in the engine, as the cache of model results is keyed by it.
    pub fn start(id: u64, name: &str, timeline: Timeline, limits: Limits) -> Result<VideoSource> {
        let name: Arc<str> = name.into();
        let live = if timeline.playing.realtime { Some(Live::start(&name, timeline.clone(), limits.live_queue_frames)?) } else { None };
        Ok(VideoSource { id, schema: batch::schema(timeline.media.info().has_truth), name, timeline, limits, live })
    }

    /// What it counts.
    pub fn counters(&self) -> &Arc<SourceCounters> {
        &self.timeline.counters
    }

    /// The medium it plays.
    pub fn media(&self) -> &Arc<Media> {
        &self.timeline.media
    }

    /// How it is played.
    pub fn playing(&self) -> &Playing {
        &self.timeline.playing
    }

    /// Rows that a live source has played so far; None for one that is read as fast as its readers go.
    pub fn n_played(&self) -> Option<u64> {
        self.live.as_ref().map(Live::n_played)
    }

    /// Ends a live source before its end: its readers are told so.
    pub fn stop(&self) {
        if let Some(live) = &self.live {
            live.drop_source(&self.name);
        }
    }

    fn builder(&self, request: &Request) -> Result<BatchBuilder> {
        let schema = Arc::new(self.schema.project(&request.projection)?);
        Ok(BatchBuilder::new(self.id, Arc::clone(&self.name), schema, &request.projection))
    }

    /// Reads the timeline on a thread of its own, up to `end` rows of it.
    fn replay(&self, request: &Request, end: Option<u64>) -> Result<EventStream> {
        let (wanted, mut range) = (wanted(request), Range::of(&request.filters));
        let (mut skip, mut one_before) = (request.skip_rows, request.one_before);
        if skip > 0 && (!range.keyframes_only || one_before) && range.ts_us == Range::ALL.ts_us {
            // Its rows have numbers without a hole: those in front are not decoded once more. What the first is compared with is known from before.
            let first = range.frame_no.0.saturating_sub(i64::from(one_before)).max(0);
            range.frame_no.0 = first.saturating_add(i64::try_from(skip).unwrap_or(i64::MAX));
            range.keyframes_only = false;
            (skip, one_before) = (0, false);
        }
        let mut playback = Playback::open(self.timeline.clone(), wanted.0, wanted.1, range, one_before)?;
        playback.end = end.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let mut builder = self.builder(request)?;
        let (sender, receiver) = mpsc::channel::<Result<Event>>(BATCHES_AHEAD);
        let counters = Arc::clone(&self.timeline.counters);
        let delay_us = self.timeline.playing.watermark_delay_us;
        let (rows_limit, request) = (request.limit.unwrap_or(usize::MAX), request.clone());
        let limits = self.limits;
        let full = move |builder: &BatchBuilder| {
            let rows = request.batch_rows.unwrap_or(if wanted.0 { limits.batch_frames } else { limits.batch_rows });
            builder.n_rows() >= rows.max(1) || builder.pixel_bytes() >= BATCH_PIXEL_BYTES
        };
        let run = move || {
            priority::lower();
            let mut n_rows = 0;
            // A closed channel is a reader that wants no more.
            let flush = |builder: &mut BatchBuilder| -> bool {
                if builder.n_rows() == 0 {
                    return true;
                }
                counters.rows.add(builder.n_rows() as u64);
                match builder.finish() {
                    Ok((rows, max_ts_us)) => {
                        sender.blocking_send(Ok(Event::Rows(rows))).is_ok()
                            && sender.blocking_send(Ok(Event::Watermark(max_ts_us.saturating_sub(delay_us)))).is_ok()
                    }
                    Err(e) => {
                        // The reader may be gone: then there is nobody to tell.
                        let _ = sender.blocking_send(Err(e));
                        false
                    }
                }
            };
            loop {
                match if n_rows < rows_limit { playback.next() } else { Ok(None) } {
                    Ok(Some(_)) if skip > 0 => skip -= 1,
                    Ok(Some(row)) => {
                        n_rows += 1;
                        builder.push(&row);
                        if full(&builder) && !flush(&mut builder) {
                            return;
                        }
                    }
                    Ok(None) => {
                        if flush(&mut builder) && sender.blocking_send(Ok(Event::Watermark(END_OF_TIME_US))).is_ok() {
                            // The reader may be gone at the very end: nothing is lost by it.
                            let _ = sender.blocking_send(Ok(Event::End));
                        }
                        return;
                    }
                    Err(e) => {
                        if flush(&mut builder) {
                            let _ = sender.blocking_send(Err(e.into()));
                        }
                        return;
                    }
                }
            }
        };
        thread::Builder::new().name(format!("read {}", self.name)).spawn(run).map_err(|e| Error::io("could not start a thread", e))?;
        Ok(until_end(receiver))
    }

    /// Joins a live source at its next frame.
    fn join(&self, live: &Live, request: &Request) -> Result<EventStream> {
        struct Joined {
            receiver: mpsc::Receiver<Row>,
            ending: Ending,
            builder: BatchBuilder,
            ready: std::collections::VecDeque<Event>,
            idle_timeout: std::time::Duration,
            delay_us: i64,
            watermark_us: i64,
            ended: bool,
        }
        let pixels = wanted(request).0;
        let state = Joined {
            receiver: live.subscribe(pixels),
            ending: live.ending(),
            builder: self.builder(request)?,
            ready: Default::default(),
            idle_timeout: std::time::Duration::from_micros(u64::try_from(self.timeline.playing.idle_timeout_us).unwrap_or(u64::MAX)),
            delay_us: self.timeline.playing.watermark_delay_us,
            watermark_us: i64::MIN,
            ended: false,
        };
        let (limits, request, counters) = (self.limits, request.clone(), Arc::clone(&self.timeline.counters));
        Ok(Box::pin(stream::try_unfold(state, move |mut s| {
            let (rows, counters) =
                (request.batch_rows.unwrap_or(if pixels { limits.batch_frames } else { limits.batch_rows }).max(1), Arc::clone(&counters));
            async move {
                loop {
                    if let Some(event) = s.ready.pop_front() {
                        return Ok(Some((event, s)));
                    }
                    if s.ended {
                        return Ok(None);
                    }
                    match tokio::time::timeout(s.idle_timeout, s.receiver.recv()).await {
                        Err(_) => {
                            // Time passes all the same, so that windows of a silent camera close.
                            if s.watermark_us > i64::MIN {
                                s.watermark_us =
                                    s.watermark_us.saturating_add(i64::try_from(s.idle_timeout.as_micros()).unwrap_or(i64::MAX));
                                s.ready.push_back(Event::Watermark(s.watermark_us));
                            }
                            s.ready.push_back(Event::Idle);
                        }
                        Ok(None) => {
                            if let Some(message) = s.ending.interrupted() {
                                return Err(Error::State { message, hint: None }.into());
                            }
                            s.ended = true;
                            s.ready.extend([Event::Watermark(END_OF_TIME_US), Event::End]);
                        }
                        Ok(Some(row)) => {
                            // What is there leaves at once; a frame is never held back for the next.
                            s.builder.push(&row);
                            while s.builder.n_rows() < rows && s.builder.pixel_bytes() < BATCH_PIXEL_BYTES {
                                match s.receiver.try_recv() {
                                    Ok(row) => s.builder.push(&row),
                                    Err(_) => break,
                                }
                            }
                            counters.rows.add(s.builder.n_rows() as u64);
                            let (batch, max_ts_us) = s.builder.finish()?;
                            s.watermark_us = s.watermark_us.max(max_ts_us.saturating_sub(s.delay_us));
                            s.ready.extend([Event::Rows(batch), Event::Watermark(s.watermark_us)]);
                        }
                    }
                }
            }
        })))
    }
}

/// Whether a request asks for pixels and for the truth.
fn wanted(request: &Request) -> (bool, bool) {
    (request.projection.contains(&batch::FRAME), request.projection.contains(&batch::TRUTH))
}

impl Source for VideoSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        vec![TimeColumn { index: batch::TS, lag_us: 0 }]
    }

    fn ended(&self) -> bool {
        self.live.as_ref().is_none_or(Live::stopped)
    }

    fn live(&self) -> bool {
        self.live.is_some()
    }

    fn has_pixels(&self) -> bool {
        true
    }

    fn again(&self) -> Again {
        match (&self.live, self.timeline.playing.from_now) {
            (None, _) => Again::Same,
            (Some(_), true) => Again::Later,
            (Some(_), false) => Again::Anew,
        }
    }

    fn open(&self, request: &Request) -> Result<EventStream> {
        match &self.live {
            None => self.replay(request, None),
            Some(live) if request.continuous => self.join(live, request),
            // A SELECT of a live file reads what has been played.
            Some(live) => self.replay(request, Some(live.n_played())),
        }
    }
}

/// Rows of a timeline in order, loop after loop.
pub struct Playback {
    timeline: Timeline,
    pixels: bool,
    truth: bool,
    range: Range,
    /// Whether the row before the range is given too.
    one_before: bool,
    reader: Option<Reader>,
    loop_no: i64,
    /// Rows at and after this frame number do not belong to it.
    pub end: i64,
}

impl Playback {
    /// Opens the timeline at the first row that `range` lets through, or at the one before; then no row in between is left out.
    pub fn open(timeline: Timeline, pixels: bool, truth: bool, mut range: Range, one_before: bool) -> Result<Playback> {
        if one_before {
            range.frame_no.0 = range.frame_no.0.saturating_sub(1);
            range.keyframes_only = false;
        }
        let mut playback = Playback { timeline, pixels, truth, range, one_before, reader: None, loop_no: 0, end: i64::MAX };
        if let (true, Some((n_rows, _))) = (playback.timeline.playing.looped, playback.one_loop()) {
            playback.loop_no = range.frame_no.0.max(0) / n_rows;
        }
        playback.open_loop()?;
        Ok(playback)
    }

    /// Rows and µs that one pass adds; None if the medium does not end.
    fn one_loop(&self) -> Option<(i64, i64)> {
        let info = self.timeline.media.info();
        let n_rows = i64::try_from(info.n_rows?).ok()?;
        (n_rows > 0).then_some((n_rows, info.duration_us.unwrap_or(0)))
    }

    fn offsets(&self) -> (i64, i64) {
        let (n_rows, duration_us) = self.one_loop().unwrap_or((0, 0));
        (self.loop_no.saturating_mul(n_rows), self.timeline.playing.start_ts_us.saturating_add(self.loop_no.saturating_mul(duration_us)))
    }

    fn open_loop(&mut self) -> crate::error::Result<()> {
        let (first_no, first_ts_us) = self.offsets();
        let bound = |v: i64, first: i64| (v != i64::MIN && v != i64::MAX).then(|| v.saturating_sub(first));
        let mut wanted = Wanted {
            pixels: self.pixels,
            truth: self.truth,
            from_frame_no: bound(self.range.frame_no.0, first_no),
            to_frame_no: bound(self.range.frame_no.1, first_no),
            from_pts_us: bound(self.range.ts_us.0, first_ts_us),
            to_pts_us: bound(self.range.ts_us.1, first_ts_us),
            keyframes_only: self.range.keyframes_only,
        };
        if self.one_before
            && let Some(from_pts_us) = wanted.from_pts_us.take()
        {
            let by_time = self.timeline.media.first_not_before(from_pts_us).saturating_sub(1);
            wanted.from_frame_no = Some(wanted.from_frame_no.unwrap_or(0).max(by_time));
        }
        self.reader = Some(self.timeline.media.read(wanted, Arc::clone(&self.timeline.counters))?);
        Ok(())
    }

    /// The next row; None at the end. Blocks while it decodes.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and an Iterator of Results would go on after an error")]
    pub fn next(&mut self) -> crate::error::Result<Option<Row>> {
        loop {
            let (first_no, first_ts_us) = self.offsets();
            let Some(reader) = &mut self.reader else { return Ok(None) };
            if let Some(shot) = reader.next()? {
                let (frame_no, ts_us) = (first_no.saturating_add(shot.frame_no), first_ts_us.saturating_add(shot.pts_us));
                if frame_no >= self.end {
                    self.reader = None;
                    return Ok(None);
                }
                return Ok(Some(Row { frame_no, ts_us, shot }));
            }
            let Some((n_rows, duration_us)) = self.one_loop().filter(|_| self.timeline.playing.looped) else {
                self.reader = None;
                return Ok(None);
            };
            self.loop_no += 1;
            let (next_no, next_ts_us) = (first_no.saturating_add(n_rows), first_ts_us.saturating_add(duration_us));
            if next_no >= self.end || next_no > self.range.frame_no.1 || next_ts_us > self.range.ts_us.1 {
                self.reader = None;
                return Ok(None);
            }
            self.open_loop()?;
        }
    }
}
