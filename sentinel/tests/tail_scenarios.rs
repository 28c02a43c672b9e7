//! The thirteen scenarios of Fluent Bit's `in_tail`, each with a real sentinel, under their names
//! (<https://github.com/fluent/fluent-bit>, `tests/integration/scenarios/in_tail`). Where sentinel
//! promises more, more is asked for.

mod support;

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

use support::{ADMIN, RUN, Running, Sandbox, admin, wait};

/// A writer that keeps its file open, whatever becomes of its name.
struct Writer(File);

impl Writer {
    /// One that appends.
    fn open(path: &Path) -> Self {
        Self(File::options().append(true).create(true).open(path).unwrap())
    }

    /// One that writes where it wrote last, also after the file was cut.
    fn at_its_offset(path: &Path) -> Self {
        Self(File::options().write(true).create_new(true).open(path).unwrap())
    }

    fn admin(&mut self, n: u32) {
        self.0.write_all(format!("{}\n", admin(n)).as_bytes()).unwrap();
    }
}

/// Waits until the alerts of these lines are there: each once, in whatever order, and no other.
#[track_caller]
fn expect(sandbox: &Sandbox, lines: &[u32]) {
    let alerts = sandbox.expect_alerts(lines.len());
    let mut said: Vec<_> = alerts.iter().map(|alert| alert.message.as_str()).collect();
    let mut expected: Vec<_> = lines.iter().map(u32::to_string).collect();
    said.sort_unstable();
    expected.sort_unstable();
    assert_eq!(said, expected, "{}", sandbox.explain());
}

/// Has it read everything to its end and stop: nothing more may come of it.
#[track_caller]
fn expect_at_last(sandbox: &Sandbox, mut sentinel: Running, lines: &[u32]) {
    expect(sandbox, lines);
    assert_eq!(sentinel.terminate(), 0);
    expect(sandbox, lines);
}

fn pack(path: &Path, to: &Path) {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&fs::read(path).unwrap()).unwrap();
    fs::write(to, packed.finish().unwrap()).unwrap();
}

fn rotate(sandbox: &Sandbox, flags: &[&str]) {
    let logs = sandbox.path("logs");
    let mut old = Writer::open(&logs.join("requests.log"));
    old.admin(1);
    let sentinel = sandbox.start_with(&[&RUN, flags].concat());
    expect(sandbox, &[1]);
    fs::rename(logs.join("requests.log"), logs.join("requests.log.1")).unwrap();
    let mut new = Writer::open(&logs.join("requests.log"));
    old.admin(2);
    new.admin(3);
    expect(sandbox, &[1, 2, 3]);
    old.admin(4);
    new.admin(5);
    expect_at_last(sandbox, sentinel, &[1, 2, 3, 4, 5]);
}

#[test]
fn follows_rename_rotation() {
    rotate(&Sandbox::new(ADMIN), &["--watch", "inotify"]);
}

#[test]
fn stat_backend_covers_nfs_style_polling() {
    rotate(&Sandbox::new(ADMIN), &["--watch", "poll"]);
}

#[test]
fn multiple_rename_rotations() {
    let sandbox = Sandbox::new(ADMIN);
    let logs = sandbox.path("logs");
    let mut first = Writer::open(&logs.join("requests.log"));
    first.admin(1);
    let sentinel = sandbox.start();
    expect(&sandbox, &[1]);
    fs::rename(logs.join("requests.log"), logs.join("requests.log.1")).unwrap();
    let mut second = Writer::open(&logs.join("requests.log"));
    first.admin(2);
    second.admin(3);
    expect(&sandbox, &[1, 2, 3]);
    fs::rename(logs.join("requests.log.1"), logs.join("requests.log.2")).unwrap();
    fs::rename(logs.join("requests.log"), logs.join("requests.log.1")).unwrap();
    let mut third = Writer::open(&logs.join("requests.log"));
    first.admin(4);
    second.admin(5);
    third.admin(6);
    expect_at_last(&sandbox, sentinel, &[1, 2, 3, 4, 5, 6]);
}

#[test]
fn multi_file_rapid_rotation() {
    let sandbox = Sandbox::new(ADMIN);
    let logs = sandbox.path("logs");
    let names = ["a.log", "b.log", "c.log"];
    let mut n = 0;
    let mut lines = Vec::new();
    let mut write = |writer: &mut Writer| {
        n += 1;
        writer.admin(n);
        lines.push(n);
    };
    let mut writers = names.map(|name| Writer::open(&logs.join(name)));
    let sentinel = sandbox.start();
    for round in 1..=5 {
        for (name, writer) in names.iter().zip(&mut writers) {
            write(writer);
            // As many may come and go between two looks.
            let rotated = logs.join(format!("{name}.{}", 6 - round));
            fs::rename(logs.join(name), rotated).unwrap();
            let mut new = Writer::open(&logs.join(name));
            write(writer);
            write(&mut new);
            *writer = new;
        }
    }
    expect_at_last(&sandbox, sentinel, &lines);
}

