//! All observed courses of a reload of nginx, as looks and what they prove.

use super::*;

fn process(pid: i32) -> Process {
    Process { pid, start_time: 1 }
}

fn children(text: &str) -> Vec<NginxChild> {
    text.split_whitespace()
        .map(|word| {
            let (role, pid) = word.split_at(1);
            let role = match role {
                "w" => Role::Worker,
                "l" => Role::Leaving,
                "s" => Role::Starting,
                _ => Role::Other,
            };
            NginxChild { process: process(pid.parse().unwrap()), role }
        })
        .collect()
}

/// Checks the verdict of these looks. Each line: milliseconds since the reload, `-` for no master or the children (`w`
/// worker, `l` leaving, `s` starting, `o` other), after `|` a log message of the master. `+new` or `+other` behind the
/// children: the generation that servers answer with.
#[track_caller]
fn check(expected_workers: usize, old: &str, looks: &[&str], verdict: &str) {
    let at = Instant::now();
    let workers = children(old).into_iter().map(|child| child.process).collect();
    let mut verification = Verification::start(
        BeforeReload { master: process(1), workers, at, ticks: 1 },
        expected_workers,
        Duration::from_millis(10),
        at,
    );
    if looks.iter().any(|look| look.contains('+')) {
        verification = verification.with_generation();
    }
    let mut last = Progress::Waiting;
    for (position, look) in looks.iter().enumerate() {
        assert_eq!(last, Progress::Waiting, "ended before look {position}: {look}");
        let (state, message) = look.split_once('|').unwrap_or((look, ""));
        let (state, generation) = state.split_once('+').unwrap_or((state, "other"));
        assert_eq!(look.contains('+'), verification.asks(), "at {look}");
        let (millis, state) = state.trim().split_once(' ').unwrap_or((state.trim(), ""));
        let (master, state) = match state.strip_prefix('-') {
            Some(_) => (None, ""),
            None => match state.strip_prefix("m2") {
                Some(state) => (Some(process(2)), state),
                None => (Some(process(1)), state),
            },
        };
        let log = if message.is_empty() { Vec::new() } else { vec![format!("2026/11/21 10:00:00 {}", message.trim())] };
        let answers = generation.split_once(' ').map_or(generation, |(answers, _)| answers);
        let other_generation = if answers == "new" { Vec::new() } else { vec!["unix:/g.sock".to_owned()] };
        let seen = Seen { master, children: children(state), log, other_generation };
        last = verification.look(&seen, at + Duration::from_millis(millis.parse().unwrap()));
    }
    let shown = match last {
        Progress::Waiting => "waiting".to_owned(),
        Progress::Refused(message) => format!("refused: {message}"),
        Progress::Broken(message) => format!("broken: {message}"),
        Progress::Done { times, leaving, serving } => format!(
            "done: {} {} {}{} leaving {} serving {serving}",
            times.accepted.as_millis(),
            times.healthy.as_millis(),
            times.converged.map_or("-".to_owned(), |time| time.as_millis().to_string()),
            times.generation.map_or(String::new(), |time| format!(" generation {}", time.as_millis())),
            leaving.len()
        ),
    };
    assert_eq!(shown, verdict);
}

#[test]
fn a_worker_that_cannot_start_is_reported_with_its_own_words() {
    let looks = [
        "1 w10|[alert] 20#20: chdir(\"/gone\") failed (2: No such file or directory)",
        "2 w10|[alert] 1#1: worker process 20 exited with fatal code 2 and cannot be respawned",
        "104 l10",
        "109 l10",
    ];
    let verdict = "broken: worker process 20 exited with fatal code 2 and cannot be respawned: \
                   chdir(\"/gone\") failed (2: No such file or directory)";
    check(1, "w10", &looks, verdict);
    let looks = ["1 w10 s20|[alert] 20#20: setgid(33) failed (1: Operation not permitted)", "2 l10", "3 l10"];
    let verdict = "broken: the old workers are shutting down or gone, and there is no new one: \
                   setgid(33) failed (1: Operation not permitted)";
    check(1, "w10", &looks, verdict);
    // Other programs write to the same log.
    let looks = ["1 w10|[alert] 99#99: a stranger's trouble", "2 l10", "3 l10"];
    check(1, "w10", &looks, "broken: the old workers are shutting down or gone, and there is no new one");
    let looks = ["1 w10|[alert] 10#10: an old one's trouble", "2 l10", "3 l10"];
    check(1, "w10", &looks, "broken: the old workers are shutting down or gone, and there is no new one");
}

#[test]
fn a_reload_that_takes() {
    let looks = [
        "1 w10 w11",
        "4 w10 w11 w20",
        "5 w10 w11 w20 w21",
        "106 l10 l11 w20 w21",
        "200 w20 w21 l10",
        "206 l10 w20 w21",
    ];
    check(2, "w10 w11", &looks, "done: 4 206 106 leaving 1 serving 2");
    check(
        1,
        "w10",
        &["4 w10 s20", "8 w10 w20", "300 w10 w20", "310 l10 w20"],
        "done: 8 300 310 leaving 0 serving 1".replace("leaving 0", "leaving 1").as_str(),
    );
    // Leaving workers of earlier reloads, and helpers of the cache, do not count as workers.
    check(
        1,
        "w10 l9",
        &["5 w10 l9 w20 o30", "120 l9 l10 w20 o30", "206 l9 l10 w20 o31"],
        "done: 5 206 120 leaving 2 serving 1",
    );
}

