//! The settings of names of the store that are answered by DNS. Never answers one.

use core::net::{IpAddr, SocketAddr};

use crate::model::dns::{self, NameServers};
use crate::model::endpoints;
use crate::model::problem::Problem;
use crate::model::text::shown;

use super::table::{DNS_DOMAIN, DNS_FORWARD, DNS_LISTEN, DNS_SERVICES_DOMAIN};
use super::values::Values;

/// Port of name servers.
const PORT: u16 = 53;

/// Names of the store that are answered by DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameSettings {
    /// Domain of the names below `/skydns`, in lower case; `None` is off.
    pub domain: Option<String>,
    /// Domain of the services below `/services`, in lower case; `None` is off.
    pub services_domain: Option<String>,
    /// Addresses to answer at; there is one if there is a domain.
    pub listen: Vec<SocketAddr>,
    /// Name servers for all other names.
    pub forward: NameServers,
}

pub(super) fn read(values: &mut Values<'_>) -> NameSettings {
    let mut names = NameSettings {
        domain: values.parsed(&DNS_DOMAIN, domain),
        services_domain: values.parsed(&DNS_SERVICES_DOMAIN, domain),
        listen: values.each_parsed(&DNS_LISTEN, listen_address),
        forward: NameServers::OfSystem,
    };
    if values.is_given(&DNS_FORWARD) {
        names.forward =
            NameServers::These(values.each_parsed(&DNS_FORWARD, name_server).into_iter().flatten().collect());
    }
    if names.domain.is_some() && names.domain == names.services_domain {
        let problem = Problem::new("dns-services-domain: it is the same as dns-domain");
        values.refuse(
            &DNS_SERVICES_DOMAIN,
            problem.hint("give it a domain of its own, or one below: services.webapp.dev"),
        );
    }
    for (setting, domain) in [(&DNS_DOMAIN, &names.domain), (&DNS_SERVICES_DOMAIN, &names.services_domain)] {
        if domain.is_some() && names.listen.is_empty() && !values.is_given(&DNS_LISTEN) {
            let problem = Problem::new(format!("{} needs an address to answer at", setting.name));
            values.refuse(setting, problem.hint("say --dns-listen 10.0.0.5:53, with an address of this machine"));
        }
    }
    names
}

fn domain(text: &str) -> Result<String, Problem> {
    let domain = dns::plain_name(text).ok_or_else(|| {
        Problem::new(format!("{} is not a domain", shown(text)))
            .hint("write labels with dots between, as in webapp.dev")
    })?;
    let is_nginx = domain == endpoints::DOMAIN || domain.ends_with(&format!(".{}", endpoints::DOMAIN));
    match is_nginx {
        true => {
            Err(Problem::new(format!("`{}` is kept for what nginx asks", endpoints::DOMAIN))
                .hint("use a different domain"))
        }
        false => Ok(domain),
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, Problem> {
    text.parse().ok().filter(|address: &SocketAddr| !address.ip().is_unspecified()).ok_or_else(|| {
        Problem::new(format!("{} is not an address to answer at", shown(text)))
            .hint("write one address of this machine with a port, as in 10.0.0.5:53 or [::1]:53")
    })
}

/// Reads a name server; empty is none.
fn name_server(text: &str) -> Result<Option<SocketAddr>, Problem> {
    let address = text.parse::<SocketAddr>().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT)));
    match address {
        _ if text.is_empty() => Ok(None),
        Ok(address) if !address.ip().is_unspecified() => Ok(Some(address)),
        _ => Err(Problem::new(format!("{} is not the address of a name server", shown(text)))
            .hint("write 10.0.0.1, 10.0.0.1:5353 or [2001:db8::1]:53")),
    }
}
