//! The quick start of the README, and the page to try endpoints, typed line by line into a shell: what a line reads must come to what
//! its comment says.

use std::fs;
use std::path::Path;
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

/// A section that people type.
struct Tour {
    page: &'static str,
    heading: &'static str,
    /// The example that it copies, and to where.
    example: &'static str,
    place: &'static str,
    /// Ports of 127.0.0.1 that it uses.
    ports: &'static [&'static str],
}

const QUICK_START: Tour = Tour {
    page: "README.md",
    heading: "Quick start",
    example: "examples/quickstart",
    place: "/tmp/upstreamd-try",
    ports: &["8080", "8441", "8442"],
};

const ENDPOINTS: Tour = Tour {
    page: "docs/endpoints.md",
    heading: "Try it",
    example: "examples/endpoints",
    place: "/tmp/upstreamd-endpoints",
    ports: &["8090", "8091", "8092", "5353"],
};

/// Returns the lines of a section, without those that build or sleep: `read_until` waits instead.
fn lines(tour: &Tour) -> Vec<String> {
    let page = fs::read_to_string(package_root().join(tour.page)).unwrap();
    let (_, section) = page.split_once(&format!("\n## {}\n", tour.heading)).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```bash\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let is_skipped = |line: &&str| {
        let needs_more = line.starts_with("dig ") && !Path::new("/usr/bin/dig").exists();
        line.starts_with("make ") || line.starts_with("sleep ") || needs_more
    };
    blocks.flat_map(str::lines).filter(|line| !is_skipped(line)).map(str::to_owned).collect()
}

/// Returns the files of a folder, by their path from it.
fn files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        match entry.path().is_dir() {
            true => files.extend(self::files(&entry.path()).iter().map(|file| format!("{name}/{file}"))),
            false => files.push(name),
        }
    }
    files
}

/// Returns a line as the shell gets it.
fn command(line: &str) -> String {
    let Some((command, expected)) = line.split_once(" # ") else { return line.to_owned() };
    let quoted = |text: &str| format!("'{}'", text.trim().replace('\'', r"'\''"));
    format!("read_until {} {}", quoted(command), quoted(expected))
}

#[test]
fn every_line_of_the_quick_start_does_what_it_says() {
    assert!(lines(&QUICK_START).len() > 20);
    run(&QUICK_START);
}

#[test]
fn every_line_that_tries_endpoints_does_what_it_says() {
    assert!(lines(&ENDPOINTS).len() > 8);
    run(&ENDPOINTS);
}

fn run(tour: &Tour) {
    let dir = temp_dir();
    let place = dir.path().join("try");
    let [client, peer] = [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
    let mut ports = Vec::new();
    for port in tour.ports {
        let free = free_port();
        ports.extend([
            (format!("127.0.0.1:{port}"), format!("127.0.0.1:{free}")),
            (format!("-p {port}"), format!("-p {free}")),
        ]);
    }
    let tools = package_root().join("target/tools/bin");
    let bin = program("upstreamd");
    let bin = bin.rsplit_once('/').unwrap().0;
    let here = |text: &str| {
        let text = text.replace(tour.place, place.to_str().unwrap()).replace("$PWD/target/debug", bin);
        let text = text.replace("$PWD/target/tools/bin", tools.to_str().unwrap());
        let text = text.replace(
            "etcd --data-dir",
            &format!(
                "etcd --listen-client-urls {client} --advertise-client-urls {client} --listen-peer-urls {peer} --data-dir"
            ),
        );
        ports.iter().fold(text, |text, (shown, free)| text.replace(shown, free))
    };
    // The files of the example name its place and its ports too.
    let example = package_root().join(tour.example);
    for file in files(&example) {
        let to = dir.path().join(tour.example).join(&file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, here(&fs::read_to_string(example.join(file)).unwrap())).unwrap();
    }
    let script: Vec<String> = lines(tour).iter().map(|line| here(&command(line))).collect();
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
    wait_or(DEADLINE, ended, || format!("{} does not end:\n{}", tour.page, said()));
    assert!(said().contains("all is done") && !place.exists(), "{}", said());
    assert!(!said().contains("no such job"), "{}", said());
}