#[test]
fn copytruncate_with_stale_writer() {
    let sandbox = Sandbox::new(ADMIN);
    let log = sandbox.path("logs/requests.log");
    let mut writer = Writer::at_its_offset(&log);
    writer.admin(1);
    writer.admin(2);
    let sentinel = sandbox.start();
    expect(&sandbox, &[1, 2]);
    fs::copy(&log, sandbox.path("logs/requests.log.1")).unwrap();
    File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    // It writes on where it was, behind a hole of zeros.
    writer.admin(3);
    assert!(fs::read(&log).unwrap().starts_with(b"\0"));
    expect(&sandbox, &[1, 2, 3]);
    writer.admin(4);
    expect_at_last(&sandbox, sentinel, &[1, 2, 3, 4]);
}

#[test]
fn copytruncate_across_restart_reads_new_content_only() {
    let sandbox = Sandbox::new(ADMIN);
    let log = sandbox.path("logs/requests.log");
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &[1]);
    sentinel.kill();
    // And, of the copy, what came after the kill.
    sandbox.log("requests.log", &[admin(2)]);
    fs::copy(&log, sandbox.path("logs/requests.log.1")).unwrap();
    fs::write(&log, format!("{}\n", admin(3))).unwrap();
    expect_at_last(&sandbox, sandbox.start(), &[1, 2, 3]);
}

#[test]
fn symlink_target_rotation() {
    let sandbox = Sandbox::new(ADMIN);
    let store = sandbox.path("store");
    fs::create_dir(&store).unwrap();
    let link = sandbox.path("logs/current.log");
    let mut old = Writer::open(&store.join("one"));
    old.admin(1);
    symlink(store.join("one"), &link).unwrap();
    let sentinel = sandbox.start();
    expect(&sandbox, &[1]);
    let mut new = Writer::open(&store.join("two"));
    symlink(store.join("two"), sandbox.path("logs/next")).unwrap();
    fs::rename(sandbox.path("logs/next"), &link).unwrap();
    old.admin(2);
    new.admin(3);
    expect(&sandbox, &[1, 2, 3]);
    old.admin(4);
    expect_at_last(&sandbox, sentinel, &[1, 2, 3, 4]);
}

#[test]
fn rotate_wait_keeps_old_inode_then_purges_it() {
    let sandbox = Sandbox::new(ADMIN);
    let logs = sandbox.path("logs");
    let mut old = Writer::open(&logs.join("requests.log"));
    old.admin(1);
    let sentinel = sandbox.start();
    expect(&sandbox, &[1]);
    fs::rename(logs.join("requests.log"), logs.join("requests.log.1")).unwrap();
    let mut new = Writer::open(&logs.join("requests.log"));
    new.admin(2);
    expect(&sandbox, &[1, 2]);
    let inode = old.0.metadata().unwrap().ino();
    assert!(is_held(&sentinel, inode), "{}", sandbox.explain());
    old.admin(3);
    expect(&sandbox, &[1, 2, 3]);
    wait("its release", || sandbox.explain(), || !is_held(&sentinel, inode));
    // Nobody holds it now, and what comes too late comes all the same.
    old.admin(4);
    expect(&sandbox, &[1, 2, 3, 4]);
    expect_at_last(&sandbox, sentinel, &[1, 2, 3, 4]);
}

/// Whether the process has that file open.
fn is_held(sentinel: &Running, inode: u64) -> bool {
    let open = fs::read_dir(format!("/proc/{}/fd", sentinel.child.id())).unwrap();
    open.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok()).any(|file| file.ino() == inode)
}

#[test]
fn delete_and_recreate_same_path() {
    let sandbox = Sandbox::new(ADMIN);
    let log = sandbox.path("logs/requests.log");
    let mut old = Writer::open(&log);
    old.admin(1);
    let sentinel = sandbox.start();
    expect(&sandbox, &[1]);
    fs::remove_file(&log).unwrap();
    old.admin(2);
    expect(&sandbox, &[1, 2]);
    // Nobody has it open any more: the new file may get its inode.
    drop(old);
    let mut new = Writer::open(&log);
    new.admin(3);
    expect(&sandbox, &[1, 2, 3]);
    new.admin(4);
    expect_at_last(&sandbox, sentinel, &[1, 2, 3, 4]);
}

