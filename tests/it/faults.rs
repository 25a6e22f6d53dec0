//! Ten faults on a real etcd, nginx and backend. For each, `status`, `explain`, the metrics, the page and the alert name the same
//! cause and the same start, and all are clean when the cause is gone. Prints how long that took.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::{Nginx, http_get};
use crate::support::template::table;
use crate::support::{Daemon, free_port, package_root, temp_dir, wait_or};

/// An agent on etcd that drives nginx: a list of backends with guards, a directive with a value of the store, and a zone that nginx
/// does not let a reload change.
struct Site {
    etcd: Etcd,
    nginx: Nginx,
    sandbox: Sandbox,
    front: u16,
    pages: u16,
    _agent: Daemon,
}

/// How a fault shows.
struct Shown {
    kind: &'static str,
    alert: &'static str,
    /// A part of one of its causes.
    cause: String,
    /// What is asked to be explained.
    explained: &'static str,
    /// Exit code of `status`.
    code: i32,
}

const ZONE: &str = "/zone/key";

impl Site {
    fn new() -> Site {
        let etcd = Etcd::start();
        let mut nginx = Nginx::builder().build();
        let sandbox = Sandbox::on_etcd(&etcd.url());
        let (front, pages) = (free_port(), free_port());
        sandbox.template(
            "web.tera",
            &format!(
                "upstream web {{\n    {{{{ servers(prefix=\"/services/web\") }}}}\n}}\n\
                 server {{ listen 127.0.0.1:{front}; client_header_timeout 60s; location / {{ proxy_pass http://web; }} }}\n"
            ),
        );
        sandbox.template("size.tera", "client_max_body_size {{ getv(key=\"/size\") }};\n");
        sandbox.template("zone.tera", "limit_req_zone ${{ getv(key=\"/zone/key\") }} zone=one:1m rate=9r/s;\n");
        let hang = sandbox.text_path("hang");
        let check = format!("while [ -e {hang} ]; do sleep 0.05; done; {}", nginx.check_command());
        let resource = |name: &str, keys: &str, more: &str| {
            let dest = nginx.http_file(&format!("{name}.conf"));
            let lines = table(format!("{name}.tera"), dest.display())
                .keys(&[keys])
                .set("check_cmd", &check)
                .set("reload_cmd", nginx.reload_command())
                .lines(more);
            sandbox.resource(name, &lines);
        };
        resource("web", "/services/web", "on_empty = \"keep\"\nmax_drop_percent = 60\nmax_drop_hold = \"1h\"");
        resource("size", "/size", "");
        resource("zone", "/zone", "");
        for (key, value) in [("/size", "1m"), (ZONE, "binary_remote_addr")] {
            etcd.put(key, value);
        }
        nginx.start();
        let agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{pages}")]);
        let site = Site { etcd, nginx, sandbox, front, pages, _agent: agent };
        put_backends(&site, 1..=4);
        site.wait_clean("the start");
        site
    }

    fn status(&self) -> Value {
        let answer = http_get(self.pages, "localhost", "/api/status").ok();
        answer.and_then(|answer| serde_json::from_str(&answer.body).ok()).unwrap_or_default()
    }

    fn page(&self, path: &str) -> String {
        http_get(self.pages, "localhost", path).map(|answer| answer.body).unwrap_or_default()
    }

    fn conditions(&self) -> Vec<Value> {
        self.status()["conditions"].as_array().cloned().unwrap_or_default()
    }

    fn wait_clean(&self, what: &str) {
        let started = Instant::now();
        let is_clean = || {
            let status = self.status();
            (status["sync"]["ok"] == true && status["conditions"] == serde_json::json!([])).then_some(())
        };
        wait_or(DEADLINE, is_clean, || format!("{what}: not clean: {:#?}\n{}", self.conditions(), self.sandbox.log()));
        println!("{what}: clean after {} ms", started.elapsed().as_millis());
        assert_eq!(self.sandbox.run(&["status"]).code, Some(0), "{what}");
        let page = self.page("/");
        let (_, answers) = page.split_once("<main").unwrap();
        let (answers, _) = answers.split_once("<div class=\"columns\">").unwrap();
        assert!(answers.contains("In sync with the store: <strong>yes</strong>"), "{what}: {answers}");
        assert!(answers.contains("Nothing is held, owed, refused or failing."), "{what}: {answers}");
        assert!(!self.page("/metrics").contains("upstreamd_condition_since_seconds{"), "{what}");
    }

