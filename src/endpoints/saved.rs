//! The sets on disk: all of them in the state folder, for the next start of the agent, and the `server` lines of each beside the file
//! that includes them, for a start of nginx without an agent. Never reads lines back.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::endpoints::{Endpoint, EndpointName, EndpointSet};
use crate::model::process::Process;
use crate::world::fs::record;

use super::ledger::NamedIn;

/// Version of the record.
const FORMAT: u32 = 1;
/// Name of the record in the state folder.
const RECORD: &str = "endpoints.json";

/// One set, with what else has to survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedSet {
    pub(super) set: EndpointSet,
    /// The file that uses it.
    pub(super) place: NamedIn,
    pub(super) knows_backups: bool,
    /// The worker that has not read the lines on disk.
    pub(super) clean_worker: Option<SocketAddr>,
    /// Whether workers have started since, and have not asked for it in time.
    pub(super) is_outlived: bool,
    /// Addresses that it has lost and that have not drained.
    pub(super) lost: Vec<SocketAddr>,
    /// Whether no file has its name any more: only workers that are leaving ask for it.
    pub(super) is_over: bool,
    /// Number of the upstreams that ask for it.
    pub(super) upstreams: usize,
}

/// Sets and workers of an earlier run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SavedRun {
    pub(super) sets: Vec<SavedSet>,
    /// The workers of nginx that served.
    pub(super) workers: BTreeSet<Process>,
}

/// The content on disk for one name.
#[derive(Debug)]
pub(super) struct NameOnDisk {
    /// Its record, without the endpoints.
    pub(super) saved: SavedSet,
    pub(super) endpoints: Arc<[Endpoint]>,
    /// Whether its lines belong there.
    pub(super) has_lines: bool,
    /// Whether the record has it: after a restart the file that is live is the one from before.
    pub(super) is_recorded: bool,
}

impl NameOnDisk {
    /// Returns the path of its lines; `None` if there are none to write.
    pub(super) fn lines_path(&self) -> Option<PathBuf> {
        let has_some = self.has_lines && !self.endpoints.is_empty();
        lines_path(&self.saved.place.dest, &self.saved.set.name).filter(|_| has_some)
    }

    /// Returns its lines.
    pub(super) fn lines_text(&self) -> String {
        lines_text(&self.endpoints, self.saved.knows_backups)
    }
}

/// Returns the lines of a name with these endpoints. A single one is never out of use, as nginx promises for a single server: beside the
/// same one from an answer it would not count as single, and one broken connection would take both out of use.
pub(super) fn lines_text(endpoints: &[Endpoint], knows_backups: bool) -> String {
    let backup = if knows_backups { " backup" } else { "" };
    let max_fails = if endpoints.len() == 1 { " max_fails=0" } else { "" };
    let line = |endpoint: &Endpoint| {
        let weight = if endpoint.weight == 1 { String::new() } else { format!(" weight={}", endpoint.weight) };
        format!("server {}{weight}{max_fails}{backup};\n", endpoint.address)
    };
    endpoints.iter().map(line).collect()
}

/// Returns the path of the lines of a name.
pub(super) fn lines_path(dest: &Path, name: &EndpointName) -> Option<PathBuf> {
    Some(format!("{}{}.peers", lines_prefix(dest)?, name.label()).into())
}

