//! The tour, step by step: start everything, show the files, show traffic, a bad value, remove and add backends, wait for Ctrl-C.
//! Each step waits for a state, not for a time; what does not come true within its deadline ends the demo.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::agent::{self, Fronts};
use super::backends::{self, Backend, Launcher};
use super::folder::Folder;
use super::process::{Process, Roster};
use super::screen::{self, say, step};
use super::store::Store;
use super::support::https::Client;
use super::support::nginx::Nginx;
use super::support::tls::Authority;
use super::support::{eventually, free_port};
use super::traffic::{Traffic, until_all_answered};
use super::{Arguments, Failure};

const DEADLINE: Duration = Duration::from_secs(30);
/// With three backends picked at random, the chance that one is not met in so many requests is below one in a billion.
const MANY_REQUESTS: usize = 60;
/// upstreamd reloads at most once in this time, unless a resource says otherwise.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the tour and, unless it is to end after that, waits for ever.
///
/// # Errors
/// A step did not come true.
pub async fn run(arguments: &Arguments, roster: &Roster) -> Result<(), Failure> {
    let folder = Folder::create()?;
    let logs = folder.sub("log")?;
    println!("upstreamd demo; everything is below {}", folder.path.display());

    step("A store and six backends");
    let mut store = Store::open(arguments.store, &folder.path, &logs, roster).await?;
    let authority = Authority::new(&folder.sub("tls")?);
    let nano_files = authority.sign(backends::NANO_CONTAINER, &[backends::NANO_CONTAINER]);
    let launcher = Launcher { logs: &logs, roster, nano_files };
    let mut members = Vec::new();
    for number in 1..=3 {
        members.push(launcher.nano_container(number).await?);
        members.push(launcher.reflector(number).await?);
    }
    register(&mut store, members.iter()).await?;

    step("nginx, which knows no backend yet, and upstreamd in watch mode");
    let mut nginx = Nginx::newest().folder(&folder.sub("nginx")?).build();
    nginx.start();
    roster.add(nginx.master_pid().unsigned_abs(), "nginx", &nginx.error_log_file());
    let fronts = Fronts { web: loopback(free_port()), echo: loopback(free_port()) };
    let front_files = authority.sign("front", &["localhost", "127.0.0.1"]);
    let confdir = agent::write_confdir(&folder, &nginx, fronts, &authority, &front_files)?;
    let (upstreamd, command_line) = agent::start(&folder, &confdir, &store.agent_arguments(), &logs, roster)?;
    say(&command_line);

    let client = Client::trusting(authority.certificate(), "localhost");
    let traffic = Traffic { fronts, client: &client, nginx: &nginx };
    eventually("upstreamd to say which way changes go", DEADLINE, async || {
        let said = upstreamd.said();
        if said.contains("changes of backends reach nginx") { Ok(()) } else { Err(said) }
    })
    .await?;
    let asks = upstreamd.said().contains("changes of backends reach nginx by DNS");
    let scene = Scene { nginx: &nginx, traffic, upstreamd: &upstreamd, asks };
    let steps = async {
        scene.show_first_files(&members).await?;
        scene.show_traffic(&members).await?;
        scene.refuse(&mut store, &members).await?;
        scene.settle().await?;
        let removed = scene.remove(&mut store, &mut members).await?;
        drop(removed);
        tokio::time::sleep(RELOAD_INTERVAL).await;
        scene.add(&mut store, &launcher, &mut members).await?;
        if !arguments.once {
            roster.keep(&["etcd", "nginx", "upstreamd"]);
            say_what_to_try(&folder, &store, &authority, fronts, &members);
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    tokio::select! {
        outcome = steps => outcome,
        broken = screen::follow(&upstreamd.log, "upstreamd |") => Err(format!("cannot follow the log: {broken:?}").into()),
    }
}

/// The objects that the steps work on.
struct Scene<'a> {
    nginx: &'a Nginx,
    /// Whether nginx asks for its endpoints, so that changes need no reload.
    asks: bool,
    traffic: Traffic<'a>,
    upstreamd: &'a Process,
}

impl Scene<'_> {
    async fn show_first_files(&self, members: &[Backend]) -> Result<(), Failure> {
        step("The upstream blocks that upstreamd rendered, checked and installed");
        self.files_hold(members).await?;
        for file in [self.nginx.http_file("web.conf"), self.nginx.stream_file("echo.conf")] {
            say(&format!("{}:", file.display()));
            say(&upstream_block(&file));
        }
        Ok(())
    }

    async fn show_traffic(&self, members: &[Backend]) -> Result<(), Failure> {
        step("HTTPS with HTTP/2 through nginx: each nano-container answers");
        eventually("the first answer through nginx", DEADLINE, async || self.traffic.ask_web().await).await?;
        let (nanos, reflectors) = (web_names(members), echo_addresses(members));
        let expected: Vec<&str> = nanos.iter().map(String::as_str).collect();
        let answered = until_all_answered(&expected, MANY_REQUESTS, async || self.traffic.ask_web().await).await?;
        say(&format!("answered by: {}", answered.join(", ")));

        step("TCP through nginx: each reflector sends 400 kB back and respects the half-close");
        let expected: Vec<&str> = reflectors.iter().map(String::as_str).collect();
        let answered = until_all_answered(&expected, MANY_REQUESTS, async || self.traffic.ask_echo().await).await?;
        say(&format!("echoed by: {}", named(members, &answered)));
        Ok(())
    }

    async fn refuse(&self, store: &mut Store, members: &[Backend]) -> Result<(), Failure> {
        const KEY: &str = "/services/web/nano-x";
        const VALUE: &str = "127.0.0.1:1; } server { listen 9999; #";
        step("Somebody registers a value that would end nginx's block: it is skipped by name, and nothing changes");
        say(&format!("{KEY} = {VALUE}"));
        store.put(&[(KEY, VALUE)]).await?;
        eventually("upstreamd to say that it skips the key", DEADLINE, async || {
            let said = self.upstreamd.said();
            if said.contains(&format!("skipped {KEY}")) { Ok(()) } else { Err(said) }
        })
        .await?;
        self.files_hold(members).await?;
        self.only_these_answer(members).await?;
        store.delete(&[KEY]).await
    }

    async fn remove(&self, store: &mut Store, members: &mut Vec<Backend>) -> Result<Vec<Backend>, Failure> {
        step("Two backends are removed: nano-2 and reflector-2, in one transaction");
        let old_workers = self.nginx.worker_pids();
        let (removed, kept) = std::mem::take(members).into_iter().partition(|backend| backend.name.ends_with("-2"));
        *members = kept;
        let removed: Vec<Backend> = removed;
        let start = Instant::now();
        let keys: Vec<&str> = removed.iter().map(|backend| backend.key.as_str()).collect();
        let taken = self.times_taken();
        store.delete(&keys).await?;
        if self.asks {
            self.takes_once_more(taken).await?;
            self.only_these_answer(members).await?;
            self.files_hold(members).await?;
            return self.same_workers(&old_workers).map(|()| removed);
        }
        self.files_hold(members).await?;
        let in_files = start.elapsed();
        self.only_new_workers(&old_workers).await?;
        say(&format!("gone from the files after {in_files:.1?}, from traffic after {:.1?}", start.elapsed()));
        self.only_these_answer(members).await?;
        Ok(removed)
    }

    async fn add(&self, store: &mut Store, launcher: &Launcher<'_>, members: &mut Vec<Backend>) -> Result<(), Failure> {
        step("Two backends are added: nano-4 and reflector-4, in one transaction");
        let (nano, reflector) = (launcher.nano_container(4).await?, launcher.reflector(4).await?);
        let (nano_name, reflector_address) = (nano.name.clone(), reflector.address.to_string());
        let workers = self.nginx.worker_pids();
        let start = Instant::now();
        register(store, [&nano, &reflector].into_iter()).await?;
        members.extend([nano, reflector]);
        if !self.asks {
            self.files_hold(members).await?;
        }
        let in_files = start.elapsed();
        eventually("an answer from nano-4", DEADLINE, async || met(&nano_name, self.traffic.ask_web().await)).await?;
        let in_traffic = start.elapsed();
        let echo = async || met(&reflector_address, self.traffic.ask_echo().await);
        eventually("an echo from reflector-4", DEADLINE, echo).await?;
        if self.asks {
            say(&format!("first answer through nginx after {in_traffic:.1?}"));
            self.same_workers(&workers)?;
        } else {
            say(&format!("in the files after {in_files:.1?}, first answer through nginx after {in_traffic:.1?}"));
            self.only_new_workers(&workers).await?;
        }
        self.only_these_answer(members).await
    }

    /// Waits until nginx has forgotten what it read from disk at its start: from then on, no change is a reload.
    async fn settle(&self) -> Result<(), Failure> {
        if !self.asks {
            return Ok(());
        }
        step(
            "This nginx asks for its endpoints by DNS: it is reloaded once more, and never again for a change of backends",
        );
        eventually("the last reload", DEADLINE, async || {
            let said = self.upstreamd.said();
            if said.matches("verified the reload of nginx").count() >= 2 { Ok(()) } else { Err(said) }
        })
        .await
    }

    /// Waits until nginx has taken changed endpoints of both resources: it asks for the next ones a second after an answer.
    async fn takes_once_more(&self, before: [usize; 2]) -> Result<(), Failure> {
        eventually("nginx to take the endpoints", DEADLINE, async || {
            let is_taken = self.times_taken().iter().zip(before).all(|(now, before)| *now > before);
            is_taken.then_some(()).ok_or_else(|| self.upstreamd.said())
        })
        .await
    }

    /// Returns how often upstreamd has said, for each resource, that nginx took changed endpoints.
    fn times_taken(&self) -> [usize; 2] {
        let said = self.upstreamd.said();
        ["web.toml", "echo.toml"]
            .map(|resource| said.matches(&format!("nginx took the endpoints of {resource}:")).count())
    }

    /// Waits until none of the workers from before serves any more.
    async fn only_new_workers(&self, before: &[i32]) -> Result<(), Failure> {
        eventually("nginx to run new workers only", DEADLINE, async || {
            let workers = self.nginx.worker_pids();
            let draining = self.nginx.draining_worker_pids();
            let converged = !workers.is_empty() && !workers.iter().chain(&draining).any(|pid| before.contains(pid));
            converged.then_some(()).ok_or_else(|| format!("workers {workers:?}, draining {draining:?}"))
        })
        .await
    }

    fn same_workers(&self, before: &[i32]) -> Result<(), Failure> {
        let now = self.nginx.worker_pids();
        if now != before {
            return Err(format!("nginx was reloaded: its workers were {before:?} and are {now:?}").into());
        }
        say("without a reload: the same workers of nginx serve");
        Ok(())
    }

    /// Waits until both files name exactly these backends.
    async fn files_hold(&self, members: &[Backend]) -> Result<(), Failure> {
        for (prefix, file) in [
            ("/services/web/", self.nginx.http_file("web.conf")),
            ("/services/echo/", self.nginx.stream_file("echo.conf")),
        ] {
            let of_file = members.iter().filter(|backend| backend.key.starts_with(prefix));
            let mut expected: Vec<String> = of_file.map(|backend| backend.address.to_string()).collect();
            expected.sort();
            eventually(&format!("{} to name {}", file.display(), expected.join(" ")), DEADLINE, async || {
                let servers = servers(&file);
                if servers == expected { Ok(()) } else { Err(format!("servers {servers:?}")) }
            })
            .await?;
        }
        Ok(())
    }

    async fn only_these_answer(&self, members: &[Backend]) -> Result<(), Failure> {
        let (nanos, reflectors) = (web_names(members), echo_addresses(members));
        let expected: Vec<&str> = nanos.iter().map(String::as_str).collect();
        let answered = until_all_answered(&expected, MANY_REQUESTS, async || self.traffic.ask_web().await).await?;
        say(&format!("answered by: {}", answered.join(", ")));
        let expected: Vec<&str> = reflectors.iter().map(String::as_str).collect();
        let answered = until_all_answered(&expected, MANY_REQUESTS, async || self.traffic.ask_echo().await).await?;
        say(&format!("echoed by: {}", named(members, &answered)));
        Ok(())
    }
}

