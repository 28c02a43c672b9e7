//! nginx on this machine, with TLS, before a real webapp: nginx/nginx.conf as it stands, but for
//! addresses and paths.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::attack::SQL;
use super::check;
use super::house::free_port;
use super::scratch::{Scratch, read};
use super::tls::{Certificate, Tls};
use crate::child::{Child, Stopped};
use crate::command::command;
use crate::http::{self, Address, Answer, request};
use crate::up::program;
use crate::wait;

/// Longest wait for a start or an end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client that speaks to nginx; nginx speaks to webapp from 127.0.0.1.
const CLIENT: &str = "127.0.0.2";

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    let (http, https, webapp) = (free_port()?, free_port()?, free_port()?);
    let certificate = Certificate::new(scratch)?;
    let webapp = local(webapp);
    let configured = |webapp: &Address| configuration(scratch, &certificate, http, https, webapp);
    let configuration = configured(&webapp)?;

    check("nginx -t takes nginx/nginx.conf", || is_valid(scratch, &configuration))?;
    let mut webapp = start_webapp(scratch, &webapp, https)?;
    let mut nginx = start_nginx(scratch, &configuration, "", http)?;

    let plain = local(http);
    let tls = Tls { address: address(https), certificate: &certificate };
    check("http:// leads to https://", || {
        let answer = http::get(&plain, "/alerts?limit=1")?;
        status(&answer, 308)?;
        header(&answer, "location", "https://localhost/alerts?limit=1")
    })?;
    check("an answer carries webapp's headers and nginx's", || {
        let answer = tls.send(&request("GET", "/", &[]))?;
        status(&answer, 200)?;
        header(&answer, "strict-transport-security", "max-age=63072000; includeSubDomains")?;
        header(&answer, "x-content-type-options", "nosniff")?;
        header(&answer, "x-frame-options", "DENY")?;
        header(&answer, "referrer-policy", "same-origin")
    })?;
    check("webapp's refusal comes through as it is", || {
        let answer = tls.send(&request("POST", "/", &[]))?;
        status(&answer, 403)?;
        ensure!(answer.body.contains("CSRF token missing or invalid"), "{}", answer.body);
        header(&answer, "content-type", "application/problem+json")
    })?;
    check("the csrf cookie is for https alone", || {
        let answer = tls.send(&request("GET", "/csrf-token", &[]))?;
        let cookie = answer.header("set-cookie").context("no cookie")?;
        ensure!(cookie.contains("Secure"), "{cookie}");
        Ok("")
    })?;
    check("the client's address is nginx's to say", || {
        let forged = [("X-Forwarded-For", "203.0.113.9")];
        // The second is a head that hyper refuses: its record is made from the raw bytes.
        for (target, expected) in [("/?who=forged", 200), ("/?who=<raw>", 400)] {
            status(&tls.send_from(&request("GET", target, &forged), CLIENT)?, expected)?;
            let record = record(scratch, target.trim_start_matches("/?"))?;
            ensure!(record.contains(&format!(r#""client.ip":"{CLIENT}""#)), "{record}");
        }
        Ok("")
    })?;
    check("what nginx refuses reads like webapp's", || {
        let long = "x".repeat(40_000);
        for (request, expected) in [
            (request("TRACE", "/", &[]), 405),
            (request("GET", "/", &[("X-Long", &long)]), 431),
            (request("POST", "/", &[("Content-Length", "99999999")]), 413),
            (request("GET", "/", &[("Host", "localhost"), ("Host", "localhost")]), 400),
        ] {
            let answer = tls.send(&request)?;
            status(&answer, expected)?;
            header(&answer, "content-type", "application/problem+json")?;
            header(&answer, "x-content-type-options", "nosniff")?;
            header(&answer, "strict-transport-security", "max-age=63072000; includeSubDomains")?;
            let body = &answer.body;
            ensure!(body.contains(&format!(r#""status":{expected}"#)), "{body}");
        }
        Ok("")
    })?;
    check("a client that asks and leaves is recorded", || {
        tls.leave(&request("GET", "/?who=left", &[]))?;
        record(scratch, "who=left").map(|_| "")
    })?;
    check("an alert arrives on an open stream, and who leaves it is noticed", || {
        let mut sentinel = start_sentinel(scratch)?;
        let mut stream = tls.listen(&request("GET", "/alerts/stream", &[]))?;
        // Open: it tells what comes from now on, as it comes.
        stream.until("retry: 2000")?;
        status(&tls.send(&request("GET", SQL.target, &[]))?, 200)?;
        stream.until(SQL.mark)?;
        drop(stream);
        let record = record(scratch, r#""url.path":"/alerts/stream""#)?;
        ensure!(record.contains(r#""event.reason":"client left""#), "{record}");
        ends(&mut sentinel, Signal::TERM)
    })?;
    check("http:// on the port of https:// leads to https://", || {
        status(&http::get(&local(https), "/")?, 308)
    })?;
    check("a name that is not ours gets no certificate and no answer", || {
        let said = tls.handshake("elsewhere.example")?;
        ensure!(!said.contains("BEGIN CERTIFICATE"), "{said}");
        let said = tls.handshake("localhost")?;
        ensure!(said.contains("BEGIN CERTIFICATE"), "nor does ours: {said}");
        let answer = tls.send(&request("GET", "/", &[("Host", "elsewhere.example")]));
        ensure!(answer.is_err(), "a request in another's name is answered: {answer:?}");
        Ok("")
    })?;
    check("without webapp nginx says 502, in webapp's form", || {
        ends(&mut webapp, Signal::TERM)?;
        let answer = tls.send(&request("GET", "/", &[]))?;
        status(&answer, 502)?;
        header(&answer, "retry-after", "5")?;
        header(&answer, "content-type", "application/problem+json")
    })?;
    check("nginx ends when asked", || ends(&mut nginx, Signal::QUIT))?;
    check("on a unix socket nginx is trusted without a word", || {
        let webapp = Address::Unix(scratch.path("webapp.sock"));
        let _webapp = start_webapp(scratch, &webapp, https)?;
        // The socket is for webapp's user and group, and nginx run by root makes itself nobody.
        let globals = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let _nginx = start_nginx(scratch, &configured(&webapp)?, globals, http)?;
        status(&tls.send_from(&request("GET", "/?who=socket", &[]), CLIENT)?, 200)?;
        let record = record(scratch, "who=socket")?;
        ensure!(record.contains(&format!(r#""client.ip":"{CLIENT}""#)), "{record}");
        ensure!(!record.contains("network.peer.address"), "{record}");
        Ok("")
    })
}

/// nginx.conf with what differs here put in. Each must be found: a stale line would go unnoticed.
fn configuration(
    scratch: &Scratch,
    certificate: &Certificate,
    http: u16,
    https: u16,
    webapp: &Address,
) -> Result<PathBuf> {
    let mut text = fs::read_to_string("nginx/nginx.conf").context("nginx/nginx.conf")?;
    let certs = format!("{}/", certificate.dir.display());
    let temporary = format!("{}/", scratch.directory("nginx")?.display());
    let webapp = match webapp {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    };
    for (there, here) in [
        // First: what is put in below may itself lie in /tmp.
        ("/tmp/", temporary),
        ("listen 8080", format!("listen 127.0.0.1:{http}")),
        ("listen 8443", format!("listen 127.0.0.1:{https}")),
        ("server 172.30.57.2:5000", format!("server {webapp}")),
        ("/etc/nginx/certs/", certs),
    ] {
        ensure!(text.contains(there), "nginx/nginx.conf: no {there:?} to put {here:?} for");
        text = text.replace(there, &here);
    }
    if !knows_http2_directive()? {
        text = text.replace("http2 on;", "").replace(" ssl;", " ssl http2;");
    }
    let path = scratch.path("nginx.conf");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// `http2 on;` came with 1.25.1; Debian 12 has 1.22.
fn knows_http2_directive() -> Result<bool> {
    let output = command("nginx").arg("-v").output().context("nginx -v")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = said.split_once("nginx/").map_or("", |(_, version)| version);
    let mut numbers = version.split(['.', ' ', '\n']).map_while(|part| part.parse::<u32>().ok());
    let version = [(); 3].map(|()| numbers.next().unwrap_or_default());
    Ok(version >= [1, 25, 1])
}

fn is_valid(scratch: &Scratch, configuration: &Path) -> Result<String> {
    let (out, err) = scratch.output("nginx-t")?;
    let mut nginx = command("nginx");
    nginx.arg("-t").arg("-c").arg(configuration).stdout(out).stderr(err);
    let status = nginx.status().context("nginx -t")?;
    let said = scratch.said("nginx-t");
    ensure!(status.success(), "{said}");
    ensure!(!said.contains("[warn]"), "{said}");
    Ok(String::new())
}

fn start_webapp(scratch: &Scratch, at: &Address, https: u16) -> Result<Child> {
    let (out, err) = scratch.output("webapp")?;
    let mut webapp = Child::start("webapp", &program("webapp")?, |command| {
        command.env_remove("TRUSTED_PROXIES").env_remove("LISTEN_SOCKET");
        match at {
            Address::Tcp(address) => {
                command.arg("--port").arg(address.port().to_string());
                command.args(["--trusted-proxies", "127.0.0.1"]);
            }
            Address::Unix(path) => {
                command.arg("--listen-socket").arg(path);
            }
        }
        command.arg("--log-dir").arg(scratch.path("logs")).args(["--csrf-cookie-secure", "1"]);
        command.arg("--public-origin").arg(format!("https://localhost:{https}"));
        command.args(["--rate-limit-requests", "1000"]).stdout(out).stderr(err);
        command.env_remove("SENTINEL_SOCKET").env_remove("ALERTS_TOKEN_FILE");
    })?;
    answers(&mut webapp, at)?;
    Ok(webapp)
}

fn start_sentinel(scratch: &Scratch) -> Result<Child> {
    let (out, err) = scratch.output("sentinel")?;
    let mut sentinel = Child::start("sentinel", &program("sentinel")?, |command| {
        // What is set for this run must not lead it to somebody's real alerts.
        for variable in ["SENTINEL_ALERTS", "SENTINEL_STATE_DIR", "SENTINEL_SOCKET"] {
            command.env_remove(variable);
        }
        command.args(["--rules", "rules/default.toml", "--log-dir"]).arg(scratch.path("logs"));
        command.stdout(out).stderr(err);
    })?;
    let socket = Address::Unix(scratch.path("logs/.sentinel/sentinel.sock"));
    let ready = wait::until(PATIENCE, || {
        if let Some(status) = sentinel.ended()? {
            anyhow::bail!("sentinel ended: {status}");
        }
        Ok(http::get(&socket, "/readyz").ok().filter(|answer| answer.status == 200))
    })?;
    ready.context("sentinel is not ready")?;
    Ok(sentinel)
}

fn start_nginx(scratch: &Scratch, configuration: &Path, globals: &str, port: u16) -> Result<Child> {
    let (out, err) = scratch.output("nginx")?;
    let path = command("nginx").get_program().to_owned();
    let mut nginx = Child::start("nginx", Path::new(&path), |command| {
        command.arg("-c").arg(configuration).arg("-g").arg(format!("daemon off; {globals}"));
        command.stdout(out).stderr(err);
    })?;
    answers(&mut nginx, &local(port))?;
    Ok(nginx)
}

fn answers(child: &mut Child, at: &Address) -> Result<()> {
    let answered = wait::until(PATIENCE, || {
        if let Some(status) = child.ended()? {
            anyhow::bail!("{} ended: {status}", child.name);
        }
        Ok(http::get(at, "/health").ok())
    })?;
    answered.with_context(|| format!("{} does not answer", child.name))?;
    Ok(())
}

fn ends(child: &mut Child, signal: Signal) -> Result<&'static str> {
    match child.stop(signal, PATIENCE, || false)? {
        Stopped::Itself(status) if status.success() => Ok(""),
        other => anyhow::bail!("{}: {other:?}", child.name),
    }
}

/// The record in requests.log that holds the mark.
fn record(scratch: &Scratch, mark: &str) -> Result<String> {
    let path = scratch.path("logs/requests.log");
    let found = wait::until(PATIENCE, || {
        Ok(read(&path).lines().find(|line| line.contains(mark)).map(str::to_owned))
    })?;
    found.with_context(|| format!("no record of {mark}"))
}

fn status(answer: &Answer, expected: u16) -> Result<&'static str> {
    ensure!(answer.status == expected, "{} instead of {expected}", answer.status);
    Ok("")
}

fn header(answer: &Answer, name: &str, expected: &str) -> Result<&'static str> {
    let value = answer.header(name);
    ensure!(value == Some(expected), "{name}: {value:?} instead of {expected:?}");
    Ok("")
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn local(port: u16) -> Address {
    Address::Tcp(address(port))
}
