//! `announce`: starts the announcer with the facts of this machine. Never connects to etcd itself.

use crate::announce::layout::Announcer;
use crate::announce::run::{self, AnnounceEnd, AnnouncePlan};
use crate::config::settings::Settings;
use crate::status::events::COMMIT;
use crate::world::host;
use crate::world::signals::Signals;

use super::args::announce::Announce;
use super::exit::{Ending, Exit};

/// Announces until the announcer ends.
pub(super) async fn announce(settings: Settings, announce: Announce, signals: Signals) -> Ending {
    let config_file =
        settings.config_file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    tracing::info!(config_file, commit = COMMIT, "upstreamd {} started (announcing)", env!("CARGO_PKG_VERSION"));
    let host_name = host::hostname().unwrap_or_else(|problem| {
        tracing::warn!("announcing this machine as localhost: {problem}");
        "localhost".to_owned()
    });
    let owner = format!("{host_name} pid {}", host::process_id());
    let announcer = Announcer { host_name, owner, prefix: settings.conf_d.defaults.prefix };
    let Announce { store, source, command } = announce;
    let plan = AnnouncePlan { store, announcer, source, command, stop_timeout: settings.timeouts.stop };
    match run::run(plan, signals).await {
        AnnounceEnd::Stopped => Exit::Done.into(),
        AnnounceEnd::Held => Exit::Held.into(),
        AnnounceEnd::Command(status) => Ending::Command(status),
    }
}
