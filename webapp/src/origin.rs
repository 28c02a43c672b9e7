//! Text in, a serialized origin out (RFC 6454 §6.2): `scheme://host[:port]`, as browsers send it.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// An origin in its one spelling, so that equal origins are equal bytes.
///
/// Comparing hosts alone is not enough: `http://app.example` must not pass for `https://app.example`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// Takes an origin only in the spelling that browsers use.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "null" {
            return Err("\"null\" names no origin");
        }
        let (scheme, authority) = text.split_once("://").ok_or("there is no scheme://")?;
        if authority.contains(['/', '?', '#']) {
            return Err("an origin has no path");
        }
        if authority.contains('@') {
            return Err("an origin has no user");
        }
        if authority.contains('*') {
            return Err("wildcards are not supported");
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err("browsers send it in lower case");
        }
        let origin = Self::new(scheme, authority).ok_or("there is no such host or port")?;
        if origin.0 != text {
            return Err("browsers leave the default port out");
        }
        Ok(origin)
    }

    /// The origin of a page that came from that authority (`Host`), in any case, default port or not.
    pub fn new(scheme: &str, authority: &str) -> Option<Self> {
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = scheme.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !is_scheme {
            return None;
        }
        let (host, port) = split_port(authority)?;
        let host = host.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        match port {
            Some(port) if Some(port) != default => Some(Self(format!("{scheme}://{host}:{port}"))),
            _ => Some(Self(format!("{scheme}://{host}"))),
        }
    }

    /// As browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is https.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Host and port of an authority without user, or nothing where it is not valid (RFC 3986 §3.2.2,
/// without percent-encoded names, which no browser sends).
pub fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let host = authority.get(..address.len() + 2)?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |host: &str| {
        !host.is_empty()
            && host.len() <= 255
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    let looks_like_v4 = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let valid = host.starts_with('[')
        || (is_name(host) && (!looks_like_v4 || host.parse::<Ipv4Addr>().is_ok()));
    if !valid {
        return None;
    }
    match port {
        // `host:` is allowed by the grammar and means the default.
        None | Some("") => Some((host, None)),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_in_the_spelling_of_browsers() {
        for text in [
            "https://app.example",
            "http://localhost:3000",
            "http://127.0.0.1:5000",
            "https://[2001:db8::1]:8443",
            "capacitor://localhost",
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.0), Ok(text.to_owned()));
        }
    }

    #[test]
    fn everything_else_is_named() {
        for text in [
            "",
            "null",
            "*",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example?x",
            "https://user@app.example",
            "https://*.app.example",
            "HTTPS://app.example",
            "https://App.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://app.example:65536",
            "https://app.example:",
            "https://app.example:+1",
            "https://app example",
            "https://999.1.1.1",
            "https://[::1",
            "://app.example",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn host_headers_become_origins() {
        for (scheme, host, expected) in [
            ("http", "App.Example", Some("http://app.example")),
            ("http", "app.example:80", Some("http://app.example")),
            ("https", "app.example:80", Some("https://app.example:80")),
            ("https", "[::1]:443", Some("https://[::1]")),
            ("http", "app.example:", Some("http://app.example")),
            ("http", "a b", None),
            ("http", "a@b", None),
            ("http", "", None),
            ("ht tp", "a", None),
        ] {
            let origin = Origin::new(scheme, host);
            assert_eq!(origin.as_ref().map(Origin::as_str), expected, "{scheme} {host}");
        }
    }
}
