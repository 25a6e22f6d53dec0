//! The parsers that meet a stranger's bytes, each with inputs to start from. Never asks a network or a clock.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use upstreamd::config::resource::{Defaults, ResourceFile};
use upstreamd::config::settings::layers::{Flags, Layers};
use upstreamd::config::{duration, resource, service, settings};
use upstreamd::endpoints::answerer::{Answerer, Asker};
use upstreamd::endpoints::asked::Asked;
use upstreamd::endpoints::message::{self, DnsMessage};
use upstreamd::endpoints::skydns::{self, KeyLeases, LeaseTimes, Moment, NamePlaces, NameTable, OwnDomain};
use upstreamd::model::dns::Srv;
use upstreamd::model::endpoints::{Endpoint, EndpointName, EndpointSet};
use upstreamd::model::for_each::NameSource;
use upstreamd::model::generation::{self, GenerationServer};
use upstreamd::model::glob::Glob;
use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::range::KeyRanges;
use upstreamd::model::receipt::{self, StoredReceipt};
use upstreamd::model::resource::Escape;
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::model::{natural, text};
use upstreamd::nginx::installation::{self, Version};
use upstreamd::nginx::{error_log, process, quote, upstreams, words};
use upstreamd::render::{self, Facts, Memory, Renderer, Root, TemplateSources};
use upstreamd::source::document;

/// A parser, or several of the same bytes.
pub struct Target {
    /// Its name, and that of its folder of inputs.
    pub name: &'static str,
    seeds: &'static [&'static str],
    /// Parses an input. A panic is a fault; an error is not.
    pub run: fn(&[u8]),
}

impl Target {
    /// Returns the inputs to start from: its own, and those in this folder.
    pub fn seeds(&self, corpus: &Path) -> Vec<Vec<u8>> {
        let found = std::fs::read_dir(corpus).into_iter().flatten().flatten();
        let found = found.filter_map(|entry| std::fs::read(entry.path()).ok());
        self.seeds.iter().map(|seed| seed.as_bytes().to_vec()).chain(found).collect()
    }
}

/// Returns every target.
pub fn all() -> Vec<Target> {
    vec![
        Target { name: "backends", seeds: BACKENDS, run: backends },
        Target { name: "functions-tera", seeds: VALUES, run: |input| functions(input, &TERA_FUNCTIONS) },
        Target { name: "functions-go", seeds: VALUES, run: |input| functions(input, &GO_FUNCTIONS) },
        Target { name: "template-go", seeds: GO_TEMPLATES, run: template_go },
        Target { name: "convert", seeds: GO_TEMPLATES, run: convert },
        Target {
            name: "store-yaml",
            seeds: YAML,
            run: |input| seen(document::parse_alone(Path::new("a.yaml"), input)),
        },
        Target {
            name: "store-json",
            seeds: JSON,
            run: |input| seen(document::parse_alone(Path::new("a.json"), input)),
        },
        Target {
            name: "store-toml",
            seeds: TOML,
            run: |input| seen(document::parse_alone(Path::new("a.toml"), input)),
        },
        Target { name: "resource", seeds: TOML, run: resource_file },
        Target { name: "settings", seeds: TOML, run: settings_file },
        Target { name: "services", seeds: TOML, run: service_file },
        Target { name: "nginx-words", seeds: NGINX_WORDS, run: nginx_words },
        Target { name: "nginx-files", seeds: NGINX_FILES, run: nginx_files },
        Target { name: "receipts", seeds: RECEIPTS, run: receipts },
        Target { name: "names", seeds: NAMES, run: names },
        Target { name: "dns", seeds: DNS, run: dns },
        Target { name: "questions", seeds: QUESTIONS, run: questions },
    ]
}

