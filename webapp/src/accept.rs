//! A listener in; accepted connections, as many as there is room for, out.

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    app::{App, Counters},
    client, connection,
    listen::{Listener, Stream},
    phase::Phase,
    routes::Site,
    seats::Seats,
};

/// First pause after a failed accept (no descriptor left, say); doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// Longest pause after a failed accept.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Accepts until draining begins; returns when the last connection has ended.
pub(crate) async fn accept(
    listener: Listener,
    app: Arc<App>,
    site: Site,
    mut phase: watch::Receiver<Phase>,
) {
    let seats = Arc::new(Seats::new(app.settings.connections_max));
    let mut connections = JoinSet::new();
    let mut pause = PAUSE_MIN;
    let theirs = phase.clone();
    loop {
        let accepted = tokio::select! {
            _serving_ended = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            _one_ended = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // The client left between its SYN and our accept.
            Err(error) if is_of_the_client(&error) => continue,
            Err(_) => {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
        };
        pause = PAUSE_MIN;
        Counters::add(&app.counters.connections);
        let max = if app.settings.proxies.is_trusted(peer) {
            usize::MAX
        } else {
            app.settings.connections_per_client_max
        };
        let network = client::network(peer.address(), app.settings.guards.rate.ipv6_prefix);
        let Some(seat) = Seats::take(&seats, network, max) else {
            Counters::add(&app.counters.connections_shed);
            continue;
        };
        let serving = connection::Serving {
            peer,
            app: Arc::clone(&app),
            site: site.clone(),
            phase: theirs.clone(),
        };
        connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => serving.serve(stream).await,
                Stream::Unix(stream) => serving.serve(stream).await,
            }
            drop(seat);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
