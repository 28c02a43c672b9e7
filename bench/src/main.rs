//! Measures webapp and sentinel on this machine: figures that compare, not figures to boast with.
//!
//! ```text
//! web       load ⇄ bare warp | webapp, in turns       requests and CPU time per request, their ratio
//! clients   load ⇄ webapp, 100,000 clients            memory
//! slow      2,000 slow connections, paced ⇄ webapp    latencies, quiet and under them
//! latency   log lines → sentinel | tail -F, in turns  from a line to its alert
//! load      load ⇄ any server                         for a profiler at its side
//! ```
//! Run by `cargo xtask bench`, which builds them beside it. docs/performance.md says what the
//! figures mean.

mod clock;
mod figures;
mod say;
mod process;
mod server;
mod bare;
mod connection;
mod load;
mod paced;
mod drip;
mod lines;
mod sight;
mod watcher;
mod steady;

mod web;
mod clients;
mod slow;
mod latency;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["web"] => web::run(),
        ["clients"] => clients::run(),
        ["slow"] => slow::run(),
        ["latency"] => latency::run(),
        ["load", address, path, requests] => load::run(address, path, requests),
        [bare::NAME] => bare::run(),
        _ => bail!("usage: bench web | clients | slow | latency | load ADDRESS PATH REQUESTS"),
    }
}
