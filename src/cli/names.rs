//! Starts to answer about names of the store, if settings say so. Never answers a question.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::settings::{Mode, NameSettings, Settings};
use crate::endpoints::message;
use crate::endpoints::name_service::NameService;
use crate::endpoints::skydns::{NamePlaces, OwnDomain};
use crate::model::backoff::Backoff;
use crate::model::dns::NameServers;
use crate::model::store::StoreSettings;
use crate::source::leases;
use crate::status::endpoint_events;
use crate::world::dns_forward::{ForwardServers, Forwarder};
use crate::world::dns_listener::{DnsListener, LONGEST_LISTEN_PAUSE};
use crate::world::random;
use crate::world::tasks;

/// The system's file of name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Starts to answer, if there is a domain to answer for and the store is watched; says so if it is not. An address at which it cannot listen is logged, tried
/// again, and keeps nothing else from its work. Must be called on a tokio runtime with time and IO.
pub(super) fn start(settings: &Settings) -> Option<Arc<NameService>> {
    let names = &settings.names;
    let places = places(settings);
    // A single run may have the settings file of the agent that answers.
    if !places.is_any() || settings.preview.noop || settings.mode == Mode::Onetime {
        return None;
    }
    if !matches!(settings.mode, Mode::Watch { .. }) {
        endpoint_events::names_not_answered("the store is not watched (hint: --watch)");
        return None;
    }
    let (questions, leases) = mpsc::channel(leases::MAX_WAITING);
    let service = NameService::new(places, forwarder(names), questions);
    if let StoreSettings::Etcd(settings) = &settings.store {
        let learner = Arc::clone(&service);
        leases::start(settings.clone(), leases, move |lease, sent, left| learner.learn(lease, sent, left));
    }
    if let Err(problem) = listen(&service, names) {
        endpoint_events::names_not_answered(&problem);
        tasks::spawn(listen_later(Arc::clone(&service), names.clone(), problem));
    }
    Some(service)
}

/// Tries again and again to listen, until that succeeds: the address may become free. A problem is logged if it is not the `logged` one.
async fn listen_later(service: Arc<NameService>, names: NameSettings, mut logged: String) {
    let mut backoff = Backoff::up_to(LONGEST_LISTEN_PAUSE);
    loop {
        tokio::time::sleep(backoff.next_delay(random::fraction())).await;
        let Err(problem) = listen(&service, &names) else { return };
        if problem != logged {
            endpoint_events::names_not_answered(&problem);
            logged = problem;
        }
    }
}

fn places(settings: &Settings) -> NamePlaces {
    let domain = |text: &Option<String>| text.as_deref().and_then(OwnDomain::parse);
    NamePlaces {
        prefix: settings.conf_d.defaults.prefix.clone(),
        domain: domain(&settings.names.domain),
        services: domain(&settings.names.services_domain),
    }
}

fn forwarder(names: &NameSettings) -> Option<Forwarder> {
    let servers = match &names.forward {
        NameServers::OfSystem => ForwardServers::OfFile(RESOLV_CONF.into()),
        NameServers::These(servers) if servers.is_empty() => return None,
        NameServers::These(servers) => ForwardServers::These(servers.clone()),
    };
    Some(Forwarder::new(servers, names.listen.clone(), message::is_reply))
}

fn listen(service: &Arc<NameService>, names: &NameSettings) -> Result<(), String> {
    let listener = DnsListener::bind_only(&names.listen)
        .map_err(|(address, error)| format!("cannot listen at {address}: {error} (hint: --dns-listen)"))?;
    service.listen(listener).map_err(|error| format!("there is no thread to answer with: {error}"))?;
    endpoint_events::answering_names(&names.listen, names.domain.as_deref(), names.services_domain.as_deref());
    Ok(())
}
