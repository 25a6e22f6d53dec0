//! `announce`: hands the announcer what it needs to know of this machine.

use crate::announce::layout::Announcer;
use crate::announce::run::{self, End, Plan};
use crate::config::settings::Settings;
use crate::world::host;

use super::args::announce::{Announce, Source};
use super::exit::Exit;

/// Announces until the end.
pub(super) async fn announce(settings: Settings, announce: Announce) -> Exit {
    let host_name = host::hostname().unwrap_or_else(|problem| {
        tracing::warn!("this machine is announced as localhost: {problem}");
        "localhost".to_owned()
    });
    let owner = format!("{host_name} pid {}", std::process::id());
    let source = match announce.source {
        Source::One(service) => run::Source::One(service),
        Source::Folder(folder) => run::Source::Folder(folder),
    };
    let announcer = Announcer { host_name, owner, prefix: settings.prefix };
    match run::run(Plan { store: announce.store, announcer, source }).await {
        End::Stopped => Exit::Done,
        End::Held => Exit::Held,
    }
}
