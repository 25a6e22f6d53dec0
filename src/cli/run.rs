//! Runs the modes: one round, watch, interval. With `-noop` it shows changes and never makes them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::agent::catalog::{self, Confdirs};
use crate::agent::catalog_reader::CatalogReader;
use crate::agent::endpoints::{AnswerPlan, Endpoints};
use crate::agent::facts::WorldFacts;
use crate::agent::follow::{self, Follow, FollowPlan};
use crate::agent::once::{self, OncePlan, Round};
use crate::agent::pass::{LastStep, Shown, Terms};
use crate::agent::receipt_key::ReceiptPlan;
use crate::agent::reporting::PagesSettings;
use crate::agent::run::{Outlook, Show};
use crate::agent::supervisor::CommandPlan;
use crate::apply::{self, Context, preview};
use crate::config::settings::{Color, ConfDSettings, Mode, Settings, layers, table};
use crate::model::note::Note;
use crate::model::problem::Problem;
use crate::model::range::KeyRanges;
use crate::model::report::{Outcome, Rendered, Report, StepFailure};
use crate::model::status::{AgentStatus, UnixTime};
use crate::model::store::StoreSettings;
use crate::render::Facts;
use crate::status::Shared;
use crate::status::api;
use crate::status::diff::{self, Style};
use crate::status::events;
use crate::world::fs::{self, folder};
use crate::world::http::PageListener;
use crate::world::signals::Signals;
use crate::world::{child, clock, host, http, terminal};

use super::exit::{Ending, Exit};
use super::{names, outcome, state};

/// Runs the mode, with a command to supervise if there is one.
pub(super) async fn run(settings: Settings, command: Option<Vec<String>>, signals: Signals) -> Ending {
    let refuse = |problem: String, exit: Exit| {
        terminal::print_error(&format!("{problem}\n"));
        exit.into()
    };
    let mut confdirs = confdirs(&settings);
    if let Some(problem) = nothing_to_read(settings.mode, &confdirs) {
        return refuse(problem, Exit::Configuration);
    }
    let wanted = &settings.agent.state_dir;
    let state_folder = match settings.preview.noop {
        true => Ok(state::existing(wanted)),
        false => state::folder(wanted),
    };
    let state_folder = match state_folder {
        Ok(folder) => folder,
        Err(problem) => return refuse(problem, Exit::Configuration),
    };
    let is_daemon = settings.mode != Mode::Onetime && !settings.preview.noop;
    let daemon_lock = match state_folder.as_deref().filter(|_| is_daemon).map(state::become_daemon).transpose() {
        Ok(lock) => lock,
        Err(problem) => return refuse(problem, Exit::Lock),
    };
    let prefix = &settings.conf_d.defaults.prefix;
    let config_file = settings.config_file.as_deref();
    let state_dir = state_folder.as_deref();
    events::starting(&mode_text(settings.mode), &confdirs.folders, &settings.store, config_file, state_dir, prefix);
    let pages = match pages(&settings, state_dir, &confdirs).await {
        Ok(pages) => pages,
        Err(problem) => return refuse(problem, Exit::Usage),
    };
    if let Some(problem) = hidden_confd(&settings, &confdirs.folders) {
        tracing::warn!("{}", problem.line());
    }
    let shown = Rc::new(Cell::new(Exit::Done));
    let outlook = Outlook { names: names::start(&settings), ..outlook(&settings, state_folder, Rc::clone(&shown)) };
    confdirs.also = outlook.names.as_ref().map(|names| names.ranges()).unwrap_or_default();
    if settings.mode == Mode::Onetime && command.is_some() {
        outlook.terms.context.expect_nginx_to_start(true);
    }
    let following = match settings.mode {
        Mode::Onetime => None,
        Mode::Watch { resync } => Some(Follow::Watch(resync)),
        Mode::Interval(pause) => Some(Follow::Interval(pause)),
    };
    let ending = match following {
        None => round(&settings, outlook, &shown, &confdirs, signals).await,
        Some(follow) => {
            let plan = follow_plan(&settings, outlook, confdirs, follow, signals);
            let command = command.map(|command| CommandPlan {
                command,
                start_timeout: settings.timeouts.store,
                stop_timeout: settings.timeouts.stop,
            });
            outcome::of_following(&follow::follow(FollowPlan { pages, command, ..plan }).await)
        }
    };
    drop(daemon_lock);
    ending
}

