//! The query string of `/v1/alerts` or of its stream in, what the ring is asked out.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use shared::alert::{Level, Status};

use crate::{
    sink::ring::{Query, RING_ALERTS_MAX},
    time::Timestamp,
};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The alerts that are there.
    List,
    /// Those that come.
    Stream,
}

/// Reads a query string.
///
/// # Errors
/// What is wrong with it, for whoever asked.
pub fn parse(query: &str, wanted: Wanted) -> Result<Query, String> {
    let mut parsed = Query::default();
    let mut seen = BTreeSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key)?, decoded(value)?);
        let wants = |what: &str| format!("`{key}` takes {what}");
        match key.as_str() {
            "limit" | "since" if wanted == Wanted::Stream => {
                return Err(format!("`{key}` is for /v1/alerts: a stream goes on with what comes"));
            }
            "limit" => {
                let limit =
                    value.parse().ok().filter(|limit| (1..=RING_ALERTS_MAX).contains(limit));
                parsed.limit = limit.ok_or_else(|| wants("a number from 1 to 1000"))?;
            }
            "after_seq" => {
                parsed.after_seq = Some(value.parse().map_err(|_| wants("a sequence number"))?);
            }
            "since" => {
                let since = Timestamp::parse(&value);
                parsed.since = Some(since.ok_or_else(|| wants("an RFC 3339 time"))?);
            }
            "level" => {
                let level = Level::named(&value).ok_or_else(|| {
                    wants("informational, low, medium, high or critical: the least that is shown")
                })?;
                parsed.level = Some(level);
            }
            "status" => {
                parsed.status = Some(match value.as_str() {
                    "firing" => Status::Firing,
                    "repeat" => Status::Repeat,
                    "resolved" => Status::Resolved,
                    _ => return Err(wants("firing, repeat or resolved")),
                });
            }
            "rule" => parsed.rule = Some(value),
            _ => match key.strip_prefix("group.") {
                Some(field) if !field.is_empty() => {
                    parsed.group.insert(field.to_owned(), value);
                }
                _ => {
                    return Err(format!(
                        "unknown parameter `{}`: limit, after_seq, since, level, rule, status and \
                         group.FIELD are known",
                        key.escape_default()
                    ));
                }
            },
        }
        if !seen.insert(key.clone()) {
            return Err(format!("`{}` is there twice", key.escape_default()));
        }
    }
    Ok(parsed)
}

fn decoded(text: &str) -> Result<String, String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    Ok(decoded.map_err(|_| "the query is not UTF-8".to_owned())?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_read() {
        let query = "limit=5&after_seq=7&since=2026-01-20T10:05:00%2B01:00&level=high&rule=xss\
                     &status=firing&group.client.ip=2001%3adb8::%2F64&";
        let expected = Query {
            limit: 5,
            after_seq: Some(7),
            since: Timestamp::parse("2026-01-20T09:05:00Z"),
            level: Some(Level::High),
            rule: Some("xss".into()),
            status: Some(Status::Firing),
            group: [("client.ip".to_owned(), "2001:db8::/64".to_owned())].into(),
        };
        assert_eq!(parse(query, Wanted::List), Ok(expected));
        for wanted in [Wanted::List, Wanted::Stream] {
            assert_eq!(parse("", wanted), Ok(Query::default()));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, named) in [
            ("limit=0", "`limit` takes a number from 1 to 1000"),
            ("limit=1001", "`limit` takes"),
            ("limit=x", "`limit` takes"),
            ("after_seq=-1", "`after_seq` takes"),
            ("since=yesterday", "`since` takes an RFC 3339 time"),
            ("level=severe", "`level` takes"),
            ("status=on", "`status` takes"),
            ("group.=1", "unknown parameter `group.`"),
            ("page=2", "unknown parameter `page`"),
            ("rule=a&rule=b", "`rule` is there twice"),
            ("rule=%ff", "not UTF-8"),
            ("%1b=1", "unknown parameter `\\u{1b}`"),
        ] {
            let error = parse(query, Wanted::List).unwrap_err();
            assert!(error.contains(named), "{query}: {error}");
        }
        for query in ["limit=5", "since=2026-01-20T10:05:00Z"] {
            let error = parse(query, Wanted::Stream).unwrap_err();
            assert!(error.contains("is for /v1/alerts"), "{query}: {error}");
        }
    }
}
