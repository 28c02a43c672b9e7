//! A real daemon in this process over two logs, with a clock that a script moves, and second names for
//! all that ever was in its state directory.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser as _;
use proptest::{collection::vec, prelude::*};
use sentinel::{
    board::{Board, Status},
    checkpoint::snapshot::Snapshot,
    command::run::observer,
    daemon::{Daemon, clock::Clock},
    rule::load,
    settings::RunArgs,
    time::Timestamp,
};
use shared::Alert;

use super::support::{
    self,
    marked::{Marked, RULES},
};

/// Longer than between two snapshots.
const AGE: Duration = Duration::from_secs(31);

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Lines to one of two files, each marked or not, and a round.
    Write(bool, Vec<bool>),
    /// Time for a snapshot, and a round.
    Age,
    /// Somebody renames alerts.log.
    Rename,
    /// Sentinel is killed and started again.
    Restart,
    /// No snapshot can be written, or no journal begun, until it is mended.
    Fail(Failing),
    Mend,
    /// A second, and a round.
    Wait,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Failing {
    Snapshot,
    Journal,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<bool>(), vec(prop::bool::weighted(0.3), 1..6)).prop_map(|(b, l)| Op::Write(b, l)),
        3 => Just(Op::Age),
        1 => Just(Op::Rename),
        1 => Just(Op::Restart),
    ]
}

/// A daemon, and all that ever was in its state directory.
pub(crate) struct World {
    dir: tempfile::TempDir,
    sync: &'static str,
    began: Clock,
    passed: Duration,
    daemon: Option<Daemon>,
    board: Arc<Board>,
    pub(crate) written: Marked,
    renamed: usize,
    /// The snapshots are kept.
    keeps: bool,
    /// Up to where alerts.log (by its inode) stands in each snapshot.
    pub(crate) marks: BTreeMap<u64, (u64, u64)>,
    /// What stands in the way of a write.
    obstacle: Option<PathBuf>,
}

