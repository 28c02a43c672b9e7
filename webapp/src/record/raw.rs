//! Bytes of a head that hyper could not read in; its parts, as far as they go, out.
//!
//! Behind a proxy that passes the target on as it came, `/?q=<script>` is such a head too: the client
//! is named in a header, so headers are read here as well.

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

/// Parts of a head; any of them may be empty.
#[derive(Debug, Default)]
pub struct RawHead {
    /// Up to the first blank.
    pub method: String,
    /// Up to the last ` HTTP/`; it may hold blanks, which is one way not to be readable.
    pub target: String,
    /// Behind `HTTP/`.
    pub version: String,
    /// Those that are whole and valid.
    pub headers: HeaderMap,
}

impl RawHead {
    /// Reads what can be read.
    pub fn read(bytes: &[u8]) -> Self {
        let mut head = Self::default();
        let mut lines = bytes.split_inclusive(|b| *b == b'\n');
        let line = String::from_utf8_lossy(lines.next().unwrap_or_default());
        let line = line.trim_end_matches(['\r', '\n']);
        let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (target, version) = rest.rsplit_once(" HTTP/").unwrap_or((rest, ""));
        head.method = method.to_owned();
        head.target = target.to_owned();
        head.version = version.to_owned();
        // A line that was cut says something else than what was sent.
        for line in lines.filter_map(|line| line.strip_suffix(b"\n")) {
            let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
            let (name, value) = line.split_at(colon);
            let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                head.headers.append(name, value);
            }
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], method: &str, target: &str, version: &str) {
        let head = RawHead::read(bytes);
        assert_eq!((head.method.as_str(), head.target.as_str()), (method, target));
        assert_eq!(head.version, version);
    }

    #[test]
    fn what_hyper_cannot_read_is_read_as_far_as_it_goes() {
        check(
            b"GET /?q=<script>alert(1)</script> HTTP/1.1\r\nHost: a\r\n",
            "GET",
            "/?q=<script>alert(1)</script>",
            "1.1",
        );
        check(b"GET /a b?c d HTTP/1.0\r\n", "GET", "/a b?c d", "1.0");
        check(b"GET /x", "GET", "/x", "");
        check(b"GET", "GET", "", "");
        check(b"", "", "", "");
        check(b"\x16\x03\x01", "\u{16}\u{3}\u{1}", "", "");
        check(b"GET /\xff HTTP/1.1\n", "GET", "/\u{fffd}", "1.1");
    }

    #[test]
    fn whole_headers_are_found() {
        let head = RawHead::read(
            b"GET /< HTTP/1.1\r\nuser-agent: sqlmap\r\nX-Forwarded-For:192.0.2.1\nb d: x\r\n\r\n",
        );
        assert_eq!(head.headers["user-agent"], "sqlmap");
        assert_eq!(head.headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(head.headers.len(), 2);
        let cut = RawHead::read(b"GET /< HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1");
        assert!(cut.headers.is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            RawHead::read(&bytes);
        }
    }
}
