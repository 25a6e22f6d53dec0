//! nginx's error log as data: which lines show the outcome of a reload. Pure: never reads the log.
//!
//! Facts: `[emerg]` is logged at every level, by the master and also by a concurrent `nginx -t` or signaller; the pid in the
//! line distinguishes them. Success (`reconfiguring`) is logged at `notice` only, so its absence proves nothing. A failing
//! `init_by_lua` is only an `[error]`. Workers that die at once are an `[alert]` of the master.

use std::borrow::Cow;

use crate::model::report::{Stage, StepFailure};

/// Outcome of a reload of one master, from a line of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogVerdict<'a> {
    /// The master refuses the new configuration and keeps the old one.
    Refused(&'a str),
    /// The new workers cannot run.
    Broken(&'a str),
}

/// A line `DATE TIME [LEVEL] PID#TID: MESSAGE`.
struct Line<'a> {
    level: &'a str,
    pid: i32,
    message: &'a str,
}

impl Line<'_> {
    fn parse(line: &str) -> Option<Line<'_>> {
        let (_, rest) = line.split_once(" [")?;
        let (level, rest) = rest.split_once("] ")?;
        let (process, message) = rest.split_once(": ")?;
        let pid = process.split_once('#')?.0.parse().ok()?;
        Some(Line { level, pid, message: without_connection(message.trim_end()) })
    }
}

/// Returns what a line means for a reload of the master with this pid, if it means anything.
pub fn judge(line: &str, master_pid: i32) -> Option<LogVerdict<'_>> {
    let Line { level, pid, message } = Line::parse(line)?;
    if pid != master_pid {
        return None;
    }
    match level {
        // nginx logs each of its five attempts to bind; only the last line says that it gave up.
        "emerg" if is_bind_attempt(message) => None,
        "emerg" => Some(LogVerdict::Refused(message)),
        "error" if message.starts_with("init_by_lua") => Some(LogVerdict::Refused(message)),
        "alert" if message.contains("exited with fatal code") || message.starts_with("no more than ") => {
            Some(LogVerdict::Broken(message))
        }
        _ => None,
    }
}

/// Returns whether the message reports an address in use: the cause of a refusal that follows.
pub fn is_bind_attempt(message: &str) -> bool {
    message.contains("bind() to ") && message.contains("(98:")
}

/// Returns the message if the master with this pid failed to bind an address in use.
pub fn bind_attempt(line: &str, master_pid: i32) -> Option<&str> {
    let Line { level, pid, message } = Line::parse(line)?;
    (level == "emerg" && pid == master_pid && is_bind_attempt(message)).then_some(message)
}

/// Returns the pid and message of a process that cannot go on, such as a worker that fails to start. Never a line about a
/// client's connection, which quotes the client.
pub fn complaint(line: &str) -> Option<(i32, &str)> {
    let Line { level, pid, message } = Line::parse(line)?;
    let of_connection = line.contains(": *");
    (matches!(level, "emerg" | "alert") && !of_connection).then_some((pid, message))
}

/// Returns the pid of the worker that ended, from a master's message `worker process 20 exited ...`.
pub fn ended_worker(message: &str) -> Option<i32> {
    message.strip_prefix("worker process ")?.split(' ').next()?.parse().ok()
}

/// Removes the `*NUMBER ` of a connection.
fn without_connection(message: &str) -> &str {
    let Some(rest) = message.strip_prefix('*') else { return message };
    rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start()
}

/// Removes the `PID#TID: ` that a message has if it goes to a log: the next attempt has another.
fn without_process(message: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let of_process = |process: &str| process.split_once('#').is_some_and(|(pid, tid)| is_number(pid) && is_number(tid));
    let message = message.trim();
    message.split_once(": ").filter(|(process, _)| of_process(process)).map_or(message, |(_, rest)| rest)
}

/// Returns the warnings in a check's output, in order: `nginx -t` prints `nginx: [warn] MESSAGE`.
pub fn warnings(check_output: &str) -> impl Iterator<Item = &str> {
    check_output.lines().filter_map(|line| line.strip_prefix("nginx: [warn] ")).map(str::trim_end)
}

/// Returns the configuration file that nginx blames, as in `... in /etc/nginx/conf.d/a.conf:12`, from the last `[emerg]` or
/// `[crit]` line that names a file.
pub fn blamed_file(output: &str) -> Option<&str> {
    blamed_place(output).map(|(file, _)| file)
}

/// Returns the file and the line that nginx blames.
pub fn blamed_place(output: &str) -> Option<(&str, usize)> {
    output.lines().rev().filter(|line| line.contains("[emerg]") || line.contains("[crit]")).find_map(named_place)
}

/// Returns why nginx refuses a configuration, with directive, file and line: the message of the first `[emerg]` or `[crit]` line.
pub fn refusal(output: &str) -> Option<&str> {
    output
        .lines()
        .find_map(|line| ["[emerg] ", "[crit] "].iter().find_map(|level| Some(line.split_once(level)?.1)))
        .map(without_process)
}

/// Returns what was said about a failed step: nginx's refusal in the output of a command, its own log's words about a reload, or the
/// shell's about a missing program. A rendered file has its destination in it: nginx may have seen it elsewhere, and it is gone there.
pub fn said_of(failure: &StepFailure) -> Option<Cow<'_, str>> {
    let said = words_of(failure)?;
    let with_destination = failure.place.as_ref().and_then(|(dest, line)| {
        let (words, _) =
            said.rsplit_once(" in ").filter(|_| named_place(said).is_some_and(|(_, named)| named == *line))?;
        Some(Cow::Owned(format!("{words} in {}:{line}", dest.display())))
    });
    with_destination.or(Some(Cow::Borrowed(said)))
}

