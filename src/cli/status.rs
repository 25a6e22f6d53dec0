//! `status` and `explain`: ask the running agent, or the announcers of a machine without one, over their sockets, and print what they say.
//! Never reads the store.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::agent::announcers;
use crate::config::settings::Settings;
use crate::model::report::Stage;
use crate::model::status::{
    AnnouncedState, AnnouncerStatus, AxisAnswer, Condition, ConditionKind, Explanation, FORMAT, Status, StatusQuestion,
    UnixTime,
};
use crate::model::text;
use crate::status::{announced, api, explain, terminal as texts};
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

/// One look at the status.
struct StatusLook {
    exit: Exit,
    /// Its printed text.
    text: String,
    /// Whether that is for standard error: it says who does not answer.
    is_problem: bool,
    /// The same without what moves by itself.
    standing: String,
}

/// The question.
struct WantedStatus {
    json: bool,
    /// The folder of keys, the file or the resource of the lists whose backends are all shown.
    list: Option<String>,
}

/// Prints the status of the running agent, if `watches` again and again, as long as somebody reads it: to a terminal as it is, into a
/// file when something has changed.
pub(super) async fn status(settings: Settings, json: bool, watches: bool, list: Option<String>) -> Exit {
    let wanted = WantedStatus { json, list: list.map(api::without_slash) };
    let mut last = None;
    loop {
        let StatusLook { exit, text, is_problem, standing } = look(&settings, &wanted).await;
        if !watches {
            match is_problem {
                true => terminal::print_error(&text),
                false => terminal::print(&text),
            }
            return exit;
        }
        if terminal::is_terminal() && !json {
            terminal::print(&format!("{CLEAR}{text}"));
        } else if last.as_ref() != Some(&standing) {
            terminal::print(&text);
        }
        last = Some(standing);
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = terminal::reader_gone() => return exit,
        }
    }
}

async fn look(settings: &Settings, wanted: &WantedStatus) -> StatusLook {
    let target = match &wanted.list {
        Some(list) => format!("/api/status?list={}", utf8_percent_encode(list, NON_ALPHANUMERIC)),
        None => "/api/status".to_owned(),
    };
    let body = match ask(settings, &target).await {
        Ok(body) => body,
        Err(problem) => return announced(settings, problem, wanted.json).await,
    };
    let status: Status = match serde_json::from_str(&body) {
        Ok(status) => status,
        Err(error) => return away(format!("the agent's answer is not understood: {error}\n")),
    };
    let is_there = |list: &String| status.upstreams.iter().any(|upstream| texts::is_meant(upstream, list));
    let exit = if wanted.list.as_ref().is_none_or(is_there) { exit_of(&status) } else { Exit::Usage };
    let has_color = run::style(settings).color;
    let (text, standing) = match wanted.json {
        true => (text::json(&body), serde_json::to_string(&status.without_motion()).unwrap_or_default()),
        false => {
            let shown = |status: &Status| texts::status(status, has_color, wanted.list.as_deref());
            (shown(&status), shown(&status.without_motion()))
        }
    };
    StatusLook { exit, text, is_problem: false, standing }
}

/// Returns what is seen if no agent answers.
fn away(problem: String) -> StatusLook {
    StatusLook { exit: Exit::AgentAway, standing: problem.clone(), text: problem, is_problem: true }
}

/// The status of a machine with announcers and without an agent.
#[derive(Serialize)]
struct AnnouncedOnly {
    format: u32,
    at: UnixTime,
    announced: Vec<AnnouncerStatus>,
}

/// Looks at the announcers, on a machine on which no agent answers, because of this problem. If there was one, its absence counts more
/// than what they say.
async fn announced(settings: &Settings, problem: String, json: bool) -> StatusLook {
    let wanted = &settings.agent.state_dir;
    let found = announced::read(announcers::ask(state::announcer_places(wanted)).await);
    if found.is_empty() {
        return away(problem);
    }
    let is_away = state::existing_all(wanted).any(|folder| state::has_agent(&folder));
    if is_away && json {
        return away(problem);
    }
    let worst = found.iter().map(exit_of_announcer).max_by_key(|exit| rank(*exit)).unwrap_or(Exit::Done);
    let exit = if is_away { Exit::AgentAway } else { worst };
    let is_problem = exit == Exit::AgentAway && !json;
    // Nothing reaches a terminal as a command by way of standard error.
    let has_color = run::style(settings).color && !is_problem;
    let shown = |announced: Vec<AnnouncerStatus>, at: UnixTime| match json {
        true => {
            let status = serde_json::to_string(&AnnouncedOnly { format: FORMAT, at, announced });
            text::json(&(status.unwrap_or_default() + "\n"))
        }
        false => texts::announced(&announced, at, has_color),
    };
    let standing = |found: Vec<AnnouncerStatus>| {
        shown(found.into_iter().map(AnnouncerStatus::without_clocks).collect(), UnixTime(0))
    };
    let at = UnixTime(clock::unix_seconds());
    let problem = if is_away { format!("{problem}\n") } else { String::new() };
    let (text, standing) = (format!("{problem}{}", shown(found.clone(), at)), problem + &standing(found));
    StatusLook { exit, text, is_problem, standing }
}

