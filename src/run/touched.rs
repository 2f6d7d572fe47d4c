//! Which groups have changed since they were last given, when they are due, and which have not been touched for so long that they are forgotten.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::END_OF_TIME_US;

/// A group's key, as the bytes of a row.
pub(super) type Key = Arc<[u8]>;

/// When an updating operator gives what has changed, and how long it remembers what has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Changes are given when event time passes a multiple of it, µs; None gives them after every batch of input.
    pub every_us: Option<i64>,
    /// A group that is not touched for longer, in event time, is forgotten, µs; None remembers all.
    pub state_ttl_us: Option<i64>,
}

impl Pace {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let mut text = match self.every_us {
            None => ", emit=changes".to_owned(),
            Some(us) => format!(", emit=every {} ms", us as f64 / 1e3),
        };
        if let Some(us) = self.state_ttl_us {
            text.push_str(&format!(", state_ttl={} ms", us as f64 / 1e3));
        }
        text
    }
}

/// The groups that wait to be given, and the time of each.
pub(super) struct Touched {
    pace: Pace,
    /// By their turn: in the order in which they were touched first.
    waiting: BTreeMap<u64, Key>,
    turns: HashMap<Key, u64>,
    next_turn: u64,
    /// Touched since the last watermark: the next one is their time, so that none is forgotten too early.
    fresh: HashSet<Key>,
    touched_us: HashMap<Key, i64>,
    /// Each remembered group once, by a time at which it may have been touched last.
    oldest: BTreeMap<i64, Vec<Key>>,
    watermark_us: i64,
}

impl Touched {
    pub(super) fn new(pace: Pace) -> Touched {
        Touched {
            pace,
            waiting: BTreeMap::new(),
            turns: HashMap::new(),
            next_turn: 0,
            fresh: HashSet::new(),
            touched_us: HashMap::new(),
            oldest: BTreeMap::new(),
            watermark_us: i64::MIN,
        }
    }

    pub(super) fn touch(&mut self, key: &Key) {
        self.wait(key);
        if self.pace.state_ttl_us.is_some() {
            self.fresh.insert(Arc::clone(key));
        }
    }

    /// The groups to give after a batch of input.
    pub(super) fn after_rows(&mut self) -> Vec<Key> {
        if self.pace.every_us.is_some() { Vec::new() } else { self.all() }
    }

    /// Those of `keys` that wait, which are given before their time: their window closes.
    pub(super) fn closing(&mut self, keys: &[Key]) -> Vec<Key> {
        keys.iter().filter(|key| self.waits_no_more(key)).cloned().collect()
    }

    fn wait(&mut self, key: &Key) {
        if let Entry::Vacant(entry) = self.turns.entry(Arc::clone(key)) {
            entry.insert(self.next_turn);
            self.waiting.insert(self.next_turn, Arc::clone(key));
            self.next_turn += 1;
        }
    }

    /// Whether it waited until now.
    fn waits_no_more(&mut self, key: &Key) -> bool {
        self.turns.remove(key).is_some_and(|turn| self.waiting.remove(&turn).is_some())
    }

    /// Event time goes on: the groups to give.
    pub(super) fn advance(&mut self, us: i64) -> Vec<Key> {
        let due = match self.pace.every_us {
            None => true,
            // The first watermark is no step of time yet, but for an input that has ended.
            Some(every_us) => {
                us == END_OF_TIME_US || self.watermark_us != i64::MIN && us.div_euclid(every_us) > self.watermark_us.div_euclid(every_us)
            }
        };
        self.watermark_us = us;
        for key in self.fresh.drain() {
            if self.touched_us.insert(Arc::clone(&key), us).is_none() {
                self.oldest.entry(us).or_default().push(key);
            }
        }
        if due { self.all() } else { Vec::new() }
    }

    /// The groups that have not been touched for too long; they are remembered no more. At the end of input no time passes.
    pub(super) fn forgotten(&mut self) -> Vec<Key> {
        let Some(ttl_us) = self.pace.state_ttl_us else { return Vec::new() };
        let mut gone = Vec::new();
        if self.watermark_us == END_OF_TIME_US {
            return gone;
        }
        while let Some(entry) = self.oldest.first_entry() {
            if entry.key().saturating_add(ttl_us) >= self.watermark_us {
                break;
            }
            for key in entry.remove() {
                match self.touched_us.get(&key).copied() {
                    None => {}
                    Some(us) if us.saturating_add(ttl_us) >= self.watermark_us => self.oldest.entry(us).or_default().push(key),
                    Some(_) => {
                        self.remove(&key);
                        gone.push(key);
                    }
                }
            }
        }
        gone
    }

