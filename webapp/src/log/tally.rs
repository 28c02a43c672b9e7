//! What became of one log's records: counted by whoever accepts, writes or loses them. Told the time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use parking_lot::Mutex;

/// Counts of one log.
#[derive(Debug, Default)]
pub struct Tally {
    accepted: AtomicU64,
    written: AtomicU64,
    /// One lock, so that a count and its beginning are told together; losing is rare.
    losses: Mutex<Losses>,
}

#[derive(Debug, Default)]
struct Losses {
    dropped: u64,
    untold: u64,
    /// When the first of `untold` was lost.
    since: Option<Instant>,
    cause: Option<Loss>,
}

/// Why records were lost last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// They came faster than they could be written.
    QueueFull,
    /// They could not be written.
    Write(String),
}

/// Records that were lost since this was told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// So many.
    pub dropped: u64,
    /// All that were lost, these included.
    pub dropped_total: u64,
    /// When the first of them was lost.
    pub since: Instant,
    /// The last error.
    pub cause: Option<Loss>,
}

impl Tally {
    /// Records that waited or wait to be written.
    pub fn accept(&self, records: u64) {
        self.accepted.fetch_add(records, Ordering::Relaxed);
    }

    /// Records that stand in the file.
    pub fn write(&self, records: u64) {
        self.written.fetch_add(records, Ordering::Relaxed);
    }

    /// Records that are lost, `accepted` or not.
    pub fn lose(&self, records: u64, cause: Loss, now: Instant) {
        let mut losses = self.losses.lock();
        losses.dropped += records;
        losses.untold += records;
        losses.since.get_or_insert(now);
        losses.cause = Some(cause);
    }

    /// An error that has lost nothing yet.
    pub fn fail(&self, cause: String) {
        self.losses.lock().cause = Some(Loss::Write(cause));
    }

    /// Nobody writes any more: what waits is lost.
    pub fn give_up(&self, now: Instant) {
        let waiting = self.waiting();
        if waiting > 0 {
            self.lose(waiting, self.cause().unwrap_or(Loss::QueueFull), now);
        }
    }

    /// Hands over what was lost since the last call, if anything was.
    pub fn tell(&self) -> Option<Untold> {
        let mut losses = self.losses.lock();
        let since = losses.since.take()?;
        Some(Untold {
            dropped: std::mem::take(&mut losses.untold),
            dropped_total: losses.dropped,
            since,
            cause: losses.cause.clone(),
        })
    }

    /// Records that stand in the file.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records that are lost.
    pub fn dropped(&self) -> u64 {
        self.losses.lock().dropped
    }

    /// Records that neither stand in the file nor are lost.
    pub fn waiting(&self) -> u64 {
        let settled = self.written() + self.dropped();
        self.accepted.load(Ordering::Relaxed).saturating_sub(settled)
    }

    /// The last error.
    pub fn cause(&self) -> Option<Loss> {
        self.losses.lock().cause.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn a_loss_is_told_once_with_when_it_began() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let untold = |dropped, dropped_total, seconds, cause| {
            Some(Untold { dropped, dropped_total, since: at(seconds), cause: Some(cause) })
        };
        let broken = || Loss::Write("no room".to_owned());
        let tally = Tally::default();
        tally.fail("no room".to_owned());
        assert_eq!(tally.tell(), None);
        tally.lose(2, broken(), at(3));
        tally.lose(1, Loss::QueueFull, at(4));
        assert_eq!(tally.tell(), untold(3, 3, 3, Loss::QueueFull));
        assert_eq!(tally.tell(), None);
        tally.lose(1, broken(), at(9));
        assert_eq!(tally.tell(), untold(1, 4, 9, broken()));
    }

    #[test]
    fn what_waits_at_the_end_is_lost_for_the_last_reason() {
        let tally = Tally::default();
        let now = clock::now();
        tally.accept(5);
        tally.write(2);
        tally.lose(1, Loss::QueueFull, now);
        tally.fail("no room".to_owned());
        tally.give_up(now);
        tally.give_up(now);
        let cause = Loss::Write("no room".to_owned());
        assert_eq!((tally.waiting(), tally.dropped(), tally.cause()), (0, 3, Some(cause)));
    }
}
