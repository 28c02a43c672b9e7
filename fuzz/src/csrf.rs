//! The headers of an unsafe request: `webapp::guard::csrf` with `webapp::guard::cors` before it.

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use webapp::{
    guard::{
        cors,
        csrf::{KeyRing, Policy, SameSite},
    },
    origin::Origin,
};

const CURRENT: &[u8] = b"fedcba9876543210fedcba9876543210";
const OLD: &[u8] = b"0123456789abcdef0123456789abcdef";
const FOREIGN: &[u8] = b"another key of at least 32 bytes";

const OWN: (&str, &str, &str) = ("http", "app.example", "80");
const ALLOWED: (&str, &str, &str) = ("https", "a.example", "443");

/// Header lines. In a value `@NONE@` stands for a token without a session, `@OF42@` for one of the
/// session 42, `@OLD@` for one of the key before, and `@ELSE@` for somebody else's.
///
/// # Panics
/// It is decided otherwise than by the model, or a bad token is handed out again.
pub fn csrf(data: &[u8]) {
    let policy = Policy {
        keys: KeyRing::new([CURRENT, OLD]),
        cookie: "csrf_token".to_owned(),
        session_cookie: "session".to_owned(),
        secure: false,
        same_site: SameSite::Lax,
    };
    let minted = Minted {
        none: policy.keys.mint(b""),
        of_42: policy.keys.mint(b"42"),
        old: KeyRing::new([OLD]).mint(b""),
    };
    let foreign = KeyRing::new([FOREIGN]).mint(b"");

    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n').take(32) {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        let value = replace(value, b"@NONE@", minted.none.as_bytes());
        let value = replace(&value, b"@OF42@", minted.of_42.as_bytes());
        let value = replace(&value, b"@OLD@", minted.old.as_bytes());
        let value = replace(&value, b"@ELSE@", foreign.as_bytes());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(&value))
        {
            headers.append(name, value);
        }
    }

    let own = Origin::parse("http://app.example").expect("an origin");
    let allowed = Origin::parse("https://a.example").expect("an origin");
    let origins = cors::Policy::listed([allowed].into(), true);
    let decided = origins.cors(&headers, Some(&own));
    let found = policy.check(&headers, &decided, &origins, Some(&own));
    let tokens = named(&headers, "cookie", "csrf_token");
    let session = named(&headers, "cookie", "session").first().copied().unwrap_or_default();
    let expected = comes_from_us(&headers) && {
        let sent = values(&headers, "x-csrf-token");
        tokens.len() == 1 && tokens == sent && minted.verifies(sent[0], session)
    };
    assert_eq!(found.is_ok(), expected, "{headers:?}: {found:?}");

    let handed = policy.token(&headers);
    let again = tokens.len() == 1 && minted.is_current(tokens[0], session);
    assert_eq!(tokens.contains(&handed.as_bytes()), again);
    assert!(policy.keys.verify_current(handed.as_bytes(), session));
}

struct Minted {
    none: String,
    of_42: String,
    old: String,
}

impl Minted {
    fn is_current(&self, token: &[u8], session: &[u8]) -> bool {
        (token == self.none.as_bytes() && session.is_empty())
            || (token == self.of_42.as_bytes() && session == b"42")
    }

    fn verifies(&self, token: &[u8], session: &[u8]) -> bool {
        self.is_current(token, session) || (token == self.old.as_bytes() && session.is_empty())
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(|value| value.as_bytes()).collect()
}

/// Cookies of that name: pairs between semicolons, blanks around them, names exact.
fn named<'a>(headers: &'a HeaderMap, header: &str, name: &str) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    for line in values(headers, header) {
        for pair in line.split(|b| *b == b';') {
            let pair = pair.trim_ascii();
            if let Some(equals) = pair.iter().position(|b| *b == b'=')
                && &pair[..equals] == name.as_bytes()
            {
                found.push(&pair[equals + 1..]);
            }
        }
    }
    found
}

/// The table of what a browser says about where a request comes from.
fn comes_from_us(headers: &HeaderMap) -> bool {
    let origins = values(headers, "origin");
    let sites = values(headers, "sec-fetch-site");
    let referers = values(headers, "referer");
    if origins.len() > 1 || sites.len() > 1 || referers.len() > 1 {
        return false;
    }
    let is_allowed = origins == [b"https://a.example"];
    let is_own = origins == [b"http://app.example"];
    let same_site = sites.iter().all(|site| [b"same-origin".as_slice(), b"none"].contains(site));
    if !origins.is_empty() {
        is_allowed || (is_own && same_site)
    } else if !sites.is_empty() {
        same_site
    } else {
        referers.iter().all(|referer| is_page_of(referer, OWN) || is_page_of(referer, ALLOWED))
    }
}

/// `scheme://host`, perhaps with its default port, then the page.
fn is_page_of(referer: &[u8], (scheme, host, port): (&str, &str, &str)) -> bool {
    let Ok(referer) = std::str::from_utf8(referer) else { return false };
    if !referer.is_ascii() {
        return false;
    }
    let start = format!("{scheme}://{host}");
    let Some((before, rest)) = referer.split_at_checked(start.len()) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let default = match authority.strip_prefix(':') {
        Some(digits) => {
            digits.is_empty()
                || (digits.trim_start_matches('0') == port
                    && digits.chars().all(|c| c.is_ascii_digit()))
        }
        None => authority.is_empty(),
    };
    before.eq_ignore_ascii_case(&start) && default
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = behind;
        } else {
            replaced.push(*first);
            rest = behind;
        }
    }
    replaced
}
