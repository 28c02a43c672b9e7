//! The command line of sentinel.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use sentinel::{
    command::{check, healthcheck, replay, run},
    failure::say,
    settings::{RunArgs, Where},
};

/// Tails log files against rules and raises alerts, each exactly once.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a log directory (what sentinel does without a command)
    Run(RunArgs),
    /// Check rule files, and show what they make of a log file's lines
    Check {
        /// Rule file, or a directory of them
        #[arg(long, env = "SENTINEL_RULES", value_name = "PATH")]
        rules: PathBuf,
        /// Show how lines of this file are read and which rules they match
        #[arg(long, value_name = "FILE")]
        sample: Option<PathBuf>,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the alerts that log files would have raised, as JSON lines
    Replay {
        /// Rule file, or a directory of them
        #[arg(long, env = "SENTINEL_RULES", value_name = "PATH")]
        rules: PathBuf,
        /// Log files, plain or gzipped; merged by time
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Ask a running sentinel whether it is well
    Healthcheck(Where),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => args.settings().and_then(run::run),
        Command::Check { rules, sample, json } => {
            return check::check(&rules, sample.as_deref(), json, &mut io::stdout().lock());
        }
        Command::Replay { rules, files } => {
            replay::replay(&rules, &files, &mut io::BufWriter::new(io::stdout().lock()))
        }
        Command::Healthcheck(places) => healthcheck::healthcheck(&places.socket()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            failure.code()
        }
    }
}
