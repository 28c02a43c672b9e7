//! Requests in, their class in the table of all routes out.

use hyper::header::HeaderValue;

use super::*;
use crate::routes::ENDPOINTS;

#[test]
fn method_and_path_decide() {
    for (method, path, target, is_unsafe) in [
        ("GET", "/", Target::Handler, false),
        ("HEAD", "/health", Target::Handler, false),
        ("OPTIONS", "/alerts", Target::Options, false),
        ("OPTIONS", "*", Target::Options, false),
        ("OPTIONS", "/nothing", Target::NotFound, false),
        ("GET", "/health/", Target::NotFound, false),
        ("GET", "//health", Target::NotFound, false),
        ("GET", "/HEALTH", Target::NotFound, false),
        ("GET", "/he%61lth", Target::NotFound, false),
        ("POST", "/", Target::MethodNotAllowed, true),
        ("POST", "/nothing", Target::NotFound, true),
        ("PUT", "/health", Target::MethodNotAllowed, true),
        ("PATCH", "/alerts", Target::MethodNotAllowed, true),
        ("DELETE", "/csrf-token", Target::MethodNotAllowed, true),
        ("get", "/", Target::MethodNotAllowed, true),
        ("PROPFIND", "/", Target::MethodNotAllowed, true),
        ("TRACE", "/nothing", Target::MethodNotAllowed, false),
        ("CONNECT", "", Target::MethodNotAllowed, false),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let class = classify(&method, path, &HeaderMap::new(), &ENDPOINTS);
        assert_eq!((class.target, class.is_unsafe), (target, is_unsafe), "{method} {path}");
        assert!(!class.is_preflight);
    }
}

#[test]
fn a_preflight_has_both_headers() {
    let mut headers = HeaderMap::new();
    headers.insert(header::ORIGIN, HeaderValue::from_static("https://a.example"));
    let preflight = |method: Method, headers: &HeaderMap| {
        classify(&method, "/", headers, &ENDPOINTS).is_preflight
    };
    assert!(!preflight(Method::OPTIONS, &headers));
    let wanted = HeaderValue::from_static("POST");
    headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, wanted);
    assert!(preflight(Method::OPTIONS, &headers));
    assert!(!preflight(Method::GET, &headers));
}
