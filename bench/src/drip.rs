//! A server in; many connections that hold it up for as long as it lets them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::connection::connect;

/// Between two bytes of a head.
const PAUSE: Duration = Duration::from_secs(3);

/// Connections from one address: far below what webapp allows one client.
const PER_ADDRESS: u64 = 20;

/// Until all are open. Spread out, so that they do not all end together either.
const OPENING: Duration = Duration::from_secs(5);

/// Slow connections, closed when dropped. All of them wait in one thread.
pub(crate) struct Drip {
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    open: AtomicU64,
    opened: AtomicU64,
}

impl Drip {
    /// Opens that many, and returns when they should all be there.
    pub(crate) fn open(to: SocketAddr, connections: u64) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = oneshot::channel();
        let theirs = Arc::clone(&counts);
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                for n in 0..connections {
                    tokio::spawn(hold(to, n, connections, Arc::clone(&theirs)));
                }
                stopped.await.ok();
            });
        });
        thread::sleep(OPENING);
        Ok(Self { counts, stop: Some(stop), thread: Some(thread) })
    }

    /// How many are open now.
    pub(crate) fn count(&self) -> u64 {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// How many were opened until now.
    pub(crate) fn opened(&self) -> u64 {
        self.counts.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Drip {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Opens the n-th connection again whenever the server has closed it.
async fn hold(to: SocketAddr, n: u64, connections: u64, counts: Arc<Counts>) {
    sleep(OPENING.mul_f64(n as f64 / connections as f64)).await;
    let [.., a, b] = (n / PER_ADDRESS + 1).to_be_bytes();
    loop {
        // One that is refused tries again.
        let Ok(mut stream) = connect(to, Ipv4Addr::new(127, 1, a, b)).await else {
            sleep(PAUSE).await;
            continue;
        };
        counts.opened.fetch_add(1, Ordering::Relaxed);
        counts.open.fetch_add(1, Ordering::Relaxed);
        let mut bytes: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
        let mut answer = [0; 1_024];
        while stream.write_all(bytes).await.is_ok() {
            match timeout(PAUSE, stream.read(&mut answer)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => bytes = b"",
                Err(_) => bytes = b"x",
            }
        }
        counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}
