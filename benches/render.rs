//! How long compiling and rendering take, as a table: median and worst of many rounds, in microseconds.
//! The first render of a resource, and the render after one key changed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures the world")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use upstreamd::model::dns::Srv;
use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::range::KeyRanges;
use upstreamd::model::resource::{Engine, Escape};
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::nginx::installation::Version;
use upstreamd::render::{Facts, Memory, Renderer, Root, TemplateSources, compile};

struct NoFacts;

impl Facts for NoFacts {
    fn instant(&self) -> Instant {
        Instant::now()
    }
    fn render_timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(10))
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
    fn now(&self) -> jiff::Zoned {
        jiff::Zoned::now()
    }
    fn file_exists(&self, _: &str) -> bool {
        false
    }
    fn hostname(&self) -> Result<String, String> {
        Err("none".to_owned())
    }
    fn lookup_ip(&self, _: &str, _: Option<Duration>) -> Result<Vec<IpAddr>, String> {
        Ok(Vec::new())
    }
    fn lookup_srv(&self, _: &str, _: &str, _: &str, _: Option<Duration>) -> Result<Vec<Srv>, String> {
        Ok(Vec::new())
    }
    fn interface_addresses(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
    fn nginx_version(&self, _: Option<&std::path::Path>) -> Option<Version> {
        None
    }
}

const UPSTREAM: &str = "upstream web {\n{% for b in gets(pattern=\"/services/web/*\") -%}\n\
    server {{ b.value }}; # {{ b.key }}\n{% endfor %}}\n";
const VALUES: &str = "{% for v in getvs(pattern=\"/services/web/*\") -%}\nserver {{ v }};\n{% endfor %}\n";
const NESTED: &str = "{% for s in ls(dir=\"/services\") -%}\nupstream {{ s }} {\n\
    {% for v in getvs(pattern=\"/services/\" ~ s ~ \"/*\") -%}\nserver {{ v }};\n{% endfor %}}\n{% endfor %}\n";

const GO_UPSTREAM: &str = "upstream web {\n{{range gets \"/services/web/*\"}}server {{.Value}}; # {{.Key}}\n{{end}}}\n";
const GO_VALUES: &str = "{{range getvs \"/services/web/*\"}}server {{.}};\n{{end}}\n";
const GO_NESTED: &str = "{{range $s := ls \"/services\"}}upstream {{$s}} {\n\
    {{range getvs (printf \"/services/%s/*\" $s)}}server {{.}};\n{{end}}}\n{{end}}";

const BACKENDS: &str = "{% for b in backends(prefix=\"/services/web\") -%}\nserver {{ b.address }};\n{% endfor %}\n";
const DECODED: &str = "{{ backends(prefix=\"/services/web\") | length }}";

fn main() {
    // First, while nothing freed by other cases can hide it.
    remembering();
    println!("{:<50} {:>10} {:>10} {:>10}", "case", "first us", "next us", "worst us");
    for escape in [Escape::None, Escape::Nginx] {
        for backends in [10, 1_000, 10_000] {
            let tree = tree_of((0..backends).map(|i| (backend(i), address(i))));
            for (engine, upstream, values) in [(Engine::Tera, UPSTREAM, VALUES), (Engine::Go, GO_UPSTREAM, GO_VALUES)] {
                let root = Root::new("t", engine, escape);
                let name = format!("{engine:?} gets, 2 prints, {backends} backends, {escape:?}");
                changes(&name, upstream, root, tree.clone(), backends);
                if escape == Escape::None {
                    changes(
                        &format!("{engine:?} getvs, 1 print, {backends} backends"),
                        values,
                        root,
                        tree.clone(),
                        backends,
                    );
                }
            }
        }
    }
    let texts = || tree_of((0..10_000).map(|i| (backend(i), address(i))));
    let records = || tree_of((0..10_000).map(|i| (backend(i), record(i))));
    let tera = Root::tera("t", Escape::Nginx);
    changes("backends, 1 print, 10000 host:port", BACKENDS, tera, texts(), 10_000);
    changes("backends, no print, 10000 host:port", DECODED, tera, texts(), 10_000);
    changes("backends, 1 print, 10000 JSON records", BACKENDS, tera, records(), 10_000);
    changes("backends, no print, 10000 JSON records", DECODED, tera, records(), 10_000);
    let shipped =
        include_str!("../templates/app.conf.tera").replace("\"/services\", subfolders=false", "\"/services/web\"");
    changes("templates/app.conf.tera, 10000 JSON records", &shipped, tera, records(), 10_000);
    let services = (0..2_000).flat_map(|s| (0..5).map(move |b| (format!("/services/s{s}/{b}"), address(s * 5 + b))));
    let services = tree_of(services);
    changes("Tera nested ls + getvs, 2,000 services x 5 keys", NESTED, tera, services.clone(), 0);
    changes("Go nested ls + getvs, 2,000 services x 5 keys", GO_NESTED, Root::go("t", Escape::Nginx), services, 0);
    compiling();
}

