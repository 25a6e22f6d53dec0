//! Output of this process about itself, as data: pages over HTTP and notices to the service manager. Never sends any.

/// One page over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPage {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
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
