//! The resources and templates that come with the project, rendered by the real binary and judged by real nginx.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::agent::Sandbox;
use crate::support::nginx::Nginx;
use crate::support::template::table;
use crate::support::{free_port, package_root, tls};

fn repository() -> PathBuf {
    package_root().to_owned()
}

/// A sandbox whose confdir has the shipped conf.d and templates, their fixed ports and files replaced by free ones.
fn shipped(replacements: &[(&str, String)]) -> Sandbox {
    let sandbox = Sandbox::new();
    for folder in ["conf.d", "templates"] {
        for entry in fs::read_dir(repository().join(folder)).unwrap().flatten() {
            let mut text = fs::read_to_string(entry.path()).unwrap();
            for (from, to) in replacements {
                text = text.replace(from, to);
            }
            fs::write(sandbox.path("etc").join(folder).join(entry.file_name()), text).unwrap();
        }
    }
    sandbox
}

fn rendered(sandbox: &Sandbox, resource: &str) -> String {
    sandbox.run(&["render", resource]).expect_code(0).stdout
}

#[track_caller]
fn accepted_by_nginx(nginx: &Nginx, file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    let output = nginx.command(&["-t"]);
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}

const STORES: &[&str] = &[
    "{}\n",
    "services: {a: '127.0.0.1:8001'}\n",
    "services:\n  b: '{\"host\": \"core-1\", \"ipv4_private_addr\": \"127.0.0.1\", \"ipv4_public_addr\": \"192.0.2.1\", \"port\": 8002}'\n  a: '127.0.0.1:8001'\n",
    "services: {a: 'no address', b: '127.0.0.1:8001; } server { listen 1;', c: '127.0.0.1:99999', d: '300.0.0.1:1'}\n",
    "services:\n  a: '{\"host\": '\n  b: '{\"host\": \"127.0.0.1\", \"port\": 8001, \"priority\": 20, \"weight\": 5}'\n  c: '{\"host\": \"core-1\", \"ipv4_private_addr\": 127.0.0.2, \"ipv4_public_addr\": 192.0.2.1, \"port\": 8002, \"max_conns\": 9}'\n  d: '{\"host\": \"127.0.0.3\", \"port\": 1, \"state\": \"down\"}'\n",
    "services: {echo: {a: '127.0.0.1:7', b: '{\"host\": \"127.0.0.2\", \"port\": 7}'}, web: {a: '127.0.0.1:8443'}}\n",
];

#[test]
fn every_shipped_resource_is_right() {
    let sandbox = shipped(&[]);
    let ran = sandbox.run(&["check"]).expect_code(0);
    assert!(ran.stdout.lines().last().is_some_and(|line| line.starts_with("3 resources")), "{ran:?}");
}

#[test]
fn nginx_accepts_every_shipped_template_whatever_the_store_says() {
    let listen = |port: &str| (format!("listen = \"{port}\""), format!("listen = \"127.0.0.1:{}\"", free_port()));
    let dir = crate::support::temp_dir();
    let authority = tls::Authority::new(dir.path());
    let tls::ServerFiles { certificate: crt, key } = authority.sign("web", &["web.example.com"]);
    let (http, https, tcp) = (listen("80"), listen("443"), listen("7"));
    let sandbox = shipped(&[
        (&http.0, http.1),
        (&https.0, https.1),
        (&tcp.0, tcp.1),
        ("/etc/nginx/tls/web.crt", crt.display().to_string()),
        ("/etc/nginx/tls/web.key", key.display().to_string()),
        ("/etc/nginx/tls/backends.crt", crt.display().to_string()),
    ]);
    for store in STORES {
        sandbox.set_store(store);
        let nginx = Nginx::builder().build();
        accepted_by_nginx(&nginx, &nginx.http_file("app.conf"), &rendered(&sandbox, "app"));
        accepted_by_nginx(&nginx, &nginx.http_file("web.conf"), &rendered(&sandbox, "web"));
        accepted_by_nginx(&nginx, &nginx.stream_file("echo.conf"), &rendered(&sandbox, "echo"));
    }
}

#[test]
fn an_empty_upstream_is_a_clean_503_and_a_refused_connection() {
    let port = free_port();
    let tcp = free_port();
    let sandbox = shipped(&[
        ("listen = \"80\"", format!("listen = \"127.0.0.1:{port}\"")),
        ("listen = \"7\"", format!("listen = \"127.0.0.1:{tcp}\"")),
    ]);
    let mut nginx = Nginx::builder().build();
    fs::write(nginx.http_file("app.conf"), rendered(&sandbox, "app")).unwrap();
    fs::write(nginx.stream_file("echo.conf"), rendered(&sandbox, "echo")).unwrap();
    nginx.start();
    let answer = nginx.http_get(port, "/").unwrap();
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    assert!(std::net::TcpStream::connect(("127.0.0.1", tcp)).is_err());
}

#[test]
fn a_key_that_is_no_backend_is_logged_once_and_the_others_go_live() {
    let sandbox = Sandbox::new();
    sandbox.template("u.tera", "{% for b in backends(prefix=\"/s\") %}{{ b.address }}\n{% endfor %}");
    let dest = sandbox.text_path("out/u");
    sandbox.resource("u", &table("u.tera", &dest).keys(&["/s"]));
    sandbox.set_store("s: {a: '10.0.0.1:80', b: '{\"SECRET', c: '10.0.0.3:80'}\n");
    let _agent = sandbox.watch();
    sandbox.wait_output("u", "10.0.0.1:80\n10.0.0.3:80\n");
    sandbox.wait_log("not a JSON object");
    sandbox.set_store("s: {a: '10.0.0.1:80', b: '{\"SECRET', c: '10.0.0.4:80'}\n");
    sandbox.wait_output("u", "10.0.0.1:80\n10.0.0.4:80\n");
    sandbox.set_store("s: {a: '10.0.0.1:80', b: '10.0.0.2:80', c: 'SECRET!'}\n");
    sandbox.wait_output("u", "10.0.0.1:80\n10.0.0.2:80\n");
    sandbox.wait_log("the value is not an address");
    let log = sandbox.log();
    assert_eq!(log.matches("not a JSON object").count(), 1, "{log}");
    assert!(log.contains("/s/b") && log.contains("/s/c") && !log.contains("SECRET"), "{log}");
}

#[test]
fn what_only_a_later_nginx_knows_is_written_for_that_one() {
    const DIRECTIVE: &str = "keepalive_min_timeout 1s;";
    let sandbox = shipped(&[]);
    let program = sandbox.path("nginx");
    fs::write(sandbox.path("etc/upstreamd.toml"), format!("[nginx]\nbinary = \"{}\"\n", program.display())).unwrap();
    assert!(!rendered(&sandbox, "app").contains(DIRECTIVE), "no nginx");
    for (version, expected) in [("1.22.1", false), ("1.27.3", false), ("1.27.4 (Debian)", true), ("1.28.0", true)] {
        fs::write(&program, format!("#!/bin/sh\necho 'nginx version: nginx/{version}' >&2\n")).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for resource in ["app", "web"] {
            assert_eq!(rendered(&sandbox, resource).contains(DIRECTIVE), expected, "{resource} for {version}");
        }
    }
}
