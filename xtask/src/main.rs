//! The project's own commands: `cargo up` runs both programs, `cargo xtask e2e` tries the whole,
//! `cargo xtask bench` measures.
//!
//! ```text
//! up      build → sentinel, ready → webapp, ready → its alerts, until Ctrl-C → webapp ends → sentinel ends
//! e2e     programs → up → rules → flood → disk → openapi → browser → nginx → compose
//! bench   build → the program bench
//! ```
//!
//! Built before anything else, so it stays light: no async runtime, no argument parser, no TLS.

mod say;
mod wait;
mod http;
mod child;
mod stop;
mod site;
mod follow;
mod up;
mod command;
mod python;
mod programs;
mod e2e;
mod bench;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

const USAGE: &str = "\
usage: cargo up                                  run webapp and sentinel until Ctrl-C
       cargo xtask e2e [--install] [NAME...]     end-to-end checks; --install: fetch what they need (Debian, root)
       cargo xtask bench NAME                    measure: web, clients, slow or latency (docs/performance.md)";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let result = match words.as_slice() {
        ["up"] => at_root().and_then(|()| up::run()),
        ["e2e", rest @ ..] => at_root().and_then(|()| e2e::run(rest)),
        ["bench", name @ ("web" | "clients" | "slow" | "latency")] => {
            at_root().and_then(|()| bench::run(name))
        }
        [child::BECOME, ..] => child::become_program(&arguments[1..]),
        _ => {
            say::error(USAGE);
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Goes to the top of the repository: `cargo up` works the same in every directory of it.
fn at_root() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent")?;
    std::env::set_current_dir(root).with_context(|| root.display().to_string())
}
