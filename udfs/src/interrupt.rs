//! Work that nobody waits for any more: who runs functions on a thread may ask it to stop, and functions that take long look whether they are asked.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion_common::{Result, exec_err};

thread_local! {
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// From here on the functions that this thread calls stop soon after the flag is set.
pub fn heed(flag: Arc<AtomicBool>) {
    FLAG.with(|held| *held.borrow_mut() = Some(flag));
}

/// Whether this thread is asked to stop. A loop over the rows of a picture may leave its work half done then: what it makes is thrown away.
pub(crate) fn asked() -> bool {
    FLAG.with(|held| held.borrow().as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}

/// Errs if this thread is asked to stop: nobody reads the error.
pub fn check() -> Result<()> {
    if asked() { exec_err!("nobody waits for the answer") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_asked_by_its_own_flag() {
        let flag = Arc::new(AtomicBool::new(false));
        heed(Arc::clone(&flag));
        assert!(check().is_ok());
        flag.store(true, Ordering::Relaxed);
        assert!(asked() && check().is_err());
        let other = std::thread::spawn(asked);
        assert!(!other.join().unwrap());
        heed(Arc::default());
        assert!(!asked());
    }
}