/// Returns the exit code for the worst of an announcer.
fn exit_of_announcer(announcer: &AnnouncerStatus) -> Exit {
    let of_service = |state: AnnouncedState| match state {
        AnnouncedState::Unhealthy => Exit::NotServing,
        AnnouncedState::Held => Exit::KeyTaken,
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
    let order = [Exit::UnderWay, Exit::Configuration, Exit::KeyTaken, Exit::NotServing, Exit::Store, Exit::AgentAway];
    order.iter().position(|known| *known == exit).map_or(0, |at| at + 1)
}

/// Explains a key, a backend, a file or a resource.
pub(super) async fn explain(settings: Settings, what: &str, json: bool) -> Exit {
    let target = format!("/api/explain?of={}", utf8_percent_encode(what, NON_ALPHANUMERIC));
    let body = match ask(&settings, &target).await {
        Ok(body) => body,
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
        (true, worst) => worst.map_or(Exit::Done, exit_for),
    }
}

/// Prints what can be explained, a line each, for the completions of shells: nothing if no agent answers soon.
pub(super) async fn names(settings: Settings) -> Exit {
    let asked = tokio::time::timeout(PATIENCE, ask(&settings, "/api/status")).await;
    let status = asked.ok().and_then(Result::ok).and_then(|body| serde_json::from_str::<Status>(&body).ok());
    if let Some(status) = status {
        explain::names(&status).into_iter().for_each(|name| terminal::print(&format!("{name}\n")));
    }
    Exit::Done
}

/// Asks the agent of this state folder; without one, that of the first default folder at which one answers.
async fn ask(settings: &Settings, target: &str) -> Result<String, String> {
    let mut failures = Vec::new();
    for folder in state::existing_all(&settings.agent.state_dir) {
        let path = state::socket(&folder);
        match http::get(&path, target, LIMIT, MAX_BYTES).await {
            // The agent says what is wrong with it.
            Ok((500.., problem)) => return Err(problem),
            Ok((_, body)) => return Ok(body),
            Err(error) => failures.push((path, error)),
        }
    }
    // An agent that does not answer says more than a folder without one.
    let Some((path, error)) = failures.into_iter().min_by_key(|(_, error)| http::is_nobody(error)) else {
        return Err(format!("no agent runs here: there is no state folder (hint: {HINT})\n"));
    };
    let hint = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "ask as root, or as a member of the agent's group",
        _ => HINT,
    };
    Err(format!("the agent does not answer at `{}`: {error} (hint: {hint})\n", path.display()))
}

const HINT: &str = "is `upstreamd --watch` running, with the same --state-dir?";

fn exit_of(status: &Status) -> Exit {
    let worst = status.conditions.iter().find(|condition| condition.question != StatusQuestion::Notice);
    let without = if status.sync.answer == AxisAnswer::Starting { Exit::UnderWay } else { Exit::Done };
    worst.map_or(without, exit_for)
}

/// Returns the exit code for the worst condition.
fn exit_for(condition: &Condition) -> Exit {
    match condition.kind {
        ConditionKind::Stuck => Exit::Stuck,
        ConditionKind::NginxAway | ConditionKind::NoBackends | ConditionKind::NoneLive => Exit::NotServing,
        ConditionKind::StoreAway | ConditionKind::KeysRefused => Exit::Store,
        ConditionKind::CheckRefused | ConditionKind::KeySkipped => Exit::Check,
        ConditionKind::ReloadRefused | ConditionKind::ReloadOwed => Exit::Reload,
        ConditionKind::Failed => match condition.step.as_deref() {
            Some(step) if step != Stage::Render.to_string() => Exit::Write,
            _ => Exit::Render,
        },
        ConditionKind::Broken | ConditionKind::Unread => Exit::Configuration,
        ConditionKind::Held => Exit::Guarded,
        ConditionKind::Slow | ConditionKind::Untaken | ConditionKind::Waiting => Exit::UnderWay,
        ConditionKind::NotAnnounced | ConditionKind::OldWorkers => Exit::Done,
    }
}
