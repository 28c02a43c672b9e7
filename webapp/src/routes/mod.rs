//! A permitted request in; its endpoint's answer out.
//!
//! An endpoint is one file here and a line in [`ENDPOINTS`] and [`site`]; every guard applies to it.

pub mod index;
pub mod health;
pub mod csrf_token;
pub mod alerts;

use std::{convert::Infallible, sync::Arc};

use hyper::{HeaderMap, http::request::Parts};
use serde::Serialize;
use warp::{
    Filter, Rejection, Reply,
    filters::BoxedFilter,
    http::header::{CONTENT_TYPE, HeaderValue},
    reply::Response,
};

use crate::{
    app::App,
    guard::Permit,
    refusal::{Kind, Refusal},
};

/// A path that somebody answers. GET alone, and HEAD with it.
#[derive(Debug)]
pub struct Endpoint {
    /// Matched byte for byte.
    pub path: &'static str,
    /// One line for people.
    pub about: &'static str,
}

/// All endpoints.
pub static ENDPOINTS: [&Endpoint; 4] =
    [&index::ENDPOINT, &health::ENDPOINT, &csrf_token::ENDPOINT, &alerts::ENDPOINT];

/// All endpoints' handlers, and nothing in front of them: a request that carries no [`Permit`] finds
/// none of them.
pub fn site(app: Arc<App>) -> BoxedFilter<(Response,)> {
    let routes = index::route(&app)
        .or(health::route(&app))
        .unify()
        .or(csrf_token::route(&app))
        .unify()
        .or(alerts::route(&app))
        .unify();
    routes
        .recover(|_: Rejection| async {
            // The table of classes has answered for every path that is not here.
            Ok::<_, Infallible>(refuse(Refusal::new(Kind::NotFound, "no route took it")))
        })
        .unify()
        .boxed()
}

/// What a handler is given.
#[derive(Debug, Clone)]
pub struct Asked {
    head: Arc<Parts>,
}

impl Asked {
    /// Nobody can ask without a permit.
    pub fn new(_: Permit, head: Arc<Parts>) -> Self {
        Self { head }
    }

    fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }
}

/// The filter every route begins with.
fn permitted(endpoint: &'static Endpoint) -> BoxedFilter<(Asked,)> {
    warp::path::full()
        .and_then(move |path: warp::path::FullPath| async move {
            if path.as_str() == endpoint.path { Ok(()) } else { Err(warp::reject::not_found()) }
        })
        .untuple_one()
        .and(warp::ext::get::<Asked>())
        .boxed()
}

/// A handler's "no" travels as a value: in the answer's extensions, to the one place that writes it.
fn refuse(refusal: Refusal) -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(refusal);
    response
}

fn answer(result: Result<Response, Refusal>) -> Response {
    result.unwrap_or_else(refuse)
}

fn json(value: &impl Serialize) -> Response {
    warp::reply::json(value).into_response()
}

fn json_bytes(body: bytes::Bytes) -> Response {
    let mut response = Response::new(body.into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
