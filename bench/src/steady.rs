//! A log file, a rate and those who watch in; lines written steadily, and how long each probe took
//! to be seen, out.

use std::{
    fs::File,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{clock, lines, process::Process, sight::Sight};

/// Between two writes, each of as many whole lines as are due.
pub(crate) const BURST_EVERY: Duration = Duration::from_millis(1);

/// How long the last probes may take.
const LAST_MAX: Duration = Duration::from_secs(10);

/// Lines to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) lines_per_burst: u32,
    pub(crate) bursts: u32,
    /// One line of so many is a probe. No multiple of `lines_per_burst`: they are to stand anywhere in
    /// a burst.
    pub(crate) probe_every: u32,
}

impl Load {
    /// Probes in all.
    pub(crate) fn probes(&self) -> usize {
        (self.lines_per_burst * self.bursts).div_ceil(self.probe_every) as usize
    }

    /// Writes the lines and looks at what is told of them, in one thread that never sleeps: what is
    /// measured is the watcher, not how long we took to be woken. Gives the milliseconds by which
    /// bursts were late.
    ///
    /// # Errors
    /// A probe did not come, or came twice.
    pub(crate) fn drive(
        &self,
        log: &mut File,
        watcher: &mut Process,
        sights: &mut [Sight],
    ) -> Result<Driven> {
        let mut driven = Driven { written: Vec::new(), late: Vec::new() };
        let (mut n, mut text) = (0, String::new());
        let began = clock::now();
        for burst in 0..self.bursts {
            let since = BURST_EVERY * burst;
            text.clear();
            let mut probes = 0;
            for _ in 0..self.lines_per_burst {
                let is_probe = n % u64::from(self.probe_every) == 0;
                let probe = is_probe.then_some(driven.written.len() + probes);
                probes += usize::from(is_probe);
                lines::append(&mut text, n, since, probe);
                n += 1;
            }
            let due = began + since;
            while clock::now() < due {
                sights.iter_mut().try_for_each(Sight::look)?;
            }
            let now = clock::now();
            log.write_all(text.as_bytes())?;
            driven.late.push(millis(now - due));
            driven.written.extend((0..probes).map(|_| now));
        }
        let ended = clock::now();
        while !sights.iter().all(Sight::is_done) && ended.elapsed() < LAST_MAX {
            sights.iter_mut().try_for_each(Sight::look)?;
        }
        watcher.check_alive()?;
        for sight in sights {
            let missing = sight.seen.iter().filter(|seen| seen.is_none()).count();
            ensure!(
                missing == 0,
                "{}: {missing} of {} probes did not come",
                sight.name,
                self.probes()
            );
        }
        Ok(driven)
    }
}

/// What was written, and when.
pub(crate) struct Driven {
    /// Milliseconds by which each burst was late.
    pub(crate) late: Vec<f64>,
    /// When each probe was handed to the kernel.
    written: Vec<Instant>,
}

impl Driven {
    /// The milliseconds that each probe took.
    pub(crate) fn latencies(&self, sight: &Sight) -> Vec<f64> {
        let seen = sight.seen.iter().flatten();
        self.written.iter().zip(seen).map(|(written, seen)| millis(*seen - *written)).collect()
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
