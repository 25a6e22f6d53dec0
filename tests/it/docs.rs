//! Every example of the README and of most pages is run: commands with the test's own etcd and folders put in, resources and
//! templates as they stand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use upstreamd::config::resource::{Defaults, ResourceFile, parse};
use upstreamd::config::settings::layers::{Flags, Layers};
use upstreamd::config::settings::resolve;
use upstreamd::model::resource::Reload;
use upstreamd::model::store::StoreSettings;

use crate::support::agent::Sandbox;
use crate::support::etcd::Etcd;
use crate::support::template::table;
use crate::support::{package_root, program};

fn repository() -> PathBuf {
    package_root().to_owned()
}

/// The README's fenced blocks in this language.
fn blocks(language: &str) -> Vec<String> {
    blocks_of("README.md", language)
}

/// The fenced blocks of a page in this language.
pub fn blocks_of(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(page)).unwrap();
    let mut blocks = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once(&format!("```{language}\n")) {
        let (block, after) = after.split_once("```").unwrap();
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

/// The lines of all shell blocks that start with this command, comments cut off.
fn commands(program: &str) -> Vec<String> {
    blocks("sh")
        .iter()
        .flat_map(|block| block.lines())
        .map(|line| line.split(" #").next().unwrap().trim().trim_start_matches("sudo ").to_owned())
        .filter(|line| line.starts_with(&format!("{program} ")))
        .collect()
}

#[test]
fn the_nginx_page_shows_what_is_taken() {
    let blocks = blocks_of("docs/nginx.md", "toml");
    let [resource, settings, generation] = blocks.as_slice() else { panic!("{blocks:?}") };
    let file = ResourceFile { name: "app.toml".into(), path: "app.toml".into(), text: resource.clone() };
    assert_eq!(parse(&file, &Defaults::default()).unwrap().reload, Some(Reload::Nginx));
    let flags = Flags::new();
    let layers = Layers::new(&flags, &|_| None).with_file(Path::new("upstreamd.toml"), settings);
    let (settings, problems) = resolve(&layers);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(settings.nginx.pid_file, Some("/run/nginx.pid".into()));

    let file = ResourceFile { text: generation.clone(), ..file };
    let endpoint = parse(&file, &Defaults::default()).unwrap().generation.unwrap().to_string();
    let [server] = blocks_of("docs/nginx.md", "jinja").try_into().unwrap();
    assert!(server.contains(&format!("listen {endpoint};")));
    let sandbox = Sandbox::new();
    sandbox.template("app.conf.tera", &server);
    fs::write(sandbox.path("etc/conf.d/app.toml"), generation).unwrap();
    assert!(sandbox.run(&["render", "app"]).expect_code(0).stdout.contains("return 200 \"upstreamd-generation-"));
}

#[test]
fn the_page_about_many_files_shows_what_works() {
    let sandbox = Sandbox::new();
    let [resource] = blocks_of("docs/for-each.md", "toml").try_into().unwrap();
    let dest = sandbox.text_path("out");
    let lines = resource.replace("/etc/nginx/sites-enabled", &dest).replace("[template]\n", "");
    let lines = lines.replace("/usr/sbin/nginx -t", "true nginx").replace("/usr/sbin/service nginx reload", "true");
    sandbox.set_store("vhosts: {a: {name: a.example}, b: {name: b.example}}\n");
    for (language, name) in [("jinja", "site.conf.tera"), ("gotemplate", "site.conf.tmpl")] {
        let [template] = blocks_of("docs/for-each.md", language).try_into().unwrap();
        sandbox.template(name, &template);
        sandbox.resource("sites", &lines.replace("site.conf.tera", name));
        let site =
            |name: &str| format!("server {{\n    server_name {name}.example;\n    location / {{ return 204; }}\n}}\n");
        assert_eq!(sandbox.run(&["render", "sites[a]"]).expect_code(0).stdout, site("a"), "{name}");
        sandbox.onetime().expect_code(0);
        assert_eq!(sandbox.output("b.conf"), Some(site("b")));
    }
}

/// The lines of a page's shell blocks that call upstreamd, comments cut off.
fn upstreamd_lines(page: &str) -> Vec<String> {
    let blocks = blocks_of(page, "sh");
    let lines = blocks.iter().flat_map(|block| block.lines()).map(|line| line.split(" #").next().unwrap().trim());
    lines.filter(|line| line.starts_with("upstreamd ")).map(str::to_owned).collect()
}

#[test]
fn every_line_of_the_page_about_moving_from_confd_runs() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    let mut seen = 0;
    for line in upstreamd_lines("docs/migration.md") {
        let mut sandbox = Sandbox::on_etcd(&etcd.url());
        sandbox.plain_resource("app", "reload_cmd = \"true\"");
        let stock = repository().join("tests/confdirs/stock/templates/upstreams.conf.tmpl");
        fs::copy(stock, sandbox.path("etc/templates/app.conf.tmpl")).unwrap();
        let line = line.split(" > ").next().unwrap().replace("http://127.0.0.1:2379", &etcd.url());
        let line = line.replace("/etc/confd", &sandbox.text_path("etc"));
        // The line itself says which store; those that look at files only need none.
        sandbox.store.clear();
        let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
        seen += 1;
        if arguments.contains(&"--watch") {
            let _agent = sandbox.start(&arguments);
            sandbox.wait_output("app", "one\n");
            continue;
        }
        let ran = sandbox.run(&arguments);
        let expected = if arguments[0] == "diff" { 1 } else { 0 };
        assert_eq!(ran.code, Some(expected), "{line}: {ran:?}");
        if arguments.iter().any(|argument| argument.ends_with("-onetime")) {
            assert_eq!(sandbox.output("app").as_deref(), Some("one\n"), "{line}");
        }
    }
    assert_eq!(seen, 7, "a line is missing");
}

