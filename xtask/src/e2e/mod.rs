//! `cargo xtask e2e`: the whole house, run as its users run it. Each step says what it tries; a
//! failed one keeps its directory and shows what the programs said.

mod scratch;
mod house;
mod tls;
mod attack;
mod webapp;
mod pipeline;
mod up;
mod rules;
mod flood;
mod disk;
mod openapi;
mod browser;
mod nginx;
mod containers;
mod compose;

use std::fmt::Display;

use anyhow::{Result, bail};

use crate::programs::{
    self, BUILDX, CHROMIUM, COMPOSE, DOCKER, NGINX, OPENSSL, PYTHON, Program, ROOT, SCHEMATHESIS,
};
use crate::say::say;
use crate::stop::Stop;
use crate::up::{Woken, build};
use crate::wait::Stopwatch;
use scratch::Scratch;

/// A part of the whole that can be tried alone.
struct Step {
    name: &'static str,
    needs: &'static [&'static Program],
    run: fn(&Scratch) -> Result<()>,
}

const STEPS: [Step; 8] = [
    Step { name: "up", needs: &[], run: up::run },
    Step { name: "rules", needs: &[], run: rules::run },
    Step { name: "flood", needs: &[], run: flood::run },
    Step { name: "disk", needs: &[&ROOT], run: disk::run },
    Step { name: "openapi", needs: &[&PYTHON, &SCHEMATHESIS], run: openapi::run },
    Step { name: "browser", needs: &[&CHROMIUM], run: browser::run },
    Step { name: "nginx", needs: &[&NGINX, &OPENSSL], run: nginx::run },
    Step { name: "compose", needs: &[&DOCKER, &COMPOSE, &BUILDX, &OPENSSL], run: compose::run },
];

/// Runs the steps named, or all.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (options, names): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.starts_with('-'));
    if let Some(other) = options.iter().find(|option| **option != "--install") {
        bail!("{other}: the only option is --install");
    }
    if let Some(other) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        bail!("{other}: the steps are {}", STEPS.map(|step| step.name).join(", "));
    }
    let steps: Vec<&Step> =
        STEPS.iter().filter(|step| names.is_empty() || names.contains(&step.name)).collect();

    let mut needed: Vec<&Program> = Vec::new();
    for program in steps.iter().flat_map(|step| step.needs) {
        if !needed.contains(program) {
            needed.push(program);
        }
    }
    programs::check(&needed, !options.is_empty())?;
    say!("building webapp and sentinel");
    if let Woken::Asked = build(&mut Stop::listen()?, &["webapp", "sentinel"])? {
        bail!("interrupted");
    }
    let failed: Vec<&str> =
        steps.iter().filter(|step| !is_passed(step)).map(|step| step.name).collect();
    if !failed.is_empty() {
        bail!("e2e failed: {}", failed.join(", "));
    }
    say!("e2e ok: {}", steps.iter().map(|step| step.name).collect::<Vec<_>>().join(", "));
    Ok(())
}

fn is_passed(step: &Step) -> bool {
    say!("\n{}", step.name);
    let watch = Stopwatch::start();
    let scratch = Scratch::new(step.name);
    let result = scratch.as_ref().map_or_else(|e| Err(anyhow::anyhow!("{e:#}")), step.run);
    let seconds = watch.elapsed().as_secs_f64();
    match (&result, scratch) {
        (Ok(()), _) => say!("{}: ok in {seconds:.1} s", step.name),
        (Err(error), scratch) => {
            say!("{}: failed after {seconds:.1} s: {error:#}", step.name);
            if let Ok(scratch) = scratch {
                scratch.keep();
            }
        }
    }
    result.is_ok()
}

/// Tries one thing and says how it went; what `probe` answers is shown beside it.
fn check<T: Display>(what: &str, probe: impl FnOnce() -> Result<T>) -> Result<()> {
    match probe() {
        Ok(figure) => {
            let figure = figure.to_string();
            let gap = if figure.is_empty() { "" } else { ": " };
            say!("  ok      {what}{gap}{figure}");
            Ok(())
        }
        Err(error) => {
            say!("  failed  {what}");
            Err(error.context(what.to_owned()))
        }
    }
}
