//! The units of `systemd/` and the Debian package, run by a real systemd in a container made for it: start, ready, edit, reload,
//! watchdog, stop in the middle of a transaction, the sidekick pair, install and purge. `make systemd-test` runs them; they need
//! a Docker engine, so a plain test run leaves them out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{package_root, program, wait_until};

/// Long enough for a machine that does other work too: what is right is right at once.
const DEADLINE: Duration = Duration::from_secs(180);
const IMAGE: &str = "upstreamd-test/systemd";

/// A container whose PID 1 is systemd. Ends with the test.
struct Machine {
    name: String,
}

/// Runs docker, and ends it after the deadline.
fn docker(arguments: &[&str]) -> Output {
    let limit = DEADLINE.as_secs().to_string();
    Command::new("timeout")
        .args([limit.as_str(), "docker"])
        .args(arguments)
        .output()
        .expect("there is no `timeout` command")
}

impl Machine {
    /// A machine that has booted, with nothing of ours in it.
    fn boot() -> Machine {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let nth = NTH.fetch_add(1, Ordering::Relaxed);
        let machine = Machine { name: format!("upstreamd-systemd-test-{}-{nth}", std::process::id()) };
        let mut arguments = vec!["run", "-d", "--name", &machine.name, "--network", "none", "--hostname", "machine"];
        arguments.extend(["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]);
        for path in ["/run", "/run/lock", "/tmp", "/sys/fs/cgroup"] {
            arguments.extend(["--tmpfs", path]);
        }
        arguments.push(IMAGE);
        let started = docker(&arguments);
        assert!(started.status.success(), "cannot start {IMAGE}: {}", String::from_utf8_lossy(&started.stderr));
        machine.wait("systemd to run", "systemctl is-system-running");
        machine
    }

    /// A machine with the program and the units as docs/systemd.md puts them without the package, and etcd and nginx to work with.
    fn installed() -> Machine {
        let machine = Machine::boot();
        machine.copy(Path::new(&program("upstreamd")), "/usr/local/bin/upstreamd");
        for unit in
            ["upstreamd.service", "upstreamd@.service", "upstreamd.socket", "app@.service", "app-announce@.service"]
        {
            machine.copy(&package_root().join("systemd").join(unit), &format!("/etc/systemd/system/{unit}"));
        }
        machine.configure();
        machine.sh("systemctl daemon-reload");
        machine
    }

    /// A resource that writes into nginx, with the classic commands.
    fn configure(&self) {
        self.sh("mkdir -p /etc/upstreamd/conf.d /etc/upstreamd/templates
             cat >/etc/upstreamd/conf.d/app.toml <<'END'
[template]
src = \"app.tmpl\"
dest = \"/etc/nginx/conf.d/app.conf\"
keys = [\"/app\"]
check_cmd = \"nginx -t\"
reload_cmd = \"nginx -s reload\"
END
             echo '# {{getv \"/app/x\"}}' >/etc/upstreamd/templates/app.tmpl");
    }

    fn copy(&self, from: &Path, to: &str) {
        let copied = docker(&["cp", from.to_str().unwrap(), &format!("{}:{to}", self.name)]);
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    }

    fn try_sh(&self, script: &str) -> (bool, String) {
        let output = docker(&["exec", "-e", "ETCDCTL_API=3", &self.name, "sh", "-c", script]);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }

    /// Runs a script that must succeed, and answers what it says.
    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let (succeeded, text) = self.try_sh(&format!("set -e\n{script}"));
        assert!(succeeded, "{script}: {text}\n--- journal\n{}", self.journal());
        text
    }

    /// Returns everything that was logged up to now: journald takes lines a moment after they are written.
    fn journal(&self) -> String {
        self.try_sh("journalctl --sync; journalctl --no-pager").1
    }

    #[track_caller]
    fn wait(&self, what: &str, condition: &str) {
        let start = std::time::Instant::now();
        loop {
            let (succeeded, text) = self.try_sh(condition);
            if succeeded {
                return;
            }
            let failed = || self.try_sh("systemctl --no-pager --failed").1;
            let seen = || format!("{condition}: {text}\n{}\n{}", failed(), self.journal());
            assert!(start.elapsed() < DEADLINE, "gave up waiting for {what}: {}", seen());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a unit's property has this value.
    #[track_caller]
    fn wait_property(&self, unit: &str, name: &str, value: &str) {
        self.wait(
            &format!("{name}={value} of {unit}"),
            &format!("systemctl show -p {name} --value {unit} | tee /dev/stderr | grep -qx '{value}'"),
        );
    }

    fn property(&self, unit: &str, name: &str) -> String {
        self.sh(&format!("systemctl show -p {name} --value {unit}")).trim().to_owned()
    }

    fn start_etcd(&self) {
        self.sh("systemd-run -q --unit etcd-test etcd --data-dir /tmp/etcd-test");
        self.wait("etcd", "etcdctl endpoint health");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        docker(&["rm", "-f", "-v", &self.name]);
    }
}

#[test]
#[ignore = "needs a Docker engine: make systemd-test"]
fn the_unit_is_ready_after_the_first_apply_reloads_and_stops() {
    let machine = Machine::installed();
    machine.sh("systemctl start nginx && systemctl start --no-block upstreamd");
    // The store is away at boot: starting, with the reason in its status, and not killed for it.
    machine.wait("the reason", "systemctl show -p StatusText --value upstreamd | grep -q 'cannot follow the store'");
    assert_eq!(machine.property("upstreamd", "ActiveState"), "activating");
    machine.start_etcd();
    machine.sh("etcdctl put /app/x one");
    machine.wait("READY", "systemctl is-active upstreamd");
    assert_eq!(machine.sh("cat /etc/nginx/conf.d/app.conf").trim(), "# one");
    machine.wait_property("upstreamd", "StatusText", "in sync at revision.*");
    // The check runs in a private mount namespace within the sandbox: no fallback was needed, and nginx was looked at.
    let journal = machine.journal();
    assert!(!journal.contains("no private mount namespace"), "{journal}");
    assert!(journal.contains("verified the reload of nginx"), "{journal}");

    machine.sh("etcdctl put /app/x two");
    machine.wait("an edit of the store", "grep -qx '# two' /etc/nginx/conf.d/app.conf");
    machine.sh("echo 'broken {{getv \"/app/x\"}}' >/etc/upstreamd/templates/app.tmpl");
    machine.wait("the refusal", "systemctl show -p StatusText --value upstreamd | grep -q 'app.toml: check failed'");
    assert_eq!(machine.sh("cat /etc/nginx/conf.d/app.conf").trim(), "# two", "the live file stays");
    machine.sh("echo '# again {{getv \"/app/x\"}}' >/etc/upstreamd/templates/app.tmpl && systemctl reload upstreamd");
    machine.wait("an edit of the template", "grep -qx '# again two' /etc/nginx/conf.d/app.conf");
    // A reload of the unit is over before that of the agent: it may be reloading still.
    machine.wait_property("upstreamd", "ActiveState", "active");
    machine.sh("systemctl stop upstreamd");
    assert_eq!(machine.property("upstreamd", "Result"), "success");
    assert_eq!(machine.property("upstreamd", "NRestarts"), "0");
    // nginx serves with what was written.
    machine.sh("nginx -t -q && systemctl is-active nginx");
}

#[test]
#[ignore = "needs a Docker engine: make systemd-test"]
fn a_hung_agent_is_restarted_and_an_outage_of_the_store_is_no_hang() {
    let machine = Machine::installed();
    machine.sh("mkdir -p /etc/systemd/system/upstreamd.service.d
         printf '[Service]\\nWatchdogSec=5s\\n' >/etc/systemd/system/upstreamd.service.d/test.conf
         systemctl daemon-reload");
    machine.start_etcd();
    machine.sh("etcdctl put /app/x one && systemctl start nginx && systemctl start upstreamd");
    machine.sh("systemctl stop etcd-test");
    machine.wait("the outage", "systemctl show -p StatusText --value upstreamd | grep -q 'cannot follow the store'");
    // Longer than the watchdog's limit, several times.
    let before = machine.property("upstreamd", "WatchdogTimestampMonotonic").parse::<u64>().unwrap();
    wait_until("signs of life during the outage", DEADLINE, || {
        machine.property("upstreamd", "WatchdogTimestampMonotonic").parse::<u64>().unwrap() > before + 15_000_000
    });
    assert_eq!(machine.property("upstreamd", "NRestarts"), "0");
    machine.start_etcd_again();
    machine.sh("kill -STOP $(systemctl show -p MainPID --value upstreamd)");
    machine.wait("the restart", "[ $(systemctl show -p NRestarts --value upstreamd) -ge 1 ]");
    machine.wait_property("upstreamd", "ActiveState", "active");
    assert!(machine.journal().contains("Watchdog timeout"), "{}", machine.journal());
}

impl Machine {
    fn start_etcd_again(&self) {
        self.try_sh("systemctl reset-failed etcd-test");
        self.start_etcd();
        self.sh("etcdctl put /app/x one");
    }
}

#[test]
#[ignore = "needs a Docker engine: make systemd-test"]
fn a_stop_in_the_middle_of_a_transaction_lets_it_end() {
    let machine = Machine::installed();
    machine.sh("cat >/usr/local/bin/slow-reload <<'END'
#!/bin/sh
touch /run/begun
until test -e /run/go; do sleep 0.1; done
touch /run/done
END
         chmod +x /usr/local/bin/slow-reload
         sed -i 's|^reload_cmd.*|reload_cmd = \"slow-reload\"|; s|^check_cmd.*||' /etc/upstreamd/conf.d/app.toml
         sed -i 's|/etc/nginx/conf.d/app.conf|/etc/nginx/app.txt|' /etc/upstreamd/conf.d/app.toml");
    machine.start_etcd();
    machine.sh("touch /run/go && etcdctl put /app/x one && systemctl start upstreamd
         rm /run/go /run/begun /run/done && etcdctl put /app/x two");
    machine.wait("the reload command", "test -e /run/begun");
    machine.sh("systemctl stop --no-block upstreamd");
    machine.wait_property("upstreamd", "ActiveState", "deactivating");
    machine.sh("! test -e /run/done && touch /run/go");
    machine.wait_property("upstreamd", "ActiveState", "inactive");
    machine.sh("test -e /run/done && grep -qx '# two' /etc/nginx/app.txt");
    assert_eq!(machine.property("upstreamd", "Result"), "success");
    // Nothing is owed: the next start does nothing more.
    machine.sh("rm /run/begun && systemctl start upstreamd");
    machine.wait_property("upstreamd", "StatusText", "in sync.*");
    assert!(!machine.try_sh("test -e /run/begun").0);
}

#[test]
#[ignore = "needs a Docker engine: make systemd-test"]
fn several_agents_run_side_by_side() {
    let machine = Machine::installed();
    machine.start_etcd();
    machine.sh("etcdctl put /app/x one
         for name in one two; do
             mkdir -p /etc/upstreamd/$name
             cp -r /etc/upstreamd/conf.d /etc/upstreamd/templates /etc/upstreamd/$name/
             sed -i \"s|/etc/nginx/conf.d/app.conf|/etc/nginx/$name.txt|; /_cmd/d\" /etc/upstreamd/$name/conf.d/app.toml
         done
         systemctl start upstreamd@one upstreamd@two
         grep -qx '# one' /etc/nginx/one.txt && grep -qx '# one' /etc/nginx/two.txt
         test -d /var/lib/upstreamd/one && test -d /var/lib/upstreamd/two");
}

#[test]
#[ignore = "needs a Docker engine: make systemd-test"]
fn the_sidekick_announces_its_app_for_as_long_as_it_runs() {
    let machine = Machine::installed();
    machine.copy(Path::new(&program("reflector")), "/usr/local/bin/app");
    machine.start_etcd();
    machine.sh("systemctl start app@8080");
    machine.wait("the key", "etcdctl get --prefix /services/app/ | grep -q 8080");
    machine.wait_property("app-announce@8080", "ActiveState", "active");
    machine.sh("systemctl stop app@8080");
    machine.wait("the key to go", "! etcdctl get --prefix --keys-only /services/app/ | grep -q .");
    machine.wait_property("app-announce@8080", "ActiveState", "inactive");
}

#[test]
#[ignore = "needs a Docker engine: make systemd-test"]
fn the_units_are_sound_and_as_exposed_as_the_docs_say() {
    let machine = Machine::installed();
    machine.sh("touch /usr/local/bin/app && chmod +x /usr/local/bin/app");
    let docs = std::fs::read_to_string(package_root().join("docs/systemd.md")).unwrap();
    assert_eq!(machine.sh("systemd-analyze verify --man=no upstreamd.socket").trim(), "");
    for unit in ["upstreamd.service", "upstreamd@.service", "app@.service", "app-announce@.service"] {
        let instance = unit.replace('@', "@8080");
        // Our manual page is not in this machine.
        let verified = machine.sh(&format!("systemd-analyze verify --man=no {instance}"));
        assert_eq!(verified.trim(), "", "{unit}");
        let security = machine.try_sh(&format!("systemd-analyze security --no-pager {instance}")).1;
        let figure =
            security.lines().find_map(|line| line.split_once("exposure level for")?.1.split_once(": ")).unwrap();
        let figure = figure.1.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let row = format!("| `{unit}` | {figure} |");
        assert!(docs.contains(&row), "docs/systemd.md does not say: {row}");
    }
}

/// The newest package that `scripts/package.sh` has left.
fn package() -> PathBuf {
    let entries = std::fs::read_dir(package_root().join("target/debian")).expect("no package: make package");
    let files = entries.flatten().map(|entry| entry.path());
    let packages = files.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    packages
        .max_by_key(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
        .expect("no package: make package")
}

#[test]
#[ignore = "needs a Docker engine and a package: make systemd-test"]
fn the_package_installs_runs_and_goes_without_a_trace() {
    let machine = Machine::boot();
    machine.copy(&package(), "/tmp-upstreamd.deb");
    machine.sh("dpkg -i /tmp-upstreamd.deb");
    machine.sh("upstreamd --version && test -d /var/lib/upstreamd && ! test -e /etc/upstreamd/conf.d");
    for file in [
        "/lib/systemd/system/upstreamd.service",
        "/lib/systemd/system/upstreamd@.service",
        "/lib/systemd/system/upstreamd.socket",
        "/usr/share/man/man1/upstreamd.1.gz",
        "/usr/share/man/man1/upstreamd-check.1.gz",
        "/usr/share/bash-completion/completions/upstreamd",
        "/usr/share/doc/upstreamd/examples/systemd/app@.service",
        "/usr/share/doc/upstreamd/examples/conf.d/app.toml",
    ] {
        machine.sh(&format!("dpkg -L upstreamd | grep -qxF '{file}' || {{ echo missing {file}; false; }}"));
    }
    // Installing starts nothing: there is nothing to keep true yet.
    assert_eq!(machine.property("upstreamd", "ActiveState"), "inactive");
    // A confd installation goes on as it is: no conf.d of ours hides it.
    machine.configure();
    machine.sh("mkdir /etc/confd && mv /etc/upstreamd/* /etc/confd/ && rmdir /etc/upstreamd");
    machine.start_etcd();
    machine.sh("etcdctl put /app/x one && systemctl start nginx && systemctl start upstreamd");
    assert_eq!(machine.sh("cat /etc/nginx/conf.d/app.conf").trim(), "# one");
    machine.sh("systemctl enable -q upstreamd && apt-get -qq -y purge upstreamd");
    machine.sh("! test -e /usr/bin/upstreamd && ! test -e /var/lib/upstreamd && ! pgrep -x upstreamd");
    machine.sh("test -e /etc/nginx/conf.d/app.conf && test -e /etc/confd/conf.d/app.toml");
    assert!(!machine.try_sh("systemctl cat upstreamd").0);
}