#[test]
fn the_example_of_the_environment_as_the_store_runs() {
    let [_, resource] = blocks_of("docs/stores.md", "toml").try_into().unwrap();
    let [template] = blocks_of("docs/stores.md", "jinja").try_into().unwrap();
    let [line] = blocks_of("docs/stores.md", "sh").try_into().unwrap();
    let [written] = blocks_of("docs/stores.md", "text").try_into().unwrap();
    let (variables, arguments) = line.trim().split_once(" upstreamd ").unwrap();
    let mut sandbox = Sandbox::new();
    sandbox.store.clear();
    sandbox.wrapper = ["env"].into_iter().chain(variables.split(' ')).map(str::to_owned).collect();
    sandbox.template("myapp.conf.tera", &template);
    let resource = resource.replace("/etc/myapp.conf", &sandbox.text_path("out/myapp"));
    fs::write(sandbox.path("etc/conf.d/myapp.toml"), resource).unwrap();
    sandbox.run(&arguments.split(' ').collect::<Vec<_>>()).expect_code(0);
    assert_eq!(sandbox.output("myapp"), Some(written));
    let keys = sandbox.run(&["keys", "--backend", "env"]).expect_code(0).stdout;
    assert!(
        keys.contains("/myapp/db/host") && keys.contains("/myapp/db/user") && !keys.contains("/myapp/port"),
        "{keys}"
    );
}

