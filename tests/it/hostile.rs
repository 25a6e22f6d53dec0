//! Hostile values through every shipped template: nothing comes out that is not in the template, as a parser that is not ours
//! reads it, and nginx keeps serving.

mod corpus;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::range::KeyRanges;
use upstreamd::model::resource::Escape;
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::render::{Memory, Renderer, Root, TemplateSources, compile};

use crate::render::facts::FixedFacts;
use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::nginx::{Nginx, http_get};
use crate::support::template::table;
use crate::support::{free_port, package_root, temp_dir, wait_until};

/// A directive as crossplane sees it: the blocks it stands in, its name, its arguments.
type Directive = (Vec<String>, String, Vec<String>);

const GOOD: &str = "127.0.0.1:8001";

/// The shipped templates, each with the folder of its keys.
const SHIPPED: &[(&str, &str)] =
    &[("app.conf.tera", "/services"), ("web.conf.tera", "/services/web"), ("echo.conf.tera", "/services/echo")];

fn renderer(name: &str, text: &str) -> Renderer {
    let sources: TemplateSources = [(name.to_owned(), Arc::from(text))].into_iter().collect();
    let (renderer, problems) = compile(&sources, &[Root::tera(name, Escape::Nginx)], Arc::new(FixedFacts));
    assert!(problems.is_empty(), "{problems:?}");
    renderer
}

fn view(folder: &str, values: &[String]) -> View {
    let entry = |(n, value): (usize, &String)| {
        // A key may be as hostile as a value.
        let name = if n % 7 == 6 && n + 1 < values.len() { format!("{n}; }} server {{") } else { n.to_string() };
        (Key::from(format!("{folder}/{name}").as_str()), Value::from_bytes(value.as_bytes()))
    };
    let tree = Tree::from_entries(Revision(1), values.iter().enumerate().map(entry));
    View::new(tree, Arc::from(""), KeyRanges::of_directories(["/services"]))
}

/// Every directive of these files.
fn parsed(files: &[PathBuf]) -> BTreeMap<PathBuf, Vec<Directive>> {
    let project = package_root();
    let python = project.join("target/tools/bin/python");
    assert!(python.exists(), "{} is missing: run `make tools`", python.display());
    let output = Command::new(python).arg(project.join("tests/it/hostile/parse.py")).args(files).output().unwrap();
    assert!(output.status.success(), "not nginx syntax: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A `server` of an upstream that is nothing but an address that the values announce, and known parameters.
fn is_plain_server((blocks, name, arguments): &Directive, values: &[String]) -> bool {
    let [address, parameters @ ..] = arguments.as_slice() else { return false };
    let Ok(parsed) = address.parse::<SocketAddr>() else { return false };
    let (host, port) = (parsed.ip().to_string(), parsed.port().to_string());
    let announced = values.iter().any(|value| value.contains(&host) && value.contains(&port));
    let is_known = |parameter: &String| match parameter.split_once('=') {
        None => matches!(parameter.as_str(), "backup" | "down"),
        Some(("fail_timeout", value)) => value.strip_suffix('s').is_some_and(|n| n.parse::<u16>().is_ok()),
        Some(("weight" | "max_fails" | "max_conns", value)) => value.parse::<u16>().is_ok(),
        Some(_) => false,
    };
    let canonical = parsed.to_string() == *address;
    blocks.last().is_some_and(|block| block == "upstream")
        && name == "server"
        && canonical
        && announced
        && parameters.iter().all(is_known)
}

#[test]
fn no_value_becomes_a_directive_in_any_shipped_template() {
    let values = corpus::values(GOOD);
    assert!(values.len() > 4000, "{}", values.len());
    let dir = temp_dir();
    let templates = package_root().join("templates");
    assert_eq!(std::fs::read_dir(&templates).unwrap().count(), SHIPPED.len(), "a template that is not tried here");
    for (template, folder) in SHIPPED {
        let renderer = renderer(template, &std::fs::read_to_string(templates.join(template)).unwrap());
        let write = |name: &str, values: &[String]| {
            let bytes = renderer
                .render(Root::tera(template, Escape::Nginx), &view(folder, values), &mut Memory::default())
                .result;
            let path = dir.path().join(format!("{template}-{name}"));
            std::fs::write(&path, bytes.unwrap_or_else(|error| panic!("{template}: {error}"))).unwrap();
            path
        };
        let plain = [write("empty", &[]), write("good", &[GOOD.to_owned()])];
        let chunks: Vec<Vec<String>> = values.chunks(100).map(|chunk| [chunk, &[GOOD.to_owned()]].concat()).collect();
        let files: Vec<PathBuf> = chunks.iter().enumerate().map(|(n, chunk)| write(&n.to_string(), chunk)).collect();
        let baseline = parsed(&plain);
        // `random two` goes where there is a backup, which nginx has not beside it.
        let mut allowed: BTreeSet<Directive> = baseline.into_values().flatten().collect();
        allowed.insert((vec!["upstream".into()], "least_conn".into(), vec![]));
        let found = parsed(&files);
        for (file, chunk) in files.iter().zip(&chunks) {
            let directives = &found[file];
            for directive in directives {
                let fine = allowed.contains(directive) || is_plain_server(directive, chunk);
                assert!(fine, "{template}: {directive:?} in\n{}", std::fs::read_to_string(file).unwrap());
            }
            let good = directives
                .iter()
                .any(|(_, name, arguments)| name == "server" && arguments.first().is_some_and(|a| a == GOOD));
            assert!(good, "{template}: the good backend is missing");
        }
    }
}

#[test]
fn a_template_prints_values_whole_or_fails_by_name() {
    let renderer = renderer(
        "raw",
        "upstream u {\n{% for p in gets(pattern=\"/services/*\") %}server {{ p.value }};\n{% endfor %}}\n",
    );
    let dir = temp_dir();
    let mut files = Vec::new();
    let mut refused = 0;
    for (n, value) in corpus::values(GOOD).into_iter().enumerate() {
        let view = view("/services", &["127.0.0.1:1".to_owned(), value.clone()]);
        match renderer.render(Root::tera("raw", Escape::Nginx), &view, &mut Memory::default()).result {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("/services/1"), "{error}");
                assert!(value.len() < 8 || !error.to_string().contains(&value), "a value in an error: {error}");
            }
            Ok(bytes) => {
                let path = dir.path().join(n.to_string());
                std::fs::write(&path, bytes).unwrap();
                files.push((path, value));
            }
        }
    }
    assert!(refused > 1000, "{refused}");
    let found = parsed(&files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>());
    for (path, value) in &files {
        let arguments = if value.is_empty() { vec![] } else { vec![value.clone()] };
        let servers: Vec<&Directive> = found[path].iter().filter(|(_, name, _)| name == "server").collect();
        assert_eq!((found[path].len(), servers.len()), (3, 2), "{value:?}");
        assert_eq!(servers[1].2, arguments, "{value:?}");
    }
}

