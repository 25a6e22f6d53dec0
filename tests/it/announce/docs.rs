//! Every example of docs/announce.md is run, with the test's own addresses put in, and its table is the code's.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use upstreamd::config::service::{PROPERTIES, parse_file};

use super::{Backend, World};
use crate::support::{free_port, package_root, program};

fn page() -> String {
    fs::read_to_string(package_root().join("docs/announce.md")).unwrap()
}

fn blocks(language: &str) -> Vec<String> {
    let (page, fence) = (page(), format!("```{language}\n"));
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The example with addresses that lead to the test's backend, and the folder of the page's files.
fn here(text: &str, world: &World, backend: &Backend) -> String {
    text.replace("http://127.0.0.1:2379", &world.etcd.url())
        .replace("10.0.0.5:8080", &backend.address())
        .replace("auto:8080", &format!("auto:{}", backend.port))
        .replace("auto:5432", &format!("auto:{}", backend.port))
        .replace("/etc/upstreamd/announce.d", &world.sandbox.text_path("announce.d"))
}

#[test]
fn every_command_line_announces() {
    let lines: Vec<String> = blocks("sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
    let announces = |line: &String| line.contains(" announce ") && !line.contains(" -- ");
    let lines: Vec<String> = lines.into_iter().filter(announces).collect();
    assert!(lines.len() >= 3, "{lines:?}");
    for line in lines {
        let mut world = World::new();
        let backend = Backend::saying("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
        world.sandbox.store.clear();
        let folder = world.sandbox.path("announce.d");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.toml"), here(&blocks("toml")[0], &world, &backend)).unwrap();
        let arguments: Vec<String> = here(&line, &world, &backend).split_whitespace().map(str::to_owned).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).skip(1).collect();
        let _announcer = world.sandbox.start(&arguments);
        let entry = world.wait_one("/services/web/");
        let json: serde_json::Value = serde_json::from_str(&entry.value).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&blocks("json")[0]).unwrap();
        let members = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(members(&json), members(&shown), "the page shows other members");
        if line.contains("--config-dir") {
            world.wait_one("/services/db/");
        }
    }
}

#[test]
fn the_command_line_with_a_command_runs_it() {
    let lines: Vec<String> = blocks("sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
    let lines: Vec<String> = lines.into_iter().filter(|line| line.contains(" -- ")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let mut world = World::new();
    world.sandbox.store.clear();
    let port = free_port();
    let line =
        lines[0].replace("http://127.0.0.1:2379", &world.etcd.url()).replace("auto:8443", &format!("auto:{port}"));
    let program = format!("-- {} --listen 127.0.0.1:{port}", program("nano-container"));
    let line = line.replace("-- nano-container", &program);
    let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
    let announcer = world.sandbox.start_with_command(&arguments);
    world.wait_one("/services/web/");
    announcer.signal(Signal::SIGTERM);
    world.sandbox.wait_log("draining:");
    announcer.signal(Signal::SIGTERM);
    world.wait_none("/services/web/");
}

#[test]
fn the_file_shown_is_right() {
    let services = parse_file(Path::new("a.toml"), &blocks("toml")[0]).unwrap();
    let names: Vec<&str> = services.iter().map(|placed| placed.service.name.as_str()).collect();
    assert_eq!(names, ["web", "db"]);
}

#[test]
fn the_table_has_every_flag_with_its_default() {
    let page = page();
    for property in PROPERTIES {
        let flag = property.name.replace('_', "-");
        let row = page.lines().find(|line| line.starts_with(&format!("| `--{flag}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/announce.md does not list --{flag}"));
        let default = row.split('|').nth(2).unwrap().trim().trim_matches('`');
        if let Some(expected) = property.default.filter(|default| !default.is_empty() && *default != "false") {
            assert_eq!(default, expected, "--{flag}");
        }
    }
}
