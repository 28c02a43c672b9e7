//! Bytes of answers that their clients do not take in; whether there is room for them out.
//!
//! An answer waits in memory until its client has taken it. Each connection may have one, so without a
//! bound on all of them together many clients that ask and do not read would fill the memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Bytes that wait for clients in all.
pub const UNSENT_BYTES_MAX: usize = 64 << 20;

/// An answer that always has room: all connections may have one so small. A larger one is the last of
/// its connection, whose buffer would stay as large as it.
pub const SMALL_BYTES_MAX: usize = 64 << 10;

/// What all connections hold.
#[derive(Debug, Default)]
pub struct Unsent {
    bytes: AtomicUsize,
    shed: AtomicU64,
}

impl Unsent {
    /// Connections that were closed because there was no room for their answer.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}

/// What one connection holds of it.
#[derive(Debug)]
pub(crate) struct Share {
    all: Arc<Unsent>,
    bytes: usize,
}

impl Share {
    pub(crate) fn new(all: Arc<Unsent>) -> Self {
        Self { all, bytes: 0 }
    }

    /// So many bytes wait; whether there is room for them.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        // Memory is not given back before all of it was taken.
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        let held = self.all.bytes.fetch_add(more, Ordering::Relaxed) + more;
        let has_room = more == 0 || self.bytes <= SMALL_BYTES_MAX || held <= UNSENT_BYTES_MAX;
        if !has_room {
            self.all.shed.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// The client has taken all.
    pub(crate) fn release(&mut self) {
        if self.bytes > 0 {
            self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            self.bytes = 0;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_over_the_bound_has_no_room_and_leaves_no_trace() {
        let all = Arc::new(Unsent::default());
        let mut first = Share::new(Arc::clone(&all));
        let mut second = Share::new(Arc::clone(&all));
        assert!(first.hold(UNSENT_BYTES_MAX));
        assert!(first.hold(1) && first.hold(UNSENT_BYTES_MAX));
        assert!(second.hold(SMALL_BYTES_MAX));
        assert!(!second.hold(SMALL_BYTES_MAX + 1));
        drop(second);
        first.release();
        assert_eq!((all.bytes.load(Ordering::Relaxed), all.shed()), (0, 1));
        let mut third = Share::new(Arc::clone(&all));
        assert!(third.hold(UNSENT_BYTES_MAX));
    }
}
