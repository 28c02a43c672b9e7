//! `sentinel.source_stalled`, with real files and a clock that is moved instead of waited for.

mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use sentinel::{
    board::{Board, Status},
    checkpoint::lock,
    command::run::observer,
    daemon::{Daemon, clock::Clock, stalled::STALLED_AFTER},
    rule::load,
    settings::{Settings, Sync, Watch},
    tail::From,
    time::{Span, Timestamp},
};
use support::{ADMIN, Sandbox, admin};

const SECOND: Duration = Duration::from_secs(1);
const ALMOST: Duration = STALLED_AFTER.saturating_sub(SECOND);

struct Scene {
    sandbox: Sandbox,
    daemon: Daemon,
    clock: Clock,
    _lock: fs::File,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::new(ADMIN);
        sandbox.log("requests.log", &[admin(1)]);
        let logs = sandbox.path("logs");
        let settings = Settings {
            rules: sandbox.path("rules.toml"),
            alerts: sandbox.path("alerts.log"),
            state_dir: sandbox.path("state"),
            socket: sandbox.path("socket"),
            log_dir: logs,
            from: From::Start,
            watch: Watch::Poll,
            poll_interval: SECOND,
            sync: Sync::Second,
            once: false,
        };
        #[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
        let clock = Clock { now: Instant::now(), wall: Timestamp(1_768_903_500_000_000) };
        let lock = lock::lock(&settings).unwrap();
        let rules = load::load(&settings.rules).unwrap();
        let board = Arc::new(Board::new(Status::default(), clock.now));
        let daemon = Daemon::start(settings, rules, observer(), board, clock).unwrap();
        let mut scene = Self { sandbox, daemon, clock, _lock: lock };
        scene.later(Duration::ZERO);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path("logs").join(name)
    }

    /// Moves the clock and has everything done that is to do.
    fn later(&mut self, by: Duration) {
        self.clock.now += by;
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.clock.wall = self.clock.wall.plus(Span(micros));
        while self.daemon.round(self.clock) {}
    }

    /// What was said of stalled sources until now.
    #[track_caller]
    fn expect(&self, said: &[&str]) {
        let text = fs::read_to_string(self.sandbox.path("alerts.log")).unwrap();
        let alerts = text.lines().map(|line| serde_json::from_str::<shared::Alert>(line).unwrap());
        let told: Vec<_> = alerts
            .filter(|alert| alert.rule.id == "sentinel.source_stalled")
            .map(|alert| alert.message)
            .collect();
        assert_eq!(told, said);
    }
}

const GONE: &str = "requests.log is not read: it is gone and no other file stands in its place";

#[test]
fn a_file_that_was_renamed_and_has_no_successor_is_told_once_for_each_stall() {
    let mut scene = Scene::new();
    let (path, rotated) = (scene.path("requests.log"), scene.path("requests.log.1"));
    fs::rename(&path, &rotated).unwrap();
    scene.later(ALMOST);
    scene.expect(&[]);
    // Its writer still has it.
    scene.sandbox.log("requests.log.1", &[admin(2)]);
    // It grows, and is evaluated.
    scene.later(SECOND);
    scene.later(SECOND);
    scene.later(ALMOST);
    scene.expect(&[]);
    scene.later(SECOND);
    scene.expect(&[GONE]);
    scene.later(10 * STALLED_AFTER);
    scene.expect(&[GONE]);
    scene.sandbox.log("requests.log", &[admin(3)]);
    scene.later(Duration::from_secs(3_600));
    fs::remove_file(&path).unwrap();
    scene.later(ALMOST);
    scene.later(SECOND);
    scene.expect(&[GONE, GONE]);
}

#[test]
fn a_file_that_was_deleted_is_told_after_it_was_closed() {
    let mut scene = Scene::new();
    fs::remove_file(scene.path("requests.log")).unwrap();
    scene.later(SECOND);
    scene.later(10 * SECOND);
    scene.later(STALLED_AFTER);
    scene.expect(&[GONE]);
}

#[test]
fn a_source_that_is_quiet_or_rotated_to_an_empty_file_is_no_stall() {
    let mut scene = Scene::new();
    scene.later(10 * STALLED_AFTER);
    fs::rename(scene.path("requests.log"), scene.path("requests.log.1")).unwrap();
    fs::write(scene.path("requests.log"), "").unwrap();
    for _ in 0..10 {
        scene.later(STALLED_AFTER);
    }
    scene.expect(&[]);
}

#[test]
fn a_path_that_cannot_be_read_is_told() {
    let mut scene = Scene::new();
    // Also for a superuser, whom permissions do not stop.
    symlink("loop.log", scene.path("loop.log")).unwrap();
    scene.later(SECOND);
    scene.later(ALMOST);
    scene.expect(&[]);
    scene.later(SECOND);
    scene.expect(&["loop.log is not read: Too many levels of symbolic links (os error 40)"]);
}

#[test]
fn a_log_directory_that_is_gone_is_told_once_and_its_files_are_not() {
    let mut scene = Scene::new();
    let (logs, away) = (scene.sandbox.path("logs"), scene.sandbox.path("away"));
    fs::rename(&logs, &away).unwrap();
    scene.later(SECOND);
    for _ in 0..10 {
        scene.later(STALLED_AFTER);
    }
    let told = format!("{} is not read: No such file or directory (os error 2)", logs.display());
    scene.expect(&[&told]);
    fs::rename(&away, &logs).unwrap();
    scene.later(10 * STALLED_AFTER);
    scene.expect(&[&told]);
}
