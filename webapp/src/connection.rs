//! An accepted socket in; its requests, one after another, to [`mod@crate::exchange`] out, and
//! what hyper refused by itself to `unserved`.

mod wire;
mod unserved;
mod encode;

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::sleep,
};

use crate::{
    app::{App, Counters},
    client::Peer,
    clock,
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

/// Why a connection is served no longer.
enum Ended {
    /// hyper is done with it.
    Itself(hyper::Result<()>),
    /// A head did not come in time.
    Late,
    /// The server stops.
    Cut,
}

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
        // for two pieces. No `header_read_timeout`: a timer for each head costs a small request 2 to
        // 4 % of its time; the one below is looked at when it is over.
        let mut connection = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .half_close(true)
            .writev(false)
            .serve_connection(io, service);
        let (began, head_timeout) = (clock::now(), app.settings.head_timeout);
        let mut look = pin!(sleep(head_timeout));
        let ended = loop {
            let now = *phase.borrow_and_update();
            match now {
                Phase::Serving => {}
                Phase::Draining => {
                    Pin::new(&mut connection).graceful_shutdown();
                    // hyper waits for the first head of a connection whatever it is told.
                    look.as_mut().reset((clock::now() + DRAIN_HEAD_TIME).into());
                }
                Phase::Closing => break Ended::Cut,
            }
            tokio::select! {
                biased;
                result = &mut connection => break Ended::Itself(result),
                () = &mut look => {
                    let now = clock::now();
                    let heads = heads.lock();
                    if *phase.borrow() != Phase::Serving {
                        if heads.may_be_cut() {
                            break Ended::Cut;
                        }
                        continue;
                    }
                    let due = heads.waiting_since(began).unwrap_or(now) + head_timeout;
                    if due <= now {
                        break Ended::Late;
                    }
                    look.as_mut().reset(due.into());
                }
                changed = phase.changed() => if changed.is_err() { break Ended::Cut },
            }
        };
        // Dropped here: a request under way writes its record before the tail is looked at.
        let wire = connection.into_parts().io.into_inner();
        // hyper ends without an error when it was told to, too; of a client that leaves it makes one.
        let stopped = *phase.borrow() != Phase::Serving;
        let is_unanswered = wire.is_unanswered();
        let mut stream = Some(wire.into_stream());
        let end = match ended {
            Ended::Late => End::Late,
            Ended::Itself(Err(error)) if error.is_parse_version_h2() => End::Foreign,
            Ended::Itself(Err(error)) if error.is_parse() => {
                End::Refused(error, stream.take_if(|_| is_unanswered))
            }
            Ended::Itself(Err(_)) => End::Left,
            Ended::Itself(Ok(())) | Ended::Cut if stopped => End::Stopped,
            Ended::Itself(Ok(())) | Ended::Cut => End::Left,
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
