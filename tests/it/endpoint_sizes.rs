//! Upstreams with many backends that an nginx from 1.27.3 on asks for: whether it takes all of them, in a zone of the size that
//! docs/endpoints.md says. On real nginx 1.31 and the real program. No backend is there: nginx tries each of them for one request.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::support::agent::Sandbox;
use crate::support::nginx::{Nginx, http_get};
use crate::support::template::table;
use crate::support::{free_port, wait_or};

/// Time until an unoptimized program has brought thousands of backends to nginx.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts an agent and then nginx, whose upstream has these backends in a zone of so many kilobytes. Waits until one request has tried
/// all of them.
fn wait_all_tried(backends: &BTreeSet<String>, zone_kilobytes: usize) {
    let (sandbox, front, port) = (Sandbox::new(), free_port(), free_port());
    let tried = sandbox.text_path("tried");
    let mut nginx = Nginx::recent().http("log_format tried '$upstream_addr';").build();
    sandbox.template(
        "web.tera",
        &format!(
            "upstream web {{\n    zone web {zone_kilobytes}k;\n    {{{{ servers(prefix=\"/web\", max_fails=0) }}}}\n}}\n\
             server {{ listen 127.0.0.1:{front}; access_log {tried} tried; error_log /dev/null; location / {{ proxy_pass http://web; }} }}\n"
        ),
    );
    sandbox.resource("web", &table("web.tera", nginx.http_file("web.conf").display()).keys(&["/web"]).driving(&nginx));
    let lines: String = backends.iter().enumerate().map(|(n, at)| format!("  b{n}: \"{at}\"\n")).collect();
    sandbox.set_store(&format!("web:\n{lines}"));
    let _agent =
        sandbox.start(&["--watch", "--endpoints-listen", &format!("127.7.{}.{}:{port}", port >> 8, port & 255)]);
    // nginx starts with all of them in its files, and gets all of them as an answer.
    sandbox.wait_log("checked files are in place, the reload is owed");
    nginx.start();
    let has_tried_all = || {
        http_get(front, "localhost", "/").ok()?;
        let log = fs::read_to_string(&tried).unwrap_or_default();
        let last: BTreeSet<String> = log.lines().last()?.split(", ").map(str::to_owned).collect();
        (last == *backends).then_some(())
    };
    wait_or(PATIENCE, has_tried_all, || format!("nginx has not taken all:\n{}\n{}", sandbox.log(), nginx.error_log()));
    assert!(!nginx.error_log().contains("no memory"), "{}", nginx.error_log());
}

/// The rule of docs/endpoints.md.
fn zone_kilobytes(backends: usize) -> usize {
    256 + 2 * backends.saturating_sub(100)
}

#[test]
fn a_zone_of_the_documented_size_holds_all_backends() {
    for count in [100, 300] {
        let backends = (0..count).map(|n| format!("127.88.{}.{}:9", n / 250, n % 250 + 1)).collect();
        wait_all_tried(&backends, zone_kilobytes(count));
    }
}

#[test]
fn five_thousand_backends_with_ports_of_their_own_are_all_taken() {
    let backends: BTreeSet<String> = (0..5000).map(|n| format!("127.88.0.1:{}", 20_000 + n)).collect();
    wait_all_tried(&backends, zone_kilobytes(backends.len()));
}