async fn register(store: &mut Store, members: impl Iterator<Item = &Backend>) -> Result<(), Failure> {
    let entries: Vec<(&str, &str)> = members.map(|backend| (backend.key.as_str(), backend.value.as_str())).collect();
    store.put(&entries).await?;
    for (key, value) in entries {
        say(&format!("{key} = {value}"));
    }
    Ok(())
}

fn met(wanted: &str, answered: Result<String, String>) -> Result<(), String> {
    answered.and_then(|name| if name == wanted { Ok(()) } else { Err(format!("{name} answered")) })
}

fn web_names(members: &[Backend]) -> Vec<String> {
    let nanos = members.iter().filter(|backend| backend.key.starts_with("/services/web/"));
    nanos.map(|backend| backend.name.clone()).collect()
}

fn echo_addresses(members: &[Backend]) -> Vec<String> {
    let reflectors = members.iter().filter(|backend| backend.key.starts_with("/services/echo/"));
    reflectors.map(|backend| backend.address.to_string()).collect()
}

fn named(members: &[Backend], addresses: &[String]) -> String {
    let name = |address: &String| members.iter().find(|backend| backend.address.to_string() == *address);
    let names: Vec<&str> = addresses.iter().filter_map(name).map(|backend| backend.name.as_str()).collect();
    names.join(", ")
}

