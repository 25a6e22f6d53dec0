//! The alert rules and the dashboard: promtool reads the rules and holds them to their texts, and every query is one that Prometheus
//! understands, of series that a real agent has.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use upstreamd::model::status::ConditionKind;
use upstreamd::status::names;

use crate::support::agent::Sandbox;
use crate::support::{free_port, package_root, temp_dir};

fn promtool(arguments: &[&str]) -> Output {
    let ran = Command::new("promtool").args(arguments).current_dir(package_root()).output();
    ran.expect("promtool is missing: make setup installs it")
}

#[track_caller]
fn expect_success(ran: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
}

#[test]
fn each_alert_fires_with_its_texts() {
    expect_success(&promtool(&["check", "rules", "monitoring/alerts.yaml"]));
    expect_success(&promtool(&["test", "rules", "tests/prometheus/alerts.test.yaml"]));
}

#[test]
fn each_kind_of_condition_has_an_alert_and_a_test_of_it() {
    let rules = fs::read_to_string(package_root().join("monitoring/alerts.yaml")).unwrap();
    let tests = fs::read_to_string(package_root().join("tests/prometheus/alerts.test.yaml")).unwrap();
    // What announcers do not announce is no matter of the agent, and not in its metrics.
    for kind in ConditionKind::ALL.into_iter().filter(|kind| *kind != ConditionKind::NotAnnounced) {
        let word = format!("kind=\"{}\"", kind.word());
        assert!(rules.contains(&word) && tests.contains(&word), "{word}");
    }
    let alerts = |text: &str, before: &str| text.lines().filter(|line| line.trim().starts_with(before)).count();
    assert_eq!(alerts(&rules, "- alert: "), alerts(&tests, "alertname: "));
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let text = fs::read_to_string(package_root().join("monitoring/grafana.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_dashboards_queries_are_understood() {
    let folder = temp_dir();
    let rule = |(n, query): (usize, &String)| {
        let query = query.replace("$instance", ".*").replace("$__rate_interval", "5m");
        format!("      - record: query:{n}\n        expr: {}\n", serde_json::to_string(&query).unwrap())
    };
    let rules: String = queries().iter().enumerate().map(rule).collect();
    let file = folder.path().join("rules.yaml");
    fs::write(&file, format!("groups:\n  - name: dashboard\n    rules:\n{rules}")).unwrap();
    expect_success(&promtool(&["check", "rules", file.to_str().unwrap()]));
}

#[test]
fn the_dashboards_series_are_on_the_page_of_an_agent() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "reload_cmd = \"true\"");
    sandbox.set_store("v: {x: one}\n");
    let port = free_port();
    let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    crate::status::wait_answer(port, "/ready", 200);
    let page = crate::status::wait_answer(port, "/metrics", 200).body;
    let on_page = |name: &str| page.lines().any(|line| line.starts_with(name));
    // These come with the first event of their kind: the table of metrics has their names.
    let in_table: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    let is_name = |word: &&str| word.starts_with("upstreamd_") || word.starts_with("process_");
    for query in queries() {
        for name in query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(is_name) {
            let name = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(on_page(name) || in_table.contains(name), "{name} in {query}");
        }
    }
    for name in ["upstreamd_in_sync 1", "upstreamd_serving 1", "upstreamd_store_revision{", "upstreamd_reloads_total{"]
    {
        assert!(on_page(name), "{name}:\n{page}");
    }
}
