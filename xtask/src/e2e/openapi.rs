//! docs/openapi.yaml and a real webapp: whether they say the same. schemathesis sends what the file
//! allows and what it forbids, and holds every answer against it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::attack::{SCRIPT, SQL, TRAVERSAL};
use super::check;
use super::house::{House, free_port};
use super::scratch::{Scratch, read};
use crate::child::Child;
use crate::http::{self, Address, request};
use crate::python;
use crate::wait;

const DESCRIPTION: &str = "docs/openapi.yaml";

/// What stands in the file, and what would be false.
const TRUE: &str = "maximum: 1000, default: 100";
const FALSE: &str = "maximum: 1001, default: 100";

/// A stream has no end, and schemathesis waits for one. HEAD and OPTIONS of its path are asked, and
/// `cargo test` reads it.
const ENDLESS: &str = "alertsStream";

/// Most requests that are made up for one operation: the whole takes half a minute.
const EXAMPLES_MAX: &str = "100";

/// The same requests each time.
const SEED: &str = "1";

/// It sends 2,600; far fewer would mean that it did not look.
const CASES_MIN: u64 = 2_000;

/// What the requests must come to, as the log tells it: else one kind of them was not tried.
const KINDS: [&str; 4] = ["request", "query_rejected", "cors_rejected", "method_not_allowed"];

/// Longest wait for schemathesis.
const PATIENCE: Duration = Duration::from_secs(300);

/// Longest wait for the first alerts.
const ALERT_PATIENCE: Duration = Duration::from_secs(10);

const TOKEN: &str = "a-token-for-this-check-alone";

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    let description = fs::canonicalize(DESCRIPTION).context(DESCRIPTION)?;
    check("the description is valid", || valid(scratch, &description))?;

    let token = scratch.path("token");
    fs::write(&token, TOKEN)?;
    let token = token.to_str().context("a path of this step is no text")?;
    let settings = [("ALERTS_TOKEN_FILE", token), ("RATE_LIMIT_REQUESTS", "100000")];
    let house = House::open_with(scratch, "openapi", free_port()?, &settings)?;
    check("there are alerts to show", || alerts(&house))?;

    check("every answer is as described", || {
        let report = ask(scratch, &house, "all", &description, &[])?;
        let cases = passed(&report)?;
        Ok(format!("{cases} requests"))
    })?;
    check("requests of all kinds were sent", || kinds(&house))?;
    check("a false description is noticed", || {
        let text = read(&description);
        ensure!(text.contains(TRUE), "{DESCRIPTION} does not hold `{TRUE}`");
        let falsified = scratch.path("false.yaml");
        fs::write(&falsified, text.replace(TRUE, FALSE))?;
        let narrow = ["--include-path", "/alerts", "--phases", "coverage"];
        let report = ask(scratch, &house, "false", &falsified, &narrow)?;
        let failures = report["failures"].as_array().map_or(0, Vec::len);
        ensure!(failures > 0 && report["exit_code"] == 1, "it was not: {report}");
        Ok("")
    })?;
    let status = house.end(Signal::INT)?;
    ensure!(status.success(), "cargo up: {status}");
    Ok(())
}

fn valid(scratch: &Scratch, description: &Path) -> Result<&'static str> {
    let status = wait_for(scratch, "openapi-spec-validator", |arguments| {
        arguments.push(description.into());
    })?;
    ensure!(status == Some(0), "openapi-spec-validator says no");
    Ok("")
}

