//! A permitted request in; its endpoint's answer out.
//!
//! An endpoint is one file here and a line in [`ENDPOINTS`] and [`site`]; every guard applies to it.

mod handler;
pub mod index;
pub mod health;
pub mod csrf_token;
mod question;
pub mod alerts;
pub mod alerts_stream;

use std::sync::Arc;

use warp::{filters::BoxedFilter, reply::Response};

use crate::{app::App, classify::Endpoint};
pub use handler::Asked;

/// All endpoints.
pub static ENDPOINTS: [&Endpoint; 5] = [
    &index::ENDPOINT,
    &health::ENDPOINT,
    &csrf_token::ENDPOINT,
    &alerts::ENDPOINT,
    &alerts_stream::ENDPOINT,
];

/// What an endpoint answers with. Nothing stands in front of it: asked without a permit it has none.
pub type Route = BoxedFilter<(Response,)>;

/// Routes by their endpoints. The table of classes has found the endpoint already, so none is tried
/// whose path is another.
#[derive(Clone)]
pub struct Site(Arc<[(&'static Endpoint, Route)]>);

impl Site {
    /// These routes.
    pub fn new(routes: impl Into<Arc<[(&'static Endpoint, Route)]>>) -> Self {
        Self(routes.into())
    }

    /// The route of that endpoint.
    pub fn route(&self, endpoint: &Endpoint) -> Option<Route> {
        let mut routes = self.0.iter();
        routes.find(|(its, _)| its.path == endpoint.path).map(|(_, route)| route.clone())
    }
}

/// The routes of all endpoints.
pub fn site(app: &Arc<App>) -> Site {
    Site::new([
        (&index::ENDPOINT, index::route(&ENDPOINTS)),
        (&health::ENDPOINT, health::route(app)),
        (&csrf_token::ENDPOINT, csrf_token::route(app)),
        (&alerts::ENDPOINT, alerts::route(app)),
        (&alerts_stream::ENDPOINT, alerts_stream::route(app)),
    ])
}
