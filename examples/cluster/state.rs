//! Checks at the end of a phase: the balancer's files name exactly the live backends, and these answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Failure;
use super::engine::Engine;
use super::support::https::{Client, Protocol};

/// Every node.
pub const ALL: &[u8] = &[1, 2, 3];
/// How long it may take until all is right.
pub const LIMIT: Duration = Duration::from_secs(180);
/// Requests among which every backend must be met.
const REQUESTS: usize = 60;

/// Waits until exactly these nodes serve. Answers how long that took.
///
/// # Errors
/// They did not in time: says what was seen last.
pub fn wait_right(engine: &Engine, runtime: &tokio::runtime::Runtime, nodes: &[u8]) -> Result<Duration, Failure> {
    let start = Instant::now();
    loop {
        match look(engine, runtime, nodes) {
            Ok(()) => return Ok(start.elapsed()),
            Err(seen) if start.elapsed() > LIMIT => return Err(format!("the state is not right: {seen}").into()),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn look(engine: &Engine, runtime: &tokio::runtime::Runtime, nodes: &[u8]) -> Result<(), Failure> {
    for (file, service, port) in [("conf.d/web.conf", "web", 8443), ("stream.d/echo.conf", "echo", 8007)] {
        let text = engine.exec("balancer", &["cat", &format!("/etc/nginx/{file}")])?;
        let servers = text.lines().filter_map(|line| line.trim().strip_prefix("server "));
        let live: BTreeSet<String> = servers
            .filter(|line| !line.contains(" down"))
            .filter_map(|line| line.split([' ', ';']).next().map(str::to_owned))
            .filter(|address| address.contains(':'))
            .collect();
        let address = |node: &u8| Ok(format!("{}:{port}", engine.address("traffic", &format!("{service}-{node}"))?));
        let expected: BTreeSet<String> = nodes.iter().map(address).collect::<Result<_, Failure>>()?;
        if live != expected {
            return Err(format!("{file} names {live:?}, not {expected:?}").into());
        }
    }
    let expected: BTreeSet<String> = nodes.iter().map(|node| format!("node-{node}")).collect();
    let mut met = BTreeSet::new();
    let client = Client::trusting_anybody();
    for _ in 0..REQUESTS {
        let answer = runtime.block_on(client.get(Protocol::Http2, engine.https, "/"))?;
        let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
        met.extend(said["instance"].as_str().map(str::to_owned));
        if met == expected {
            return Ok(());
        }
    }
    Err(format!("{met:?} answered, not {expected:?}").into())
}
