//! A server and a rate in; how long each answer took out.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use tokio::{task::LocalSet, time::sleep};

use crate::{
    clock,
    connection::Connection,
    load::{Get, Request as _},
};

/// Connections that take turns.
const CONNECTIONS: u32 = 16;

/// Sends so many requests to `/health`, one each `every`; returns the milliseconds of each.
///
/// A request whose turn came while its connection still waited for the answer before is measured
/// from its turn: a server that stalls must not hide the requests that it held up.
pub(crate) fn latencies(to: SocketAddr, requests: u32, every: Duration) -> Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let began = clock::now();
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                tokio::task::spawn_local(async move {
                    let mut connection = Connection::open(to, Ipv4Addr::LOCALHOST).await?;
                    let mut request = Vec::new();
                    Get("/health".to_owned()).write(0, &mut request);
                    let mut millis = Vec::new();
                    // The first turns come when all connections are there.
                    for n in
                        (first + CONNECTIONS..requests + CONNECTIONS).step_by(CONNECTIONS as usize)
                    {
                        let turn = began + every * n;
                        let early = turn.checked_duration_since(clock::now());
                        // A timer is late by up to a millisecond, which is not the server's.
                        let since = match early {
                            Some(early) => {
                                sleep(early).await;
                                clock::now()
                            }
                            None => turn,
                        };
                        connection.ask(&request).await?;
                        millis.push(since.elapsed().as_secs_f64() * 1e3);
                    }
                    Ok::<_, anyhow::Error>(millis)
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        Ok(all)
    })
}
