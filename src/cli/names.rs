//! Starts to answer about names of the store, if settings say so. Never answers a question.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::settings::{Mode, NameSettings, Settings};
use crate::endpoints::message;
use crate::endpoints::name_service::NameService;
use crate::endpoints::skydns::{NamePlaces, OwnDomain};
use crate::model::dns::NameServers;
use crate::model::lease::LeaseId;
use crate::model::store::StoreSettings;
use crate::source::leases;
use crate::status::endpoint_events;
use crate::world::dns_forward::{ForwardServers, Forwarder};
use crate::world::dns_listener::DnsListener;

/// Where the system says which name servers there are.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Starts to answer, if there is a domain to answer for and the store is watched. A listener that cannot be had is logged, and keeps
/// nothing else from its work.
pub(super) fn start(settings: &Settings) -> Option<Arc<NameService>> {
    let names = &settings.names;
    let places = places(settings);
    if !places.is_any() || settings.preview.noop {
        return None;
    }
    if !matches!(settings.mode, Mode::Watch { .. }) {
        endpoint_events::names_not_answered("the store is not watched (hint: --watch)");
        return None;
    }
    let (questions, leases) = mpsc::channel(leases::MOST_WAITING);
    match listen(names, places, questions) {
        Ok(service) => {
            if let StoreSettings::Etcd(settings) = &settings.store {
                let learner = Arc::clone(&service);
                leases::start(settings.clone(), leases, move |lease, sent, left| learner.learn(lease, sent, left));
            }
            endpoint_events::answering_names(&names.listen, names.domain.as_deref(), names.services_domain.as_deref());
            Some(service)
        }
        Err(problem) => {
            endpoint_events::names_not_answered(&problem);
            None
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

fn listen(
    names: &NameSettings,
    places: NamePlaces,
    lease_questions: mpsc::Sender<LeaseId>,
) -> Result<Arc<NameService>, String> {
    let listener = DnsListener::bind_only(&names.listen)
        .map_err(|(address, error)| format!("cannot listen at {address}: {error} (hint: --dns-listen)"))?;
    let servers = match &names.forward {
        NameServers::OfSystem => Some(ForwardServers::OfFile(RESOLV_CONF.into())),
        NameServers::These(servers) if servers.is_empty() => None,
        NameServers::These(servers) => Some(ForwardServers::These(servers.clone())),
    };
    let own = listener.addresses().to_vec();
    let forwarder = servers.map(|servers| Forwarder::new(servers, own, message::is_reply));
    NameService::start(listener, places, forwarder, lease_questions)
        .map_err(|error| format!("there is no thread to answer with: {error}"))
}
