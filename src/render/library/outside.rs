//! Functions that ask outside of the store: environment, host, DNS, interfaces. Only asks the session's `Facts`.

use core::net::IpAddr;

use crate::model::dns::Srv;
use crate::model::problem::Problem;
use crate::render::facts::Facts;
use crate::render::session::RenderSession;

/// Returns an environment variable that is set and not empty.
pub(in crate::render) fn getenv(session: &RenderSession, name: &str) -> Option<String> {
    session.env(name).filter(|value| !value.is_empty())
}

pub(in crate::render) fn hostname(session: &RenderSession) -> Result<String, Problem> {
    session.world().hostname().map_err(Problem::new)
}

/// Returns the addresses of a host name that are wanted, sorted as text as confd has them; the order of a resolver would
/// change with every answer. An address is its own.
pub(in crate::render) fn addresses(
    session: &RenderSession,
    host: &str,
    wanted: fn(&IpAddr) -> bool,
) -> Result<Vec<String>, Problem> {
    let found = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => {
            session.view.leave();
            let unanswered = |problem: String| unanswered(session, host, &problem);
            session.budget.wait(|facts, within| facts.lookup_ip(host, within).map_err(unanswered))?
        }
    };
    let mut texts: Vec<String> = found.into_iter().filter(wanted).map(|address| address.to_string()).collect();
    texts.sort_unstable();
    texts.dedup();
    Ok(texts)
}

/// Returns the SRV records of a name, sorted.
pub(in crate::render) fn srv_records(
    session: &RenderSession,
    service: &str,
    proto: &str,
    name: &str,
) -> Result<Vec<Srv>, Problem> {
    session.view.leave();
    let unanswered = |problem: String| unanswered(session, name, &problem);
    let look_up = |facts: &dyn Facts, within| facts.lookup_srv(service, proto, name, within).map_err(unanswered);
    let mut records = session.budget.wait(look_up)?;
    records.sort_unstable();
    Ok(records)
}

fn unanswered(session: &RenderSession, name: &str, problem: &str) -> Problem {
    Problem::new(session.about(name, format_args!("cannot be looked up: {problem}")))
}

/// Returns the first address of a network interface that is wanted; an empty text if there is no such address.
pub(in crate::render) fn interface_address(session: &RenderSession, name: &str, wanted: fn(&IpAddr) -> bool) -> String {
    let addresses = session.world().interface_addresses(name);
    addresses.iter().find(|address| wanted(address)).map(IpAddr::to_string).unwrap_or_default()
}
