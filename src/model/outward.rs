//! Output of this process about itself, as data: pages over HTTP and notices to the service manager. Never sends any.

use std::sync::Arc;

/// A request for a page over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Path, as it was sent.
    pub path: String,
    /// What stands behind `?`; empty if nothing does.
    pub query: String,
    /// `Host`, with the port if it was sent; `None` if the client names no host.
    pub host: Option<String>,
    /// `If-None-Match`: the versions that the client has; empty if it has none.
    pub known: String,
}

/// One page over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusPage {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: PageBody,
    /// `ETag` with its quotes, if the page has versions.
    pub version: Option<String>,
    /// `Content-Security-Policy`, if a browser shows the page.
    pub security_policy: Option<String>,
}

/// The body of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageBody {
    /// A text; pages of one version share it.
    Text(Arc<str>),
    /// An event for each change of the status, for as long as the client reads.
    Changes,
}

impl Default for PageBody {
    fn default() -> PageBody {
        PageBody::Text(Arc::from(""))
    }
}

impl PageBody {
    /// Returns the text; empty for events.
    pub fn text(&self) -> &str {
        match self {
            PageBody::Text(text) => text,
            PageBody::Changes => "",
        }
    }
}

/// One notice to the service manager, sd_notify(3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagerNotice {
    /// `READY=1`: the service is up, or has finished reloading.
    Ready,
    /// `RELOADING=1` with the time, which `Type=notify-reload` needs: the service has begun to read its configuration again.
    Reloading,
    /// `STOPPING=1`: the service is stopping.
    Stopping,
    /// `STATUS=`: a line for people, without line breaks.
    Status(String),
    /// `WATCHDOG=1`: the loop is running.
    Watchdog,
}
