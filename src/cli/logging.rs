//! Writes log lines to standard error, as text or JSON. Never logs a key's value: modules do not pass one in.

use std::fmt::Debug;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use crate::config::settings::{LogFormat, LogLevel, Settings};
use crate::world::terminal::{self, LogStream};

/// Starts logging, and lets people see how far long work is. `quiet` leaves out everything below a warning, for commands whose output people read.
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
    let filter = tracing_subscriber::filter::Targets::new().with_default(Level::WARN).with_target("upstreamd", level);
    let streams =
        LogStreams { is_json: settings.log.format == LogFormat::Json, to_journal: terminal::logs_to_journal() };
    let lines = fmt::layer().with_writer(streams).with_target(false).with_ansi(false);
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.log.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.event_format(JsonLines)).try_init(),
    };
    started.ok();
    if settings.log.format == LogFormat::Text {
        terminal::show_progress();
    }
}

/// Makes the stream for each line: the journal wants to know how serious it is.
struct LogStreams {
    is_json: bool,
    to_journal: bool,
}

impl LogStreams {
    fn stream(&self, level: Level) -> LogStream {
        let priority = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        LogStream { is_json: self.is_json, priority: self.to_journal.then_some(priority) }
    }
}

impl MakeWriter<'_> for LogStreams {
    type Writer = LogStream;

    fn make_writer(&self) -> LogStream {
        self.stream(Level::INFO)
    }

    fn make_writer_for(&self, meta: &Metadata<'_>) -> LogStream {
        self.stream(*meta.level())
    }
}

/// One JSON object for each line: time, level, message and fields. Numbers are numbers, and lists of names are arrays.
struct JsonLines;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for JsonLines {
    fn format_event(
        &self,
        _: &fmt::FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = JsonLine(Map::new());
        line.put("timestamp", time);
        line.put("level", event.metadata().level().to_string());
        event.record(&mut line);
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

struct JsonLine(Map<String, Value>);

impl JsonLine {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for JsonLine {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field.name(), u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    /// Takes everything else as a text, except for a list of names, which alone prints differently in its alternate form.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let (text, alternate) = (format!("{value:?}"), format!("{value:#?}"));
        let list = if alternate == text { None } else { serde_json::from_str::<Vec<String>>(&alternate).ok() };
        match list {
            Some(names) => self.put(field.name(), names),
            None => self.put(field.name(), text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::status::fields::NameList;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_json_has_numbers_and_arrays() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = fmt().with_writer(move || writer.clone()).event_format(JsonLines).finish();
        tracing::subscriber::with_default(subscriber, || {
            let (one, none) = (NameList::of(["a b.toml"]), NameList(Vec::new()));
            let retry_in_ms = std::time::Duration::from_millis(7).as_millis();
            tracing::info!(?one, ?none, elapsed_ms = 1.5, retry_in_ms, is = true, text = "[1]", "done \"well\"");
        });
        let line: Value = serde_json::from_slice(&lines.0.lock().unwrap()).unwrap();
        assert_eq!((&line["one"], &line["none"]), (&serde_json::json!(["a b.toml"]), &serde_json::json!([])));
        assert_eq!((line["elapsed_ms"].as_f64(), line["retry_in_ms"].as_u64()), (Some(1.5), Some(7)));
        assert_eq!((&line["is"], &line["text"]), (&Value::Bool(true), &Value::from("[1]")));
        assert_eq!((&line["level"], &line["message"]), (&Value::from("INFO"), &Value::from("done \"well\"")));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
