//! A parsed head in; the authority that was meant out, or why this is not valid HTTP for us.
//!
//! hyper takes what two servers in a row could read differently: no `Host` or two of them, a target
//! whose authority is not `Host`'s, escapes that decode to a delimiter (RFC 9112 §3.2, §11).

use hyper::{HeaderMap, Uri, Version, header};

use crate::origin::{self, Origin};

/// Checks a head; the reason of a refusal is for the log.
///
/// # Errors
/// Why it is refused.
pub fn check<'a>(
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, &'static str> {
    let authority = authority(version, uri, headers)?;
    path(uri.path())?;
    if !uri.query().is_none_or(str::is_ascii) {
        return Err("byte beyond ASCII in the query");
    }
    Ok(authority)
}

fn authority<'a>(
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, &'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err("more than one host header"),
        (None, _) if version == Version::HTTP_10 => None,
        (None, _) => return Err("no host header"),
        (Some(host), None) => {
            let host = host.to_str().map_err(|_| "host header is no authority")?;
            origin::split_port(host).ok_or("host header is no authority")?;
            Some(host)
        }
    };
    let Some(target) = uri.authority() else { return Ok(host) };
    let target = target.as_str();
    origin::split_port(target).ok_or("target holds no authority")?;
    // The absolute form overrides Host; where the two differ, somebody is being told two stories.
    let same = match (uri.scheme_str(), host) {
        (Some(scheme), _) if !matches!(scheme, "http" | "https") => {
            return Err("target is neither http nor https");
        }
        (_, None) => true,
        (Some(scheme), Some(host)) => Origin::new(scheme, target) == Origin::new(scheme, host),
        // Of CONNECT, which has no default port (RFC 9112 §3.2.3).
        (None, Some(host)) => target.eq_ignore_ascii_case(host),
    };
    if same { Ok(Some(target)) } else { Err("host header differs from the target") }
}

fn path(path: &str) -> Result<(), &'static str> {
    // Nearly every path: nothing to decode, and nothing that any rule below is about.
    if path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_')) {
        return Ok(());
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if byte == b'\\' {
                return Err("backslash in the path");
            }
            if byte.is_ascii_control() {
                return Err("control byte in the path");
            }
            // To be escaped (RFC 3986 §2.1); which charset it is in, everybody guesses differently.
            if !byte.is_ascii() {
                return Err("byte beyond ASCII in the path");
            }
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err("bad escape in the path");
        };
        match (high * 16 + low) as u8 {
            0 => return Err("escaped nul in the path"),
            b'/' | b'\\' => return Err("escaped slash in the path"),
            byte if byte.is_ascii_control() => return Err("escaped control byte in the path"),
            byte => decoded.push(byte),
        }
    }
    if decoded.split(|b| *b == b'/').any(|segment| matches!(segment, b"." | b"..")) {
        return Err("dot segment in the path");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn verdict(
        version: Version,
        target: &str,
        hosts: &[&str],
    ) -> Result<Option<String>, &'static str> {
        let uri: Uri = target.parse().unwrap();
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        check(version, &uri, &headers).map(|authority| authority.map(str::to_owned))
    }

    #[test]
    fn one_host_and_the_same_as_the_target() {
        let v11 = Version::HTTP_11;
        for (version, target, hosts, expected) in [
            (v11, "/", &["a.example"] as &[_], Ok(Some("a.example".to_owned()))),
            (v11, "/", &["a.example:8080"], Ok(Some("a.example:8080".to_owned()))),
            (v11, "/", &["[::1]:80"], Ok(Some("[::1]:80".to_owned()))),
            (Version::HTTP_10, "/", &[], Ok(None)),
            (v11, "http://A.example/", &["a.example"], Ok(Some("A.example".to_owned()))),
            (v11, "/", &[], Err("no host header")),
            (v11, "/", &["a", "a"], Err("more than one host header")),
            (Version::HTTP_10, "/", &["a", "b"], Err("more than one host header")),
            (v11, "/", &["a b"], Err("host header is no authority")),
            (v11, "/", &["user@a"], Err("host header is no authority")),
            (v11, "/", &["a/b"], Err("host header is no authority")),
            (v11, "/", &[""], Err("host header is no authority")),
            (v11, "http://evil/health", &["a"], Err("host header differs from the target")),
            (v11, "http://a:80/", &["a"], Ok(Some("a:80".to_owned()))),
            (v11, "http://a/", &["A:80"], Ok(Some("a".to_owned()))),
            (v11, "HTTPS://a:443/", &["a"], Ok(Some("a:443".to_owned()))),
            (v11, "http://a:443/", &["a"], Err("host header differs from the target")),
            (v11, "http://user@a/", &["a"], Err("target holds no authority")),
            (v11, "ftp://a/health", &["a"], Err("target is neither http nor https")),
            (v11, "a:443", &["a:443"], Ok(Some("a:443".to_owned()))),
        ] {
            assert_eq!(verdict(version, target, hosts), expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn paths_that_two_servers_could_read_differently() {
        for (target, expected) in [
            ("/", Ok(())),
            ("/health", Ok(())),
            ("/a%20b", Ok(())),
            ("/a..b/...", Ok(())),
            ("/%E2%82%AC", Ok(())),
            ("/%00", Err("escaped nul in the path")),
            ("/a%2Fb", Err("escaped slash in the path")),
            ("/a%5cb", Err("escaped slash in the path")),
            ("/a\\b", Err("backslash in the path")),
            ("/é", Err("byte beyond ASCII in the path")),
            ("/%0d%0aX", Err("escaped control byte in the path")),
            ("/%7f", Err("escaped control byte in the path")),
            ("/%zz", Err("bad escape in the path")),
            ("/%", Err("bad escape in the path")),
            ("/%4", Err("bad escape in the path")),
            ("/../etc/passwd", Err("dot segment in the path")),
            ("/a/./b", Err("dot segment in the path")),
            ("/a/%2e%2E", Err("dot segment in the path")),
            ("/a/.%2e/b", Err("dot segment in the path")),
        ] {
            assert_eq!(path(target), expected, "{target}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            let _verdict = path(&text);
        }
    }
}
