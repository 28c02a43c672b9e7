//! How the evaluator is called: something changed, or it is time to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{self, Receiver, SyncSender},
};
use std::time::Duration;

/// Calls the evaluator.
#[derive(Debug, Clone)]
pub struct Bell {
    wake: SyncSender<()>,
    // Not a message: a queue full of wake-ups must not swallow it.
    stop: Arc<AtomicBool>,
}

/// The evaluator's end of a [`Bell`].
#[derive(Debug)]
pub struct Calls {
    woken: Receiver<()>,
    stop: Arc<AtomicBool>,
}

/// A bell and the calls it makes.
pub fn bell() -> (Bell, Calls) {
    let (wake, woken) = mpsc::sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    (Bell { wake, stop: Arc::clone(&stop) }, Calls { woken, stop })
}

impl Bell {
    /// Something may have changed: look now.
    pub fn wake(&self) {
        // A call that waits to be heard is enough.
        self.wake.try_send(()).ok();
    }

    /// Read to the end and stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }
}

impl Calls {
    /// It was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Waits for a call, at most that long. Whether somebody called or time went by: what there is
    /// to do shows by looking.
    pub fn wait(&self, most: Duration) {
        self.woken.recv_timeout(most).ok();
    }
}
