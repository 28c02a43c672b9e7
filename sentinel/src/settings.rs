//! Flags and environment in, settings that work out; every fault at once.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::{failure::Failure, tail::From};

/// Where sentinel and those who ask it find each other.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// Directory of the logs
    #[arg(long, env = "SENTINEL_LOG_DIR", value_name = "DIR", default_value = "logs")]
    pub log_dir: PathBuf,
    /// Directory of sentinel's own state [default: LOG_DIR/.sentinel]
    #[arg(long, env = "SENTINEL_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Unix socket that answers [default: STATE_DIR/sentinel.sock]
    #[arg(long, env = "SENTINEL_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl Where {
    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| shared::socket::default_state_dir(&self.log_dir))
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| shared::socket::default_socket(&self.state_dir()))
    }
}

/// The flags of `run`, as written.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Rule file, or a directory of them
    #[arg(long, env = "SENTINEL_RULES", value_name = "PATH")]
    pub rules: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc here would become the help of every flag in it")]
    pub places: Where,
    /// File that alerts are appended to [default: LOG_DIR/alerts.log]
    #[arg(long, env = "SENTINEL_ALERTS", value_name = "PATH")]
    pub alerts: Option<PathBuf>,
    /// Where reading begins in files that are there at the very first start: start or end
    #[arg(long, env = "SENTINEL_FROM", value_name = "start|end", default_value = "start")]
    pub from: String,
    /// How changes are noticed: auto, poll or inotify; polling is never left out
    #[arg(long, env = "SENTINEL_WATCH", value_name = "auto|poll|inotify", default_value = "auto")]
    pub watch: String,
    /// Time between two looks at the files, 10ms to 60s
    #[arg(long, env = "SENTINEL_POLL_INTERVAL", value_name = "TIME", default_value = "200ms")]
    pub poll_interval: String,
    /// When what is written survives a loss of power: within a second, or always before an alert is shown
    #[arg(long, env = "SENTINEL_SYNC", value_name = "second|always", default_value = "second")]
    pub sync: String,
    /// Read everything to its end, alert, and stop
    #[arg(long)]
    pub once: bool,
}

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// inotify where it works, polling always.
    Auto,
    /// Polling alone.
    Poll,
    /// inotify or nothing; polling goes on beside it.
    Inotify,
}

/// When what is written survives a loss of power. The death of sentinel alone costs nothing either
/// way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Within a second: alerts of the last one may be raised again.
    Second,
    /// The journal always, before alerts.log.
    Always,
}

/// The settings of `run`.
#[derive(Debug)]
pub struct Settings {
    /// Rule file or directory.
    pub rules: PathBuf,
    /// What is tailed.
    pub log_dir: PathBuf,
    /// What alerts are appended to.
    pub alerts: PathBuf,
    /// What is kept between runs.
    pub state_dir: PathBuf,
    /// What is listened on.
    pub socket: PathBuf,
    /// Where files begin that are there at the very first start.
    pub from: From,
    /// How changes are noticed.
    pub watch: Watch,
    /// Between two looks.
    pub poll_interval: Duration,
    /// When what is written survives a loss of power.
    pub sync: Sync,
    /// Stop at the end.
    pub once: bool,
}

impl RunArgs {
    /// Checks the flags.
    ///
    /// # Errors
    /// All that is wrong, each part naming its flag and variable.
    pub fn settings(self) -> Result<Settings, Failure> {
        let mut faults = Vec::new();
        let rules = self.rules.unwrap_or_else(|| {
            faults.push("--rules (SENTINEL_RULES) is missing: name a rule file or a directory of them, such as rules/default.toml".to_owned());
            PathBuf::new()
        });
        let from = match self.from.as_str() {
            "start" => From::Start,
            "end" => From::End,
            other => {
                faults.push(format!("--from (SENTINEL_FROM) is `{other}`: it takes start or end"));
                From::Start
            }
        };
        let watch = match self.watch.as_str() {
            "auto" => Watch::Auto,
            "poll" => Watch::Poll,
            "inotify" => Watch::Inotify,
            other => {
                faults.push(format!(
                    "--watch (SENTINEL_WATCH) is `{other}`: it takes auto, poll or inotify"
                ));
                Watch::Auto
            }
        };
        let interval = crate::rule::duration::parse(&self.poll_interval);
        let interval = interval.and_then(|span| u64::try_from(span.0).ok());
        let poll_interval = match interval.map(Duration::from_micros) {
            Some(interval) if POLL_INTERVALS.contains(&interval) => interval,
            _ => {
                faults.push(format!(
                    "--poll-interval (SENTINEL_POLL_INTERVAL) is `{}`: it takes 10ms to 60s, such as 200ms",
                    self.poll_interval
                ));
                Duration::ZERO
            }
        };
        let sync = match self.sync.as_str() {
            "second" => Sync::Second,
            "always" => Sync::Always,
            other => {
                faults.push(format!(
                    "--sync (SENTINEL_SYNC) is `{other}`: it takes second or always"
                ));
                Sync::Second
            }
        };
        if !faults.is_empty() {
            return Err(Failure::Usage(faults.join("\n")));
        }
        let (state_dir, socket) = (self.places.state_dir(), self.places.socket());
        Ok(Settings {
            rules,
            alerts: self.alerts.unwrap_or_else(|| self.places.log_dir.join("alerts.log")),
            log_dir: self.places.log_dir,
            state_dir,
            socket,
            from,
            watch,
            poll_interval,
            sync,
            once: self.once,
        })
    }
}

const POLL_INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60);
