//! `GET /health`: `{"status":"ok"}` while requests are answered.

use std::sync::{Arc, atomic::Ordering};

use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::handler::{Asked, json, permitted};
use crate::{app::App, classify::Endpoint};

/// `GET /health`
pub static ENDPOINT: Endpoint = Endpoint { path: "/health", about: "whether the server is well" };

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// Only where a log makes no progress: requests are answered all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'static str>,
}

pub(super) fn route(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    permitted()
        .map(move |_: Asked| {
            let degraded = app.log_degraded.load(Ordering::Relaxed);
            json(&Health { status: "ok", log: degraded.then_some("degraded") })
        })
        .boxed()
}
