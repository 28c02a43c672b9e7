//! `GET /alerts`: sentinel's recent alerts, newest first.

use std::sync::Arc;

use hyper::HeaderMap;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    handler::{Asked, answer, json_bytes, permitted, raw_query},
    question::{self, Wanted},
};
use crate::{
    app::App,
    classify::Endpoint,
    refusal::{Kind, Refusal},
};

/// `GET /alerts`
pub static ENDPOINT: Endpoint =
    Endpoint { path: "/alerts", about: "recent alerts of the monitor, newest first" };

pub(super) fn route(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    permitted()
        .and(raw_query())
        .then(move |asked: Asked, raw: String| {
            let app = Arc::clone(&app);
            async move { answer(alerts(&app, asked.headers(), &raw).await) }
        })
        .boxed()
}

async fn alerts(app: &App, headers: &HeaderMap, raw: &str) -> Result<Response, Refusal> {
    let query = question::check(&app.settings, headers, raw, Wanted::List)?;
    let body = app.upstream.alerts(query).await.map_err(|error| {
        Refusal::caused(Kind::UpstreamUnavailable, "sentinel did not answer", error.to_string())
    })?;
    Ok(json_bytes(body))
}
