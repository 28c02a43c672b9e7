//! Measures webapp on this machine: figures that compare, not figures to boast with.
//!
//! ```text
//! web       load ⇄ bare warp | webapp, in turns       requests and CPU time per request, their ratio
//! clients   load ⇄ webapp, 100,000 clients            memory
//! slow      2,000 slow connections, paced ⇄ webapp    latencies, quiet and under them
//! load      load ⇄ any server                         for a profiler at its side
//! ```
//! Run by `cargo xtask bench`, which builds webapp beside it. docs/performance.md says what the
//! figures mean.

mod clock;
mod figures;
mod say;
mod server;
mod bare;
mod connection;
mod load;
mod paced;
mod drip;

mod web;
mod clients;
mod slow;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["web"] => web::run(),
        ["clients"] => clients::run(),
        ["slow"] => slow::run(),
        ["load", address, path, requests] => load::run(address, path, requests),
        [bare::NAME] => bare::run(),
        _ => bail!("usage: bench web | clients | slow | load ADDRESS PATH REQUESTS"),
    }
}
