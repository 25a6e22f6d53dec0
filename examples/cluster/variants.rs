//! The other two compose files: upstreamd beside an nginx that knows nothing of it, and the balancer with a read-only root and
//! no capability. A backend is put into etcd by hand, and must answer through nginx; a different one takes its place.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Failure;
use super::engine::Engine;

/// How long it may take until a backend answers.
const LIMIT: Duration = Duration::from_secs(60);

struct Variant {
    name: &'static str,
    project: &'static str,
    file: &'static str,
    /// The service that upstreamd runs in.
    agent: &'static str,
    /// A text that its log must contain.
    says: &'static [&'static str],
}

const VARIANTS: &[Variant] = &[
    Variant {
        name: "beside an nginx",
        project: "upstreamd-sidecar-test",
        file: "compose.sidecar.yaml",
        agent: "upstreamd",
        says: &["verified the reload of nginx"],
    },
    Variant {
        name: "read-only, no capabilities",
        project: "upstreamd-readonly-test",
        file: "compose.readonly.yaml",
        agent: "balancer",
        says: &["verified the reload of nginx", "no private mount namespace is available"],
    },
];

/// Runs those whose name contains `only`, and prints how it went. Whether all went well.
///
/// # Errors
/// There is no engine.
pub fn run(only: &str, keep: bool) -> Result<bool, Failure> {
    let mut good = true;
    for variant in VARIANTS.iter().filter(|variant| variant.name.contains(only)) {
        let engine = Engine::find(variant.project, variant.file)?;
        let mut backends = Vec::new();
        let result = drive(variant, &engine, &mut backends);
        if !keep {
            backends.iter().for_each(|id| engine.remove(id));
            engine.down();
        }
        good &= result.is_ok();
        match result {
            Ok(took) => println!("{:<38} a change answers after {:.1} s  ok", variant.name, took.as_secs_f64()),
            Err(failure) => println!("{:<38} {failure}", variant.name),
        }
    }
    Ok(good)
}

fn drive(variant: &Variant, engine: &Engine, backends: &mut Vec<String>) -> Result<Duration, Failure> {
    engine.up()?;
    let mut announce = |key: &str| -> Result<String, Failure> {
        let (id, address) = engine.run("default", "upstreamd-node", "reflector", &["--listen=0.0.0.0:8007"])?;
        backends.push(id.clone());
        engine.exec("etcd", &["etcdctl", "put", key, &format!("{address}:8007")])?;
        Ok(id)
    };
    let first = announce("/services/echo/1")?;
    wait_echo(engine.echo)?;
    announce("/services/echo/2")?;
    engine.exec("etcd", &["etcdctl", "put", "/services/echo/3", "10.0.0.1:1; } include /etc/passwd"])?;
    let start = Instant::now();
    engine.exec("etcd", &["etcdctl", "del", "/services/echo/1"])?;
    engine.remove(&first);
    wait_echo(engine.echo)?;
    let took = start.elapsed();
    let log = engine.logs(variant.agent)?;
    match variant.says.iter().find(|words| !log.contains(**words)) {
        Some(words) => Err(format!("upstreamd has not said {words:?}:\n{log}").into()),
        None => Ok(took),
    }
}

/// Waits until what is sent through nginx comes back.
fn wait_echo(address: SocketAddr) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        match echo(address) {
            Ok(true) => return Ok(()),
            answer if start.elapsed() > LIMIT => {
                return Err(format!("nothing comes back from {address}: {answer:?}").into());
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn echo(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"one line\n")?;
    let mut answer = [0; 9];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"one line\n")
}
