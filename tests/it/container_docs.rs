//! The images that docs/containers.md tells people to build: what their folder has, what their files say, and what starts in them.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::docs::{blocks_of, make_tarball};
use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::Nginx;
use crate::support::template::table;
use crate::support::{Daemon, program, temp_dir, wait_for, wait_or};

const PAGE: &str = "docs/containers.md";

/// The Dockerfiles of the page: one process, and two beside each other.
fn dockerfiles() -> Vec<String> {
    let dockerfiles = blocks_of(PAGE, "dockerfile");
    assert_eq!(dockerfiles.len(), 2);
    dockerfiles
}

/// The arguments of all instructions of this name.
fn instructions(dockerfile: &str, name: &str) -> Vec<String> {
    let lines = dockerfile.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(str::to_owned).collect()
}

/// Makes the folder of the page below this one, as its lines and its prose say.
fn make_folder(root: &Path) -> std::path::PathBuf {
    make_tarball(root);
    let lines = blocks_of(PAGE, "sh").into_iter().find(|lines| lines.starts_with("make dist\n")).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-euc", &lines.replace("make dist\n", "")]).current_dir(root).env("HOME", root);
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{lines}\n{}", String::from_utf8_lossy(&output.stderr));
    let folder = root.join("balancer");
    for (name, language) in [("conf.d/app.toml", "toml"), ("templates/app.conf.tera", "jinja"), ("nginx.conf", "nginx")]
    {
        let text = blocks_of(PAGE, language).remove(0);
        fs::write(folder.join(name), text).unwrap();
    }
    folder
}

