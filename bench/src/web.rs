//! `bench web`: bare warp and webapp in turns; what a request costs each, and how that compares.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    figures::Middle,
    load::{self, Get},
    say::say,
    server::Server,
};

/// Requests of one round: one to three seconds.
const ROUND_REQUESTS: u64 = 40_000;

/// Rounds of each server. All records of a row fit into the files that webapp keeps by default.
const ROUNDS: usize = 10;

/// A row of the table.
struct Row {
    name: &'static str,
    path: &'static str,
    variables: &'static [(&'static str, &'static str)],
}

/// As much as the limiter can be told to allow; the client below asks less.
const LIMITED: [(&str, &str); 3] = [
    ("RATE_LIMIT_REQUESTS", "100000"),
    ("RATE_LIMIT_WINDOW_SECONDS", "1"),
    ("RATE_LIMIT_EXEMPT", "none"),
];

const ROWS: [Row; 3] = [
    Row { name: "GET /health", path: "/health", variables: &[] },
    Row { name: "GET /health, limited", path: "/health", variables: &LIMITED },
    Row { name: "GET /, limited", path: "/", variables: &LIMITED },
];

/// What a round came to.
struct Round {
    per_second: f64,
    cpu_micros: f64,
}

/// Prints the table.
///
/// # Errors
/// An answer is not 200, or a record is missing.
pub(crate) fn run() -> Result<()> {
    let bare = Server::bare()?;
    say!("{ROUNDS} rounds of {ROUND_REQUESTS} requests each, bare warp and webapp in turns");
    say!("medians, and between what half of the rounds lie");
    say!("");
    say!("{:<21} {:>21} {:>21} {:>10}", "", "requests/s", "CPU us/request", "memory");
    for row in &ROWS {
        measure(&bare, row)?;
    }
    bare.process.stop()
}

fn measure(bare: &Server, row: &Row) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let webapp = Server::webapp(dir.path(), row.variables)?;
    let mut rounds = Vec::new();
    // The first round of each warms it up and does not count.
    for n in 0..=ROUNDS {
        // A B B A: what drifts meanwhile falls on both.
        let (theirs, ours) = if n % 2 == 0 {
            let theirs = round(bare, "/health")?;
            (theirs, round(&webapp, row.path)?)
        } else {
            let ours = round(&webapp, row.path)?;
            (round(bare, "/health")?, ours)
        };
        if n > 0 {
            rounds.push((theirs, ours));
        }
    }
    let memory = webapp.process.memory()?;
    webapp.process.stop()?;
    let sent = ROUND_REQUESTS * (ROUNDS as u64 + 1);
    let written = records(dir.path())?;
    ensure!(written == sent, "{}: {sent} requests and {written} records", row.name);

    let line = |name: &str, round: &[&Round], memory: u64| {
        say!(
            "{name:<21} {:>21} {:>21} {:>7.1} MB",
            format!("{:.0}", Middle::of(round.iter().map(|r| r.per_second)).median),
            Middle::of(round.iter().map(|r| r.cpu_micros)).to_string(),
            memory as f64 / 1e6,
        );
    };
    let theirs: Vec<_> = rounds.iter().map(|(theirs, _)| theirs).collect();
    let ours: Vec<_> = rounds.iter().map(|(_, ours)| ours).collect();
    line("bare warp", &theirs, bare.process.memory()?);
    line(row.name, &ours, memory);
    let ratio = Middle::of(rounds.iter().map(|(theirs, ours)| theirs.cpu_micros / ours.cpu_micros));
    say!("  {ratio} of bare warp per CPU second; {written} records");
    say!("");
    Ok(())
}

fn round(server: &Server, path: &str) -> Result<Round> {
    let before = server.process.cpu()?;
    let took = load::drive(server.address, ROUND_REQUESTS, Get(path.to_owned()))?;
    let cpu = server.process.cpu()?.saturating_sub(before);
    ensure!(cpu > Duration::ZERO, "a round too short to be measured");
    let requests = ROUND_REQUESTS as f64;
    Ok(Round {
        per_second: requests / took.as_secs_f64(),
        cpu_micros: cpu.as_secs_f64() * 1e6 / requests,
    })
}

/// Lines of requests.log and of the files it was rotated to.
fn records(dir: &Path) -> Result<u64> {
    let mut lines = 0;
    for file in fs::read_dir(dir)? {
        let file = file?;
        if file.file_name().to_string_lossy().starts_with("requests.log") {
            let path = file.path();
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            lines += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        }
    }
    Ok(lines)
}
