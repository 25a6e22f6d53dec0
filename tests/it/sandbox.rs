//! The nginx sandbox of these tests works as the tests assume.

use std::fs;

use crate::support::free_port;
use crate::support::nginx::{Nginx, http_get, lives, wait_drained};

#[test]
fn a_sandboxed_nginx_serves_reloads_and_leaves_nothing_behind() {
    let mut nginx = Nginx::builder().workers(3).build();
    let (http_port, stream_port) = (free_port(), free_port());
    let upstream = format!("127.0.0.1:{}", nginx.status_port);
    fs::write(nginx.http_file("a.conf"), format!("server {{ listen 127.0.0.1:{http_port}; return 200 one; }}"))
        .unwrap();
    let stream = format!("server {{ listen 127.0.0.1:{stream_port}; proxy_pass {upstream}; }}");
    fs::write(nginx.stream_file("a.conf"), stream).unwrap();
    nginx.start();
    assert!(nginx.command(&["-t"]).status.success());
    let answer = nginx.http_get(http_port, "/").unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "one"));
    assert_eq!(answer.header("content-LENGTH"), Some("3"));
    assert_eq!(http_get(stream_port, "localhost", "/ready").unwrap().status, 200);

    let deadline = std::time::Duration::from_secs(10);
    let before = crate::support::wait_for("three workers", deadline, || {
        Some(nginx.worker_pids()).filter(|pids| pids.len() == 3)
    });
    fs::write(nginx.http_file("a.conf"), format!("server {{ listen 127.0.0.1:{http_port}; return 200 two; }}"))
        .unwrap();
    assert!(nginx.command(&["-s", "reload"]).status.success());
    crate::support::wait_until("the new answer", std::time::Duration::from_secs(10), || {
        nginx.http_get(http_port, "/").is_some_and(|answer| answer.body == "two")
            && !nginx.worker_pids().iter().any(|pid| before.contains(pid))
    });
    assert_eq!(wait_drained(&nginx).len(), 3);
    assert!(nginx.error_log().contains("reconfiguring"));

    let all = [nginx.worker_pids(), vec![nginx.master_pid()]].concat();
    assert!(nginx.is_running());
    nginx.stop();
    assert!(!nginx.is_running());
    assert_eq!(all.into_iter().filter(|pid| lives(*pid)).count(), 0);
}

#[test]
fn workers_of_a_killed_master_are_ended_too() {
    let mut nginx = Nginx::started();
    let workers = nginx.worker_pids();
    let master = nix::unistd::Pid::from_raw(nginx.master_pid());
    nix::sys::signal::kill(master, nix::sys::signal::Signal::SIGKILL).unwrap();
    crate::support::wait_until("the master to be gone", std::time::Duration::from_secs(10), || !nginx.is_running());
    nginx.stop();
    crate::support::wait_until("the workers to be gone", std::time::Duration::from_secs(10), || {
        workers.iter().all(|pid| !lives(*pid))
    });
}
