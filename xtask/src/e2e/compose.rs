//! The images and both Compose files, as their users start them.

use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};

use super::attack::{SCRIPT, SQL, TRAVERSAL, alert_after, firings};
use super::check;
use super::containers::Containers;
use super::scratch::Scratch;
use super::tls::{Certificate, Tls};
use crate::command::command;
use crate::http::{self, Address, request};
use crate::say::say;
use crate::up::program;
use crate::wait::Stopwatch;

const DEVELOPMENT: &str = "compose/docker-compose.yaml";
const PRODUCTION: &str = "compose/docker-compose.prod.yaml";

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    check("every setting of webapp reaches its container", settings_are_passed_on)?;
    let certificate = Certificate::new(scratch)?;
    development(scratch, &certificate)?;
    production(scratch, &certificate)
}

/// The settings are listed in the Compose file by name; a new one is easily forgotten there.
fn settings_are_passed_on() -> Result<String> {
    let help = command(&program("webapp")?.to_string_lossy()).arg("--help").output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let written = std::fs::read_to_string(DEVELOPMENT).context(DEVELOPMENT)?
        + &std::fs::read_to_string("Dockerfile").context("Dockerfile")?;
    let names: Vec<&str> = help
        .split("[env: ")
        .skip(1)
        .filter_map(|rest| rest.split(['=', ']']).next())
        // Files must be mounted as well; docs/containers.md shows how. A socket needs both sides.
        .filter(|name| !name.ends_with("_FILE") && *name != "LISTEN_SOCKET")
        .collect();
    ensure!(names.len() > 10, "webapp --help names {} settings", names.len());
    let words: Vec<&str> =
        written.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let missing: Vec<&&str> = names.iter().filter(|name| !words.contains(name)).collect();
    ensure!(missing.is_empty(), "{DEVELOPMENT} lacks {missing:?}");
    Ok(format!("{} settings", names.len()))
}

fn development(scratch: &Scratch, certificate: &Certificate) -> Result<()> {
    let containers = Containers::new(scratch, DEVELOPMENT, certificate.dir.clone())?;
    say!("  building the images, which takes minutes the first time");
    check("development: build", || timed(|| containers.build()))?;
    check("development: up", || timed(|| containers.up()))?;
    let webapp = Address::Tcp(containers.webapp());
    let get = |target: &str| http::get(&webapp, target);
    let alerts = || containers.log("alerts.log");
    for attack in [SQL, SCRIPT] {
        check(attack.target, || alert_after(&attack, get, alerts))?;
    }
    for service in ["webapp", "sentinel"] {
        check(&format!("{service} has no more rights than it needs"), || {
            let uid = if service == "webapp" { "10001" } else { "10002" };
            for (field, expected) in [
                ("Uid", uid),
                ("CapEff", "0000000000000000"),
                ("NoNewPrivs", "1"),
                ("Seccomp", "2"),
            ] {
                let value = containers.process(service, field)?;
                let first = value.split_whitespace().next().unwrap_or_default();
                ensure!(first == expected, "{field}: {first} instead of {expected}");
            }
            Ok("")
        })?;
    }
    let before = alerts()?;
    check("sentinel comes back after kill -9", || {
        timed(|| {
            containers.crash("sentinel")?;
            containers.recovered("sentinel", "1")
        })
    })?;
    check("it remembers, and raises no alert twice", || {
        let after = alerts()?;
        for attack in [SQL, SCRIPT] {
            let (before, after) = (firings(&before, &attack), firings(&after, &attack));
            ensure!(after == before, "{}: {before} alerts became {after}", attack.target);
            let shown = get("/alerts")?.body.contains(attack.mark);
            ensure!(shown, "{}: not in /alerts", attack.target);
        }
        Ok("")
    })?;
    check(TRAVERSAL.target, || alert_after(&TRAVERSAL, get, alerts))?;
    check("both end when asked", || timed(|| containers.stop(&["webapp", "sentinel"])))?;
    check("development: down leaves nothing", || timed(|| containers.leave_nothing()))
}

fn production(scratch: &Scratch, certificate: &Certificate) -> Result<()> {
    let containers = Containers::new(scratch, PRODUCTION, certificate.dir.clone())?;
    check("production: build", || timed(|| containers.build()))?;
    check("production: up", || timed(|| containers.up()))?;
    let tls = Tls { address: containers.nginx(), certificate };
    let get = |target: &str| tls.send(&request("GET", target, &[]));
    let alerts = || containers.log("alerts.log");
    check("nginx -t takes its configuration", || {
        containers.exec("nginx", &["nginx", "-t"]).map(|_| "")
    })?;
    check("HTTP/2 for those who speak it", || {
        let said = tls.handshake("localhost")?;
        ensure!(said.contains("ALPN protocol: h2"), "{said}");
        Ok("")
    })?;
    for attack in [SQL, SCRIPT] {
        check(attack.target, || alert_after(&attack, get, alerts))?;
    }
    check("webapp sees the client, not nginx", || {
        let requests = containers.log("requests.log")?;
        for attack in [SQL, SCRIPT] {
            let record = requests.lines().find(|line| line.contains(attack.mark));
            let record = record.with_context(|| format!("{}: no record", attack.target))?;
            ensure!(!record.contains(r#""client.ip":"172.30.57.3""#), "{record}");
        }
        Ok("")
    })?;
    check("webapp is reached through nginx alone", || {
        ensure!(TcpStream::connect(containers.webapp()).is_err(), "its port is published");
        Ok("")
    })?;
    check("all end when asked", || timed(|| containers.stop(&["nginx", "webapp", "sentinel"])))?;
    check("production: down leaves nothing", || timed(|| containers.leave_nothing()))
}

fn timed(act: impl FnOnce() -> Result<()>) -> Result<String> {
    let watch = Stopwatch::start();
    act()?;
    Ok(format!("{:.1} s", watch.elapsed().as_secs_f64()))
}
