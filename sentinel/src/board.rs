//! What the evaluator shows and the socket reads: recent alerts and how things stand.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Serialize;
use shared::Alert;
use tokio::sync::watch;

use crate::{engine::counts::Counts, sink::ring::Ring, tail::Rotations};

/// An evaluator that has not moved for this long is not well.
pub const STILL_MAX: Duration = Duration::from_secs(30);

/// What can become of a file: it is read at its path, another one stands there, nothing does, or it
/// cannot be read.
pub const FILE_STATES: [&str; 4] = ["reading", "rotated", "moved", UNREADABLE];

/// The state of a file that cannot be read.
pub const UNREADABLE: &str = "unreadable";

/// How things stand, as `/v1/status` answers.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Status {
    /// sentinel's version.
    pub version: &'static str,
    /// RFC 3339.
    pub started_at: String,
    /// `seq` of the last alert.
    pub seq: u64,
    /// The rules in force.
    pub rules: Rules,
    /// Every file that is tailed.
    pub files: Vec<File>,
    /// Paths that should be read and cannot be, and why.
    pub unreadable: BTreeMap<String, String>,
    /// Groups that wait or cool down, by rule.
    pub groups: BTreeMap<String, usize>,
    /// Gaps that were told since it started.
    pub gaps: u64,
    /// Lines too far behind their source to count in a window.
    pub late_lines: u64,
    /// Lines stamped too far ahead of the clock.
    pub clock_skew_lines: u64,
    /// What keeps evaluation from going on, if anything does: a full disk.
    pub stopped_by: Option<String>,
    /// Size of the journal: turns since the last snapshot, with their alerts.
    pub journal_bytes: u64,
    /// When the last snapshot was written.
    #[serde(skip)]
    pub snapshot_at: Option<Instant>,
    /// What was counted since it started.
    #[serde(skip)]
    pub counts: Counts,
    /// Rotations seen since it started.
    #[serde(skip)]
    pub rotations: Rotations,
    /// Alerts raised since it started.
    #[serde(skip)]
    pub raised: BTreeMap<Raised, u64>,
}

/// By what alerts are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Raised {
    /// The id of the rule.
    pub rule: String,
    /// Its level.
    pub level: &'static str,
    /// Where it stands in its life.
    pub status: &'static str,
}

/// The rules in force.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Rules {
    /// Changes with every byte of the rule files.
    pub digest: String,
    /// How many.
    pub count: usize,
    /// RFC 3339.
    pub loaded_at: String,
    /// Why the files as they are now are not in force.
    pub last_reload_error: Option<String>,
}

/// A tailed file.
#[derive(Debug, Clone, Serialize)]
pub struct File {
    /// Where it is, or was last.
    pub path: String,
    /// Its source.
    pub source: String,
    /// Evaluated up to here.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
    /// Not evaluated yet.
    pub lag_bytes: u64,
    /// How long the oldest of those has been seen to wait.
    pub lag_seconds: f64,
    /// RFC 3339; when a line of it was last evaluated.
    pub last_line_at: Option<String>,
    /// One of [`FILE_STATES`].
    pub state: &'static str,
}

/// The board.
#[derive(Debug)]
pub struct Board {
    // Held for as long as an alert is added or an answer is made: microseconds.
    ring: Mutex<Ring>,
    /// Changes with every alert; true once none will follow.
    over: watch::Sender<bool>,
    status: Mutex<Status>,
    moved: Mutex<Instant>,
    ready: AtomicBool,
}

impl Board {
    /// A board that shows no alerts and is not ready.
    pub fn new(status: Status, now: Instant) -> Self {
        Self {
            ring: Mutex::default(),
            over: watch::Sender::new(false),
            status: Mutex::new(status),
            moved: Mutex::new(now),
            ready: AtomicBool::new(false),
        }
    }

    /// Shows the alerts of before.
    pub fn warm(&self, ring: Ring) {
        *self.ring.lock() = ring;
    }

    /// Shows an alert.
    pub fn alert(&self, alert: Alert, line: &str) {
        let raised = Raised {
            rule: alert.rule.id.clone(),
            level: alert.level.name(),
            status: alert.status.name(),
        };
        *self.status.lock().raised.entry(raised).or_default() += 1;
        self.ring.lock().push(alert, line);
        self.over.send_modify(|_| {});
    }

    /// No alert will follow.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// Changes whenever an alert is shown, and to true when none will follow. Whoever listens is
    /// never waited for.
    pub fn listen(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    /// Asks the ring.
    pub fn ring<T>(&self, ask: impl FnOnce(&Ring) -> T) -> T {
        ask(&self.ring.lock())
    }

    /// Changes the status.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock());
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// The evaluator moves.
    pub fn moves(&self, now: Instant) {
        *self.moved.lock() = now;
    }

    /// The evaluator has moved lately.
    pub fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(*self.moved.lock()) < STILL_MAX
    }

    /// Rules are loaded, state is restored, the directory is watched.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether it is so.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}
