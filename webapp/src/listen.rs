//! An address in; a listener, and from it connections with their peers, out.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    net::{self, SocketAddr},
    os::{
        fd::OwnedFd,
        unix::{fs::FileTypeExt, net as unix},
    },
    path::{Path, PathBuf},
};

use rustix::{fs::Mode, process::umask};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::client::Peer;

/// Connections that the kernel holds for us. With fewer, the SYN of a polite client in a burst is
/// dropped and comes again a second later.
const BACKLOG: i32 = 4_096;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `HOST` and `PORT`; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// `LISTEN_SOCKET`: whoever may open it counts as a proxy of ours.
    Unix(PathBuf),
}

/// A bound listener.
#[derive(Debug)]
pub enum Bound {
    /// On an address.
    Tcp(net::TcpListener),
    /// On a path.
    Unix(unix::UnixListener),
}

/// A listener that tokio watches.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// Whether others than this host's programs may reach it; a socket they reach through its proxy.
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Listens. An address can be taken again at once after a restart; a socket that nobody answers
    /// on is replaced.
    ///
    /// # Errors
    /// The address is taken or not ours; what stands at the path is no socket; it cannot be made.
    pub fn bind(&self) -> io::Result<Bound> {
        match self {
            Self::Tcp(address) => tcp(*address).map(Bound::Tcp),
            Self::Unix(path) => socket(path).map(Bound::Unix),
        }
    }
}

impl Bound {
    /// Where it listens, with the port that the system chose.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(Address::Unix(address.as_pathname().map(Path::to_owned).unwrap_or_default()))
            }
        }
    }

    pub(crate) fn listen(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
            Self::Unix(listener) => UnixListener::from_std(listener).map(Listener::Unix),
        }
    }
}

impl Listener {
    /// Takes the next connection.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // An answer goes out in one piece; waiting for a second one would only delay it.
                stream.set_nodelay(true).ok();
                Ok((Stream::Tcp(stream), address.ip().into()))
            }
            Self::Unix(listener) => {
                let (stream, _unnamed) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Local))
            }
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn socket(path: &Path) -> io::Result<unix::UnixListener> {
    match knock(path) {
        Ok(_) => return Err(io::Error::new(ErrorKind::AddrInUse, "somebody answers there")),
        // Somebody who does not accept what waits already.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            return Err(io::Error::new(ErrorKind::AddrInUse, "somebody is there and busy"));
        }
        // Nobody listens: it was left behind. Another kind of file refuses a connection too, and is
        // not ours to remove.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            if !fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(io::Error::new(ErrorKind::AlreadyExists, "it is there and no socket"));
            }
            fs::remove_file(path)?;
        }
        Err(_) => {}
    }
    // For us and our group from the first moment on: to connect is to be believed.
    let before = umask(Mode::from_raw_mode(0o117));
    let bound = unix::UnixListener::bind(path);
    umask(before);
    let listener = bound?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to a unix socket at once or not at all: who listens and does not accept would be waited
/// for without end.
pub(crate) fn knock(path: &Path) -> io::Result<unix::UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(OwnedFd::from(socket).into())
}
