//! A real nginx in a folder of its own: own configuration, pid file, logs, temp paths, loopback ports, current user.
//! Never touches the system's nginx and never signals a process that is not its own.
//!
//! `conf.d/*.conf` of the folder is included in `http {}`, `stream.d/*.conf` in `stream {}`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::{free_port, package_root, temp_dir, wait_for};

const READY_DEADLINE: Duration = Duration::from_secs(10);
const STOP_DEADLINE: Duration = Duration::from_secs(3);
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Collects what the configuration is to contain beyond the usual.
pub struct Builder {
    program: String,
    folder: Option<PathBuf>,
    workers: usize,
    connections: usize,
    main: String,
    http: String,
}

impl Builder {
    /// Use this existing folder instead of a temp folder; it stays when the nginx is dropped.
    pub fn folder(mut self, folder: &Path) -> Builder {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Worker processes; 2 if not said.
    pub fn workers(mut self, n: usize) -> Builder {
        self.workers = n;
        self
    }

    /// Connections of each worker, in which its sockets for questions count; 1,024 if not said.
    pub fn connections(mut self, n: usize) -> Builder {
        self.connections = n;
        self
    }

    /// Lines for the main context (outside of all blocks).
    pub fn main(mut self, lines: &str) -> Builder {
        self.main.push_str(lines);
        self.main.push('\n');
        self
    }

    /// Lines for the `http {}` block.
    pub fn http(mut self, lines: &str) -> Builder {
        self.http.push_str(lines);
        self.http.push('\n');
        self
    }

    /// Writes the folder. nginx is not started yet.
    pub fn build(self) -> Nginx {
        let (temp, folder) = match self.folder {
            Some(folder) => (None, folder),
            None => {
                let temp = temp_dir();
                let folder = temp.path().to_owned();
                (Some(temp), folder)
            }
        };
        for name in ["conf.d", "stream.d", "tmp"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let status_port = free_port();
        let nginx = Nginx { program: self.program, folder, status_port, master: None, _temp: temp };
        fs::write(nginx.conf(), nginx.configuration(self.workers, self.connections, &self.main, &self.http)).unwrap();
        nginx
    }
}

/// The sandboxed nginx; stops when dropped.
pub struct Nginx {
    program: String,
    pub folder: PathBuf,
    /// Port of a server that answers `/ready` with `ready PID-OF-WORKER`.
    pub status_port: u16,
    master: Option<Child>,
    _temp: Option<tempfile::TempDir>,
}

/// An HTTP answer, as far as tests look at it.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: u16,
    /// Status line and headers as sent.
    pub head: String,
    pub body: String,
}

impl HttpAnswer {
    /// The value of a header, by any spelling of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl Nginx {
    pub fn builder() -> Builder {
        let program = nginx_program().to_owned();
        Builder { program, folder: None, workers: 2, connections: 1024, main: String::new(), http: String::new() }
    }

    /// A sandbox for an nginx that asks for endpoints by DNS: `make tools` fetches it.
    pub fn recent() -> Builder {
        let program = package_root().join("target/tools/bin/nginx");
        assert!(program.exists(), "there is no {}: `make tools` fetches it", program.display());
        Builder { program: program.to_str().unwrap().to_owned(), ..Nginx::builder() }
    }

    /// A sandbox with the usual configuration, started and ready.
    pub fn started() -> Nginx {
        let mut nginx = Nginx::builder().build();
        nginx.start();
        nginx
    }

    /// A sandbox for the newest nginx that is here: the recent one, or the system's.
    pub fn newest() -> Builder {
        if package_root().join("target/tools/bin/nginx").exists() { Nginx::recent() } else { Nginx::builder() }
    }

    /// The nginx that is run.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The nginx.conf.
    pub fn conf(&self) -> PathBuf {
        self.folder.join("nginx.conf")
    }

    /// A file included in `http {}`.
    pub fn http_file(&self, name: &str) -> PathBuf {
        self.folder.join("conf.d").join(name)
    }

    /// A file included in `stream {}`.
    pub fn stream_file(&self, name: &str) -> PathBuf {
        self.folder.join("stream.d").join(name)
    }

    pub fn pid_file(&self) -> PathBuf {
        self.folder.join("nginx.pid")
    }

    pub fn error_log_file(&self) -> PathBuf {
        self.folder.join("error.log")
    }

