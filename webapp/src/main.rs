//! `webapp`: settings in, exit code out. 0 ended as asked · 1 not well (`healthcheck`) ·
//! 2 bad usage or settings · 3 I/O.

use std::{fmt, io, process::ExitCode, sync::Arc};

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use webapp::{
    app::App,
    clock, healthcheck, limits,
    listen::Address,
    log::{Logs, Reopen},
    routes, serve,
    settings::{Command, Fault, Settings, Written},
};

const BAD_SETTINGS: u8 = 2;
const BAD_IO: u8 = 3;

fn main() -> ExitCode {
    let written = Written::parse();
    match written.command {
        Some(Command::Healthcheck) => healthcheck(&written),
        None => serve(&written),
    }
}

fn healthcheck(written: &Written) -> ExitCode {
    let address = match written.address() {
        Ok(address) => address,
        Err(faults) => return refused(&faults),
    };
    match healthcheck::check(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(io::stderr(), format_args!("webapp: {address}: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(written: &Written) -> ExitCode {
    let parsed = Settings::parse(written, &routes::ENDPOINTS)
        .and_then(|settings| limits::raise(&settings).map(|()| settings).map_err(|f| vec![f]));
    let settings = match parsed {
        Ok(settings) => settings,
        Err(faults) => return refused(&faults),
    };
    match start(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say(io::stderr(), format_args!("webapp: {problem}"));
            BAD_IO.into()
        }
    }
}

fn refused(faults: &[Fault]) -> ExitCode {
    for fault in faults {
        say(io::stderr(), format_args!("webapp: {fault}"));
    }
    BAD_SETTINGS.into()
}

fn start(settings: Settings) -> Result<(), String> {
    let dir = settings.log_dir.display().to_string();
    let (logs, keeper) = Logs::open(
        &settings.log_dir,
        settings.log_bytes_max,
        settings.instance.as_deref(),
        clock::now(),
    )
    .map_err(|error| {
        format!(
            "LOG_DIR: cannot write logs in {dir:?}: {error}; name a directory this user may write"
        )
    })?;
    let address = settings.address.clone();
    let listener = address.bind().map_err(|error| match &address {
        Address::Tcp(address) => {
            format!("PORT: cannot listen on {address}: {error}; choose another, or end who has it")
        }
        Address::Unix(path) => format!(
            "LISTEN_SOCKET: cannot listen on {}: {error}; name another path, or end who has it",
            path.display()
        ),
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    for warning in settings.warnings() {
        say(io::stderr(), format_args!("webapp: warning: {warning}"));
    }
    let app = Arc::new(App::new(settings, logs, clock::now()));
    let site = routes::site(&app);
    let address = listener.address().unwrap_or(address);
    let ready = move || {
        say(
            io::stdout(),
            format_args!("webapp {} listening on {address}", env!("CARGO_PKG_VERSION")),
        )
    };
    let served = runtime
        .block_on(async {
            let signals = Signals::listen()?;
            let hangup = tokio::spawn(reopen_on_hangup(keeper.reopen())?);
            let signal = serve::run(listener, Arc::clone(&app), site, signals.any(), ready).await?;
            hangup.abort();
            io::Result::Ok(signal)
        })
        .map_err(|error| format!("cannot serve: {error}"));
    // Ends tasks that outlive their connection, so that nothing is logged behind the last line.
    drop(runtime);
    let reason = served.as_ref().map_or_else(String::as_str, |signal| *signal);
    serve::end(&app, keeper, reason);
    served.map(drop)
}

/// What ends the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn any(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn reopen_on_hangup(reopen: Reopen) -> io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            reopen.request();
        }
    })
}

/// One line for whoever reads along. `println!` would panic where nobody does any more.
fn say(mut to: impl io::Write, line: fmt::Arguments<'_>) {
    writeln!(to, "{line}").and_then(|()| to.flush()).ok();
}
