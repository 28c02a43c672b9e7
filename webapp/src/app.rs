//! Settings in; what every request of this process shares out.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use hyper::header::HeaderValue;
use parking_lot::Mutex;

use crate::{
    guard::rate::Limiter, log::Logs, settings::Settings, streams::Streams, unsent::Unsent,
    upstream::Upstream,
};

/// Clients that are told apart in [`Seen`].
const SEEN_MAX: usize = 4_096;

/// Shared by all connections.
#[derive(Debug)]
pub struct App {
    /// As read at the start.
    pub settings: Settings,
    /// Who asked how often.
    pub limiter: Limiter,
    /// What every client that it counts is told of it: `RateLimit-Policy`.
    pub rate_policy: HeaderValue,
    /// sentinel, at the other end of its socket.
    pub upstream: Upstream,
    /// The streams that are open.
    pub streams: Streams,
    /// Answers that wait for their clients.
    pub unsent: Arc<Unsent>,
    /// Where records go.
    pub logs: Logs,
    /// What is counted and told by the heartbeat.
    pub counters: Counters,
    /// Whose forwarded headers were already told.
    pub spoofers: Seen,
    /// A log makes no progress.
    pub log_degraded: AtomicBool,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were accepted.
    pub connections: AtomicU64,
    /// Connections that were closed at once for want of room.
    pub connections_shed: AtomicU64,
    /// Connections that never sent a byte of a head.
    pub connections_silent: AtomicU64,
    /// Requests that got a record.
    pub requests: AtomicU64,
}

impl Counters {
    /// Adds one.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Remembers whom something was told about, roughly: it forgets all of them when it is full.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashSet<IpAddr>>);

impl Seen {
    /// Whether this is the first time.
    pub fn is_first(&self, client: IpAddr) -> bool {
        let mut seen = self.0.lock();
        if seen.len() >= SEEN_MAX {
            seen.clear();
        }
        seen.insert(client)
    }
}

impl App {
    /// Ready to serve.
    pub fn new(settings: Settings, logs: Logs, now: Instant) -> Self {
        let rate = &settings.guards.rate;
        let quota = format!("\"default\";q={};w={}", rate.requests, rate.window.as_secs());
        Self {
            // Plain digits and letters.
            rate_policy: HeaderValue::try_from(quota).unwrap_or(HeaderValue::from_static("")),
            limiter: Limiter::new(settings.guards.rate.clone(), now),
            upstream: Upstream::new(settings.sentinel_socket.clone()),
            streams: Streams::default(),
            unsent: Arc::default(),
            logs,
            counters: Counters::default(),
            spoofers: Seen::default(),
            log_degraded: AtomicBool::new(false),
            settings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_seen_is_forgotten_when_there_are_too_many() {
        let seen = Seen::default();
        let client = |n: u32| IpAddr::from(n.to_be_bytes());
        assert!(seen.is_first(client(0)));
        assert!(!seen.is_first(client(0)));
        for n in 1..10_000 {
            assert!(seen.is_first(client(n)));
            assert!(seen.0.lock().len() <= SEEN_MAX);
        }
    }
}
