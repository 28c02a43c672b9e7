//! `LISTEN_SOCKET`: a unix socket, behind which a proxy of ours speaks.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    process::Child,
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::sandbox::{Sandbox, until};

const GET: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n";

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let socket = sandbox.path("webapp.sock");
    sandbox.env("LISTEN_SOCKET", socket)
}

fn status(sandbox: &Sandbox) -> String {
    let mut stream = UnixStream::connect(sandbox.path("webapp.sock")).unwrap();
    stream.write_all(GET).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_local_peer_counts_as_a_proxy() {
    let sandbox = sandbox();
    let (child, said) = sandbox.spawn();
    let _ended = Ended(child);
    let socket = sandbox.path("webapp.sock");
    assert_eq!(said, format!("webapp 0.1.0 listening on unix:{}", socket.display()));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(status(&sandbox), "HTTP/1.1 200 OK");
    let record = until(|| sandbox.log("requests").lines().next().map(str::to_owned)).unwrap();
    let record: shared::Record = serde_json::from_str(&record).unwrap();
    assert_eq!(record.client_ip.as_deref(), Some("192.0.2.7"));
    assert_eq!(record.peer_address, None);
    let health = sandbox.command().arg("healthcheck").output().unwrap();
    assert_eq!(health.status.code(), Some(0), "{health:?}");
}

#[test]
fn a_socket_that_was_left_behind_is_taken_and_one_that_answers_is_not() {
    let sandbox = sandbox();
    let (child, _) = sandbox.spawn();
    let first = Ended(child);
    let refused = sandbox.output();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("LISTEN_SOCKET: cannot listen on"), "{said}");
    drop(first);
    let (child, _) = sandbox.spawn();
    let _ended = Ended(child);
    assert_eq!(status(&sandbox), "HTTP/1.1 200 OK");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let sandbox = sandbox();
    fs::write(sandbox.path("webapp.sock"), "precious").unwrap();
    assert_eq!(sandbox.output().status.code(), Some(3));
    assert_eq!(fs::read_to_string(sandbox.path("webapp.sock")).unwrap(), "precious");
    let health = sandbox.command().arg("healthcheck").output().unwrap();
    assert_eq!(health.status.code(), Some(1));
}

#[test]
fn a_listener_that_hangs_holds_nobody_up() {
    let sandbox = sandbox();
    let hangs = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    hangs.bind(&SockAddr::unix(sandbox.path("webapp.sock")).unwrap()).unwrap();
    hangs.listen(0).unwrap();
    let _waiting = UnixStream::connect(sandbox.path("webapp.sock")).unwrap();
    assert_eq!(sandbox.output().status.code(), Some(3));
    let health = sandbox.command().arg("healthcheck").output().unwrap();
    assert_eq!(health.status.code(), Some(1));
}

#[test]
fn a_path_that_no_socket_can_have_is_a_fault() {
    let sandbox = Sandbox::new();
    let long = sandbox.path(&"x".repeat(120));
    assert!(UnixListener::bind(&long).is_err());
    let refused = sandbox.env("LISTEN_SOCKET", long).output();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("LISTEN_SOCKET: "), "{said}");
}
