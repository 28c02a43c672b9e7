//! The evaluator: looks, reads, evaluates, journals, appends, shows, in turns, until it is told to
//! stop. The only place of the detector that reads a clock.

use std::{
    collections::BTreeSet,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{Alert, alert::Observer};

use crate::{
    alert,
    bell::Calls,
    board::{self, Board},
    checkpoint::{
        journal::{Frame, Journal},
        recover::{self, Places},
        snapshot::Snapshot,
    },
    engine::Engine,
    failure::{Failure, say},
    notice::Notice,
    regular,
    rule::{
        RuleSet, Severity,
        load::{self, Loaded},
    },
    settings::Settings,
    sink::{alerts_log::AlertsLog, ring::Ring},
    tail::{From, Tail, follow::AtPath, identity::FileRecord, search},
    time::Timestamp,
    turn::{Input, Turn},
};

/// Between two looks at the rule files.
const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// Between two snapshots, if anything happened.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);
/// Journal size from which a snapshot makes it short again.
const JOURNAL_BYTES_MAX: u64 = 16 << 20;
/// Inputs of turns since the snapshot from which one is made: they wait in memory for an alert, and a
/// restart repeats them.
const INPUTS_MAX: usize = 200_000;
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
    journal: Journal,
    generation: u64,
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
    is_stopped: bool,
}

/// What the next frame will hold.
#[derive(Debug, Default)]
struct SinceFrame {
    files: Vec<FileRecord>,
    turns: Vec<Turn>,
}

