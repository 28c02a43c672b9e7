//! Method, path and two headers in; what is asked for out. A pure table, so that guards speak of the
//! matched route and never of a prefix of the path.

use hyper::{HeaderMap, Method, header};

/// A path that somebody answers. GET alone, and HEAD with it.
#[derive(Debug)]
pub struct Endpoint {
    /// Matched byte for byte.
    pub path: &'static str,
    /// One line for people.
    pub about: &'static str,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// The endpoint of that path, if there is one.
    pub endpoint: Option<&'static Endpoint>,
    /// What is to be done with it.
    pub target: Target,
    /// The method may change something (unknown methods may too).
    pub is_unsafe: bool,
    /// A browser asks whether it may ask (Fetch standard, CORS-preflight fetch).
    pub is_preflight: bool,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The endpoint's handler.
    Handler,
    /// The list of methods: `OPTIONS`.
    Options,
    /// Nobody: there is no such path.
    NotFound,
    /// Nobody: the path does not take this method.
    MethodNotAllowed,
}

/// Methods that are `Allow`ed where an endpoint takes GET: HEAD is served from GET.
pub const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Looks a request up among the endpoints.
pub fn classify(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    endpoints: &[&'static Endpoint],
) -> Class {
    let endpoint = endpoints.iter().copied().find(|endpoint| endpoint.path == path);
    let known = endpoint.is_some();
    let target = match method.as_str() {
        "GET" | "HEAD" if known => Target::Handler,
        "OPTIONS" if known || path == "*" => Target::Options,
        // Never, wherever: both make a server speak for somebody else.
        "TRACE" | "CONNECT" => Target::MethodNotAllowed,
        _ if known => Target::MethodNotAllowed,
        _ => Target::NotFound,
    };
    Class {
        endpoint,
        target,
        is_unsafe: !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "CONNECT"),
        is_preflight: method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
    }
}

#[cfg(test)]
mod tests;