#[test]
fn the_folder_of_an_own_image_has_what_its_dockerfiles_copy() {
    let dir = temp_dir();
    let folder = make_folder(dir.path());
    for dockerfile in dockerfiles() {
        let bases = instructions(&dockerfile, "FROM");
        assert!(bases[0].starts_with("nginx:"), "{bases:?}");
        let copied = instructions(&dockerfile, "COPY");
        assert!(copied.iter().any(|line| line == "upstreamd /usr/local/bin/"), "{copied:?}");
        for line in copied {
            let from = line.split(' ').next().unwrap();
            assert!(folder.join(from).exists(), "{from} is not in the folder");
        }
    }
    let checked = Command::new(folder.join("upstreamd")).arg("check").arg(&folder).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_nginx_beside_an_agent_takes_its_file_and_what_is_rendered() {
    let dir = temp_dir();
    let folder = make_folder(dir.path());
    let sandbox = Sandbox::new();
    for (from, to) in
        [("conf.d/app.toml", "etc/conf.d/app.toml"), ("templates/app.conf.tera", "etc/templates/app.conf.tera")]
    {
        fs::copy(folder.join(from), sandbox.path(to)).unwrap();
    }
    let sites = dir.path().join("sites");
    fs::create_dir(&sites).unwrap();
    for store in ["services: {app: {a: '10.0.0.1:80'}}\n", "{}\n"] {
        sandbox.set_store(store);
        let rendered = sandbox.run(&["render", "app", "--endpoints", "reload"]).expect_code(0).stdout;
        fs::write(sites.join("app.conf"), rendered).unwrap();
        let own = fs::read_to_string(folder.join("nginx.conf")).unwrap();
        let own = own.replace("/run/nginx", dir.path().to_str().unwrap()).replace("user nginx;\n", "");
        fs::write(folder.join("own.conf"), own.replace("/etc/nginx/conf.d", sites.to_str().unwrap())).unwrap();
        let nginx = Nginx::newest().build();
        let mut check = Command::new(nginx.program());
        check.arg("-p").arg(dir.path()).args(["-t", "-c"]).arg(folder.join("own.conf")).current_dir(dir.path());
        let output = check.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_two_containers_share_what_the_page_says() {
    let [compose] = blocks_of(PAGE, "yaml").try_into().unwrap();
    let own = blocks_of(PAGE, "nginx").remove(0);
    let (nginx, agent) = compose.split_once("\n  upstreamd:\n").unwrap();
    let (pod, nginx) = nginx.split_once("\n  nginx:\n").unwrap();
    assert!(pod.contains("ports:") && !nginx.contains("ports:"), "who has the network has the ports");
    for (service, target) in [(nginx, "nginx"), (agent, "agent")] {
        for line in ["pid: service:pod", "network_mode: service:pod", &format!("target: {target}}}")] {
            assert!(service.contains(line), "{line} is not in {service}");
        }
    }
    // Where nginx includes files, and where its pid file and its log are, is the same folder in both.
    for (volume, place) in
        [("- sites:", "include /etc/nginx/conf.d/"), ("- run:", "pid /run/nginx/"), ("- run:", "error_log /run/nginx/")]
    {
        assert!(own.contains(place), "{place}");
        let folder = place.split(' ').nth(1).unwrap().trim_end_matches('/');
        for service in [nginx, agent] {
            assert!(service.contains(&format!("{volume}{folder}\n")), "{volume}{folder} in {service}");
        }
    }
    let targets = instructions(&dockerfiles()[1], "FROM");
    assert!(targets[0].ends_with(" AS nginx") && targets[1] == "nginx AS agent", "{targets:?}");
}

/// A folder with `upstreamd` and a program called `nginx` that writes its arguments to `got`, and the `PATH` that finds them first.
fn with_nginx_that_tells(sandbox: &Sandbox) -> String {
    let folder = sandbox.path("bin");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(program("upstreamd"), folder.join("upstreamd")).unwrap();
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{}\nexec sleep 60\n", sandbox.text_path("got"));
    fs::write(folder.join("nginx"), script).unwrap();
    fs::set_permissions(folder.join("nginx"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// Starts these words in the sandbox, as an image would, until nginx has its arguments.
fn run_image(sandbox: &Sandbox, words: &[String], environment: &[(&str, &str)]) {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("PATH", with_nginx_that_tells(sandbox)).envs(environment.iter().copied());
    command.env("UPSTREAMD_CONFDIR", sandbox.path("etc")).env("UPSTREAMD_STATE_DIR", sandbox.path("state"));
    let mut daemon = Daemon::start(command.stderr(fs::File::create(sandbox.path("said")).unwrap()));
    let got = || (sandbox.lines("got") == ["-g", "daemon off;"]).then_some(());
    wait_or(DEADLINE, got, || format!("nginx has not its arguments: {:?}", sandbox.lines("said")));
    daemon.signal(Signal::SIGTERM);
    wait_for("the end", DEADLINE, || daemon.child.try_wait().unwrap());
}

#[test]
fn the_example_of_an_own_image_starts_nginx_after_its_files() {
    let dockerfile = dockerfiles().remove(0);
    let instruction = |name: &str| instructions(&dockerfile, name);
    assert_eq!(instruction("ENV"), ["UPSTREAMD_NODES=http://etcd:2379"]);
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "");
    let words = ["ENTRYPOINT", "CMD"].map(|name| serde_json::from_str::<Vec<String>>(&instruction(name)[0]).unwrap());
    run_image(&sandbox, &words.concat(), &[("UPSTREAMD_NODES", &etcd.url())]);
    assert_eq!(sandbox.output("app").as_deref(), Some("one\n"));
}

#[test]
fn the_example_of_an_entrypoint_takes_the_environment_and_its_defaults() {
    let scripts = blocks_of("docs/containers.md", "sh");
    let script = scripts.into_iter().find(|script| script.contains("--backend env")).unwrap();
    for (environment, expected) in [(&[][..], "127.0.0.1:8080\n"), (&[("APP_BACKEND", "10.0.0.5:80")], "10.0.0.5:80\n")]
    {
        let sandbox = Sandbox::new();
        sandbox.template("app.tera", "{{ getv(key=\"/app/backend\") }}\n");
        sandbox.resource("app", &table("app.tera", sandbox.text_path("out/app")).keys(&["/app"]));
        fs::write(sandbox.path("entrypoint.sh"), &script).unwrap();
        let words = ["sh", &sandbox.text_path("entrypoint.sh"), "nginx", "-g", "daemon off;"].map(str::to_owned);
        run_image(&sandbox, &words, environment);
        assert_eq!(sandbox.output("app").as_deref(), Some(expected));
    }
}