#[test]
fn the_classic_resource_serves_its_good_backends_throughout() {
    let port = free_port();
    let mut nginx = Nginx::builder().build();
    // A server of its own: one that is reloaded itself closes kept-alive connections under the balancer's requests.
    let backend = Nginx::started();
    let good = format!("127.0.0.1:{}", backend.status_port);
    let sandbox = Sandbox::new();
    let shipped = package_root().join("templates/app.conf.tera");
    let text = std::fs::read_to_string(shipped).unwrap();
    sandbox.template("app.tera", &text.replace("listen = \"80\"", &format!("listen = \"127.0.0.1:{port}\"")));
    let dest = nginx.http_file("app.conf");
    sandbox.resource(
        "app",
        &table("app.tera", dest.display()).keys(&["/services"]).driving(&nginx).set("min_reload_interval", "0s"),
    );
    let store = |values: &[String], marker: usize| {
        let mut all = values.to_vec();
        all.push(good.clone());
        all.push(format!("{{\"host\": \"127.0.0.1\", \"port\": {}, \"state\": \"down\"}}", 20_000 + marker));
        let named: serde_json::Map<String, serde_json::Value> =
            all.into_iter().enumerate().map(|(n, value)| (n.to_string(), value.into())).collect();
        // JSON is YAML, and says every character.
        serde_json::json!({ "services": named }).to_string()
    };
    sandbox.set_store(&store(&[], 0));
    sandbox.onetime().expect_code(0);
    nginx.start();
    let _agent = sandbox.watch();
    for (n, chunk) in corpus::values(&good).chunks(500).enumerate() {
        sandbox.set_store(&store(chunk, n + 1));
        let marker = format!("server 127.0.0.1:{} ", 20_001 + n);
        wait_until(&format!("chunk {n}"), DEADLINE, || {
            assert_eq!(http_get(port, "app.example.com", "/ready").unwrap().status, 200, "{}", sandbox.log());
            std::fs::read_to_string(&dest).unwrap().contains(&marker)
        });
    }
    sandbox.set_store(&store(&[], 999));
    wait_until("the right end", DEADLINE, || {
        let live = std::fs::read_to_string(&dest).unwrap();
        live.matches("    server 127.0.0.1:").count() == 2 && live.contains("20999") && live.contains(&good)
    });
    let log = sandbox.log();
    assert!(!log.contains("failed"), "{}", &log[log.find("failed").unwrap()..][..2000.min(log.len())]);
    assert!(!log.contains("pwned") && !log.contains("ssl_engine"), "a value in the log");
}
