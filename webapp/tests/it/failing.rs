//! Handlers that panic or hang: no real one does, so the server runs in this process with such ones.

use std::{net::SocketAddr, sync::Arc};

use clap::{CommandFactory, FromArgMatches};
use tokio::sync::oneshot;
use warp::Filter;
use webapp::{
    app::App,
    clock,
    listen::Address,
    log::Logs,
    routes::{self, Site},
    serve,
    settings::{Settings, Written},
};

use crate::http;

#[test]
fn a_handler_that_panics_or_hangs_is_answered_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let command = Written::command().mut_args(|arg| arg.env(None::<&str>));
    let flags = ["webapp", "--port", "0", "--handler-timeout-seconds", "1"];
    let written = Written::from_arg_matches(&command.get_matches_from(flags)).unwrap();
    let settings = Settings::parse(&written, &routes::ENDPOINTS).unwrap();
    let (logs, keeper) = Logs::open(dir.path(), 1 << 20, None, clock::now()).unwrap();
    let app = Arc::new(App::new(settings, logs, clock::now()));
    let panics = warp::any().map(|| -> warp::reply::Response { panic!("handler: {}", 1) });
    let hangs = warp::any().and_then(|| async {
        std::future::pending::<()>().await;
        Err::<warp::reply::Response, _>(warp::reject())
    });
    let site = Site::new([
        (&routes::alerts::ENDPOINT, panics.boxed()),
        (&routes::index::ENDPOINT, hangs.boxed()),
    ]);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))).bind().unwrap();
    let Address::Tcp(address) = listener.address().unwrap() else { unreachable!() };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        stopped.await.ok();
        "test"
    };
    let served = runtime.spawn(serve::run(listener, Arc::clone(&app), site, shutdown, || {}));
    let get =
        |target: &str| http::send(address, http::head("GET", target, &[]).as_bytes()).unwrap();

    let panicked = get("/alerts");
    assert_eq!((panicked.status, panicked.json()["code"].as_str()), (500, Some("internal_error")));
    assert!(!panicked.body.contains("handler"));
    let hung = get("/");
    assert_eq!((hung.status, hung.json()["code"].as_str()), (503, Some("handler_timeout")));
    assert_eq!(hung.header("retry-after"), Some("1"));

    stop.send(()).unwrap();
    assert_eq!(runtime.block_on(served).unwrap().unwrap(), "test");
    drop(runtime);
    serve::end(&app, keeper, "test");
    let errors = std::fs::read_to_string(dir.path().join("errors.log")).unwrap();
    let records: Vec<shared::Record> =
        errors.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |action: &str| records.iter().find(|r| r.action == action).unwrap();
    assert_eq!(find("panic").status_code, Some(500));
    let message = find("panic").error_message.as_deref().unwrap();
    assert!(message.contains("handler: 1") && message.contains("failing.rs"), "{message}");
    assert_eq!(find("handler_timeout").status_code, Some(503));
}
