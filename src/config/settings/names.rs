//! The settings of names of the store that are answered by DNS. Never answers one.

use core::net::{IpAddr, SocketAddr};

use crate::model::dns::{self, NameServers};
use crate::model::endpoints;
use crate::model::problem::Problem;
use crate::model::text::shown;

use super::single_address;
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
    single_address(text).ok_or_else(|| {
        Problem::new(format!("{} is not an address to answer at", shown(text)))
            .hint("write one address of this machine with a port, as in 10.0.0.5:53 or [::1]:53")
    })
}

/// Reads a name server; empty is none.
fn name_server(text: &str) -> Result<Option<SocketAddr>, Problem> {
    let with_port =
        || text.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified()).map(|ip| SocketAddr::new(ip, PORT));
    match single_address(text).or_else(with_port) {
        _ if text.is_empty() => Ok(None),
        Some(address) => Ok(Some(address)),
        None => Err(Problem::new(format!("{} is not the address of a name server", shown(text)))
            .hint("write 10.0.0.1, 10.0.0.1:5353 or [2001:db8::1]:53")),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::layers::{Flags, Layers};
    use super::*;

    fn read_flags(flags: &[(&'static str, &[&str])]) -> (NameSettings, Vec<String>) {
        let owned = |(name, values): &(&'static str, &[&str])| {
            (*name, values.iter().map(|value| (*value).to_owned()).collect())
        };
        let flags: Flags = flags.iter().map(owned).collect();
        let layers = Layers::new(&flags, &|_| None);
        let mut values = Values { layers: &layers, problems: Vec::new() };
        let names = read(&mut values);
        (names, values.problems.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn check_problem(flags: &[(&'static str, &[&str])], expected: Expect) {
        expected.assert_eq(&read_flags(flags).1.join("\n"));
    }

    #[test]
    fn domains_are_lower_case_and_other_names_go_to_the_systems_servers() {
        assert_eq!(read_flags(&[]), (NameSettings::default(), Vec::new()));
        let (names, problems) = read_flags(&[
            ("dns-domain", &["WebApp.dev."]),
            ("dns-services-domain", &["services.webapp.dev"]),
            ("dns-listen", &["10.0.0.5:53", "[::1]:5353"]),
        ]);
        assert_eq!(
            (names.domain.as_deref(), names.services_domain.as_deref()),
            (Some("webapp.dev"), Some("services.webapp.dev"))
        );
        assert_eq!((names.listen.len(), names.forward, problems), (2, NameServers::OfSystem, Vec::new()));
    }

    #[test]
    fn name_servers_have_port_53_unless_they_say_another() {
        let forward = |servers| read_flags(&[("dns-forward", servers)]).0.forward;
        let these = |texts: &[&str]| NameServers::These(texts.iter().map(|text| text.parse().unwrap()).collect());
        assert_eq!(forward(&[""]), these(&[]));
        assert_eq!(
            forward(&["10.0.0.1", "2001:db8::1", "10.0.0.2:5353"]),
            these(&["10.0.0.1:53", "[2001:db8::1]:53", "10.0.0.2:5353"])
        );
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_a_hint() {
        check_problem(
            &[("dns-domain", &["webapp.dev"])],
            expect![[r#"
            dns-domain needs an address to answer at (from flag --dns-domain)
              hint: say --dns-listen 10.0.0.5:53, with an address of this machine"#]],
        );
        check_problem(
            &[("dns-domain", &["webapp.dev"]), ("dns-listen", &[""])],
            expect![[r#"
            dns-domain needs an address to answer at (from flag --dns-domain)
              hint: say --dns-listen 10.0.0.5:53, with an address of this machine"#]],
        );
        let listen: (&'static str, &[&str]) = ("dns-listen", &["10.0.0.5:53"]);
        check_problem(
            &[listen, ("dns-domain", &["a..b"])],
            expect![[r#"
            dns-domain: `a..b` is not a domain (from flag --dns-domain)
              hint: write labels with dots between, as in webapp.dev"#]],
        );
        check_problem(
            &[listen, ("dns-domain", &["x.upstreamd.internal"])],
            expect![[r#"
            dns-domain: `upstreamd.internal` is kept for what nginx asks (from flag --dns-domain)
              hint: use a different domain"#]],
        );
        check_problem(
            &[listen, ("dns-domain", &["a.b"]), ("dns-services-domain", &["A.b"])],
            expect![[r#"
            dns-services-domain: it is the same as dns-domain (from flag --dns-services-domain)
              hint: give it a domain of its own, or one below: services.webapp.dev"#]],
        );
        check_problem(
            &[("dns-listen", &["0.0.0.0:53", "10.0.0.5:0", "53"])],
            expect![[r#"
            dns-listen: `0.0.0.0:53` is not an address to answer at (from flag --dns-listen)
              hint: write one address of this machine with a port, as in 10.0.0.5:53 or [::1]:53
            dns-listen: `10.0.0.5:0` is not an address to answer at (from flag --dns-listen)
              hint: write one address of this machine with a port, as in 10.0.0.5:53 or [::1]:53
            dns-listen: `53` is not an address to answer at (from flag --dns-listen)
              hint: write one address of this machine with a port, as in 10.0.0.5:53 or [::1]:53"#]],
        );
        check_problem(
            &[("dns-forward", &["dns.example.org", "10.0.0.1:0", "::"])],
            expect![[r#"
            dns-forward: `dns.example.org` is not the address of a name server (from flag --dns-forward)
              hint: write 10.0.0.1, 10.0.0.1:5353 or [2001:db8::1]:53
            dns-forward: `10.0.0.1:0` is not the address of a name server (from flag --dns-forward)
              hint: write 10.0.0.1, 10.0.0.1:5353 or [2001:db8::1]:53
            dns-forward: `::` is not the address of a name server (from flag --dns-forward)
              hint: write 10.0.0.1, 10.0.0.1:5353 or [2001:db8::1]:53"#]],
        );
    }
}
