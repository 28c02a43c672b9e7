//! One request in; one answer and one record out, whatever happens in between: a refusal, a panic, a
//! handler that hangs, a client that leaves, a server that stops.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Empty;
use hyper::{
    HeaderMap, Method, Request, StatusCode, Version,
    body::{Body, Incoming},
    header,
    http::request::Parts,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use shared::record::action;
use slog::Level;
use tokio::time::timeout;
use tower_service::Service;
use warp::{filters::BoxedFilter, reply::Response};

use crate::{
    app::{App, Counters},
    classify::{self, Target, classify},
    client::Client,
    clock,
    connection::{Heads, Length},
    finish::{Findings, Unfinished},
    guard::{self, Admitted, Permit, body},
    origin::Origin,
    panics,
    record::{Entry, Event},
    refusal::{Kind, Refusal},
    routes::{Asked, ENDPOINTS},
    sanity,
};

/// All routes, ready to be called.
pub type Site = BoxedFilter<(Response,)>;

/// Serves one request.
pub async fn exchange(
    app: Arc<App>,
    site: Site,
    peer: IpAddr,
    heads: Arc<Mutex<Heads>>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let now = clock();
    let (head, mut body) = request.into_parts();
    let began = heads.lock().parsed(length(&body), now);
    let client = Client::identify(peer, &head.headers, &app.settings.proxies);
    let entry = entry(&head, client);
    tell_spoofed(&app, client, &entry);
    let keeps_alive = keeps_alive(&head);

    // From here on a record is certain: dropped early, this writes `aborted`.
    let mut unfinished = Unfinished::new(Arc::clone(&app), entry, began);
    let decided = decide(&app, site, &head, &mut body, client, now, unfinished.findings());
    let outcome = match panics::caught(decided).await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Refusal::caused(Kind::Panicked, "a handler panicked", panic.to_string())),
    };
    let mut response = unfinished.finish(outcome);

    // What the client still sends of its body is read for a while, so that it sees the answer. One
    // that waits for `100 Continue` sends nothing, and polling would tell it to.
    let unread = !body.is_end_stream();
    if unread {
        response
            .headers_mut()
            .insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        if !head.headers.contains_key(header::EXPECT) {
            body::drain(body);
        }
    }
    heads.lock().answered(unread || !keeps_alive);
    Ok(response)
}

/// The way of a request, top to bottom.
async fn decide(
    app: &App,
    site: Site,
    head: &Parts,
    body: &mut Incoming,
    client: Client,
    now: Instant,
    findings: &mut Findings,
) -> Result<Response, Refusal> {
    let authority = sanity::check(head.version, &head.uri, &head.headers)
        .map_err(|reason| Refusal::new(Kind::BadRequest, reason))?;
    let own = own_origin(app, head, client, authority);
    let class = classify(&head.method, head.uri.path(), &head.headers, &ENDPOINTS);
    let asked = guard::Request { head, class: &class, client, own: own.as_ref() };
    let permit = match guard::admit(app, &asked, body, findings, now).await? {
        Admitted::Preflight => return Ok(no_content(None)),
        Admitted::Request(permit) => permit,
    };
    match class.target {
        Target::NotFound => Err(Refusal::new(Kind::NotFound, "no such path")),
        Target::MethodNotAllowed => {
            Err(Refusal::new(Kind::MethodNotAllowed, "the path does not take this method"))
        }
        Target::Options => Ok(no_content(Some(classify::ALLOW))),
        Target::Handler => handle(app, site, head, permit).await,
    }
}

async fn handle(app: &App, site: Site, head: &Parts, permit: Permit) -> Result<Response, Refusal> {
    let mut request = Request::new(Empty::<bytes::Bytes>::new());
    // HEAD is served from GET; hyper leaves the body out.
    *request.method_mut() = Method::GET;
    *request.uri_mut() = head.uri.clone();
    request.extensions_mut().insert(Asked::new(permit, &head.headers));
    let answer = warp::service(site).call(request);
    let Ok(answer) = timeout(app.settings.handler_timeout, answer).await else {
        return Err(Refusal::new(Kind::HandlerTimeout, "the handler took too long"));
    };
    let mut response = answer.unwrap_or_else(|never| match never {});
    match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => Err(refusal),
        None => Ok(response),
    }
}

