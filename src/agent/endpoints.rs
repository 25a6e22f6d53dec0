//! Which way changes of backends reach nginx, for each resource: by names that we answer, or by reloads. Publishes what a pass has
//! rendered. Never renders, and never sends a message.

use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use super::catalog::{self, Member};
use super::given_up::GivenUp;
use super::upstreams::KnownUpstreams;
use crate::apply::AroundReload;
use crate::apply::group::Group;
use crate::endpoints::ledger::{NamedIn, UpstreamTraits};
use crate::endpoints::published::PublishedSet;
use crate::endpoints::saved;
use crate::endpoints::service::EndpointService;
use crate::endpoints::taken::TakenAnswers;
use crate::model::backoff::Backoff;
use crate::model::endpoints::{DOMAIN, EndpointName, EndpointSet, EndpointsChoice, NameForm, ServersForm};
use crate::model::problem::Problem;
use crate::model::report::ReloadEnd;
use crate::model::resource::{Reload, Resource};
use crate::nginx::installation::{self, Version};
use crate::render::Facts;
use crate::status::endpoint_events;
use crate::world::dns_listener::{DnsListener, LONGEST_LISTEN_PAUSE};
use crate::world::{clock, fs, random, refuge};

/// The first nginx whose upstreams ask for their servers (`server ... resolve` in the open version).
const FIRST_VERSION: Version = Version([1, 27, 3]);

/// The way in which a process handles questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerPlan {
    /// Answer them at these addresses, if a resource needs it.
    Listen {
        /// The addresses.
        addresses: Vec<SocketAddr>,
        /// Folder for the last known endpoints.
        state_folder: Option<PathBuf>,
    },
    /// Show the files of a process that answers at these addresses.
    Show(Vec<SocketAddr>),
    /// Leave them, for this reason.
    Leave(&'static str),
}

/// The ways in which changes of backends reach nginx in this process.
pub struct Endpoints {
    plan: AnswerPlan,
    facts: Option<Arc<dyn Facts>>,
    listening: Mutex<Listening>,
    given_up: Mutex<GivenUp>,
}

/// Whether questions are answered.
#[derive(Default)]
enum Listening {
    #[default]
    NotNeeded,
    /// Not yet, and a resource has needed it since: its nginx was replaced by one that can ask.
    Needed(Instant),
    Runs(Arc<EndpointService>),
    Failed(FailedListen),
}

/// An attempt to listen that has failed.
struct FailedListen {
    problem: String,
    /// When to try again.
    again_at: Instant,
    backoff: Backoff,
}

/// The way of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Names that nginx asks for, at these addresses.
    Dns(Vec<String>),
    /// Reloads, for this reason.
    Reload(String),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Dns(_) => f.write_str("changes of backends reach nginx by DNS, without a reload"),
            Way::Reload(reason) => write!(f, "changes of backends reach nginx by reloads: {reason}"),
        }
    }
}

impl Default for Endpoints {
    fn default() -> Endpoints {
        let plan = AnswerPlan::Leave("this process renders once and ends");
        Endpoints { plan, facts: None, listening: Mutex::default(), given_up: Mutex::default() }
    }
}

impl Endpoints {
    /// Returns the ways of a process. `facts` knows the versions of nginx.
    pub fn new(plan: AnswerPlan, facts: Arc<dyn Facts>) -> Endpoints {
        Endpoints { plan, facts: Some(facts), ..Endpoints::default() }
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the running answerer.
    pub fn service(&self) -> Option<Arc<EndpointService>> {
        match &*self.listening() {
            Listening::Runs(service) => Some(Arc::clone(service)),
            Listening::NotNeeded | Listening::Needed(_) | Listening::Failed(_) => None,
        }
    }

    /// Returns it if nginx may read names when this group is reloaded: a command that reloads nginx need not name it.
    fn service_for(&self, group: &Group) -> Option<Arc<EndpointService>> {
        let has_names = |service: &EndpointService| group.resources.iter().any(|one| service.has_names_of(one.name()));
        self.service().filter(|service| group.drives_nginx() || has_names(service))
    }

    /// Starts to answer if one of these resources needs it and nobody answers yet, and reports success, and each problem once. Lets those
    /// try names again that were given up for long enough.
    pub fn listen_for<'a>(&self, resources: impl Iterator<Item = &'a Resource>, now: Instant) {
        self.given_up().try_due(now);
        let AnswerPlan::Listen { addresses, state_folder } = &self.plan else { return };
        let mut listening = self.listening();
        let able: Vec<&Resource> = resources.filter(|resource| self.why_not(resource).is_none()).collect();
        match &*listening {
            Listening::Runs(_) => return,
            _ if able.is_empty() => return *listening = Listening::NotNeeded,
            Listening::NotNeeded | Listening::Needed(_) | Listening::Failed(_) => {}
        }
        let (known, mut backoff) = match std::mem::take(&mut *listening) {
            Listening::Failed(FailedListen { problem, backoff, .. }) => (Some(problem), backoff),
            _ => (None, Backoff::up_to(LONGEST_LISTEN_PAUSE)),
        };
        *listening = match listen(addresses, state_folder.clone()) {
            Ok(service) => {
                endpoint_events::answering(service.resolvers());
                Listening::Runs(service)
            }
            Err(problem) => {
                if known.as_ref() != Some(&problem) {
                    let is_demanded = able.iter().any(|resource| resource.endpoints == EndpointsChoice::Dns);
                    endpoint_events::not_answering(&problem, is_demanded);
                }
                let again_at = now + backoff.next_delay(random::fraction());
                Listening::Failed(FailedListen { problem, again_at, backoff })
            }
        };
    }

