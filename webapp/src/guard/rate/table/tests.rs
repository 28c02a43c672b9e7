//! Rows of times, and random scripts against an exact model.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::{clock::whole_seconds, guard::rate::Kind};

fn policy(requests: u32) -> Policy {
    Policy {
        requests,
        window: Duration::from_secs(60),
        base_block: Duration::from_secs(30),
        max_block: Duration::from_secs(300),
        ipv6_prefix: 64,
        memory_bytes: 1 << 20,
    }
}

fn key(n: u32) -> Key {
    (IpAddr::V4(Ipv4Addr::from_bits(n)), Kind::Request)
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Passed { remaining, .. } => format!("passed {remaining}"),
        Verdict::Limited { retry_after } => format!("limited {}", retry_after.as_secs_f64()),
        Verdict::Blocked { retry_after } => format!("blocked {}", retry_after.as_secs_f64()),
    }
}

/// Requests of one client in a table of three a minute: (second, what is said).
#[track_caller]
fn check(rows: &[(f64, &str)]) {
    let mut table = Table::new(policy(3), 1 << 20);
    for (row, (second, expected)) in rows.iter().enumerate() {
        assert_eq!(word(table.take(key(1), at(*second))), *expected, "row {row}");
    }
}

#[test]
fn the_window_slides_exactly() {
    check(&[
        (0.0, "passed 2"),
        (30.0, "passed 1"),
        (59.0, "passed 0"),
        (60.0, "passed 0"), // The first one left this very moment.
        (89.999, "limited 30"),
    ]);
}

#[test]
fn a_block_neither_records_nor_grows_and_then_the_window_is_clear() {
    check(&[
        (0.0, "passed 2"),
        (0.0, "passed 1"),
        (0.0, "passed 0"),
        (1.0, "limited 30"),
        (2.0, "blocked 29"),
        (30.5, "blocked 0.5"),
        (31.0, "passed 2"),
        (31.0, "passed 1"),
        (31.0, "passed 0"),
    ]);
}

#[test]
fn blocks_double_to_the_longest() {
    let mut table = Table::new(policy(1), 1 << 20);
    let mut now = Duration::ZERO;
    for expected in [30, 60, 120, 240, 300, 300] {
        assert_eq!(word(table.take(key(1), now)), "passed 0");
        let block = Duration::from_secs(expected);
        assert_eq!(table.take(key(1), now), Verdict::Limited { retry_after: block });
        now += block;
    }
}

#[test]
fn good_conduct_forgives_one_strike_at_a_time() {
    let mut table = Table::new(policy(1), 1 << 20);
    let mut hit = |second: f64| word(table.take(key(1), at(second)));
    assert_eq!([hit(0.0), hit(0.0)], ["passed 0", "limited 30"]);
    assert_eq!([hit(30.0), hit(30.0)], ["passed 0", "limited 60"]);
    // The block ended at 90; at 389 nothing is forgiven, at 390 one strike of two is.
    assert_eq!([hit(389.0), hit(389.0)], ["passed 0", "limited 120"]);
    assert_eq!([hit(1409.0), hit(1409.0)], ["passed 0", "limited 30"]);
}

#[test]
fn preflights_have_a_window_of_their_own() {
    let mut table = Table::new(policy(1), 1 << 20);
    let preflight = (key(1).0, Kind::Preflight);
    assert_eq!(word(table.take(preflight, at(0.0))), "passed 0");
    assert_eq!(word(table.take(key(1), at(0.0))), "passed 0");
    assert_eq!(word(table.take(preflight, at(0.0))), "limited 30");
}

#[test]
fn an_ended_block_is_told_once_with_its_hits() {
    let mut table = Table::new(policy(1), 1 << 20);
    let told = |table: &mut Table, second| {
        let mut ended = Vec::new();
        table.sweep(at(second), &mut |one| ended.push(one));
        ended
    };
    for _ in 0..5 {
        table.take(key(1), at(0.0));
    }
    assert_eq!(told(&mut table, 29.9), []);
    assert_eq!(told(&mut table, 30.0), [Ended { key: key(1), blocked_hits: 3 }]);
    assert_eq!(told(&mut table, 31.0), []);
    // Noticed by the client's next request before a sweep: told all the same.
    table.take(key(1), at(40.0));
    table.take(key(1), at(40.0));
    table.take(key(1), at(100.0));
    assert_eq!(told(&mut table, 100.0), [Ended { key: key(1), blocked_hits: 0 }]);
}