const DNS: &[&str] = &[
    "\0\u{7}\u{1}\0\0\u{1}\0\0\0\0\0\0\u{1}*\u{1}a\u{3}dev\0\0!\0\u{1}",
    "\0\u{7}\u{1}\0\0\u{1}\0\0\0\0\0\u{1}\u{1}x\u{1}a\u{3}dev\0\0\u{1}\0\u{1}\0\0)\u{4}\0\0\0\0\0\0\0",
    "{\"host\":\"y.a.dev\",\"port\":80,\"weight\":3,\"priority\":10,\"ttl\":60,\"group\":\"g\",\"targetstrip\":1,\"mail\":true,\"text\":\"t\"}",
];
const BACKENDS: &[&str] = &[
    "127.0.0.1:80",
    "http://10.0.0.1:8080/path",
    "{\"host\":\"127.0.0.1\",\"port\":80,\"weight\":3,\"priority\":10,\"ttl\":60}",
    "{\"address\":\"[::1]:80\",\"weight\":1,\"max_conns\":5,\"max_fails\":2,\"fail_timeout\":\"5s\",\"up\":true,\"drain\":false,\"backup\":true}",
    "{\"URL\":\"https://a.example:443\"}",
    "unix:/run/app.sock",
    "web.example.:80",
];
const QUESTIONS: &[&str] = &[
    "\0\x07\x01\0\0\x01\0\0\0\0\0\0\x06_peers\x04_tcp\x05web-1\x09upstreamd\x08internal\0\0\x21\0\x01",
    "\0\x08\x01\0\0\x01\0\0\0\0\0\x01\x0bv4-0a000001\x09upstreamd\x08internal\0\0\x01\0\x01\0\0\x29\x04\0\0\0\0\0\0\0",
];
const VALUES: &[&str] = &[
    "a,b,c",
    "02.01.2006 15:04:05.000 MST",
    "{\"a\": [1, 2.5, null, {\"b\": \"c\"}]}",
    "[1,2,3]",
    "aGVsbG8=",
    "127.0.0.1",
    "10.0.0.0/8",
    "/a/b/../c",
    "^(a|b)+$",
    "1h30m",
    "%05.2f %q %v",
    "ÄÖÜ straße",
    "3.14",
    "true",
    "eJwDAAAAAAE=",
];
const GO_TEMPLATES: &[&str] = &[
    "{{range $i, $x := gets \"/v/*\"}}{{if $i}}, {{end}}{{.Key}}={{.Value | printf \"%q\"}}{{else}}none{{end}}",
    "{{define \"a\"}}{{with .}}{{template \"a\" (slice . 1)}}{{end}}{{end}}{{template \"a\" \"abc\"}}",
    "{{- /* c */ -}} {{$d := json (getv \"/v/0\")}}{{index $d \"a\" 0}} {{len $d}} {{and true (or false 1) | not}}",
    "{{range seq 1 5}}{{if eq . 3}}{{break}}{{end}}{{continue}}{{end}}{{printf \"%*d %[1]v\" 3 4}}",
    "{{ (datetime).Format (getv \"/v/0\") }}{{ base (dir \"/a/b\") }}{{ lt 1 2 }}{{ \"a\\u00e9\\x41\" }}{{ `raw` }}{{ 'x' }}",
];
const YAML: &[&str] = &[
    "a: {b: [1, 2, {c: d}]}\n",
    "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n",
    "a: !!binary aGk=\nb: |\n  text\nc: >-\n  folded\n",
    "- a\n- b: c\n",
    "? [a, b]\n: c\n",
    "a: 0x1F\nb: 1_000\nc: .inf\nd: ~\ne: 2001-01-01\n",
];
const JSON: &[&str] = &[
    "{\"a\": {\"b\": [1, 2.5e3, \"x\\u00e9\\ud835\\udd4f\", null, true]}}",
    "[{\"a\": \"b\"}]",
    "{\"a/b\": {\"../c\": 1}}",
];
const TOML: &[&str] = &[
    "[template]\nsrc = \"a.tmpl\"\ndest = \"/tmp/a\"\nkeys = [\"/a\"]\ncheck_cmd = \"nginx -t -c {{.src}}\"\nreload_cmd = \"x {{ .dest }}\"\nmode = \"0644\"\n",
    "[template]\nsrc = \"a.tera\"\ndest = \"/tmp/{{ item }}.conf\"\nfor_each = \"/v/*\"\nmax_drop_percent = 50\non_empty = \"keep\"\nwait_timeout = \"1m30s\"\n",
    "backend = \"etcd\"\nnodes = [\"http://127.0.0.1:2379\"]\nprefix = \"/p\"\ninterval = 600\n[nginx]\nbinary = \"/usr/sbin/nginx\"\n",
    "[[service]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\ncheck = \"http\"\ninterval = \"1s\"\nlayout = \"skydns\"\n",
    "a.b.c = 1\n[x]\ny = [1, 'a', \"\"\"b\n\"\"\", 1979-05-27T07:32:00Z, {a = 1}]\n",
];
const NGINX_WORDS: &[&str] = &[
    "nginx: [emerg] unknown directive \"x\" in /etc/nginx/conf.d/a.conf:3\nnginx: configuration file /etc/nginx/nginx.conf test failed",
    "2026/11/21 10:00:00 [emerg] 17#17: *4 bind() to 0.0.0.0:80 failed (98: Address already in use)",
    "2026/11/21 10:00:00 [alert] 17#17: worker process 20 exited with fatal code 2 and cannot be respawned",
    "nginx: [warn] the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead in /a:1",
    "limit_req \"z\" uses the \"$a\" key while previously it used the \"$b\" key",
    "nginx: master process /usr/sbin/nginx -c '/a b.conf' -p /x/\0",
    "nginx version: nginx/1.27.4\nconfigure arguments: --prefix=/etc/nginx --conf-path=/etc/nginx/nginx.conf --pid-path='/run/n x.pid'",
];
const NGINX_FILES: &[&str] = &[
    "worker_processes auto; pid /run/nginx.pid; # c\nerror_log \"/var/log/a b\" warn;\nhttp { server { listen 80; return 200 'x\\'y'; } }",
    "events {} include x; worker_processes 4; pid '/a';",
    "upstreamd-generation-0000000000000000 upstreamd-generation-0123456789abcdef",
];
const RECEIPTS: &[&str] = &[
    "{\"format\":1,\"id\":\"a\",\"version\":\"0.1.0\",\"generation\":3,\"drained_generation\":2,\"resources\":[{\"name\":\"w.toml\",\"keys\":[\"/a\"],\"proof\":\"nginx\",\"seen\":9,\"applied\":9,\"converged\":9,\"drained\":8}]}",
];
const NAMES: &[&str] = &[
    "/vhosts/*/enabled",
    "app[0-9a-f]*",
    "/a/b?/\\*",
    "app10",
    "1h2m3.5s",
    "unix:/run/g.sock",
    "[::1]:80",
    "a\u{1b}[31mb",
];

