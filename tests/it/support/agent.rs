//! The real upstreamd binary in a folder of its own: confdir, state folder, a YAML file as the store unless said otherwise.

use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::template::table;
use super::{Daemon, program, temp_dir, wait_for, wait_or, wait_until};

/// How long a state may take to come true before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How long one run may take.
const RUN_DEADLINE: Duration = Duration::from_secs(60);

/// A position in the log; later lines come after it.
#[derive(Clone, Copy)]
pub struct Mark(usize);

impl Mark {
    /// Before everything that was ever logged.
    pub const START: Mark = Mark(0);
}

/// A folder with everything that an upstreamd needs.
pub struct Sandbox {
    pub dir: tempfile::TempDir,
    /// Store flags: the YAML file unless replaced.
    pub store: Vec<String>,
    /// A program and arguments to run upstreamd under.
    pub wrapper: Vec<String>,
    /// Keep no state: `--state-dir ""`.
    pub stateless: bool,
    /// Say nothing of the confdir: upstreamd looks below `/etc`.
    pub installed: bool,
    /// Environment beyond the test's own.
    pub environment: Vec<(String, String)>,
}

/// Opens UDP and TCP at each address of the first argument, and becomes the rest, as systemd starts a service with a socket unit.
const PASS_SOCKETS: &str = "
import os, socket, sys
sockets = []
for address in sys.argv[1].split(','):
    host, port = address.rsplit(':', 1)
    for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
        one = socket.socket(socket.AF_INET, kind)
        one.bind((host, int(port)))
        sockets.append(one)
    sockets[-1].listen()
spare = [os.dup(one.fileno()) for one in sockets]
for number, descriptor in enumerate(spare):
    os.dup2(descriptor, 3 + number)
