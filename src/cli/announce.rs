//! `announce`: starts the announcer with the facts of this machine, or checks its files. Never connects to etcd itself.

use std::path::Path;

use crate::agent::announcers::SOCKET_PREFIX;
use crate::announce::asked::AnnouncerSocket;
use crate::announce::layout::Announcer;
use crate::announce::run::{self, AnnounceEnd, AnnouncePlan, ServiceSource};
use crate::announce::service_files;
use crate::config::settings::{Settings, StateDir};
use crate::model::problem::{Problem, Problems};
use crate::model::status::{AnnouncerStatus, UnixTime};
use crate::model::text::counted;
use crate::status::events::COMMIT;
use crate::world::fs::folder;
use crate::world::signals::Signals;
use crate::world::{clock, host, http, terminal};

use super::args::announce::Announce;
use super::exit::{Ending, Exit};
use super::run::version;
use super::{check, state};

/// Returns this machine as an announcer.
fn announcer(settings: &Settings) -> Announcer {
    let host_name = host::hostname().unwrap_or_else(|problem| {
        tracing::warn!("announcing this machine as localhost: {problem}");
        "localhost".to_owned()
    });
    let owner = format!("{host_name} pid {}", host::process_id());
    Announcer { host_name, owner, prefix: settings.conf_d.defaults.prefix.clone() }
}

/// Prints every problem of the settings, and of the service files of a folder or of one such file, to standard error, or a summary
/// to standard output. Asks no etcd.
pub(super) fn check(settings: &Settings, mut problems: Problems, path: &Path) -> Exit {
    let roster = service_files::read(path, &announcer(settings));
    problems.extend(roster.unread.iter().cloned().map(Problem::new));
    problems.extend(roster.problems.iter().cloned());
    for problem in problems.iter() {
        terminal::print_error(&format!("{problem}\n"));
    }
    for unread in check::unread_files(&folder::read_texts(path, |_| false)) {
        terminal::print_error(&format!("warning: {unread}\n"));
    }
    if roster.services.is_empty() && problems.is_empty() {
        terminal::print_error(&format!("warning: no services in `{}`\n", path.display()));
    }
    let services = counted(roster.services.len(), "service");
    if problems.is_empty() {
        terminal::print(&format!("{services} in {}: no problem\n", path.display()));
        return Exit::Done;
    }
    terminal::print_error(&format!("{}; {services} OK\n", counted(problems.len(), "problem")));
    Exit::Configuration
}

/// Returns the socket at which `upstreamd status` asks this announcer. Without a folder for it there is none: that is no fault, unless the
/// folder was asked for.
async fn socket(wanted: &StateDir) -> Option<AnnouncerSocket> {
    for folder in state::announcer_folders(wanted) {
        match http::bind_own(&folder, SOCKET_PREFIX) {
            Ok((listener, file)) => return Some(AnnouncerSocket { listener, file }),
            Err(error) if *wanted == StateDir::Auto => {
                tracing::debug!("no socket for `upstreamd status` in `{}`: {error}", folder.display());
            }
            Err(error) => tracing::warn!(
                "`upstreamd status` will not show this announcer: cannot listen in `{}`: {error}",
                folder.display()
            ),
        }
    }
    None
}

/// Announces until the announcer ends.
pub(super) async fn announce(settings: Settings, announce: Announce, signals: Signals) -> Ending {
    let config_file =
        settings.config_file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    tracing::info!(config_file, commit = COMMIT, "upstreamd {} started (announcing)", env!("CARGO_PKG_VERSION"));
    let announcer = announcer(&settings);
    let Announce { store, source, command } = announce;
    let about = AnnouncerStatus {
        pid: host::process_id(),
        version: version(),
        started: UnixTime(clock::unix_seconds()),
        folder: match &source {
            ServiceSource::Folder(folder) => Some(folder.display().to_string()),
            ServiceSource::One(_) => None,
        },
        ..AnnouncerStatus::default()
    };
    let socket = socket(&settings.agent.state_dir).await;
    let plan = AnnouncePlan { store, announcer, source, command, stop_timeout: settings.timeouts.stop, about };
    match run::run(plan, signals, socket).await {
        AnnounceEnd::Stopped => Exit::Done.into(),
        AnnounceEnd::Held => Exit::KeyTaken.into(),
        AnnounceEnd::Command(status) => Ending::Command(status),
    }
}
