//! Which way changes of backends reach nginx, for each resource: by names that we answer, or by reloads. Publishes what a pass has
//! rendered. Never renders, and never sends a message.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::apply::AroundReload;
use crate::endpoints::ledger::NamedIn;
use crate::endpoints::saved;
use crate::endpoints::service::{EndpointService, PublishedSet};
use crate::model::backend_change::BackendChange;
use crate::model::endpoints::{DOMAIN, EndpointName, EndpointSet, EndpointsChoice, NameForm, ServersForm};
use crate::model::problem::Problem;
use crate::model::resource::Resource;
use crate::nginx::installation::Version;
use crate::nginx::upstreams::{self, UpstreamBlock};
use crate::render::Facts;
use crate::world::fs;

/// The first nginx whose upstreams ask for their servers (`server ... resolve` in the open version).
const FIRST_VERSION: Version = Version([1, 27, 3]);

/// How changes of backends reach nginx in this process.
#[derive(Default)]
pub struct Endpoints {
    answers: Answers,
    facts: Option<Arc<dyn Facts>>,
    /// Resources whose nginx does not ask: they are driven by reloads until conf.d is read again.
    given_up: Mutex<BTreeSet<Arc<str>>>,
}

/// Whether this process answers questions.
#[derive(Clone, Debug)]
pub enum Answers {
    /// It does.
    Running(Arc<EndpointService>),
    /// It shows files for a process that does, at these addresses.
    Elsewhere(Vec<String>),
    /// It does not, for this reason.
    No(String),
}

impl Default for Answers {
    fn default() -> Answers {
        Answers::No("this process renders once and ends".to_owned())
    }
}

/// The way of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Names that nginx asks for, at these addresses.
    Dns(Vec<String>),
    /// Reloads, for this reason.
    Reload(String),
}

impl Endpoints {
    /// Returns the ways of a process. `facts` knows the version of nginx.
    pub fn new(answers: Answers, facts: Arc<dyn Facts>) -> Endpoints {
        Endpoints { answers, facts: Some(facts), given_up: Mutex::default() }
    }

    /// Returns the running answerer.
    pub fn service(&self) -> Option<&Arc<EndpointService>> {
        match &self.answers {
            Answers::Running(service) => Some(service),
            Answers::Elsewhere(_) | Answers::No(_) => None,
        }
    }

    /// Returns the way of a resource, and the reason if it is by reloads.
    pub fn way(&self, resource: &Resource) -> Way {
        let resolvers = match &self.answers {
            _ if resource.endpoints == EndpointsChoice::Reload => {
                return Way::Reload("`endpoints` is \"reload\"".to_owned());
            }
            Answers::No(reason) => return Way::Reload(reason.clone()),
            Answers::Running(service) => service.resolvers().to_vec(),
            Answers::Elsewhere(resolvers) => resolvers.clone(),
        };
        if self.has_given_up(resource.name()) {
            return Way::Reload("nginx does not ask for its endpoints".to_owned());
        }
        match resource.endpoints {
            EndpointsChoice::Auto => match self.why_not(resource) {
                Some(reason) => Way::Reload(reason),
                None => Way::Dns(resolvers),
            },
            EndpointsChoice::Dns => Way::Dns(resolvers),
            EndpointsChoice::Reload => Way::Reload(String::new()),
        }
    }

    /// Returns why `auto` is by reloads.
    fn why_not(&self, resource: &Resource) -> Option<String> {
        if matches!(self.answers, Answers::Elsewhere(_)) && fs::has_content(&resource.dest) {
            // What the running agent does shows in its file.
            let live = fs::read_bytes(&resource.dest).unwrap_or_default();
            let asks = String::from_utf8_lossy(&live).contains(&format!(".{DOMAIN} "));
            return (!asks).then(|| "the live file has no names".to_owned());
        }
        if !resource.reload.as_ref().is_some_and(|reload| reload.mentions_nginx()) {
            return Some("it reloads no nginx".to_owned());
        }
        why_nginx_cannot(self.facts.as_ref().and_then(|facts| facts.nginx_version()))
    }