fn backend(i: usize) -> String {
    format!("/services/web/backend-{i:05}")
}

fn address(i: usize) -> String {
    format!("10.{}.{}.{}:8080", i >> 16, (i >> 8) & 255, i & 255)
}

fn record(i: usize) -> String {
    let host = address(i).replace(":8080", "");
    format!("{{\"host\":\"{host}\",\"port\":8080,\"weight\":100,\"state\":\"up\",\"version\":\"1.2\"}}")
}

fn tree_of(entries: impl Iterator<Item = (String, String)>) -> Tree {
    let entries = entries.map(|(key, value)| (Key::from(key.as_str()), Value::from(value.as_str())));
    Tree::from_entries(Revision(1), entries)
}

/// Renders once, then after each of many single-key changes.
fn changes(name: &str, template: &str, root: Root<'_>, mut tree: Tree, backends: usize) {
    let renderer = renderer_of(template, root);
    let ranges = KeyRanges::of_directories(["/services"]);
    let view = |tree: &Tree| View::new(tree.clone(), Arc::from(""), ranges.clone());
    let mut memory = Memory::default();
    let (first, bytes) = timed(|| renderer.render(root, &view(&tree), &mut memory).result.unwrap());
    assert!(!bytes.is_empty());
    let mut times = Vec::new();
    for round in 0..200_usize {
        let key = if backends == 0 { format!("/services/s{}/0", round * 7) } else { backend(round * 31 % backends) };
        let put = (Key::from(key.as_str()), Value::from(address(100_000 + round).as_str()));
        tree.advance(Revision(round as i64 + 2), [put], []);
        let seen = view(&tree);
        times.push(timed(|| renderer.render(root, &seen, &mut memory).result.unwrap()).0);
    }
    times.sort();
    row(name, first, times[times.len() / 2], times[times.len() - 1]);
}

fn renderer_of(template: &str, root: Root<'_>) -> Renderer {
    let sources = TemplateSources::from([("t".to_owned(), Arc::from(template))]);
    let (renderer, problems) = compile(&sources, &[root], Arc::new(NoFacts));
    assert_eq!(problems, []);
    renderer
}

fn compiling() {
    let names: Vec<String> = (0..500).map(|i| format!("site-{i}.conf")).collect();
    let mut sources: TemplateSources = names.iter().map(|name| (name.clone(), Arc::from(SITE))).collect();
    let roots: Vec<Root<'_>> = names.iter().map(|name| Root::tera(name, Escape::Nginx)).collect();
    let good = |sources: &TemplateSources, expected: usize| {
        let (time, (_, problems)) = timed(|| compile(sources, &roots, Arc::new(NoFacts)));
        assert_eq!(problems.len(), expected);
        time
    };
    let times: Vec<Duration> = (0..5).map(|_| good(&sources, 0)).collect();
    row("compile 500 templates", times[0], times[2], *times.iter().max().unwrap());
    sources.insert("site-7.conf".to_owned(), Arc::from("{{ oops( }}"));
    let times: Vec<Duration> = (0..5).map(|_| good(&sources, 1)).collect();
    row("compile 500 templates, one broken", times[0], times[2], *times.iter().max().unwrap());
}

const SITE: &str = r#"{# one site #}
upstream {{ getv(key="/site/name") }} {
{%- for b in gets(pattern="/services/web/*") %}
    server {{ b.value }} max_fails={{ getv(key="/site/max_fails", default=3) }};
{%- else %}
    server unix:/run/nginx-503.sock;
{%- endfor %}
}
server {
    listen {{ getv(key="/site/port", default=80) }};
    server_name {{ getv(key="/site/host") | lower }};
    location / {
        {% if exists(key="/site/maintenance") %}return 503;{% else %}proxy_pass http://{{ getv(key="/site/name") }};{% endif %}
    }
}
"#;

/// Memory of 10,000 keys and of the list that a resource keeps of them.
fn remembering() {
    let renderer = renderer_of(UPSTREAM, Root::tera("t", Escape::Nginx));
    let mut memory = Memory::default();
    let at_start = resident_kib();
    let tree = tree_of((0..10_000).map(|i| (backend(i), address(i))));
    let with_tree = resident_kib();
    let view = View::new(tree, Arc::from(""), KeyRanges::of_directories(["/services"]));
    drop(renderer.render(Root::tera("t", Escape::Nginx), &view, &mut memory).result.unwrap());
    let with_list = resident_kib();
    println!(
        "resident: {at_start} KiB, tree of 10,000 +{} KiB, kept list +{} KiB",
        with_tree - at_start,
        with_list - with_tree
    );
}

fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

fn row(name: &str, first: Duration, next: Duration, worst: Duration) {
    println!("{name:<50} {:>10} {:>10} {:>10}", first.as_micros(), next.as_micros(), worst.as_micros());
}