/// Runs one round, and then becomes the command, which keeps our process id. Returns only if something failed.
pub(super) async fn prepare_and_become(settings: Settings, command: &[String], signals: Signals) -> Ending {
    let ending = run(settings, Some(command.to_vec()), signals).await;
    if ending != Ending::Own(Exit::Done) {
        tracing::error!("did not start `{}`: its files could not be brought up to date", command[0]);
        return ending;
    }
    let error = child::become_command(command);
    tracing::error!("{error}");
    Ending::Command(error.exit_status())
}

/// Returns why there is nothing to do, if that is certain. While watching, a confdir that exists, or a link to one, may get its
/// conf.d later.
fn nothing_to_read(mode: Mode, confdirs: &Confdirs) -> Option<String> {
    let Confdirs { folders, named_by, .. } = confdirs;
    let may_have_resources = |confdir: &PathBuf| match mode {
        Mode::Watch { .. } => fs::is_regular_file(confdir) == Some(false),
        Mode::Onetime | Mode::Interval(_) => folder::is_folder(&confdir.join("conf.d")),
    };
    if folders.iter().any(may_have_resources) {
        return None;
    }
    let needed = folders.iter().map(|confdir| match mode {
        Mode::Watch { .. } => format!("`{}`", confdir.display()),
        Mode::Onetime | Mode::Interval(_) => format!("`{}`", confdir.join("conf.d").display()),
    });
    let needed: Vec<String> = needed.collect();
    let conf_d = folders.first().map(|confdir| confdir.join("conf.d")).unwrap_or_default();
    let hint = catalog::missing_hint(&conf_d, named_by.as_deref());
    let needed = needed.join(" or ");
    Some(format!("there are no resources: the folder {needed} does not exist (hint: {hint})"))
}

/// Runs one round; `shown` is the most serious thing that a preview has shown.
async fn round(
    settings: &Settings,
    outlook: Outlook,
    shown: &Cell<Exit>,
    confdirs: &Confdirs,
    mut signals: Signals,
) -> Ending {
    let catalog = match CatalogReader::new(confdirs.clone(), facts(settings), false).first(&mut signals).await {
        Ok(catalog) => Arc::new(catalog),
        Err(signal) => return Ending::of_round(Exit::Done, Some(signal)),
    };
    let round = once::once(once_plan(settings, outlook, signals), catalog).await;
    say_nothing_to_do(settings, &round, shown.get());
    // Differences are what a preview is for.
    let failed = Some(shown.get()).filter(|exit| *exit != Exit::Differences).unwrap_or(Exit::Done);
    Ending::of_round(outcome::of_round(&round).max(failed), round.interrupted)
}

/// Logs the problems of a round's stores, and that there was nothing to do if there was nothing. `shown` is
/// the most serious thing that a preview has shown.
fn say_nothing_to_do(settings: &Settings, round: &Round, shown: Exit) {
    for problem in &round.store_problems {
        tracing::error!("{problem}");
    }
    let is_up_to_date =
        |report: &Report| report.outcome == Outcome::Unchanged && report.dropped.is_empty() && report.held.is_empty();
    let is_whole = round.problems.is_empty() && round.store_problems.is_empty() && round.left_out.is_empty();
    let n_resources = round.reports.iter().map(|report| report.resources.len()).sum();
    let waits = |note: &Note| matches!(note, Note::Waits { .. } | Note::GaveUpWaiting { .. });
    let is_whole = is_whole && !round.notes.iter().any(waits);
    if settings.preview.noop && is_whole && shown == Exit::Done && round.reports.iter().all(is_up_to_date) {
        tracing::info!("Noop mode enabled. A run without --noop would change nothing");
    }
    if !settings.preview.noop && n_resources > 0 && is_whole && round.reports.iter().all(is_up_to_date) {
        let revision = round.reports.iter().map(|report| report.revision).max().unwrap_or_default();
        events::up_to_date(n_resources, Some(revision));
    }
}