impl World {
    pub(crate) fn new(sync: &'static str, keeps: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["logs", "state", "kept"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("rules.toml"), format!("version = 1{RULES}")).unwrap();
        let mut world = Self {
            dir,
            sync,
            began: Clock::read(),
            passed: Duration::ZERO,
            daemon: None,
            board: Arc::new(Board::new(Status::default(), Clock::read().now)),
            written: Marked::default(),
            renamed: 0,
            keeps,
            marks: BTreeMap::new(),
            obstacle: None,
        };
        world.start();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn clock(&self) -> Clock {
        let micros = i64::try_from(self.passed.as_micros()).unwrap();
        Clock { now: self.began.now + self.passed, wall: Timestamp(self.began.wall.0 + micros) }
    }

    pub(crate) fn start(&mut self) {
        self.daemon = None;
        let flags: [(&str, OsString); 6] = [
            ("--rules", self.path("rules.toml").into()),
            ("--log-dir", self.path("logs").into()),
            ("--state-dir", self.path("state").into()),
            ("--alerts", self.path("alerts.log").into()),
            ("--sync", self.sync.into()),
            ("--watch", "poll".into()),
        ];
        let flags = flags.into_iter().flat_map(|(flag, value)| [flag.into(), value]);
        let flags = Flags::try_parse_from([OsString::new()].into_iter().chain(flags)).unwrap();
        let settings = flags.run.settings().unwrap();
        let rules = load::load(&settings.rules).unwrap();
        let clock = self.clock();
        self.board = Arc::new(Board::new(Status::default(), clock.now));
        let daemon = Daemon::start(settings, rules, observer(), Arc::clone(&self.board), clock);
        self.daemon = Some(daemon.unwrap_or_else(|failure| panic!("no start: {failure}")));
        // Nothing was evaluated before the snapshot of this start stood.
        self.marks.clear();
        self.keep(self.alerts_end());
    }

    pub(crate) fn round(&mut self) -> bool {
        let stands = self.alerts_end();
        let clock = self.clock();
        let worked = self.daemon.as_mut().unwrap().round(clock);
        self.keep(stands);
        worked
    }

    pub(crate) fn alerts_end(&self) -> (u64, u64) {
        fs::metadata(self.path("alerts.log")).map_or((0, 0), |found| (found.ino(), found.len()))
    }

    fn numbered(&self) -> Vec<u64> {
        let names = fs::read_dir(self.path("state")).unwrap().map(|entry| entry.unwrap().path());
        let journals = names.filter(|path| path.file_stem().unwrap() == "journal");
        let number = |path: PathBuf| path.extension().unwrap().to_str().unwrap().parse().unwrap();
        journals.map(number).collect()
    }

    pub(crate) fn newest(&self) -> u64 {
        self.numbered().into_iter().max().unwrap()
    }

    pub(crate) fn journals(&self) -> usize {
        self.numbered().len()
    }

    /// Gives the journal and the snapshot of now a second name, under which they stay.
    fn keep(&mut self, stands: (u64, u64)) {
        let newest = self.newest();
        let journal = format!("journal.{newest}");
        fs::hard_link(self.path("state").join(&journal), self.path("kept").join(&journal)).ok();
        if !self.keeps || self.marks.contains_key(&newest) {
            return;
        }
        support::wait("the snapshot", String::new, || {
            let snapshot = Snapshot::read(&self.path("state")).unwrap().unwrap();
            snapshot.generation == newest
        });
        let snapshot = self.path("kept").join(format!("snapshot.{newest}"));
        fs::copy(self.path("state/snapshot"), snapshot).unwrap();
        self.marks.insert(newest, stands);
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(b, lines) => {
                let lines = lines.iter().map(|is_marked| self.written.line(*is_marked) + "\n");
                let text: String = lines.collect();
                let path = self.path("logs").join(if *b { "b.log" } else { "a.log" });
                let mut log = File::options().append(true).create(true).open(path).unwrap();
                std::io::Write::write_all(&mut log, text.as_bytes()).unwrap();
                self.round();
            }
            Op::Age => {
                self.passed += AGE;
                self.round();
            }
            Op::Rename => {
                self.renamed += 1;
                let to = self.path(&format!("alerts.log.{}", self.renamed));
                fs::rename(self.path("alerts.log"), to).ok();
            }
            Op::Fail(failing) => {
                self.mend();
                let name = match failing {
                    Failing::Snapshot => "snapshot.tmp".to_owned(),
                    Failing::Journal => format!("journal.{}", self.newest() + 1),
                };
                let obstacle = self.path("state").join(name);
                if fs::create_dir(&obstacle).is_ok() {
                    self.obstacle = Some(obstacle);
                }
            }
            Op::Mend => self.mend(),
            Op::Wait => {
                self.passed += Duration::from_secs(1);
                self.round();
            }
            Op::Restart => {
                self.mend();
                self.start();
            }
        }
    }

    /// What stops it, as it says.
    pub(crate) fn stopped_by(&self) -> Option<String> {
        self.board.status().stopped_by
    }

    fn mend(&mut self) {
        if let Some(obstacle) = self.obstacle.take() {
            fs::remove_dir(obstacle).unwrap();
        }
    }

    /// The state directory as it was before the snapshots after that one stood.
    pub(crate) fn put_back(&mut self, generation: u64) {
        self.daemon = None;
        fs::remove_dir_all(self.path("state")).unwrap();
        fs::create_dir(self.path("state")).unwrap();
        let snapshot = self.path("kept").join(format!("snapshot.{generation}"));
        fs::copy(snapshot, self.path("state/snapshot")).unwrap();
        for generation in self.marks.range(generation..).map(|(generation, _)| generation) {
            let journal = format!("journal.{generation}");
            fs::copy(self.path("kept").join(&journal), self.path("state").join(journal)).unwrap();
        }
    }

    pub(crate) fn finish(&mut self) -> Vec<Alert> {
        self.start();
        while self.round() {}
        assert_eq!(self.stopped_by(), None);
        self.daemon.take().unwrap().stop(self.clock()).unwrap();
        self.alerts()
    }

    /// Every alert, in the order in which they were appended.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        let files = (1..=self.renamed).map(|number| format!("alerts.log.{number}"));
        let files = files.chain(["alerts.log".to_owned()]);
        files.flat_map(|name| alerts(&self.path(&name))).collect()
    }
}

fn alerts(path: &Path) -> Vec<Alert> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
