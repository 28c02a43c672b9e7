//! A disk that fills under load and is emptied again: webapp answers throughout, its log holds whole
//! lines, and what it lost it tells to the last record.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Disk;
use crate::e2e::check;
use crate::e2e::pipeline::Pipeline;
use crate::e2e::scratch::Scratch;
use crate::e2e::webapp::Webapp;
use crate::http::{self, Address};
use crate::wait;

/// What somebody else leaves of the disk, until it is full.
const LEFT_BYTES: u64 = 1 << 20;

/// More than fit on the rest of the disk, and into the memory in which records wait for it.
const REQUESTS: u64 = 8_000;

/// Requests after the disk was emptied.
const LATER: u64 = 500;

/// Requests in one write.
const AT_ONCE: u64 = 20;

/// Longest wait; losses are told every ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    let disk = Disk::mount(scratch.directory("logs-disk")?)?;
    disk.fill(LEFT_BYTES)?;
    let limits = ["--rate-limit-requests", "100000"];
    let mut webapp = Webapp::start(scratch, "disk", &disk.0, &limits)?;
    let mut sent = 0;

    check("it answers while the disk fills, and when it is full", || {
        sent += load(&webapp, REQUESTS)?;
        let full = wait::until(PATIENCE, || Ok((disk.free()? == 0).then_some(())))?;
        full.context("the disk is not full")?;
        Ok(format!("{sent} requests"))
    })?;
    check("/health says that the log is degraded", || {
        sent += health(&webapp, true)?;
        Ok("")
    })?;
    check("with space again records flow again", || {
        disk.empty()?;
        sent += health(&webapp, false)?;
        sent += load(&webapp, LATER)?;
        Ok("")
    })?;
    check("each request stands in the log or is counted as lost", || {
        webapp.end()?;
        account(&webapp, &disk.0, sent)
    })
}

/// So many requests, all of them answered.
fn load(webapp: &Webapp, requests: u64) -> Result<u64> {
    let mut pipeline = Pipeline::open(webapp.address)?;
    let heads = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(AT_ONCE as usize);
    for _ in 0..requests / AT_ONCE {
        for answer in pipeline.ask(heads.as_bytes(), AT_ONCE as usize)? {
            ensure!(answer.status == 200, "{answer:?}");
        }
    }
    Ok(requests)
}

/// Asks until it says so; how often that was.
fn health(webapp: &Webapp, degraded: bool) -> Result<u64> {
    let mut asked = 0;
    let said = wait::until(PATIENCE, || {
        asked += 1;
        let answer = http::get(&Address::Tcp(webapp.address), "/health")?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok((answer.body.contains("degraded") == degraded).then_some(()))
    })?;
    said.context("it does not")?;
    Ok(asked)
}

fn account(webapp: &Webapp, log_dir: &Path, sent: u64) -> Result<String> {
    let numbers = webapp.sequences("requests")?;
    let mut known = numbers.clone();
    known.dedup();
    ensure!(known == numbers, "a record stands twice");
    let records = numbers.len() as u64;
    let holes = numbers.last().copied().unwrap_or_default() - records;
    let mut told = 0;
    webapp.records("errors", |record| {
        if record["event.action"] == "log_loss" && record["stream"] == "requests" {
            told += record["dropped"].as_u64().unwrap_or_default();
        }
    })?;
    ensure!(told > 0, "nothing was lost: {records} of {sent}, in {}", log_dir.display());
    ensure!(records + told == sent, "{records} records and {told} lost are not {sent}");
    ensure!(holes == told, "{holes} numbers are missing, {told} were told");
    Ok(format!("{records} records and {told} told as lost are the {sent} that were sent"))
}
