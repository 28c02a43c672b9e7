//! What a file holds: its bytes, or those that are compressed in it.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _, Seek as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use flate2::read::MultiGzDecoder;

use crate::regular;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes thrown away at once on the way to a place in a compressed file.
const SKIP_BYTES: usize = 64 << 10;

/// An open file, read at any place.
#[derive(Debug)]
pub struct Content {
    file: File,
    packed: Option<Packed>,
}

/// A gzip stream, which can only be read forward: to go back is to begin again.
#[derive(Debug)]
struct Packed {
    decoder: MultiGzDecoder<File>,
    at: u64,
}

impl Content {
    /// Opens a regular file. One that is named `.gz` and is gzip holds what is compressed in it: by
    /// its first bytes alone, whoever writes to a log could keep it from being read.
    ///
    /// # Errors
    /// It cannot be opened, or is not a regular file.
    pub fn open(path: &Path) -> io::Result<(Self, Metadata)> {
        let (file, metadata) = regular::open(path)?;
        let named = path.extension().is_some_and(|extension| extension == "gz");
        Ok((if named { Self::of(file)? } else { file.into() }, metadata))
    }

    /// The content of a file, by its first bytes (RFC 1952), whatever its name says.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(file: File) -> io::Result<Self> {
        let mut magic = [0; GZIP_MAGIC.len()];
        let is_packed = file.read_at(&mut magic, 0)? == magic.len() && magic == GZIP_MAGIC;
        let packed = if is_packed { Some(Packed::begin(&file)?) } else { None };
        Ok(Self { file, packed })
    }

    /// It is compressed, and will not grow.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// What the file is now.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// A second handle to the same file, which is not compressed.
    ///
    /// # Errors
    /// No handle is left.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, packed: None })
    }

    /// Reads what stands at `from`, as `pread` does; 0 bytes at the end.
    ///
    /// # Errors
    /// Those of the disk; what is compressed is damaged or cut off.
    pub fn read_at(&mut self, into: &mut [u8], from: u64) -> io::Result<usize> {
        let Some(packed) = &mut self.packed else {
            return retry(|| self.file.read_at(into, from));
        };
        if from < packed.at {
            *packed = Packed::begin(&self.file)?;
        }
        packed.read_at(into, from)
    }

    /// Fills `into` with what stands at `from`; less where the file ends.
    ///
    /// # Errors
    /// Those of [`Self::read_at`].
    pub fn read_all_at(&mut self, into: &mut [u8], from: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, from + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        Ok(read)
    }

    /// Its first bytes, `most` of them or all there are.
    ///
    /// # Errors
    /// Those of [`Self::read_at`].
    pub fn beginning(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let read = self.read_all_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Whether these bytes stand there.
    ///
    /// # Errors
    /// Those of [`Self::read_at`].
    pub fn stands_at(&mut self, expected: &[u8], from: u64) -> io::Result<bool> {
        let mut found = vec![0; expected.len()];
        Ok(self.read_all_at(&mut found, from)? == expected.len() && found == expected)
    }
}

impl From<File> for Content {
    /// The bytes of a file that is not compressed.
    fn from(file: File) -> Self {
        Self { file, packed: None }
    }
}

impl Packed {
    fn begin(file: &File) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        Ok(Self { decoder: MultiGzDecoder::new(file), at: 0 })
    }

    fn read_at(&mut self, into: &mut [u8], from: u64) -> io::Result<usize> {
        let mut skipped = [0; SKIP_BYTES];
        while self.at < from {
            let most = usize::try_from(from - self.at).unwrap_or(SKIP_BYTES).min(SKIP_BYTES);
            let read = retry(|| self.decoder.read(skipped.get_mut(..most).unwrap_or_default()))?;
            if read == 0 {
                return Ok(0);
            }
            self.at += read as u64;
        }
        let read = retry(|| self.decoder.read(into))?;
        self.at += read as u64;
        Ok(read)
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_compressed_is_read_at_any_place() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).map(|i| b'a' + (i % 23) as u8).collect();
        let mut packed = Vec::new();
        for part in bytes.chunks(100_000) {
            let mut member = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
            member.write_all(part).unwrap();
            packed = member.finish().unwrap();
        }
        for (name, written) in [("a.log", &bytes), ("a.log.1.gz", &packed)] {
            std::fs::write(dir.path().join(name), written).unwrap();
            let (mut content, _) = Content::open(&dir.path().join(name)).unwrap();
            assert_eq!(content.is_packed(), name.ends_with("gz"));
            for from in [0, 250_000, 10, 99_990, 299_999, 300_000, 400_000] {
                let mut found = vec![0; 20];
                let read = content.read_all_at(&mut found, from as u64).unwrap();
                let expected = bytes.get(from..).unwrap_or_default();
                assert_eq!(found[..read], expected[..expected.len().min(20)], "{name} at {from}");
            }
        }
    }

    #[test]
    fn what_is_only_named_as_compressed_is_read_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        std::fs::write(&path, "plain").unwrap();
        let (mut content, _) = Content::open(&path).unwrap();
        assert_eq!(content.beginning(10).unwrap(), b"plain");
    }
}
