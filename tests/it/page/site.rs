//! A server that shows the page of a state and announces changes, as the agent does, for tests that need states at will.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use upstreamd::model::status::Status;
use upstreamd::status::page;

/// A running server; its threads end with the test program.
pub struct Site {
    shown: Arc<Mutex<Shown>>,
    pub url: String,
}

struct Shown {
    status: Status,
    readers: Vec<TcpStream>,
    is_broken: bool,
}

const EVENT: &[u8] = b"retry: 200\nevent: change\ndata: 1\n\n";

impl Site {
    pub fn of(status: Status) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let shown = Arc::new(Mutex::new(Shown { status, readers: Vec::new(), is_broken: false }));
        let of_threads = Arc::clone(&shown);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shown = Arc::clone(&of_threads);
                std::thread::spawn(move || answer(stream, &shown));
            }
        });
        Site { shown, url }
    }

    /// Shows this state, and tells whoever looks.
    pub fn change(&self, status: Status) {
        let mut shown = self.shown.lock().unwrap();
        shown.status = status;
        shown.readers.retain_mut(|reader| reader.write_all(EVENT).is_ok());
    }

    /// Ends all streams and refuses every request from now on, or no longer.
    pub fn set_broken(&self, is_broken: bool) {
        let mut shown = self.shown.lock().unwrap();
        shown.is_broken = is_broken;
        shown.readers.drain(..).for_each(|reader| reader.shutdown(std::net::Shutdown::Both).unwrap_or_default());
    }
}

fn answer(mut stream: TcpStream, shown: &Mutex<Shown>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    if !lines.any(|line| line.is_empty()) {
        return;
    }
    let mut shown = shown.lock().unwrap();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, kind, body) = match path {
        _ if shown.is_broken => ("503 Service Unavailable", "text/plain", "broken".to_owned()),
        "/" => ("200 OK", "text/html; charset=utf-8", page::html(&shown.status)),
        "/api/events" => ("200 OK", "text/event-stream", String::new()),
        _ => ("404 Not Found", "text/plain", "no such page".to_owned()),
    };
    let policy = page::POLICY.as_str();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Security-Policy: {policy}\r\nConnection: close\r\n\r\n{body}"
    );
    if stream.write_all(head.as_bytes()).is_ok() && kind == "text/event-stream" && stream.write_all(EVENT).is_ok() {
        shown.readers.push(stream);
    }
}