/// The record of all sets.
#[derive(Debug, Default, Deserialize)]
struct SavedSets {
    format: u32,
    /// Process id and start time in clock ticks since boot.
    #[serde(default)]
    workers: Vec<(i32, u64)>,
    sets: Vec<SetRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SetRecord {
    label: String,
    resource: String,
    dest: PathBuf,
    knows_backups: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clean_worker: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_outlived: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost: Vec<SocketAddr>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_over: bool,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    upstreams: usize,
    /// Address, weight, and whether it is a backup.
    peers: Vec<(SocketAddr, u16, bool)>,
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(number: &usize) -> bool {
    *number == 1
}

impl From<&NameOnDisk> for SetRecord {
    fn from(NameOnDisk { saved, endpoints, .. }: &NameOnDisk) -> SetRecord {
        SetRecord {
            label: saved.set.name.label().to_owned(),
            resource: saved.place.resource.to_string(),
            dest: saved.place.dest.clone(),
            knows_backups: saved.knows_backups,
            clean_worker: saved.clean_worker,
            is_outlived: saved.is_outlived,
            lost: saved.lost.clone(),
            is_over: saved.is_over,
            upstreams: saved.upstreams,
            peers: endpoints.iter().map(|one| (one.address, one.weight, one.is_backup)).collect(),
        }
    }
}

impl From<SetRecord> for SavedSet {
    fn from(record: SetRecord) -> SavedSet {
        let endpoint = |(address, weight, is_backup)| Endpoint { address, weight, is_backup };
        let endpoints = record.peers.into_iter().map(endpoint).collect();
        SavedSet {
            set: EndpointSet { name: EndpointName::new(&record.label), endpoints },
            place: NamedIn { resource: Arc::from(record.resource), dest: record.dest },
            knows_backups: record.knows_backups,
            clean_worker: record.clean_worker,
            is_outlived: record.is_outlived,
            lost: record.lost,
            is_over: record.is_over,
            upstreams: record.upstreams,
        }
    }
}

/// Returns the text of the record, made set by set: thousands of them are never in memory twice.
pub(super) fn record_text(names: &[NameOnDisk], workers: &BTreeSet<Process>) -> String {
    let workers: Vec<(i32, u64)> = workers.iter().map(|worker| (worker.pid, worker.start_time)).collect();
    let workers = serde_json::to_string(&workers).unwrap_or_default();
    let mut text = format!("{{\"format\":{FORMAT},\"workers\":{workers},\"sets\":[");
    for name in names.iter().filter(|name| name.is_recorded) {
        if !text.ends_with('[') {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(&SetRecord::from(name)).unwrap_or_default());
    }
    text + "]}"
}

/// Reads the record of the last run; an empty one if there is none that can be used.
pub(super) fn load(state_folder: &Path) -> SavedRun {
    let path = state_folder.join(RECORD);
    let text = record::read(&path).unwrap_or_else(|error| {
        tracing::warn!("{error}; the endpoints of the last run are not known until the store has been read");
        None
    });
    let parsed = text.map(|text| serde_json::from_str::<SavedSets>(&text));
    match parsed {
        None => SavedRun::default(),
        Some(Ok(saved)) if saved.format == FORMAT => SavedRun {
            sets: saved.sets.into_iter().map(SavedSet::from).collect(),
            workers: saved.workers.into_iter().map(|(pid, start_time)| Process { pid, start_time }).collect(),
        },
        Some(_) => {
            tracing::warn!(
                "`{}` is not a record of endpoints that this version knows; they are not known until the store has been read",
                path.display()
            );
            SavedRun::default()
        }
    }
}

/// Writes the record.
pub(super) fn write_sets(state_folder: &Path, text: &str) -> Result<(), String> {
    record::write(&state_folder.join(RECORD), text).map_err(|error| in_words(&error))
}

fn in_words(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// Returns the path in front of a label, which a rendered file includes; `None` if it cannot stand in quotes as it is, or nginx would
/// take a part of it for a pattern.
pub fn lines_prefix(dest: &Path) -> Option<String> {
    let (folder, file) = (dest.parent()?.to_str()?, dest.file_name()?.to_str()?);
    let folder = if folder == "/" { "" } else { folder };
    let prefix = format!("{folder}/.{file}.");
    (!prefix.contains(|c: char| c.is_control() || "\"\\*?[".contains(c))).then_some(prefix)
}

/// Writes lines, readable for an nginx that does not run as root.
pub(super) fn write_lines(path: &Path, text: &str) -> Result<(), String> {
    record::write_readable(path, text).map_err(|error| in_words(&error))
}

/// Removes lines, if they are there.
pub(super) fn remove_lines(path: &Path) -> Result<(), String> {
    match record::remove(path) {
        Err(error) if error.source.kind() != std::io::ErrorKind::NotFound => Err(in_words(&error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = |text: &str, is_backup| Endpoint { address: text.parse().unwrap(), weight: 2, is_backup };
        let endpoints = vec![endpoint("10.0.0.1:80", false), endpoint("[2001:db8::1]:81", true)];
        let saved = SavedSet {
            set: EndpointSet { name: EndpointName::new("web-1"), endpoints },
            place: NamedIn { resource: "web.toml".into(), dest: "/etc/nginx/conf.d/web.conf".into() },
            knows_backups: true,
            clean_worker: Some("127.0.0.1:4000".parse().unwrap()),
            is_outlived: true,
            lost: vec!["10.0.0.2:80".parse().unwrap()],
            is_over: true,
            upstreams: 2,
        };
        assert_eq!(load(folder.path()), SavedRun::default());
        let other = SavedSet {
            clean_worker: None,
            is_outlived: false,
            lost: Vec::new(),
            is_over: false,
            upstreams: 1,
            ..saved.clone()
        };
        let on_disk = |saved: &SavedSet, is_recorded| {
            let endpoints = saved.set.endpoints.clone().into();
            NameOnDisk { saved: saved.clone(), endpoints, has_lines: false, is_recorded }
        };
        let names = [on_disk(&saved, true), on_disk(&saved, false), on_disk(&other, true)];
        let workers = BTreeSet::from([Process { pid: 7, start_time: 70 }, Process { pid: 8, start_time: 71 }]);
        write_sets(folder.path(), &record_text(&names, &workers)).unwrap();
        assert_eq!(load(folder.path()), SavedRun { sets: vec![saved, other], workers });
        for empty in [record_text(&[], &BTreeSet::new()), "{\"format\":1,\"sets\":[]}".to_owned()] {
            write_sets(folder.path(), &empty).unwrap();
            assert_eq!(load(folder.path()), SavedRun::default());
        }
        for broken in ["", "{", "{\"format\":2,\"sets\":[]}"] {
            write_sets(folder.path(), broken).unwrap();
            assert_eq!(load(folder.path()), SavedRun::default(), "{broken}");
        }
    }

    #[test]
    fn lines_lie_hidden_beside_their_file() {
        let name = EndpointName::new("web-1");
        let path = |dest: &str| lines_path(Path::new(dest), &name).map(|path| path.display().to_string());
        assert_eq!(path("/etc/nginx/conf.d/web.conf").unwrap(), "/etc/nginx/conf.d/.web.conf.web-1.peers");
        assert_eq!(path("/web").unwrap(), "/.web.web-1.peers");
        let odd = "/a b@/;{ü}$a'#]~!%(,".to_owned();
        assert_eq!(path(&odd), Some("/a b@/.;{ü}$a'#]~!%(,.web-1.peers".to_owned()));
        for impossible in ["/a*/web", "/a?/web", "/a/[w]", "/a/\"b", "/a\\/b", "/a\n/b", "/a/\u{85}b"] {
            assert_eq!(path(impossible), None, "{impossible}");
        }
    }
}
