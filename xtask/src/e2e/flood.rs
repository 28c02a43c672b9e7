//! 200,000 clients in a few seconds, through a real webapp behind a proxy: its memory holds, it
//! writes down every one of them, and who was blocked before them stays blocked. So it is with a
//! twelfth of the memory, and then webapp says that it forgot clients. And where 20,000 blocks end at
//! nearly one time, each of them is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::check;
use super::pipeline::{Brief, Pipeline};
use super::scratch::Scratch;
use super::webapp::Webapp;
use crate::wait::{self, Stopwatch};

const CLIENTS: u32 = 200_000;
const CONNECTIONS: u32 = 4;

/// Requests in one write. What waits behind a request must stay below 8 KiB.
const AT_ONCE: usize = 50;

/// Longer than the flood.
const BLOCK_SECONDS: u64 = 120;

/// Who is blocked.
const BLOCKED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// The default of `RATE_LIMIT_MEMORY_BYTES`, and less than the clients need.
const LIMITER_BYTES_MAX: u64 = 48 << 20;
const LITTLE_BYTES_MAX: u64 = 4 << 20;
const RESIDENT_BYTES_MAX: u64 = 64 << 20;

/// Clients that are blocked at one time: more than the queue of a rare log holds.
const CROWD: u32 = 20_000;
const CROWD_BLOCK_SECONDS: u64 = 3;

/// Longest wait for the ends of their blocks; webapp tells of 4,096 a second.
const CROWD_PATIENCE: Duration = Duration::from_secs(30);

/// Longest wait for a heartbeat, which comes every 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    let block = BLOCK_SECONDS.to_string();
    let arguments = ["--trusted-proxies", "127.0.0.1", "--rate-limit-base-block-seconds", &block];
    let mut webapp = Webapp::start(scratch, "flood", &scratch.path("logs"), &arguments)?;

    let began = Stopwatch::start();
    check("a client is blocked for its 31st request", || {
        let answers = ask(&webapp, &[BLOCKED; 31])?;
        let passed = answers.iter().take_while(|answer| answer.status == 200).count();
        ensure!(passed == 30, "{passed} passed");
        is_held(&answers[30], &began)
    })?;
    let half = CLIENTS / 2;
    check("100,000 clients pass", || flood(&webapp, 0..half))?;
    check("in memory of 64 MB", || {
        let bytes = webapp.resident()?;
        ensure!(bytes < RESIDENT_BYTES_MAX, "{} MB", bytes >> 20);
        Ok(format!("{} MB", bytes >> 20))
    })?;
    check("the blocked one stays blocked", || is_held(&ask(&webapp, &[BLOCKED])?[0], &began))?;
    check("100,000 others pass", || flood(&webapp, half..CLIENTS))?;
    check("the blocked one stays blocked to the end", || {
        is_held(&ask(&webapp, &[BLOCKED])?[0], &began)
    })?;
    let bytes = LITTLE_BYTES_MAX.to_string();
    let little = [&arguments[..], &["--rate-limit-memory-bytes", &bytes]].concat();
    let mut little = Webapp::start(scratch, "little", &scratch.path("little"), &little)?;
    check("in little memory the blocked one stays blocked too", || {
        let began = Stopwatch::start();
        ask(&little, &[BLOCKED; 31])?;
        flood(&little, 0..half)?;
        is_held(&ask(&little, &[BLOCKED])?[0], &began)
    })?;
    // Meanwhile the heartbeats come that are looked at below.
    crowd(scratch)?;
    check("the limiter keeps to its memory", || {
        let beat =
            wait::until(PATIENCE, || heartbeat(&webapp, CLIENTS))?.context("no heartbeat")?;
        ensure!(figure(&beat, "rate_limit.bytes")? <= LIMITER_BYTES_MAX, "{beat}");
        ensure!(figure(&beat, "connections_shed_total")? == 0, "connections were shed: {beat}");
        let (clients, bytes) =
            (figure(&beat, "rate_limit.clients")?, figure(&beat, "rate_limit.bytes")?);
        let (megabytes, resident) = (bytes >> 20, webapp.resident()? >> 20);
        Ok(format!("{clients} clients counted with {megabytes} MB; {resident} MB in all"))
    })?;
    check("with little it says what it forgot", || {
        let beat = wait::until(PATIENCE, || heartbeat(&little, half))?.context("no heartbeat")?;
        ensure!(figure(&beat, "rate_limit.bytes")? <= LITTLE_BYTES_MAX, "{beat}");
        ensure!(beat["log.level"] == "warn", "{beat}");
        let (evicted, resident) =
            (figure(&beat, "rate_limit.evicted_live_total")?, little.resident()? >> 20);
        ensure!(evicted > 0, "{beat}");
        little.end()?;
        Ok(format!("{evicted} clients; {resident} MB in all"))
    })?;
    check("every request has its record", || {
        webapp.end()?;
        let records = webapp.sequences("requests")?;
        let sent = u64::from(CLIENTS) + 31 + 2;
        ensure!(records == (1..=sent).collect::<Vec<_>>(), "{} records for {sent}", records.len());
        Ok(format!("{sent} records"))
    })
}

