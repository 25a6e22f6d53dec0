//! The Docker engine and its compose tool, version 1 or 2, with a limit on every command.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Failure;
use super::support::free_port;

/// Building everything from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// The engine, and the cluster on it.
pub struct Engine {
    /// The compose project: names every container, network and volume. Each clone has one of its own.
    project: String,
    /// The compose file, below `docker/`.
    file: &'static str,
    /// `docker-compose`, or `docker compose`.
    compose: Vec<&'static str>,
    /// Replacements for the public base images, if those are not available.
    environment: Vec<(&'static str, String)>,
    /// Address of the balancer for HTTPS.
    pub https: SocketAddr,
    /// Its address for TCP connections.
    pub echo: SocketAddr,
}

impl Engine {
    /// Finds both, for a compose file below `docker/`.
    ///
    /// # Errors
    /// A phrase for people: no engine answers, or there is no compose tool.
    pub fn find(name: &str, file: &'static str) -> Result<Engine, String> {
        let answers = |words: &[&str]| output(command(words), COMMAND_LIMIT).is_ok();
        if !answers(&["docker", "version"]) {
            return Err("no Docker engine answers on this machine".to_owned());
        }
        let tools = [vec!["docker", "compose"], vec!["docker-compose"]];
        let works = |tool: &Vec<&'static str>| answers(&[tool.as_slice(), &["version"]].concat());
        let compose = tools.into_iter().find(works).ok_or("there is neither `docker compose` nor docker-compose")?;
        let port = || free_port().map_err(|error| format!("no port is free: {error}"));
        let (https, echo) = (port()?, port()?);
        let mut environment = vec![
            ("UPSTREAMD_HTTPS_PORT", https.to_string()),
            ("UPSTREAMD_ECHO_PORT", echo.to_string()),
            // The classic builder is what every engine has.
            ("DOCKER_BUILDKIT", std::env::var("DOCKER_BUILDKIT").unwrap_or("0".to_owned())),
            ("COMPOSE_DOCKER_CLI_BUILD", "1".to_owned()),
            ("UPSTREAMD_LTO", std::env::var("UPSTREAMD_LTO").unwrap_or("off".to_owned())),
        ];
        // The images share their first stages: one after the other, these are built once. Version 1 does so, and knows no such
        // limit.
        if compose.len() > 1 {
            environment.push(("COMPOSE_PARALLEL_LIMIT", "1".to_owned()));
        }
        for variable in ["UPSTREAMD_BASE", "UPSTREAMD_BUILDER"] {
            environment.extend(std::env::var(variable).ok().map(|image| (variable, image)));
        }
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let number = number_of(&root());
        let project = format!("{name}-{number:08x}");
        // Each clone has one of its own, so that two run side by side.
        environment.push(("UPSTREAMD_SUBNET", format!("10.{}.{}", 128 + number / 251 % 64, number % 251)));
        Ok(Engine { project, file, compose, environment, https: address(https), echo: address(echo) })
    }

    /// Builds and starts everything.
    ///
    /// # Errors
    /// The output of the tool.
    pub fn up(&self) -> Result<(), Failure> {
        self.down();
        self.compose(&["build", "--quiet"], BUILD_LIMIT)?;
        self.compose(&["up", "-d", "--no-build"], COMMAND_LIMIT)?;
        Ok(())
    }

    /// Removes everything: containers, networks, volumes. Images stay.
    pub fn down(&self) {
        if let Err(failure) = self.compose(&["down", "--volumes", "--timeout", "1"], COMMAND_LIMIT) {
            eprintln!("cluster-test: {failure}");
        }
    }

    /// Restarts every service at once.
    ///
    /// # Errors
    /// The output of the tool.
    pub fn restart_all(&self) -> Result<(), Failure> {
        self.compose(&["restart", "--timeout", "15"], COMMAND_LIMIT).map(drop)
    }

    /// Stops a service's container by SIGTERM and starts it again, without a pause between the two.
    ///
    /// # Errors
    /// The output of docker.
    pub fn restart(&self, service: &str) -> Result<(), Failure> {
        self.restart_container(&self.container(service)?)
    }

    /// Does the same to any container.
    ///
    /// # Errors
    /// The output of docker.
    pub fn restart_container(&self, id: &str) -> Result<(), Failure> {
        let script = "docker kill --signal TERM \"$0\" && docker wait \"$0\" && docker start \"$0\"";
        output(command(&["sh", "-c", script, id]), COMMAND_LIMIT).map(drop)
    }

    /// Does something to services' containers: `docker stop web-1`.
    ///
    /// # Errors
    /// The output of docker.
    pub fn docker(&self, verb: &[&str], services: &[&str]) -> Result<(), Failure> {
        let containers: Vec<String> =
            services.iter().map(|service| self.container(service)).collect::<Result<_, _>>()?;
        let words: Vec<&str> =
            ["docker"].iter().chain(verb).copied().chain(containers.iter().map(String::as_str)).collect();
        output(command(&words), COMMAND_LIMIT).map(drop)
    }

    /// Returns the output of a command in a service's container.
    ///
    /// # Errors
    /// It failed, or the container does not run.
    pub fn exec(&self, service: &str, words: &[&str]) -> Result<String, Failure> {
        let container = self.container(service)?;
        output(command(&[&["docker", "exec", container.as_str()], words].concat()), COMMAND_LIMIT)
    }

