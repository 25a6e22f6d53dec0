//! 1,000 upstreams of ten backends each that nginx asks for: the time until all are up after a cold start of nginx, and what the agent
//! and nginx take when nothing happens. Once with a template that is a loop over the upstreams, once with 1,000 blocks.
//!
//! `MANY_PROGRAM` measures a different program, such as the static one.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::endpoints::{nginx_time, processor_time};
use crate::support::etcd::Etcd;
use crate::support::nginx::{Nginx, http_get};
use crate::support::{Daemon, free_port, program, temp_dir, wait_until};

const UPSTREAMS: usize = 1000;
const BACKENDS: usize = 10;
/// Connections of a worker of nginx: each upstream has one for its questions, and one to a backend.
const CONNECTIONS: usize = 8192;
/// Puts that etcd takes at once.
const PUTS: usize = 100;
/// Time from the last reload until nothing is under way any more, and then for which the idle are watched.
const SETTLES: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(20);

pub(crate) fn run() {
    let (port, program) = (free_port(), std::env::var("MANY_PROGRAM").unwrap_or_else(|_| program("upstreamd")));
    // Any address of the loopback network: 10,000 backends are one server.
    let server = format!("server {{ listen {port}; access_log off; return 200 ok; }}");
    let mut backends = Nginx::recent().connections(CONNECTIONS).http(&server).build();
    backends.start();
    let etcd = Etcd::start();
    let mut writer = etcd.writer();
    let puts: Vec<(String, String)> = (0..UPSTREAMS * BACKENDS)
        .map(|n| (n / BACKENDS, n % BACKENDS))
        .map(|(u, b)| (format!("/services/u{u:04}/b{b}"), format!("127.{}.{}.{}:{port}", 10 + u / 250, u % 250, b + 1)))
        .collect();
    for some in puts.chunks(PUTS) {
        let puts: Vec<_> = some.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
        writer.change(&puts);
    }
    println!("\n{UPSTREAMS} upstreams of {BACKENDS} backends; megabytes are of 1,000,000 bytes");
    for (what, template) in [("a loop", looped as fn(u16) -> String), ("blocks", in_blocks)] {
        measure(what, template, &etcd, &program);
    }
}

fn looped(front: u16) -> String {
    format!(
        "{{% for u in ls(dir=\"/services\") %}}\nupstream {{{{ u }}}} {{\n    zone {{{{ u }}}} 128k;\n    {{{{ servers(prefix=\"/services/\" ~ u) }}}}\n}}\n\
         {{% endfor %}}\nserver {{ listen 127.0.0.1:{front}; access_log off;\n{{% for u in ls(dir=\"/services\") %}}\
         location /{{{{ u }}}} {{ proxy_pass http://{{{{ u }}}}; }}\n{{% endfor %}}}}\n"
    )
}

fn in_blocks(front: u16) -> String {
    let names = || (0..UPSTREAMS).map(|u| format!("u{u:04}"));
    let upstream =
        |u| format!("upstream {u} {{\n    zone {u} 128k;\n    {{{{ servers(prefix=\"/services/{u}\") }}}}\n}}\n");
    let location = |u| format!("location /{u} {{ proxy_pass http://{u}; }}\n");
    let (upstreams, locations): (String, String) = (names().map(upstream).collect(), names().map(location).collect());
    format!("{upstreams}server {{ listen 127.0.0.1:{front}; access_log off;\n{locations}}}\n")
}

fn measure(what: &str, template: fn(u16) -> String, etcd: &Etcd, program: &str) {
    let dir = temp_dir();
    let path = |name: &str| dir.path().join(name);
    for name in ["etc/conf.d", "etc/templates"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    let (mut nginx, front, listen) = (Nginx::recent().connections(CONNECTIONS).build(), free_port(), free_port());
    fs::write(path("etc/templates/many.tera"), template(front)).unwrap();
    let conf = nginx.http_file("many.conf");
    let lines = format!(
        "[template]\nsrc = \"many.tera\"\ndest = \"{}\"\nkeys = [\"/services\"]\ncheck_cmd = \"{}\"\nreload = \"nginx\"\n",
        conf.display(),
        nginx.check_command()
    );
    fs::write(path("etc/conf.d/many.toml"), lines).unwrap();
    nginx.start();
    let mut command = Command::new(program);
    command.args(["--watch", "--node", &etcd.url(), "--endpoints", "dns", "--nginx-pid-file"]).arg(nginx.pid_file());
    command.args(["--endpoints-listen", &format!("127.0.0.1:{listen}"), "--nginx-conf"]).arg(nginx.conf());
    command.arg("--confdir").arg(path("etc")).arg("--state-dir").arg(path("state")).stdout(Stdio::null());
    // As the units and the image set it.
    command.env("MALLOC_ARENA_MAX", "1").env("MALLOC_MMAP_THRESHOLD_", "131072");
    let agent = Daemon::start(command.stderr(fs::File::create(path("log")).unwrap()));
    let log = || fs::read_to_string(path("log")).unwrap_or_default();
    // The last one is without the lines on disk.
    let reloads = || log().matches("verified the reload of nginx").count();
    wait_until("the first reloads", Duration::from_secs(60), || reloads() >= 2);

    nginx.stop();
    let lines = fs::read_dir(conf.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    lines
        .filter(|path| path.extension().is_some_and(|of| of == "peers"))
        .for_each(|path| fs::remove_file(path).unwrap());
    let started = Instant::now();
    nginx.start();
    for u in 0..UPSTREAMS {
        let answers = || http_get(front, "localhost", &format!("/u{u:04}")).is_ok_and(|answer| answer.status == 200);
        wait_until("an upstream that serves", Duration::from_secs(30), answers);
    }
    let up = started.elapsed();
    std::thread::sleep(SETTLES);
    let of_both = || (processor_time(agent.pid()), nginx_time(&nginx));
    let before = of_both();
    std::thread::sleep(IDLE);
    let after = of_both();
    let share = |before: Duration, after: Duration| (after - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let memory = |field: &str| {
        let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
        let kibibytes =
            status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<f64>().ok());
        kibibytes.unwrap() * 1024.0 / 1e6
    };
    println!(
        "{what:<8} all up within {:.2} s of a start without lines on disk; idle: agent {:.1} MB ({:.1} of files, {:.1} at most), \
         {:.2} % of a core, nginx {:.2} %",
        up.as_secs_f64(),
        memory("VmRSS:"),
        memory("RssFile:"),
        memory("VmHWM:"),
        share(before.0, after.0),
        share(before.1, after.1)
    );
    for line in log().lines().filter(|line| line.contains("ERROR") || line.contains("WARN")) {
        println!("{line}");
    }
}
