//! Asks name servers, for async callers. A record that does not exist is an empty answer; a lookup that failed is an error.
//! Error texts never repeat the name: it may come from a key's value.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;

use crate::model::dns::Srv;
use crate::world::tasks;

/// The name servers and the search list. Clones share the connections.
#[derive(Clone)]
pub(in crate::world) struct Resolver {
    servers: TokioResolver,
    domains: Vec<Name>,
    ndots: usize,
}

impl Resolver {
    /// Returns a resolver for the name servers of a resolv.conf, on this port. A lookup has time for a second try within
    /// `deadline`.
    ///
    /// # Errors
    /// The text names no server.
    pub(in crate::world) fn of_resolv_conf(text: &[u8], port: u16, deadline: Duration) -> Result<Resolver, String> {
        let (config, mut options) = parse_resolv_conf(text).map_err(|_| "names no name server".to_owned())?;
        let (domain, search, mut name_servers) = config.into_parts();
        for connection in name_servers.iter_mut().flat_map(|server| &mut server.connections) {
            connection.port = port;
        }
        options.timeout = options.timeout.min(deadline / 2);
        let domains = if search.is_empty() { domain.into_iter().collect() } else { search };
        Resolver::new(name_servers, options, domains)
    }

    /// Returns a resolver that asks only this server, for fully qualified names.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub(in crate::world) fn of_server(server: SocketAddr) -> Result<Resolver, String> {
        let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut connections {
            connection.port = server.port();
        }
        Resolver::new(vec![NameServerConfig::new(server.ip(), true, connections)], ResolverOpts::default(), Vec::new())
    }

    fn new(servers: Vec<NameServerConfig>, mut options: ResolverOpts, domains: Vec<Name>) -> Result<Resolver, String> {
        let ndots = options.ndots;
        // The library would read the hosts file only once.
        options.use_hosts_file = ResolveHosts::Never;
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let servers = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| format!("cannot be used: {}", problem(&error)))?;
        Ok(Resolver { servers, domains, ndots })
    }

    /// Returns the IPv4 and IPv6 addresses of a host; an empty list if there is no such name.
    ///
    /// # Errors
    /// The lookup failed; the text is a phrase for people.
    pub(in crate::world) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let records = self.lookup(host, &[RecordType::A, RecordType::AAAA]).await?;
        Ok(records.iter().filter_map(RData::ip_addr).collect())
    }

    /// Returns the SRV records of a name; an empty list if there is no such name.
    ///
    /// # Errors
    /// The lookup failed; the text is a phrase for people.
    pub(in crate::world) async fn services(&self, name: &str) -> Result<Vec<Srv>, String> {
        let services = self.lookup(name, &[RecordType::SRV]).await?.into_iter().filter_map(|record| match record {
            RData::SRV(srv) => {
                Some(Srv { target: srv.target.to_ascii(), port: srv.port, priority: srv.priority, weight: srv.weight })
            }
            _ => None,
        });
        Ok(services.collect())
    }

    /// Returns the records of the first candidate that has any. An empty answer requires that every candidate was denied: if
    /// one name server is down, a name in its zone may still exist.
    async fn lookup(&self, name: &str, kinds: &[RecordType]) -> Result<Vec<RData>, String> {
        let name = Name::from_utf8(name).map_err(|_| "it is not a host name".to_owned())?;
        let mut unanswered = None;
        for candidate in self.candidates(&name) {
            let mut found = Vec::new();
            let lookups =
                kinds.iter().map(|kind| tasks::spawn(records(self.servers.clone(), candidate.clone(), *kind)));
            for lookup in lookups.collect::<Vec<_>>() {
                match lookup.await {
                    Ok(Ok(records)) => found.extend(records),
                    Ok(Err(problem)) => unanswered = Some(problem),
                    Err(_) => unanswered = Some("the resolver failed".to_owned()),
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        unanswered.map_or(Ok(Vec::new()), Err)
    }

    fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut itself = name.clone();
        itself.set_fqdn(true);
        if name.is_fqdn() {
            return vec![itself];
        }
        let mut candidates: Vec<Name> =
            self.domains.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let at = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(at, itself);
        candidates
    }
}

/// Returns the records of one name and kind; an empty list if the name servers say that there are no such records.
async fn records(servers: TokioResolver, name: Name, kind: RecordType) -> Result<Vec<RData>, String> {
    match servers.lookup(name, kind).await {
        Ok(lookup) => {
            let of_kind = lookup.answers().iter().filter(|record| record.record_type() == kind);
            Ok(of_kind.map(|record| record.data.clone()).collect())
        }
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(problem(&error)),
    }
}

fn problem(error: &NetError) -> String {
    match error {
        NetError::Timeout => "the name server did not answer".to_owned(),
        NetError::NoConnections => "no name server could be reached".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server answered \"{code}\""),
        NetError::Io(error) => format!("cannot query the name server: {}", error.kind()),
        _ => "the lookup failed".to_owned(),
    }
}