fn view(values: &[&[u8]]) -> View {
    let entry = |(n, value): (usize, &&[u8])| (Key::from(format!("/v/{n}").as_str()), Value::from_bytes(value));
    let tree = Tree::from_entries(Revision(1), values.iter().enumerate().map(entry));
    View::new(tree, Arc::from(""), KeyRanges::of_directories(["/v"]))
}

fn parts(input: &[u8]) -> Vec<&[u8]> {
    input.split(|byte| *byte == 0).collect()
}

fn renderer(templates: &[(&str, &str)]) -> Renderer {
    let sources: TemplateSources =
        templates.iter().map(|(name, text)| ((*name).to_owned(), Arc::from(*text))).collect();
    let roots: Vec<Root<'_>> = templates.iter().map(|(name, _)| root(name)).collect();
    render::compile(&sources, &roots, Arc::new(NoWorld)).0
}

fn root(name: &str) -> Root<'_> {
    if name.ends_with("tera") { Root::tera(name, Escape::Nginx) } else { Root::go(name, Escape::None) }
}

fn backends(input: &[u8]) {
    static RENDERER: LazyLock<Renderer> = LazyLock::new(|| {
        renderer(&[
            ("b.tera", "{% for b in backends(prefix=\"/v\") %}{{ b }};{{ b.weight }};{{ b.host }}\n{% endfor %}"),
            ("b.go", "{{range backends \"/v\"}}{{.}}{{end}}"),
        ])
    });
    let view = view(&parts(input));
    for name in ["b.tera", "b.go"] {
        let rendered = RENDERER.render(root(name), &view, &mut Memory::default());
        if let (Ok(bytes), true) = (rendered.result, name == "b.tera") {
            assert!(bytes.iter().all(|byte| !b"{}\"'\\$#".contains(byte)), "a value reached the file unquoted");
        }
    }
}

/// One template for each function, so that one that fails hides no other.
struct Functions {
    names: Vec<String>,
    renderer: Renderer,
}

impl Functions {
    fn new(ending: &str, calls: &[&str], call: impl Fn(&str) -> String) -> Functions {
        let texts: Vec<(String, String)> =
            calls.iter().enumerate().map(|(n, text)| (format!("{n}.{ending}"), call(text))).collect();
        let sources: TemplateSources =
            texts.iter().map(|(name, text)| (name.clone(), Arc::from(text.as_str()))).collect();
        let roots: Vec<Root<'_>> = texts.iter().map(|(name, _)| root(name)).collect();
        let (renderer, problems) = render::compile(&sources, &roots, Arc::new(NoWorld));
        assert!(problems.is_empty(), "{problems:?}");
        Functions { renderer, names: texts.into_iter().map(|(name, _)| name).collect() }
    }
}