fn no_content(allow: Option<&'static str>) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
    }
    response
}

/// What browsers call us: as configured, else as this request was addressed.
fn own_origin(app: &App, head: &Parts, client: Client, authority: Option<&str>) -> Option<Origin> {
    if let Some(origin) = &app.settings.public_origin {
        return Some(origin.clone());
    }
    let forwarded = |name: &str| {
        let value = client.is_forwarded().then(|| head.headers.get(name)).flatten()?;
        // A chain of proxies appends; the nearest one is ours.
        value.to_str().ok()?.rsplit(',').next().map(str::trim)
    };
    let scheme = forwarded("x-forwarded-proto").unwrap_or("http");
    let host = forwarded("x-forwarded-host").or(authority)?;
    Origin::new(scheme, host)
}

fn length(body: &Incoming) -> Length {
    if body.is_end_stream() {
        return Length::Known(0);
    }
    body.size_hint().exact().map_or(Length::Chunked, Length::Known)
}

/// Whether the connection may carry another request (RFC 9112 §9.3).
fn keeps_alive(head: &Parts) -> bool {
    let says = |word: &str| {
        head.headers.get_all(header::CONNECTION).iter().any(|line| {
            line.to_str()
                .is_ok_and(|line| line.split(',').any(|w| w.trim().eq_ignore_ascii_case(word)))
        })
    };
    if head.version == Version::HTTP_11 { !says("close") } else { says("keep-alive") }
}

fn entry(head: &Parts, client: Client) -> Entry {
    let mut entry = Entry::of_head(head, client);
    let sent = client.is_forwarded().then(|| head.headers.get("x-request-id")).flatten();
    entry.id = sent
        .and_then(|id| id.to_str().ok())
        .filter(|id| is_request_id(id))
        .map_or_else(random_id, str::to_owned);
    entry.trace_id = Some(trace_id(&head.headers).unwrap_or_else(random_id));
    entry
}

fn is_request_id(id: &str) -> bool {
    (8..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Of a valid `traceparent` (W3C Trace Context, version 00).
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all("traceparent").iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let mut parts = line.to_str().ok()?.split('-');
    let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    let [Some("00"), Some(trace), Some(span), Some(flags), None] = parts else { return None };
    let hex = |text: &str, len| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    let valid = hex(trace, 32) && hex(span, 16) && hex(flags, 2) && !zero(trace) && !zero(span);
    valid.then(|| trace.to_owned())
}

fn tell_spoofed(app: &App, client: Client, entry: &Entry) {
    let Some(reason) = client.suspicion() else { return };
    if !app.spoofers.is_first(client.address()) {
        return;
    }
    let event = Event {
        message: "forwarded header ignored",
        action: action::SPOOFED_FORWARDED_HEADER,
        reason: Some(reason),
        rule: Some("client"),
        entry: Some(entry),
        ..Event::default()
    };
    app.logs.suspicious.write(Level::Warning, wall_clock(), &event);
}

/// 128 random bits in hexadecimal.
pub fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Whole nanoseconds, for `event.duration`.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time that a record shows.
#[expect(clippy::disallowed_methods, reason = "a record is stamped where its answer is decided")]
pub fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// Counts a request that got its record.
pub(crate) fn count(app: &App) {
    Counters::add(&app.counters.requests);
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_a_strict_traceparent_counts() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (lines, valid) in [
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] as &[_], true),
            (&[], false),
            (&["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], false),
            (&["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"], false),
            (&["00-00000000000000000000000000000000-b7ad6b7169203331-01"], false),
            (&["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"], false),
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"], false),
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("traceparent", HeaderValue::from_static(line));
            }
            assert_eq!(trace_id(&headers).as_deref(), valid.then_some(trace), "{lines:?}");
        }
    }

    #[test]
    fn ids_are_32_digits() {
        assert_eq!(random_id().len(), 32);
        assert_ne!(random_id(), random_id());
        assert!(is_request_id(&random_id()));
        assert!(!is_request_id("short"));
        assert!(!is_request_id("a b c d e f"));
    }
}
