//! The limiter as a whole: rows of times, random scripts against an exact model, and a flood.

use std::{thread, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::clock::{self, whole_seconds};

/// The default but for its limit and its memory.
pub(super) fn policy(requests: u32) -> Policy {
    Policy {
        requests,
        window: Duration::from_secs(60),
        base_block: Duration::from_secs(30),
        max_block: Duration::from_secs(300),
        ipv6_prefix: 64,
        memory_bytes: 1 << 20,
    }
}

/// A limiter and its own time, which begins with it.
struct Told {
    limiter: Limiter,
    epoch: Instant,
}

impl Told {
    fn new(policy: Policy) -> Self {
        let epoch = clock::now();
        Self { limiter: Limiter::new(policy, epoch), epoch }
    }

    fn take(&self, (client, kind): (u32, Kind), now: Duration) -> Verdict {
        self.limiter.take(IpAddr::from(client.to_be_bytes()), kind, self.epoch + now)
    }

    fn hit(&self, second: f64) -> String {
        word(self.take((1, Kind::Request), Duration::from_secs_f64(second)))
    }

    fn sweep(&self, now: Duration) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.limiter.sweep(self.epoch + now, |one| ended.push(one));
        ended
    }
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Passed { remaining, reset } => {
            format!("passed {remaining} {}", reset.as_secs_f64())
        }
        Verdict::Limited { retry_after } => format!("limited {}", retry_after.as_secs_f64()),
        Verdict::Blocked { retry_after } => format!("blocked {}", retry_after.as_secs_f64()),
    }
}

/// Requests of one client that may ask so often in a minute: (second, what is said).
#[track_caller]
fn check(requests: u32, rows: &[(f64, &str)]) {
    let told = Told::new(policy(requests));
    for (row, (second, expected)) in rows.iter().enumerate() {
        assert_eq!(told.hit(*second), *expected, "row {row}");
    }
}

#[test]
fn the_window_slides_exactly() {
    check(
        3,
        &[
            (0.0, "passed 2 60"),
            (30.0, "passed 1 30"),
            (59.0, "passed 0 1"),
            (60.0, "passed 0 30"), // The first one left this very moment.
            (89.999, "limited 30"),
        ],
    );
}

#[test]
fn a_block_neither_records_nor_grows_and_then_the_window_is_clear() {
    check(
        3,
        &[
            (0.0, "passed 2 60"),
            (0.0, "passed 1 60"),
            (0.0, "passed 0 60"),
            (1.0, "limited 30"),
            (2.0, "blocked 29"),
            (30.5, "blocked 0.5"),
            (31.0, "passed 2 60"),
            (31.0, "passed 1 60"),
            (31.0, "passed 0 60"),
        ],
    );
}

#[test]
fn blocks_double_to_the_longest() {
    check(
        1,
        &[
            (0.0, "passed 0 60"),
            (0.0, "limited 30"),
            (30.0, "passed 0 60"),
            (30.0, "limited 60"),
            (90.0, "passed 0 60"),
            (90.0, "limited 120"),
            (210.0, "passed 0 60"),
            (210.0, "limited 240"),
            (450.0, "passed 0 60"),
            (450.0, "limited 300"),
            (750.0, "passed 0 60"),
            (750.0, "limited 300"),
        ],
    );
}

#[test]
fn good_conduct_forgives_one_strike_at_a_time() {
    check(
        1,
        &[
            (0.0, "passed 0 60"),
            (0.0, "limited 30"),
            (30.0, "passed 0 60"),
            (30.0, "limited 60"),
            // That block ended at 90; at 389 nothing is forgiven …
            (389.0, "passed 0 60"),
            (389.0, "limited 120"),
            // … it ended at 509: 300 s later one strike of three is, 900 s later all are.
            (809.0, "passed 0 60"),
            (809.0, "limited 120"),
            (1829.0, "passed 0 60"),
            (1829.0, "limited 30"),
        ],
    );
}

#[test]
fn preflights_have_a_window_of_their_own() {
    let told = Told::new(policy(1));
    let hit = |kind| word(told.take((1, kind), Duration::ZERO));
    assert_eq!(hit(Kind::Preflight), "passed 0 60");
    assert_eq!(hit(Kind::Request), "passed 0 60");
    assert_eq!(hit(Kind::Preflight), "limited 30");
}

