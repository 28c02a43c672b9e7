//! Pages in a real Chromium that talk to a real webapp from another port: what CORS, cookies and the
//! CSRF guard come to, as browsers enforce them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::attack::SQL;
use super::check;
use super::house::{House, free_port};
use super::scratch::Scratch;
use crate::child::Child;
use crate::command::command;
use crate::wait;

/// Longest wait for what a page has to say.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest request that is read, in bytes.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Asks webapp, and tells the server it came from what it could read of each answer.
const PAGE: &str = r#"<!doctype html>
<title>check</title>
<script>
const said = [];
async function ask(what, path, options) {
  try {
    const answer = await fetch("WEBAPP" + path, { credentials: "include", ...options });
    const body = await answer.json();
    const seen = ["X-Request-ID", "RateLimit"].every((name) => answer.headers.has(name));
    said.push(`${what}: ${answer.status} ${body.code ?? "ok"}${seen ? "" : ", headers hidden"}`);
    return body;
  } catch (error) {
    said.push(`${what}: ${error.name}`);
    return {};
  }
}
function stream(what) {
  return new Promise((heard) => {
    const source = new EventSource("WEBAPP/alerts/stream", { withCredentials: true });
    const end = (how) => {
      said.push(`${what}: ${how}`);
      source.close();
      heard();
    };
    let attack;
    source.onopen = () => { attack = ask("an attack", "/?q=ATTACK"); };
    // The alert may be here before the answer.
    source.onmessage = (event) => attack.then(() => end(JSON.parse(event.data).rule.id));
    source.onerror = () => end("error");
  });
}
async function all() {
  const { csrf_token = "none" } = await ask("a token", "/csrf-token");
  await ask("POST with it", "/", { method: "POST", headers: { "X-CSRF-Token": csrf_token } });
  await ask("POST without", "/", { method: "POST" });
  await ask("no such path", "/nothing");
  await stream("its alert");
  await fetch("/said", { method: "POST", body: said.join("\n") });
}
all();
</script>
"#;

/// What the page of an allowed origin reads: refusals too.
const READ: &str = "\
a token: 200 ok
POST with it: 405 method_not_allowed
POST without: 403 csrf_rejected
no such path: 404 not_found
an attack: 200 ok
its alert: sql-injection";

/// What any other page reads.
const UNREAD: &str = "\
a token: TypeError
POST with it: TypeError
POST without: TypeError
no such path: TypeError
its alert: error";

/// What webapp did: the POST with a token comes behind its preflight, the one without needs none. The
/// stream ends last.
const ANSWERED: [&str; 7] = [
    "request",
    "request",
    "method_not_allowed",
    "csrf_rejected",
    "not_found",
    "request",
    "request",
];

/// The same where the origin is not allowed.
const REFUSED: [&str; 5] = ["request", "cors_rejected", "origin_rejected", "not_found", "request"];

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    let mut ours = Pages::open()?;
    let mut theirs = Pages::open()?;
    let origin = ours.origin("127.0.0.1");
    let settings = [("ALLOWED_CORS_ORIGINS", origin.as_str()), ("CORS_ALLOW_CREDENTIALS", "1")];
    let port = free_port()?;
    let house = House::open_with(scratch, "browser", port, &settings)?;
    let mut visits = Visits { scratch, house: &house, port, seen: 0 };

    check("a page of an allowed origin reads every answer", || {
        visits.pay("allowed", &mut ours, "127.0.0.1", READ, &ANSWERED)
    })?;
    check("one of another origin on this site reads none", || {
        visits.pay("other", &mut theirs, "127.0.0.1", UNREAD, &REFUSED)
    })?;
    check("nor does one of another site", || {
        visits.pay("foreign", &mut theirs, "localhost", UNREAD, &REFUSED)
    })?;
    let status = house.end(Signal::INT)?;
    ensure!(status.success(), "cargo up: {status}");
    Ok(())
}

/// What was done so far, one browser after the other.
struct Visits<'a> {
    scratch: &'a Scratch,
    house: &'a House<'a>,
    port: u16,
    /// Requests of browsers that were looked at.
    seen: usize,
}

impl Visits<'_> {
    /// Opens the page in a new browser.
    fn pay(
        &mut self,
        name: &'static str,
        pages: &mut Pages,
        host: &str,
        expected: &str,
        actions: &[&str],
    ) -> Result<&'static str> {
        let profile = self.scratch.directory(name)?;
        let (out, err) = self.scratch.output(name)?;
        let program = command("chromium");
        let browser = Child::start("chromium", program.get_program().as_ref(), |command| {
            command.args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ]);
            // It asks nobody but us.
            command.args(["--no-first-run", "--disable-background-networking", "--disable-sync"]);
            command.args(["--disable-component-update", "--disable-quic", "--log-level=3"]);
            command.arg(format!("--user-data-dir={}", profile.display()));
            command.arg(pages.origin(host)).stdout(out).stderr(err);
        })?;
        let attack = SQL.target.trim_start_matches("/?q=");
        let page = PAGE.replace("WEBAPP", &format!("http://127.0.0.1:{}", self.port));
        let page = page.replace("ATTACK", attack);
        let said = wait::until(PATIENCE, || pages.serve(&page))?;
        // With all the processes it has made: nothing of its profile is wanted.
        drop(browser);
        let said = said.context("the page said nothing")?;
        ensure!(said == expected, "it says\n{said}");

        let done = wait::until(PATIENCE, || {
            let done = self.done();
            Ok((done.len() >= self.seen + actions.len()).then_some(done))
        })?;
        let done = done.context("its requests are not in requests.log")?;
        let new = done.get(self.seen..).unwrap_or_default();
        ensure!(new == actions, "webapp did {new:?}");
        self.seen = done.len();
        Ok("")
    }

    /// What webapp did with the requests of browsers.
    fn done(&self) -> Vec<String> {
        let log = self.house.log("requests.log");
        let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_browser = |record: &Value| {
            record["user_agent.original"].as_str().is_some_and(|agent| agent.contains("Chrome"))
        };
        let action = |record: Value| Some(record["event.action"].as_str()?.to_owned());
        records.filter(of_browser).filter_map(action).collect()
    }
}

/// A server of one page, which hears what the page has to say.
struct Pages {
    listener: TcpListener,
    port: u16,
    /// Connections whose request is not whole: a browser opens some that it never uses.
    open: Vec<(TcpStream, Vec<u8>)>,
}

impl Pages {
    fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port, open: Vec::new() })
    }

    fn origin(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }

    /// Answers whoever has asked; what the page said, once it has.
    fn serve(&mut self, page: &str) -> Result<Option<String>> {
        // An error says that nobody is there.
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            self.open.push((stream, Vec::new()));
        }
        let mut said = None;
        self.open.retain_mut(|(stream, bytes)| {
            let goes_on = read(stream, bytes);
            let request = String::from_utf8_lossy(bytes);
            let Some((head, body)) = request.split_once("\r\n\r\n") else { return goes_on };
            if body.len() < length(head) {
                return goes_on;
            }
            if head.starts_with("POST /said ") {
                said = Some(body.to_owned());
            }
            let page = if head.starts_with("GET / ") { page } else { "" };
            let length = page.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            // Who has left needs no answer.
            write!(stream, "{head}Content-Length: {length}\r\n\r\n{page}").ok();
            false
        });
        Ok(said)
    }
}

/// Reads what is there; whether more may come.
fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4 << 10];
    while bytes.len() < REQUEST_BYTES_MAX {
        match stream.read(&mut piece) {
            Ok(0) => return false,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    false
}

fn length(head: &str) -> usize {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    length.unwrap_or(0)
}
