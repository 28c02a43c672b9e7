//! A token and what became of it on its way: `webapp::guard::csrf::KeyRing`.

use webapp::guard::csrf::KeyRing;

const CURRENT: &[u8] = b"fedcba9876543210fedcba9876543210";
const OLD: &[u8] = b"0123456789abcdef0123456789abcdef";
const FOREIGN: &[u8] = b"another key of at least 32 bytes";

/// A flag byte, a session up to a NUL, then edits of a token in three bytes each: what, where, and
/// with what. All of it stands for a token made up, too.
///
/// # Panics
/// A token that we did not mint for that session verifies, or one that we minted does not.
pub fn token(data: &[u8]) {
    let ring = KeyRing::new([CURRENT, OLD]);
    let Some((flags, rest)) = data.split_first() else { return };
    let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
    let (session, edits) = rest.split_at(end);
    let edits = edits.strip_prefix(b"\0").unwrap_or_default();
    for made_up in [data, rest, edits] {
        assert!(!ring.verify(made_up, session), "a token from nowhere verifies");
    }

    let (key, is_ours) = match flags % 3 {
        0 => (CURRENT, true),
        1 => (OLD, true),
        _ => (FOREIGN, false),
    };
    let minted = KeyRing::new([key]).mint(session).into_bytes();
    let other = ring.mint(session).into_bytes();
    let mut token = minted.clone();
    for edit in edits.chunks_exact(3).take(16) {
        apply(&mut token, edit[0], usize::from(edit[1]), edit[2], &other);
    }
    let same = token == minted;
    assert_eq!(ring.verify(&token, session), (same && is_ours) || token == other);
    assert_eq!(ring.verify_current(&token, session), (same && key == CURRENT) || token == other);

    // The session is part of it, and where the session ends too.
    let longer = [session, b"x".as_slice()].concat();
    assert!(!ring.verify(&token, &longer));
    if let Some((_, shorter)) = session.split_last() {
        assert!(!ring.verify(&token, shorter));
    }
}

fn apply(token: &mut Vec<u8>, what: u8, at: usize, byte: u8, other: &[u8]) {
    let at = at % (token.len() + 1);
    let tail = |token: &[u8]| token.get(at..).unwrap_or_default().to_vec();
    match what % 7 {
        0 if at < token.len() => token[at] = byte,
        1 => token.insert(at, byte),
        2 if at < token.len() => {
            token.remove(at);
        }
        3 => token.truncate(at),
        4 if at < token.len() => token[at] ^= 1 << (byte % 8),
        // The end of another good token.
        5 => {
            token.truncate(at);
            token.extend(tail(other));
        }
        // Once more from there.
        6 if token.len() < 1_000 => token.extend(tail(token)),
        _ => {}
    }
}
