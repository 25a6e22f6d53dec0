//! `status` and `explain`: ask the running agent, or the announcers of a machine without one, over their sockets, and print what they say.
//! Never reads the store.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::agent::announcers;
use crate::config::settings::Settings;
use crate::model::status::{
    AnnouncedState, AnnouncerStatus, AxisAnswer, ConditionKind, Explanation, FORMAT, Status, StatusQuestion, UnixTime,
};
use crate::model::text;
use crate::status::announced;
use crate::status::{explain, terminal as texts};
use crate::world::{clock, http, terminal};

use super::exit::Exit;
use super::{run, state};

/// Pause between two looks with `--watch`.
const PAUSE: Duration = Duration::from_secs(1);
/// Time limit for the agent's answer to a shell: whoever presses Tab waits for it.
const PATIENCE: Duration = Duration::from_millis(200);
/// Time limit for one answer of the agent, and its largest size in bytes.
const LIMIT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 64 << 20;
/// Clears a terminal and moves to its first line.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Prints the status of the running agent, if `watches` again and again. `list` is a folder of keys or a file whose backends are all
/// shown.
pub(super) async fn status(settings: Settings, json: bool, watches: bool, list: Option<String>) -> Exit {
    let target = match &list {
        Some(list) => format!("/api/status?list={}", utf8_percent_encode(list, NON_ALPHANUMERIC)),
        None => "/api/status".to_owned(),
    };
    let has_color = run::style(&settings).color;
    let mut last = String::new();
    loop {
        let (exit, text) = match ask(&settings, &target).await {
            Ok((_, body)) if json => {
                (serde_json::from_str(&body).map_or(Exit::AgentAway, |found| exit_of(&found)), text::json(&body))
            }
            Ok((_, body)) => match serde_json::from_str(&body) {
                Ok(status) => (exit_of(&status), texts::status(&status, has_color, list.as_deref())),
                Err(error) => (Exit::AgentAway, format!("the agent's answer is not understood: {error}\n")),
            },
            Err(problem) => announced(&settings, problem, json).await,
        };
        if !watches {
            match exit {
                Exit::AgentAway => terminal::print_error(&text),
                _ => terminal::print(&text),
            }
            return exit;
        }
        if terminal::is_terminal() && !json {
            terminal::print(&format!("{CLEAR}{text}"));
        } else if text != last {
            terminal::print(&text);
        }
        last = text;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The status of a machine with announcers and without an agent.
#[derive(Serialize)]
struct AnnouncedOnly {
    format: u32,
    at: UnixTime,
    announced: Vec<AnnouncerStatus>,
}

/// Returns the exit code and the status of the announcers, on a machine on which no agent answers, because of this problem. If there was
/// one, its absence counts more than what they say.
async fn announced(settings: &Settings, problem: String, json: bool) -> (Exit, String) {
    let wanted = &settings.agent.state_dir;
    let found = announced::read(announcers::ask(state::announcer_places(wanted)).await);
    if found.is_empty() {
        return (Exit::AgentAway, problem);
    }
    let at = UnixTime(clock::unix_seconds());
    let text = || texts::announced(&found, at, run::style(settings).color);
    if state::existing(wanted).is_some_and(|folder| state::has_agent(&folder)) {
        return (Exit::AgentAway, if json { problem } else { format!("{problem}\n{}", text()) });
    }
    let exit = found.iter().map(exit_of_announcer).max_by_key(|exit| rank(*exit)).unwrap_or(Exit::Done);
    let text = if json { json_of(AnnouncedOnly { format: FORMAT, at, announced: found }) } else { text() };
    (exit, text)
}

fn json_of(status: AnnouncedOnly) -> String {
    text::json(&(serde_json::to_string(&status).unwrap_or_default() + "\n"))
}

/// Returns the exit code for the worst of an announcer.
fn exit_of_announcer(announcer: &AnnouncerStatus) -> Exit {
    let of_service = |state: AnnouncedState| match state {
        AnnouncedState::Unhealthy => Exit::NotServing,
        AnnouncedState::Held => Exit::Held,
        AnnouncedState::Denied => Exit::Store,
        AnnouncedState::Announced => Exit::Done,
        _ => Exit::UnderWay,
    };
    let silent = announcer.silent.iter().map(|_| Exit::AgentAway);
    let away = announcer.etcd.away_since.iter().map(|_| Exit::Store);
    let broken = announcer.problems.iter().map(|_| Exit::Configuration);
    let services = announcer.services.iter().map(|service| of_service(service.state));
    silent.chain(away).chain(broken).chain(services).max_by_key(|exit| rank(*exit)).unwrap_or(Exit::Done)
}

/// Returns how bad an exit code for announcers is; the worst has the greatest rank.
fn rank(exit: Exit) -> usize {
    let order = [Exit::UnderWay, Exit::Configuration, Exit::Held, Exit::NotServing, Exit::Store, Exit::AgentAway];
    order.iter().position(|known| *known == exit).map_or(0, |at| at + 1)
}

/// Explains a key, a backend, a file or a resource.
pub(super) async fn explain(settings: Settings, what: &str, json: bool) -> Exit {
    let target = format!("/api/explain?of={}", utf8_percent_encode(what, NON_ALPHANUMERIC));
    let body = match ask(&settings, &target).await {
        Ok((_, body)) => body,
        Err(problem) => {
            terminal::print_error(&problem);
            return Exit::AgentAway;
        }
    };
    let explanation: Explanation = match serde_json::from_str(&body) {
        Ok(explanation) => explanation,
        Err(error) => {
            terminal::print_error(&format!("the agent's answer is not understood: {error}\n"));
            return Exit::AgentAway;
        }
    };
    let now = UnixTime(clock::unix_seconds());
    let has_color = run::style(&settings).color;
    terminal::print(&if json { text::json(&body) } else { texts::explanation(&explanation, now, has_color) });
    let worst = explanation.conditions.iter().find(|condition| condition.question != StatusQuestion::Notice);
    match (explanation.is_known, worst) {
        (false, _) => Exit::Usage,
        (true, worst) => worst.map_or(Exit::Done, |condition| exit_for(condition.kind)),
    }
}

/// Prints what can be explained, a line each, for the completions of shells: nothing if no agent answers soon.
pub(super) async fn names(settings: Settings) -> Exit {
    let asked = tokio::time::timeout(PATIENCE, ask(&settings, "/api/status")).await;
    let status = asked.ok().and_then(Result::ok).and_then(|(_, body)| serde_json::from_str::<Status>(&body).ok());
    if let Some(status) = status {
        explain::names(&status).into_iter().for_each(|name| terminal::print(&format!("{name}\n")));
    }
    Exit::Done
}

/// Asks the agent of this state folder.
async fn ask(settings: &Settings, target: &str) -> Result<(u16, String), String> {
    let Some(folder) = state::existing(&settings.agent.state_dir) else {
        return Err(format!("no agent runs here: there is no state folder (hint: {HINT})\n"));
    };
    let path = state::socket(&folder);
    http::get(&path, target, LIMIT, MAX_BYTES).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "ask as root, or as a member of the agent's group",
            _ => HINT,
        };
        format!("the agent does not answer at `{}`: {error} (hint: {hint})\n", path.display())
    })
}