#[test]
fn restart_resumes() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &[1]);
    assert_eq!(sentinel.terminate(), 0);
    sandbox.log("requests.log", &[admin(2)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &[1, 2]);
    let alerts = sandbox.get("/v1/alerts");
    assert_eq!(alerts["alerts"].as_array().unwrap().len(), 2, "the ring is filled from alerts.log");
    sentinel.kill();
    sandbox.log("requests.log", &[admin(3)]);
    expect_at_last(&sandbox, sandbox.start(), &[1, 2, 3]);
}

#[test]
fn partial_line_across_restart_is_completed_once() {
    let sandbox = Sandbox::new(ADMIN);
    let line = admin(1);
    let (start, rest) = line.split_at(line.len() / 3);
    let (middle, end) = rest.split_at(rest.len() / 2);
    sandbox.append("requests.log", start);
    let mut sentinel = sandbox.start();
    // Once this is there the other file was read too.
    sandbox.log("other.log", &[admin(2)]);
    expect(&sandbox, &[2]);
    assert_eq!(sentinel.terminate(), 0);
    sandbox.append("requests.log", middle);
    let mut sentinel = sandbox.start();
    sandbox.log("other.log", &[admin(3)]);
    expect(&sandbox, &[2, 3]);
    sentinel.kill();
    sandbox.append("requests.log", &format!("{end}\n"));
    expect_at_last(&sandbox, sandbox.start(), &[1, 2, 3]);
}

#[test]
fn reads_gzip_static_file() {
    let source = "[[source]]\nname = \"archive\"\npath = [\"*.log.gz\", \"requests.log\"]\n";
    let sandbox = Sandbox::new(&format!("{source}{ADMIN}"));
    let logs = sandbox.path("logs");
    fs::write(sandbox.path("plain"), format!("{}\n{}\n", admin(1), admin(2))).unwrap();
    pack(&sandbox.path("plain"), &logs.join("compressed.log.gz"));
    sandbox.log("requests.log", &[admin(3)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &[1, 2, 3]);
    sentinel.kill();
    // Compressed by rotation before it was read to its end.
    sandbox.log("requests.log", &[admin(4)]);
    pack(&logs.join("requests.log"), &logs.join("requests.log.1.gz"));
    fs::remove_file(logs.join("requests.log")).unwrap();
    sandbox.log("requests.log", &[admin(5)]);
    expect_at_last(&sandbox, sandbox.start(), &[1, 2, 3, 4, 5]);
    expect_at_last(&sandbox, sandbox.start(), &[1, 2, 3, 4, 5]);
}

#[test]
fn discovers_file_after_permissions_are_restored() {
    let sandbox = Sandbox::new(ADMIN);
    let log = sandbox.path("logs/requests.log");
    let allow = |mode| fs::set_permissions(&log, Permissions::from_mode(mode)).unwrap();
    let unreadable = || {
        wait(
            "the fault",
            || sandbox.explain(),
            || {
                let status = sandbox.get("/v1/status");
                status["unreadable"].to_string().contains("requests.log")
            },
        );
    };
    sandbox.log("requests.log", &[admin(1)]);
    allow(0o000);
    let mut sentinel = unprivileged(&sandbox);
    unreadable();
    sandbox.log("other.log", &[admin(2)]);
    expect(&sandbox, &[2]);
    allow(0o644);
    expect(&sandbox, &[1, 2]);
    // It is open now, and after a restart cannot be opened: nothing is gone, nothing comes twice.
    assert_eq!(sentinel.terminate(), 0);
    sandbox.log("requests.log", &[admin(3)]);
    allow(0o000);
    let sentinel = unprivileged(&sandbox);
    unreadable();
    sandbox.log("other.log", &[admin(4)]);
    expect(&sandbox, &[1, 2, 4]);
    allow(0o644);
    expect_at_last(&sandbox, sentinel, &[1, 2, 3, 4]);
}

/// A sentinel that permissions apply to: nobody's, where root runs the test. It has a program of its
/// own, since nobody may reach where that was built.
fn unprivileged(sandbox: &Sandbox) -> Running {
    let mut command = Command::new(sandbox.path("sentinel"));
    fs::copy(env!("CARGO_BIN_EXE_sentinel"), command.get_program()).unwrap();
    command.env_clear().args(RUN).current_dir(sandbox.path("")).stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        const NOBODY: u32 = 65_534;
        for name in ["", "rules.toml", "logs"] {
            chown(sandbox.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    sandbox.ready(command)
}
