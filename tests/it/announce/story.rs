//! The whole story with what is shipped: the unit's command line announces, the resource `app` reads it, nginx serves it, and a
//! stop takes it out. And what is said if the resource does not read what is announced.

use std::fs;

use nix::sys::signal::Signal;

use super::{Backend, QUICK, World};
use crate::support::agent::DEADLINE;
use crate::support::nginx::{Nginx, http_get};
use crate::support::shipped::with_settings;
use crate::support::{free_port, package_root, wait_for, wait_until};

fn shipped(path: &str) -> String {
    fs::read_to_string(package_root().join(path)).unwrap()
}

/// The words of the shipped unit's command line for this port, after the program's name.
fn unit_arguments(port: u16) -> Vec<String> {
    let unit = shipped("systemd/app-announce@.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words = line.replace("%i", &port.to_string());
    words.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// Puts the shipped resource and template into the confdir, for this nginx and port.
fn install_app(world: &World, nginx: &Nginx, port: u16) {
    let listen = format!("127.0.0.1:{port}");
    let template = with_settings(&shipped("templates/app.conf.tera"), &[("listen", &listen)]);
    world.sandbox.template("app.conf.tera", &template);
    let resource = shipped("conf.d/app.toml")
        .replace("/etc/nginx/sites-enabled/app.conf", nginx.http_file("app.conf").to_str().unwrap())
        .replace("/usr/sbin/nginx -t", &nginx.check_command())
        .replace("/usr/sbin/service nginx reload", &nginx.reload_command())
        .replace("owner = \"root\"\n", "");
    fs::write(world.sandbox.path("etc/conf.d/app.toml"), resource).unwrap();
}

const ONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none";
const TWO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";

#[test]
fn what_the_unit_announces_is_served_by_the_shipped_app_until_it_stops() {
    let mut world = World::new();
    let (nginx, port) = (Nginx::started(), free_port());
    install_app(&world, &nginx, port);
    let (one, two) = (Backend::saying(ONE), Backend::saying(TWO));
    let unit = unit_arguments(one.port);
    let words: Vec<&str> = unit.iter().map(String::as_str).skip(1).collect();
    let announcer = world.announce(&words);
    let key = world.wait_one("/services/app/").key;
    let child = ["--name", "app", "--id", "two", "--address", &two.address()];
    let mut supervised =
        world.sandbox.start_with_command(&[&["announce"], child.as_slice(), QUICK, &["--", "sleep", "1000"]].concat());
    wait_until("both keys", DEADLINE, || world.reader.keys("/services/app/").len() == 2);

    let keys = world.sandbox.run(&["keys", "app"]).expect_code(0).stdout;
    assert!(keys.contains(&key) && keys.contains("/services/app/two"), "{keys}");
    let site = world.sandbox.run(&["render", "app"]).expect_code(0);
    assert!(site.stdout.contains(&format!("server {}", one.address())), "{site:?}");
    assert!(!site.stderr.contains("no key"), "{site:?}");

    let _agent = world.sandbox.start(&["--watch", "--receipts"]);
    let answered = || http_get(port, "app.example.com", "/").ok().map(|answer| answer.body);
    for body in ["one", "two"] {
        wait_until(&format!("an answer of {body}"), DEADLINE, || answered().as_deref() == Some(body));
    }
    // The child is drained first, by the agent's receipt; then it is stopped.
    supervised.signal(Signal::SIGTERM);
    let status = wait_for("the announcer to end", DEADLINE, || supervised.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(143), "{}", world.sandbox.log());
    assert!(
        world.sandbox.log().contains(
            "drained: every balancer that reads /services/app/two has confirmed that it sends no traffic there"
        ),
        "{}",
        world.sandbox.log()
    );
    assert_eq!(world.wait_one("/services/app/").key, key);
    let served = || fs::read_to_string(nginx.http_file("app.conf")).unwrap();
    assert!(!served().contains(&two.address()) && served().contains(&one.address()), "{}", served());
    assert!((0..10).all(|_| answered().as_deref() == Some("one")));
    // The sidekick takes its key away. The agent keeps the last backend.
    announcer.signal(Signal::SIGTERM);
    world.wait_none("/services/app/");
    world.sandbox.wait_log("the store has no key for it: the last good file stays");
}

#[test]
fn keys_that_an_option_leaves_out_are_named_without_their_values() {
    let world = World::new();
    world.sandbox.template("app.tera", "{{ backends(prefix=\"/services\", subfolders=false) | length }}\n");
    let dest = world.sandbox.text_path("out/app");
    world.sandbox.resource("app", &crate::support::template::table("app.tera", &dest).keys(&["/services"]));
    world.etcd.put("/services/web/1", "SECRET");
    world.etcd.put("/services/app/web/1", "10.0.0.1:80");
    let said = "the store has keys for it (2), but none of them is a usable backend (0 skipped); \
                subfolders=false leaves out 2 keys (/services/app/web/1, /services/web/1): ";
    for command in [&["render", "app"][..], &["--onetime"]] {
        let ran = world.sandbox.run(command).expect_code(0);
        assert!(ran.stderr.contains(said) && !ran.stderr.contains("SECRET"), "{ran:?}");
    }
}

#[test]
fn an_agent_that_keeps_the_last_backend_is_named_at_once() {
    let mut world = World::new();
    let (nginx, port) = (Nginx::started(), free_port());
    install_app(&world, &nginx, port);
    let one = Backend::saying(ONE);
    let own = ["announce", "--name", "app", "--id", "one", "--address", &one.address(), "--drain-timeout", "1h"];
    let mut announcer =
        world.sandbox.start_with_command(&[&own, QUICK, &["--", "/bin/sh", "-c", "exec sleep 1000"]].concat());
    world.wait_one("/services/app/");
    let _agent = world.sandbox.start(&["--watch", "--receipts", "--agent-id", "balancer"]);
    let answers = || http_get(port, "app.example.com", "/").is_ok_and(|answer| answer.body == "one");
    wait_until("an answer", DEADLINE, answers);
    announcer.signal(Signal::SIGTERM);
    world.sandbox.wait_log("a guard of balancer keeps the last backends of the service");
    world.sandbox.wait_log("agents=\"balancer\"");
    assert!(answers(), "it goes on serving meanwhile");
    announcer.signal(Signal::SIGTERM);
    let status = wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(143), "{}", world.sandbox.log());
}