/// Starts to listen wherever the status pages are served: nowhere unless the process follows.
///
/// # Errors
/// An address that was asked for cannot be used.
async fn pages(settings: &Settings, state_folder: Option<&Path>, confdirs: &Confdirs) -> Result<PagesSettings, String> {
    let mut listeners = Vec::new();
    let mut hosts: Vec<String> = host::hostname().into_iter().collect();
    if settings.mode == Mode::Onetime {
        return Ok(PagesSettings::default());
    }
    let addresses =
        [(&settings.agent.metrics_addr, &table::METRICS_ADDR), (&settings.agent.status_addr, &table::STATUS_ADDR)];
    for (address, setting) in
        addresses.into_iter().filter_map(|(address, setting)| Some((address.as_deref()?, setting)))
    {
        let bound = http::bind(address).await;
        let problem = |error| format!("cannot serve status pages on `{address}`: {error} (hint: --{})", setting.name);
        listeners.push(PageListener::Tcp(bound.map_err(problem)?));
        hosts.push(api::host_name(address).to_owned());
        tracing::info!("serving status pages on {address}");
    }
    if let Some(folder) = state_folder.filter(|_| !settings.preview.noop) {
        let path = state::socket(folder);
        match http::bind_local(&path) {
            Ok(listener) => listeners.push(PageListener::Local(listener)),
            Err(error) => {
                tracing::warn!("`upstreamd status` will not work: cannot listen at `{}`: {error}", path.display())
            }
        }
    }
    let about = AgentStatus {
        version: version(),
        host: host::hostname().unwrap_or_default(),
        pid: host::process_id(),
        started: UnixTime(clock::unix_seconds()),
        confdirs: confdirs.folders.iter().map(|folder| folder.display().to_string()).collect(),
        settings_file: settings.config_file.as_ref().map(|file| file.display().to_string()),
        stopping: false,
    };
    let announcers = state::announcer_places(&settings.agent.state_dir);
    Ok(PagesSettings { listeners, about, hosts, announcers })
}

/// Returns the version, with the commit if that is known.
pub(super) fn version() -> String {
    match events::COMMIT {
        "unknown" => env!("CARGO_PKG_VERSION").to_owned(),
        commit => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
    }
}

