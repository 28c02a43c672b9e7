//! What a watcher gives out in; when the line of each probe was seen whole in it out.

use std::{
    io::{ErrorKind, Read},
    time::Instant,
};

use anyhow::{Result, ensure};

use crate::{clock, lines};

/// One place at which probes come out.
pub(crate) struct Sight {
    pub(crate) name: &'static str,
    /// When each probe was seen, by its number.
    pub(crate) seen: Vec<Option<Instant>>,
    from: Box<dyn Read>,
    unread: Vec<u8>,
}

impl Sight {
    /// Of so many probes; reading from `from` must not block.
    pub(crate) fn of(name: &'static str, from: impl Read + 'static, probes: usize) -> Self {
        Self { name, seen: vec![None; probes], from: Box::new(from), unread: Vec::new() }
    }

    /// Notes what has come.
    pub(crate) fn look(&mut self) -> Result<()> {
        let mut piece = [0; 64 << 10];
        let read = match self.from.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            return Ok(());
        }
        let now = clock::now();
        self.unread.extend_from_slice(piece.get(..read).unwrap_or_default());
        let whole = memchr::memrchr(b'\n', &self.unread).map_or(0, |end| end + 1);
        for line in self.unread.drain(..whole).as_slice().split(|byte| *byte == b'\n') {
            if let Some(place) = lines::probe(line).and_then(|probe| self.seen.get_mut(probe)) {
                ensure!(place.is_none(), "{}: a probe came twice", self.name);
                *place = Some(now);
            }
        }
        Ok(())
    }

    /// Every probe was seen.
    pub(crate) fn is_done(&self) -> bool {
        self.seen.iter().all(Option::is_some)
    }
}