const HINT: &str = "is `upstreamd --watch` running, with the same --state-dir?";

fn exit_of(status: &Status) -> Exit {
    let worst = status.conditions.iter().find(|condition| condition.question != StatusQuestion::Notice);
    let without = if status.sync.answer == AxisAnswer::Starting { Exit::UnderWay } else { Exit::Done };
    worst.map_or(without, |condition| exit_for(condition.kind))
}

/// Returns the exit code for the worst condition.
fn exit_for(kind: ConditionKind) -> Exit {
    match kind {
        ConditionKind::Stuck => Exit::Stuck,
        ConditionKind::NginxAway | ConditionKind::NoBackends | ConditionKind::NoneLive => Exit::NotServing,
        ConditionKind::StoreAway | ConditionKind::KeysRefused => Exit::Store,
        ConditionKind::CheckRefused | ConditionKind::KeySkipped => Exit::Check,
        ConditionKind::ReloadRefused | ConditionKind::ReloadOwed => Exit::Reload,
        ConditionKind::Failed => Exit::Render,
        ConditionKind::Broken | ConditionKind::Unread => Exit::Configuration,
        ConditionKind::Held => Exit::Guarded,
        ConditionKind::Slow | ConditionKind::Untaken | ConditionKind::Waiting => Exit::UnderWay,
        ConditionKind::NotAnnounced | ConditionKind::OldWorkers => Exit::Done,
    }
}
