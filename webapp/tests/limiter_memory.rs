//! What the limiter says it takes, beside what the system says it takes; in a process of its own,
//! where nobody else grows.

use std::{fs, net::IpAddr, time::Duration};

use webapp::{
    clock,
    guard::rate::{Kind, Limiter, Policy, Usage, Verdict},
};

const MEMORY: u64 = 8 << 20;

/// VmRSS of this process in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// A limiter that was filled until it forgot clients, and how much this process grew by it.
fn grown(requests: u32, blocks: bool) -> (Limiter, Usage, u64) {
    let policy = Policy {
        requests,
        window: Duration::from_secs(60),
        base_block: Duration::from_secs(30),
        max_block: Duration::from_secs(300),
        ipv6_prefix: 64,
        memory_bytes: MEMORY,
    };
    let now = clock::now();
    let before = resident();
    let limiter = Limiter::new(policy, now);
    let asks = requests + u32::from(blocks);
    let mut most = 0;
    for client in 0_u32.. {
        let address = IpAddr::from(client.to_be_bytes());
        for ask in 1..=asks {
            let verdict = limiter.take(address, Kind::Request, now);
            assert_eq!(matches!(verdict, Verdict::Passed { .. }), ask <= requests);
        }
        if client % 256 == 0 {
            most = most.max(resident().saturating_sub(before));
            limiter.sweep(now, drop);
            if limiter.usage().evicted_live > 2_000 {
                break;
            }
        }
    }
    let usage = limiter.usage();
    (limiter, usage, most)
}

#[test]
fn the_limiter_takes_no_more_than_it_says() {
    // All of them stay: what one gives back another would take, and grow less.
    let mut kept = Vec::new();
    for (requests, blocks) in [(1_000, false), (30, false), (4, false), (1, true)] {
        let (limiter, usage, grown) = grown(requests, blocks);
        assert!(usage.bytes <= MEMORY);
        // The odd pages of a test's own.
        assert!(grown <= usage.bytes + (1 << 20), "grown by {grown} and not {}", usage.bytes);
        assert!(grown >= usage.bytes / 2, "{grown} of {} are no figure but a guess", usage.bytes);
        kept.push(limiter);
    }
}
