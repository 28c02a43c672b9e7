//! `GET /alerts/stream`: sentinel's alerts as they come, as Server-Sent Events (WHATWG HTML §9.2).

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    HeaderMap,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::time::{Sleep, sleep};
use warp::{Filter, Reply, Stream, filters::BoxedFilter, reply::Response};

use super::{
    handler::{Asked, answer, permitted, raw_query},
    question::{self, Wanted},
};
use crate::{
    app::App,
    classify::Endpoint,
    client,
    refusal::{Kind, Refusal},
    streams::Place,
    upstream::{Events, Unavailable},
};

/// `GET /alerts/stream`
pub static ENDPOINT: Endpoint =
    Endpoint { path: "/alerts/stream", about: "alerts of the monitor as they come, as events" };

/// How soon a client comes back when a stream ended.
const RETRY: &str = "retry: 2000\n\n";

/// A comment: whoever is gone is noticed by what it does not take.
const ALIVE: &str = ":\n\n";

/// Between two of them where there is nothing to tell.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

pub(super) fn route(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    permitted()
        .and(raw_query())
        .then(move |asked: Asked, raw: String| {
            let app = Arc::clone(&app);
            async move { answer(stream(&app, &asked, &raw).await) }
        })
        .boxed()
}

async fn stream(app: &App, asked: &Asked, raw: &str) -> Result<Response, Refusal> {
    let query = question::check(&app.settings, asked.headers(), raw, Wanted::Stream)?;
    let seen = last_event_id(asked.headers())?;
    if asked.is_head() {
        return Ok(typed(Response::default()));
    }
    let network = client::network(asked.client().address(), app.settings.guards.rate.ipv6_prefix);
    let Some(place) = app.streams.enter(network) else {
        return Err(Refusal::new(Kind::TooManyStreams, "no place for one more stream"));
    };
    let events = app.upstream.stream(&query, seen).await.map_err(|error| {
        Refusal::caused(Kind::UpstreamUnavailable, "sentinel did not answer", error.to_string())
    })?;
    Ok(typed(warp::reply::stream(Alerts::new(events, place)).into_response()))
}

fn typed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // nginx would keep events back until it has a buffer full of them.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The `seq` that a client has seen which comes back (WHATWG HTML §9.2.4).
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut lines = headers.get_all("last-event-id").iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let digits = line.to_str().ok().filter(|line| line.bytes().all(|b| b.is_ascii_digit()));
    match (digits.and_then(|digits| digits.parse().ok()), lines.next()) {
        (Some(seq), None) => Ok(Some(seq)),
        _ => Err(Refusal::new(Kind::BadRequest, "Last-Event-ID is not one whole number")),
    }
}

/// What the client is sent, until it leaves, sentinel ends (an error, for the log), or the server does.
struct Alerts {
    events: Events,
    over: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    alive: Pin<Box<Sleep>>,
    began: bool,
    _place: Place,
}

impl Alerts {
    fn new(events: Events, place: Place) -> Self {
        let over = Box::pin(place.over());
        let alive = Box::pin(sleep(ALIVE_EVERY));
        Self { events, over, alive, began: false, _place: place }
    }
}

impl Stream for Alerts {
    type Item = Result<Bytes, Unavailable>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.began {
            self.began = true;
            return Poll::Ready(Some(Ok(RETRY.into())));
        }
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let told = match self.events.poll_next(cx) {
            Poll::Ready(told) => told,
            Poll::Pending if self.alive.as_mut().poll(cx).is_ready() => Ok(ALIVE.into()),
            Poll::Pending => return Poll::Pending,
        };
        self.alive = Box::pin(sleep(ALIVE_EVERY));
        Poll::Ready(Some(told))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::{
        io::AsyncWriteExt,
        net::UnixListener,
        time::{Instant, pause},
    };

    use super::*;
    use crate::{streams::Streams, upstream::Upstream};

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a clock that the test moves")]
    async fn a_silent_sentinel_is_waited_for_and_then_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let upstream = Upstream::new(socket);
        let answering = async {
            let (mut sentinel, _) = listener.accept().await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            sentinel.write_all(head).await.unwrap();
            sentinel
        };
        let (events, _silent) = tokio::join!(upstream.stream("", None), answering);
        let place = Streams::default().enter([192, 0, 2, 1].into()).unwrap();
        // An end that never comes: nobody is left who could say so.
        let alerts = Alerts {
            over: Box::pin(std::future::pending()),
            ..Alerts::new(events.unwrap(), place)
        };
        let mut body = warp::reply::stream(alerts).into_response().into_body();
        // From here on time passes when there is nothing else to do.
        pause();
        let start = Instant::now();
        let mut told = Vec::new();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => told.push((start.elapsed().as_secs(), frame.into_data().unwrap())),
                Err(error) => break error.to_string(),
            }
        };
        let alive = |seconds| (seconds, Bytes::from(ALIVE));
        assert_eq!(told, [(0, Bytes::from(RETRY)), alive(15), alive(30), alive(45)]);
        assert_eq!(error, "sentinel has nothing to say");
    }

    #[test]
    fn the_last_event_id_is_one_whole_number() {
        for (lines, expected) in [
            (&[] as &[_], Some(None)),
            (&["0"], Some(Some(0))),
            (&["18446744073709551615"], Some(Some(u64::MAX))),
            (&["18446744073709551616"], None),
            (&[""], None),
            (&["+1"], None),
            (&["-1"], None),
            (&["1 2"], None),
            (&["1", "1"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("last-event-id", HeaderValue::from_static(line));
            }
            assert_eq!(last_event_id(&headers).ok(), expected, "{lines:?}");
        }
    }
}