    /// The content of the error log (level notice).
    pub fn error_log(&self) -> String {
        fs::read(self.error_log_file()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// One line per finished stream session: `client-address server-port upstream-addresses status`.
    pub fn stream_log(&self) -> String {
        fs::read_to_string(self.folder.join("stream.log")).unwrap_or_default()
    }

    /// Text for `check_cmd`.
    pub fn check_command(&self) -> String {
        self.shell_command("-t")
    }

    /// Text for `reload_cmd`.
    pub fn reload_command(&self) -> String {
        self.shell_command("-s reload")
    }

    fn shell_command(&self, action: &str) -> String {
        let conf = self.conf().display().to_string().replace('\'', r"'\''");
        format!("{} -e stderr -c '{conf}' {action}", self.program)
    }

    /// Runs nginx with these arguments on this configuration: `&["-t"]`, `&["-s", "reload"]`.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(["-e", "stderr", "-c"]).arg(self.conf()).args(arguments).stdin(Stdio::null());
        command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
    }

    /// Starts the master and waits until a worker answers.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.master.is_none(), "this nginx was started already");
        let mut command = Command::new(&self.program);
        command.arg("-e").arg(self.error_log_file()).arg("-c").arg(self.conf()).args(["-g", "daemon off;"]);
        // A process group of its own: Ctrl-C on a terminal is for us, and we then stop nginx in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let output = fs::File::create(self.folder.join("output.log")).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        self.master = Some(command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")));
        self.wait_ready();
    }

    /// Starts it away from us, and waits until a worker answers.
    #[track_caller]
    pub fn start_daemonised(&self) -> Daemonised {
        let mut command = Command::new(&self.program);
        command.arg("-e").arg(self.error_log_file()).arg("-c").arg(self.conf()).stdin(Stdio::null());
        assert!(command.status().unwrap().success(), "{}", self.error_log());
        let daemonised = Daemonised { pid_file: self.pid_file(), conf: self.conf() };
        let answers = || self.http_get(self.status_port, "/ready").filter(|answer| answer.status == 200);
        wait_for("an answer", READY_DEADLINE, answers);
        daemonised
    }

    /// Waits until a worker answers on the status port.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        let start = Instant::now();
        while self.http_get(self.status_port, "/ready").is_none_or(|answer| answer.status != 200) {
            let ended = self.master.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "nginx ended with {ended:?}:\n{}", self.error_log());
            assert!(start.elapsed() < READY_DEADLINE, "nginx is not ready:\n{}", self.error_log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The master's pid.
    #[track_caller]
    pub fn master_pid(&self) -> i32 {
        i32::try_from(self.master.as_ref().expect("this nginx is not started").id()).unwrap()
    }

    /// Returns whether the master still runs.
    pub fn is_running(&mut self) -> bool {
        self.master.as_mut().is_some_and(|master| master.try_wait().unwrap().is_none())
    }

    /// Workers that accept connections, by pid.
    pub fn worker_pids(&self) -> Vec<i32> {
        worker_pids_of(self.master_pid())
    }

    /// Workers of an earlier configuration that are finishing their connections, by pid.
    pub fn draining_worker_pids(&self) -> Vec<i32> {
        children_titled(self.master_pid(), "nginx: worker process is shutting down")
    }

    /// GET over plain HTTP/1.0-style connections to a loopback port; `None` if there is no complete answer.
    pub fn http_get(&self, port: u16, path: &str) -> Option<HttpAnswer> {
        http_get(port, "localhost", path).ok()
    }

    /// Asks the master to end when its last connection has. It can be started again meanwhile.
    pub fn quit(&mut self) -> Child {
        let master = self.master.take().expect("this nginx is not started");
        signal(i32::try_from(master.id()).unwrap(), Signal::SIGQUIT);
        master
    }

    /// Ends master and workers: QUIT, then after three seconds KILL. May be started again.
    pub fn stop(&mut self) {
        let Some(mut master) = self.master.take() else { return };
        let ours = |pid: &i32| parent_of(*pid) == i32::try_from(master.id()).ok() || self.has_log_open(*pid);
        let workers: Vec<i32> = processes().filter(ours).collect();
        if master.try_wait().is_ok_and(|ended| ended.is_none()) {
            signal(i32::try_from(master.id()).unwrap(), Signal::SIGQUIT);
            let start = Instant::now();
            while master.try_wait().is_ok_and(|ended| ended.is_none()) && start.elapsed() < STOP_DEADLINE {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        master.kill().ok();
        master.wait().ok();
        // Workers outlive a killed master; the open log says that a pid is still what it was.
        for worker in workers.into_iter().filter(|pid| self.has_log_open(*pid)) {
            signal(worker, Signal::SIGKILL);
        }
    }

    fn has_log_open(&self, pid: i32) -> bool {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let error_log = self.error_log_file();
        title_of(pid).starts_with("nginx:")
            && descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == error_log))
    }

    fn configuration(&self, workers: usize, connections: usize, main: &str, http: &str) -> String {
        let dir = self.folder.display();
        let status_port = self.status_port;
        let user = if geteuid().is_root() { "user root;\n" } else { "" };
        let is_of_system = self.program == nginx_program();
        let module = if is_of_system && Path::new(STREAM_MODULE).exists() {
            format!("load_module {STREAM_MODULE};\n")
        } else {
            String::new()
        };
        let temp_paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path \"{dir}/tmp/{kind}\";\n"))
            .concat();
        format!(
            r#"{module}{user}worker_processes {workers};
pid "{dir}/nginx.pid";
error_log "{dir}/error.log" notice;
{main}events {{
    worker_connections {connections};
}}
http {{
    access_log "{dir}/access.log";
{temp_paths}    server {{
        listen 127.0.0.1:{status_port};
        access_log off;
        location = /ready {{
            return 200 "ready $pid\n";
        }}
    }}
{http}    include "{dir}/conf.d/*.conf";
}}
stream {{
    log_format sessions '$remote_addr:$remote_port $server_port $upstream_addr $status';
    access_log "{dir}/stream.log" sessions;
    include "{dir}/stream.d/*.conf";
}}
"#
        )
    }
}

