//! `announce`: hands the announcer what it needs to know of this machine.

use crate::announce::layout::Announcer;
use crate::announce::run::{self, End, Plan};
use crate::config::settings::Settings;
use crate::world::host;

use super::args::announce::Announce;
use super::exit::{Ending, Exit};

/// Announces until the end.
pub(super) async fn announce(settings: Settings, announce: Announce) -> Ending {
    let host_name = host::hostname().unwrap_or_else(|problem| {
        tracing::warn!("announcing this machine as localhost: {problem}");
        "localhost".to_owned()
    });
    let owner = format!("{host_name} pid {}", host::process_id());
    let announcer = Announcer { host_name, owner, prefix: settings.prefix };
    let Announce { store, source, command } = announce;
    match run::run(Plan { store, announcer, source, command, stop_timeout: settings.stop_timeout }).await {
        End::Stopped => Exit::Done.into(),
        End::Held => Exit::Held.into(),
        End::Command(status) => Ending::Command(status),
    }
}