#[test]
fn an_ended_block_is_told_once_with_its_hits() {
    let told = Told::new(policy(1));
    let swept = |second: f64| {
        let ended = told.sweep(Duration::from_secs_f64(second));
        ended.iter().map(|ended| ended.blocked_hits).collect::<Vec<_>>()
    };
    for _ in 0..5 {
        told.hit(0.0);
    }
    assert!(swept(29.9).is_empty());
    assert_eq!(swept(30.0), [3]);
    assert!(swept(31.0).is_empty());
    // Noticed by the client's next request before a sweep: told all the same.
    for second in [40.0, 40.0, 100.0] {
        told.hit(second);
    }
    assert_eq!(swept(100.0), [0]);
}

/// The same rules with no bound on memory and no cleverness: every passed request is kept.
#[derive(Default)]
struct Model {
    passed: Vec<Duration>,
    strikes: u32,
    block_end: Option<Duration>,
    /// Requests held off by the block that is on, or that nobody was told of.
    blocked_hits: Option<u64>,
}

impl Model {
    fn take(&mut self, policy: &Policy, now: Duration) -> (Verdict, Option<u64>) {
        let mut ended = None;
        if let Some(end) = self.block_end {
            if now < end {
                self.blocked_hits = self.blocked_hits.map(|hits| hits + 1);
                return (Verdict::Blocked { retry_after: end - now }, None);
            }
            ended = self.blocked_hits.take();
            while self.strikes > 0 && now - self.block_end.unwrap() >= policy.max_block {
                self.strikes -= 1;
                self.block_end = self.block_end.map(|end| end + policy.max_block);
            }
        }
        self.passed.retain(|at| now - *at < policy.window);
        if self.passed.len() < policy.requests as usize {
            self.passed.push(now);
            let remaining = policy.requests - self.passed.len() as u32;
            let reset = self.passed[0] + policy.window - now;
            return (Verdict::Passed { remaining, reset }, ended);
        }
        self.strikes += 1;
        let mut block = policy.base_block;
        for _ in 1..self.strikes {
            block = (block * 2).min(policy.max_block);
        }
        self.block_end = Some(now + block);
        self.blocked_hits = Some(0);
        self.passed.clear();
        (Verdict::Limited { retry_after: block }, ended)
    }

    fn sweep(&mut self, now: Duration) -> Option<u64> {
        self.blocked_hits.take_if(|_| self.block_end.is_some_and(|end| end <= now))
    }
}

prop_compose! {
    fn any_policy()(
        requests in 1..6_u32,
        window in 1..100_000_u64,
        base in 1..50_000_u64,
        more in 0..200_000_u64,
    ) -> Policy {
        Policy {
            window: Duration::from_millis(window),
            base_block: Duration::from_millis(base),
            max_block: Duration::from_millis(base + more),
            ..policy(requests)
        }
    }
}

fn any_pause() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..100_u64, 2 => 0..90_000_u64, 1 => 0..900_000_u64]
}

fn kind(is_preflight: bool) -> Kind {
    if is_preflight { Kind::Preflight } else { Kind::Request }
}

