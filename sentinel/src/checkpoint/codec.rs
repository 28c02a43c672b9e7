//! Values as checked bytes: length, CRC-32, then the value. What is torn or changed is not read.

use serde::{Serialize, de::DeserializeOwned};

const HEADER_BYTES: usize = 8;

/// Longest value that is believed, in bytes: a snapshot of every rule at its most groups.
const VALUE_BYTES_MAX: usize = 1 << 30;

/// The bytes of a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let value = postcard::to_stdvec(value).expect("every part of a checkpoint has a length");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&value).to_le_bytes());
    bytes.extend_from_slice(&value);
    bytes
}

/// The value at the start of `bytes` and what follows it; none where it is not whole and true.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let len =
        usize::try_from(u32::from_le_bytes(*len)).ok().filter(|len| *len <= VALUE_BYTES_MAX)?;
    let (value, rest) = rest.split_at_checked(len)?;
    if crc32fast::hash(value) != u32::from_le_bytes(*crc) {
        return None;
    }
    Some((postcard::from_bytes(value).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_torn_or_changed_is_not_read(
            value in proptest::collection::vec(any::<u8>(), 1..50),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let bytes = encode(&value);
            prop_assert_eq!(decode(&bytes), Some((value, &[][..])));
            prop_assert_eq!(decode::<Vec<u8>>(&bytes[..at.index(bytes.len())]), None);
            let mut changed = bytes.clone();
            changed[at.index(bytes.len())] ^= flip;
            prop_assert_eq!(decode::<Vec<u8>>(&changed), None);
        }
    }
}