static TERA_FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let calls = [
        "base64_encode(text=v)",
        "base64_decode(text=v)",
        "json(text=v)",
        "json_array(text=v)",
        "parse_bool(text=v)",
        "atoi(text=v)",
        "split(text=v, sep=\",\")",
        "to_upper(text=v)",
        "base(path=v)",
        "dir(path=v)",
        "contains(text=v, sub=w)",
        "replace(text=v, old=w, new=\"x\", n=-1)",
        "trim_suffix(text=v, suffix=w)",
        "v | nginx_string",
        "v | regex_replace_all(pattern=w, replacement=\"x\")",
        "v | natural_sort",
        "v | trim | upper | title | truncate(length=3)",
        "v | split(sep=w) | join(sep=v)",
        "v | int",
        "v | float",
        "v | indent",
        "v | wordcount",
        "v | escape_html",
        "v[1:3]",
        "v ~ w",
        "v | pluralize",
    ];
    Functions::new("tera", &calls, |call| {
        format!("{{% set v = getv(key=\"/v/0\") %}}{{% set w = getv(key=\"/v/1\", default=v) %}}{{{{ {call} }}}}")
    })
});

static GO_FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let calls = [
        "base64Encode $v",
        "base64Decode $v",
        "json $v",
        "jsonArray $v",
        "parseBool $v",
        "atoi $v",
        "split $v \",\"",
        "toUpper $v",
        "toLower $v",
        "base $v",
        "dir $v",
        "contains $v $w",
        "replace $v $w \"x\" -1",
        "trimSuffix $v $w",
        "datetime.Format $v",
        "printf $v 1 \"a\"",
        "printf \"%s %q %x %5.3v\" $v $v $v $v",
        "slice $v 1 2",
        "index $v 0",
        "len $v",
        "html $v",
        "js $v",
        "urlquery $v",
        "lookupIP $v",
        "fileExists $v",
        "map $v $w",
        "join (split $v \",\") $w",
        "lt $v $w",
        "eq $v $w",
        "sortByLength (split $v $w)",
        "reverse (split $v $w)",
        "div (atoi $v) (atoi $w)",
        "mod (atoi $v) 3",
        "seq 1 (atoi $v)",
        "getv $v \"d\"",
        "gets $v",
        "ls $v",
        "exists $v",
    ];
    Functions::new("go", &calls, |call| {
        format!("{{{{$v := getv \"/v/0\"}}}}{{{{$w := getv \"/v/1\" $v}}}}{{{{{call}}}}}")
    })
});

fn functions(input: &[u8], functions: &Functions) {
    let view = view(&parts(input));
    for name in &functions.names {
        seen(functions.renderer.render(root(name), &view, &mut Memory::default()));
    }
}

fn template_go(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let renderer = renderer(&[("t", &text)]);
    seen(renderer.render(root("t"), &view(&[b"{\"a\":[1]}", b"two"]), &mut Memory::default()));
}

fn convert(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(converted) = render::convert("t", &text) {
        seen(renderer(&[("t.tera", &converted)]));
    }
}

fn resource_file(input: &[u8]) {
    let Ok(file) = ResourceFile::from_bytes(Arc::from("a.toml"), "a.toml".into(), input.to_vec()) else { return };
    if let Ok(resource) = resource::parse(&file, &Defaults::default()) {
        if let Some(check) = &resource.check {
            seen(check.shell_text(Path::new("/tmp/a b"), Path::new("/tmp/c'd")));
            seen(check.programs());
        }
        if let Some(for_each) = &resource.for_each {
            seen(for_each.files(&view(&[b"x"])));
        }
    }
}

fn settings_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let flags = Flags::new();
    seen(settings::resolve(&Layers::new(&flags, &|_| None).with_file(Path::new("upstreamd.toml"), &text)));
}

fn service_file(input: &[u8]) {
    seen(service::parse_file(Path::new("a.toml"), &String::from_utf8_lossy(input)));
}