proptest! {
    #[test]
    fn agrees_with_the_exact_model(
        policy in any_policy(),
        steps in prop::collection::vec((0..3_u32, any::<bool>(), any_pause(), 0..4_u32), 1..300),
    ) {
        let told = Told::new(policy.clone());
        let mut models: [Model; 6] = Default::default();
        let mut now = Duration::ZERO;
        let (mut ended, mut expected) = (Vec::new(), Vec::new());
        for (client, is_preflight, pause, sweeps) in steps {
            now += Duration::from_millis(pause);
            let model = &mut models[client as usize * 2 + usize::from(is_preflight)];
            let (verdict, over) = model.take(&policy, now);
            expected.extend(over);
            prop_assert_eq!(told.take((client, kind(is_preflight)), now), verdict);
            if sweeps == 0 {
                ended.extend(told.sweep(now));
                expected.extend(models.iter_mut().filter_map(|model| model.sweep(now)));
            }
        }
        let end = now + Duration::from_secs(1_000);
        ended.extend(told.sweep(end));
        expected.extend(models.iter_mut().filter_map(|model| model.sweep(end)));
        let mut hits: Vec<_> = ended.iter().map(|ended| ended.blocked_hits).collect();
        hits.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(hits, expected);
    }

    #[test]
    fn who_obeys_retry_after_is_never_refused_twice(
        policy in any_policy(),
        pauses in prop::collection::vec((any_pause(), any::<bool>()), 1..300),
    ) {
        let told = Told::new(policy);
        let mut now = Duration::ZERO;
        let mut refused = false;
        for (pause, sweeps) in pauses {
            match told.take((1, Kind::Request), now) {
                Verdict::Passed { .. } => {
                    refused = false;
                    now += Duration::from_millis(pause);
                }
                Verdict::Limited { retry_after } | Verdict::Blocked { retry_after } => {
                    prop_assert!(!refused);
                    refused = true;
                    prop_assert!(whole_seconds(retry_after) >= 1);
                    now += Duration::from_secs(whole_seconds(retry_after));
                }
            }
            if sweeps {
                told.sweep(now);
            }
        }
    }

    #[test]
    fn who_obeys_the_headers_is_never_refused(
        policy in any_policy(),
        pauses in prop::collection::vec(0..100_u64, 1..300),
    ) {
        let told = Told::new(policy);
        let mut now = Duration::ZERO;
        for pause in pauses {
            match told.take((1, Kind::Request), now) {
                Verdict::Passed { remaining: 0, reset } => {
                    now += Duration::from_secs(whole_seconds(reset));
                }
                Verdict::Passed { .. } => now += Duration::from_millis(pause),
                other => prop_assert!(false, "{}", word(other)),
            }
        }
    }

    #[test]
    fn the_window_never_holds_more_than_the_limit(
        policy in any_policy(),
        pauses in prop::collection::vec(any_pause(), 1..300),
    ) {
        let told = Told::new(policy.clone());
        let mut now = Duration::ZERO;
        let mut passed: Vec<Duration> = Vec::new();
        for pause in pauses {
            now += Duration::from_millis(pause);
            match told.take((1, Kind::Request), now) {
                Verdict::Passed { .. } => passed.push(now),
                // A served block is the one thing that clears the window.
                Verdict::Limited { .. } => passed.clear(),
                Verdict::Blocked { .. } => {}
            }
            let in_window = passed.iter().filter(|at| now - **at < policy.window);
            prop_assert!(in_window.count() <= policy.requests as usize);
        }
    }
}

/// Five million clients, from two sides at once, in the very time of a block: it holds to its last
/// nanosecond, and then it is over.
#[test]
fn a_flood_of_clients_stays_in_memory_and_frees_nobody() {
    const CLIENTS: u32 = 5_000_000;
    const SAMPLE: u32 = 5_000;
    let block = Duration::from_secs(30);
    let told = Told::new(policy(3));
    let blocked = (0, Kind::Request);
    for _ in 0..4 {
        told.take(blocked, Duration::ZERO);
    }
    let flood = |first: u32| {
        for n in (first..=CLIENTS).step_by(2) {
            let now = (block - Duration::from_nanos(1)) * (n - 1) / CLIENTS;
            told.take((n, Kind::Request), now);
            if n % SAMPLE <= 1 {
                let usage = told.limiter.usage();
                assert!(usage.bytes <= told.limiter.policy().memory_bytes, "{usage:?}");
                let verdict = told.take(blocked, now);
                assert_eq!(verdict, Verdict::Blocked { retry_after: block - now });
                told.sweep(now);
            }
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| flood(2));
        flood(1);
        other.join().unwrap();
    });
    let last = block - Duration::from_nanos(1);
    let retry_after = Duration::from_nanos(1);
    assert_eq!(told.take(blocked, last), Verdict::Blocked { retry_after });
    assert_eq!(word(told.take(blocked, block)), "passed 2 60");
    assert!(told.limiter.usage().evicted_live > 4_000_000);
}