#[test]
fn a_reload_that_is_refused() {
    check(
        1,
        "w10",
        &["5 w10 |[emerg] 1#1: host not found in upstream \"x\" in /a:1", "200 w10", "280 w10"],
        "refused: host not found in upstream \"x\" in /a:1",
    );
    check(1, "w10", &["5 w10 |[emerg] 7#7: somebody else's check", "6 w10"], "waiting");
    check(
        1,
        "w10",
        &[
            "5 w10 |[emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address already in use)",
            "2505 w10 |[emerg] 1#1: still could not bind()",
            "2780 w10",
        ],
        "refused: still could not bind(): bind() to 0.0.0.0:80 failed (98: Address already in use)",
    );
    check(1, "w10", &["5 w10", "5001 w10"], "refused: no new worker within 5s");
}

#[test]
fn words_in_the_log_alone_prove_nothing() {
    // Workers may write to the error log, and know the master's number.
    let done = "done: 8 210 106 leaving 1 serving 1";
    check(1, "w10", &["5 w10 |[emerg] 1#1: forged", "8 w10 w20", "106 l10 w20", "210 l10 w20"], done);
    let forged = "[alert] 1#1: worker process 20 exited with fatal code 2 and cannot be respawned";
    check(1, "w10", &["8 w10 w20", &format!("9 w10 w20 |{forged}"), "106 l10 w20", "210 l10 w20"], done);
    check(
        1,
        "w10",
        &[&format!("5 w10 |{}", forged.replace("20", "77")), "8 w10 w20", "106 l10 w20", "210 l10 w20"],
        done,
    );
}

#[test]
fn a_master_that_was_there_before_proves_nothing() {
    let old = |pid: i32| NginxChild { process: Process { pid, start_time: 0 }, role: Role::Worker };
    let at = Instant::now();
    let before = BeforeReload { master: process(1), workers: BTreeSet::from([process(10)]), at, ticks: 1 };
    let mut verification = Verification::start(before, 1, Duration::from_millis(10), at);
    // An upgrade that is taken back: the pid file names the master from before, with the workers from before.
    for millis in [5, 300, 5000] {
        let (children, now) = (vec![old(7)], at + Duration::from_millis(millis));
        let seen = Seen { master: Some(process(2)), children, log: Vec::new(), other_generation: Vec::new() };
        assert_eq!(verification.look(&seen, now), Progress::Waiting, "{millis}");
    }
    let seen = Seen { master: Some(process(2)), children: vec![old(7)], log: Vec::new(), other_generation: Vec::new() };
    let verdict = verification.look(&seen, at + Duration::from_millis(5001));
    assert_eq!(verdict, Progress::Refused("no new worker within 5s".to_owned()));
}

#[test]
fn an_outage_is_known_at_once() {
    // worker_processes 0: nothing in the log, the old ones leave after 100 ms and are gone soon.
    check(
        1,
        "w10",
        &["50 w10", "104 l10", "109 "],
        "broken: the old workers are shutting down or gone, and there is no new one",
    );
    // working_directory: workers that die.
    check(
        1,
        "w10",
        &["4 w10 s20", "5 w10 |[alert] 1#1: worker process 20 exited with fatal code 2 and cannot be respawned"],
        "broken: worker process 20 exited with fatal code 2 and cannot be respawned",
    );
    // A worker that crashed and is replaced is no outage.
    check(
        1,
        "w10",
        &["50 w10 w20", "110 l10", "112 l10 s21", "115 l10 w21", "320 l10 w21"],
        "done: 50 320 115 leaving 1 serving 1",
    );
}

#[test]
fn too_few_workers_are_not_healthy() {
    check(
        2,
        "w10 w11",
        &["5 w20 w10", "300 w20 l10", "5006 w20"],
        "broken: only 1 of 2 new workers run 5s after the first",
    );
    check(
        2,
        "w10 w11",
        &["5 w20 w10", "6 w20 l10 |[alert] 1#1: no more than 1024 processes can be spawned", "5006 w20"],
        "broken: no more than 1024 processes can be spawned",
    );
}

#[test]
fn an_old_worker_that_does_not_leave_is_reported() {
    check(1, "w10", &["5 w10 w20", "210 w10 w20", "5006 w10 w20"], "done: 5 210 - leaving 1 serving 1");
}

#[test]
fn a_master_that_goes() {
    check(1, "w10", &["5 -", "5001 -"], "broken: nginx no longer runs");
    // A reload command that restarts nginx.
    check(1, "w10", &["5 -", "40 m2 w20", "241 m2 w20"], "done: 40 241 40 leaving 0 serving 1");
    // No worker served before, and no worker serves now.
    check(1, "", &["5 ", "5001 "], "broken: no new worker within 5s");
}

#[test]
fn the_generation_that_is_served_is_asked_for_once_new_workers_live() {
    let looks = ["1 w10", "4 w10 w20", "106 l10 w20 +other", "206 l10 w20 +other", "226 l10 w20 +new"];
    check(1, "w10", &looks, "done: 4 206 106 generation 226 leaving 1 serving 1");
    let looks = ["1 w10", "4 w10 w20", "106 l10 w20 +new", "206 l10 w20"];
    check(1, "w10", &looks, "done: 4 206 106 generation 106 leaving 1 serving 1");
    // Apparently healthy, but not the installed configuration.
    let looks = ["1 w10", "4 w10 w20", "106 l10 w20 +other", "400 l10 w20 +other", "5005 l10 w20 +other"];
    let broken = "broken: unix:/g.sock does not answer with the new generation 5s after the first new worker";
    check(1, "w10", &looks, broken);
    // A certain verdict is reported at once.
    check(
        1,
        "w10",
        &["4 w10 w20", "106 l10 +other", "108 l10 +other"],
        "broken: the old workers are shutting down or gone, and there is no new one",
    );
}
