//! The evaluator: looks, reads, evaluates, journals, appends, shows, in turns, until it is told to
//! stop. What the clocks show is handed to it.

pub mod clock;
mod deliver;
mod lag;
mod reload;
mod show;
mod snapshot;
pub mod stalled;

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{Alert, alert::Observer};

use crate::{
    alert,
    bell::Calls,
    board::Board,
    checkpoint::{
        disk::Disk,
        journal::Journal,
        recover::{self, Places},
    },
    engine::Engine,
    failure::{Failure, say},
    notice::Notice,
    regular,
    rule::load::Loaded,
    settings::Settings,
    sink::alerts_log::AlertsLog,
    tail::{From, Tail, search},
    turn::{Input, Turn},
};
use clock::Clock;
use deliver::{Held, SinceFrame};
use lag::Waiting;
use stalled::Stalled;

/// Between two attempts to write to a disk that is full.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How long a stop may take to read what is there.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Everything the evaluator owns.
#[derive(Debug)]
pub struct Daemon {
    settings: Settings,
    board: Arc<Board>,
    engine: Engine,
    tail: Tail,
    disk: Disk,
    journal: Journal,
    alerts_log: AlertsLog,
    since_frame: SinceFrame,
    /// Inputs of turns since the snapshot.
    inputs: usize,
    held: Option<Held>,
    notices: Vec<Notice>,
    /// The rule files as they were last read, or why they could not be.
    rules_seen: Result<Vec<(String, String)>, String>,
    rules_changing: Option<Result<Vec<(String, String)>, String>>,
    rules_looked: Instant,
    snapshot_at: Instant,
    snapshot_due: bool,
    changed: bool,
    /// When what keeps the evaluator from going on is tried again.
    retry_at: Option<Instant>,
    shown_at: Option<Instant>,
    /// By the numbers of files.
    waiting: BTreeMap<u32, Waiting>,
    stalled: Stalled,
}

