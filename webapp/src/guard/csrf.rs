//! An unsafe request's headers in; whether a page of ours sent it out.
//!
//! Another site can make a browser send a request with our cookies (CWE-352). It cannot read our
//! cookies, so it cannot repeat one of them in a header: the signed double submit (OWASP
//! Cross-Site Request Forgery Prevention Cheat Sheet). Fetch Metadata and `Origin` only ever deny.

mod token;

use hyper::{HeaderMap, header};
use subtle::ConstantTimeEq;

pub use token::{KEYS_MAX, KeyRing};

use super::cors::{self, Cors};
use crate::origin::Origin;

/// The header that repeats the cookie.
pub const HEADER: &str = "x-csrf-token";

/// Seconds that a browser keeps the cookie: 12 hours.
pub const COOKIE_SECONDS: u32 = 43_200;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 256;

/// How tokens are signed and carried.
#[derive(Debug)]
pub struct Policy {
    /// Keys that sign and verify.
    pub keys: KeyRing,
    /// The cookie that holds the token.
    pub cookie: String,
    /// The cookie whose value a token is bound to, where a request carries one.
    pub session_cookie: String,
    /// `Secure`.
    pub secure: bool,
    /// `SameSite`.
    pub same_site: SameSite,
}

/// `SameSite` of the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Sent when a link leads to us, not with requests of other sites.
    Lax,
    /// Sent with requests of our own pages alone.
    Strict,
    /// Sent always.
    None,
}

impl Policy {
    /// Decides about an unsafe request.
    ///
    /// # Errors
    /// Why it is refused, for the log; the client learns no more than that it was.
    pub fn check(
        &self,
        headers: &HeaderMap,
        cors: &Cors,
        origins: &cors::Policy,
        own: Option<&Origin>,
    ) -> Result<(), &'static str> {
        same_origin(headers, cors, origins, own)?;

        let mut cookies = cookies(headers, &self.cookie);
        let cookie = cookies.next().ok_or("no token cookie")?;
        if cookies.next().is_some() {
            // A neighbouring sub-domain can set a second one; which of them is ours?
            return Err("more than one token cookie");
        }
        let mut sent = headers.get_all(HEADER).iter();
        let token = sent.next().ok_or("no token header")?.as_bytes();
        if sent.next().is_some() {
            return Err("more than one token header");
        }
        if token.len() > TOKEN_BYTES_MAX || cookie.len() > TOKEN_BYTES_MAX {
            return Err("token is too long");
        }
        if !bool::from(token.ct_eq(cookie)) {
            return Err("token header differs from the cookie");
        }
        if !self.keys.verify(token, self.binding(headers)) {
            return Err("token is not signed by us for this session");
        }
        Ok(())
    }

    /// The token that the request carries if it is still good (other tabs may hold it), else a new one.
    pub fn token(&self, headers: &HeaderMap) -> String {
        let binding = self.binding(headers);
        let mut cookies = cookies(headers, &self.cookie);
        if let (Some(token), None) = (cookies.next(), cookies.next())
            && token.len() <= TOKEN_BYTES_MAX
            && self.keys.verify_current(token, binding)
            && let Ok(token) = std::str::from_utf8(token)
        {
            return token.to_owned();
        }
        self.keys.mint(binding)
    }

    /// `Set-Cookie`. Not `HttpOnly`: the page's script must read it. No `Domain`: this host alone.
    pub fn set_cookie(&self, token: &str) -> String {
        let same_site = match self.same_site {
            SameSite::Lax => "Lax",
            SameSite::Strict => "Strict",
            SameSite::None => "None",
        };
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = &self.cookie;
        format!("{cookie}={token}; Path=/; Max-Age={COOKIE_SECONDS}; SameSite={same_site}{secure}")
    }

    /// What a token is bound to: the session, if there is one. A token minted before login stops
    /// working at login, and a token of another session never works.
    fn binding<'a>(&self, headers: &'a HeaderMap) -> &'a [u8] {
        cookies(headers, &self.session_cookie).next().unwrap_or_default()
    }
}

/// What the browser itself says about where the request comes from.
fn same_origin(
    headers: &HeaderMap,
    cors: &Cors,
    origins: &cors::Policy,
    own: Option<&Origin>,
) -> Result<(), &'static str> {
    let mut referers = headers.get_all(header::REFERER).iter();
    let referer = referers.next();
    if referers.next().is_some() {
        return Err("more than one referer header");
    }
    let allowed = matches!(cors, Cors::Allowed { .. });
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let site = sites.next();
    if sites.next().is_some() {
        return Err("more than one sec-fetch-site header");
    }
    match site.map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => {}
        Some(_) if allowed => {}
        Some(_) => return Err("sec-fetch-site is not same-origin"),
    }
    if headers.contains_key(header::ORIGIN) {
        // `Same` was compared with our own origin, scheme and port included.
        return match cors {
            Cors::Same | Cors::Allowed { .. } => Ok(()),
            Cors::Foreign => Err("origin is not allowed"),
        };
    }
    if site.is_some() {
        return Ok(());
    }
    let Some(referer) = referer else { return Ok(()) };
    match referer.to_str().ok().and_then(referer_origin) {
        Some(origin) if origins.decide(&origin, own) != Cors::Foreign => Ok(()),
        _ => Err("referer is of another origin"),
    }
}

fn referer_origin(referer: &str) -> Option<Origin> {
    let (scheme, rest) = referer.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Origin::new(scheme, authority)
}

/// Values of the cookies of that name, over all `Cookie` lines.
fn cookies<'a, 'n>(
    headers: &'a HeaderMap,
    name: &'n str,
) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b';'))
        .filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests;
