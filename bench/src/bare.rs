//! What everything is compared with: `warp::serve` of one route, which answers what webapp's
//! `/health` answers, and nothing else.

use anyhow::Result;
use tokio::{net::TcpListener, runtime};
use warp::Filter as _;

use crate::say::say;

/// The hidden command that runs it, in a process of its own.
pub(crate) const NAME: &str = "bare";

/// Serves until it is killed or told to end.
#[expect(clippy::disallowed_methods, reason = "it stands for warp as it comes")]
pub(crate) fn run() -> Result<()> {
    runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let health = warp::path!("health")
            .and(warp::get())
            .map(|| warp::reply::json(&serde_json::json!({ "status": "ok" })));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        say!("listening on http://{}", listener.local_addr()?);
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            () = warp::serve(health).incoming(listener).run() => {}
            _ended = terminate.recv() => {}
        }
        Ok(())
    })
}
