//! `announce`: starts the announcer with the facts of this machine, or checks its files. Never connects to etcd itself.

use std::path::Path;

use crate::announce::layout::Announcer;
use crate::announce::run::{self, AnnounceEnd, AnnouncePlan};
use crate::config::settings::Settings;
use crate::model::problem::{Problem, Problems};
use crate::model::text::counted;
use crate::status::events::COMMIT;
use crate::world::fs::folder;
use crate::world::signals::Signals;
use crate::world::{host, terminal};

use super::args::announce::Announce;
use super::check;
use super::exit::{Ending, Exit};

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
    let (roster, unreadable) = run::read(path, &announcer(settings));
    problems.extend(unreadable.map(Problem::new));
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

/// Announces until the announcer ends.
pub(super) async fn announce(settings: Settings, announce: Announce, signals: Signals) -> Ending {
    let config_file =
        settings.config_file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    tracing::info!(config_file, commit = COMMIT, "upstreamd {} started (announcing)", env!("CARGO_PKG_VERSION"));
    let announcer = announcer(&settings);
    let Announce { store, source, command } = announce;
    let plan = AnnouncePlan { store, announcer, source, command, stop_timeout: settings.timeouts.stop };
    match run::run(plan, signals).await {
        AnnounceEnd::Stopped => Exit::Done.into(),
        AnnounceEnd::Held => Exit::Held.into(),
        AnnounceEnd::Command(status) => Ending::Command(status),
    }
}
