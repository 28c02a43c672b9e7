//! A listener in; accepted connections, as many as there is room for, out.

use std::{collections::HashMap, io, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::sleep,
};

use crate::{
    app::{App, Counters},
    client, connection,
    listen::{Listener, Stream},
    phase::Phase,
    routes::Site,
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
    let room = Arc::new(Semaphore::new(app.settings.connections_max));
    let clients = Arc::new(Clients::default());
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
        let seat = Clients::enter(&clients, network, max);
        let (Ok(place), Some(seat)) = (Arc::clone(&room).try_acquire_owned(), seat) else {
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
            drop((place, seat));
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

/// Who has how many connections open.
#[derive(Debug, Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// One connection of a client.
#[derive(Debug)]
struct Seat {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    fn enter(clients: &Arc<Self>, client: IpAddr, max: usize) -> Option<Seat> {
        let mut open = clients.0.lock();
        let open = open.entry(client).or_insert(0);
        if *open >= max {
            return None;
        }
        *open += 1;
        Some(Seat { clients: Arc::clone(clients), client })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.clients.0.lock();
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_connections_and_leaves_no_trace() {
        let clients = Arc::new(Clients::default());
        let client = IpAddr::from([192, 0, 2, 1]);
        let first = Clients::enter(&clients, client, 2).unwrap();
        let second = Clients::enter(&clients, client, 2).unwrap();
        assert!(Clients::enter(&clients, client, 2).is_none());
        assert!(Clients::enter(&clients, [192, 0, 2, 2].into(), 2).is_some());
        drop(first);
        drop(Clients::enter(&clients, client, 2).unwrap());
        drop(second);
        assert!(clients.0.lock().is_empty());
    }
}