    /// Returns when to try again what has failed: to listen, or to go by names.
    pub fn try_at(&self) -> Option<Instant> {
        let listen_at = match &*self.listening() {
            Listening::Failed(FailedListen { again_at, .. }) | Listening::Needed(again_at) => Some(*again_at),
            Listening::NotNeeded | Listening::Runs(_) => None,
        };
        [listen_at, self.given_up().wake_at()].into_iter().flatten().min()
    }

    /// Returns the way of a resource, with the reason if it is by reloads.
    pub fn way(&self, resource: &Resource) -> Way {
        let reason = match &self.plan {
            AnswerPlan::Leave(reason) => Some((*reason).to_owned()),
            AnswerPlan::Show(_) if resource.endpoints == EndpointsChoice::Auto => self.why_not_shown(resource),
            AnswerPlan::Show(_) | AnswerPlan::Listen { .. } => self.why_not(resource),
        };
        if let Some(reason) = reason {
            return Way::Reload(reason);
        }
        if let Some(reason) = self.given_up().reason(resource.name()) {
            return Way::Reload(reason.to_owned());
        }
        if let AnswerPlan::Show(addresses) = &self.plan {
            return Way::Dns(addresses.iter().map(ToString::to_string).collect());
        }
        let mut listening = self.listening();
        if let Listening::NotNeeded = *listening {
            *listening = Listening::Needed(clock::now());
        }
        match &*listening {
            Listening::Runs(service) => Way::Dns(service.resolvers().to_vec()),
            Listening::Failed(failed) => Way::Reload(failed.problem.clone()),
            Listening::NotNeeded | Listening::Needed(_) => Way::Reload("nobody answers its questions yet".to_owned()),
        }
    }

    /// Returns the way that a running agent would choose, whatever the live file says now.
    pub fn way_of_agent(&self, resource: &Resource) -> Way {
        self.why_not(resource).map_or_else(|| Way::Dns(Vec::new()), Way::Reload)
    }

    /// Returns why a resource goes by reloads, whoever answers.
    fn why_not(&self, resource: &Resource) -> Option<String> {
        if resource.endpoints != EndpointsChoice::Reload && saved::lines_prefix(&resource.dest).is_none() {
            // Without these lines an nginx that starts while nobody answers would have no backends.
            return Some("nginx can include no file beside its dest, which has one of `\"\\*?[`".to_owned());
        }
        match resource.endpoints {
            EndpointsChoice::Reload => return Some("`endpoints` is \"reload\"".to_owned()),
            // Names are learnt, and lines forgotten, by a reload.
            EndpointsChoice::Dns if resource.reload.is_none() => return Some("it has no reload".to_owned()),
            EndpointsChoice::Dns => return None,
            EndpointsChoice::Auto => {}
        }
        if !resource.reload.as_ref().is_some_and(Reload::mentions_nginx) {
            return Some("it reloads no nginx".to_owned());
        }
        match self.version(resource) {
            Some(version) => too_old(version),
            None => Some("the version of nginx is not known".to_owned()),
        }
    }

    /// Returns the version of the nginx that a resource's commands name.
    fn version(&self, resource: &Resource) -> Option<Version> {
        let reload = resource.reload.as_ref().and_then(Reload::command);
        let program =
            reload.into_iter().chain(&resource.check).find_map(|command| installation::program_named_in(&command.text));
        self.facts.as_ref().and_then(|facts| facts.nginx_version(program.as_deref()))
    }