/// The addresses of the `server` lines of a rendered file and of the files beside it that it includes, sorted.
fn servers(file: &Path) -> Vec<String> {
    let mut text = fs::read_to_string(file).unwrap_or_default();
    let included = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("include ")?.strip_suffix("*;"))
        .map(fs::read_to_string);
    let included: Vec<String> = included.filter_map(Result::ok).collect();
    text.extend(included);
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("server "));
    let addresses = lines.filter_map(|line| line.split([' ', ';']).next()).filter(|address| address.contains(':'));
    let mut addresses: Vec<String> = addresses.map(str::to_owned).collect();
    addresses.sort();
    addresses
}

fn upstream_block(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let block = text.lines().skip_while(|line| !line.starts_with("upstream "));
    let mut lines: Vec<&str> = block.take_while(|line| !line.starts_with('}')).collect();
    lines.push("}");
    lines.join("\n")
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn say_what_to_try(folder: &Folder, store: &Store, authority: &Authority, fronts: Fronts, members: &[Backend]) {
    step("Now it is yours, until Ctrl-C");
    let port = fronts.web.port();
    say(&format!("curl --cacert {} https://localhost:{port}/", authority.certificate_file().display()));
    say(&format!("curl telnet://{}", fronts.echo));
    if let Some(first) = members.first() {
        say(&store.commands(&first.key));
    }
    say(&format!("${{EDITOR:-vi}} {}", folder.path.join("confdir/templates/web.conf.tera").display()));
}
