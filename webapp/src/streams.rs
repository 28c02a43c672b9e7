//! Streams of alerts: how many are open, and that all of them end when the server does.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::watch;

use crate::seats::{Seat, Seats};

/// Open at a time.
pub const STREAMS_MAX: usize = 32;

/// Open at a time for one client.
pub const STREAMS_PER_CLIENT_MAX: usize = 4;

/// Shared by all streams.
#[derive(Debug)]
pub struct Streams {
    seats: Arc<Seats>,
    over: watch::Sender<bool>,
}

/// What a stream holds while it is open.
#[derive(Debug)]
pub struct Place {
    _seat: Seat,
    over: watch::Receiver<bool>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { seats: Arc::new(Seats::new(STREAMS_MAX)), over: watch::Sender::new(false) }
    }
}

impl Streams {
    /// A place for one more stream of that client, if there is any.
    pub fn enter(&self, client: IpAddr) -> Option<Place> {
        let seat = Seats::take(&self.seats, client, STREAMS_PER_CLIENT_MAX)?;
        Some(Place { _seat: seat, over: self.over.subscribe() })
    }

    /// Whether they were ended.
    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Ends all of them, and those that come.
    pub fn end(&self) {
        self.over.send_replace(true);
    }
}

impl Place {
    /// Resolves when the stream has to end.
    pub fn over(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        let mut over = self.over.clone();
        async move {
            // An error says that nobody is left to end it: over, too.
            over.wait_for(|over| *over).await.ok();
        }
    }
}
