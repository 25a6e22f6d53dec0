//! The store that backends are registered in: a real etcd, or a YAML file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use etcd_client::{Client, Txn, TxnOp};

use super::process::{Process, Roster};
use super::support::{eventually, free_port};
use super::{Failure, StoreKind, screen};

const READY_DEADLINE: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 3;

/// A store that can be written to.
pub enum Store {
    Etcd { client: Box<Client>, endpoint: String, _process: Process },
    File { path: PathBuf, entries: BTreeMap<String, String> },
}

impl Store {
    /// Starts etcd, or writes an empty file.
    ///
    /// # Errors
    /// etcd does not start or does not answer; the file cannot be written.
    pub async fn open(kind: StoreKind, folder: &Path, logs: &Path, roster: &Roster) -> Result<Store, Failure> {
        if kind == StoreKind::File {
            let mut store = Store::File { path: folder.join("store.yaml"), entries: BTreeMap::new() };
            store.write_file()?;
            return Ok(store);
        }
        for attempt in 1.. {
            match start_etcd(folder, logs, roster).await {
                // A port that was free a moment ago may be taken by now.
                Err(failure) if attempt < START_ATTEMPTS => screen::say(&format!("once more, etcd: {failure}")),
                outcome => return outcome,
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Sets keys, all at once.
    ///
    /// # Errors
    /// The store does not take them.
    pub async fn put(&mut self, new: &[(&str, &str)]) -> Result<(), Failure> {
        match self {
            Store::Etcd { client, .. } => {
                let puts: Vec<TxnOp> = new.iter().map(|(key, value)| TxnOp::put(*key, *value, None)).collect();
                client.txn(Txn::new().and_then(puts)).await?;
            }
            Store::File { entries, .. } => {
                entries.extend(new.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
                self.write_file()?;
            }
        }
        Ok(())
    }

    /// Removes keys, all at once.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn delete(&mut self, keys: &[&str]) -> Result<(), Failure> {
        match self {
            Store::Etcd { client, .. } => {
                let deletes: Vec<TxnOp> = keys.iter().map(|key| TxnOp::delete(*key, None)).collect();
                client.txn(Txn::new().and_then(deletes)).await?;
            }
            Store::File { entries, .. } => {
                entries.retain(|key, _| !keys.contains(&key.as_str()));
                self.write_file()?;
            }
        }
        Ok(())
    }

    /// Settings that lead upstreamd to this store.
    pub fn agent_arguments(&self) -> Vec<String> {
        let arguments = match self {
            Store::Etcd { endpoint, .. } => ["--backend", "etcd", "--node", endpoint],
            Store::File { path, .. } => ["--backend", "file", "--file", path.to_str().unwrap_or_default()],
        };
        arguments.map(str::to_owned).to_vec()
    }

    /// Commands that show and change the registered backends.
    pub fn commands(&self, key: &str) -> String {
        match self {
            Store::Etcd { endpoint, .. } => {
                let etcdctl = format!("ETCDCTL_API=3 etcdctl --endpoints {endpoint}");
                format!("{etcdctl} get --prefix /services\n{etcdctl} del {key}")
            }
            Store::File { path, .. } => format!("${{EDITOR:-vi}} {}", path.display()),
        }
    }

    /// A new file put in the old one's place, as editors do it. Keys are `/services/GROUP/NAME`.
    fn write_file(&mut self) -> Result<(), Failure> {
        let Store::File { path, entries } = self else { return Ok(()) };
        let mut text = String::from("# each leaf is a key: /services/web/nano-1 and so on\nservices:\n");
        let mut group_before = "";
        for (key, value) in entries.iter() {
            let (group, name) = key.trim_start_matches("/services/").split_once('/').ok_or("a key of two parts")?;
            if group != group_before {
                text.push_str(&format!("  {group}:\n"));
                group_before = group;
            }
            text.push_str(&format!("    {name}: '{}'\n", value.replace('\'', "''")));
        }
        let staged = path.with_extension("new");
        fs::write(&staged, text)?;
        fs::rename(&staged, path)?;
        Ok(())
    }
}

async fn start_etcd(folder: &Path, logs: &Path, roster: &Roster) -> Result<Store, Failure> {
    let [endpoint, peer] = [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
    let mut command = Command::new("etcd");
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.args(["--name", "demo", "--data-dir"]).arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("demo={peer}")]);
    let mut process = Process::start("etcd", &mut command, logs, roster)?;
    let client = eventually("etcd to answer", READY_DEADLINE, async || {
        if process.has_ended() {
            return Ok(Err("etcd has ended"));
        }
        let mut client = Client::connect([&endpoint], None).await.map_err(|error| error.to_string())?;
        client.status().await.map_err(|error| error.to_string())?;
        Ok(Ok(client))
    });
    let client = client.await??;
    Ok(Store::Etcd { client: Box::new(client), endpoint, _process: process })
}
