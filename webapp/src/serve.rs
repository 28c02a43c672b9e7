//! A bound listener and a signal to stop in; a served and cleanly ended server out.

mod upkeep;

use std::{io, sync::Arc, time::Duration};

use shared::record::action;
use slog::Level;
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

use crate::{
    accept,
    app::App,
    clock,
    listen::{Address, Bound},
    log::Keeper,
    panics,
    phase::Phase,
    record::{Event, Extra},
    routes::Site,
};

/// How long connections may take to end by themselves: less than the ten seconds after which container
/// engines kill, since the last lines are still to be written then.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(8);

/// Serves until `shutdown`, then ends the connections; every request has its record when this
/// returns what `shutdown` said. `ready` is called when connections are taken.
///
/// # Errors
/// The listener is not one that tokio can use.
pub async fn run(
    listener: Bound,
    app: Arc<App>,
    site: Site,
    shutdown: impl Future<Output = &'static str>,
    ready: impl FnOnce(),
) -> io::Result<&'static str> {
    let address = listener.address()?;
    let listener = listener.listen()?;
    panics::install(Arc::clone(&app));
    let (phase, phases) = watch::channel(Phase::Serving);
    let accepting = tokio::spawn(accept::accept(listener, Arc::clone(&app), site, phases));
    let (keep_up, ending) = oneshot::channel();
    let upkeep = tokio::spawn(upkeep::keep_up(Arc::clone(&app), ending));

    let settings = &app.settings;
    let mut extra =
        vec![("rate_limit.clients_max", Extra::Count(settings.guards.rate.clients_max()))];
    match address {
        Address::Tcp(address) => {
            extra.push(("server.address", Extra::Text(address.ip().to_string())));
            extra.push(("server.port", Extra::Count(u64::from(address.port()))));
        }
        Address::Unix(path) => {
            extra.push(("server.address", Extra::Text(path.display().to_string())));
        }
    }
    let started =
        Event { message: "started", action: action::STARTUP, extra: &extra, ..Event::default() };
    app.logs.errors.write(Level::Info, clock::timestamp(), &started);
    for warning in settings.warnings() {
        let event = Event {
            message: "dangerous setting",
            action: action::STARTUP,
            reason: Some(warning),
            ..Event::default()
        };
        app.logs.errors.write(Level::Warning, clock::timestamp(), &event);
    }
    ready();

    let signal = shutdown.await;
    phase.send_replace(Phase::Draining);
    // They have no end of their own to wait for.
    app.streams.end();
    let mut accepting = accepting;
    if timeout(DRAIN_TIME_MAX, &mut accepting).await.is_err() {
        phase.send_replace(Phase::Closing);
        // Each connection sees it and ends; a panic in the loop has been reported by the hook.
        accepting.await.ok();
    }
    drop(keep_up);
    upkeep.await.ok();
    Ok(signal)
}

/// Closes the logs when nothing serves any more. The last lines tell what was lost, and why it ended.
pub fn end(app: &App, keeper: Keeper, reason: &str) {
    keeper.close(&app.logs, || {
        upkeep::tell_loss(app);
        let ended = Event {
            message: "stopped",
            action: action::SHUTDOWN,
            reason: Some(reason),
            ..Event::default()
        };
        app.logs.errors.write(Level::Info, clock::timestamp(), &ended);
    });
    upkeep::tell_last_loss(app);
}
