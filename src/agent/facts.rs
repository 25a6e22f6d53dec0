//! The facts that templates can query, from the real world: `render::Facts` through `world`. Never decides what a fact
//! means.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Zoned;

use crate::model::dns::Srv;
use crate::nginx::installation::Version;
use crate::render::Facts;
use crate::world::dns::{DEADLINE, Dns, DnsSources};
use crate::world::host;
use crate::world::program_answer::ProgramAnswer;
use crate::world::{clock, process};

/// Time limit for `nginx -v`.
const VERSION_TIMEOUT: Duration = Duration::from_secs(2);

/// The facts of this host at the time of the query.
pub struct WorldFacts {
    dns: Dns,
    nginx: PathBuf,
    render_timeout: Option<Duration>,
    asked: Mutex<BTreeMap<PathBuf, ProgramAnswer<Option<Version>>>>,
}

impl WorldFacts {
    /// Returns facts with the system's resolver and the default deadline; `nginx` is the program whose version is queried, a
    /// path or a name on the `PATH`. `render_timeout` limits each render; `None` does not.
    pub fn new(nginx: PathBuf, render_timeout: Option<Duration>) -> WorldFacts {
        WorldFacts { nginx, render_timeout, ..WorldFacts::with_dns(Dns::new(DnsSources::default(), DEADLINE)) }
    }

    /// Returns facts with this resolver.
    pub fn with_dns(dns: Dns) -> WorldFacts {
        WorldFacts { dns, nginx: "nginx".into(), render_timeout: None, asked: Mutex::default() }
    }
}

impl Facts for WorldFacts {
    fn instant(&self) -> Instant {
        clock::now()
    }

    fn render_timeout(&self) -> Option<Duration> {
        self.render_timeout
    }

    fn env(&self, name: &str) -> Option<String> {
        host::env(name)
    }

    fn now(&self) -> Zoned {
        clock::in_time_zone()
    }

    fn file_exists(&self, path: &str) -> bool {
        host::exists(Path::new(path))
    }

    fn hostname(&self) -> Result<String, String> {
        host::hostname()
    }

    fn lookup_ip(&self, name: &str, within: Option<Duration>) -> Result<Vec<IpAddr>, String> {
        self.dns.addresses(name, within)
    }

    fn lookup_srv(&self, service: &str, proto: &str, name: &str, within: Option<Duration>) -> Result<Vec<Srv>, String> {
        let full = if service.is_empty() && proto.is_empty() {
            name.to_owned()
        } else {
            format!("_{service}._{proto}.{name}")
        };
        self.dns.services(&full, within)
    }

    fn interface_addresses(&self, name: &str) -> Vec<IpAddr> {
        host::interface_addresses(name)
    }

    fn nginx_version(&self, program: Option<&Path>) -> Option<Version> {
        let program = host::find_program(program.unwrap_or(&self.nginx))?;
        let stamp = host::file_stamp(&program);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = asked.get(&program).and_then(|known| known.get(stamp.as_ref(), clock::now())) {
            return known;
        }
        let started = clock::now();
        let finished = process::run_blocking(program.as_os_str(), &["-v"], VERSION_TIMEOUT);
        let version = Version::from_output(&finished.output);
        let answer = ProgramAnswer::new(stamp, version, finished.succeeded(), (started, clock::now()));
        asked.extend(answer.map(|answer| (program, answer)));
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_version_is_asked_for_until_nginx_says_it() {
        let dir = tempfile::tempdir().unwrap();
        let (nginx, ready) = (dir.path().join("nginx"), dir.path().join("ready"));
        let script = format!("#!/bin/sh\ntest -e {} && echo 'nginx version: nginx/1.27.3'\n", ready.display());
        std::fs::write(&nginx, script).unwrap();
        std::fs::set_permissions(&nginx, std::fs::Permissions::from_mode(0o755)).unwrap();
        let facts = WorldFacts::new(nginx, None);
        assert_eq!(facts.nginx_version(None), None);
        std::fs::write(&ready, "").unwrap();
        assert_eq!(facts.nginx_version(None), Some(Version([1, 27, 3])));
        std::fs::remove_file(&ready).unwrap();
        assert_eq!(facts.nginx_version(None), Some(Version([1, 27, 3])), "it is not asked again");
    }
}
