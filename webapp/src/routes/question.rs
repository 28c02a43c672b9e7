//! A request for alerts in; what sentinel is asked, or why not, out: the token and the parameters that
//! `/alerts` and its stream share.

use std::collections::HashSet;

use hyper::{HeaderMap, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use shared::alert::Level;
use subtle::ConstantTimeEq;

use crate::{
    guard::query,
    refusal::{Kind, Refusal},
    settings::Settings,
};

/// Most alerts in an answer.
const LIMIT_MAX: u64 = 1_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The alerts that are there.
    List,
    /// Those that come.
    Stream,
}

/// The query for sentinel.
pub(super) fn check(
    settings: &Settings,
    headers: &HeaderMap,
    raw: &str,
    wanted: Wanted,
) -> Result<String, Refusal> {
    if let Some(token) = &settings.alerts_token
        && !bears(headers, token)
    {
        return Err(Refusal::new(Kind::Unauthorized, "no bearer token, or another one"));
    }
    query::check(raw, &settings.guards.query)
        .map_err(|rejected| (rejected.reason, rejected.parameter))
        .and_then(|query| passed_on(&query.params, wanted))
        .map_err(|(reason, parameter)| Refusal::new(Kind::QueryRejected { parameter }, reason))
}

/// `Authorization: Bearer TOKEN`, compared in constant time (RFC 6750 §2.1).
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Some((scheme, credentials)) = line.to_str().ok().and_then(|line| line.split_once(' '))
    else {
        return false;
    };
    scheme.eq_ignore_ascii_case("bearer")
        && bool::from(credentials.trim().as_bytes().ct_eq(token.as_bytes()))
}

type Wrong = (&'static str, Option<String>);

/// The parameters that sentinel knows, checked and in one order, so that one question has one
/// spelling.
fn passed_on(params: &[(String, String)], wanted: Wanted) -> Result<String, Wrong> {
    let mut seen = HashSet::new();
    let mut parts = Vec::new();
    for (key, value) in params {
        let wrong = |reason| Err((reason, Some(key.clone())));
        if !seen.insert(key) {
            return wrong("parameter came more than once");
        }
        if value.is_empty() {
            return wrong("parameter has no value");
        }
        let number = || {
            let digits = value.bytes().all(|b| b.is_ascii_digit());
            value.parse::<u64>().ok().filter(|_| digits)
        };
        match key.as_str() {
            "limit" | "since" if wanted == Wanted::Stream => {
                return wrong("parameter is for /alerts: a stream goes on with what comes");
            }
            "limit" => {
                if !number().is_some_and(|n| (1..=LIMIT_MAX).contains(&n)) {
                    return wrong("limit is a whole number from 1 to 1000");
                }
            }
            "after_seq" => {
                if number().is_none() {
                    return wrong("after_seq is a whole number");
                }
            }
            "since" => {
                if value.parse::<jiff::Timestamp>().is_err() {
                    return wrong("since is a time such as 2026-01-20T10:05:00Z");
                }
            }
            "level" => {
                if Level::named(value).is_none() {
                    return wrong("level is informational, low, medium, high or critical");
                }
            }
            "status" => {
                if !["firing", "repeat", "resolved"].contains(&value.as_str()) {
                    return wrong("status is firing, repeat or resolved");
                }
            }
            "rule" => {
                if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
                    return wrong("rule is a rule's id");
                }
            }
            group if group.len() > "group.".len() && group.starts_with("group.") => {}
            _ => return wrong("unknown parameter"),
        }
        parts.push(format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    }
    parts.sort_unstable();
    Ok(parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(params: &[(&str, &str)], expected: Result<&str, &str>) {
        let params: Vec<_> =
            params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let found = passed_on(&params, Wanted::List);
        let found = found.as_deref().map_err(|(reason, _)| *reason);
        assert_eq!(found, expected, "{params:?}");
    }

    #[test]
    fn one_question_has_one_spelling() {
        check(&[], Ok(""));
        check(&[("limit", "5"), ("after_seq", "0")], Ok("after_seq=0&limit=5"));
        check(&[("after_seq", "0"), ("limit", "5")], Ok("after_seq=0&limit=5"));
        check(&[("group.client.ip", "::1")], Ok("group.client.ip=%3A%3A1"));
        check(&[("since", "2026-01-20T10:05:00Z")], Ok("since=2026%2D01%2D20T10%3A05%3A00Z"));
        check(&[("level", "high"), ("status", "firing")], Ok("level=high&status=firing"));
        check(&[("rule", "sentinel.gap")], Ok("rule=sentinel%2Egap"));
    }

    #[test]
    fn what_sentinel_does_not_know_is_refused_here() {
        for (key, value, reason) in [
            ("limit", "0", "limit is a whole number from 1 to 1000"),
            ("limit", "1001", "limit is a whole number from 1 to 1000"),
            ("limit", "+5", "limit is a whole number from 1 to 1000"),
            ("after_seq", "-1", "after_seq is a whole number"),
            ("since", "yesterday", "since is a time such as 2026-01-20T10:05:00Z"),
            ("level", "HIGH", "level is informational, low, medium, high or critical"),
            ("status", "open", "status is firing, repeat or resolved"),
            ("rule", "a b", "rule is a rule's id"),
            ("rule", "", "parameter has no value"),
            ("group.", "x", "unknown parameter"),
            ("q", "x", "unknown parameter"),
        ] {
            check(&[(key, value)], Err(reason));
        }
        check(&[("limit", "5"), ("limit", "6")], Err("parameter came more than once"));
    }

    #[test]
    fn a_stream_has_neither_a_limit_nor_a_beginning_in_time() {
        for (key, value, expected) in [
            ("level", "high", Ok("level=high".to_owned())),
            ("after_seq", "7", Ok("after_seq=7".to_owned())),
            ("limit", "5", Err("limit")),
            ("since", "2026-01-20T10:05:00Z", Err("since")),
        ] {
            let found = passed_on(&[(key.to_owned(), value.to_owned())], Wanted::Stream);
            assert_eq!(
                found.map_err(|(_, parameter)| parameter.unwrap()),
                expected.map_err(str::to_owned)
            );
        }
    }

    #[test]
    fn the_bearer_must_hold_the_token() {
        for (lines, expected) in [
            (&["Bearer 0123456789abcdef"] as &[_], true),
            (&["bearer 0123456789abcdef"], true),
            (&["Bearer 0123456789abcdeX"], false),
            (&["Basic 0123456789abcdef"], false),
            (&["Bearer"], false),
            (&[], false),
            (&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::AUTHORIZATION, header::HeaderValue::from_static(line));
            }
            assert_eq!(bears(&headers, "0123456789abcdef"), expected, "{lines:?}");
        }
    }
}