/// A turn's alerts on their way: nothing else is evaluated before they have arrived.
#[derive(Debug)]
struct Held {
    frame: Frame,
    alerts: Vec<(Alert, String)>,
    /// The frame is written, and the lines are at least begun.
    journalled: bool,
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
    ) -> Result<Self, Failure> {
        let now = instant();
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
            && !search::holds_alerts(&file).unwrap_or(true)
        {
            return Err(Failure::Io(format!(
                "{} holds something else than alerts: name another file with --alerts \
                 (SENTINEL_ALERTS)",
                settings.alerts.display()
            )));
        }
        // Only now does alerts.log hold every alert that was raised.
        let mut ring = Ring::warmed(&settings.alerts)
            .map_err(|error| Failure::at("read", &settings.alerts, &error))?;
        ring.numbered(recovered.engine.state().seq);
        board.warm(ring);
        let alerts_log = AlertsLog::open(&settings.alerts)
            .map_err(|error| Failure::at("append to", &settings.alerts, &error))?;
        // Looked at before the snapshot: where files begin, and what has to be told, is kept with it.
        let mut look = recovered.tail.look(&mut recovered.engine, recovered.from, now);
        recovered.notices.append(&mut look.notices);
        let generation = recovered.generation + 1;
        let journal =
            snapshot(&recovered.engine, &recovered.tail, &recovered.notices, generation, &settings)
                .map_err(|error| Failure::at("keep state in", &settings.state_dir, &error))?;
        let mut daemon = Self {
            settings,
            board,
            engine: recovered.engine,
            tail: recovered.tail,
            journal,
            generation,
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
            is_stopped: false,
        };
        daemon.rules_loaded();
        Ok(daemon)
    }

    /// Works until it is told to stop, and leaves a snapshot.
    ///
    /// # Errors
    /// No last snapshot was written: the next start repeats the journal instead.
    pub fn run(mut self, calls: &Calls, once: bool) -> io::Result<()> {
        let mut stop_by = None;
        loop {
            let now = instant();
            self.board.moves(now);
            if stop_by.is_none() && calls.is_stopped() {
                stop_by = Some(now + DRAIN_MAX);
            }
            let worked = self.pass(now);
            self.show();
            self.board.set_ready();
            let at_end = !worked && self.held.is_none() && self.tail.is_at_end();
            if stop_by.is_some_and(|by| at_end || now >= by) || (once && at_end) {
                break;
            }
            let wait = match (worked, self.is_stopped) {
                (_, true) => RETRY_EVERY,
                (true, _) => Duration::ZERO,
                (false, _) => self.settings.poll_interval,
            };
            calls.wait(wait);
        }
        if self.held.is_some() {
            // A snapshot would hold alerts that nobody has seen as raised. The one before and the
            // journal hold them as still to come.
            return Err(io::Error::other("alerts wait for space on the disk"));
        }
        self.snapshot(instant())
    }

    /// One round. True if there may be more to do at once.
    fn pass(&mut self, now: Instant) -> bool {
        // Also while the disk is full: what is rotated meanwhile must be held open.
        let mut look = self.tail.look(&mut self.engine, From::Start, now);
        self.snapshot_due |= look.left;
        self.changed |= !look.fresh.is_empty();
        self.since_frame.files.append(&mut look.fresh);
        self.notices.append(&mut look.notices);
        if !self.deliver() {
            return false;
        }
        self.reload(now);
        let aged = self.changed && now.duration_since(self.snapshot_at) >= SNAPSHOT_EVERY;
        let full = self.journal.size() >= JOURNAL_BYTES_MAX || self.inputs >= INPUTS_MAX;
        if self.snapshot_due || aged || full {
            let written = self.snapshot(now);
            if self.stopped(written) {
                return false;
            }
        }
        let notices = std::mem::take(&mut self.notices);
        self.turn(notices)
    }

    fn turn(&mut self, notices: Vec<Notice>) -> bool {
        let mut alerts = Vec::new();
        let mut emit = |alert: Alert| {
            let line = alert::line(&alert);
            alerts.push((alert, line));
        };
        let mut turn = Turn { now: wall(), inputs: Vec::new() };
        for notice in notices {
            self.engine.notice(&notice, turn.now, &mut emit);
            turn.inputs.push(Input::Notice(notice));
        }
        turn.inputs.extend(self.tail.evaluate(&mut self.engine, turn.now, &mut emit));
        if turn.inputs.is_empty() {
            return false;
        }
        self.changed = true;
        self.inputs += turn.inputs.len();
        self.since_frame.turns.push(turn);
        if alerts.is_empty() {
            return true;
        }
        let SinceFrame { files, turns } = std::mem::take(&mut self.since_frame);
        let frame = Frame {
            read: self.read_in(&turns),
            files,
            turns,
            alerts: alerts.iter().map(|(_, line)| line.as_str()).collect(),
            seq: self.engine.state().seq,
            mark: self.alerts_log.mark(),
        };
        self.held = Some(Held { frame, alerts, journalled: false });
        self.deliver()
    }

    /// The files that these turns read, as they stand now.
    fn read_in(&self, turns: &[Turn]) -> Vec<FileRecord> {
        let inputs = turns.iter().flat_map(|turn| &turn.inputs);
        let read: BTreeSet<u32> = inputs
            .filter_map(|input| match input {
                Input::Lines { file, .. } => Some(*file),
                Input::Notice(_) => None,
            })
            .collect();
        read.into_iter().filter_map(|file| self.tail.record(file).cloned()).collect()
    }

    /// Takes held alerts as far as the disk lets them: journal, then alerts.log, then whoever asks.
    /// True if nothing is held any more.
    fn deliver(&mut self) -> bool {
        let Some(mut held) = self.held.take() else { return true };
        let arrived = self.advance(&mut held);
        if self.stopped(arrived) {
            self.held = Some(held);
            return false;
        }
        for (alert, line) in held.alerts {
            self.board.alert(alert, &line);
        }
        true
    }

    fn advance(&mut self, held: &mut Held) -> io::Result<()> {
        if held.journalled {
            return self.alerts_log.retry();
        }
        held.frame.mark = self.alerts_log.ready()?;
        if let Some(fault) = self.alerts_log.rotation_fault() {
            say(&format!("{} was not rotated: {fault}", self.settings.alerts.display()));
        }
        self.journal.append(&held.frame)?;
        held.journalled = true;
        self.alerts_log.append(held.frame.alerts.as_bytes())
    }

    fn snapshot(&mut self, now: Instant) -> io::Result<()> {
        // Counted up whether it succeeds or not: a journal never belongs to two snapshots.
        self.generation += 1;
        self.journal =
            snapshot(&self.engine, &self.tail, &self.notices, self.generation, &self.settings)?;
        (self.since_frame, self.inputs) = (SinceFrame::default(), 0);
        (self.snapshot_at, self.snapshot_due, self.changed) = (now, false, false);
        Ok(())
    }

    /// Reads the rule files again if a byte of them has changed.
    fn reload(&mut self, now: Instant) {
        if now.duration_since(self.rules_looked) < RELOAD_EVERY {
            return;
        }
        self.rules_looked = now;
        let read = load::read(&self.settings.rules).map_err(|unreadable| unreadable.to_string());
        if read == self.rules_seen {
            return;
        }
        // Half of a file that is being written is not meant: two looks must agree.
        if self.rules_changing.as_ref() != Some(&read) {
            self.rules_changing = Some(read);
            return;
        }
        self.rules_changing = None;
        self.rules_seen = read;
        let fault = match self.rules_seen.as_deref().map(RuleSet::parse) {
            Ok((Some(rules), _)) => {
                self.engine.replace(Arc::new(rules));
                self.tail.replaced(&mut self.engine);
                // No turn spans two rule sets.
                self.snapshot_due = true;
                return self.rules_loaded();
            }
            Ok((None, faults)) => {
                let error = faults.iter().find(|fault| fault.severity == Severity::Error);
                error.map_or_else(String::new, |at| {
                    format!("{}:{}:{}: {}", at.file, at.line, at.column, at.message)
                })
            }
            Err(unreadable) => unreadable.clone(),
        };
        self.board.update(|status| status.rules.last_reload_error = Some(fault.clone()));
        self.notices.push(Notice::ReloadFailed { fault });
    }

    fn rules_loaded(&mut self) {
        let rules = self.engine.rules();
        let (digest, count) = (rules.digest.clone(), rules.rules.len());
        let loaded_at = wall().rfc3339();
        self.board.update(|status| {
            status.rules = board::Rules { digest, count, loaded_at, last_reload_error: None };
        });
    }

    /// Notes what keeps the evaluator from going on, or that nothing does.
    fn stopped(&mut self, result: io::Result<()>) -> bool {
        let error = result.err().map(|error| error.to_string());
        let stopped = error.is_some();
        match (&error, self.is_stopped) {
            (Some(error), false) => say(&format!("evaluation stops until this is mended: {error}")),
            (None, true) => say("evaluation goes on"),
            _ => {}
        }
        self.is_stopped = stopped;
        self.board.update(|status| status.stopped_by = error);
        stopped
    }

    fn show(&self) {
        let files = self
            .tail
            .files()
            .iter()
            .map(|tailed| board::File {
                path: tailed.record.path().display().to_string(),
                source: tailed.record.source.clone(),
                offset: tailed.record.offset,
                size: tailed.size.max(tailed.record.offset),
                lag_bytes: tailed.lag(),
                last_line_at: tailed.last_line.map(Timestamp::rfc3339),
                state: match (&tailed.fault, tailed.at_path) {
                    (Some(_), _) => "unreadable",
                    (None, AtPath::Same) => "reading",
                    (None, AtPath::Other) => "rotated",
                    (None, AtPath::Nothing) => "moved",
                },
            })
            .collect();
        let faults = self.tail.faults().iter();
        let unreadable = faults.map(|(path, why)| (path.display().to_string(), why.clone()));
        let groups = self.engine.groups().filter(|(_, count)| *count > 0);
        let state = self.engine.state();
        self.board.update(|status| {
            status.seq = state.seq;
            status.files = files;
            status.unreadable = unreadable.collect();
            status.groups = groups.map(|(rule, count)| (rule.to_owned(), count)).collect();
            status.gaps = state.gaps;
            status.late_lines = state.late;
            status.clock_skew_lines = state.clock_skew;
        });
    }
}

fn snapshot(
    engine: &Engine,
    tail: &Tail,
    notices: &[Notice],
    generation: u64,
    settings: &Settings,
) -> io::Result<Journal> {
    let snapshot = Snapshot {
        generation,
        state: engine.state(),
        files: tail.records(),
        lost: tail.lost().to_vec(),
        next_file: tail.next_file(),
        notices: notices.to_vec(),
    };
    snapshot.write(&settings.state_dir)?;
    Journal::begin(&settings.state_dir, generation)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads it for the evaluator")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the `now` of a turn is read here and nowhere else")]
fn wall() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_microsecond())
}
