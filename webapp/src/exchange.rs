//! One request in; one answer and one record out, whatever happens in between: a refusal, a panic, a
//! handler that hangs, a client that leaves, a server that stops.

use std::{convert::Infallible, sync::Arc, time::Instant};

use http_body_util::Empty;
use hyper::{
    Method, Request, StatusCode, Version,
    body::{Body, Incoming},
    header,
    http::request::Parts,
};
use parking_lot::Mutex;
use shared::record::action;
use slog::Level;
use tokio::time::timeout;
use tower_service::Service;
use warp::reply::Response;

use crate::{
    app::App,
    classify::{self, Target, classify},
    client::{self, Client, Peer},
    clock,
    finish::Unfinished,
    guard::{self, Admitted, Findings, Permit, body, rate},
    heads::{Heads, Length},
    origin::Origin,
    panics,
    record::{Entry, Event},
    refusal::{Kind, Refusal},
    routes::{Asked, ENDPOINTS, Route, Site},
    sanity,
    unsent::SMALL_BYTES_MAX,
};

/// Serves one request.
pub async fn exchange(
    app: Arc<App>,
    site: Site,
    peer: Peer,
    heads: Arc<Mutex<Heads>>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let now = clock::now();
    let (head, mut body) = request.into_parts();
    let head = Arc::new(head);
    let began = heads.lock().parsed(length(&body), now);
    let client = Client::identify(peer, &head.headers, &app.settings.proxies);
    let entry = Entry::of_head(&head, client);
    tell_spoofed(&app, client, &entry);
    let keeps_alive = keeps_alive(&head);

    // From here on a record is certain: dropped early, this writes `aborted`.
    let mut unfinished = Unfinished::new(Arc::clone(&app), entry, began);
    let decided = decide(&app, &site, &head, &mut body, client, now, unfinished.findings());
    let outcome = match panics::caught(decided).await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Refusal::caused(Kind::Panicked, "a handler panicked", panic.to_string())),
    };
    // hyper cannot tell that chunks have ended; the guard that read them can.
    let unread = !body.is_end_stream() && !unfinished.findings().body_read;
    let mut response = unfinished.finish(outcome);
    // hyper keeps the buffer of the largest answer for as long as the connection lasts.
    let is_large = response.body().size_hint().lower() > SMALL_BYTES_MAX as u64;
    let is_stream = head.method != Method::HEAD && response.body().size_hint().exact().is_none();
    // A head that hyper refuses behind this request must not go unseen, nor wait for a stream's end.
    let close = unread || is_stream || is_large || heads.lock().is_unseen();

    // What the client still sends of its body is read for a while, so that it sees the answer. One
    // that waits for `100 Continue` sends nothing, and polling would tell it to.
    if close {
        response
            .headers_mut()
            .insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    if unread && !head.headers.contains_key(header::EXPECT) {
        body::drain(body);
    }
    let mut heads = heads.lock();
    heads.answered(close || !keeps_alive);
    if close {
        heads.closes();
    }
    if is_stream {
        heads.streams();
    }
    Ok(response)
}

/// The way of a request, top to bottom.
async fn decide(
    app: &App,
    site: &Site,
    head: &Arc<Parts>,
    body: &mut Incoming,
    client: Client,
    now: Instant,
    findings: &mut Findings,
) -> Result<Response, Refusal> {
    let authority = match sanity::check(head.version, &head.uri, &head.headers) {
        Ok(authority) => authority,
        Err(reason) => {
            // Garbage is charged like everything else, and a block comes before its own answer.
            guard::charge(&app.limiter, client, rate::Kind::Request, findings, now)?;
            return Err(Refusal::new(Kind::BadRequest, reason));
        }
    };
    let class = classify(&head.method, head.uri.path(), &head.headers, &ENDPOINTS);
    // Nobody else is asked whether it is of our own pages.
    let own = (class.is_unsafe || head.headers.contains_key(header::ORIGIN))
        .then(|| own_origin(app, head, client, authority))
        .flatten();
    let asked = guard::Request { head, class: &class, client, own: own.as_ref() };
    let permit = match guard::admit(&app.limiter, &app.settings.guards, &asked, body, findings, now)
        .await?
    {
        Admitted::Preflight => return Ok(no_content(None)),
        Admitted::Request(permit) => permit,
    };
    match class.target {
        Target::NotFound => Err(Refusal::new(Kind::NotFound, "no such path")),
        Target::MethodNotAllowed => {
            Err(Refusal::new(Kind::MethodNotAllowed, "the path does not take this method"))
        }
        Target::Options => Ok(no_content(Some(classify::ALLOW))),
        Target::Handler => match class.endpoint.and_then(|endpoint| site.route(endpoint)) {
            Some(route) => handle(app, route, head, client, permit).await,
            None => Err(Refusal::new(Kind::NotFound, "no route for the path")),
        },
    }
}

async fn handle(
    app: &App,
    route: Route,
    head: &Arc<Parts>,
    client: Client,
    permit: Permit,
) -> Result<Response, Refusal> {
    let mut request = Request::new(Empty::<bytes::Bytes>::new());
    // HEAD is served from GET; hyper leaves the body out.
    *request.method_mut() = Method::GET;
    *request.uri_mut() = head.uri.clone();
    request.extensions_mut().insert(Asked::new(permit, Arc::clone(head), client));
    let answer = warp::service(route).call(request);
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
    !says("close") && (head.version == Version::HTTP_11 || says("keep-alive"))
}

/// Once per client: a header that names somebody else comes with every one of its requests.
pub(crate) fn tell_spoofed(app: &App, client: Client, entry: &Entry) {
    let Some(reason) = client.suspicion() else { return };
    let network = client::network(client.address(), app.settings.guards.rate.ipv6_prefix);
    if !app.spoofers.is_first(network) {
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
    app.logs.suspicious.write(Level::Warning, clock::timestamp(), &event);
}
