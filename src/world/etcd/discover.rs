//! Finds the members of a cluster by DNS SRV records. Never connects to one.

use std::net::IpAddr;
use std::time::Duration;

use super::address::{MemberAddress, default_scheme};
use crate::model::dns::Srv;
use crate::model::etcd::EtcdFailure;
use crate::model::store::{EtcdSettings, Scheme};
use crate::world::dns::{DnsSources, Resolver};
use crate::world::random;

/// Most members of a cluster that are tried.
const MAX_MEMBERS: usize = 64;

/// Returns the members that SRV records name, in the order in which to try them; `None` if discovery is not configured. Takes no longer
/// than the time for dialling, or than `limit`.
///
/// # Errors
/// No record has a member; the text names the records that were asked for.
pub(super) async fn discover(
    settings: &EtcdSettings,
    limit: Duration,
    random: impl FnMut() -> f64,
) -> Option<Result<Vec<MemberAddress>, EtcdFailure>> {
    let records = records(settings)?;
    let limit = settings.dial_timeout.min(limit);
    match tokio::time::timeout(limit, look_up(settings, &records, random)).await {
        Ok(result) => Some(result),
        Err(_) => {
            let problem = format!("cannot look up {}: no answer in {limit:?}", names(&records));
            Some(Err(EtcdFailure::unreachable(problem)))
        }
    }
}

/// A record to ask for, and the scheme of the members that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SrvName {
    name: String,
    scheme: Scheme,
}

/// Returns the records in groups: the first group that names a member wins.
fn records(settings: &EtcdSettings) -> Option<Vec<Vec<SrvName>>> {
    let plain = default_scheme(settings);
    let record = |name: String, scheme| SrvName { name: format!("{}.", name.trim_end_matches('.')), scheme };
    if let Some(name) = &settings.srv_record {
        let scheme = if name.starts_with("_etcd-client-ssl.") { Scheme::Https } else { plain };
        return Some(vec![vec![record(name.clone(), settings.scheme.unwrap_or(scheme))]]);
    }
    let domain = settings.srv_domain.as_ref()?;
    Some(vec![
        vec![record(format!("_etcd-client-ssl._tcp.{domain}"), Scheme::Https)],
        vec![record(format!("_etcd-client._tcp.{domain}"), plain)],
        // confd asks for a record with the backend's name.
        vec![record(format!("_etcd._tcp.{domain}"), plain), record(format!("_etcdv3._tcp.{domain}"), plain)],
    ])
}

fn names(records: &[Vec<SrvName>]) -> String {
    records.iter().flatten().map(|record| record.name.as_str()).collect::<Vec<_>>().join(", ")
}

async fn look_up(
    settings: &EtcdSettings,
    records: &[Vec<SrvName>],
    mut random: impl FnMut() -> f64,
) -> Result<Vec<MemberAddress>, EtcdFailure> {
    let resolver = resolver(settings)?;
    let mut problems = Vec::new();
    for group in records {
        let mut members = Vec::new();
        for record in group {
            match candidates(&resolver, record).await {
                Ok(targets) => members.extend(in_order(targets, &mut random)),
                Err(problem) => problems.push(problem),
            }
        }
        if !members.is_empty() {
            return addresses(&resolver, settings, members).await;
        }
    }
    Err(EtcdFailure::unreachable(format!("no etcd member found by DNS: {}", problems.join("; "))))
}

fn resolver(settings: &EtcdSettings) -> Result<Resolver, EtcdFailure> {
    let resolver = match settings.dns_server {
        Some(server) => Resolver::of_server(server),
        None => {
            let DnsSources { resolv_conf, port, .. } = DnsSources::default();
            let text = std::fs::read(&resolv_conf).map_err(|error| error.to_string());
            text.and_then(|text| Resolver::of_resolv_conf(&text, port, settings.dial_timeout))
                .map_err(|problem| format!("`{}`: {problem}", resolv_conf.display()))
        }
    };
    resolver.map_err(|problem| EtcdFailure::unreachable(format!("cannot set up the DNS client: {problem}")))
}

/// A member that an SRV record names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    priority: u16,
    weight: u16,
    member: MemberAddress,
}

async fn candidates(resolver: &Resolver, record: &SrvName) -> Result<Vec<Candidate>, String> {
    let found = resolver.services(&record.name).await.map_err(|problem| format!("{}: {problem}", record.name))?;
    if found.is_empty() {
        return Err(format!("{}: there is no such record", record.name));
    }
    let candidate = |srv: Srv| {
        let host = srv.target.trim_end_matches('.').to_owned();
        // A lone "." means that the service does not exist (RFC 2782).
        (!host.is_empty()).then_some(Candidate {
            priority: srv.priority,
            weight: srv.weight,
            member: MemberAddress { scheme: record.scheme, host, port: srv.port, server_name: None },
        })
    };
    Ok(found.into_iter().filter_map(candidate).collect())
}