    /// Keeps what a person sees, to be looked at, if FAULTS_FOLDER names a folder for it.
    fn keep(&self, what: &str, status: &str) {
        if let Some(folder) = std::env::var_os("FAULTS_FOLDER").map(std::path::PathBuf::from) {
            let name = what.replace(' ', "-");
            fs::write(folder.join(format!("{name}.txt")), status).unwrap();
            fs::write(folder.join(format!("{name}.html")), self.page("/")).unwrap();
        }
    }

    /// Waits until the fault shows, and checks that all views agree.
    fn check(&self, what: &str, expected: &Shown) {
        let started = Instant::now();
        let is_it = |condition: &Value| {
            let causes = condition["causes"].as_array().cloned().unwrap_or_default();
            let names_it = causes.iter().any(|cause| cause.to_string().contains(&expected.cause));
            condition["kind"] == expected.kind && names_it
        };
        let found = || self.conditions().into_iter().find(is_it);
        let problem = || format!("{what}: {:#?}\n{}", self.conditions(), self.sandbox.log());
        let condition = wait_or(DEADLINE, found, problem);
        println!("{what}: shown after {} ms", started.elapsed().as_millis());
        let text = |member: &str| condition[member].as_str().unwrap_or_default().to_owned();
        let since = text("since");
        assert!(since.parse::<jiff::Timestamp>().is_ok() && text("advice").len() > 10, "{condition}");
        let ran = self.sandbox.run(&["status"]).expect_code(expected.code);
        for part in [text("summary"), text("advice"), since.clone(), expected.cause.clone()] {
            assert!(ran.stdout.contains(&part), "{what}: status lacks {part:?}:\n{}", ran.stdout);
        }
        self.keep(what, &ran.stdout);
        let explained = self.sandbox.run(&["explain", expected.explained]);
        for part in [text("summary"), since.clone(), expected.cause.clone()] {
            assert!(explained.stdout.contains(&part), "{what}: explain lacks {part:?}:\n{}", explained.stdout);
        }
        let page = self.page("/");
        let escaped = |text: &str| {
            [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")]
                .iter()
                .fold(text.to_owned(), |text, (character, entity)| text.replace(*character, entity))
        };
        for part in [
            escaped(&text("summary")),
            escaped(&text("advice")),
            escaped(&expected.cause),
            format!("<time datetime=\"{since}\">"),
        ] {
            assert!(page.contains(&part), "{what}: the page lacks {part:?}");
        }
        let metrics = self.page("/metrics");
        let at = since.parse::<jiff::Timestamp>().unwrap().as_second();
        let series = format!("upstreamd_condition_since_seconds{{kind=\"{}\"", expected.kind);
        let line = metrics.lines().find(|line| line.starts_with(&series) && line.ends_with(&format!(" {at}")));
        assert!(line.is_some(), "{what}: no series {series} … {at}:\n{metrics}");
        assert!(alerts(&metrics).contains(expected.alert), "{what}: {:?}", alerts(&metrics));
    }
}

/// The names of the alerts that fire if the conditions on this page last for two hours.
fn alerts(metrics: &str) -> BTreeSet<String> {
    let series: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("upstreamd_condition_since_seconds{")).collect();
    let folder = temp_dir();
    let rules = package_root().join("monitoring/alerts.yaml");
    let names: Vec<String> = fs::read_to_string(&rules)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned))
        .collect();
    let mut input = String::new();
    for line in series {
        let (series, value) = line.rsplit_once(' ').unwrap();
        input +=
            &format!("      - series: {}\n        values: '{value}x130'\n", serde_json::to_string(series).unwrap());
    }
    // promtool names each alert that was expected to be silent and is not.
    let silent: String = names
        .iter()
        .map(|name| format!("      - eval_time: 2h\n        alertname: {name}\n        exp_alerts: []\n"))
        .collect();
    let text = format!(
        "rule_files: [{}]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{input}    \
         alert_rule_test:\n{silent}",
        rules.display()
    );
    let file = folder.path().join("test.yaml");
    fs::write(&file, text).unwrap();
    let ran = Command::new("promtool").args(["test", "rules"]).arg(&file).output().expect("promtool: make setup");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    let fires = |name: &String| said.contains(&format!("alertname: {name},"));
    let firing: BTreeSet<String> = names.iter().filter(|name| fires(name)).cloned().collect();
    assert_eq!(ran.status.success(), firing.is_empty(), "{said}");
    firing
}

