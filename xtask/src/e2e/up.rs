//! `cargo up` from the first request to the last, as a person at a terminal would use it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::attack::{SCRIPT, SQL, TRAVERSAL, alert_after, firings};
use super::check;
use super::house::{House, free_port};
use super::scratch::Scratch;
use crate::http::{self, request};
use crate::wait;

/// The promise: with everything built it is ready within five seconds.
const READY_MAX: Duration = Duration::from_secs(5);

/// Longest wait until an alert that was raised is on the terminal.
const SHOWN_MAX: Duration = Duration::from_secs(5);

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    let port = free_port()?;

    let house = House::open(scratch, "first", port)?;
    check("ready", || in_time(&house))?;
    let mut ids = Vec::new();
    let mut alerts = [0; 3];
    check("webapp answers", || webapp_answers(&house, &mut ids))?;
    check("sentinel answers", || sentinel_answers(&house))?;
    for attack in [SQL, SCRIPT] {
        let log = || Ok(house.log("alerts.log"));
        check(attack.target, || alert_after(&attack, |target| house.get(target), log))?;
    }
    check("the terminal shows the alerts", || {
        let shown = || {
            let said = house.said();
            let alerts = said.lines().filter(|line| line.get(2..3) == Some(":")); // 10:05:00 high …
            Ok((alerts.count() >= 2).then_some(""))
        };
        wait::until(SHOWN_MAX, shown)?.context("they are not shown")
    })?;
    check("a second one says what is in its way", || second_is_refused(scratch, port))?;
    check("Ctrl-C ends both, and loses nothing", || {
        // Sent last: sentinel must read to the end before it goes.
        ids.push(id(&house.get(TRAVERSAL.target)?)?);
        let (requests, errors, log) = (
            house.log_path("requests.log"),
            house.log_path("errors.log"),
            house.log_path("alerts.log"),
        );
        let status = house.end(Signal::INT)?;
        ensure!(status.success(), "cargo up: {status}");
        let read = super::scratch::read;
        let requests = read(&requests);
        for id in &ids {
            let records = requests.matches(&format!("\"{id}\"")).count();
            ensure!(records == 1, "request {id} left {records} records");
        }
        ensure!(read(&errors).contains(r#""event.action":"shutdown""#), "no shutdown record");
        let log = read(&log);
        alerts = [SQL, SCRIPT, TRAVERSAL].map(|attack| firings(&log, &attack));
        ensure!(alerts.iter().all(|count| *count > 0), "alerts in alerts.log: {alerts:?}");
        Ok(format!("{} requests recorded", ids.len()))
    })?;

    let house = House::open(scratch, "second", port)?;
    check("up again at once", || in_time(&house))?;
    check("no alert came twice", || {
        for (attack, before) in [SQL, SCRIPT, TRAVERSAL].iter().zip(alerts) {
            let after = firings(&house.log("alerts.log"), attack);
            ensure!(after == before, "{}: {before} alerts became {after}", attack.target);
        }
        Ok("")
    })?;
    check("SIGTERM ends both", || ends(house, Signal::TERM))?;

    check("when sentinel dies, webapp ends too", || dies(scratch, "third", port, "sentinel"))?;
    check("when webapp dies, sentinel ends too", || dies(scratch, "fourth", port, "webapp"))?;
    check("when cargo up itself is killed, both end", || {
        let mut house = House::open(scratch, "fifth", port)?;
        let ours = [house.process("webapp")?, house.process("sentinel")?];
        house.kill()?;
        house.ended(&ours)?;
        Ok("")
    })?;
    let house = House::open(scratch, "sixth", port)?;
    check("and up again", || in_time(&house))?;
    check("the end of the terminal ends both", || ends(house, Signal::HUP))
}

fn ends(house: House<'_>, signal: Signal) -> Result<&'static str> {
    let status = house.end(signal)?;
    ensure!(status.success(), "cargo up: {status}");
    Ok("")
}

fn in_time(house: &House<'_>) -> Result<String> {
    let seconds = house.ready_after.as_secs_f64();
    ensure!(house.ready_after <= READY_MAX, "ready only after {seconds:.2} s");
    Ok(format!("after {seconds:.2} s"))
}

fn webapp_answers(house: &House<'_>, ids: &mut Vec<String>) -> Result<&'static str> {
    for (method, target, status, said) in [
        ("GET", "/", 200, ""),
        ("GET", "/health", 200, r#"{"status":"ok"}"#),
        ("GET", "/alerts", 200, r#"{"alerts":["#),
        ("GET", "/csrf-token", 200, r#"{"csrf_token":""#),
        ("GET", "/nothing", 404, ""),
        ("POST", "/", 403, "CSRF token missing or invalid"),
    ] {
        let answer = http::send(&house.webapp, &request(method, target, &[]))?;
        let (got, body) = (answer.status, &answer.body);
        ensure!(got == status, "{method} {target}: {got} instead of {status}: {body}");
        ensure!(body.contains(said), "{method} {target}: no {said:?} in {body}");
        let nosniff = answer.header("x-content-type-options");
        ensure!(nosniff == Some("nosniff"), "{method} {target}: no security headers");
        ids.push(id(&answer)?);
    }
    Ok("")
}

fn id(answer: &http::Answer) -> Result<String> {
    Ok(answer.header("x-request-id").context("no X-Request-ID")?.to_owned())
}

fn sentinel_answers(house: &House<'_>) -> Result<&'static str> {
    for target in ["/healthz", "/readyz", "/v1/alerts", "/v1/status"] {
        let status = http::get(&house.sentinel, target)?.status;
        ensure!(status == 200, "{target}: {status}");
    }
    Ok("")
}

fn second_is_refused(scratch: &Scratch, port: u16) -> Result<&'static str> {
    let mut second = House::start(scratch, "refused", port)?;
    let status = second.ended(&[])?;
    let said = second.said();
    ensure!(!status.success(), "it came up");
    ensure!(said.contains(&format!("127.0.0.1:{port} cannot be listened on")), "{said}");
    Ok("")
}

fn dies(scratch: &Scratch, name: &'static str, port: u16, who: &str) -> Result<&'static str> {
    let mut house = House::open(scratch, name, port)?;
    let ours = [house.process("webapp")?, house.process("sentinel")?];
    let pid = i32::try_from(house.process(who)?).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no process")?, Signal::KILL)?;
    let status = house.ended(&ours)?;
    let said = house.said();
    ensure!(status.code() == Some(1), "cargo up: {status}");
    ensure!(said.contains(&format!("{who} ended by itself: signal: 9")), "{said}");
    Ok("")
}