#[test]
fn an_idle_client_is_forgotten() {
    let mut table = Table::new(policy(3), 1 << 20);
    table.take(key(1), at(0.0));
    table.sweep(at(59.0), &mut |_| {});
    assert_eq!(table.usage().clients, 1);
    table.sweep(at(60.0), &mut |_| {});
    assert_eq!(table.usage(), Usage::default());
}

#[test]
fn a_flood_of_addresses_stays_in_memory_and_frees_no_blocked_client() {
    let budget = 64 * 1024;
    let mut table = Table::new(policy(3), budget);
    for _ in 0..4 {
        table.take(key(0), at(0.0));
    }
    for n in 1..20_000 {
        table.take(key(n), at(1.0));
        assert!(table.usage().bytes <= budget);
    }
    assert_eq!(word(table.take(key(0), at(2.0))), "blocked 28");
    assert!(table.usage().evicted_live > 0);
}

#[test]
fn even_blocked_clients_fit_into_memory() {
    let budget = 64 * 1024;
    let mut table = Table::new(policy(1), budget);
    for n in 0..5_000 {
        table.take(key(n), at(0.0));
        table.take(key(n), at(0.0));
        assert!(table.usage().bytes <= budget);
        assert!(table.ends.len() <= 2 * table.slots.len() + 1);
    }
}

/// The same rules with no bound on memory and no cleverness: every passed request is kept.
#[derive(Default)]
struct Model {
    passed: Vec<Duration>,
    strikes: u32,
    block_end: Option<Duration>,
}

impl Model {
    fn take(&mut self, policy: &Policy, now: Duration) -> Verdict {
        if let Some(end) = self.block_end {
            if now < end {
                return Verdict::Blocked { retry_after: end - now };
            }
            let forgiven = ((now - end).as_secs_f64() / policy.max_block.as_secs_f64()) as u32;
            let used = self.strikes.min(forgiven);
            self.strikes -= used;
            self.block_end = Some(end + policy.max_block * used);
        }
        self.passed.retain(|at| now - *at < policy.window);
        if self.passed.len() < policy.requests as usize {
            self.passed.push(now);
            return Verdict::Passed {
                remaining: policy.requests - self.passed.len() as u32,
                reset: self.passed[0] + policy.window - now,
            };
        }
        self.strikes += 1;
        let block = (policy.base_block * 2_u32.pow(self.strikes - 1)).min(policy.max_block);
        self.block_end = Some(now + block);
        self.passed.clear();
        Verdict::Limited { retry_after: block }
    }
}

proptest! {
    #[test]
    fn agrees_with_the_exact_model(
        requests in 1..5_u32,
        steps in prop::collection::vec((0..3_u32, prop_oneof![0..100_u64, 0..90_000_u64, 0..900_000_u64]), 1..200),
    ) {
        let policy = policy(requests);
        let mut table = Table::new(policy.clone(), 1 << 20);
        let mut models: [Model; 3] = Default::default();
        let mut now = Duration::ZERO;
        for (client, pause) in steps {
            now += Duration::from_millis(pause);
            let expected = models[client as usize].take(&policy, now);
            prop_assert_eq!(table.take(key(client), now), expected);
            if pause % 3 == 0 {
                table.sweep(now, &mut |_| {});
            }
        }
    }

    #[test]
    fn who_obeys_retry_after_is_never_refused_twice(
        requests in 1..5_u32,
        pauses in prop::collection::vec(0..40_000_u64, 1..300),
    ) {
        let mut table = Table::new(policy(requests), 1 << 20);
        let mut now = Duration::ZERO;
        let mut refused = false;
        for pause in pauses {
            match table.take(key(1), now) {
                Verdict::Passed { .. } => {
                    refused = false;
                    now += Duration::from_millis(pause);
                }
                Verdict::Limited { retry_after } | Verdict::Blocked { retry_after } => {
                    prop_assert!(!refused);
                    refused = true;
                    now += Duration::from_secs(whole_seconds(retry_after));
                }
            }
        }
    }

    #[test]
    fn the_window_never_holds_more_than_the_limit(
        pauses in prop::collection::vec(0..30_000_u64, 1..300),
    ) {
        let mut table = Table::new(policy(3), 1 << 20);
        let mut now = Duration::ZERO;
        let mut passed: Vec<Duration> = Vec::new();
        for pause in pauses {
            now += Duration::from_millis(pause);
            match table.take(key(1), now) {
                Verdict::Passed { .. } => passed.push(now),
                // A served block is the one thing that clears the window.
                Verdict::Limited { .. } => passed.clear(),
                Verdict::Blocked { .. } => {}
            }
            let in_window = passed.iter().filter(|at| now - **at < Duration::from_secs(60));
            prop_assert!(in_window.count() <= 3);
        }
    }
}
