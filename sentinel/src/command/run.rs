//! `sentinel run`: the daemon, its socket and its signals.

use std::{fs, io, sync::Arc, thread};

use shared::alert::Observer;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    bell,
    board::{Board, Status},
    checkpoint::lock,
    daemon::{Daemon, clock::Clock},
    failure::{Failure, say},
    rule::load::{self, Loaded},
    settings::Settings,
    socket, watch,
};

/// Who raises alerts here.
pub fn observer() -> Observer {
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Observer { name: "sentinel".into(), version: env!("CARGO_PKG_VERSION").into(), hostname }
}

/// Runs until a signal or, with `--once`, until everything is read.
///
/// # Errors
/// What keeps it from starting, or ended it.
pub fn run(settings: Settings) -> Result<(), Failure> {
    let rules = load::load(&settings.rules)?;
    // Listing tells what opening a directory would not.
    fs::read_dir(&settings.log_dir).map_err(|error| {
        Failure::Io(format!(
            "cannot read the log directory {}: {error}; create it or name another with --log-dir \
             (SENTINEL_LOG_DIR)",
            settings.log_dir.display()
        ))
    })?;
    let lock = lock::lock(&settings)?;
    let clock = Clock::read();
    let started_at = clock.wall.rfc3339();
    let status = Status { version: env!("CARGO_PKG_VERSION"), started_at, ..Status::default() };
    let board = Arc::new(Board::new(status, clock.now));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Io(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(supervise(settings, rules, board));
    drop(lock);
    ended
}

async fn supervise(settings: Settings, rules: Loaded, board: Arc<Board>) -> Result<(), Failure> {
    let bound = socket::Bound::bind(&settings.socket)?;
    let (bell, calls) = bell::bell();
    let hinted = bell.clone();
    let hint = watch::hint(&settings.log_dir, settings.watch, move || hinted.wake())?;
    let failed = |error: io::Error| Failure::Io(format!("cannot take signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let started = format!(
        "version {}, {} rules from {}, watching {}, alerts to {}, answering on {}",
        env!("CARGO_PKG_VERSION"),
        rules.set.rules.len(),
        settings.rules.display(),
        settings.log_dir.display(),
        settings.alerts.display(),
        settings.socket.display(),
    );
    let once = settings.once;
    let shown = Arc::clone(&board);
    let (done, mut ended) = tokio::sync::oneshot::channel();
    let evaluator = thread::Builder::new().name("evaluator".into()).spawn(move || {
        let state_dir = settings.state_dir.clone();
        let result =
            Daemon::start(settings, rules, observer(), shown, Clock::read()).and_then(|daemon| {
                say(&started);
                daemon
                    .run(&calls, once)
                    .map_err(|error| Failure::at("leave a snapshot in", &state_dir, &error))
            });
        // Whoever waited may be gone.
        drop(done.send(result));
    });
    let evaluator =
        evaluator.map_err(|error| Failure::Io(format!("cannot start the evaluator: {error}")))?;
    let server = tokio::spawn(socket::serve(bound, Arc::clone(&board)));
    let result = loop {
        tokio::select! {
            result = &mut ended => break result,
            _ = terminate.recv() => bell.stop(),
            _ = interrupt.recv() => bell.stop(),
            // Files are looked at again anyhow; a habit of sending it must not end the daemon.
            _ = hangup.recv() => bell.wake(),
        }
    };
    // Streams still tell the last alerts.
    board.end();
    drop(server.await);
    drop(hint);
    match (result, evaluator.join()) {
        (Ok(result), Ok(())) => result,
        _ => Err(Failure::Io(
            "the evaluator ended unexpectedly; what it was working on is read \
                              again at the next start"
                .into(),
        )),
    }
}
