//! The modes: one pass, watch, interval; with `-noop` they show and change nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::agent::facts::WorldFacts;
use crate::agent::loaded::Sources;
use crate::agent::run::{self, Follow, Plan, Previewed, ReceiptPlan};
use crate::apply::{self, Context, preview};
use crate::config::settings::{Color, Mode, Settings, layers};
use crate::model::report::Rendered;
use crate::model::store::StoreSettings;
use crate::render::Facts;
use crate::status::Shared;
use crate::status::diff::{self, Style};
use crate::status::events;
use crate::world::fs::{self, folder};
use crate::world::{clock, host, http, terminal};

use super::exit::{Ending, Exit};
use super::{outcome, state};

/// Does what the mode says, with a command to supervise where there is one.
pub(super) async fn run(settings: Settings, command: Option<Vec<String>>) -> Ending {
    let state_folder = match state::folder(&settings.agent.state_dir) {
        Ok(folder) => folder,
        Err(problem) => {
            terminal::complain(&format!("{problem}\n"));
            return Exit::Configuration.into();
        }
    };
    let is_daemon = settings.mode != Mode::Onetime;
    let daemon_lock = match state_folder.as_deref().filter(|_| is_daemon).map(state::become_daemon).transpose() {
        Ok(lock) => lock,
        Err(problem) => {
            terminal::complain(&format!("{problem}\n"));
            return Exit::Lock.into();
        }
    };
    let listener = match listener(&settings).await {
        Ok(listener) => listener,
        Err(problem) => {
            terminal::complain(&format!("{problem}\n"));
            return Exit::Configuration.into();
        }
    };
    let plan = Plan { listener, ..plan(&settings, state_folder, command) };
    events::starting(&plan.sources.confdirs, &settings.store, &manner(settings.mode));
    let ending = match settings.mode {
        Mode::Onetime => {
            let pass = run::once(plan).await;
            for problem in &pass.store_problems {
                tracing::error!("{problem}");
            }
            outcome::of_pass(&pass).into()
        }
        Mode::Watch { resync } => outcome::of_following(&run::follow(plan, Follow::Watch(resync)).await),
        Mode::Interval(pause) => outcome::of_following(&run::follow(plan, Follow::Interval(pause)).await),
    };
    drop(daemon_lock);
    ending
}

/// The listener of the status pages. A single pass is over before anybody could ask.
async fn listener(settings: &Settings) -> Result<Option<TcpListener>, String> {
    let Some(address) = settings.agent.metrics_addr.as_deref().filter(|_| settings.mode != Mode::Onetime) else {
        return Ok(None);
    };
    match http::bind(address).await {
        Ok(listener) => {
            tracing::info!("status pages are served on {address}");
            Ok(Some(listener))
        }
        Err(error) => Err(format!("cannot serve status pages on `{address}`: {error} (hint: --metrics-addr)")),
    }
}

/// How it works, in a few words.
fn manner(mode: Mode) -> String {
    let seconds = |pause: std::time::Duration| pause.as_secs_f64();
    match mode {
        Mode::Onetime => "once".to_owned(),
        Mode::Watch { resync: None } => "watching".to_owned(),
        Mode::Watch { resync: Some(pause) } => {
            format!("watching, with a look at everything every {} s", seconds(pause))
        }
        Mode::Interval(pause) => format!("every {} s", seconds(pause)),
    }
}

