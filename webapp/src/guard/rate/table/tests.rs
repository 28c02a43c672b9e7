//! Many clients in little memory: who is forgotten, who is not, and what that costs.

use std::{net::IpAddr, time::Duration};

use super::*;
use crate::{
    clock::nanos,
    guard::rate::{Kind, tests::policy},
};

const BUDGET: u64 = 64 * 1_024;

fn table(requests: u32) -> Table {
    Table::new(policy(requests), BUDGET)
}

fn key(n: u32) -> Key {
    (IpAddr::from(n.to_be_bytes()), Kind::Request)
}

fn at(seconds: f64) -> u64 {
    nanos(Duration::from_secs_f64(seconds))
}

fn swept(table: &mut Table, second: f64) -> Vec<Ended> {
    let mut ended = Vec::new();
    loop {
        let before = ended.len();
        table.sweep(at(second), &mut ended);
        assert!(ended.len() - before <= SWEEP_ENDED_MAX);
        if ended.len() == before {
            return ended;
        }
    }
}

fn is_blocked(table: &mut Table, n: u32, second: f64) -> bool {
    matches!(table.take(key(n), at(second)), Verdict::Blocked { .. })
}

/// What must hold between any two calls.
#[track_caller]
fn check(table: &Table) {
    assert!(table.bytes <= table.budget, "{} bytes", table.bytes);
    for (at, slot) in table.slots.iter().enumerate() {
        assert_eq!(slot.block().is_some(), at < table.blocked);
        assert_eq!(table.index.get(&slot.key), Some(&(at as u32)));
    }
    assert_eq!(table.index.len(), table.slots.len());
    let rings: u64 = table.slots.iter().map(Slot::ring_bytes).sum();
    let entries = ENTRY_BYTES * table.slots.len() as u64;
    assert_eq!(table.bytes, entries + rings + ENDED_BYTES * table.ended.len() as u64);
}

#[test]
fn an_idle_client_is_forgotten() {
    let mut table = table(3);
    table.take(key(1), at(0.0));
    swept(&mut table, 59.0);
    assert_eq!(table.usage().clients, 1);
    swept(&mut table, 60.0);
    assert_eq!(table.usage(), Usage::default());
}

#[test]
fn a_flood_of_addresses_stays_in_memory_and_frees_no_blocked_client() {
    let mut table = table(3);
    for _ in 0..4 {
        table.take(key(0), at(0.0));
    }
    for n in 1..20_000 {
        table.take(key(n), at(1.0));
        assert!(table.usage().bytes <= BUDGET);
    }
    check(&table);
    assert!(is_blocked(&mut table, 0, 2.0));
    assert!(table.usage().evicted_live > 0);
}

#[test]
fn who_asks_again_and_again_is_not_forgotten_for_who_asked_once() {
    let mut table = table(2_000);
    for n in 1..20_000 {
        if n % 20 == 0 {
            table.take(key(0), at(1.0));
        }
        table.take(key(n), at(1.0));
    }
    check(&table);
    let Verdict::Passed { remaining, .. } = table.take(key(0), at(1.0)) else { panic!("refused") };
    assert_eq!(remaining, 1_000);
}

#[test]
fn when_all_are_blocked_who_is_free_first_goes_first() {
    let mut table = table(1);
    let mut ended = Vec::new();
    for n in 0..5_000 {
        let second = f64::from(n) / 1_000.0;
        table.take(key(n), at(second));
        table.take(key(n), at(second));
        assert!(table.usage().bytes <= BUDGET);
        assert_eq!(table.ends.len(), table.blocked);
        if n % 20 == 0 {
            ended.extend(swept(&mut table, second));
        }
    }
    check(&table);
    ended.extend(swept(&mut table, 5.0));
    // Who was forgotten counts as free, and is told: the first ones, in their order.
    let expected: Vec<_> = (0..5_000 - table.blocked as u32).map(key).collect();
    assert_eq!(ended.iter().map(|ended| ended.key).collect::<Vec<_>>(), expected);
    assert!(table.blocked > 100 && is_blocked(&mut table, 4_999, 5.0));
}

#[test]
fn a_request_costs_the_same_whatever_the_others_are() {
    // All blocked: nobody looks at them.
    let mut full = table(1);
    for n in 0..5_000 {
        full.take(key(n), at(0.0));
        full.take(key(n), at(0.0));
    }
    for slot in &mut full.slots {
        slot.recent = true;
    }
    for n in 5_000..5_100 {
        let (before, ends) = (full.evicted_live, full.ends.len());
        full.take(key(n), at(1.0));
        assert!(full.evicted_live - before <= 1 && ends - full.ends.len() <= 1);
    }
    let looked_at = full.slots[..full.blocked].iter().filter(|slot| !slot.recent).count();
    assert_eq!(looked_at, 0);

    // None blocked, and all of them asked just now: it looks at a few.
    let mut busy = table(3);
    for n in 0..5_000 {
        busy.take(key(n), at(0.0));
    }
    for n in 5_000..5_100 {
        for slot in &mut busy.slots {
            slot.recent = true;
        }
        let before = busy.evicted_live;
        busy.take(key(n), at(1.0));
        let looked_at = busy.slots.iter().filter(|slot| !slot.recent).count();
        let gone = (busy.evicted_live - before) as usize;
        assert!(looked_at + gone <= LOOKS_MAX * gone.max(1), "{looked_at} for {gone}");
    }
}

#[test]
fn blocks_that_nobody_waits_for_are_no_burden() {
    let mut table = Table::new(policy(1), 1 << 20);
    // Each time it notices by itself that its block is over, and the heap keeps what is due.
    let mut now = 0.0;
    for _ in 0..2_000 {
        table.take(key(1), at(now));
        table.take(key(1), at(now));
        now += 301.0;
        assert!(table.ends.len() <= 2);
    }
    check(&table);
}

#[test]
fn many_blocks_that_end_at_once_are_told_in_goes() {
    let mut table = Table::new(policy(1), 4 << 20);
    for n in 0..5_000 {
        table.take(key(n), at(0.0));
        table.take(key(n), at(0.0));
    }
    let mut ended = Vec::new();
    table.sweep(at(30.0), &mut ended);
    assert_eq!(ended.len(), SWEEP_ENDED_MAX);
    ended.extend(swept(&mut table, 30.0));
    assert_eq!(ended.len(), 5_000);
    check(&table);
}

#[test]
fn blocks_that_ended_take_memory_until_they_are_told() {
    let mut table = table(1);
    for n in 0..1_000_u32 {
        // A block, its end, and somebody else's turn.
        let now = f64::from(n) * 31.0;
        for second in [now, now, now + 30.0] {
            table.take(key(n), at(second));
        }
    }
    check(&table);
    assert!(table.usage().clients < 100);
    assert_eq!(swept(&mut table, 40_000.0).len(), 1_000);
    check(&table);
}
