//! The backends: reflectors and nano-containers as real processes, each registered under one key.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{Process, Roster, tail};
use super::support::eventually;
use super::support::tls::ServerFiles;
use super::{Failure, folder};

const READY_DEADLINE: Duration = Duration::from_secs(20);
/// The name that nano-containers have in their certificate; the template asks for it.
pub const NANO_CONTAINER: &str = "nano-container";

/// One running backend.
pub struct Backend {
    pub name: String,
    pub address: SocketAddr,
    /// The key that it is registered under.
    pub key: String,
    /// The registered value.
    pub value: String,
    _process: Process,
}

/// Starts backends.
pub struct Launcher<'a> {
    pub logs: &'a Path,
    pub roster: &'a Roster,
    pub nano_files: ServerFiles,
}

impl Launcher<'_> {
    /// A TCP echo server, registered as plain `address:port`.
    ///
    /// # Errors
    /// It does not start.
    pub async fn reflector(&self, number: usize) -> Result<Backend, Failure> {
        let name = format!("reflector-{number}");
        let mut command = Command::new(folder::program("reflector")?);
        let (address, process) = self.start(&name, &mut command).await?;
        let (key, value) = (format!("/services/echo/{name}"), address.to_string());
        Ok(Backend { name, address, key, value, _process: process })
    }

    /// An HTTPS service, registered as JSON with host and port.
    ///
    /// # Errors
    /// It does not start.
    pub async fn nano_container(&self, number: usize) -> Result<Backend, Failure> {
        let name = format!("nano-{number}");
        let mut command = Command::new(folder::program(NANO_CONTAINER)?);
        command.args(["--instance", &name]);
        command.arg("--cert").arg(&self.nano_files.certificate).arg("--key").arg(&self.nano_files.key);
        let (address, process) = self.start(&name, &mut command).await?;
        let value = serde_json::json!({ "host": address.ip(), "port": address.port() }).to_string();
        Ok(Backend { key: format!("/services/web/{name}"), name, address, value, _process: process })
    }

    async fn start(&self, name: &str, command: &mut Command) -> Result<(SocketAddr, Process), Failure> {
        command.args(["--listen", "127.0.0.1:0"]);
        let mut process = Process::start(name, command, self.logs, self.roster)?;
        let what = format!("{name} to say where it listens");
        let address = eventually(&what, READY_DEADLINE, async || {
            if process.has_ended() {
                return Ok(Err(format!("{name} has ended: {}", tail(&process.log))));
            }
            let said = process.said();
            let ready = said.lines().find(|line| line.contains("is ready"));
            let address = ready.and_then(|line| line.split(' ').find_map(|word| word.strip_prefix("address=")));
            address.and_then(|address| address.parse().ok()).map(Ok).ok_or(said)
        });
        let address = address.await??;
        Ok((address, process))
    }
}
