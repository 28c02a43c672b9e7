//! Events in; lines in `requests.log`, `errors.log` and `suspicious.log` out.
//!
//! ```text
//! event → slog logger ─┬─ requests: json → batch (bounded, naps, one write for many lines) ─┐
//!                      └─ errors, suspicious: slog-async (bounded) → slog-json ─────────────┴─→ file
//! ```
//! Nothing here blocks a request, and nothing that fails here fails a request: what cannot be kept
//! is counted, and `log_loss` tells it.

mod tally;
mod lines;
mod json;
mod batch;
mod counted;
mod file;

use std::{
    fs, io,
    panic::UnwindSafe,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use parking_lot::Mutex;
use slog::{Drain, Level, Logger, Never, SendSyncRefUnwindSafeDrain, o};

use crate::{
    clock,
    record::{Event, Stamped},
};
use batch::{Batch, BatchWriter};
use counted::Counted;
use file::LogFile;
use lines::Lines;
pub use tally::{Loss, Tally, Untold};

/// Records that may wait for the writer of a rare stream.
const RARE_RECORDS_MAX: usize = 8_192;

/// Longest time that closing waits for the last lines: of errors.log, and before that of the others.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// The three logs. Cheap to share; writing to one never blocks and never fails.
#[derive(Debug)]
pub struct Logs {
    /// One record per request.
    pub requests: Stream,
    /// What went wrong, and the life of the process.
    pub errors: Stream,
    /// What guards refused.
    pub suspicious: Stream,
}

/// One log.
#[derive(Debug)]
pub struct Stream {
    name: &'static str,
    dataset: &'static str,
    instance: Option<String>,
    logger: Logger,
    sequence: AtomicU64,
    tally: Arc<Tally>,
}

/// Holds the writers until its [`Keeper::close`].
pub struct Keeper {
    requests: BatchWriter,
    errors: RareWriter,
    suspicious: RareWriter,
}

/// The other end of a rare stream's queue.
struct RareWriter {
    thread: slog_async::AsyncGuard,
    file: Arc<Mutex<LogFile>>,
}

/// Asks the writers to open their files anew, for SIGHUP.
#[derive(Clone)]
pub struct Reopen(Arc<batch::Queue>);

impl Logs {
    /// Creates the directory and opens the three files.
    ///
    /// # Errors
    /// The directory cannot be created, or a file cannot be appended to.
    pub fn open(
        dir: &Path,
        bytes_max: u64,
        instance: Option<&str>,
        now: Instant,
    ) -> io::Result<(Self, Keeper)> {
        fs::create_dir_all(dir)?;
        let open = |name: &str| {
            let tally = Arc::new(Tally::default());
            let file = LogFile::open(&dir.join(name), bytes_max, Arc::clone(&tally), now)?;
            io::Result::Ok((Arc::new(Mutex::new(file)), tally))
        };
        let (requests, requests_tally) = open("requests.log")?;
        let (errors, errors_tally) = open("errors.log")?;
        let (suspicious, suspicious_tally) = open("suspicious.log")?;

        let files = vec![Arc::clone(&requests), Arc::clone(&errors), Arc::clone(&suspicious)];
        let (batch, writer) = Batch::start(files, Arc::clone(&requests_tally))?;
        let (errors, errors_writer) = rare("errors", errors, &errors_tally);
        let (suspicious, suspicious_writer) = rare("suspicious", suspicious, &suspicious_tally);

        let logs = Self {
            requests: Stream::new("requests", "webapp.requests", batch, requests_tally, instance),
            errors: Stream::new("errors", "webapp.errors", errors, errors_tally, instance),
            suspicious: Stream::new(
                "suspicious",
                "webapp.suspicious",
                suspicious,
                suspicious_tally,
                instance,
            ),
        };
        let keeper =
            Keeper { requests: writer, errors: errors_writer, suspicious: suspicious_writer };
        Ok((logs, keeper))
    }

    /// The three, by name.
    pub fn streams(&self) -> [&Stream; 3] {
        [&self.requests, &self.errors, &self.suspicious]
    }
}

fn rare(
    name: &'static str,
    file: Arc<Mutex<LogFile>>,
    tally: &Arc<Tally>,
) -> (Counted, RareWriter) {
    let theirs = Arc::clone(&file);
    let write = move |line: &[u8]| theirs.lock().append(line, clock::now());
    // The writer beneath never fails; `ignore_res` says so without a way to panic.
    let json = slog_json::Json::new(Lines::new(write)).set_flush(true).build().ignore_res();
    let (core, thread) = slog_async::AsyncCore::custom(json)
        .chan_size(RARE_RECORDS_MAX)
        .thread_name(format!("log-{name}"))
        .build_with_guard();
    (Counted::new(core, Arc::clone(tally)), RareWriter { thread, file })
}

impl Stream {
    fn new(
        name: &'static str,
        dataset: &'static str,
        drain: impl SendSyncRefUnwindSafeDrain<Ok = (), Err = Never> + UnwindSafe + 'static,
        tally: Arc<Tally>,
        instance: Option<&str>,
    ) -> Self {
        // All keys come with the event, in one order, the time first.
        let logger = Logger::root(drain, o!());
        let instance = instance.map(str::to_owned);
        Self { name, dataset, instance, logger, sequence: AtomicU64::new(0), tally }
    }

    /// Writes an event that happened at `at`.
    pub fn write(&self, level: Level, at: Timestamp, event: &Event<'_>) {
        // Relaxed: the numbers must differ, not be in order between threads.
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let timestamp = format!("{at:.3}");
        let stamped = Stamped {
            timestamp: &timestamp,
            level,
            dataset: self.dataset,
            sequence,
            instance: self.instance.as_deref(),
            event,
        };
        // The level of slog's own record is not shown; `log.level` is.
        let place = slog::record_static!(Level::Info, "");
        let message = format_args!("{}", event.message);
        self.logger.log(&slog::Record::new(&place, &message, slog::BorrowedKV(&stamped)));
    }

    /// `requests`, `errors` or `suspicious`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What became of its records.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Keeper {
    /// A handle for SIGHUP.
    pub fn reopen(&self) -> Reopen {
        Reopen(self.requests.queue())
    }

    /// Writes what is left and ends the writers. What a disk does not take, or not in time, is lost
    /// and counted so. `last_words` runs between: errors.log alone is still open then.
    pub fn close(self, logs: &Logs, last_words: impl FnOnce()) {
        let Self { requests, errors, suspicious } = self;
        in_time(move || {
            suspicious.close();
            requests.close();
        });
        logs.requests.tally.give_up(clock::now());
        logs.suspicious.tally.give_up(clock::now());
        last_words();
        in_time(move || errors.close());
        logs.errors.tally.give_up(clock::now());
    }
}

impl RareWriter {
    /// Writes what is left.
    fn close(self) {
        // Waits for its thread.
        drop(self.thread);
        self.file.lock().finish(clock::now());
    }
}

/// Waits for a disk, but not for ever.
fn in_time(close: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        close();
        // Nobody listens once the time is over.
        done.send(()).ok();
    });
    is_done.recv_timeout(CLOSE_TIME_MAX).ok();
}

impl Reopen {
    /// Opens the files anew, soon.
    pub fn request(&self) {
        self.0.request_reopen();
    }
}
