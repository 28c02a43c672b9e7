//! The consistent cut: what was evaluated, what it left behind, and what was said of it, kept so
//! that death at any instruction costs nothing and repeats nothing.

pub mod lock;
pub mod codec;
pub mod snapshot;
pub mod journal;
pub mod disk;
pub mod recover;

/// How files of the state directory are opened: nobody else has to read what logs hold.
fn private_file() -> std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::File::options();
    options.read(true).write(true).mode(0o600);
    options
}
