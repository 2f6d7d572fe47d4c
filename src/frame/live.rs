//! A source paced by the clock: one thread plays it for all its readers, and decodes only while one of them needs pixels.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use datafusion::error::Result;
use parking_lot::{Condvar, Mutex};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::batch::Row;
use super::range::Range;
use super::reader::Shot;
use super::video::{Playback, Timeline};
use crate::clock::Stopwatch;
use crate::error::Error;
use crate::priority;

/// The handle of the playing thread; dropping it ends the thread.
#[derive(Debug)]
pub struct Live {
    shared: Arc<Shared>,
    queue_frames: usize,
}

#[derive(Debug)]
struct Shared {
    readers: Mutex<Vec<Joined>>,
    n_played: AtomicU64,
    /// Why it ended before its end.
    interrupted: Mutex<Option<String>>,
    stopped: AtomicBool,
    wake: Condvar,
    sleeping: Mutex<()>,
}

/// What a reader asks when no more rows come.
#[derive(Clone, Debug)]
pub struct Ending(Arc<Shared>);

impl Ending {
    /// Why the source ended before its end; None if it was played whole.
    pub fn interrupted(&self) -> Option<String> {
        self.0.interrupted.lock().clone()
    }
}

#[derive(Debug)]
struct Joined {
    sender: mpsc::Sender<Row>,
    pixels: bool,
}

impl Live {
    /// Starts to play `timeline` at the clock's pace.
    pub fn start(name: &str, timeline: Timeline, queue_frames: usize) -> Result<Live> {
        let shared = Arc::new(Shared {
            readers: Mutex::default(),
            n_played: AtomicU64::new(0),
            interrupted: Mutex::default(),
            stopped: AtomicBool::new(false),
            wake: Condvar::new(),
            sleeping: Mutex::new(()),
        });
        let (name, theirs) = (name.to_owned(), Arc::clone(&shared));
        let playback = Playback::open(timeline.clone(), false, true, Range::ALL, false)?;
        let run = move || {
            priority::lower();
            // A decoder is foreign code over foreign bytes: should it panic, nobody must wait for ever for what comes next.
            let played = catch_unwind(AssertUnwindSafe(|| play(&theirs, playback, &timeline)));
            if let Err(error) = played.unwrap_or_else(|_| Err(Error::Internal("the thread that plays it has panicked".into()).into())) {
                warn!(source = name, %error, "live source stopped");
                *theirs.interrupted.lock() = Some(format!("source \"{name}\" has stopped: {}", Error::from(error)));
            }
            // Whatever ended the playing, the readers see the end of their input.
            theirs.stopped.store(true, Ordering::Release);
            theirs.readers.lock().clear();
            info!(source = name, "live source ended");
        };
        thread::Builder::new().name("live".into()).spawn(run).map_err(|e| Error::io("could not start a thread", e))?;
        Ok(Live { shared, queue_frames })
    }

    /// A reader that joins at the next frame; it ends when the source does.
    pub fn subscribe(&self, pixels: bool) -> mpsc::Receiver<Row> {
        let (sender, receiver) = mpsc::channel(self.queue_frames.max(1));
        let mut readers = self.shared.readers.lock();
        // Looked at under the lock, so that a reader is never added after the ending thread cleared the list.
        if !self.shared.stopped.load(Ordering::Acquire) {
            readers.push(Joined { sender, pixels });
        }
        receiver
    }

    /// Rows played so far, over all loops.
    pub fn n_played(&self) -> u64 {
        self.shared.n_played.load(Ordering::Acquire)
    }

    /// Whether the playing has ended.
    pub fn stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }

    /// How it ends, for a reader.
    pub fn ending(&self) -> Ending {
        Ending(Arc::clone(&self.shared))
    }

    /// Ends the playing because the source is dropped: its readers are told.
    pub fn drop_source(&self, name: &str) {
        self.shared.interrupted.lock().get_or_insert_with(|| format!("source \"{name}\" was dropped"));
        self.stop();
    }

    /// Ends the playing.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        let _sleeping = self.shared.sleeping.lock();
        self.shared.wake.notify_all();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop();
    }
}

fn play(shared: &Shared, mut playback: Playback, timeline: &Timeline) -> Result<()> {
    let watch = Stopwatch::start();
    let mut decoding = false;
    loop {
        let needed = shared.readers.lock().iter().any(|r| r.pixels);
        if needed != decoding {
            // The reader seeks to the keyframe before, decodes up to this frame and gives it.
            let from = i64::try_from(shared.n_played.load(Ordering::Acquire)).unwrap_or(i64::MAX);
            let range = Range { frame_no: (from, i64::MAX), ..Range::ALL };
            playback = Playback::open(timeline.clone(), needed, true, range, false)?;
            decoding = needed;
        }
        let Some(row) = playback.next()? else { return Ok(()) };
        let due = Duration::from_micros(u64::try_from(row.ts_us - timeline.playing.start_ts_us).unwrap_or(0));
        if !wait(shared, &watch, due) {
            return Ok(());
        }
        give(shared, timeline, row, decoding);
    }
}

/// Waits until `due`; false if the source was stopped.
fn wait(shared: &Shared, watch: &Stopwatch, due: Duration) -> bool {
    let mut sleeping = shared.sleeping.lock();
    loop {
        if shared.stopped.load(Ordering::Acquire) {
            return false;
        }
        let left = due.saturating_sub(watch.elapsed());
        if left.is_zero() {
            return true;
        }
        shared.wake.wait_for(&mut sleeping, left);
    }
}

fn give(shared: &Shared, timeline: &Timeline, row: Row, decoded: bool) {
    let mut readers = shared.readers.lock();
    shared.n_played.fetch_add(1, Ordering::AcqRel);
    readers.retain(|reader| {
        if reader.pixels && !decoded {
            // It has joined while this frame was on its way without pixels: the next frame is its first.
            return true;
        }
        let shot = Shot { picture: if reader.pixels { row.shot.picture.clone() } else { None }, truth: row.shot.truth.clone(), ..row.shot };
        match reader.sender.try_send(Row { frame_no: row.frame_no, ts_us: row.ts_us, shot }) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                // A reader slower than the camera leaves holes, it does not stop the others.
                timeline.counters.frames_shed.add(1);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    });
}