/// Describes the mode in a few words.
fn mode_text(mode: Mode) -> String {
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

/// Returns the plan of a round over this store.
pub(super) fn once_plan(settings: &Settings, outlook: Outlook, signals: Signals) -> OncePlan {
    OncePlan {
        outlook,
        store: settings.store.clone(),
        store_timeout: settings.timeouts.store,
        shutdown_timeout: settings.timeouts.shutdown,
        fail_fast: settings.agent.fail_fast,
        only: None,
        signals,
    }
}

fn follow_plan(
    settings: &Settings,
    outlook: Outlook,
    confdirs: Confdirs,
    follow: Follow,
    signals: Signals,
) -> FollowPlan {
    FollowPlan {
        outlook,
        confdirs,
        facts: facts(settings),
        store: settings.store.clone(),
        follow,
        pages: PagesSettings::default(),
        receipt: receipt(settings),
        command: None,
        signals,
        shutdown_timeout: settings.timeouts.shutdown,
    }
}

/// Returns the common settings of a run's passes: they apply, or show what they would do.
/// `worst` becomes the most serious thing that a preview shows.
fn outlook(settings: &Settings, state_folder: Option<PathBuf>, worst: Rc<Cell<Exit>>) -> Outlook {
    let style = settings.preview.diff.then(|| style(settings));
    let last_step = if settings.preview.noop { LastStep::Preview } else { LastStep::Apply };
    let plan = answer_plan(settings, state_folder.as_deref());
    let endpoints = Arc::new(Endpoints::new(plan, facts(settings)));
    let around_reload = Some(Arc::clone(&endpoints) as _);
    let apply_settings = apply::Settings { around_reload, ..apply_settings(settings, state_folder) };
    let context = Arc::new(Context::new(apply_settings));
    let shown_with = Arc::clone(&context);
    let show = move |shown: &Shown| worst.set(worst.get().max(show_previewed(&shown_with, shown, style)));
    let show = settings.preview.noop.then(|| Box::new(show) as Show);
    Outlook {
        terms: Arc::new(Terms::new(context, last_step, settings.agent.fail_fast).with_endpoints(endpoints)),
        show,
        board: Shared::new(backend(&settings.store), clock::now()),
        logs: true,
        names: None,
    }
}

/// Returns what a run does about nginx's questions.
fn answer_plan(settings: &Settings, state_folder: Option<&Path>) -> AnswerPlan {
    let addresses = settings.agent.endpoints_listen.clone();
    match settings.mode {
        _ if settings.preview.noop => AnswerPlan::Show(addresses),
        Mode::Onetime => AnswerPlan::Leave("this process renders once and ends"),
        Mode::Interval(_) => AnswerPlan::Leave("the store is read at intervals and not watched"),
        Mode::Watch { .. } => AnswerPlan::Listen { addresses, state_folder: state_folder.map(Path::to_owned) },
    }
}

fn apply_settings(settings: &Settings, state_folder: Option<PathBuf>) -> apply::Settings {
    apply::Settings {
        state_folder,
        onetime: settings.mode == Mode::Onetime,
        keep_stage_file: settings.agent.keep_stage_file,
        lock_timeout: std::time::Duration::ZERO,
        nginx: settings.nginx.clone(),
        around_reload: None,
    }
}

/// Returns the store's kind as the command line names it.
pub(super) fn backend(store: &StoreSettings) -> &'static str {
    match store {
        StoreSettings::Etcd(_) => "etcd",
        StoreSettings::File(_) => "file",
        StoreSettings::Env => "env",
    }
}

/// Returns the plan of the receipt: agent id and store. A single round, and a run that changes nothing, have no receipt.
fn receipt(settings: &Settings) -> Option<ReceiptPlan> {
    let wanted = settings.agent.receipts && settings.mode != Mode::Onetime && !settings.preview.noop;
    let StoreSettings::Etcd(store) = settings.store.clone() else { return None };
    let id = || settings.agent.id.clone().map_or_else(host::hostname, Ok);
    match wanted.then(id)? {
        Ok(id) => Some(ReceiptPlan { id, store }),
        Err(problem) => {
            tracing::error!("cannot keep a receipt: {problem} (hint: --agent-id)");
            None
        }
    }
}

/// Returns the facts that templates can query.
pub(super) fn facts(settings: &Settings) -> Arc<dyn Facts> {
    let binary = Some(&settings.nginx.binary).filter(|binary| !binary.as_os_str().is_empty());
    Arc::new(WorldFacts::new(binary.map_or_else(|| "nginx".into(), PathBuf::clone), settings.timeouts.render))
}

