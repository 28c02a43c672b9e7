//! Every second: blocks that ended are told, logs are watched; every 30 seconds a heartbeat says
//! that the server lives, so that its silence says something too.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::{self, Write},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use shared::record::action;
use slog::Level;
use tokio::{
    sync::oneshot,
    time::{MissedTickBehavior, interval},
};

use crate::{
    app::App,
    clock,
    guard::rate::Ended,
    log::Loss,
    record::{Event, Extra},
};

const ROUND: Duration = Duration::from_secs(1);
const HEARTBEAT_ROUNDS: u64 = 30;
const LOSS_ROUNDS: u64 = 10;

/// How long a log may stand still with records waiting before it counts as degraded.
const STILL_TIME_MAX: Duration = Duration::from_secs(5);

/// Runs until `ending` is dropped.
pub(super) async fn keep_up(app: Arc<App>, mut ending: oneshot::Receiver<Infallible>) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut progress = Progress::default();
    let mut told = Strain::default();
    for round in 1_u64.. {
        tokio::select! {
            _tick = rounds.tick() => {}
            _dropped = &mut ending => break,
        }
        let now = clock::now();
        app.limiter.sweep(now, |ended| tell_ended(&app, ended));
        watch(&app, &mut progress, now);
        if round % LOSS_ROUNDS == 0 {
            tell_loss(&app);
        }
        if round % HEARTBEAT_ROUNDS == 0 {
            beat(&app, &mut told);
        }
    }
}

fn watch(app: &App, progress: &mut Progress, now: Instant) {
    let mut degraded = false;
    for log in app.logs.streams() {
        let (waiting, written) = (log.tally().waiting(), log.tally().written());
        degraded |= progress.stands_still(log.name(), waiting, written, now);
    }
    app.log_degraded.store(degraded, Ordering::Relaxed);
}

fn tell_ended(app: &App, ended: Ended) {
    let client = ended.key.0.to_string();
    let extra = [("blocked_hits", Extra::Count(ended.blocked_hits))];
    let event = Event {
        message: "block ended",
        action: action::BLOCK_ENDED,
        rule: Some("rate_limit"),
        client: Some(&client),
        extra: &extra,
        ..Event::default()
    };
    app.logs.suspicious.write(Level::Warning, clock::timestamp(), &event);
}

/// One record per log that lost something since it was told last.
pub(super) fn tell_loss(app: &App) {
    for log in app.logs.streams() {
        let Some(loss) = log.tally().tell() else { continue };
        let (kind, text) = match &loss.cause {
            Some(Loss::Write(error)) => ("write", Some(error.as_str())),
            Some(Loss::QueueFull) | None => ("queue_full", None),
        };
        let extra = [
            ("stream", Extra::Text(log.name().to_owned())),
            ("since", Extra::Text(format!("{:.3}", clock::timestamp_of(loss.since)))),
            ("dropped_total", Extra::Count(loss.dropped_total)),
            ("dropped", Extra::Count(loss.dropped)),
        ];
        let event = Event {
            message: "log records were lost",
            action: action::LOG_LOSS,
            error_type: Some(kind),
            error_message: text,
            extra: &extra,
            ..Event::default()
        };
        app.logs.errors.write(Level::Error, clock::timestamp(), &event);
        // errors.log may be the one that cannot be written.
        complain(log.name(), loss.dropped_total);
    }
}

/// What errors.log itself lost, when nothing can be written to it any more.
pub(super) fn tell_last_loss(app: &App) {
    let log = &app.logs.errors;
    if let Some(loss) = log.tally().tell() {
        complain(log.name(), loss.dropped_total);
    }
}

/// `eprintln!` would panic where nobody reads along any more.
fn complain(stream: &str, dropped: u64) {
    writeln!(io::stderr(), "webapp: {stream}.log has lost {dropped} records since the start").ok();
}

/// At `warn` when somebody was turned away or forgotten for want of room since the last one.
fn beat(app: &App, told: &mut Strain) {
    let usage = app.limiter.usage();
    let count =
        |counter: &std::sync::atomic::AtomicU64| Extra::Count(counter.load(Ordering::Relaxed));
    let counters = &app.counters;
    let strain = Strain {
        shed: counters.connections_shed.load(Ordering::Relaxed) + app.unsent.shed(),
        evicted: usage.evicted_live,
    };
    let reason = strain.since(std::mem::replace(told, strain));
    let extra = [
        ("requests_total", count(&counters.requests)),
        ("connections_total", count(&counters.connections)),
        ("connections_shed_total", Extra::Count(strain.shed)),
        ("connections_silent_total", count(&counters.connections_silent)),
        ("rate_limit.clients", Extra::Count(usage.clients)),
        ("rate_limit.bytes", Extra::Count(usage.bytes)),
        ("rate_limit.evicted_live_total", Extra::Count(strain.evicted)),
    ];
    let event = Event {
        message: "heartbeat",
        action: action::HEARTBEAT,
        reason,
        extra: &extra,
        ..Event::default()
    };
    let level = if reason.is_some() { Level::Warning } else { Level::Info };
    app.logs.errors.write(level, clock::timestamp(), &event);
}

/// What was given up for want of room, in all.
#[derive(Debug, Default, Clone, Copy)]
struct Strain {
    /// Connections.
    shed: u64,
    /// Clients of the limiter whose windows were not empty.
    evicted: u64,
}

impl Strain {
    fn since(self, before: Self) -> Option<&'static str> {
        match (before.shed < self.shed, before.evicted < self.evicted) {
            (false, false) => None,
            (true, false) => Some("connections were shed"),
            (false, true) => Some("live clients were forgotten"),
            (true, true) => Some("connections were shed, live clients forgotten"),
        }
    }
}

/// Since when each log has written nothing while records wait.
#[derive(Debug, Default)]
struct Progress(HashMap<&'static str, (u64, Instant)>);

impl Progress {
    fn stands_still(
        &mut self,
        log: &'static str,
        waiting: u64,
        written: u64,
        now: Instant,
    ) -> bool {
        let (before, since) = self.0.entry(log).or_insert((written, now));
        if waiting == 0 || written != *before {
            (*before, *since) = (written, now);
        }
        now.saturating_duration_since(*since) >= STILL_TIME_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_told_once() {
        let mut told = Strain::default();
        for (shed, evicted, expected) in [
            (0, 0, None),
            (2, 0, Some("connections were shed")),
            (2, 0, None),
            (2, 7, Some("live clients were forgotten")),
            (3, 8, Some("connections were shed, live clients forgotten")),
            (3, 8, None),
        ] {
            let strain = Strain { shed, evicted };
            assert_eq!(strain.since(std::mem::replace(&mut told, strain)), expected);
        }
    }

    #[test]
    fn a_log_stands_still_after_five_seconds_without_progress() {
        let start = clock::now();
        let mut progress = Progress::default();
        for (second, waiting, written, expected) in [
            (0, 0, 0, false),
            (10, 0, 0, false),
            (11, 1, 0, false),
            (14, 1, 0, false),
            (15, 1, 0, true),
            (16, 1, 1, false),
            (20, 2, 1, false),
            (21, 2, 1, true),
            (22, 0, 3, false),
        ] {
            let now = start + Duration::from_secs(second);
            assert_eq!(progress.stands_still("x", waiting, written, now), expected, "{second}");
        }
    }
}
