//! Headers of an unsafe request, and what is said to them.

use hyper::header::{HeaderName, HeaderValue};

use super::*;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn policy() -> Policy {
    Policy {
        keys: KeyRing::new([KEY]),
        cookie: "csrf_token".to_owned(),
        session_cookie: "session".to_owned(),
        secure: false,
        same_site: SameSite::Lax,
    }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

fn own() -> Option<Origin> {
    Some(origin("http://app.example"))
}

/// `TOKEN` in a value stands for a good token without a session.
#[track_caller]
fn check(lines: &[(&'static str, &str)], cors: Cors, expected: Result<(), &str>) {
    let policy = policy();
    let token = policy.keys.mint(b"");
    let filled: Vec<_> =
        lines.iter().map(|(name, value)| (*name, value.replace("TOKEN", &token))).collect();
    let filled: Vec<_> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let listed = cors::Policy::listed([origin("https://a.example")].into(), true);
    let found = policy.check(&headers(&filled), &cors, &listed, own().as_ref());
    assert_eq!(found, expected, "{lines:?}");
}

#[test]
fn cookie_and_header_must_be_the_same_good_token() {
    let other = KeyRing::new([b"another key of at least 32 bytes"]).mint(b"");
    let foreign = format!("csrf_token={other}");
    for (lines, expected) in [
        (&[("cookie", "csrf_token=TOKEN"), ("x-csrf-token", "TOKEN")] as &[_], Ok(())),
        (&[("cookie", "a=b; csrf_token=TOKEN ;c"), ("x-csrf-token", "TOKEN")], Ok(())),
        (&[], Err("no token cookie")),
        (&[("x-csrf-token", "TOKEN")], Err("no token cookie")),
        (&[("cookie", "xcsrf_token=TOKEN"), ("x-csrf-token", "TOKEN")], Err("no token cookie")),
        (&[("cookie", "csrf_token=TOKEN")], Err("no token header")),
        (
            &[("cookie", "csrf_token=TOKEN; csrf_token=TOKEN"), ("x-csrf-token", "TOKEN")],
            Err("more than one token cookie"),
        ),
        (
            &[
                ("cookie", "csrf_token=TOKEN"),
                ("cookie", "csrf_token=tossed"),
                ("x-csrf-token", "TOKEN"),
            ],
            Err("more than one token cookie"),
        ),
        (
            &[("cookie", "csrf_token=TOKEN"), ("x-csrf-token", "TOKEN"), ("x-csrf-token", "TOKEN")],
            Err("more than one token header"),
        ),
        (
            &[("cookie", "csrf_token=TOKEN"), ("x-csrf-token", "TOKENx")],
            Err("token header differs from the cookie"),
        ),
        (
            &[("cookie", "csrf_token=made-up"), ("x-csrf-token", "made-up")],
            Err("token is not signed by us for this session"),
        ),
        (
            &[("cookie", "csrf_token="), ("x-csrf-token", "")],
            Err("token is not signed by us for this session"),
        ),
        (
            &[("cookie", &foreign), ("x-csrf-token", &other)],
            Err("token is not signed by us for this session"),
        ),
        (
            &[("cookie", "csrf_token=TOKEN; session=42"), ("x-csrf-token", "TOKEN")],
            Err("token is not signed by us for this session"),
        ),
        (
            &[("cookie", &format!("csrf_token={}", "a".repeat(257))), ("x-csrf-token", "a")],
            Err("token is too long"),
        ),
    ] {
        check(lines, Cors::Same, expected);
    }
}

#[test]
fn a_browser_that_says_it_is_another_site_is_believed() {
    let allowed = || Cors::Allowed { allow_origin: "https://a.example".into(), credentials: true };
    for (extra, cors, expected) in [
        (&[("sec-fetch-site", "same-origin")] as &[(&'static str, &str)], Cors::Same, Ok(())),
        (&[("sec-fetch-site", "none")], Cors::Same, Ok(())),
        (&[("sec-fetch-site", "same-site")], Cors::Same, Err("sec-fetch-site is not same-origin")),
        (&[("sec-fetch-site", "cross-site")], Cors::Same, Err("sec-fetch-site is not same-origin")),
        (&[("sec-fetch-site", "odd")], Cors::Same, Err("sec-fetch-site is not same-origin")),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://a.example")], allowed(), Ok(())),
        (&[("origin", "http://app.example")], Cors::Same, Ok(())),
        (&[("origin", "https://evil.example")], Cors::Foreign, Err("origin is not allowed")),
        (&[("referer", "http://app.example/page?x")], Cors::Same, Ok(())),
        (&[("referer", "http://app.example:80/")], Cors::Same, Ok(())),
        (&[("referer", "https://app.example/")], Cors::Same, Err("referer is of another origin")),
        (
            &[("referer", "http://app.example.evil/")],
            Cors::Same,
            Err("referer is of another origin"),
        ),
        (&[("referer", "about:blank")], Cors::Same, Err("referer is of another origin")),
        (&[("referer", "https://a.example/page")], Cors::Same, Ok(())),
        (&[("referer", "http://a.example/")], Cors::Same, Err("referer is of another origin")),
        (
            &[("referer", "http://app.example/"), ("referer", "http://app.example/")],
            Cors::Same,
            Err("more than one referer header"),
        ),
        (
            &[
                ("origin", "http://app.example"),
                ("referer", "http://app.example/"),
                ("referer", "https://evil.example/"),
            ],
            Cors::Same,
            Err("more than one referer header"),
        ),
    ] {
        let mut lines = vec![("cookie", "csrf_token=TOKEN"), ("x-csrf-token", "TOKEN")];
        lines.extend_from_slice(extra);
        check(&lines, cors, expected);
    }
}

#[test]
fn a_good_token_is_handed_out_again() {
    let policy = policy();
    let token = policy.token(&headers(&[]));
    let cookie = format!("csrf_token={token}");
    assert_eq!(policy.token(&headers(&[("cookie", &cookie)])), token);
    let logged_in = format!("{cookie}; session=42");
    assert_ne!(policy.token(&headers(&[("cookie", &logged_in)])), token);
    assert_ne!(policy.token(&headers(&[("cookie", "csrf_token=made-up")])), "made-up");
}

#[test]
fn the_cookie_says_where_it_may_go() {
    let mut policy = policy();
    assert_eq!(policy.set_cookie("t"), "csrf_token=t; Path=/; Max-Age=43200; SameSite=Lax");
    policy.secure = true;
    policy.same_site = SameSite::None;
    assert_eq!(
        policy.set_cookie("t"),
        "csrf_token=t; Path=/; Max-Age=43200; SameSite=None; Secure"
    );
}
