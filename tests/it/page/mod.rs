//! The page at `/`: its text in case files, values that try to be more than text, and the page in a real browser.

mod browser;
mod hostile;
mod samples;
mod site;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use upstreamd::status::page;

use crate::status::wait_answer;
use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::nginx::http_get;
use crate::support::{cases, free_port};

/// The part of the page that depends on the state.
fn body(page: &str) -> String {
    let (_, head) = page.split_once("<title>").unwrap();
    let (head, _) = head.split_once("<style>").unwrap();
    let (_, body) = page.split_once("<body>\n").unwrap();
    let (body, _) = body.rsplit_once("<script>").unwrap();
    format!("<title>{head}{body}")
}

#[test]
fn the_page_of_each_state_is_as_it_was_looked_at() {
    cases::run("page", |case| body(&page::html(&samples::named(case.text("state").trim()))));
}

#[test]
fn every_state_has_a_case() {
    let mut found = Vec::new();
    cases::each("page", |case| found.push(case.text("state").trim().to_owned()));
    found.sort();
    let mut names = samples::NAMES;
    names.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn what_every_page_has_is_under_60_kb_and_a_full_page_is_bounded() {
    let page = page::html(&samples::empty());
    assert!(page.len() < 60_000, "{} bytes", page.len());
    let worst = page::html(&samples::worst());
    assert!(worst.len() < 400_000, "{} bytes", worst.len());
}

/// Number of the last change in the status of an agent.
fn last_change(port: u16) -> Option<u64> {
    let answer = http_get(port, "localhost", "/api/status").ok()?;
    let status: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    status["changes"][0]["number"].as_u64()
}

#[test]
fn whoever_hears_of_a_change_is_shown_it() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "");
    sandbox.set_store("v: {x: 0}\n");
    let port = free_port();
    let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    wait_answer(port, "/applied", 200);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Other readers, so that there is always a status that was made a moment ago.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                last_change(port);
            }
        });
        let found = (1..=6_u64).all(|round| {
            sandbox.set_store(&format!("v: {{x: {round}}}\n"));
            let begin = Instant::now();
            // A stream without events has comments.
            let lines = lines.by_ref().map_while(Result::ok).take_while(|_| begin.elapsed() < DEADLINE);
            lines.filter(|line| line == "event: change").any(|_| last_change(port) == Some(round + 1))
        });
        is_over.store(true, Ordering::Relaxed);
        assert!(found, "an event came before its change could be seen: {:?}", last_change(port));
    });
}