/// Returns the problem of resources of confd that nobody reads, because the folder of upstreamd exists and has none.
pub(super) fn hidden_confd(settings: &Settings, confdirs: &[PathBuf]) -> Option<Problem> {
    let confd = Path::new(layers::CONFD_CONFDIR);
    let has_resource = |confdir: &Path| {
        let others = folder::read_texts(&confdir.join("conf.d"), |_| false).others;
        others.keys().any(|name| name.ends_with("toml"))
    };
    let is_hidden = !settings.conf_d.confdirs_given
        && !confdirs.iter().any(|confdir| confdir == confd || has_resource(confdir))
        && has_resource(confd);
    is_hidden.then(|| {
        let read = confdirs.iter().map(|confdir| format!("`{}`", confdir.display())).collect::<Vec<_>>().join(", ");
        let message =
            format!("the resources in `{}` are not read, because {read} exists and has none", confd.display());
        Problem::new(message).hint("say --confdir /etc/confd, or move them")
    })
}

/// Returns the folders of conf.d and templates: `/etc/confd` if no setting names one and only that exists.
pub(super) fn confdirs(settings: &Settings) -> Confdirs {
    let missing = settings.conf_d.confdirs.iter().all(|confdir| !folder::is_folder(confdir));
    let confd = Path::new(layers::CONFD_CONFDIR);
    let folders = if !settings.conf_d.confdirs_given && missing && folder::is_folder(confd) {
        vec![confd.to_owned()]
    } else {
        settings.conf_d.confdirs.clone()
    };
    let ConfDSettings { defaults, only, confdirs_from_file, .. } = &settings.conf_d;
    let named_by = settings.config_file.clone().filter(|_| *confdirs_from_file);
    let (defaults, only) = (defaults.clone(), only.clone());
    Confdirs { folders, defaults, only, also: KeyRanges::default(), named_by }
}

/// Returns the style of differences.
pub(super) fn style(settings: &Settings) -> Style {
    let is_for_terminal = terminal::is_terminal();
    let color = match settings.preview.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_for_terminal,
    };
    Style { context_lines: settings.preview.context_lines, color, is_for_terminal }
}

/// Logs that one file would change or cannot be written, and returns the exit code that says so; shows the difference, if a style is
/// given.
fn show_previewed(context: &Context, shown: &Shown, style: Option<Style>) -> Exit {
    match shown {
        Shown::File(rendered) => {
            let announce = |dest: &Path| {
                let dest = dest.display();
                tracing::warn!("Noop mode enabled. {dest} will not be modified (a run without --noop would change it)");
            };
            show_preview(context, rendered, style, announce).unwrap_or_else(|failure| {
                tracing::error!(resource = %rendered.resource.id, "{}: {failure}", rendered.resource.id);
                outcome::of_failure(&failure)
            })
        }
        Shown::Gone(gone) => {
            let dest = gone.display();
            tracing::warn!("Noop mode enabled. {dest} will not be removed (a run without --noop would remove it)");
            style.into_iter().for_each(|style| show_removal(gone, style));
            Exit::Differences
        }
    }
}

/// Prints a file that would be removed.
pub(super) fn show_removal(dest: &Path, style: Style) {
    let old = fs::read(dest).ok().flatten().map(|on_disk| on_disk.bytes);
    terminal::print(&diff::unified(dest, old.as_deref(), None, style));
}

/// Announces one destination if it would change, and returns whether it would, as `diff` exits; shows the difference, if a style is
/// given.
///
/// # Errors
/// It could not be written: its owner is unknown, for example.
pub(super) fn show_preview(
    context: &Context,
    rendered: &Rendered,
    style: Option<Style>,
    announce: impl FnOnce(&Path),
) -> Result<Exit, StepFailure> {
    let dest = &rendered.resource.dest;
    let preview = preview::preview(context, rendered)?;
    if !preview.differs {
        return Ok(Exit::Done);
    }
    announce(dest);
    if let Some(style) = style {
        for change in &preview.attribute_changes {
            terminal::print(&format!("{}: {change}\n", dest.display()));
        }
        terminal::print(&diff::unified(dest, preview.old.as_deref(), Some(&rendered.bytes), style));
    }
    Ok(Exit::Differences)
}
