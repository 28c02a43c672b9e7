//! What the limiter says it takes, beside what the system says it takes; in a process of its own,
//! where nobody else grows. The figures are those of glibc's malloc.

use std::{fs, net::IpAddr, time::Duration};

use rustix::thread::disable_transparent_huge_pages;
use webapp::{
    clock,
    guard::rate::{Kind, Limiter, Policy, Usage, Verdict},
};

const MEMORY: u64 = 12 << 20;

/// What a test itself takes meanwhile, and what a heap keeps between pieces.
const ODD_BYTES: u64 = MEMORY / 8;

/// This process's own memory in bytes, wherever it is: no program text, that comes as it is run.
fn taken() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    (kilobytes("RssAnon:") + kilobytes("VmSwap:")) * 1_024
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
    let before = taken();
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
            most = most.max(taken().saturating_sub(before));
            limiter.sweep(now, drop);
            let usage = limiter.usage();
            if usage.evicted_live > usage.clients / 16 {
                break;
            }
        }
    }
    let usage = limiter.usage();
    (limiter, usage, most)
}

#[test]
fn the_limiter_takes_no_more_than_it_says() {
    // Else one byte that is used may be two megabytes.
    disable_transparent_huge_pages(true).unwrap();
    // All of them stay: what one gives back another would take, and grow less.
    let mut kept = Vec::new();
    for (requests, blocks) in [(1_000, false), (30, false), (4, false), (1, true)] {
        let (limiter, usage, grown) = grown(requests, blocks);
        assert!(usage.bytes <= MEMORY);
        assert!(grown <= usage.bytes + ODD_BYTES, "grown by {grown} and not {}", usage.bytes);
        assert!(grown >= usage.bytes / 2, "{grown} of {} are no figure but a guess", usage.bytes);
        kept.push(limiter);
    }
}