/// Attacks, and their alerts in `/alerts`: the schema of an alert is held against real ones.
fn alerts(house: &House<'_>) -> Result<&'static str> {
    let attacks = [SQL, SCRIPT, TRAVERSAL];
    for attack in &attacks {
        house.get(attack.target)?;
    }
    let bearer = format!("Bearer {TOKEN}");
    let request = request("GET", "/alerts", &[("Authorization", bearer.as_str())]);
    let shown = || {
        let body = http::send(&house.webapp, &request)?.body;
        Ok(attacks.iter().all(|attack| body.contains(attack.mark)).then_some(""))
    };
    wait::until(ALERT_PATIENCE, shown)?.context("they are not shown")
}

/// Runs schemathesis; what it reports. It sends a token with each request, so that an unsafe one
/// comes as far as the list of methods.
fn ask(
    scratch: &Scratch,
    house: &House<'_>,
    name: &'static str,
    description: &Path,
    narrow: &[&str],
) -> Result<Value> {
    let Address::Tcp(address) = house.webapp else { bail!("webapp has no port") };
    let answer = house.get("/csrf-token")?;
    let token = answer.body.split('"').nth(3).context("no token")?;
    let report = scratch.path(&format!("{name}.json"));
    wait_for(scratch, "schemathesis", |arguments| {
        arguments.extend(["run".into(), description.into(), "--url".into()]);
        arguments.push(format!("http://{}", address).into());
        for header in [
            format!("X-CSRF-Token: {token}"),
            format!("Cookie: csrf_token={token}"),
            format!("Authorization: Bearer {TOKEN}"),
        ] {
            arguments.extend(["--header".into(), header.into()]);
        }
        // All checks, all phases, what is allowed and what is not.
        let fixed = ["--checks", "all", "--mode", "all", "--continue-on-failure"];
        let without = ["--exclude-operation-id", ENDLESS];
        let bounds = ["--max-examples", EXAMPLES_MAX, "--seed", SEED, "--request-timeout", "5"];
        let output = ["--no-color", "--generation-database", "none", "--report", "json"];
        let all = fixed.iter().chain(&without).chain(&bounds).chain(&output).chain(narrow);
        arguments.extend(all.map(OsString::from));
        arguments.extend(["--report-json-path".into(), report.clone().into()]);
    })?;
    serde_json::from_str(&read(&report)).context("schemathesis left no report")
}

/// How many requests it sent, if it looked at everything and had nothing to say.
fn passed(report: &Value) -> Result<u64> {
    for list in ["failures", "errors"] {
        let found = report[list].as_array().with_context(|| format!("no list of {list}"))?;
        if let Some(first) = found.first() {
            bail!("{} {list}, as schemathesis.out tells; the first: {first}", found.len());
        }
    }
    ensure!(report["exit_code"] == 0 && report["complete"] == true, "not to its end: {report}");
    let operations = &report["operations"];
    let [total, tested] = ["total", "tested"].map(|name| operations[name].as_u64().unwrap_or(0));
    ensure!(tested > 0 && tested + 1 == total, "not all operations but one: {operations}");
    for phase in ["examples", "coverage", "fuzzing", "stateful"] {
        let status = &report["phases"][phase]["status"];
        ensure!(status == "success", "{phase}: {status}");
    }
    let warnings = report["warnings"].as_object().context("no list of warnings")?;
    for (warning, places) in warnings {
        ensure!(places.as_array().is_some_and(Vec::is_empty), "{warning}: {places}");
    }
    let cases = &report["test_cases"];
    for wrong in ["with_failures", "errored", "without_checks"] {
        ensure!(cases[wrong] == 0, "{wrong}: {}", cases[wrong]);
    }
    let cases = cases["generated"].as_u64().context("no number of requests")?;
    ensure!(cases >= CASES_MIN, "{cases} requests alone");
    Ok(cases)
}

/// Says how often each kind came. An unsafe request without a good token would have hidden what is
/// behind the token.
fn kinds(house: &House<'_>) -> Result<String> {
    let log = house.log("requests.log");
    let count = |action: &str| log.matches(&format!(r#""event.action":"{action}""#)).count();
    ensure!(count("csrf_rejected") == 0, "the token was refused");
    let mut counts = Vec::new();
    for kind in KINDS {
        ensure!(count(kind) > 0, "no {kind}");
        counts.push(format!("{} {kind}", count(kind)));
    }
    Ok(counts.join(", "))
}

/// Runs a program of Python's to its end, in the step's directory; its exit code.
fn wait_for(
    scratch: &Scratch,
    name: &'static str,
    arguments: impl FnOnce(&mut Vec<OsString>),
) -> Result<Option<i32>> {
    let mut all = Vec::new();
    arguments(&mut all);
    let (out, err) = scratch.output(name)?;
    let directory = scratch.directory("python")?;
    let mut child = Child::start(name, &python::program(name)?, |command| {
        command.args(all).current_dir(directory).stdout(out).stderr(err);
    })?;
    match wait::until(PATIENCE, || child.ended())? {
        Some(status) => Ok(status.code()),
        None => bail!("{name} takes longer than {} s", PATIENCE.as_secs()),
    }
}
