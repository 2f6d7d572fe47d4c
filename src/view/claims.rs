//! The claims on the rows of a view that only grows: how far each of its readers is for whom rows are kept that retention would drop.

use std::collections::BTreeMap;

use crate::frame::source::Claim;

/// So many old rows may wait for a reader before the writer waits for it, too.
const ROOM_ROWS: u64 = 65_536;
/// So many old rows are kept for a reader whom the writer cannot wait for; it errs when one is dropped that it has not read.
const KEPT_ROWS: u64 = 1_048_576;

/// Who has a claim, and on what: the rows from that number on.
#[derive(Debug, Default)]
pub(super) struct Claims {
    next_number: u64,
    by_number: BTreeMap<u64, (Claim, u64)>,
}

impl Claims {
    /// One more reader, from the row of that number on; by the number given it says later how far it is. None if it claims nothing.
    pub(super) fn add(&mut self, claim: Claim, row: u64) -> Option<u64> {
        if claim == Claim::None {
            return None;
        }
        self.next_number += 1;
        self.by_number.insert(self.next_number, (claim, row));
        Some(self.next_number)
    }

    /// A reader has taken the rows before that one.
    pub(super) fn moved(&mut self, number: u64, row: u64) {
        if let Some((_, from)) = self.by_number.get_mut(&number) {
            *from = row;
        }
    }

    /// A reader has gone.
    pub(super) fn remove(&mut self, number: u64) {
        self.by_number.remove(&number);
    }

    /// From which row on all are kept, where those before `old_up_to` are old.
    pub(super) fn kept_from(&self, old_up_to: u64) -> u64 {
        let first = self.by_number.values().map(|(_, row)| *row).min();
        first.map_or(u64::MAX, |row| row.max(old_up_to.saturating_sub(KEPT_ROWS)))
    }

    /// Whether the writer is to wait for a reader, where the rows before `old_up_to` are old.
    pub(super) fn crowded(&self, old_up_to: u64) -> bool {
        let waited_for = self.by_number.values().filter(|(claim, _)| *claim == Claim::RowsAndWriter);
        waited_for.map(|(_, row)| *row).min().is_some_and(|row| old_up_to.saturating_sub(row) > ROOM_ROWS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_decides_what_is_kept_and_the_writer_waits_for_those_who_read_by_themselves() {
        let mut claims = Claims::default();
        assert_eq!((claims.kept_from(900), claims.crowded(900)), (u64::MAX, false));
        assert_eq!(claims.add(Claim::None, 0), None);
        let (one, two) = (claims.add(Claim::Rows, 100).unwrap(), claims.add(Claim::RowsAndWriter, 300).unwrap());
        assert_eq!(claims.kept_from(900), 100);
        claims.moved(one, 500);
        assert_eq!(claims.kept_from(900), 300);
        assert!(!claims.crowded(300 + ROOM_ROWS) && claims.crowded(301 + ROOM_ROWS));
        claims.moved(two, 301 + ROOM_ROWS);
        // For the one that the writer cannot wait for they are kept up to a bound.
        assert!(!claims.crowded(301 + ROOM_ROWS));
        assert_eq!(claims.kept_from(700 + KEPT_ROWS), 700);
        claims.remove(one);
        assert_eq!(claims.kept_from(900), 301 + ROOM_ROWS);
    }
}
