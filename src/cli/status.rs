//! `status` and `explain`: ask the running agent, over its socket, and print what it says. Never reads the store.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::settings::Settings;
use crate::model::status::{AxisAnswer, ConditionKind, Explanation, Status, StatusQuestion, UnixTime};
use crate::status::{explain, terminal as texts};
use crate::world::{clock, http, terminal};

use super::exit::Exit;
use super::{run, state};

/// Pause between two looks with `--watch`.
const PAUSE: Duration = Duration::from_secs(1);
/// Time limit for the agent's answer to a shell: whoever presses Tab waits for it.
const PATIENCE: Duration = Duration::from_millis(200);
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
                (serde_json::from_str(&body).map_or(Exit::AgentAway, |found| exit_of(&found)), body)
            }
            Ok((_, body)) => match serde_json::from_str(&body) {
                Ok(status) => (exit_of(&status), texts::status(&status, has_color, list.as_deref())),
                Err(error) => (Exit::AgentAway, format!("the agent's answer is not understood: {error}\n")),
            },
            Err(problem) => (Exit::AgentAway, problem),
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
    terminal::print(&if json { body } else { texts::explanation(&explanation, now, has_color) });
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
    http::get(&path, target).await.map_err(|error| {
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
        ConditionKind::OldWorkers => Exit::Done,
    }
}
