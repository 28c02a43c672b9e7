//! A value in; its key and the value out. Of one that is absent, nothing: absent is never `null`.

use std::net::{IpAddr, Ipv4Addr};

use slog::Serializer;

pub(super) fn word(
    out: &mut dyn Serializer,
    key: &'static str,
    value: Option<&str>,
) -> slog::Result {
    value.map_or(Ok(()), |value| out.emit_str(key, value))
}

pub(super) fn count(
    out: &mut dyn Serializer,
    key: &'static str,
    value: Option<u64>,
) -> slog::Result {
    value.map_or(Ok(()), |value| out.emit_u64(key, value))
}

/// Nearly all are IPv4, and its `Display` takes eight times as long as this.
pub(super) fn address(
    out: &mut dyn Serializer,
    key: &'static str,
    value: Option<IpAddr>,
) -> slog::Result {
    match value {
        None => Ok(()),
        Some(IpAddr::V6(address)) => out.emit_arguments(key, &format_args!("{address}")),
        Some(IpAddr::V4(address)) => out.emit_str(key, &dotted(address)),
    }
}

fn dotted(address: Ipv4Addr) -> String {
    let mut text = String::with_capacity("255.255.255.255".len());
    for (n, octet) in address.octets().into_iter().enumerate() {
        if n > 0 {
            text.push('.');
        }
        for (least, divisor) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / divisor % 10));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_written_as_always(address: Ipv4Addr) {
            prop_assert_eq!(dotted(address), address.to_string());
        }
    }
}