    /// Returns why nginx will refuse the file of a resource whose endpoints are said to go by DNS.
    pub fn why_refused(&self, resource: &Resource) -> Option<String> {
        resource.reload.as_ref().filter(|_| resource.endpoints == EndpointsChoice::Dns)?;
        self.version(resource).and_then(too_old)
    }

    /// Returns why a file is shown with `server` lines: what a running agent does can be seen in it.
    fn why_not_shown(&self, resource: &Resource) -> Option<String> {
        if !fs::has_content(&resource.dest) {
            return self.why_not(resource);
        }
        let live = fs::read_bytes(&resource.dest).unwrap_or_default();
        let asks = String::from_utf8_lossy(&live).contains(&format!(".{DOMAIN} "));
        (!asks).then(|| "the live file has `server` lines, as a single run writes them".to_owned())
    }

    fn given_up(&self) -> MutexGuard<'_, GivenUp> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives a resource by reloads until conf.d is read again, for this reason. Returns whether that is new.
    pub fn give_up(&self, resource: &Arc<str>, reason: &str) -> bool {
        self.given_up().for_good(resource, reason)
    }

    /// Drives a resource whose nginx does not ask by reloads. Returns for how long; `None` if it is driven so already.
    pub fn give_up_unasked(&self, resource: &Arc<str>, now: Instant) -> Option<Duration> {
        self.given_up().for_a_while(resource, "nginx does not ask for its endpoints", now, random::fraction())
    }

    /// Lets all resources try names again.
    pub fn try_again(&self) {
        *self.given_up() = GivenUp::default();
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

    /// Publishes the sets that a render of this file has. `known` is what is known of its upstreams.
    ///
    /// # Errors
    /// nginx could not use them as the file is written.
    pub fn publish(
        &self,
        resource: &Resource,
        sets: &[EndpointSet],
        bytes: &[u8],
        known: &mut KnownUpstreams,
    ) -> Result<(), Problem> {
        if sets.is_empty() {
            return Ok(());
        }
        known.look(sets, bytes)?;
        let usable = |set: &EndpointSet| PublishedSet {
            set: set.clone(),
            traits: UpstreamTraits { knows_backups: known.knows_backups(set), upstreams: known.upstreams(set) },
        };
        if let Some(service) = self.service() {
            let place = NamedIn { resource: Arc::clone(resource.name()), dest: resource.dest.clone() };
            service.publish(&place, sets.iter().map(usable).collect());
        }
        Ok(())
    }

    /// Records that the live file of this destination has these names and no others.
    pub fn went_live(&self, dest: &Path, names: &BTreeSet<EndpointName>) {
        if let Some(service) = self.service() {
            service.went_live(dest, names);
        }
    }

    /// Records that a resource has these files and no others.
    pub fn keep_files(&self, resource: &str, dests: &BTreeSet<&Path>) {
        if let Some(service) = self.service() {
            service.keep_files(resource, dests);
        }
    }

    /// Records which resources conf.d has.
    pub fn keep_resources(&self, has: impl Fn(&str) -> bool) {
        if let Some(service) = self.service() {
            service.keep_resources(has);
        }
    }

    /// Returns the addresses that the answers for a resource have lost and that have not drained.
    pub fn lost(&self, resource: &str) -> BTreeSet<SocketAddr> {
        self.service().map(|service| service.lost(resource)).unwrap_or_default()
    }

    /// Records that nginx has no connection to these addresses that the answers for a resource have lost.
    pub fn drained(&self, resource: &str, addresses: &BTreeSet<SocketAddr>) {
        if let Some(service) = self.service() {
            service.drained(resource, addresses);
        }
    }

    /// Returns what nginx has taken of the answers.
    pub fn taken(&self, now: Instant) -> TakenAnswers {
        self.service().map(|service| service.taken(now)).unwrap_or_default()
    }

    /// Returns the serial of the last change of any answer.
    pub fn serial(&self) -> u64 {
        self.service().map(|service| service.serial()).unwrap_or_default()
    }
}

fn listen(addresses: &[SocketAddr], state_folder: Option<PathBuf>) -> Result<Arc<EndpointService>, String> {
    let Some(first) = addresses.first() else {
        return Err("there is no address to listen at (hint: --endpoints-listen)".to_owned());
    };
    let listener = DnsListener::bind(addresses)
        .map_err(|(address, error)| format!("cannot listen at {address}: {error} (hint: {})", listen_hint(&error)))?;
    let missing =
        |address: SocketAddr, error: &io::Error| endpoint_events::no_refuge(address, error, listen_hint(error));
    EndpointService::start(listener, refuge::start(first.ip(), missing), state_folder)
        .map_err(|error| format!("there is no thread to answer with: {error}"))
}

/// Returns why an nginx of this version cannot ask; `None` if it can.
fn too_old(version: Version) -> Option<String> {
    let Version([major, minor, patch]) = version;
    (version < FIRST_VERSION).then(|| format!("nginx {major}.{minor}.{patch} cannot ask (1.27.3 and later can)"))
}

/// Returns what to do if an address cannot be had.
fn listen_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs root or CAP_NET_BIND_SERVICE; --endpoints-listen sets a different one"
        }
        _ => "--endpoints-listen; each upstreamd on a machine needs an address of its own",
    }
}