impl Daemon {
    /// Recovers what was, and writes it down before the first byte is read.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn start(
        settings: Settings,
        rules: Loaded,
        observer: Observer,
        board: Arc<Board>,
        clock: Clock,
    ) -> Result<Self, Failure> {
        let now = clock.now;
        let places = Places {
            log_dir: &settings.log_dir,
            alerts: &settings.alerts,
            state_dir: &settings.state_dir,
        };
        let set = Arc::new(rules.set);
        let mut recovered = recover::recover(&places, set, observer, settings.from, now)
            .map_err(|error| Failure::at("recover the state in", &settings.state_dir, &error))?;
        for remark in &recovered.remarks {
            say(remark);
        }
        if let Ok((file, metadata)) = regular::open(&settings.alerts)
            && metadata.len() > 0
            && !search::holds_alerts(&mut file.into()).unwrap_or(true)
        {
            return Err(Failure::Io(format!(
                "{} holds something else than alerts: name another file with --alerts \
                 (SENTINEL_ALERTS)",
                settings.alerts.display()
            )));
        }
        board.warm(recovered.ring);
        let alerts_log = AlertsLog::open(&settings.alerts)
            .map_err(|error| Failure::at("append to", &settings.alerts, &error))?;
        // Looked at before the snapshot: where files begin, and what has to be told, is kept with it.
        let mut look = recovered.tail.look(&mut recovered.engine, recovered.from, now);
        recovered.notices.append(&mut look.notices);
        let no_state = |error: io::Error| Failure::at("keep state in", &settings.state_dir, &error);
        let disk = Disk::start(&settings.state_dir).map_err(no_state)?;
        let journal = Journal::begin(&settings.state_dir, recovered.generation, settings.sync)
            .map_err(no_state)?;
        let mut daemon = Self {
            settings,
            board,
            engine: recovered.engine,
            tail: recovered.tail,
            disk,
            journal,
            alerts_log,
            since_frame: SinceFrame::default(),
            inputs: 0,
            held: None,
            notices: recovered.notices,
            rules_seen: Ok(rules.files),
            rules_changing: None,
            rules_looked: now,
            snapshot_at: now,
            snapshot_due: false,
            changed: false,
            retry_at: None,
            shown_at: None,
            waiting: BTreeMap::new(),
            stalled: Stalled::default(),
        };
        daemon
            .snapshot(now)
            .map_err(|error| Failure::at("keep state in", &daemon.settings.state_dir, &error))?;
        daemon.rules_loaded(clock.wall);
        Ok(daemon)
    }

    /// Works until it is told to stop, and leaves a snapshot.
    ///
    /// # Errors
    /// No last snapshot was written: the next start repeats the journal instead.
    pub fn run(mut self, calls: &Calls, once: bool) -> io::Result<()> {
        let mut stop_by = None;
        loop {
            let clock = Clock::read();
            if stop_by.is_none() && calls.is_stopped() {
                stop_by = Some(clock.now + DRAIN_MAX);
            }
            let worked = self.round(clock);
            let at_end = !worked && self.is_at_end();
            if stop_by.is_some_and(|by| at_end || clock.now >= by) || (once && at_end) {
                break;
            }
            let wait = match (worked, self.retry_at.is_some()) {
                (_, true) => RETRY_EVERY,
                (true, _) => Duration::ZERO,
                (false, _) => self.settings.poll_interval,
            };
            calls.wait(wait);
        }
        self.stop(Clock::read())
    }

    /// Leaves a snapshot.
    ///
    /// # Errors
    /// It was not written: the next start repeats the journal instead.
    pub fn stop(mut self, clock: Clock) -> io::Result<()> {
        if self.held.is_some() {
            // A snapshot would hold alerts that nobody has seen as raised. The one before and the
            // journal hold them as still to come.
            return Err(io::Error::other("alerts wait for space on the disk"));
        }
        self.snapshot(clock.now)
    }

    /// Every file is read to its end and every alert has arrived.
    pub fn is_at_end(&self) -> bool {
        self.held.is_none() && self.tail.is_at_end()
    }

    /// One round. True if there may be more to do at once.
    pub fn round(&mut self, clock: Clock) -> bool {
        self.board.moves(clock.now);
        let worked = self.pass(clock);
        self.show(clock.now, worked);
        self.board.set_ready();
        worked
    }

    fn pass(&mut self, clock: Clock) -> bool {
        let now = clock.now;
        // Also while the disk is full: what is rotated meanwhile must be held open.
        let mut look = self.tail.look(&mut self.engine, From::Start, now);
        self.snapshot_due |= look.changed;
        self.changed |= !(look.fresh.is_empty() && look.left.is_empty());
        self.since_frame.looked(&mut look);
        self.notices.append(&mut look.notices);
        self.look_after(now);
        if self.retry_at.is_some_and(|at| now < at) || !self.deliver(now) {
            return false;
        }
        self.reload(clock);
        if !self.keep(now) {
            return false;
        }
        let notices = std::mem::take(&mut self.notices);
        self.turn(notices, clock)
    }

    fn turn(&mut self, notices: Vec<Notice>, clock: Clock) -> bool {
        let mut alerts = Vec::new();
        let mut emit = |alert: Alert| {
            let line = alert::line(&alert);
            alerts.push((alert, line));
        };
        let mut turn = Turn { now: clock.wall, inputs: Vec::new() };
        for notice in notices {
            self.engine.notice(&notice, turn.now, &mut emit);
            turn.inputs.push(Input::Notice(notice));
        }
        turn.inputs.extend(self.tail.evaluate(&mut self.engine, turn.now, &mut emit));
        for input in &turn.inputs {
            if let Input::Lines { file, from, to } = input {
                self.engine.took(*file, to - from);
            }
        }
        if turn.inputs.is_empty() {
            return false;
        }
        self.changed = true;
        self.inputs += turn.inputs.len();
        self.since_frame.turns.push(turn);
        if alerts.is_empty() {
            return true;
        }
        let frame = self.frame(alerts.iter().map(|(_, line)| line.as_str()).collect());
        self.held = Some(Held { frame, alerts, journalled: false });
        self.deliver(clock.now)
    }
}
