//! A real nginx whose `app.conf` and `echo.conf` are kept by upstreamd, from the shipped templates and a real etcd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::etcd::Etcd;
use crate::support::nginx::Nginx;
use crate::support::shipped::with_settings;
use crate::support::{Daemon, free_port, package_root, program, temp_dir};

/// See the module.
pub(crate) struct Front {
    pub(crate) nginx: Nginx,
    pub(crate) etcd: Etcd,
    pub(crate) http_port: u16,
    pub(crate) tcp_port: u16,
    dir: tempfile::TempDir,
    _agent: Option<Daemon>,
}

impl Front {
    /// Starts everything. `more` goes into `http {}`; these keys are in etcd from the start.
    pub(crate) fn start(more: &str, keys: &[(String, String)]) -> Front {
        let dir = temp_dir();
        for name in ["etc/conf.d", "etc/templates"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let nginx = Nginx::builder().http(more).build();
        let (http_port, tcp_port) = (free_port(), free_port());
        let listen = |port: u16| format!("127.0.0.1:{port}");
        let etcd = Etcd::start();
        let front = Front { nginx, etcd, http_port, tcp_port, dir, _agent: None };
        front.resource("app", "/services/app", "/services", &front.nginx.http_file("app.conf"), &listen(http_port));
        front.resource(
            "echo",
            "/services/echo",
            "/services/echo",
            &front.nginx.stream_file("echo.conf"),
            &listen(tcp_port),
        );
        for (key, value) in keys {
            front.etcd.put(key, value);
        }
        front.run()
    }

    fn resource(&self, name: &str, folder: &str, shipped: &str, dest: &Path, listen: &str) {
        let template = package_root().join(format!("templates/{name}.conf.tera"));
        let text = with_settings(&fs::read_to_string(template).unwrap(), &[("listen", listen)]);
        let text = text.replace(&format!("prefix=\"{shipped}\""), &format!("prefix=\"{folder}\""));
        fs::write(self.path(&format!("etc/templates/{name}.tera")), text).unwrap();
        let lines = format!(
            "[template]\nsrc = \"{name}.tera\"\ndest = \"{}\"\nkeys = [\"{folder}\"]\ncheck_cmd = \"{}\"\nreload = \"nginx\"\n",
            dest.display(),
            self.nginx.check_command()
        );
        fs::write(self.path(&format!("etc/conf.d/{name}.toml")), lines).unwrap();
    }

    fn run(mut self) -> Front {
        let status = self.command("--onetime").stderr(Stdio::null()).status().unwrap();
        assert!(status.success());
        self.nginx.start();
        let log = fs::File::create(self.path("log")).unwrap();
        self._agent = Some(Daemon::start(self.command("--watch").stderr(log)));
        std::thread::sleep(Duration::from_millis(1500));
        self
    }

    fn command(&self, mode: &str) -> Command {
        let mut command = Command::new(program("upstreamd"));
        command.args([mode, "--node", &self.etcd.url(), "--nginx-pid-file"]).arg(self.nginx.pid_file());
        command.arg("--nginx-conf").arg(self.nginx.conf());
        command.arg("--confdir").arg(self.path("etc")).arg("--state-dir").arg(self.path("state"));
        command.stdout(Stdio::null());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// How many reloads have been verified.
    pub(crate) fn reloads(&self) -> usize {
        self.log().matches("verified the reload of nginx").count()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// The agent's configuration of the http side.
    pub(crate) fn app_conf(&self) -> PathBuf {
        self.nginx.http_file("app.conf")
    }
}

/// The middle of some times.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Asks until `wanted` holds of the body.
pub(crate) fn time_until_answer(port: u16, started: Instant, wanted: &str) -> Duration {
    time_until_answer_at(port, "/", started, wanted)
}

/// Asks for this path until `wanted` holds of the body.
pub(crate) fn time_until_answer_at(port: u16, path: &str, started: Instant, wanted: &str) -> Duration {
    loop {
        let answer = crate::support::nginx::http_get(port, "app.example.com", path);
        if answer.is_ok_and(|answer| answer.body.trim() == wanted) {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(20), "the new backend never answered");
        std::thread::sleep(Duration::from_micros(100));
    }
}