fn nginx_words(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let masked = words::masked(&text);
    assert!(masked.len() <= text.len() * 20 + 100, "masking must not blow a text up");
    seen(words::masked_message(&text));
    for line in text.lines() {
        seen((error_log::judge(line, 17), error_log::bind_attempt(line, 17), error_log::complaint(line)));
        seen((error_log::ended_worker(line), error_log::named_file(line)));
    }
    seen((error_log::blamed_file(&text), error_log::refusal(&text), error_log::warnings(&text).count()));
    seen((installation::built_with(&text), Version::from_output(&text), installation::files_named_in(&text)));
    seen((installation::program_named_in(&text), installation::is_plain_signaller(&text)));
    seen((process::role_of(input), process::arguments_of_master(input), process::is_master(input)));
}

/// Asks an answerer with one set, over UDP and over TCP.
fn questions(input: &[u8]) {
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    let endpoint = Endpoint { address, weight: 1, is_backup: false };
    let set = EndpointSet { name: EndpointName::new("web-1"), endpoints: vec![endpoint] };
    let (mut answerer, now) = (Answerer::new(address, 1), Instant::now());
    answerer.publish(vec![set], now);
    for is_nginx in [Some(false), None, Some(true), Some(true)] {
        if let DnsMessage::Question(question) = message::read(input) {
            let (asker, asked) = (Asker { socket: 0, address }, Asked::of(&question));
            seen(answerer.take_question(asker, (question, asked), (now, now), is_nginx));
        }
        seen(answerer.take_message(input, now, is_nginx));
    }
    seen(answerer.tick(now + Duration::from_secs(10)));
}

fn nginx_files(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let prefix = Path::new("/p");
    seen((installation::pid_file_in(&text, prefix), installation::error_log_in(&text, prefix)));
    seen(installation::worker_processes_in(&text));
    seen(upstreams::upstreams(&text).count());
    seen(generation::own(input, |bytes| format!("{:016x}", bytes.len())));
    if let Ok(quoted) = quote::quoted(&text) {
        assert!(quoted.starts_with('"') && quoted.ends_with('"'), "quoted");
    }
}

fn receipts(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let stored = StoredReceipt { id: "a".to_owned(), text: text.into_owned(), written: Revision(10) };
    if let Ok(receipt) = stored.read() {
        seen((receipt.standing(), receipt.to_text()));
    }
    seen(receipt::fleet(&[stored], "/services/web/1", Revision(3)));
}

/// The bytes as a question, and as a record that questions find.
fn dns(input: &[u8]) {
    let domain = OwnDomain::parse("a.dev");
    let mut table = NameTable::new(NamePlaces { domain, ..NamePlaces::default() });
    let keys = ["/skydns/dev/a/x/1", "/skydns/dev/a/y", "/skydns/dev/a/dns/ns/1"];
    let entries = keys.map(|key| (Key::from(key), Value::from_bytes(input)));
    table.update(Tree::from_entries(Revision(1), entries), KeyLeases::default());
    let ask = |bytes: &[u8], limit: usize| match message::read(bytes) {
        DnsMessage::Question(question) => {
            let moment = Moment { turn: 1, now: Instant::now(), leases: &mut LeaseTimes::default() };
            let found = skydns::answer(&table, &question, limit, moment);
            assert!(found.is_none_or(|answer| answer.bytes.len() <= limit.max(512)), "too long");
        }
        other => seen(other),
    };
    ask(input, 512);
    DNS.iter().for_each(|seed| ask(seed.as_bytes(), 65_535));
    seen((message::is_reply(input, DNS[0].as_bytes()), message::joined(DNS[0].as_bytes().to_vec(), Some(input), 512)));
}

fn names(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(glob) = Glob::parse(&text) {
        seen((glob.matches(&text), glob.literal_prefix(), glob.depth()));
    }
    if let Ok(source) = NameSource::parse(&text) {
        seen(source.names(&view(&[b"x", b"y"])));
    }
    seen((natural::compare(&text, "app10"), duration::parse(&text), GenerationServer::parse(&text)));
    assert!(!text::one_line(&text, 100, '?').contains(['\n', '\u{1b}']), "one line");
    seen((text::shortened(&text, 10), text::shown(&text)));
}

/// A world that has nothing.
struct NoWorld;

impl Facts for NoWorld {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn now(&self) -> jiff::Zoned {
        jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn file_exists(&self, _: &str) -> bool {
        false
    }

    fn hostname(&self) -> Result<String, String> {
        Ok("host".to_owned())
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

/// What a parser found does not matter.
fn seen<T>(_: T) {}
