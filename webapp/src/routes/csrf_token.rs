//! `GET /csrf-token`: a token in the body and in a cookie; unsafe requests carry both.

use std::sync::Arc;

use hyper::header::{HeaderValue, SET_COOKIE, VARY};
use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::handler::{Asked, json, permitted};
use crate::{app::App, classify::Endpoint};

/// `GET /csrf-token`
pub static ENDPOINT: Endpoint =
    Endpoint { path: "/csrf-token", about: "a token for unsafe requests, and its cookie" };

#[derive(Serialize)]
struct Token<'a> {
    csrf_token: &'a str,
}

pub(super) fn route(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    permitted()
        .map(move |asked: Asked| {
            let csrf = &app.settings.guards.csrf;
            let token = csrf.token(asked.headers());
            let mut response = json(&Token { csrf_token: &token });
            let headers = response.headers_mut();
            // The cookie's name and the token are made of letters that every header takes.
            if let Ok(cookie) = HeaderValue::from_str(&csrf.set_cookie(&token)) {
                headers.append(SET_COOKIE, cookie);
            }
            headers.append(VARY, HeaderValue::from_static("Cookie"));
            response
        })
        .boxed()
}