/// An nginx that has left its parent, as init systems start it: only such a one lets its program be replaced. Its masters end with it.
pub struct Daemonised {
    pid_file: PathBuf,
    conf: PathBuf,
}

impl Daemonised {
    /// The masters, the newest first.
    pub fn masters(&self) -> Vec<i32> {
        let previous = self.pid_file.with_extension("pid.oldbin");
        let pid = |file: &PathBuf| fs::read_to_string(file).ok()?.trim().parse().ok();
        [&self.pid_file, &previous].into_iter().filter_map(pid).collect()
    }

    /// Starts a second master beside the one that runs, and waits until it has a worker. Returns the old one and the new one.
    #[track_caller]
    pub fn replace_program(&self) -> (i32, i32) {
        let [old] = self.masters().try_into().unwrap();
        signal(old, Signal::SIGUSR2);
        let new = || self.masters().first().copied().filter(|pid| *pid != old);
        let new = wait_for("the new master", READY_DEADLINE, new);
        let has_worker = || (!worker_pids_of(new).is_empty()).then_some(());
        wait_for("a new worker", READY_DEADLINE, has_worker);
        (old, new)
    }

    /// Asks a master to end when its last connection has.
    pub fn end(&self, master: i32) {
        signal(master, Signal::SIGQUIT);
    }
}

impl Drop for Daemonised {
    fn drop(&mut self) {
        for pid in self.masters() {
            if title_of(pid).contains(&self.conf.display().to_string()) {
                signal(pid, Signal::SIGTERM);
            }
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}

/// GET over plain HTTP on a loopback port, one connection per request.
pub fn http_get(port: u16, host: &str, path: &str) -> std::io::Result<HttpAnswer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // In one write: each further one waits until the one before is acknowledged.
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let broken = || std::io::Error::other("not a whole HTTP answer");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    Ok(HttpAnswer { status, head: head.to_owned(), body: body.to_owned() })
}

fn nginx_program() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

/// Returns whether a process runs. A dead one may stay in the table forever: in a container, nobody may reap orphans.
pub fn lives(pid: i32) -> bool {
    state_and_parent_of(pid).is_some_and(|(state, _)| !matches!(state.as_str(), "Z" | "X"))
}

/// Workers of this master that accept connections.
fn worker_pids_of(master: i32) -> Vec<i32> {
    children_titled(master, "nginx: worker process")
}

fn children_titled(master: i32, title: &str) -> Vec<i32> {
    processes().filter(|pid| parent_of(*pid) == Some(master) && title_of(*pid) == title).collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    state_and_parent_of(pid)?.1.parse().ok()
}

fn state_and_parent_of(pid: i32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name, in parentheses, may hold anything; state and parent follow it.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}

fn title_of(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').trim_end().to_owned()
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).ok();
}

/// Waits until no worker of an earlier configuration is left and returns the pids of the new ones.
#[track_caller]
pub fn wait_drained(nginx: &Nginx) -> Vec<i32> {
    wait_for("old workers to end", READY_DEADLINE, || {
        let workers = nginx.worker_pids();
        (nginx.draining_worker_pids().is_empty() && !workers.is_empty()).then_some(workers)
    })
}
