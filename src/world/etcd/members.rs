//! The members of a cluster and the connection to one of them: their addresses, the next one to try, the member to blame.
//! Never decides when to look them up, connect or disconnect: the caller does.

use super::{Connection, Endpoint, discover, endpoint};
use crate::model::etcd::EtcdFailure;
use crate::model::store::EtcdSettings;
use crate::world::random;

/// The known members and at most one connection.
pub struct Members {
    settings: EtcdSettings,
    endpoints: Vec<Endpoint>,
    /// Index of the member that `connect_next` tries.
    next: usize,
    connection: Option<Connection>,
}

impl Members {
    /// Starts with the configured members; `look_up` finds those that DNS names and reports bad settings.
    pub fn new(settings: EtcdSettings) -> Members {
        let discovers = settings.srv_domain.is_some() || settings.srv_record.is_some();
        let endpoints = if discovers { Vec::new() } else { endpoint::endpoints(&settings).unwrap_or_default() };
        Members { settings, endpoints, next: 0, connection: None }
    }

    /// Returns the settings that lead to them.
    pub fn settings(&self) -> &EtcdSettings {
        &self.settings
    }

    /// Returns the known members, in the order in which to try them.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Looks up the members and returns their number, at least one.
    ///
    /// # Errors
    /// DNS names no member, or a configured endpoint is invalid.
    pub async fn look_up(&mut self) -> Result<usize, EtcdFailure> {
        self.endpoints = match discover::discover(&self.settings, random::fraction).await {
            Some(found) => found?,
            None => endpoint::endpoints(&self.settings)?,
        };
        tracing::debug!(endpoints = self.endpoints.len(), "looked up the etcd members");
        Ok(self.endpoints.len())
    }

    /// Connects to the member at this index and logs in. Replaces any earlier connection.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn connect(&mut self, nth: usize) -> Result<&Connection, EtcdFailure> {
        self.connection = None;
        let endpoint = self.endpoints.get(nth).ok_or_else(|| EtcdFailure::unreachable("no such etcd endpoint"))?;
        let connection = Connection::open(endpoint, &self.settings).await?;
        tracing::debug!(%endpoint, "connected to etcd");
        Ok(self.connection.insert(connection))
    }

    /// Logs in again with a new connection to the member that is connected. A watch of the earlier one goes on.
    ///
    /// # Errors
    /// As [`Connection::open`]; the earlier connection stays.
    pub async fn log_in_again(&mut self) -> Result<&Connection, EtcdFailure> {
        let connection = Connection::open(self.connection()?.endpoint(), &self.settings).await?;
        Ok(self.connection.insert(connection))
    }

    /// Connects to the next member in turn. Looks the members up again after all of them were tried: DNS may name others.
    ///
    /// # Errors
    /// As `look_up` and `connect`.
    pub async fn connect_next(&mut self) -> Result<&Connection, EtcdFailure> {
        self.connection = None;
        if self.next >= self.endpoints.len() {
            self.next = 0;
        }
        if self.next == 0 {
            self.look_up().await?;
        }
        self.next += 1;
        self.connect(self.next - 1).await
    }

    /// Returns the connection.
    ///
    /// # Errors
    /// There is no connection.
    pub fn connection(&self) -> Result<&Connection, EtcdFailure> {
        self.connection.as_ref().ok_or_else(|| EtcdFailure::unreachable("not connected to etcd"))
    }

    /// Closes the connection.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Returns the failure with the name of the connected member.
    pub fn blame(&self, failure: EtcdFailure) -> EtcdFailure {
        match &self.connection {
            Some(connection) => {
                EtcdFailure { problem: format!("{}: {}", connection.endpoint(), failure.problem), ..failure }
            }
            None => failure,
        }
    }
}