    /// Cuts a service off from a network.
    ///
    /// # Errors
    /// The output of docker.
    pub fn disconnect(&self, network: &str, service: &str) -> Result<(), Failure> {
        self.docker(&["network", "disconnect", &self.network(network)], &[service])
    }

    /// Heals that; `alias` is the name that it has there, and `address` what it had there, if it has to have it again.
    ///
    /// # Errors
    /// The output of docker.
    pub fn connect(&self, network: &str, service: &str, alias: &str, address: Option<&str>) -> Result<(), Failure> {
        let fixed = address.map(|address| ["--ip", address]);
        let fixed = fixed.iter().flatten().copied().collect::<Vec<_>>();
        let network = self.network(network);
        self.docker(
            &[&["network", "connect", "--alias", alias], fixed.as_slice(), &[network.as_str()]].concat(),
            &[service],
        )
    }

    /// A service's address in a network.
    ///
    /// # Errors
    /// The output of docker.
    pub fn address(&self, network: &str, service: &str) -> Result<String, Failure> {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}", self.network(network));
        let words = ["docker", "inspect", "--format", &format, &self.container(service)?];
        Ok(output(command(&words), COMMAND_LIMIT)?.trim().to_owned())
    }

    /// Starts a program of an image in a container of its own, on a network of the project. Answers the container's id and its
    /// address there.
    ///
    /// # Errors
    /// The output of docker.
    pub fn run(&self, network: &str, image: &str, program: &str, words: &[&str]) -> Result<(String, String), Failure> {
        let network = self.network(network);
        let fixed = ["docker", "run", "--detach", "--rm", "--network", &network, "--entrypoint", program, image];
        let id = output(command(&[&fixed, words].concat()), COMMAND_LIMIT)?.trim().to_owned();
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = output(command(&["docker", "inspect", "--format", format, &id]), COMMAND_LIMIT)?;
        Ok((id, address.trim().to_owned()))
    }

    /// Starts an nginx that answers "bare" and knows nothing of upstreamd, in a container of its own. Returns the container's id and
    /// where it answers.
    ///
    /// # Errors
    /// The output of docker.
    pub fn run_bare_nginx(&self) -> Result<(String, SocketAddr), Failure> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let script =
            "echo 'server { listen 80; return 200 bare; }' >/etc/nginx/conf.d/bare.conf; exec nginx -g 'daemon off;'";
        let port = format!("{address}:80");
        let fixed = ["docker", "run", "--detach", "--publish", &port, "--entrypoint", "sh", "upstreamd-balancer"];
        let id = output(command(&[&fixed, ["-c", script].as_slice()].concat()), COMMAND_LIMIT)?;
        Ok((id.trim().to_owned(), address))
    }

    /// Kills such a container, with its volumes.
    pub fn remove(&self, id: &str) {
        // It may be gone.
        output(command(&["docker", "rm", "--force", "--volumes", id]), COMMAND_LIMIT).ok();
    }

    /// Everything that a service has logged.
    ///
    /// # Errors
    /// The output of docker.
    pub fn logs(&self, service: &str) -> Result<String, Failure> {
        let container = self.container(service)?;
        output(command(&["sh", "-c", "docker logs \"$0\" 2>&1", &container]), COMMAND_LIMIT)
    }

    fn network(&self, name: &str) -> String {
        format!("{}_{name}", self.project)
    }

    /// The id of a service's container, running or not.
    fn container(&self, service: &str) -> Result<String, Failure> {
        let filters = ["com.docker.compose.project", "com.docker.compose.service"];
        let [project, name] =
            [format!("label={}={}", filters[0], self.project), format!("label={}={service}", filters[1])];
        let words = ["docker", "ps", "--all", "--quiet", "--filter", &project, "--filter", &name];
        let ids = output(command(&words), COMMAND_LIMIT)?;
        let id = ids.split_whitespace().next().ok_or_else(|| format!("there is no container of {service}"))?;
        Ok(id.to_owned())
    }

    fn compose(&self, words: &[&str], limit: Duration) -> Result<String, Failure> {
        let [file, fixed] = [self.file, "compose.fixed.yaml"].map(|file| format!("{}/docker/{file}", root()));
        let files = if self.file == "compose.yaml" { vec!["-f", &file, "-f", &fixed] } else { vec!["-f", &file] };
        let all = [self.compose.as_slice(), &["-p", &self.project], files.as_slice(), words].concat();
        let mut command = command(&all);
        command.envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        output(command, limit)
    }
}

/// The clone that it runs in: it may have been built in another one.
fn root() -> String {
    std::env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").to_owned())
}

/// A short number for a text, the same in every run.
fn number_of(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn command(words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().unwrap_or((&"false", &[]));
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Standard output of a command that succeeds in time.
fn output(mut command: Command, limit: Duration) -> Result<String, Failure> {
    let text = format!("{command:?}");
    let (out, err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let mut child = command.spawn().map_err(|error| format!("{text}: {error}"))?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > limit {
            child.kill().ok();
            child.wait()?;
            return Err(format!("{text}: no end within {limit:?}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let output = Output { status, stdout: content(out)?, stderr: content(err)? };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let last: Vec<&str> = said.trim().lines().rev().take(15).collect();
    Err(format!("{text}: {status}\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n")).into())
}

fn content(mut file: std::fs::File) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
