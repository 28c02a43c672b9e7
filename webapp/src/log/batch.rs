//! Records of every request in; many lines in one write out.
//!
//! Waking a writer for each record, as slog-async does, costs half of a small request's time. Here
//! the writer naps for 2 ms while lines gather, then writes them all at once.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use slog::{Drain, OwnedKVList, Record};

use super::{
    file::LogFile,
    json,
    tally::{Loss, Tally},
};
use crate::clock;

/// Bytes that may wait for the writer: some seconds of the worst load.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// How long lines gather.
const NAP: Duration = Duration::from_millis(2);

/// How often all files are looked after, with or without lines.
const ROUND: Duration = Duration::from_secs(1);

/// The drain: writes a line into the queue.
pub(super) struct Batch {
    queue: Arc<Queue>,
    tally: Arc<Tally>,
}

/// The other end of the queue.
pub(super) struct BatchWriter {
    queue: Arc<Queue>,
    thread: JoinHandle<()>,
}

/// Lines on their way.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    asleep: bool,
    reopen: bool,
    ending: bool,
}

impl Batch {
    /// Starts the writer; the first file is the one it writes, all are looked after.
    pub(super) fn start(
        files: Vec<Arc<Mutex<LogFile>>>,
        tally: Arc<Tally>,
    ) -> io::Result<(Self, BatchWriter)> {
        let queue = Arc::new(Queue { state: Mutex::default(), wake: Condvar::new() });
        let theirs = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("log-requests".to_owned())
            .spawn(move || theirs.write_until_the_end(&files))?;
        Ok((Self { queue: Arc::clone(&queue), tally }, BatchWriter { queue, thread }))
    }
}

/// A panic while a record is written leaves at worst a broken line, which its reader still matches.
impl std::panic::RefUnwindSafe for Batch {}
impl std::panic::UnwindSafe for Batch {}

impl Drain for Batch {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        self.queue.push(&self.tally, |lines| json::append(lines, record, values));
        Ok(())
    }
}

impl Queue {
    /// Takes the line that `append` writes. Under the lock: a line of its own would be copied, and
    /// who waits for it would wait for the copy.
    fn push(&self, tally: &Tally, append: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        tally.accept(1);
        let before = state.lines.len();
        append(&mut state.lines);
        if state.ending || state.lines.len() > QUEUE_BYTES_MAX {
            state.lines.truncate(before);
            tally.lose(1, Loss::QueueFull, clock::now());
            return;
        }
        if std::mem::take(&mut state.asleep) {
            self.wake.notify_one();
        }
    }

    pub(super) fn request_reopen(&self) {
        self.state.lock().reopen = true;
        self.wake.notify_one();
    }

    fn write_until_the_end(&self, files: &[Arc<Mutex<LogFile>>]) {
        let mut lines = Vec::new();
        let mut round = clock::now();
        loop {
            let ending = self.wait();
            if !ending {
                thread::sleep(NAP);
            }
            let reopen = {
                let mut state = self.state.lock();
                std::mem::swap(&mut state.lines, &mut lines);
                std::mem::take(&mut state.reopen)
            };
            let now = clock::now();
            for (n, file) in files.iter().enumerate() {
                if reopen {
                    file.lock().reopen(now);
                }
                if n == 0 && !lines.is_empty() {
                    file.lock().append(&lines, now);
                }
                // A rare stream whose disk is slow is looked after next time.
                if now.saturating_duration_since(round) >= ROUND
                    && let Some(mut file) = file.try_lock()
                {
                    file.look_after(now);
                }
            }
            if now.saturating_duration_since(round) >= ROUND {
                round = now;
            }
            lines.clear();
            // One burst must not hold its memory for ever.
            lines.shrink_to(QUEUE_BYTES_MAX / 8);
            if ending {
                if let Some(file) = files.first() {
                    file.lock().finish(clock::now());
                }
                return;
            }
        }
    }

    /// Returns when there are lines, at the next round, or with `true` at the end.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        if state.lines.is_empty() && !state.reopen && !state.ending {
            state.asleep = true;
            self.wake.wait_for(&mut state, ROUND);
            state.asleep = false;
        }
        state.ending
    }
}

impl BatchWriter {
    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Writes what is left.
    pub(super) fn close(self) {
        self.queue.state.lock().ending = true;
        self.queue.wake.notify_one();
        // A panic of the writer has been reported by the hook.
        self.thread.join().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_the_queue_is_counted() {
        let queue = Queue { state: Mutex::default(), wake: Condvar::new() };
        let tally = Tally::default();
        let line = [b'x'; 1 << 20];
        for _ in 0..10 {
            queue.push(&tally, |lines| lines.extend_from_slice(&line));
        }
        assert_eq!((tally.dropped(), tally.waiting()), (2, 8));
        assert_eq!(tally.cause(), Some(Loss::QueueFull));
        assert_eq!(queue.state.lock().lines.len(), QUEUE_BYTES_MAX);
    }
}
