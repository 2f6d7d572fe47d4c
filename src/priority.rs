//! Which threads come first: those that answer, before those that decode, infer and go through many rows.

/// How much lower the work goes, in steps of nice(1): at 5, a thread has a third of the processor that one at 0 has where both want it (Linux weights them
/// 335 and 1024), so a server full of questions still keeps up its views, and a question waits for no picture.
#[cfg(target_os = "linux")]
const STEPS: i32 = 5;

/// Lets the calling thread, and the threads and programs that it starts, go behind those that answer. It stays so: without a privilege no thread goes up again.
pub fn lower() {
    // Elsewhere a nice value is the whole process', and would lower both.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpid, getpriority_process, setpriority_process};
        // The first thread of a process has its number, and is never lowered itself. Where the machine forbids it, all threads stay as they are.
        let _ = getpriority_process(Some(getpid())).and_then(|first| setpriority_process(None, first + STEPS));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[test]
    fn only_the_thread_that_asks_goes_down_and_only_once() {
        let own = getpriority_process(None).unwrap();
        let lowered = std::thread::spawn(|| {
            lower();
            // As a thread does that is started by one that works.
            std::thread::spawn(|| {
                lower();
                getpriority_process(None).unwrap()
            })
            .join()
            .unwrap()
        });
        assert_eq!(lowered.join().unwrap(), (own + STEPS).min(19));
        assert_eq!(getpriority_process(None).unwrap(), own);
    }
}