/// Many blocks that end at nearly one time.
fn crowd(scratch: &Scratch) -> Result<()> {
    let block = CROWD_BLOCK_SECONDS.to_string();
    let arguments = [
        ["--trusted-proxies", "127.0.0.1"],
        ["--rate-limit-requests", "1"],
        ["--rate-limit-base-block-seconds", &block],
        ["--rate-limit-max-block-seconds", &block],
    ];
    let mut webapp = Webapp::start(scratch, "crowd", &scratch.path("crowd"), &arguments.concat())?;
    let clients: Vec<_> = (0..CROWD).map(|n| Ipv4Addr::from_bits(0x0a00_0000 + n)).collect();
    check("20,000 clients are blocked for their second request", || {
        let watch = Stopwatch::start();
        for expected in [200, 429] {
            let answers = ask(&webapp, &clients)?;
            let other = answers.iter().find(|answer| answer.status != expected);
            ensure!(other.is_none(), "{other:?} and not {expected}");
        }
        Ok(format!("in {:.1} s", watch.elapsed().as_secs_f64()))
    })?;
    check("the end of each block is told once", || {
        let watch = Stopwatch::start();
        let all = wait::until(CROWD_PATIENCE, || {
            // While a line is written, half of it may be read.
            let told = ends(&webapp).unwrap_or_default();
            Ok((told.len() >= clients.len()).then_some(()))
        })?;
        let waited = watch.elapsed().as_secs_f64();
        webapp.end()?;
        let told = ends(&webapp)?;
        ensure!(all.is_some(), "{} of {CROWD} are told", told.len());
        let expected = clients.iter().map(|client| (client.to_string(), 1)).collect();
        ensure!(told == expected, "others are told, or one twice");
        Ok(format!("after {waited:.1} s"))
    })?;
    check("and no record is lost", || {
        let mut losses = Vec::new();
        webapp.records("errors", |record| {
            if record["event.action"] == "log_loss" {
                losses.push(record);
            }
        })?;
        ensure!(losses.is_empty(), "{losses:?}");
        let records = webapp.sequences("suspicious")?;
        let expected = 2 * u64::from(CROWD);
        ensure!(records == (1..=expected).collect::<Vec<_>>(), "{} records", records.len());
        Ok(format!("{expected} records"))
    })
}

/// Whose blocks are told to have ended, and how often.
fn ends(webapp: &Webapp) -> Result<BTreeMap<String, u32>> {
    let mut told = BTreeMap::new();
    webapp.records("suspicious", |record| {
        if record["event.action"] == "block_ended" {
            let client = record["client.ip"].as_str().unwrap_or_default();
            *told.entry(client.to_owned()).or_default() += 1;
        }
    })?;
    Ok(told)
}

/// One request of each client.
fn flood(webapp: &Webapp, clients: Range<u32>) -> Result<String> {
    let watch = Stopwatch::start();
    let each = clients.len() as u32 / CONNECTIONS;
    let part = |n: u32| -> Result<()> {
        let first = clients.start + n * each;
        let addresses: Vec<_> =
            (first..first + each).map(|n| Ipv4Addr::from_bits(0x0a00_0000 + n)).collect();
        let answers = ask(webapp, &addresses)?;
        let refused = answers.iter().find(|answer| answer.status != 200);
        ensure!(refused.is_none(), "{refused:?}");
        Ok(())
    };
    thread::scope(|scope| -> Result<()> {
        let part = &part;
        let parts: Vec<_> = (0..CONNECTIONS).map(|n| scope.spawn(move || part(n))).collect();
        for part in parts {
            part.join().ok().context("a connection panicked")??;
        }
        Ok(())
    })?;
    Ok(format!("in {:.1} s", watch.elapsed().as_secs_f64()))
}

/// A request of each of these clients, over one connection.
fn ask(webapp: &Webapp, clients: &[Ipv4Addr]) -> Result<Vec<Brief>> {
    let mut pipeline = Pipeline::open(webapp.address)?;
    let mut answers = Vec::with_capacity(clients.len());
    for some in clients.chunks(AT_ONCE) {
        let mut heads = String::new();
        for client in some {
            write!(
                heads,
                "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n"
            )?;
        }
        answers.extend(pipeline.ask(heads.as_bytes(), some.len())?);
    }
    Ok(answers)
}

/// It is refused, and told to wait as long as the block that began then still lasts.
fn is_held(answer: &Brief, began: &Stopwatch) -> Result<String> {
    ensure!(answer.status == 429, "{}", answer.status);
    let wait = answer.retry_after.context("no Retry-After")?;
    let left = BLOCK_SECONDS.saturating_sub(began.elapsed().as_secs());
    ensure!((left.saturating_sub(1)..=left + 1).contains(&wait), "{wait} s, but {left} are left");
    Ok(format!("{wait} s left"))
}

/// The first heartbeat that knows of so many requests.
fn heartbeat(webapp: &Webapp, requests: u32) -> Result<Option<Value>> {
    let mut found = None;
    let read = webapp.records("errors", |record| {
        let all = record["requests_total"].as_u64() >= Some(u64::from(requests));
        if all && found.is_none() {
            found = Some(record);
        }
    });
    // While a line is written, half of it may be read.
    Ok(read.ok().and(found))
}

fn figure(beat: &Value, key: &str) -> Result<u64> {
    beat[key].as_u64().with_context(|| format!("no {key}: {beat}"))
}