/// Returns whether the template of a resource prints `servers()`, so that its way matters.
pub fn prints_servers(member: &Member) -> bool {
    let texts = member.renderer.texts_of(catalog::resource_root(&member.resource));
    texts.iter().any(|text| text.contains("servers(") || text.contains("servers \""))
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// The lines on disk are kept off the new workers of a reload.
impl AroundReload for Endpoints {
    fn begin(&self, group: &Group) -> bool {
        let service = self.service_for(group);
        service.iter().for_each(|service| service.begin_reload());
        service.is_some()
    }

    fn end(&self, group: &Group, end: ReloadEnd) {
        let is_concerned = |resource: &str| group.has_member(resource);
        // The group may have lost its last name since.
        self.service().iter().for_each(|service| service.end_reload(is_concerned, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resource::{Defaults, ResourceFile, parse};

    #[tokio::test]
    async fn what_needs_answers_later_is_noticed() {
        let text =
            "[template]\nsrc = \"x.tera\"\ndest = '/x'\nkeys = [\"/\"]\nendpoints = \"dns\"\nreload = \"nginx\"\n";
        let file = ResourceFile { name: "web.toml".into(), path: "web.toml".into(), text: text.into() };
        let resource = parse(&file, &Defaults::default()).unwrap();
        let plan = AnswerPlan::Listen { addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0))], state_folder: None };
        let endpoints = Endpoints { plan, ..Endpoints::default() };
        assert_eq!(endpoints.try_at(), None);
        assert!(matches!(endpoints.way(&resource), Way::Reload(_)));
        let due = endpoints.try_at().unwrap();
        endpoints.listen_for(std::iter::once(&resource), due);
        assert!(matches!(endpoints.way(&resource), Way::Dns(_)) && endpoints.try_at().is_none());
    }

    #[test]
    fn only_what_is_reloaded_can_go_by_dns() {
        // Nobody knows the version of this nginx.
        let check_at = |dest: &str, lines: &str, expected: Option<&str>| {
            let text = format!("[template]\nsrc = \"x.tera\"\ndest = '{dest}'\nkeys = [\"/\"]\n{lines}\n");
            let file = ResourceFile { name: "web.toml".into(), path: "web.toml".into(), text };
            let resource = parse(&file, &Defaults::default()).unwrap();
            let way = Endpoints::default().way_of_agent(&resource);
            let expected = expected.map_or(Way::Dns(Vec::new()), |reason| Way::Reload(reason.to_owned()));
            assert_eq!(way, expected, "{lines}");
        };
        let check = |lines: &str, expected: Option<&str>| check_at("/x", lines, expected);
        check("", Some("it reloads no nginx"));
        check("endpoints = \"dns\"", Some("it has no reload"));
        check("endpoints = \"dns\"\ncheck_cmd = \"nginx -t\"", Some("it has no reload"));
        check("endpoints = \"dns\"\nreload_cmd = \"systemctl reload edge\"", None);
        check("endpoints = \"dns\"\nreload = \"nginx\"", None);
        check("reload_cmd = \"systemctl reload edge\"", Some("it reloads no nginx"));
        check("reload = \"nginx\"", Some("the version of nginx is not known"));
        check("endpoints = \"reload\"\nreload = \"nginx\"", Some("`endpoints` is \"reload\""));
        let each = "endpoints = \"dns\"\nreload = \"nginx\"\nfor_each = \"/\"";
        check_at("/w b;$(ü)/{{ item }}.conf", each, None);
        let beside = "nginx can include no file beside its dest, which has one of `\"\\*?[`";
        for lines in ["endpoints = \"dns\"\nreload = \"nginx\"", "reload = \"nginx\""] {
            check_at("/a*/x", lines, Some(beside));
        }
        check_at("/a*/x", "endpoints = \"reload\"", Some("`endpoints` is \"reload\""));
    }
}
