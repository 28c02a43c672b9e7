//! Values as checked bytes: length, CRC-32, then the value. What is torn or changed is not read.

use serde::{Serialize, de::DeserializeOwned};

const HEADER_BYTES: usize = 12;

/// Appends the bytes of a value. It is encoded in place: a snapshot may be large.
pub fn encode<T: Serialize>(mut bytes: Vec<u8>, value: &T) -> Vec<u8> {
    let start = bytes.len();
    bytes.resize(start + HEADER_BYTES, 0);
    bytes = postcard::to_extend(value, bytes).expect("every part of a checkpoint has a length");
    let (header, value) = bytes.split_at_mut(start + HEADER_BYTES);
    let crc = crc32fast::hash(value).to_le_bytes();
    let len = (value.len() as u64).to_le_bytes();
    for (place, byte) in header.iter_mut().skip(start).zip(len.into_iter().chain(crc)) {
        *place = byte;
    }
    bytes
}

/// The value at the start of `bytes` and what follows it; none where it is not whole and true.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
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
            let bytes = encode(b"before".to_vec(), &value);
            let bytes = bytes.strip_prefix(b"before").unwrap();
            prop_assert_eq!(decode(bytes), Some((value, &[][..])));
            prop_assert_eq!(decode::<Vec<u8>>(&bytes[..at.index(bytes.len())]), None);
            let mut changed = bytes.to_vec();
            changed[at.index(bytes.len())] ^= flip;
            prop_assert_eq!(decode::<Vec<u8>>(&changed), None);
        }
    }

    #[test]
    fn what_a_loss_of_power_left_as_zeros_is_no_value() {
        assert_eq!(decode::<Vec<u8>>(&[0; 100]), None);
        assert_eq!(decode::<u64>(&[0; 100]), None);
    }
}
