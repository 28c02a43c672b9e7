//! A raw query in; its decoded parameters, or why it is refused, out.
//!
//! Counted before it is decoded: what is too much costs nothing.

use percent_encoding::percent_decode;

/// How much a query may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Parameters.
    pub params_max: usize,
    /// Characters of a decoded name.
    pub key_chars_max: usize,
    /// Characters of a decoded value.
    pub value_chars_max: usize,
    /// Bytes of the whole query as sent.
    pub bytes_max: usize,
}

/// A query within its limits.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Names and values, decoded, in their order.
    pub params: Vec<(String, String)>,
}

/// Why a query is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What is wrong: fixed text, fit for the client.
    pub reason: &'static str,
    /// The parameter, if its name is harmless; never a value.
    pub parameter: Option<String>,
}

/// Splits at `&` alone, and decodes `+` and `%XX`.
///
/// # Errors
/// Which limit was passed, or which byte no query holds.
pub fn check(raw: &str, limits: &Limits) -> Result<Query, Rejected> {
    let whole = |reason| Rejected { reason, parameter: None };
    if raw.len() > limits.bytes_max {
        return Err(whole("query is too long"));
    }
    let segments = || raw.split('&').filter(|segment| !segment.is_empty());
    if segments().count() > limits.params_max {
        return Err(whole("too many query parameters"));
    }
    let mut params = Vec::new();
    for segment in segments() {
        let (key, value) = segment.split_once('=').unwrap_or((segment, ""));
        let key = decode(key).map_err(whole)?;
        if key.is_empty() {
            return Err(whole("query parameter without a name"));
        }
        if key.chars().count() > limits.key_chars_max {
            return Err(whole("name of a query parameter is too long"));
        }
        if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
            return Err(whole(
                "name of a query parameter holds other characters than A-Z a-z 0-9 _ . -",
            ));
        }
        let named = |reason| Rejected { reason, parameter: Some(key.clone()) };
        let value = decode(value).map_err(named)?;
        if value.chars().count() > limits.value_chars_max {
            return Err(named("value of a query parameter is too long"));
        }
        params.push((key, value));
    }
    Ok(Query { params })
}

/// Stricter than the form standard, which replaces what it cannot read: what was replaced could be
/// read otherwise by whoever comes after us.
fn decode(text: &str) -> Result<String, &'static str> {
    let spaced = text.replace('+', " ");
    let mut rest = spaced.as_bytes();
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        let digits = rest.get(at + 1..at + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err("bad escape in the query");
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    let decoded = percent_decode(spaced.as_bytes())
        .decode_utf8()
        .map_err(|_| "query is not UTF-8")?
        .into_owned();
    // C1 too: a terminal may obey U+009B as it obeys ESC [.
    if decoded.chars().any(char::is_control) {
        return Err("control character in the query");
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits =
        Limits { params_max: 3, key_chars_max: 4, value_chars_max: 5, bytes_max: 100 };

    type Expected<'a> = Result<&'a [(&'a str, &'a str)], (&'a str, Option<&'a str>)>;

    #[track_caller]
    fn check(raw: &str, expected: Expected<'_>) {
        let found = super::check(raw, &LIMITS);
        let found = match &found {
            Ok(query) => {
                Ok(query.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>())
            }
            Err(rejected) => Err((rejected.reason, rejected.parameter.as_deref())),
        };
        assert_eq!(found, expected.map(<[_]>::to_vec), "{raw}");
    }

    #[test]
    fn what_passes() {
        check("", Ok(&[]));
        check("&&", Ok(&[]));
        check("a=1&&b", Ok(&[("a", "1"), ("b", "")]));
        check("a=1&a=2&a=", Ok(&[("a", "1"), ("a", "2"), ("a", "")]));
        check("a=x+y%20z", Ok(&[("a", "x y z")]));
        check("a=b=c;d", Ok(&[("a", "b=c;d")]));
        check("%61=%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9", Ok(&[("a", "ééééé")]));
        check("a.-_=1", Ok(&[("a.-_", "1")]));
    }

    #[test]
    fn what_does_not() {
        let name = "name of a query parameter holds other characters than A-Z a-z 0-9 _ . -";
        check("a&b&c&d", Err(("too many query parameters", None)));
        check("%zz&%zz&%zz&%zz", Err(("too many query parameters", None)));
        check(&format!("a={}", "x".repeat(99)), Err(("query is too long", None)));
        check("abcde=1", Err(("name of a query parameter is too long", None)));
        check("=1", Err(("query parameter without a name", None)));
        check("a[]=1", Err((name, None)));
        check("%3Cb=1", Err((name, None)));
        check("a%00=1", Err(("control character in the query", None)));
        check("a=123456", Err(("value of a query parameter is too long", Some("a"))));
        check("a=%", Err(("bad escape in the query", Some("a"))));
        check("a=%4", Err(("bad escape in the query", Some("a"))));
        check("a=%zz", Err(("bad escape in the query", Some("a"))));
        check("a=%00", Err(("control character in the query", Some("a"))));
        check("a=%0A", Err(("control character in the query", Some("a"))));
        check("a=%7f", Err(("control character in the query", Some("a"))));
        check("a=%C2%85", Err(("control character in the query", Some("a"))));
        check("a=%C0%AF", Err(("query is not UTF-8", Some("a"))));
        check("a=%ED%A0%80", Err(("query is not UTF-8", Some("a"))));
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_its_limits(raw in "[ -~é]{0,120}") {
            if let Ok(query) = super::check(&raw, &LIMITS) {
                prop_assert!(query.params.len() <= 3);
                for (key, value) in query.params {
                    prop_assert!(key.chars().count() <= 4 && value.chars().count() <= 5);
                }
            }
        }

        #[test]
        fn what_was_encoded_comes_back(value in "[^\\p{Cc}]{0,5}") {
            let encoded = percent_encoding::utf8_percent_encode(
                &value,
                percent_encoding::NON_ALPHANUMERIC,
            );
            let query = super::check(&format!("a={encoded}"), &Limits { bytes_max: 1_000, ..LIMITS });
            prop_assert_eq!(query.unwrap().params, [("a".to_owned(), value)]);
        }
    }
}
