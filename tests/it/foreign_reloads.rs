//! What somebody else does to nginx while it asks for its endpoints, a reload by hand or the replacement of its program: nothing is
//! called taken or drained that is not. On real nginx 1.31 and the real program.

use std::time::{Duration, Instant};

use crate::endpoints::{Bed, template};
use crate::support::agent::DEADLINE;
use crate::support::nginx::wait_drained;
use crate::support::{free_port, wait_until};

/// Words of the log when nginx has taken a change, and when it does not use what was removed any more.
const TAKEN: &str = "nginx took the endpoints of web.toml";
const DRAINED: &str = "web.toml: drained, nginx has no connection";
/// Longer than a change needs until it has drained.
const WATCHED: Duration = Duration::from_secs(3);

/// Removes the backends but for one that refuses connections, and waits until that has drained. Nothing else may serve then, not even in its
/// place.
#[track_caller]
fn assert_drained_is_true(bed: &Bed, dead: u16, what: &str) {
    let mark = bed.sandbox.mark();
    bed.list(&[dead]);
    bed.sandbox.wait_log_since(mark, DRAINED);
    let served: Vec<String> = (0..20).map(|_| bed.ask()).filter(|answer| answer != "502").collect();
    assert!(served.is_empty(), "{what}: served by {served:?} after `drained`:\n{}", bed.sandbox.log_since(mark));
}

#[test]
fn a_reload_by_somebody_else_leaves_no_removed_backend_in_nginx() {
    let mut bed = Bed::new();
    let _agent = bed.settle();
    let ([one, two, _], dead) = (bed.backends, free_port());
    // The lines are off the disk for a second after a reload of ours.
    for (round, delay) in [0, 300, 700, 1500].map(Duration::from_millis).into_iter().enumerate() {
        bed.list(&[one, two, dead]);
        bed.wait_served_by(&[one, two]);
        let mark = bed.sandbox.mark();
        bed.sandbox
            .template("web.tera", &template(bed.front, &format!("zone web 256k;\n    keepalive {};", round + 1)));
        bed.sandbox.wait_log_since(mark, "verified the reload");
        let verified_at = Instant::now();
        while verified_at.elapsed() < delay {
            bed.ask();
        }
        let workers = bed.nginx.worker_pids();
        assert!(bed.nginx.command(&["-s", "reload"]).status.success());
        wait_until("new workers", DEADLINE, || {
            let now = bed.nginx.worker_pids();
            !now.is_empty() && now.iter().all(|worker| !workers.contains(worker))
        });
        wait_drained(&bed.nginx);
        assert_drained_is_true(&bed, dead, &format!("after {delay:?}"));
    }
}

#[test]
fn while_the_workers_of_two_masters_serve_nothing_is_called_taken() {
    // Connections that idle in nginx's pool would count as long as they are there.
    let bed = Bed::with("zone web 256k;\n    keepalive 4;\n    keepalive_timeout 500ms;", |table| table);
    let nginx = bed.nginx.start_daemonised();
    let _agent = bed.settle_beside_nginx(&[]);
    for keeps_new in [false, true] {
        bed.list(&bed.backends[..2]);
        bed.wait_served_by(&bed.backends[..2]);
        let (old, new) = nginx.replace_program();
        let mark = bed.sandbox.mark();
        bed.list(&bed.backends[1..2]);
        let start = Instant::now();
        while start.elapsed() < WATCHED {
            let log = bed.sandbox.log_since(mark);
            assert!(!log.contains(TAKEN) && !log.contains(DRAINED), "keeps the new one: {keeps_new}:\n{log}");
            bed.ask();
        }
        let (ends, stays) = if keeps_new { (old, new) } else { (new, old) };
        nginx.end(ends);
        wait_until("one master", DEADLINE, || nginx.masters() == [stays]);
        bed.sandbox.wait_log_since(mark, TAKEN);
        bed.sandbox.wait_log_since(mark, DRAINED);
        bed.wait_served_by(&bed.backends[1..2]);
    }
    assert_drained_is_true(&bed, free_port(), "after two replacements");
}
