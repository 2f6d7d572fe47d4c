//! What a statement may be longer when forms that hold an expression more than once are written out: it is bounded, as such forms stand in each other.

use std::fmt::{self, Display, Write};

use crate::error::{Error, Result};

/// How many characters of a statement's text may be written out once more: a form that holds an expression twice, and stands in another of its kind, would
/// double at each.
const MOST_COPIED: usize = 100_000;

/// What room is left for copies of expressions.
pub(crate) struct Copies {
    left: usize,
}

impl Default for Copies {
    fn default() -> Copies {
        Copies { left: MOST_COPIED }
    }
}

impl Copies {
    /// Takes the room for so many copies. Errs (54001) where there is none.
    pub(crate) fn take(&mut self, n_copies: usize, of: &impl Display) -> Result<()> {
        if n_copies == 0 {
            return Ok(());
        }
        let mut room = Room { left: self.left / n_copies, taken: 0 };
        if write!(room, "{of}").is_err() {
            return Err(Error::Data {
                code: "54001",
                message: "stack depth limit exceeded".into(),
                detail: Some(format!("Written out, the statement would be more than {MOST_COPIED} characters longer.")),
            });
        }
        self.left = self.left.saturating_sub(room.taken.saturating_mul(n_copies));
        Ok(())
    }
}

/// Counts what is written to it, and takes no more than it has room for: what is too large is not read to its end.
struct Room {
    left: usize,
    taken: usize,
}

impl Write for Room {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.taken = self.taken.saturating_add(text.len());
        if self.taken > self.left { Err(fmt::Error) } else { Ok(()) }
    }
}