/// Makes a tarball below this folder as `make dist` does, of the program that is tested.
pub fn make_tarball(root: &Path) {
    let script = format!(
        "mkdir -p target/dist dist/completions dist/man dist/systemd
         cp \"{built}\" dist/upstreamd; cp \"{source}\"/systemd/* dist/systemd/
         sh \"{source}/scripts/pages.sh\" dist/upstreamd dist/man dist/completions
         tar -czf target/dist/upstreamd-0.1.0-any-linux.tar.gz dist",
        built = program("upstreamd"),
        source = repository().display()
    );
    let output = Command::new("sh").args(["-euc", &script]).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The lines of docs/systemd.md that install and remove the program without the package, on folders of the test: a tarball as
/// `make dist` makes it, and no systemd.
#[test]
fn the_lines_that_install_without_the_package_leave_nothing_when_undone() {
    let dir = crate::support::temp_dir();
    let root = dir.path();
    let blocks = blocks_of("docs/systemd.md", "sh");
    let [install, remove] = blocks.as_slice() else { panic!("{blocks:?}") };
    let here = |text: &str| {
        let text = text.replace("sudo ", "").replace("make dist\n", "").replace("systemctl", "true");
        ["/usr/local", "/etc/", "/var/lib"]
            .iter()
            .fold(text, |text, from| text.replace(&format!(" {from}"), &format!(" {}{from}", root.display())))
    };
    let shell = |script: &str| {
        let is_elsewhere = |word: &&str| word.starts_with('/') && !word.starts_with(root.to_str().unwrap());
        assert_eq!(script.split_whitespace().filter(is_elsewhere).collect::<Vec<_>>(), Vec::<&str>::new());
        let output = Command::new("sh").args(["-euc", script]).current_dir(root).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    make_tarball(root);
    shell("mkdir -p usr/local/bin etc/systemd/system var/lib/upstreamd");
    let files = || {
        let found = Command::new("find").args(["usr", "etc", "var", "-type", "f"]).current_dir(root).output().unwrap();
        let mut files: Vec<String> = String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
        files.sort();
        files
    };
    shell(&here(install));
    let installed = files();
    // An upgrade.
    shell(&here(install));
    assert_eq!(files(), installed);
    for file in [
        "etc/systemd/system/upstreamd.service",
        "etc/systemd/system/upstreamd@.service",
        "etc/systemd/system/upstreamd.socket",
        "usr/local/bin/upstreamd",
        "usr/local/share/man/man1/upstreamd.1.gz",
        "usr/local/share/man/man1/upstreamd-announce.1.gz",
        "usr/local/share/bash-completion/completions/upstreamd",
        "usr/local/share/zsh/site-functions/_upstreamd",
        "usr/local/share/fish/vendor_completions.d/upstreamd.fish",
    ] {
        assert!(installed.iter().any(|name| name == file), "{file} is not among {installed:?}");
    }
    assert!(!root.join("etc/upstreamd").exists(), "it would hide /etc/confd");
    shell(&here(remove));
    assert_eq!(files(), Vec::<String>::new());
    assert!(!root.join("var/lib/upstreamd").exists());
}

#[test]
fn the_page_about_stores_shows_what_is_taken() {
    let [resource, _] = blocks_of("docs/stores.md", "toml").try_into().unwrap();
    let file = ResourceFile { name: "orders.toml".into(), path: "orders.toml".into(), text: resource };
    let Some(backend) = parse(&file, &Defaults::default()).unwrap().backend else { panic!("no store of its own") };
    let StoreSettings::Etcd(etcd) = &*backend else { panic!("{backend:?}") };
    assert_eq!((etcd.members.len(), etcd.login.is_some(), etcd.tls.is_some()), (2, true, true));
}

#[test]
fn the_page_about_running_shows_what_is_taken() {
    let [settings] = blocks_of("docs/running.md", "toml").try_into().unwrap();
    let flags = Flags::new();
    let (settings, problems) =
        resolve(&Layers::new(&flags, &|_| None).with_file(Path::new("upstreamd.toml"), &settings));
    assert!(problems.is_empty() && settings.warnings.is_empty(), "{problems:?}");
}

#[test]
fn the_page_about_resources_shows_what_is_taken() {
    let [simple, with_needs] = blocks_of("docs/resources.md", "toml").try_into().unwrap();
    let file = ResourceFile { name: "app.toml".into(), path: "app.toml".into(), text: simple };
    assert_eq!(parse(&file, &Defaults::default()).unwrap().reload, Some(Reload::Nginx));
    let file = ResourceFile { text: with_needs, ..file };
    let needs = parse(&file, &Defaults::default()).unwrap().needs;
    assert_eq!((needs.require.len(), needs.wait_for.len(), needs.wait_timeout.as_secs()), (2, 1, 120));
}

#[test]
fn every_upstreamd_command_line_runs_and_writes_the_file() {
    let commands = commands("upstreamd");
    assert!(commands.len() >= 6, "{commands:?}");
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    for line in commands {
        let mut sandbox = Sandbox::on_etcd(&etcd.url());
        sandbox.plain_resource("app", "reload_cmd = \"true\"");
        let line = line.replace("http://127.0.0.1:2379", &etcd.url());
        let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
        // The flags of the line itself say which store.
        if line.contains("127.0.0.1") {
            sandbox.store.clear();
        }
        if arguments.iter().any(|argument| argument.ends_with("-watch")) {
            let _agent = sandbox.start(&arguments);
            sandbox.wait_output("app", "one\n");
        } else {
            let ran = sandbox.run(&arguments);
            assert!(matches!(ran.code, Some(0 | 1)), "{line}: {ran:?}");
        }
    }
}

#[test]
fn the_resource_shown_is_the_one_that_is_shipped() {
    let shipped = fs::read_to_string(repository().join("conf.d/app.toml")).unwrap();
    let shown = blocks("toml").remove(0);
    let code = |text: &str| -> toml::Table { toml::from_str(text).unwrap() };
    assert_eq!(code(&shown), code(&shipped));
}

#[test]
fn the_template_shown_renders() {
    let sandbox = Sandbox::new();
    sandbox.template("shown.tera", &blocks("jinja").remove(0));
    let dest = sandbox.text_path("out/shown");
    sandbox.resource("shown", &table("shown.tera", &dest).keys(&["/services"]));
    sandbox.set_store("services: {a: '10.0.0.1:80', b: '10.0.0.2:80'}\n");
    let rendered = sandbox.run(&["render", "shown"]).expect_code(0).stdout;
    assert_eq!(
        rendered.trim(),
        "upstream app {\n    zone app 256k;\n    server 10.0.0.1:80;\n    server 10.0.0.2:80;\n}"
    );
}

#[test]
fn the_exit_codes_in_the_docs_are_the_ones_in_the_code() {
    let page = fs::read_to_string(repository().join("docs/running.md")).unwrap();
    for exit in upstreamd::cli::exit::Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(page.contains(&row), "docs/running.md does not say: {row}");
    }
}
