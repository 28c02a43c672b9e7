//! An accepted socket in; its requests, one after another, to [`mod@crate::exchange`] out, and
//! what hyper refused by itself to `unserved`.

mod wire;
mod unserved;
mod encode;

use std::{pin::Pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::sleep,
};

use crate::{
    app::{App, Counters},
    client::Peer,
    exchange::exchange,
    heads::Heads,
    phase::Phase,
    routes::Site,
    unsent::Share,
};
use unserved::End;
use wire::Wire;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// Bytes of a head.
const HEAD_BYTES_MAX: usize = 32 * 1_024;

/// Bytes that hyper reads ahead.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;

/// How long a head may still take when the server ends.
const DRAIN_HEAD_TIME: Duration = Duration::from_secs(1);

/// What a connection is served with.
pub(crate) struct Serving {
    pub(crate) peer: Peer,
    pub(crate) app: Arc<App>,
    pub(crate) site: Site,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Serving {
    /// Serves a connection until it ends, or the server does.
    pub(crate) async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { peer, app, site, mut phase } = self;
        let heads = Arc::new(Mutex::new(Heads::default()));
        let unsent = Share::new(Arc::clone(&app.unsent));
        let io = TokioIo::new(Wire::new(stream, Arc::clone(&heads), unsent));
        let service = service_fn(|request| {
            exchange(Arc::clone(&app), site.clone(), peer, Arc::clone(&heads), request)
        });
        // HTTP/1.1 alone, and not through hyper-util's `auto`: that has no timeout while it guesses
        // the protocol. `half_close`: without it a client that sends a request and closes leaves no
        // record. `writev`: a small body is copied behind its head in less time than the kernel takes
        // for two pieces.
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(app.settings.head_timeout)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .half_close(true)
            .writev(false)
            .serve_connection(io, service);
        let mut heads_end = None;
        let result = loop {
            let now = *phase.borrow_and_update();
            match now {
                Phase::Serving => {}
                Phase::Draining => {
                    Pin::new(&mut connection).graceful_shutdown();
                    // hyper waits for the first head of a connection whatever it is told.
                    heads_end = Some(Box::pin(sleep(DRAIN_HEAD_TIME)));
                }
                Phase::Closing => break None,
            }
            let heads_over = async {
                match &mut heads_end {
                    Some(end) => end.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                result = &mut connection => break Some(result),
                () = heads_over => {
                    if heads.lock().may_be_cut() {
                        break None;
                    }
                    heads_end = None;
                }
                changed = phase.changed() => if changed.is_err() { break None },
            }
        };
        // Dropped here: a request under way writes its record before the tail is looked at.
        let wire = connection.into_parts().io.into_inner();
        // hyper ends without an error when it was told to, too; of a client that leaves it makes one.
        let stopped = *phase.borrow() != Phase::Serving;
        let is_unanswered = wire.is_unanswered();
        let mut stream = Some(wire.into_stream());
        let end = match result {
            Some(Err(error)) if error.is_timeout() => End::Late,
            Some(Err(error)) if error.is_parse_version_h2() => End::Foreign,
            Some(Err(error)) if error.is_parse() => {
                End::Refused(error, stream.take_if(|_| is_unanswered))
            }
            Some(Err(_)) => End::Left,
            _ if stopped => End::Stopped,
            _ => End::Left,
        };
        if heads.lock().is_silent() {
            Counters::add(&app.counters.connections_silent);
        }
        // Boxed: it is rare and large, and every connection would carry room for it.
        let ending = Box::pin(async {
            unserved::end(app, peer, &heads, end).await;
            if let Some(stream) = stream
                && heads.lock().is_unread()
            {
                unserved::linger(stream).await;
            }
        });
        // Records are written at once; what follows is for the client, and the server may not wait.
        tokio::select! {
            biased;
            () = ending => {}
            _closing = phase.wait_for(|phase| *phase == Phase::Closing) => {}
        }
    }
}
