//! `Origin` and our own origin in; what a browser may do with the answer out (Fetch standard, CORS).

use std::collections::HashSet;

use hyper::{HeaderMap, header};

use crate::origin::Origin;

/// Methods that an allowed origin may use.
pub const ALLOW_METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

/// Request headers that an allowed origin may send.
pub const ALLOW_HEADERS: &str =
    "authorization, content-type, last-event-id, x-csrf-token, x-request-id";

/// Seconds for which a browser may remember a preflight.
pub const MAX_AGE: &str = "600";

/// Response headers that a page may read.
pub const EXPOSE_HEADERS: &str = "X-Request-ID, Retry-After, RateLimit, RateLimit-Policy";

/// Most bytes of `Access-Control-Request-Headers`: a hostile one costs others 100 MB.
const REQUEST_HEADERS_BYTES_MAX: usize = 1_024;

/// Most names in `Access-Control-Request-Headers`.
const REQUEST_HEADERS_MAX: usize = 64;

/// Whose pages may read answers.
#[derive(Debug, Clone)]
pub struct Policy {
    origins: Origins,
    credentials: bool,
}

#[derive(Debug, Clone)]
enum Origins {
    All,
    Listed(HashSet<Origin>),
}

/// What the answer says about cross-origin reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    /// No origin was named, or our own: no word about it.
    #[default]
    Same,
    /// The page's origin is allowed.
    Allowed {
        /// `Access-Control-Allow-Origin`.
        allow_origin: String,
        /// `Access-Control-Allow-Credentials`.
        credentials: bool,
    },
    /// The page's origin is not allowed: it may not read the answer.
    Foreign,
}

impl Policy {
    /// `*`, without credentials.
    pub fn open() -> Self {
        Self { origins: Origins::All, credentials: false }
    }

    /// These origins, and ours.
    pub fn listed(origins: HashSet<Origin>, credentials: bool) -> Self {
        Self { origins: Origins::Listed(origins), credentials }
    }

    /// Whether every page may read answers.
    pub fn is_open_to_all(&self) -> bool {
        matches!(self.origins, Origins::All)
    }

    /// Compares bytes and nothing else: every cleverer match has been somebody's hole.
    pub fn cors(&self, headers: &HeaderMap, own: Option<&Origin>) -> Cors {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            let sent = headers.contains_key(header::ORIGIN);
            return if sent { Cors::Foreign } else { Cors::Same };
        };
        let Some(origin) = origin.to_str().ok().and_then(|text| Origin::parse(text).ok()) else {
            return Cors::Foreign;
        };
        self.decide(&origin, own)
    }

    /// What pages of an origin may do.
    pub fn decide(&self, origin: &Origin, own: Option<&Origin>) -> Cors {
        if Some(origin) == own {
            return Cors::Same;
        }
        match &self.origins {
            Origins::All => Cors::Allowed { allow_origin: "*".to_owned(), credentials: false },
            Origins::Listed(listed) if listed.contains(origin) => Cors::Allowed {
                allow_origin: origin.as_str().to_owned(),
                credentials: self.credentials,
            },
            Origins::Listed(_) => Cors::Foreign,
        }
    }
}

/// A hostile list of headers, or nothing.
///
/// # Errors
/// Why the preflight is refused.
pub fn request_headers(headers: &HeaderMap) -> Result<(), &'static str> {
    let lines = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let bytes: usize = lines.iter().map(|line| line.len()).sum();
    let names: usize = lines.iter().map(|line| line.as_bytes().split(|b| *b == b',').count()).sum();
    if bytes > REQUEST_HEADERS_BYTES_MAX || names > REQUEST_HEADERS_MAX {
        return Err("access-control-request-headers is too long");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn decide(policy: &Policy, origins: &[&str]) -> Cors {
        let own = Origin::parse("https://app.example").unwrap();
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        policy.cors(&headers, Some(&own))
    }

    fn allowed(origin: &str, credentials: bool) -> Cors {
        Cors::Allowed { allow_origin: origin.to_owned(), credentials }
    }

    #[test]
    fn only_listed_origins_and_only_byte_for_byte() {
        let listed = HashSet::from([Origin::parse("https://a.example").unwrap()]);
        let policy = Policy::listed(listed, true);
        for (origins, expected) in [
            (&[] as &[_], Cors::Same),
            (&["https://app.example"], Cors::Same),
            (&["https://a.example"], allowed("https://a.example", true)),
            (&["http://app.example"], Cors::Foreign),
            (&["http://a.example"], Cors::Foreign),
            (&["https://a.example:8443"], Cors::Foreign),
            (&["https://A.example"], Cors::Foreign),
            (&["https://a.example.evil.example"], Cors::Foreign),
            (&["https://evil-a.example"], Cors::Foreign),
            (&["null"], Cors::Foreign),
            (&[""], Cors::Foreign),
            (&["https://a.example", "https://a.example"], Cors::Foreign),
        ] {
            assert_eq!(decide(&policy, origins), expected, "{origins:?}");
        }
    }

    #[test]
    fn a_star_allows_all_but_null_and_sends_no_credentials() {
        let policy = Policy::open();
        assert_eq!(decide(&policy, &["https://a.example"]), allowed("*", false));
        assert_eq!(decide(&policy, &["https://app.example"]), Cors::Same);
        assert_eq!(decide(&policy, &["null"]), Cors::Foreign);
    }

    #[test]
    fn a_hostile_preflight_is_cheap() {
        for (lines, fine) in [
            (vec!["content-type, x-csrf-token".to_owned()], true),
            (vec![",".repeat(63)], true),
            (vec![",".repeat(64)], false),
            (vec!["a".repeat(1_024)], true),
            (vec!["a".repeat(1_025)], false),
            (vec!["a".to_owned(); 65], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                let value = HeaderValue::from_str(line).unwrap();
                headers.append(header::ACCESS_CONTROL_REQUEST_HEADERS, value);
            }
            assert_eq!(request_headers(&headers).is_ok(), fine, "{lines:?}");
        }
    }
}