fn shown(kind: &'static str, alert: &'static str, cause: &str, explained: &'static str, code: i32) -> Shown {
    Shown { kind, alert, cause: cause.to_owned(), explained, code }
}

#[test]
fn each_of_ten_faults_is_named_everywhere_and_heals() {
    let mut site = Site::new();

    site.etcd.put("/size", "elephant");
    site.check("a refused value", &shown("check_refused", "UpstreamdCheckRefused", "size.conf:1", "/size", 6));
    site.etcd.put("/size", "2m");
    site.wait_clean("a refused value");

    site.etcd.put("/services/web/5", "no backend at all");
    let expected = shown("key_skipped", "UpstreamdKeySkipped", "/services/web/5", "/services/web/5", 6);
    site.check("a key that is no backend", &expected);
    site.etcd.delete("/services/web/5");
    site.wait_clean("a key that is no backend");

    site.etcd.kill();
    site.check("the store away", &shown("store_away", "UpstreamdStoreAway", "etcd", "web.toml", 4));
    site.etcd.start_again();
    site.wait_clean("the store away");

    for n in 1..=4 {
        site.etcd.delete(&format!("/services/web/{n}"));
    }
    site.check("the store emptied", &shown("held", "UpstreamdHeld", "/services/web", "/services/web/1", 12));
    put_backends(&site, 1..=4);
    site.wait_clean("the store emptied");

    for n in 1..=3 {
        site.etcd.delete(&format!("/services/web/{n}"));
    }
    site.check("a mass loss held", &shown("held", "UpstreamdHeld", "/services/web", "web.toml", 12));
    put_backends(&site, 1..=3);
    site.wait_clean("a mass loss held");

    fs::write(site.sandbox.path("hang"), "").unwrap();
    site.etcd.put("/size", "3m");
    site.check("a check that hangs", &shown("slow", "UpstreamdSlow", "hang", "size.toml", 15));
    fs::remove_file(site.sandbox.path("hang")).unwrap();
    site.wait_clean("a check that hangs");

    site.etcd.put(ZONE, "server_name");
    site.check("a reload refused", &shown("reload_refused", "UpstreamdReloadRefused", ZONE, "/zone/key", 8));
    site.etcd.put(ZONE, "binary_remote_addr");
    site.wait_clean("a reload refused");

    site.nginx.stop();
    site.etcd.put("/size", "4m");
    site.check("a reload owed", &shown("reload_owed", "UpstreamdReloadOwed", "nginx of ", "size.toml", 13));
    site.check("the key that waits", &shown("reload_owed", "UpstreamdReloadOwed", "nginx.pid", "/size", 13));
    site.check("nginx away", &shown("nginx_away", "UpstreamdNginxAway", "nginx.pid", "size.toml", 13));
    site.nginx.start();
    site.wait_clean("a reload owed");

    let template = fs::read_to_string(site.sandbox.path("etc/templates/size.tera")).unwrap();
    site.sandbox.template("size.tera", "{% if %}");
    site.check("a broken template", &shown("broken", "UpstreamdBroken", "size.tera:1:", "size.toml", 3));
    site.sandbox.template("size.tera", &template);
    site.wait_clean("a broken template");

    let mut pinning = TcpStream::connect(("127.0.0.1", site.front)).unwrap();
    pinning.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
    site.etcd.put("/size", "5m");
    site.check("a pinned worker", &shown("old_workers", "UpstreamdOldWorkers", "nginx worker", "size.toml", 0));
    drop(pinning);
    site.wait_clean("a pinned worker");
}

fn put_backends(site: &Site, numbers: std::ops::RangeInclusive<u16>) {
    for n in numbers {
        site.etcd.put(&format!("/services/web/{n}"), &format!("127.0.0.{n}:{}", site.nginx.status_port));
    }
}
