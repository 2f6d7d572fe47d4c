//! The snapshots of one query: who asks for them, what each operator kept at a barrier or at its end, and what the operators start from.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use datafusion::error::Result;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::operator::State;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::EventStream;

/// What each operator of a query kept, by its number in the plan.
pub type Snapshot = BTreeMap<usize, State>;

/// What the operators of one query share to be kept.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// A scan sends a barrier after so many of its rows: a test's.
    pub barrier_after_rows: Option<u64>,
    /// What each operator starts from; empty is the beginning.
    restored: OnceLock<Snapshot>,
    /// The epoch that was asked for last; None where nobody will ask.
    asked: Option<watch::Sender<u64>>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The newest barrier that an operator has passed, and what it kept there.
    passed: BTreeMap<usize, (u64, State)>,
    /// What an operator kept at its end, behind the barrier of that epoch: it passes no other.
    ended: BTreeMap<usize, (u64, State)>,
}

impl Checkpoint {
    /// One that is taken after so many rows of each scan, or not at all.
    pub fn after_rows(barrier_after_rows: Option<u64>, restored: Snapshot) -> Checkpoint {
        Checkpoint { barrier_after_rows, restored: restored.into(), ..Checkpoint::default() }
    }

    /// One that is asked for while the query runs.
    pub fn on_demand() -> Checkpoint {
        Checkpoint { asked: Some(watch::Sender::new(0)), ..Checkpoint::default() }
    }

    /// The query, which has not begun, starts from what was kept.
    pub fn start_from(&self, restored: Snapshot) {
        // It is told once, before the query begins.
        let _ = self.restored.set(restored);
    }

    /// What an operator starts from.
    pub(super) fn restored(&self, number: usize) -> Option<&State> {
        self.restored.get()?.get(&number)
    }

    /// Its next epochs come behind this one, which was kept before the restart.
    pub fn go_on_from(&self, epoch: u64) {
        if let Some(asked) = &self.asked {
            asked.send_replace(epoch);
        }
    }

    /// Asks for the next epoch, and says which it is: every scan that goes on sends its barrier ahead of its next event. 0 where nobody will ask.
    pub fn ask(&self) -> u64 {
        let Some(asked) = &self.asked else { return 0 };
        let mut epoch = 0;
        asked.send_modify(|last| {
            *last += 1;
            epoch = *last;
        });
        epoch
    }

    /// The epoch that was asked for last.
    pub fn asked(&self) -> u64 {
        self.asked.as_ref().map_or(0, |asked| *asked.borrow())
    }

    /// Whether an operator is to say what it has at its end.
    pub(super) fn keeps_ends(&self) -> bool {
        self.asked.is_some()
    }

    /// The events of a scan with the barriers that are asked for. One whose source goes on after a restart asks for one itself before its end: windows that
    /// are closed only because it ends are open there, and go on with it.
    pub(super) fn with_barriers(self: &Arc<Self>, events: EventStream, goes_on: bool) -> EventStream {
        let Some(asked) = &self.asked else { return events };
        // None stands once before such an end, whose watermark comes first.
        let mut goes_on = goes_on;
        let mut ask = move |event: &Result<Event>| {
            let ends = goes_on && matches!(event, Ok(Event::End | Event::Watermark(END_OF_TIME_US)));
            goes_on &= !ends;
            ends.then_some(None)
        };
        let events = events.flat_map(move |event| stream::iter(ask(&event).into_iter().chain([Some(event)])));
        let state = (Box::pin(events), asked.subscribe(), Arc::clone(self));
        Box::pin(stream::unfold(state, |(mut events, mut asked, checkpoint)| async move {
            loop {
                let barrier = async {
                    match asked.changed().await {
                        Ok(()) => *asked.borrow_and_update(),
                        // Nobody asks any more.
                        Err(_) => std::future::pending().await,
                    }
                };
                let event = tokio::select! {
                    biased;
                    epoch = barrier => Some(Ok(Event::Barrier(epoch))),
                    event = events.next() => event?,
                };
                match event {
                    Some(event) => return Some((event, (events, asked, checkpoint))),
                    // Its barrier is what comes next.
                    None => drop(checkpoint.ask()),
                }
            }
        }))
    }

    /// An operator has passed the barrier of an epoch.
    pub(super) fn passed(&self, number: usize, epoch: u64, state: State) {
        self.taken.lock().passed.insert(number, (epoch, state));
    }

    /// An operator has ended behind the barrier of an epoch.
    pub(super) fn ended(&self, number: usize, epoch: u64, state: State) {
        self.taken.lock().ended.insert(number, (epoch, state));
    }

    /// Takes what all operators kept at the barrier of an epoch, or at an end before it; asked once, when the barrier has left the last of them.
    pub fn take(&self, epoch: u64) -> Snapshot {
        let mut taken = self.taken.lock();
        let passed = std::mem::take(&mut taken.passed).into_iter().filter(|(_, (passed, _))| *passed == epoch);
        let passed = passed.map(|(number, (_, state))| (number, state));
        // These are asked for at the next barrier, too.
        let ended = taken.ended.iter().filter(|(_, (passed, _))| *passed < epoch);
        ended.map(|(number, (_, state))| (*number, state.clone())).chain(passed).collect()
    }
}
