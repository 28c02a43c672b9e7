//! What a handler is given, and how it answers.

use std::sync::Arc;

use hyper::{HeaderMap, Method, http::request::Parts};
use serde::Serialize;
use warp::{
    Filter, Rejection, Reply,
    filters::BoxedFilter,
    http::header::{CONTENT_TYPE, HeaderValue},
    reply::Response,
};

use crate::{client::Client, guard::Permit, refusal::Refusal};

/// What a handler is given.
#[derive(Debug, Clone)]
pub struct Asked {
    head: Arc<Parts>,
    client: Client,
}

impl Asked {
    /// Nobody can ask without a permit.
    pub fn new(_: Permit, head: Arc<Parts>, client: Client) -> Self {
        Self { head, client }
    }

    /// The answer goes without its body.
    pub(super) fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    pub(super) fn client(&self) -> Client {
        self.client
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }
}

/// The filter every route begins with.
pub(super) fn permitted() -> impl Filter<Extract = (Asked,), Error = Rejection> + Copy {
    warp::ext::get::<Asked>()
}

/// The query as sent, empty where there is none.
pub(super) fn raw_query() -> BoxedFilter<(String,)> {
    warp::query::raw().or(warp::any().map(String::new)).unify().boxed()
}

/// A handler's "no" travels as a value: in the answer's extensions, to the one place that writes it.
pub(super) fn refuse(refusal: Refusal) -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(refusal);
    response
}

pub(super) fn answer(result: Result<Response, Refusal>) -> Response {
    result.unwrap_or_else(refuse)
}

pub(super) fn json(value: &impl Serialize) -> Response {
    warp::reply::json(value).into_response()
}

pub(super) fn json_bytes(body: bytes::Bytes) -> Response {
    let mut response = Response::new(body.into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