    /// A group is gone.
    pub(super) fn remove(&mut self, key: &Key) {
        self.touched_us.remove(key);
        self.fresh.remove(key);
        self.waits_no_more(key);
    }

    /// For a snapshot: whether the group waits, and when it was touched last, µs; None if that is the time of the next watermark, which has not come.
    pub(super) fn kept(&self, key: &Key) -> (bool, Option<i64>) {
        (self.turns.contains_key(key), self.touched_us.get(key).copied().filter(|_| !self.fresh.contains(key)))
    }

    /// Takes up what `kept` told.
    pub(super) fn restore(&mut self, key: &Key, waits: bool, touched_us: Option<i64>) {
        if waits {
            self.wait(key);
        }
        match touched_us {
            Some(us) => {
                self.touched_us.insert(Arc::clone(key), us);
                self.oldest.entry(us).or_default().push(Arc::clone(key));
            }
            None if self.pace.state_ttl_us.is_some() => drop(self.fresh.insert(Arc::clone(key))),
            None => {}
        }
    }

    /// The last watermark, µs.
    pub(super) fn watermark_us(&self) -> i64 {
        self.watermark_us
    }

    pub(super) fn set_watermark_us(&mut self, us: i64) {
        self.watermark_us = us;
    }

    fn all(&mut self) -> Vec<Key> {
        self.turns.clear();
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Arc::from([n].as_slice())
    }

    #[test]
    fn a_group_is_forgotten_when_it_is_not_touched_for_longer_than_its_time_and_not_before() {
        let mut touched = Touched::new(Pace { every_us: None, state_ttl_us: Some(10) });
        touched.touch(&key(1));
        touched.touch(&key(2));
        assert_eq!(touched.advance(100).len(), 2);
        touched.touch(&key(2));
        touched.advance(105);
        touched.advance(110);
        assert!(touched.forgotten().is_empty());
        touched.advance(111);
        assert_eq!(touched.forgotten(), [key(1)]);
        touched.advance(115);
        assert!(touched.forgotten().is_empty());
        touched.advance(116);
        assert_eq!(touched.forgotten(), [key(2)]);
    }

    #[test]
    fn what_is_touched_before_the_first_watermark_is_remembered_over_a_snapshot() {
        let pace = Pace { every_us: None, state_ttl_us: Some(10) };
        let mut before = Touched::new(pace);
        before.touch(&key(1));
        let (waits, touched_us) = before.kept(&key(1));
        let mut after = Touched::new(pace);
        after.restore(&key(1), waits, touched_us);
        assert_eq!(after.advance(100), [key(1)]);
        assert!(after.forgotten().is_empty());
        after.advance(111);
        assert_eq!(after.forgotten(), [key(1)]);
    }

    #[test]
    fn what_waits_is_given_in_the_order_in_which_it_was_touched_first_but_for_what_closes_or_goes() {
        let mut touched = Touched::new(Pace { every_us: Some(10), state_ttl_us: None });
        for n in [5, 3, 9, 3, 1, 7] {
            touched.touch(&key(n));
        }
        assert_eq!(touched.closing(&[key(7), key(2), key(9)]), [key(7), key(9)]);
        assert!(touched.closing(&[key(7)]).is_empty());
        touched.remove(&key(3));
        // It is behind the others from here on.
        touched.touch(&key(9));
        touched.touch(&key(3));
        assert_eq!(touched.advance(END_OF_TIME_US), [key(5), key(1), key(9), key(3)]);
        assert!(touched.advance(END_OF_TIME_US).is_empty());
    }

    #[test]
    fn every_gives_what_waits_when_time_passes_a_multiple_and_at_the_end() {
        let mut touched = Touched::new(Pace { every_us: Some(10), state_ttl_us: None });
        touched.touch(&key(1));
        assert!(touched.after_rows().is_empty() && touched.advance(11).is_empty() && touched.advance(19).is_empty());
        assert_eq!(touched.advance(20), [key(1)]);
        touched.touch(&key(2));
        assert!(touched.advance(29).is_empty());
        assert_eq!(touched.advance(END_OF_TIME_US), [key(2)]);
    }
}
