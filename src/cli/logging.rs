//! Writes log lines to standard error, as text or JSON. Never logs a key's value: modules do not pass one in.

use tracing::Level;
use tracing_subscriber::fmt;

use crate::config::settings::{LogFormat, LogLevel, Settings};
use crate::world::terminal::LogStream;

/// Starts logging. `quiet` leaves out everything below a warning, for commands whose output people read.
pub(super) fn start(settings: &Settings, quiet: bool) {
    let level = match settings.log.level {
        LogLevel::Info if quiet => Level::WARN,
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    // Below this level, other crates log their own details.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(Level::WARN)
        // It warns of each watched folder that disappears, which is how a ConfigMap is replaced.
        .with_target("notify", Level::ERROR)
        .with_target("upstreamd", level);
    let stream = LogStream { is_json: settings.log.format == LogFormat::Json };
    let lines = fmt::layer().with_writer(move || stream).with_target(false).with_ansi(false);
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.log.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    started.ok();
}