os.environ.update(LISTEN_FDS=str(len(spare)), LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
";

/// Runs a command on a terminal of its own, and copies what it writes there to standard output.
const GIVE_TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

impl Sandbox {
    pub fn new() -> Sandbox {
        let dir = temp_dir();
        for name in ["etc/conf.d", "etc/templates", "out"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let store_file = dir.path().join("store.yaml");
        fs::write(&store_file, "{}\n").unwrap();
        let store = ["--backend", "file", "--file", store_file.to_str().unwrap()].map(str::to_owned).to_vec();
        Sandbox { dir, store, wrapper: Vec::new(), stateless: false, installed: false, environment: Vec::new() }
    }

    /// A sandbox that reads etcd at this client URL.
    pub fn on_etcd(url: &str) -> Sandbox {
        let mut sandbox = Sandbox::new();
        sandbox.store = ["--backend", "etcd", "--node", url].map(str::to_owned).to_vec();
        sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// The path as text for TOML and commands.
    pub fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Replaces the YAML store, as an editor does.
    pub fn set_store(&self, yaml: &str) {
        let staged = self.path("store.yaml.new");
        fs::write(&staged, yaml).unwrap();
        fs::rename(staged, self.path("store.yaml")).unwrap();
    }

    pub fn template(&self, name: &str, text: &str) {
        fs::write(self.path("etc/templates").join(name), text).unwrap();
    }

    /// Writes `conf.d/NAME.toml` with a `[template]` table of these lines.
    pub fn resource(&self, name: &str, lines: &str) {
        fs::write(self.path("etc/conf.d").join(format!("{name}.toml")), format!("[template]\n{lines}\n")).unwrap();
    }

    /// A resource whose template prints every value below `/v`, a line each, to `out/NAME`.
    pub fn plain_resource(&self, name: &str, more_lines: &str) {
        self.template("values.tera", "{% for pair in gets(pattern=\"/v/*\") %}{{ pair.value }}\n{% endfor %}");
        let dest = self.text_path(&format!("out/{name}"));
        self.resource(name, &table("values.tera", &dest).keys(&["/v"]).lines(more_lines));
    }

    /// Content of `out/NAME`; `None` if there is no such file.
    pub fn output(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("out").join(name)).ok()
    }

    #[track_caller]
    pub fn wait_output(&self, name: &str, expected: &str) {
        let is_there = || (self.output(name).as_deref() == Some(expected)).then_some(());
        let problem = || format!("out/{name} is {:?}, not {expected:?}\n--- log\n{}", self.output(name), self.log());
        wait_or(DEADLINE, is_there, problem);
    }

    /// Lines of a file that commands append to.
    pub fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Starts with sockets for UDP and TCP at each of these addresses, as from systemd.
    pub fn pass_sockets(&mut self, addresses: &[&str]) {
        self.wrapper = ["python3", "-c", PASS_SOCKETS, &addresses.join(",")].map(str::to_owned).to_vec();
    }

    /// Runs on a terminal of its own: what it writes there is its standard output.
    pub fn give_terminal(&mut self) {
        self.wrapper = ["python3", "-c", GIVE_TERMINAL].map(str::to_owned).to_vec();
        self.environment.push(("TERM".into(), "xterm".into()));
    }

    /// upstreamd with the store, confdir and state folder of this sandbox.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = program("upstreamd");
        let mut command = match self.wrapper.split_first() {
            None => Command::new(binary),
            Some((program, wrapped)) => {
                let mut command = Command::new(program);
                command.args(wrapped).arg(binary);
                command
            }
        };
        command.args(arguments);
        let state = if self.stateless { String::new() } else { self.text_path("state") };
        if !self.installed {
            command.args(["--confdir", &self.text_path("etc")]);
        }
        command.args(["--state-dir", &state]).args(&self.store);
        command.envs(self.environment.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Runs upstreamd to its end, which must come within a minute.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = self.command(arguments);
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        let mut daemon = Daemon::start(&mut command);
        let status = wait_for(&format!("the end of {command:?}"), RUN_DEADLINE, || daemon.child.try_wait().unwrap());
        Ran { code: status.code(), stdout: content(stdout), stderr: content(stderr) }
    }

    pub fn onetime(&self) -> Ran {
        self.run(&["--onetime"])
    }

    /// Starts a daemon that logs to `log`.
    pub fn start(&self, arguments: &[&str]) -> Daemon {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        Daemon::start(self.command(arguments).stdout(log.try_clone().unwrap()).stderr(log))
    }

    /// Starts a daemon with a command of its own after `--`, which must come last.
    pub fn start_with_command(&self, arguments: &[&str]) -> Daemon {
        let (own, command) = arguments.split_at(arguments.iter().position(|word| *word == "--").unwrap());
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        Daemon::start(self.command(own).args(command).stdout(log.try_clone().unwrap()).stderr(log))
    }

    pub fn watch(&self) -> Daemon {
        self.start(&["--watch"])
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Returns the end of the log as it is now.
    pub fn mark(&self) -> Mark {
        Mark(self.log().len())
    }

    /// Returns what was logged since the mark.
    pub fn log_since(&self, mark: Mark) -> String {
        self.log().split_off(mark.0)
    }

    /// Waits until the log says this, be it from long ago: for what is said once. For what is said again, take a mark first.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        self.wait_log_since(Mark::START, text);
    }

    /// Waits until the log says this after the mark.
    #[track_caller]
    pub fn wait_log_since(&self, mark: Mark, text: &str) {
        self.wait_log_times_since(mark, text, 1);
    }

    /// Waits until the log says this so many times after the mark.
    #[track_caller]
    pub fn wait_log_times_since(&self, mark: Mark, text: &str, times: usize) {
        let says = || (self.log_since(mark).matches(text).count() >= times).then_some(());
        wait_or(DEADLINE, says, || format!("the log does not say {text:?} {times} times:\n{}", self.log_since(mark)));
    }

    #[track_caller]
    pub fn wait_for_file(&self, name: &str) {
        let path = self.path(name);
        wait_until(&format!("file {name}"), DEADLINE, || Path::new(&path).exists());
    }
}

/// Output and exit code of a finished upstreamd.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Panics with everything that was said unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

fn content(mut file: fs::File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A program to run a shell script under that may mount things for itself: `script` with the rest as `"$@"`.
pub fn mounting(script: &str) -> Vec<String> {
    let mut words = vec!["unshare", "-m"];
    if !nix::unistd::geteuid().is_root() {
        // Root in a user namespace of its own may mount there.
        words.push("-r");
    }
    words.extend(["sh", "-c", script, "sh"]);
    words.into_iter().map(str::to_owned).collect()
}

/// Wrapper that drops CAP_SYS_ADMIN; empty if the user is not root.
pub fn without_mounting() -> Vec<String> {
    let words: &[&str] = &["setpriv", "--bounding-set", "-sys_admin", "--"];
    let words = if nix::unistd::geteuid().is_root() { words } else { &[] };
    words.iter().map(|word| (*word).to_owned()).collect()
}
