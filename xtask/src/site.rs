//! Where the two programs meet, from the environment they share: what is not said there is as
//! their own defaults have it.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::http::Address;

/// Addresses and paths of one webapp and one sentinel.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) listen: SocketAddr,
    pub(crate) rules: PathBuf,
    pub(crate) log_dir: PathBuf,
    pub(crate) alerts: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) socket: PathBuf,
}

impl Site {
    /// Reads the variables that both programs know (an empty one counts as unset).
    pub(crate) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str, or: PathBuf| set(name).map_or(or, PathBuf::from);
        let text = |name: &str, or: &str| {
            let value = set(name).unwrap_or_else(|| or.into());
            value.into_string().ok().with_context(|| format!("{name}: not UTF-8"))
        };
        if set("LISTEN_SOCKET").is_some() {
            bail!("LISTEN_SOCKET is set and cargo up shows an address for browsers: unset it");
        }
        let port = text("PORT", "5000")?;
        let Some(port) = port.parse().ok().filter(|port| *port != 0) else {
            bail!("PORT={port}: a port from 1 to 65535 is needed");
        };
        let host = text("HOST", "127.0.0.1")?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
        let address: IpAddr = match bare {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            _ => bare.parse().with_context(|| format!("HOST={host}"))?,
        };
        let log_dir = path("LOG_DIR", "logs".into());
        let state_dir = path("SENTINEL_STATE_DIR", log_dir.join(".sentinel"));
        Ok(Self {
            listen: SocketAddr::new(address, port),
            rules: path("SENTINEL_RULES", "rules/default.toml".into()),
            alerts: path("SENTINEL_ALERTS", log_dir.join("alerts.log")),
            socket: path("SENTINEL_SOCKET", state_dir.join("sentinel.sock")),
            log_dir,
            state_dir,
        })
    }

    /// Fails when another webapp or sentinel is already there: it would answer in place of ours.
    pub(crate) fn check_free(&self) -> Result<()> {
        let listen = self.listen;
        TcpListener::bind(listen).with_context(|| {
            format!("{listen} cannot be listened on; end what is there, or set HOST or PORT")
        })?;
        if UnixStream::connect(&self.socket).is_ok() {
            let (socket, log_dir) = (self.socket.display(), self.log_dir.display());
            bail!("{socket}: a sentinel watches {log_dir} already; end it, or set LOG_DIR");
        }
        Ok(())
    }

    pub(crate) fn sentinel_arguments(&self) -> [&OsStr; 10] {
        [
            "--rules".as_ref(),
            self.rules.as_ref(),
            "--log-dir".as_ref(),
            self.log_dir.as_ref(),
            "--alerts".as_ref(),
            self.alerts.as_ref(),
            "--state-dir".as_ref(),
            self.state_dir.as_ref(),
            "--socket".as_ref(),
            self.socket.as_ref(),
        ]
    }

    pub(crate) fn webapp_arguments(&self) -> Vec<OsString> {
        vec![
            "--host".into(),
            self.listen.ip().to_string().into(),
            "--port".into(),
            self.listen.port().to_string().into(),
            "--log-dir".into(),
            self.log_dir.clone().into(),
            "--sentinel-socket".into(),
            self.socket.clone().into(),
        ]
    }

    /// Where this machine reaches sentinel.
    pub(crate) fn sentinel(&self) -> Address {
        Address::Unix(self.socket.clone())
    }

    /// Where this machine reaches webapp: one that listens everywhere is here too.
    pub(crate) fn webapp(&self) -> SocketAddr {
        let mut address = self.listen;
        match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(set: &[(&str, &str)]) -> Result<Site> {
        Site::read(|name| set.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into()))
    }

    #[track_caller]
    fn check(set: &[(&str, &str)], url: &str, socket: &str, alerts: &str) {
        let site = site(set).unwrap();
        assert_eq!(site.webapp().to_string(), url);
        assert_eq!(site.socket.to_str(), Some(socket));
        assert_eq!(site.alerts.to_str(), Some(alerts));
    }

    #[test]
    fn what_is_not_set_is_as_the_programs_have_it() {
        let usual = ("127.0.0.1:5000", "logs/.sentinel/sentinel.sock", "logs/alerts.log");
        check(&[], usual.0, usual.1, usual.2);
        check(&[("PORT", ""), ("LOG_DIR", "")], usual.0, usual.1, usual.2);
        check(&[("PORT", "8")], "127.0.0.1:8", usual.1, usual.2);
        check(&[("LOG_DIR", "/l")], usual.0, "/l/.sentinel/sentinel.sock", "/l/alerts.log");
        check(&[("SENTINEL_STATE_DIR", "/s")], usual.0, "/s/sentinel.sock", usual.2);
        check(&[("SENTINEL_SOCKET", "/x")], usual.0, "/x", usual.2);
        check(&[("SENTINEL_ALERTS", "/a")], usual.0, usual.1, "/a");
    }

    #[test]
    fn a_webapp_that_listens_everywhere_is_reached_here() {
        let (socket, alerts) = ("logs/.sentinel/sentinel.sock", "logs/alerts.log");
        check(&[("HOST", "0.0.0.0")], "127.0.0.1:5000", socket, alerts);
        check(&[("HOST", "::")], "[::1]:5000", socket, alerts);
        check(&[("HOST", "127.0.0.2")], "127.0.0.2:5000", socket, alerts);
        check(&[("HOST", "[::1]")], "[::1]:5000", socket, alerts);
        check(&[("HOST", "localhost")], "127.0.0.1:5000", socket, alerts);
    }

    #[test]
    fn what_nobody_can_reach_is_refused() {
        let error = format!("{:#}", site(&[("HOST", "nowhere")]).unwrap_err());
        assert!(error.contains("HOST=nowhere"), "{error}");
        for port in ["0", "65536", "http"] {
            let error = site(&[("PORT", port)]).unwrap_err().to_string();
            assert!(error.contains(&format!("PORT={port}")), "{error}");
        }
        let error = site(&[("LISTEN_SOCKET", "/s")]).unwrap_err().to_string();
        assert!(error.contains("LISTEN_SOCKET"), "{error}");
    }
}
