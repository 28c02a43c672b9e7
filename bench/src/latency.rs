//! `bench latency`: from a line in a log file to its alert, against `tail -F`, which only prints it.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::Result;

use crate::{
    figures::quantile,
    lines,
    say::say,
    steady::{BURST_EVERY, Load},
    watcher::Watcher,
};

/// Bursts of one round: ten seconds of them.
const BURSTS: u32 = 10_000;

/// Lines per burst, and one of how many is a probe: 1,000 lines/s with 111 probes, 20,000 with 206.
const LOADS: [(u32, u32); 2] = [(1, 9), (20, 97)];

const WATCHERS: [Watcher; 3] =
    [Watcher::Tail, Watcher::Sentinel("inotify"), Watcher::Sentinel("poll")];

const HEADINGS: &str = "\
milliseconds             seen in           p50       p99       max    p50/tail p99/tail    CPU";

/// What one watcher came to: by the place at which probes were seen.
struct Case {
    watcher: Watcher,
    seen: Vec<(&'static str, Vec<f64>)>,
    cpu_seconds: f64,
}

/// Prints the latencies.
///
/// # Errors
/// A probe did not come, or came twice.
pub(crate) fn run() -> Result<()> {
    let seconds = (BURST_EVERY * BURSTS).as_secs_f64() * 2.0;
    say!("{seconds} s of lines for each watcher, in turns; from the write of a line to its sight");
    for (lines_per_burst, probe_every) in LOADS {
        let load = Load { lines_per_burst, bursts: BURSTS, probe_every };
        let mut cases =
            WATCHERS.map(|watcher| Case { watcher, seen: Vec::new(), cpu_seconds: 0.0 });
        let mut late = Vec::new();
        // A B C C B A: what drifts meanwhile falls on all.
        for index in (0..cases.len()).chain((0..cases.len()).rev()) {
            late.append(&mut cases[index].measure(load)?);
        }
        say!("");
        tell(load, &mut late);
        say!("");
        say!("{HEADINGS}");
        let mut tail = None;
        for case in &mut cases {
            for (place, millis) in &mut case.seen {
                millis.sort_by(f64::total_cmp);
                let [p50, p99, max] = [0.5, 0.99, 1.0].map(|at| quantile(millis, at));
                let (tail_p50, tail_p99) = *tail.get_or_insert((p50, p99));
                say!(
                    "{:<24} {place:<11} {p50:>9.3} {p99:>9.3} {max:>9.3} {:>11.1} {:>8.1} {:>5.1}%",
                    case.watcher.to_string(),
                    p50 / tail_p50,
                    p99 / tail_p99,
                    case.cpu_seconds / seconds * 100.0,
                );
            }
        }
    }
    Ok(())
}

fn tell(load: Load, late: &mut [f64]) {
    late.sort_by(f64::total_cmp);
    say!(
        "{} lines/s, {} in a write each {} ms, late by {:.3} (p50), {:.3} (p99), {:.3} ms (max); {} probes",
        load.lines_per_burst as f64 / BURST_EVERY.as_secs_f64(),
        load.lines_per_burst,
        BURST_EVERY.as_millis(),
        quantile(late, 0.5),
        quantile(late, 0.99),
        quantile(late, 1.0),
        load.probes() * 2,
    );
}

impl Case {
    /// One round, in a fresh directory. Gives by how much each write was late.
    fn measure(&mut self, load: Load) -> Result<Vec<f64>> {
        let dir = tempfile::tempdir()?;
        let mut log = log(dir.path())?;
        let (mut process, mut sights) = self.watcher.start(dir.path(), load.probes())?;
        let before = process.cpu()?;
        let driven = load.drive(&mut log, &mut process, &mut sights)?;
        self.cpu_seconds += (process.cpu()? - before).as_secs_f64();
        for sight in &sights {
            let millis = driven.latencies(sight);
            match self.seen.iter_mut().find(|(place, _)| *place == sight.name) {
                Some((_, all)) => all.extend(millis),
                None => self.seen.push((sight.name, millis)),
            }
        }
        Ok(driven.late)
    }
}

/// A log with a line in it.
fn log(dir: &Path) -> Result<File> {
    std::fs::create_dir(dir.join("logs"))?;
    let mut log = File::options().create(true).append(true).open(dir.join("logs/requests.log"))?;
    let mut text = String::new();
    lines::append(&mut text, 0, std::time::Duration::ZERO, None);
    log.write_all(text.as_bytes())?;
    Ok(log)
}
