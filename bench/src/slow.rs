//! `bench slow`: what a normal client notices of thousands of connections that send a byte now and
//! then.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{drip::Drip, figures::quantile, paced, say::say, server::Server};

const SLOW_CONNECTIONS: u64 = 2_000;

/// Requests of the normal client in one go.
const REQUESTS: u32 = 5_000;

/// Between two of them: the machine is to be far from busy.
const EVERY: Duration = Duration::from_millis(2);

/// Quiet and slow, in turns.
const ROUNDS: usize = 2;

/// Prints the latencies.
///
/// # Errors
/// An answer is not 200, or the slow connections did not stay open.
pub(crate) fn run() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let webapp = Server::webapp(dir.path(), &[])?;
    let (mut quiet, mut slow) = (Vec::new(), Vec::new());
    // What is not there yet is made by the first requests.
    paced::latencies(webapp.address, REQUESTS / 10, EVERY)?;
    let mut opened = 0;
    for _ in 0..ROUNDS {
        quiet.extend(paced::latencies(webapp.address, REQUESTS, EVERY)?);
        let drip = Drip::open(webapp.address, SLOW_CONNECTIONS)?;
        slow.extend(paced::latencies(webapp.address, REQUESTS, EVERY)?);
        let open = drip.count();
        ensure!(
            open >= SLOW_CONNECTIONS * 9 / 10,
            "only {open} of {SLOW_CONNECTIONS} slow connections are open"
        );
        opened += drip.opened();
    }
    say!(
        "{} requests each, one in {} ms; {SLOW_CONNECTIONS} slow connections, {opened} opened in all",
        quiet.len(),
        EVERY.as_millis(),
    );
    say!("");
    say!("{:<20} {:>9} {:>9} {:>9}", "milliseconds", "p50", "p99", "max");
    let quiet_p99 = row("quiet", &mut quiet);
    let slow_p99 = row("slow connections", &mut slow);
    say!("");
    say!("p99 under slow connections: {:.2} of the quiet one", slow_p99 / quiet_p99);
    say!("memory: {:.1} MB", webapp.process.memory()? as f64 / 1e6);
    webapp.process.stop()
}

fn row(name: &str, millis: &mut [f64]) -> f64 {
    millis.sort_by(f64::total_cmp);
    let p99 = quantile(millis, 0.99);
    let (p50, max) = (quantile(millis, 0.5), quantile(millis, 1.0));
    say!("{name:<20} {p50:>9.3} {p99:>9.3} {max:>9.3}");
    p99
}