    fn has_given_up(&self, resource: &str) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(resource)
    }

    /// Drives a resource by reloads from now on. Returns whether that is new.
    pub fn give_up(&self, resource: &Arc<str>) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(resource))
    }

    /// Lets all resources try names again.
    pub fn try_again(&self) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the form in which `servers()` prints for a file.
    pub fn form(&self, resource: &Resource) -> ServersForm {
        match self.way(resource) {
            Way::Reload(_) => ServersForm::Lines,
            Way::Dns(resolvers) => ServersForm::Names(Arc::new(NameForm {
                resolvers,
                standby: saved::lines_prefix(&resource.dest),
                owner: resource.id.to_string(),
            })),
        }
    }

    /// Publishes the sets that a render of this file has.
    ///
    /// # Errors
    /// nginx could not use them as the file is written.
    pub fn publish(&self, resource: &Resource, sets: &[EndpointSet], bytes: &[u8]) -> Result<(), Problem> {
        if sets.is_empty() {
            return Ok(());
        }
        let blocks = upstreams::upstreams(&String::from_utf8_lossy(bytes));
        let mut published = Vec::with_capacity(sets.len());
        for set in sets {
            let block = blocks.iter().find(|block| block.has_server(set.name.as_str()));
            check_block(block)?;
            let knows_backups = block.is_none_or(|block| block.method_without_backups().is_none());
            published.push(PublishedSet { set: set.clone(), knows_backups });
        }
        if let Some(service) = self.service() {
            let place = NamedIn { resource: Arc::clone(resource.name()), dest: resource.dest.clone() };
            service.publish(&place, published);
        }
        Ok(())
    }

    /// Records that the live file of this destination has these names and no others.
    pub fn went_live(&self, dest: &Path, names: &BTreeSet<EndpointName>) {
        if let Some(service) = self.service() {
            service.went_live(dest, names);
        }
    }

    /// Returns whether nginx has taken the present sets of a resource; true if it has none.
    pub fn has_taken(&self, resource: &str, now: Instant) -> bool {
        self.service().is_none_or(|service| service.has_taken(resource, now))
    }
}

/// Returns why an nginx of this version does not ask for endpoints.
pub fn why_nginx_cannot(version: Option<Version>) -> Option<String> {
    let Some(version) = version else { return Some("the version of nginx is not known".to_owned()) };
    let Version([major, minor, patch]) = version;
    (version < FIRST_VERSION).then(|| format!("nginx {major}.{minor}.{patch} cannot ask (1.27.3 and later can)"))
}

/// Refuses an upstream whose servers nginx could not change while it runs.
fn check_block(block: Option<&UpstreamBlock>) -> Result<(), Problem> {
    match block {
        Some(block) if !block.has_zone() => {
            let name = &block.name;
            let problem = Problem::new(format!("upstream `{name}` asks for its endpoints and has no `zone`"));
            Err(problem
                .hint(format!("write `zone {name} 256k;` into it (docs/endpoints.md says how large it should be)")))
        }
        _ => Ok(()),
    }
}

/// Keeps the lines on disk off the new workers of a reload.
#[derive(Debug)]
pub struct LinesAroundReload(pub Arc<EndpointService>);

impl AroundReload for LinesAroundReload {
    fn begin(&self, is_of: &dyn Fn(&str) -> bool) {
        self.0.begin_reload(is_of);
    }

    fn end(&self, is_of: &dyn Fn(&str) -> bool) {
        self.0.end_reload(is_of);
    }
}

/// The changes of backends that nginx has not taken yet, for the log.
#[derive(Debug, Default)]
pub struct Untaken {
    by_resource: BTreeMap<Arc<str>, (Instant, BackendChange)>,
}

impl Untaken {
    /// Records a change that was published at this time.
    pub fn add(&mut self, resource: &Arc<str>, change: &BackendChange, at: Instant) {
        self.by_resource.insert(Arc::clone(resource), (at, change.clone()));
    }

    /// Returns the changes that have been taken, with the time of their publication.
    pub fn take(&mut self, has_taken: impl Fn(&str) -> bool) -> Vec<(Arc<str>, Instant, BackendChange)> {
        let names: Vec<Arc<str>> = self.by_resource.keys().filter(|name| has_taken(name)).cloned().collect();
        let taken = names.into_iter().filter_map(|name| {
            let (at, change) = self.by_resource.remove(&name)?;
            Some((name, at, change))
        });
        taken.collect()
    }
}
