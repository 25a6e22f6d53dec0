//! Files that are mounted by themselves, as `docker -v keys.yaml:/keys.yaml` does, and written in place from outside.

use std::fs;

use crate::support::agent::{Sandbox, mounting};

/// Moves a file to the sandbox's folder `host`; the returned command mounts it where it was.
fn mount_from_host(sandbox: &Sandbox, name: &str) -> String {
    let host = sandbox.path("host").join(name.replace('/', "_"));
    fs::create_dir_all(sandbox.path("host")).unwrap();
    fs::copy(sandbox.path(name), &host).unwrap();
    format!("mount --bind {} {} && ", host.display(), sandbox.text_path(name))
}

/// Edits the mounted file on the host, in place.
fn edit(sandbox: &Sandbox, name: &str, from: &str, to: &str) {
    let host = sandbox.path("host").join(name.replace('/', "_"));
    let text = fs::read_to_string(&host).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(host, text.replace(from, to)).unwrap();
}

#[test]
fn files_mounted_by_themselves_are_followed() {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let files = ["store.yaml", "etc/templates/values.tera", "etc/conf.d/a.toml"];
    let mounts: String = files.iter().map(|name| mount_from_host(&sandbox, name)).collect();
    sandbox.wrapper = mounting(&(mounts + "exec \"$@\""));
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    edit(&sandbox, "store.yaml", "one", "two");
    sandbox.wait_output("a", "two\n");
    edit(&sandbox, "store.yaml", "two", "three");
    sandbox.wait_output("a", "three\n");
    edit(&sandbox, "etc/templates/values.tera", "{{ pair.value }}", "value {{ pair.value }}");
    sandbox.wait_output("a", "value three\n");
    edit(&sandbox, "etc/conf.d/a.toml", "out/a", "out/b");
    sandbox.wait_output("b", "value three\n");
}