fn plan(settings: &Settings, state_folder: Option<PathBuf>, command: Option<Vec<String>>) -> Plan {
    let style = settings.preview.diff.then(|| style(settings));
    let preview: Option<run::Preview> = settings
        .preview
        .noop
        .then(|| Box::new(move |what: Previewed<'_>| show_previewed(&what, style)) as run::Preview);
    Plan {
        sources: sources(settings),
        facts: facts(settings),
        store: settings.store.clone(),
        context: Arc::new(Context::new(apply::Settings {
            state_folder,
            onetime: settings.mode == Mode::Onetime,
            keep_stage_file: settings.agent.keep_stage_file,
            lock_timeout: std::time::Duration::ZERO,
            nginx: settings.nginx.clone(),
        })),
        preview,
        board: Shared::new(backend(&settings.store), clock::now()),
        listener: None,
        fail_fast: settings.agent.fail_fast,
        store_timeout: settings.timeouts.store,
        shutdown_timeout: settings.timeouts.shutdown,
        receipt: receipt(settings),
        command,
        stop_timeout: settings.timeouts.stop,
    }
}

/// The store's kind, as it is named on the command line.
fn backend(store: &StoreSettings) -> &'static str {
    match store {
        StoreSettings::Etcd(_) => "etcd",
        StoreSettings::File(_) => "file",
        StoreSettings::Env => "env",
    }
}

/// As whom and where to tell how far we have come; a single pass and one that changes nothing have nothing to tell.
fn receipt(settings: &Settings) -> Option<ReceiptPlan> {
    let wanted = settings.agent.receipts && settings.mode != Mode::Onetime && !settings.preview.noop;
    let StoreSettings::Etcd(store) = settings.store.clone() else { return None };
    let id = || settings.agent.id.clone().map_or_else(host::hostname, Ok);
    match wanted.then(id)? {
        Ok(id) => Some(ReceiptPlan { id, store }),
        Err(problem) => {
            tracing::error!("no receipt is kept: {problem} (hint: --agent-id)");
            None
        }
    }
}

/// Answers for templates.
pub(super) fn facts(settings: &Settings) -> Arc<dyn Facts> {
    let binary = Some(&settings.nginx.binary).filter(|binary| !binary.as_os_str().is_empty());
    Arc::new(WorldFacts::new(binary.map_or_else(|| "nginx".into(), PathBuf::clone)))
}

/// Where conf.d and templates are: `/etc/confd` serves where nobody says and only that exists.
pub(super) fn sources(settings: &Settings) -> Sources {
    let missing = settings.conf_d.confdirs.iter().all(|confdir| !folder::is_folder(confdir));
    let confd = Path::new(layers::CONFD_CONFDIR);
    let confdirs = if !settings.conf_d.confdirs_given && missing && folder::is_folder(confd) {
        vec![confd.to_owned()]
    } else {
        settings.conf_d.confdirs.clone()
    };
    Sources { confdirs, defaults: settings.conf_d.defaults.clone(), only: settings.conf_d.only.clone() }
}

/// How differences are shown.
pub(super) fn style(settings: &Settings) -> Style {
    let color = match settings.preview.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal::is_terminal(),
    };
    Style { context_lines: settings.preview.context_lines, color }
}

/// Says that one file would change; shows how, where a style is given.
fn show_previewed(what: &Previewed<'_>, style: Option<Style>) -> bool {
    match what {
        Previewed::File(rendered) => show_preview(rendered, style),
        Previewed::Gone(dest) => {
            tracing::warn!("Noop mode enabled. {} will not be removed", dest.display());
            style.is_none_or(|style| show_removal(dest, style))
        }
    }
}

/// Prints a file that would go.
pub(super) fn show_removal(dest: &Path, style: Style) -> bool {
    let old = fs::read(dest).ok().flatten().map(|on_disk| on_disk.bytes);
    terminal::print(&diff::unified(dest, old.as_deref(), None, style));
    true
}

/// Says that one destination would change, and answers whether it would; shows how, where a style is given.
pub(super) fn show_preview(rendered: &Rendered, style: Option<Style>) -> bool {
    let dest = &rendered.resource.dest;
    match preview::preview(rendered) {
        Ok(preview) if preview.differs => {
            tracing::warn!("Noop mode enabled. {} will not be modified", dest.display());
            if let Some(style) = style {
                for change in &preview.attribute_changes {
                    terminal::print(&format!("{}: {change}\n", dest.display()));
                }
                terminal::print(&diff::unified(dest, preview.old.as_deref(), Some(&rendered.bytes), style));
            }
            true
        }
        Ok(_) => false,
        Err(failure) => {
            tracing::error!(resource = %rendered.resource.name, "{failure}");
            true
        }
    }
}
