//! From a put in etcd to the first answer of the backend that it announces, beside what nginx alone takes for that.

use std::fs;
use std::time::{Duration, Instant};

use crate::front::{Front, median, time_until_answer};
use crate::support::free_port;

const ROUNDS: usize = 21;
/// Further apart than `min_reload_interval`, so that no round waits for the one before.
const PAUSE: Duration = Duration::from_millis(1300);

pub(crate) fn measure() {
    let backends: Vec<u16> = (0..2).map(|_| free_port()).collect();
    let servers: String = backends
        .iter()
        .map(|port| format!("    server {{ listen 127.0.0.1:{port}; return 200 backend-{port}; }}\n"))
        .collect();
    let key = "/services/app/one".to_owned();
    let front = Front::start(&servers, &[(key.clone(), format!("127.0.0.1:{}", backends[0]))]);
    let mut writer = front.etcd.writer();
    let mut put_to_answer = Vec::new();
    for round in 1..=ROUNDS {
        let port = backends[round % 2];
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        writer.put(key.as_str(), format!("127.0.0.1:{port}"));
        put_to_answer.push(time_until_answer(front.http_port, started, &format!("backend-{port}")));
    }
    let mut check = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        assert!(front.nginx.command(&["-t"]).status.success());
        check.push(started.elapsed());
    }
    let text = fs::read_to_string(front.app_conf()).unwrap();
    let live = backends[ROUNDS % 2];
    let log = front.log();
    drop(front.etcd);
    let mut nginx_alone = Vec::new();
    for round in 1..=ROUNDS {
        let port = backends[(ROUNDS + round) % 2];
        fs::write(front.nginx.http_file("app.conf"), text.replace(&format!(":{live} "), &format!(":{port} "))).unwrap();
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        let master = nix::unistd::Pid::from_raw(front.nginx.master_pid());
        nix::sys::signal::kill(master, nix::sys::signal::Signal::SIGHUP).unwrap();
        nginx_alone.push(time_until_answer(front.http_port, started, &format!("backend-{port}")));
    }
    assert!(!log.contains("failed"), "{log}");
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (put, check, alone) = (median(put_to_answer), median(check), median(nginx_alone));
    println!("{:<52} {:>9}", format!("p50 of {ROUNDS}"), "ms");
    println!("{:<52} {:>9.1}", "put in etcd to the first answer of the new backend", ms(put));
    println!("{:<52} {:>9.1}", "bare `nginx -t`", ms(check));
    println!("{:<52} {:>9.1}", "nginx alone, SIGHUP to its first new answer", ms(alone));
    println!("{:<52} {:>9.1}", "what upstreamd and etcd add (goal under 60)", ms(put) - ms(check) - ms(alone));
}
