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

use std::{convert::Infallible, sync::Arc};

use warp::{Filter, Rejection, filters::BoxedFilter, reply::Response};

use crate::{
    app::App,
    classify::Endpoint,
    refusal::{Kind, Refusal},
};
pub use handler::Asked;
use handler::refuse;

/// All endpoints.
pub static ENDPOINTS: [&Endpoint; 5] = [
    &index::ENDPOINT,
    &health::ENDPOINT,
    &csrf_token::ENDPOINT,
    &alerts::ENDPOINT,
    &alerts_stream::ENDPOINT,
];

/// All routes, ready to be called.
pub type Site = BoxedFilter<(Response,)>;

/// All endpoints' handlers, and nothing in front of them: a request that carries no permit finds none
/// of them.
pub fn site(app: Arc<App>) -> Site {
    let routes = index::route(&ENDPOINTS)
        .or(health::route(&app))
        .unify()
        .or(csrf_token::route(&app))
        .unify()
        .or(alerts::route(&app))
        .unify()
        .or(alerts_stream::route(&app))
        .unify();
    routes
        .recover(|_: Rejection| async {
            // The table of classes has answered for every path that is not here.
            Ok::<_, Infallible>(refuse(Refusal::new(Kind::NotFound, "no route took it")))
        })
        .unify()
        .boxed()
}
