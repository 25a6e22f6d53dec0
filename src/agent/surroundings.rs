//! What the status shows and the board does not have: nginx's processes, and their connections to backends. Looked up when somebody
//! asks for the status, never before. Never changes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::apply;
use crate::model::nginx::NginxPlace;
use crate::model::process::Process;
use crate::model::status::{AgentStatus, LeavingWorker, NginxStatus, UnixTime};
use crate::model::store::StoreSettings;
use crate::nginx::process::Role;
use crate::render::Facts;
use crate::source::SourceNews;
use crate::status::gather::{Copied, HeardStore, LookedUp};
use crate::world::connections::ConnectionList;
use crate::world::{clock, nginx_process};

use super::fleet::FleetView;
use super::news::LastHeard;

/// Most addresses whose connections are counted: with more, the kernel's answer costs too much for a look.
const MAX_COUNTED: usize = 2000;

/// The surroundings of the agent.
pub(super) struct Surroundings {
    about: AgentStatus,
    store_places: Vec<String>,
    connections: ConnectionList,
    /// `None` if the agent keeps no receipt.
    fleet: Option<FleetView>,
    facts: Arc<dyn Facts>,
    news: LastHeard,
    /// Start of each master, as it was found first: two clocks are asked for it, and it would move by a second now and then.
    starts: BTreeMap<Process, UnixTime>,
}

impl Surroundings {
    /// Returns the surroundings of this agent; nothing has been looked up.
    pub(super) fn new(
        about: AgentStatus,
        store: &StoreSettings,
        keeps_receipt: bool,
        facts: Arc<dyn Facts>,
    ) -> Surroundings {
        let store_places = match store {
            StoreSettings::Etcd(etcd) => match etcd.srv_record.as_ref().or(etcd.srv_domain.as_ref()) {
                Some(domain) => vec![format!("the SRV records of {domain}")],
                None => etcd.members.clone(),
            },
            StoreSettings::File(file) => file.paths.iter().map(|path| path.display().to_string()).collect(),
            StoreSettings::Env => vec!["the environment".to_owned()],
        };
        let fleet = keeps_receipt.then(|| FleetView::new(store.clone()));
        Surroundings {
            about,
            store_places,
            connections: ConnectionList::default(),
            fleet,
            facts,
            news: LastHeard::default(),
            starts: BTreeMap::new(),
        }
    }

    /// Also shows what the sources hear.
    pub(super) fn with_news(self, news: LastHeard) -> Surroundings {
        Surroundings { news, ..self }
    }

    /// Looks at each nginx at these places, and at its connections to the backends that the board lists.
    pub(super) fn look(&mut self, places: &[NginxPlace], copied: &Copied) -> LookedUp {
        let (mut nginx, mut processes) = (Vec::new(), BTreeSet::new());
        let known = std::mem::take(&mut self.starts);
        for place in places {
            processes.extend(apply::processes_of(place, None));
            let version = self.facts.nginx_version(Some(&place.binary)).map(|version| version.to_string());
            let master = nginx_process::master(&place.pid_file, &place.binary);
            let started = master.map(|master| known.get(&master).copied().unwrap_or_else(|| started_at(master)));
            self.starts.extend(master.zip(started));
            nginx.push(NginxStatus { version, started, ..nginx_at(place, master, copied) });
        }
        let connections = self.count(&processes, copied);
        let (agent, store_places) = (self.about.clone(), self.store_places.clone());
        let (fleet, fleet_reading) = self.fleet.as_mut().map(FleetView::agents).unzip();
        let fleet = fleet.unwrap_or_default();
        let heard = |(name, news): (Option<String>, SourceNews)| HeardStore {
            receipt_lease: self.news.receipt_lease().filter(|_| name.is_none()),
            name,
            member: news.member,
            heard: news.heard,
        };
        let heard = self.news.stores().into_iter().map(heard).collect();
        LookedUp { agent, store_places, heard, nginx, connections, fleet, fleet_reading, ..LookedUp::default() }
    }

    /// Returns the number of connections of these processes to each address.
    fn count(&mut self, processes: &BTreeSet<Process>, copied: &Copied) -> Option<BTreeMap<String, usize>> {
        let remotes: BTreeSet<SocketAddr> = copied.addresses().filter_map(|address| address.parse().ok()).collect();
        if processes.is_empty() || remotes.len() > MAX_COUNTED {
            return None;
        }
        let found = self.connections.look(processes, &remotes)?;
        let mut counts = BTreeMap::new();
        for connection in found {
            *counts.entry(connection.remote.to_string()).or_default() += 1;
        }
        Some(counts)
    }
}

fn started_at(process: Process) -> UnixTime {
    let age = clock::ticks_since_boot().saturating_sub(process.start_time) / clock::ticks_per_second();
    UnixTime(clock::unix_seconds().saturating_sub(age))
}

fn nginx_at(place: &NginxPlace, master: Option<Process>, copied: &Copied) -> NginxStatus {
    let children = master.and_then(nginx_process::children).unwrap_or_default();
    let of_role = |role: Role| children.iter().filter(move |child| child.role == role).map(|child| child.process.pid);
    let leaving = of_role(Role::Leaving).map(|pid| LeavingWorker {
        pid,
        since: UnixTime(copied.leaving_since(pid)),
        sockets: nginx_process::sockets(pid),
    });
    NginxStatus {
        pid_file: place.pid_file.display().to_string(),
        program: place.binary.display().to_string(),
        version: None,
        master: master.map(|master| master.pid),
        started: None,
        away_since: copied.nginx_away_since(place).filter(|_| master.is_none()),
        workers: of_role(Role::Worker).collect(),
        leaving: leaving.collect(),
    }
}
