//! The quick start of the README, typed line by line into a shell: what a line reads must come to what its comment says.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Daemon, free_port, package_root, program, temp_dir, wait_or};

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Before the lines: `read_until COMMAND TEXT` repeats a command, as a person does, until it says the text.
const PRELUDE: &str = r#"
trap 'kill $(jobs -p) 2>/dev/null' EXIT
read_until() {
    for _ in $(seq 300); do
        said=$(eval "$1" 2>&1)
        case "$said" in *"$2"*) echo "$said"; return ;; esac
        sleep 0.1
    done
    echo "gave up: $1 does not say $2 but: $said"
    exit 1
}
"#;

/// Returns the lines of the quick start, without those that build or sleep: `read_until` waits instead.
fn lines() -> Vec<String> {
    let readme = fs::read_to_string(package_root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Quick start\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```bash\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let is_skipped = |line: &&str| line.starts_with("make ") || line.starts_with("sleep ");
    blocks.flat_map(str::lines).filter(|line| !is_skipped(line)).map(str::to_owned).collect()
}

/// Returns a line as the shell gets it.
fn command(line: &str) -> String {
    let Some((command, expected)) = line.split_once(" # ") else { return line.to_owned() };
    let quoted = |text: &str| format!("'{}'", text.trim().replace('\'', r"'\''"));
    format!("read_until {} {}", quoted(command), quoted(expected))
}

#[test]
fn every_line_of_the_quick_start_does_what_it_says() {
    let dir = temp_dir();
    let place = dir.path().join("try");
    let [client, peer] = [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
    let ports: Vec<(String, String)> =
        ["8080", "8441", "8442"].map(|port| (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", free_port()))).into();
    let bin = program("upstreamd");
    let bin = bin.rsplit_once('/').unwrap().0;
    let here = |text: &str| {
        let text = text.replace("/tmp/upstreamd-try", place.to_str().unwrap()).replace("$PWD/target/debug", bin);
        let text = text.replace(
            "etcd --data-dir",
            &format!(
                "etcd --listen-client-urls {client} --advertise-client-urls {client} --listen-peer-urls {peer} --data-dir"
            ),
        );
        ports.iter().fold(text, |text, (shown, free)| text.replace(shown, free))
    };
    // The files of the quick start name its place and its port too.
    let quick_start = dir.path().join("examples/quickstart");
    for file in ["nginx.conf", "conf.d/app.toml", "templates/app.conf.tera"] {
        let to = quick_start.join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, here(&fs::read_to_string(package_root().join("examples/quickstart").join(file)).unwrap()))
            .unwrap();
    }
    let lines = lines();
    assert!(lines.len() > 20, "{lines:?}");
    let script: Vec<String> = lines.iter().map(|line| here(&command(line))).collect();
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{PRELUDE}{}\necho all is done\n", script.join("\n"))]);
    bash.current_dir(dir.path()).env("UPSTREAMD_NODE", &client).env("ETCDCTL_ENDPOINTS", &client);
    // Whatever this machine has below /etc.
    bash.env("UPSTREAMD_CONFDIR", dir.path()).stdin(Stdio::null());
    let mut shell = Daemon::start(bash.stdout(log.try_clone().unwrap()).stderr(log));
    let said = || {
        let read = |path: std::path::PathBuf| fs::read_to_string(path).unwrap_or_default();
        let logs = ["log", "one.log", "etcd.log"].map(|name| read(place.join(name)));
        format!("{}\n{}", read(dir.path().join("log")), logs.join("\n"))
    };
    let ended = || shell.child.try_wait().unwrap();
    wait_or(DEADLINE, ended, || format!("the quick start does not end:\n{}", said()));
    assert!(said().contains("all is done") && !place.exists(), "{}", said());
}