fn words_of(failure: &StepFailure) -> Option<&str> {
    let output = failure.output.trim();
    let whole = (failure.at == Stage::Verify && !output.is_empty()).then_some(output);
    let of_signaller =
        || output.lines().find_map(|line| Some(without_process(line.split_once("nginx: [")?.1.split_once("] ")?.1)));
    whole
        .or_else(|| refusal(output))
        .or_else(|| of_signaller().filter(|_| failure.at == Stage::Reload))
        .or_else(|| failure.not_run())
}

/// Returns the file in `... in FILE:LINE` at the end of a message.
pub fn named_file(message: &str) -> Option<&str> {
    named_place(message).map(|(file, _)| file)
}

fn named_place(message: &str) -> Option<(&str, usize)> {
    let (_, place) = message.trim_end().rsplit_once(" in ")?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file, line.parse().ok()?)).filter(|(file, _)| file.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<LogVerdict<'_>>) {
        assert_eq!(judge(line, 17), expected, "{line}");
    }

    #[test]
    fn lines_are_judged_by_level_pid_and_message() {
        use LogVerdict::{Broken, Refused};
        let at =
            |level: &str, pid: &str, message: &str| format!("2026/11/21 10:00:00 [{level}] {pid}#{pid}: {message}");
        check(&at("emerg", "17", "still could not bind()"), Some(Refused("still could not bind()")));
        check(&at("emerg", "18", "still could not bind()"), None);
        check(&at("emerg", "17", "bind() to 127.0.0.1:80 failed (98: Address already in use)"), None);
        check(
            &at("emerg", "17", "bind() to 192.0.2.1:80 failed (99: Cannot assign requested address)"),
            Some(Refused("bind() to 192.0.2.1:80 failed (99: Cannot assign requested address)")),
        );
        check(&at("error", "17", "init_by_lua error: x"), Some(Refused("init_by_lua error: x")));
        check(&at("error", "17", "*4 upstream prematurely closed"), None);
        check(
            &at("alert", "17", "worker process 20 exited with fatal code 2 and cannot be respawned"),
            Some(Broken("worker process 20 exited with fatal code 2 and cannot be respawned")),
        );
        check(
            &at("alert", "17", "no more than 1024 processes can be spawned"),
            Some(Broken("no more than 1024 processes can be spawned")),
        );
        check(&at("notice", "17", "reconfiguring"), None);
        check("", None);
        check("nonsense [emerg] 17: x", None);
    }

    #[test]
    fn bind_attempts_are_recognised_by_pid() {
        let line = "2026/11/21 10:00:00 [emerg] 17#17: bind() to 0.0.0.0:80 failed (98: Address already in use)";
        assert_eq!(bind_attempt(line, 17), Some("bind() to 0.0.0.0:80 failed (98: Address already in use)"));
        assert_eq!(bind_attempt(line, 16), None);
    }

    #[test]
    fn complaints_name_their_process() {
        let line = "2026/11/21 10:00:00 [alert] 20#20: setgid(33) failed (1: Operation not permitted)";
        assert_eq!(complaint(line), Some((20, "setgid(33) failed (1: Operation not permitted)")));
        assert_eq!(complaint("2026/11/21 10:00:00 [error] 20#20: *4 upstream timed out"), None);
        assert_eq!(complaint("2026/11/21 10:00:00 [alert] 20#20: *4 oops, request: \"GET /?token=1\""), None);
        assert_eq!(ended_worker("worker process 20 exited with fatal code 2"), Some(20));
        assert_eq!(ended_worker("no more than 1024 processes can be spawned"), None);
    }

    #[test]
    fn the_blamed_file_is_the_last_one_named() {
        let output = "nginx: [warn] conflicting server name \"x\" in /a:1\nnginx: [emerg] invalid port in upstream \"::\" in /etc/nginx/conf.d/a b.conf:12\nnginx: configuration file /etc/nginx/nginx.conf test failed";
        assert_eq!(blamed_file(output), Some("/etc/nginx/conf.d/a b.conf"));
        assert_eq!(blamed_file("nginx: [emerg] no memory"), None);
        let refused = "nginx: [warn] x\nnginx: [emerg] unknown directive \"a\" in /a.conf:1\nnginx: test failed";
        assert_eq!(refusal(refused), Some("unknown directive \"a\" in /a.conf:1"));
        let of_log = "2026/11/29 05:00:00 [emerg] 27415#27415: unknown directive \"a\" in /a.conf:1";
        assert_eq!(refusal(of_log), Some("unknown directive \"a\" in /a.conf:1"));
        assert_eq!(refusal("no nginx"), None);
        let failure = |at: Stage, output: &str| StepFailure { output: output.to_owned(), ..StepFailure::new(at, "no") };
        let says = |failure: StepFailure, expected: Option<&str>| assert_eq!(said_of(&failure).as_deref(), expected);
        says(failure(Stage::Check, refused), Some("unknown directive \"a\" in /a.conf:1"));
        let staged = |line| StepFailure { place: Some(("/etc/b".into(), line)), ..failure(Stage::Check, refused) };
        says(staged(1), Some("unknown directive \"a\" in /etc/b:1"));
        says(staged(2), Some("unknown directive \"a\" in /a.conf:1"));
        says(failure(Stage::Verify, "still could not bind()\n"), Some("still could not bind()"));
        let dead = "nginx: [alert] kill(7, 1) failed (3: No such process)";
        says(failure(Stage::Reload, dead), Some("kill(7, 1) failed (3: No such process)"));
        says(failure(Stage::Reload, "no nginx"), None);
        says(failure(Stage::Verify, ""), None);
        assert_eq!(warnings(output).collect::<Vec<_>>(), ["conflicting server name \"x\" in /a:1"]);
    }
}
