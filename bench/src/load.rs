//! A server and a number of requests in; that many answers, as fast as they come, out.

use std::{
    cell::Cell,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::task::LocalSet;

use crate::{clock, connection::Connection, say::say};

/// Connections at a time, each of a client of its own: those of the last load may not have ended yet,
/// and webapp allows one client 64.
const CONNECTIONS: u8 = 64;

/// `bench load`: for a profiler at the server's side.
pub(crate) fn run(address: &str, path: &str, requests: &str) -> Result<()> {
    let requests = requests.parse().context("a number of requests is needed")?;
    let took = drive(address.parse()?, requests, Get(path.to_owned()))?;
    say!("{:.0} requests/s", requests as f64 / took.as_secs_f64());
    Ok(())
}

/// The request that writes itself into the buffer: the n-th of this load.
pub(crate) trait Request: Clone + 'static {
    fn write(&self, n: u64, to: &mut Vec<u8>);
}

/// The same each time.
#[derive(Clone)]
pub(crate) struct Get(pub(crate) String);

impl Request for Get {
    fn write(&self, _: u64, to: &mut Vec<u8>) {
        start(to, &self.0);
        to.extend_from_slice(b"\r\n");
    }
}

/// A head up to where further headers may follow.
pub(crate) fn start(to: &mut Vec<u8>, path: &str) {
    to.extend_from_slice(b"GET ");
    to.extend_from_slice(path.as_bytes());
    to.extend_from_slice(b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n");
}

/// Sends so many requests and returns how long it took. One thread: the server is to be busy, and
/// we are to take little of the machine.
pub(crate) fn drive(to: SocketAddr, requests: u64, request: impl Request) -> Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut connections = Vec::new();
        for n in 1..=CONNECTIONS {
            connections.push(Connection::open(to, Ipv4Addr::new(127, 0, 1, n)).await?);
        }
        let began = clock::now();
        let next = Rc::new(Cell::new(0));
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let (next, request) = (Rc::clone(&next), request.clone());
                tokio::task::spawn_local(async move {
                    let mut bytes = Vec::new();
                    while next.get() < requests {
                        let n = next.replace(next.get() + 1);
                        bytes.clear();
                        request.write(n, &mut bytes);
                        connection.ask(&bytes).await?;
                    }
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(began.elapsed())
    })
}
