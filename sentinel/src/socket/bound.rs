//! A path in; a listener in whose place nobody else's stands, for as long as sentinel runs, out.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{Mode, fchmod},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
    },
};
use shared::socket::PATH_BYTES_MAX;
use tokio::{net::UnixListener, time::sleep};

use crate::{
    failure::{Failure, say},
    tail::identity::Inode,
};

/// Between two looks at whether the socket is still at its path.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who may connect: the user and the group.
const MODE: u32 = 0o660;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// The socket at its path; removed from there in the end, if it is still this one.
#[derive(Debug)]
pub struct Bound {
    path: PathBuf,
    /// While the listener is open nothing else is given this inode.
    inode: Inode,
    pub(super) listener: UnixListener,
}

impl Bound {
    /// Binds the socket. What a sentinel that was killed left there is removed; whoever answers is not.
    ///
    /// # Errors
    /// The path is too long, somebody answers there, something else than a socket is there, or it cannot be bound.
    pub fn bind(path: &Path) -> Result<Self, Failure> {
        let bytes = path.as_os_str().len();
        if bytes > PATH_BYTES_MAX {
            return Err(Failure::Io(format!(
                "the socket's path {} has {bytes} bytes, and a unix socket takes {PATH_BYTES_MAX}: \
                 give a shorter one with --socket (SENTINEL_SOCKET)",
                path.display()
            )));
        }
        let failed = |error: io::Error| Failure::at("listen on", path, &error);
        match probe(path) {
            // With all its places taken, somebody who hangs is still somebody.
            Ok(()) | Err(Errno::AGAIN) => {
                return Err(Failure::Io(format!(
                    "somebody answers on {}: stop that sentinel, or give this one a --socket \
                     (SENTINEL_SOCKET) of its own",
                    path.display()
                )));
            }
            // Nobody listens: it was left behind. Another kind of file refuses a connection too, and
            // is not ours to remove.
            Err(Errno::CONNREFUSED) => {
                let found = fs::symlink_metadata(path).map_err(failed)?;
                if !found.file_type().is_socket() {
                    return Err(Failure::Io(format!(
                        "{} is there and is no socket: name another path with --socket \
                         (SENTINEL_SOCKET)",
                        path.display()
                    )));
                }
                fs::remove_file(path).map_err(failed)?;
            }
            Err(_) => {}
        }
        let listener = listener(path).map_err(|error| failed(error.into()))?;
        listener.set_nonblocking(true).map_err(failed)?;
        let found = fs::symlink_metadata(path).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        Ok(Self { path: path.to_owned(), inode: Inode::from(&found), listener })
    }

    fn is_at_path(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| Inode::from(&found) == self.inode)
    }

    /// Waits until somebody has removed the socket or put something else in its place, and binds it
    /// anew. Where that does not work, it is said once and tried again.
    pub(super) async fn anew(&self) -> Self {
        let mut said = None;
        loop {
            sleep(LOOK_EVERY).await;
            if self.is_at_path() {
                said = None;
                continue;
            }
            match Self::bind(&self.path) {
                Ok(bound) => {
                    say(&format!("{} was gone and is answered on again", self.path.display()));
                    return bound;
                }
                Err(failure) => {
                    let why = failure.to_string();
                    if said.as_ref() != Some(&why) {
                        say(&format!("nobody can ask: {why}"));
                        said = Some(why);
                    }
                }
            }
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.is_at_path() {
            // Whoever starts next removes it otherwise.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Connects, and never waits for a place.
fn probe(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}

/// A socket that nobody could ever connect to whom its mode does not let. The mode of an open socket
/// is that of the file it will be, less the process's mask (Linux). A mask of our own is the other
/// way, but that is every thread's.
fn listener(path: &Path) -> Result<std::os::unix::net::UnixListener, Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    fchmod(&socket, Mode::from_raw_mode(MODE))?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let listening = fs::set_permissions(path, fs::Permissions::from_mode(MODE))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .and_then(|()| listen(&socket, BACKLOG));
    if let Err(error) = listening {
        drop(fs::remove_file(path));
        return Err(error);
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener as Hung, sync::mpsc, thread};

    use rustix::process::umask;

    use super::*;

    #[test]
    fn a_sentinel_that_hangs_with_all_its_places_taken_is_somebody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let hung = Hung::bind(&path).unwrap();
        // As few as there can be.
        listen(&hung, 0).unwrap();
        // One that has left keeps its place until it is accepted.
        let places = (0..100).take_while(|_| probe(&path).is_ok()).count();
        assert_eq!((places < 100, probe(&path)), (true, Err(Errno::AGAIN)));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(Bound::bind(&path).map(drop)));
        let failure = told.recv_timeout(Duration::from_secs(20)).expect("it ends").unwrap_err();
        assert!(failure.to_string().contains("somebody answers"), "{failure}");
    }

    #[tokio::test]
    async fn the_user_and_the_group_may_connect_whatever_the_mask() {
        let dir = tempfile::tempdir().unwrap();
        for mask in [0o077, 0o022, 0o000] {
            let path = dir.path().join(format!("{mask:o}"));
            let before = umask(Mode::from_raw_mode(mask));
            let bound = Bound::bind(&path);
            umask(before);
            bound.as_ref().unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, MODE, "mask {mask:o}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_was_removed_or_replaced_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let first = Bound::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = first.anew().await;
        drop(first);
        assert!(second.is_at_path(), "the first removes its own alone");
        // Nobody listens on this one.
        fs::remove_file(&path).unwrap();
        drop(Hung::bind(&path).unwrap());
        let third = second.anew().await;
        assert!(third.is_at_path());
        drop((second, third));
        assert!(!path.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_somebody_elses_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let bound = Bound::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = Hung::bind(&path).unwrap();
        let wait = Duration::from_secs(60);
        assert!(tokio::time::timeout(wait, bound.anew()).await.is_err(), "it answers");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(tokio::time::timeout(wait, bound.anew()).await.is_err(), "it is no socket");
        drop((bound, other));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
