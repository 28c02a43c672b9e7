//! A binding in, a signed token out, and back: `v1.<key id>.<nonce>.<HMAC-SHA256>`.
//!
//! There is no time in it: a token's life is its cookie's and its key's.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Most keys in the ring.
pub const KEYS_MAX: usize = 8;

const NONCE_BYTES: usize = 16;

/// Keys that verify; the first signs. A new key is put first, the old one goes when its tokens have
/// died (12 hours).
pub struct KeyRing {
    keys: Vec<Key>,
    ephemeral: bool,
}

struct Key {
    id: String,
    mac: Hmac<Sha256>,
}

impl KeyRing {
    /// The current key first.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self {
            keys: keys.into_iter().map(|key| Key::new(key.as_ref())).collect(),
            ephemeral: false,
        }
    }

    /// One random key that dies with the process.
    pub fn random() -> Self {
        let key: [u8; 32] = rand::random();
        Self { keys: vec![Key::new(&key)], ephemeral: true }
    }

    /// Whether the key dies with the process.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// A new token under the current key.
    pub fn mint(&self, binding: &[u8]) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        // An empty ring cannot be built from settings; it would mint what nothing verifies.
        let Some(key) = self.keys.first() else { return String::new() };
        let signature = base64(&key.mac(&nonce, binding).finalize().into_bytes());
        format!("v1.{}.{}.{signature}", key.id, base64(&nonce))
    }

    /// Whether one of the keys signed this token for this binding.
    pub fn verify(&self, token: &[u8], binding: &[u8]) -> bool {
        self.keys.iter().any(|key| key.signed(token, binding))
    }

    /// Whether the current key did: only such a token is worth handing out again.
    pub fn verify_current(&self, token: &[u8], binding: &[u8]) -> bool {
        self.keys.first().is_some_and(|key| key.signed(token, binding))
    }
}

impl Key {
    fn new(key: &[u8]) -> Self {
        // The id names the key without telling it, and is the same in every replica.
        let id = Sha256::new().chain_update(b"csrf-key-id").chain_update(key).finalize();
        let id = base64(id.get(..6).unwrap_or_default());
        // HMAC takes keys of any length (RFC 2104 §3).
        let mac = Hmac::new_from_slice(key).expect("an HMAC key has no wrong length");
        Self { id, mac }
    }

    /// Each part is preceded by its length, so that no two inputs read the same.
    fn mac(&self, nonce: &[u8], binding: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in [b"csrf-v1".as_slice(), self.id.as_bytes(), nonce, binding] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    fn signed(&self, token: &[u8], binding: &[u8]) -> bool {
        let mut parts = token.split(|b| *b == b'.');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        let [Some(b"v1"), Some(id), Some(nonce), Some(signature), None] = parts else {
            return false;
        };
        let (Ok(nonce), Ok(signature)) =
            (URL_SAFE_NO_PAD.decode(nonce), URL_SAFE_NO_PAD.decode(signature))
        else {
            return false;
        };
        id == self.id.as_bytes()
            && nonce.len() == NONCE_BYTES
            // In constant time.
            && self.mac(&nonce, binding).verify_slice(&signature).is_ok()
    }
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl fmt::Debug for KeyRing {
    /// Never the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        f.debug_struct("KeyRing").field("ids", &ids).field("ephemeral", &self.ephemeral).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NEW: &[u8] = b"fedcba9876543210fedcba9876543210";

    #[test]
    fn a_token_is_good_for_its_binding_alone() {
        let ring = KeyRing::new([NEW]);
        let token = ring.mint(b"session");
        assert!(ring.verify(token.as_bytes(), b"session"));
        assert!(!ring.verify(token.as_bytes(), b""));
        assert!(token.len() < 100);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
    }

    #[test]
    fn old_tokens_live_while_their_key_is_in_the_ring() {
        let token = KeyRing::new([OLD]).mint(b"");
        let both = KeyRing::new([NEW, OLD]);
        assert!(both.verify(token.as_bytes(), b""));
        assert!(!both.verify_current(token.as_bytes(), b""));
        assert!(!KeyRing::new([NEW]).verify(token.as_bytes(), b""));
    }

    proptest! {
        #[test]
        fn no_other_token_verifies(token in ".{0,120}", flip in 0..90_usize) {
            let ring = KeyRing::new([NEW]);
            prop_assert!(!ring.verify(token.as_bytes(), b""));
            let mut good = ring.mint(b"").into_bytes();
            let at = flip % good.len();
            good[at] ^= 1;
            prop_assert!(!ring.verify(&good, b""));
        }
    }
}
