//! HTTPS by way of `openssl s_client`, which carries our bytes through TLS and back.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::scratch::Scratch;
use crate::command::command;
use crate::http::{self, Answer};

/// Seconds until a connection that says nothing is given up.
const SECONDS_MAX: &str = "15";

/// A certificate for `localhost` that signs itself.
pub(super) struct Certificate {
    /// Holds `fullchain.pem` and `privkey.pem`.
    pub(super) dir: PathBuf,
}

impl Certificate {
    /// Makes one. Its key guards nothing, and nginx runs as somebody else: everybody may read it.
    pub(super) fn new(scratch: &Scratch) -> Result<Self> {
        let dir = scratch.directory("certs")?;
        let (out, err) = scratch.output("openssl")?;
        let status = command("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .arg("-keyout")
            .arg(dir.join("privkey.pem"))
            .arg("-out")
            .arg(dir.join("fullchain.pem"))
            .stdout(out)
            .stderr(err)
            .status()
            .context("openssl")?;
        ensure!(status.success(), "openssl req: {status}");
        std::fs::set_permissions(dir.join("privkey.pem"), PermissionsExt::from_mode(0o644))?;
        Ok(Self { dir })
    }

    fn authority(&self) -> PathBuf {
        self.dir.join("fullchain.pem")
    }
}

/// A server that is reached through TLS.
pub(super) struct Tls<'a> {
    pub(super) address: SocketAddr,
    pub(super) certificate: &'a Certificate,
}

impl Tls<'_> {
    /// Sends the bytes and reads the answer.
    pub(super) fn send(&self, request: &[u8]) -> Result<Answer> {
        self.send_from(request, "127.0.0.1")
    }

    /// The same, as a client with that address.
    pub(super) fn send_from(&self, request: &[u8], client: &str) -> Result<Answer> {
        let authority = self.certificate.authority();
        let mut openssl = self.client("localhost", &authority, &["-quiet", "-bind", client])?;
        let (Some(mut to), Some(from)) = (openssl.stdin.take(), openssl.stdout.take()) else {
            bail!("openssl s_client: no pipes");
        };
        let answer = http::exchange(from, &mut to, request);
        openssl.kill().ok();
        openssl.wait().ok();
        answer.context("through openssl s_client")
    }

    /// Sends the bytes and hangs up without waiting for an answer.
    pub(super) fn leave(&self, request: &[u8]) -> Result<()> {
        let authority = self.certificate.authority();
        let mut openssl = self.client("localhost", &authority, &["-no_ign_eof"])?;
        if let Some(mut to) = openssl.stdin.take() {
            to.write_all(request)?;
        }
        openssl.wait_with_output()?;
        Ok(())
    }

    /// Sends the bytes and goes on reading as the answer comes.
    pub(super) fn listen(&self, request: &[u8]) -> Result<Listening> {
        let authority = self.certificate.authority();
        let mut openssl = self.client("localhost", &authority, &["-quiet"])?;
        let to = openssl.stdin.as_mut().context("openssl s_client: no pipe")?;
        to.write_all(request)?;
        Ok(Listening { openssl, heard: String::new() })
    }

    /// What is agreed on with a client that knows the server by that name.
    pub(super) fn handshake(&self, name: &str) -> Result<String> {
        let authority = self.certificate.authority();
        let mut openssl = self.client(name, &authority, &["-alpn", "h2,http/1.1"])?;
        drop(openssl.stdin.take());
        let output = openssl.wait_with_output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn client(&self, name: &str, authority: &Path, more: &[&str]) -> Result<Child> {
        command("timeout")
            .args([SECONDS_MAX, "openssl", "s_client", "-connect", &self.address.to_string()])
            .args(["-servername", name, "-verify_return_error", "-verify_quiet", "-CAfile"])
            .arg(authority)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("openssl s_client")
    }
}

/// An answer that has no end; the connection ends when it is dropped.
pub(super) struct Listening {
    openssl: Child,
    heard: String,
}

impl Listening {
    /// Reads until that was heard.
    pub(super) fn until(&mut self, text: &str) -> Result<()> {
        let from = self.openssl.stdout.as_mut().context("openssl s_client: no pipe")?;
        let mut piece = [0; 4 << 10];
        while !self.heard.contains(text) {
            let count = from.read(&mut piece).context("through openssl s_client")?;
            ensure!(count > 0, "it ended before {text:?} came: {}", self.heard);
            self.heard.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        Ok(())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // `timeout` hands it on to openssl, and a kill would not reach that.
        kill_process(Pid::from_child(&self.openssl), Signal::TERM).ok();
        self.openssl.wait().ok();
    }
}
