//! The thread that waits for the disk so that the evaluator need not: snapshots in, each made durable
//! and put in its place; and once a second what was appended is made durable.

use std::{
    fs::File,
    io, mem,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;

use super::{journal, snapshot};

/// Between two times that what was appended is made durable.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The evaluator's end. Dropped, it waits for the thread.
#[derive(Debug)]
pub struct Disk {
    // Taken when it is dropped, which ends the thread.
    snapshots: Option<Sender<Bytes>>,
    told: Receiver<Told>,
    thread: Option<JoinHandle<()>>,
    // Held for as long as a file is added or all are taken: nanoseconds.
    appended: Arc<Mutex<Vec<Arc<File>>>>,
    busy: bool,
}

/// A snapshot on its way.
#[derive(Debug)]
struct Bytes {
    generation: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Told {
    /// What became of the snapshot.
    Snapshot(io::Result<()>),
    /// What was appended could not be made durable.
    NotDurable(io::Error),
}

impl Disk {
    /// Starts the thread for a state directory.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(state_dir: &Path) -> io::Result<Self> {
        let (snapshots, asked) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let appended = Arc::<Mutex<Vec<Arc<File>>>>::default();
        let work = Work { state_dir: state_dir.to_owned(), appended: Arc::clone(&appended) };
        let thread = thread::Builder::new().name("disk".into());
        let thread = thread.spawn(move || work.run(&asked, &tell))?;
        Ok(Self { snapshots: Some(snapshots), told, thread: Some(thread), appended, busy: false })
    }

    /// Something was appended to that file.
    pub fn appended(&self, file: &Arc<File>) {
        let mut appended = self.appended.lock();
        if !appended.iter().any(|known| Arc::ptr_eq(known, file)) {
            appended.push(Arc::clone(file));
        }
    }

    /// Has a snapshot written, one at a time: to be called when [`Self::is_busy`] is not so.
    pub fn put(&mut self, generation: u64, bytes: Vec<u8>) {
        self.busy = true;
        if let Some(snapshots) = &self.snapshots {
            // A thread that has ended is told by whoever waits for what became of the snapshot.
            snapshots.send(Bytes { generation, bytes }).ok();
        }
    }

    /// A snapshot is being written.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// What has failed since it was last asked.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn failed(&mut self) -> io::Result<()> {
        loop {
            match self.told.try_recv() {
                Ok(told) => self.took(told)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(ended()),
            }
        }
    }

    /// Waits until no snapshot is being written.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn wait(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        while self.busy {
            let told = self.told.recv().unwrap_or_else(|_| Told::Snapshot(Err(ended())));
            let told = self.took(told);
            result = result.and(told);
        }
        result
    }

    fn took(&mut self, told: Told) -> io::Result<()> {
        match told {
            Told::Snapshot(result) => {
                self.busy = false;
                result
            }
            Told::NotDurable(error) => Err(error),
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that writes snapshots has ended")
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.snapshots.take();
        if let Some(thread) = self.thread.take() {
            // It says why it panicked by itself.
            thread.join().ok();
        }
    }
}

/// The thread's end.
#[derive(Debug)]
struct Work {
    state_dir: PathBuf,
    appended: Arc<Mutex<Vec<Arc<File>>>>,
}

impl Work {
    fn run(&self, asked: &Receiver<Bytes>, tell: &Sender<Told>) {
        loop {
            let told = match asked.recv_timeout(SYNC_EVERY) {
                Ok(snapshot) => Told::Snapshot(self.put(&snapshot)),
                Err(RecvTimeoutError::Timeout) => match self.sync() {
                    Ok(()) => continue,
                    Err(error) => Told::NotDurable(error),
                },
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if tell.send(told).is_err() {
                return;
            }
        }
    }

    fn put(&self, snapshot: &Bytes) -> io::Result<()> {
        // The journal that could complete alerts.log goes away with the snapshot before this one.
        self.sync()?;
        snapshot::put(&self.state_dir, &snapshot.bytes)?;
        journal::remove_others(&self.state_dir, snapshot.generation)
    }

    fn sync(&self) -> io::Result<()> {
        let mut files = mem::take(&mut *self.appended.lock());
        while let Some(file) = files.first() {
            if let Err(error) = file.sync_data() {
                self.appended.lock().append(&mut files);
                return Err(error);
            }
            files.remove(0);
        }
        Ok(())
    }
}
