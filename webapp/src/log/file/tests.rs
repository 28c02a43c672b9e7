//! Files that are full, moved, removed, torn; disks that are full.

use std::{
    cell::RefCell,
    collections::VecDeque,
    os::unix::fs::{PermissionsExt, symlink},
};

use proptest::prelude::*;

use rustix::fs::FileType;

use super::*;
use crate::clock;

struct Bench {
    dir: tempfile::TempDir,
    tally: Arc<Tally>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, tally: Arc::default(), now: clock::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self, bytes_max: u64) -> LogFile {
        let path = self.path("x.log");
        LogFile::open(&path, bytes_max, Arc::clone(&self.tally), self.now).unwrap()
    }

    fn later(&mut self, seconds: u64) -> Instant {
        self.now += Duration::from_secs(seconds);
        self.now
    }

    #[track_caller]
    fn check(&self, name: &str, content: &str) {
        assert_eq!(fs::read_to_string(self.path(name)).unwrap(), content);
    }
}

#[test]
fn lines_are_appended_and_the_file_is_no_strangers() {
    let bench = Bench::new();
    fs::write(bench.path("x.log"), "old\n").unwrap();
    let mut file = bench.open(1_000);
    file.append(b"one\ntwo\n", bench.now);
    bench.check("x.log", "old\none\ntwo\n");
    assert_eq!(bench.tally.written(), 2);
    fs::remove_file(bench.path("x.log")).unwrap();
    let _new = bench.open(1_000);
    let mode = fs::metadata(bench.path("x.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0);
}

#[test]
fn a_full_file_is_rotated_and_five_are_kept() {
    let bench = Bench::new();
    let mut file = bench.open(8);
    for n in 0..8 {
        file.append(format!("line {n}\n").as_bytes(), bench.now);
    }
    bench.check("x.log", "line 7\n");
    bench.check("x.log.1", "line 6\n");
    bench.check("x.log.5", "line 2\n");
    assert!(!bench.path("x.log.6").exists());
}

#[test]
fn a_file_that_was_moved_or_removed_is_made_anew() {
    let mut bench = Bench::new();
    let mut file = bench.open(1_000);
    fs::rename(bench.path("x.log"), bench.path("moved")).unwrap();
    file.append(b"one\n", bench.now);
    file.append(b"two\n", bench.later(1));
    bench.check("moved", "one\n");
    bench.check("x.log", "two\n");
    fs::remove_file(bench.path("x.log")).unwrap();
    file.look_after(bench.later(1));
    bench.check("x.log", "");
}

#[test]
fn reopening_follows_the_path_at_once() {
    let bench = Bench::new();
    let mut file = bench.open(1_000);
    fs::rename(bench.path("x.log"), bench.path("moved")).unwrap();
    file.reopen(bench.now);
    file.append(b"one\n", bench.now);
    bench.check("moved", "");
    bench.check("x.log", "one\n");
}

#[test]
fn a_full_disk_loses_nothing_that_fits_into_the_backlog() {
    let mut bench = Bench::new();
    symlink("/dev/full", bench.path("x.log")).unwrap();
    let mut file = bench.open(1_000);
    file.append(b"one\n", bench.now);
    file.append(b"two\n", bench.later(1));
    assert_eq!((bench.tally.written(), bench.tally.dropped()), (0, 0));
    assert!(matches!(bench.tally.cause(), Some(Loss::Write(_))));

    fs::remove_file(bench.path("x.log")).unwrap();
    file.append(b"three\n", bench.later(10));
    bench.check("x.log", "one\ntwo\nthree\n");
    assert_eq!((bench.tally.written(), bench.tally.dropped()), (3, 0));
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut bench = Bench::new();
    symlink("/dev/full", bench.path("x.log")).unwrap();
    let mut file = bench.open(u64::MAX);
    let line = [vec![b'x'; 999], vec![b'\n']].concat();
    for _ in 0..1_100 {
        file.append(&line, bench.now);
    }
    assert_eq!(bench.tally.dropped(), 1_100 - 1_048);
    fs::remove_file(bench.path("x.log")).unwrap();
    file.look_after(bench.later(10));
    assert_eq!(bench.tally.written(), 1_048);
}

#[test]
fn a_torn_line_never_swallows_the_next() {
    let bench = Bench::new();
    // As a full disk or a kill would leave it.
    fs::write(bench.path("x.log"), "one\ntw").unwrap();
    let mut file = bench.open(1_000);
    file.append(b"two\n", bench.now);
    bench.check("x.log", "one\ntw\ntwo\n");
}

#[test]
fn a_missing_directory_is_waited_for() {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    let path = bench.path("d/x.log");
    let mut file = LogFile::open(&path, 1_000, Arc::clone(&bench.tally), bench.now).unwrap();
    fs::remove_dir_all(bench.path("d")).unwrap();
    file.append(b"one\n", bench.later(1));
    fs::create_dir(bench.path("d")).unwrap();
    file.append(b"two\n", bench.later(10));
    bench.check("d/x.log", "one\ntwo\n");
}

#[test]
fn nothing_is_written_to_a_file_that_was_removed() {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    let path = bench.path("d/x.log");
    let mut file = LogFile::open(&path, 1_000, Arc::clone(&bench.tally), bench.now).unwrap();
    fs::remove_file(&path).unwrap();
    file.append(b"one\n", bench.now);
    bench.check("d/x.log", "one\n");
    fs::remove_dir_all(bench.path("d")).unwrap();
    file.append(b"two\n", bench.later(1));
    // The pause is over, and the path was looked at less than a second ago.
    bench.now += PAUSE_MIN * 2;
    file.append(b"three\n", bench.now);
    assert_eq!(bench.tally.written(), 1);
    fs::create_dir(bench.path("d")).unwrap();
    file.look_after(bench.later(1));
    bench.check("d/x.log", "two\nthree\n");
    assert_eq!((bench.tally.written(), bench.tally.dropped()), (3, 0));
}

#[test]
fn at_the_end_what_waits_is_tried_once_more() {
    let bench = Bench::new();
    symlink("/dev/full", bench.path("x.log")).unwrap();
    let mut file = bench.open(1_000);
    file.append(b"one\n", bench.now);
    fs::remove_file(bench.path("x.log")).unwrap();
    file.finish(bench.now);
    bench.check("x.log", "one\n");
}

/// What a disk says to one write.
#[derive(Debug, Clone, Copy)]
enum Disk {
    Takes,
    TakesBytes(usize),
    Interrupts,
    Fails(i32),
}

thread_local! {
    /// What it says to the next ones; then it takes everything.
    static DISK: RefCell<VecDeque<Disk>> = const { RefCell::new(VecDeque::new()) };
}

fn write_to_disk(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    match DISK.with_borrow_mut(VecDeque::pop_front).unwrap_or(Disk::Takes) {
        Disk::Takes => write_some(file, bytes),
        Disk::TakesBytes(n) => write_some(file, &bytes[..n.min(bytes.len())]),
        Disk::Interrupts => Err(io::ErrorKind::Interrupted.into()),
        Disk::Fails(code) => Err(io::Error::from_raw_os_error(code)),
    }
}

fn any_disk() -> impl Strategy<Value = Disk> {
    const ENOSPC: i32 = 28;
    const EIO: i32 = 5;
    prop_oneof![
        3 => Just(Disk::Takes),
        3 => (1..60_usize).prop_map(Disk::TakesBytes),
        1 => (1..50_000_usize).prop_map(Disk::TakesBytes),
        1 => Just(Disk::Interrupts),
        4 => prop_oneof![Just(Disk::Fails(ENOSPC)), Just(Disk::Fails(EIO))],
    ]
}

/// What happens to a log.
#[derive(Debug, Clone)]
enum Step {
    /// Lines of these lengths come, and the disk answers like this.
    Append(Vec<usize>, Vec<Disk>),
    LookAfter(Vec<Disk>),
    Reopen,
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let lines = prop_oneof![
        4 => prop::collection::vec(1..80_usize, 1..6),
        1 => prop::collection::vec(20_000..40_000_usize, 1..30),
    ];
    let disk = || prop::collection::vec(any_disk(), 0..5);
    prop_oneof![
        8 => (lines, disk()).prop_map(|(lines, disk)| Step::Append(lines, disk)),
        2 => disk().prop_map(Step::LookAfter),
        1 => Just(Step::Reopen),
        4 => (0..6_000_u64).prop_map(Step::Pass),
    ]
}

/// Each says its number, so that none is like another.
fn line(number: usize, length: usize) -> String {
    format!("{number}:{}\n", "x".repeat(length))
}

proptest! {
    #[test]
    fn whatever_the_disk_does_lines_are_whole_in_order_once_or_counted(
        steps in prop::collection::vec(any_step(), 1..60),
        bytes_max in prop_oneof![Just(u64::MAX), 300_000..900_000_u64],
    ) {
        let mut bench = Bench::new();
        let mut file = bench.open(bytes_max);
        file.write = write_to_disk;
        let mut given = Vec::new();
        for step in steps {
            match step {
                Step::Append(lengths, disk) => {
                    let from = given.len();
                    given.extend(lengths.iter().enumerate().map(|(n, l)| line(from + n, *l)));
                    DISK.set(disk.into());
                    file.append(given[from..].concat().as_bytes(), bench.now);
                }
                Step::LookAfter(disk) => {
                    DISK.set(disk.into());
                    file.look_after(bench.now);
                }
                Step::Reopen => file.reopen(bench.now),
                Step::Pass(ms) => bench.now += Duration::from_millis(ms),
            }
        }
        DISK.take();
        file.finish(bench.now);

        let mut lines = Vec::new();
        let rotated = (1..=ROTATED_MAX).rev().map(|n| format!("x.log.{n}"));
        for name in rotated.chain(["x.log".to_owned()]) {
            let text = fs::read_to_string(bench.path(&name)).unwrap_or_default();
            lines.extend(text.split_inclusive('\n').map(str::to_owned));
        }
        // The oldest may have been rotated away.
        prop_assume!(!bench.path("x.log.5").exists());
        prop_assert_eq!(lines.len() as u64, bench.tally.written());
        prop_assert_eq!(lines.len() as u64 + bench.tally.dropped(), given.len() as u64);
        let mut left = given.iter();
        for line in &lines {
            prop_assert!(left.any(|given| given == line), "torn, twice or too early: {:.60}", line);
        }
    }
}

#[test]
fn a_line_that_was_begun_is_ended_unless_somebody_wrote_behind_it() {
    for (between, expected) in [("", "one\ntwo\n"), ("other\n", "one\ntwother\n\ntwo\n")] {
        let mut bench = Bench::new();
        let mut file = bench.open(1_000);
        file.write = write_to_disk;
        DISK.set([Disk::TakesBytes(6), Disk::Fails(28)].into());
        file.append(b"one\ntwo\n", bench.now);
        bench.check("x.log", "one\ntw");
        let mut theirs = OpenOptions::new().append(true).open(bench.path("x.log")).unwrap();
        theirs.write_all(between.as_bytes()).unwrap();
        file.look_after(bench.later(1));
        bench.check("x.log", expected);
        assert_eq!((bench.tally.written(), bench.tally.dropped()), (2, 0));
    }
}

#[test]
fn a_pipe_in_its_place_holds_nobody_up() {
    let mut bench = Bench::new();
    let mode = rustix::fs::Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(rustix::fs::CWD, bench.path("x.log"), FileType::Fifo, mode, 0).unwrap();
    let mut file = bench.open(1 << 20);
    for _ in 0..100 {
        file.append(&[b'x'; 1_000], bench.now);
        file.append(b"\n", bench.now);
    }
    fs::remove_file(bench.path("x.log")).unwrap();
    file.append(b"last\n", bench.later(10));
    assert!(fs::read_to_string(bench.path("x.log")).unwrap().ends_with("last\n"));
}