/// Orders by priority, lowest first; draws by weight within one priority, as RFC 2782 says. Without weights, each is as likely as
/// any other. Leaves out what is too many.
fn in_order(mut targets: Vec<Candidate>, random: &mut impl FnMut() -> f64) -> Vec<MemberAddress> {
    random::shuffle(&mut targets, &mut *random);
    targets.sort_by_key(|target| (target.priority, target.weight));
    let mut ordered = Vec::new();
    while let Some(priority) = targets.first().map(|target| target.priority).filter(|_| ordered.len() < MAX_MEMBERS) {
        let group = targets.iter().take_while(|target| target.priority == priority);
        let total: f64 = group.clone().map(|target| f64::from(target.weight)).sum();
        let mut drawn = random() * total;
        let mut chosen = 0;
        for (index, target) in group.enumerate() {
            chosen = index;
            drawn -= f64::from(target.weight);
            if drawn < 0.0 {
                break;
            }
        }
        ordered.push(targets.remove(chosen).member);
    }
    ordered
}

/// Resolves the members' names if a DNS server is configured, since the system would not know them.
async fn addresses(
    resolver: &Resolver,
    settings: &EtcdSettings,
    members: Vec<MemberAddress>,
) -> Result<Vec<MemberAddress>, EtcdFailure> {
    if settings.dns_server.is_none() {
        return Ok(members);
    }
    let mut resolved = Vec::new();
    let mut problems = Vec::new();
    for member in members {
        if member.host.parse::<IpAddr>().is_ok() {
            resolved.push(member);
            continue;
        }
        match resolver.addresses(&format!("{}.", member.host)).await {
            Ok(found) if found.is_empty() => problems.push(format!("{}: there is no such name", member.host)),
            Ok(found) => resolved.extend(found.iter().map(|address| MemberAddress {
                host: address.to_string(),
                server_name: Some(member.host.clone()),
                ..member.clone()
            })),
            Err(problem) => problems.push(format!("{}: {problem}", member.host)),
        }
    }
    if resolved.is_empty() {
        return Err(EtcdFailure::unreachable(format!("no etcd member found by DNS: {}", problems.join("; "))));
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(host: &str, priority: u16, weight: u16) -> Candidate {
        let member = MemberAddress { scheme: Scheme::Http, host: host.to_owned(), port: 1, server_name: None };
        Candidate { priority, weight, member }
    }

    fn check_order(targets: &[Candidate], random: f64, expected: &[&str]) {
        let ordered = in_order(targets.to_vec(), &mut || random);
        let hosts: Vec<&str> = ordered.iter().map(|member| member.host.as_str()).collect();
        assert_eq!(hosts, expected, "random {random}");
    }

    #[test]
    fn members_are_drawn_by_priority_and_weight() {
        let targets = [candidate("late", 20, 9), candidate("light", 10, 1), candidate("heavy", 10, 9)];
        check_order(&targets, 0.05, &["light", "heavy", "late"]);
        check_order(&targets, 0.5, &["heavy", "light", "late"]);
        check_order(&[], 0.5, &[]);
        let many: Vec<Candidate> = (0..1000).map(|priority| candidate("a", priority, 1)).collect();
        check_order(&many, 0.5, &["a"; MAX_MEMBERS]);
    }

    #[test]
    fn members_without_a_weight_are_drawn_too() {
        let targets = [candidate("a", 1, 0), candidate("late", 2, 0), candidate("b", 1, 0)];
        check_order(&targets, 0.0, &["b", "a", "late"]);
        check_order(&targets, 0.99, &["a", "b", "late"]);
    }

    #[test]
    fn records_follow_from_the_domain_or_are_named() {
        let domain = EtcdSettings { srv_domain: Some("example.org".to_owned()), ..EtcdSettings::default() };
        let asked = names(&records(&domain).unwrap());
        assert_eq!(
            asked,
            "_etcd-client-ssl._tcp.example.org., _etcd-client._tcp.example.org., _etcd._tcp.example.org., \
             _etcdv3._tcp.example.org."
        );
        let named = EtcdSettings { srv_record: Some("_kv._tcp.example.org".to_owned()), ..domain };
        let expected = SrvName { name: "_kv._tcp.example.org.".to_owned(), scheme: Scheme::Http };
        assert_eq!(records(&named).unwrap(), [[expected]]);
        assert_eq!(records(&EtcdSettings::default()), None);
    }
}
