//! A value that may be absent in; its key and the value, or nothing, out: absent is never `null`.

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
