//! The measure for outages: a bare nginx in a container of its own, from the same image and on the same engine, restarted the same way
//! as the balancer and in the same run. What the machine is busy with slows both.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;
use super::engine::Engine;

/// How long nginx may take to answer at all.
const LIMIT: Duration = Duration::from_secs(180);
/// The pause of the one client between two requests.
const PAUSE: Duration = Duration::from_millis(10);

/// Returns how long the bare nginx does not answer while its container is restarted.
///
/// # Errors
/// Docker failed, or nginx does not answer.
pub fn outage(engine: &Engine) -> Result<Duration, Failure> {
    let (id, address) = engine.run_bare_nginx()?;
    let measured = restarted(engine, &id, address);
    engine.remove(&id);
    measured
}

fn restarted(engine: &Engine, id: &str, address: SocketAddr) -> Result<Duration, Failure> {
    wait_answer(address)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let watching = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || longest_gap(address, &is_over)
    });
    let restarted = engine.restart_container(id).and_then(|()| wait_answer(address));
    is_over.store(true, Ordering::Relaxed);
    let gap = watching.join().map_err(|_| "the client of the bare nginx has failed")?;
    restarted.map(|()| gap)
}

/// Returns the longest time between two answers, until it is over.
fn longest_gap(address: SocketAddr, is_over: &AtomicBool) -> Duration {
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    while !is_over.load(Ordering::Relaxed) {
        if answers(address) {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        thread::sleep(PAUSE);
    }
    longest.max(last.elapsed())
}

fn wait_answer(address: SocketAddr) -> Result<(), Failure> {
    let start = Instant::now();
    while !answers(address) {
        if start.elapsed() > LIMIT {
            return Err(format!("a bare nginx does not answer at {address}").into());
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.ends_with(b"bare"))
}
