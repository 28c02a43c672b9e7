//! Waiting for an outcome, with a limit: the one place here that reads a clock.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Longest pause between two questions. The first ones are shorter: most answers come at once.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Time since it was made.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "an edge: waits for other processes")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks until there is an answer; `None` when `limit` has passed without one.
pub(crate) fn until<T>(
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let watch = Stopwatch::start();
    let mut pause = Duration::from_millis(1);
    loop {
        // The time is taken first: an answer that was there in time is never called late.
        let late = watch.elapsed() > limit;
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        if late {
            return Ok(None);
        }
        sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
