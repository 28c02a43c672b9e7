//! A sane request in; the permit to be handled, or the refusal, out. All guards run, once, in this
//! order, before any route answers.

mod findings;
pub mod rate;
pub mod cors;
pub mod csrf;
pub mod query;
pub mod body;

use std::{collections::HashSet, time::Instant};

use hyper::{body::Incoming, http::request::Parts};

use crate::{
    classify::{Class, Target},
    client::Client,
    origin::Origin,
    refusal::{Kind, Refusal},
};
use cors::Cors;
pub use findings::Findings;
use rate::{Limiter, Verdict};

/// What the guards hold a request against, in their order.
#[derive(Debug)]
pub struct Policies {
    /// The rate limiter's.
    pub rate: rate::Policy,
    /// Paths of routes that the rate limiter leaves alone.
    pub rate_exempt: HashSet<&'static str>,
    /// The CORS guard's.
    pub cors: cors::Policy,
    /// The CSRF guard's.
    pub csrf: csrf::Policy,
    /// The query guard's.
    pub query: query::Limits,
    /// The body guard's.
    pub body: body::Limits,
}

/// Proof that every guard let a request pass. No handler can be called without one, and only
/// [`admit`] makes them.
#[derive(Debug, Clone, Copy)]
pub struct Permit(());

/// What came of the guards when none refused.
#[derive(Debug)]
pub enum Admitted {
    /// A preflight of an allowed origin, which needs no handler.
    Preflight,
    /// Anything else.
    Request(Permit),
}

/// A request as the guards see it.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a Parts,
    /// What it asks for.
    pub class: &'a Class,
    /// Who asks.
    pub client: Client,
    /// What browsers call us.
    pub own: Option<&'a Origin>,
}

/// Charges the client for a request.
///
/// # Errors
/// It is over its limit, or a block is on.
pub fn charge(
    limiter: &Limiter,
    client: Client,
    kind: rate::Kind,
    findings: &mut Findings,
    now: Instant,
) -> Result<(), Refusal> {
    let verdict = limiter.take(client.address(), kind, now);
    findings.rate = Some(verdict);
    match verdict {
        Verdict::Passed { .. } => Ok(()),
        Verdict::Limited { retry_after } => {
            Err(Refusal::new(Kind::RateLimited { retry_after }, "over the limit"))
        }
        Verdict::Blocked { retry_after } => {
            Err(Refusal::new(Kind::Blocked { retry_after }, "a block is on"))
        }
    }
}

/// Asks the guards.
///
/// # Errors
/// The first guard's refusal.
pub async fn admit(
    limiter: &Limiter,
    policies: &Policies,
    request: &Request<'_>,
    body: &mut Incoming,
    findings: &mut Findings,
    now: Instant,
) -> Result<Admitted, Refusal> {
    let &Request { head, class, client, own } = request;
    findings.is_preflight = class.is_preflight;

    // Decided before anything is refused, so that an allowed origin can read every refusal.
    findings.cors = policies.cors.cors(&head.headers, own);

    // Charged first, so that garbage is charged too.
    let exempt = class.target == Target::Handler
        && class.endpoint.is_some_and(|e| policies.rate_exempt.contains(e.path));
    if !exempt {
        let kind = if class.is_preflight { rate::Kind::Preflight } else { rate::Kind::Request };
        charge(limiter, client, kind, findings, now)?;
    }

    if class.is_preflight {
        cors::request_headers(&head.headers)
            .map_err(|reason| Refusal::new(Kind::BadRequest, reason))?;
        if findings.cors == Cors::Foreign {
            return Err(Refusal::new(Kind::CorsRejected, "origin is not allowed"));
        }
        if findings.cors != Cors::Same {
            return Ok(Admitted::Preflight);
        }
    }
    if class.is_unsafe {
        if findings.cors == Cors::Foreign {
            return Err(Refusal::new(Kind::OriginRejected, "origin is not allowed"));
        }
        policies
            .csrf
            .check(&head.headers, &findings.cors, &policies.cors, own)
            .map_err(|reason| Refusal::new(Kind::CsrfRejected, reason))?;
    }

    if let Some(raw) = head.uri.query() {
        query::check(raw, &policies.query).map_err(|rejected| {
            Refusal::new(Kind::QueryRejected { parameter: rejected.parameter }, rejected.reason)
        })?;
    }

    body::read(&head.headers, body, &policies.body, &mut findings.body_bytes).await.map_err(
        |stopped| match stopped {
            body::Stopped::TooLarge => Refusal::new(Kind::BodyTooLarge, "body is over the limit"),
            body::Stopped::Late => Refusal::new(Kind::BodyTimeout, "body did not arrive in time"),
            body::Stopped::BadFraming => {
                Refusal::new(Kind::BadRequest, "body is not framed as HTTP")
            }
            body::Stopped::Aborted => Refusal::new(Kind::Aborted, "client left during its body"),
        },
    )?;

    findings.body_read = true;

    Ok(Admitted::Request(Permit(())))
}
