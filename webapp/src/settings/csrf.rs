//! The CSRF guard's settings as written, and the file with its keys, in; its policy out.

use super::{
    fault::Faults,
    value::{file, quoted, switch, text},
    written::Written,
};
use crate::guard::csrf;

/// Smallest signing key, in bytes.
const KEY_BYTES_MIN: usize = 32;

pub(super) fn csrf_policy(f: &mut Faults, w: &Written) -> csrf::Policy {
    let secure = switch(f, "CSRF_COOKIE_SECURE", &w.csrf_cookie_secure);
    let cookie = cookie_name(f, "CSRF_COOKIE_NAME", &w.csrf_cookie_name, "csrf_token");
    if !secure && (cookie.starts_with("__Host-") || cookie.starts_with("__Secure-")) {
        f.add(
            "CSRF_COOKIE_NAME",
            format!("browsers drop {} without Secure", quoted(&cookie)),
            "set CSRF_COOKIE_SECURE=1, or choose a name without the prefix",
        );
    }
    let same_site = match text(&w.csrf_cookie_samesite).map(str::to_ascii_lowercase).as_deref() {
        None | Some("lax") => csrf::SameSite::Lax,
        Some("strict") => csrf::SameSite::Strict,
        Some("none") => csrf::SameSite::None,
        Some(other) => {
            f.add(
                "CSRF_COOKIE_SAMESITE",
                format!("{} is not known", quoted(other)),
                "write lax, strict or none",
            );
            csrf::SameSite::Lax
        }
    };
    if same_site == csrf::SameSite::None && !secure {
        f.add(
            "CSRF_COOKIE_SAMESITE",
            "browsers drop \"none\" without Secure",
            "set CSRF_COOKIE_SECURE=1, or write lax or strict",
        );
    }
    let session_cookie = cookie_name(f, "SESSION_COOKIE_NAME", &w.session_cookie_name, "session");
    if session_cookie == cookie {
        f.add(
            "SESSION_COOKIE_NAME",
            format!("{} is CSRF_COOKIE_NAME too", quoted(&cookie)),
            "give each of the two cookies a name of its own",
        );
    }
    let keys = csrf_keys(f, &w.csrf_secret_file);
    csrf::Policy { keys, cookie, session_cookie, secure, same_site }
}

fn csrf_keys(faults: &mut Faults, written: &Option<String>) -> csrf::KeyRing {
    let Some(path) = text(written) else { return csrf::KeyRing::random() };
    let Some(content) = file(faults, "CSRF_SECRET_FILE", path) else {
        return csrf::KeyRing::random();
    };
    let keys: Vec<&str> = content.lines().map(str::trim).filter(|key| !key.is_empty()).collect();
    let short = keys.iter().filter(|key| key.len() < KEY_BYTES_MIN).count();
    if keys.is_empty() || short > 0 || keys.len() > csrf::KEYS_MAX {
        faults.add(
            "CSRF_SECRET_FILE",
            format!(
                "{} holds {} keys, {short} of them under {KEY_BYTES_MIN} bytes",
                quoted(path),
                keys.len()
            ),
            format!(
                "write 1 to {} keys, one a line, the current first: openssl rand -hex 32 > FILE",
                csrf::KEYS_MAX
            ),
        );
        return csrf::KeyRing::random();
    }
    csrf::KeyRing::new(keys.iter().map(|key| key.as_bytes()))
}

fn cookie_name(
    faults: &mut Faults,
    variable: &'static str,
    written: &Option<String>,
    default: &str,
) -> String {
    let name = text(written).unwrap_or(default);
    let fits = name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if !fits {
        faults.add(
            variable,
            format!("{} is not a cookie's name", quoted(name)),
            "write up to 64 of A-Z a-z 0-9 _ - .",
        );
    }
    name.to_owned()
}
