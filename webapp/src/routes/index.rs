//! `GET /`: who answers here, and where.

use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::handler::{Asked, json, permitted};
use crate::classify::Endpoint;

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

pub(super) fn route(endpoints: &'static [&Endpoint]) -> BoxedFilter<(Response,)> {
    permitted()
        .map(move |_: Asked| {
            let listed = |e: &&Endpoint| Listed { method: "GET", path: e.path, about: e.about };
            json(&Index {
                name: "webapp",
                version: env!("CARGO_PKG_VERSION"),
                endpoints: endpoints.iter().map(listed).collect(),
            })
        })
        .boxed()
}
