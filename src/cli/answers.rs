//! Decides whether this process answers nginx's questions for endpoints, and starts to. Never reads a resource.

use std::path::PathBuf;

use crate::agent::endpoints::{Answers, why_nginx_cannot};
use crate::config::settings::{Mode, Settings};
use crate::endpoints::service::EndpointService;
use crate::model::endpoints::EndpointsChoice;
use crate::render::Facts;
use crate::status::endpoint_events;
use crate::world::dns_listener::DnsListener;
use crate::world::refuge;

/// Returns the answers of a process that shows what a running agent would do.
pub(super) fn elsewhere(settings: &Settings) -> Answers {
    Answers::Elsewhere(settings.agent.endpoints_listen.iter().map(ToString::to_string).collect())
}

/// Starts to answer, if settings and nginx allow it.
pub(super) async fn start(settings: &Settings, facts: &dyn Facts, state_folder: Option<PathBuf>) -> Answers {
    if settings.preview.noop {
        return elsewhere(settings);
    }
    match settings.mode {
        Mode::Onetime => return Answers::default(),
        Mode::Interval(_) => return Answers::No("the store is read at intervals and not watched".to_owned()),
        Mode::Watch { .. } => {}
    }
    let wanted = settings.conf_d.defaults.endpoints;
    match wanted {
        EndpointsChoice::Reload => return Answers::No("`endpoints` is \"reload\"".to_owned()),
        EndpointsChoice::Dns => {}
        EndpointsChoice::Auto => {
            if let Some(reason) = why_nginx_cannot(facts.nginx_version()) {
                return Answers::No(reason);
            }
        }
    }
    match listen(settings, state_folder).await {
        Ok(answers) => answers,
        Err(problem) => {
            endpoint_events::not_answering(&problem, wanted == EndpointsChoice::Dns);
            Answers::No(problem)
        }
    }
}

async fn listen(settings: &Settings, state_folder: Option<PathBuf>) -> Result<Answers, String> {
    let addresses = &settings.agent.endpoints_listen;
    let Some(first) = addresses.first() else {
        return Err("no address to listen at (hint: --endpoints-listen)".to_owned());
    };
    let listener = DnsListener::bind(addresses)
        .map_err(|(address, error)| format!("cannot listen at {address}: {error} (hint: --endpoints-listen)"))?;
    let refuge = refuge::start(first.ip()).await;
    let service = EndpointService::start(listener, refuge, state_folder)
        .map_err(|error| format!("there is no thread to answer with: {error}"))?;
    endpoint_events::answering(service.resolvers());
    Ok(Answers::Running(service))
}
