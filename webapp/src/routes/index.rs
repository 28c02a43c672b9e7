//! `GET /`: who answers here, and where.

use std::sync::Arc;

use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{Asked, ENDPOINTS, Endpoint, json, permitted};
use crate::app::App;

/// `GET /`
pub static ENDPOINT: Endpoint = Endpoint { path: "/", about: "this list" };

#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    endpoints: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    method: &'static str,
    path: &'static str,
    about: &'static str,
}

pub(super) fn route(_: &Arc<App>) -> BoxedFilter<(Response,)> {
    permitted(&ENDPOINT)
        .map(|_: Asked| {
            let listed = |e: &&Endpoint| Listed { method: "GET", path: e.path, about: e.about };
            json(&Index {
                name: "webapp",
                version: env!("CARGO_PKG_VERSION"),
                endpoints: ENDPOINTS.iter().map(listed).collect(),
            })
        })
        .boxed()
}
