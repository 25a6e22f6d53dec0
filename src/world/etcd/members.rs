//! The members of a cluster and the connection to one of them: their addresses, the next one to try, the member to blame. Each
//! process tries them in an order of its own, so that many processes with the same settings share the members.
//! Never decides when to look them up, connect or disconnect: the caller does.

use std::future::Future;
use std::time::Duration;

use super::{Connection, MemberAddress, address, discover};
use crate::model::etcd::{EtcdFailure, FailureKind};
use crate::model::store::EtcdSettings;
use crate::world::random;

/// The known members and at most one connection.
pub struct Members {
    settings: EtcdSettings,
    /// Source of the random numbers that decide the order.
    draw: fn() -> f64,
    members: Vec<MemberAddress>,
    /// The member that was tried last.
    last: Option<MemberAddress>,
    /// Index of the member that `connect_next` tries.
    next: usize,
    connection: Option<Connection>,
    /// Longest time for a lookup, a connection, a login, or a request.
    limit: Duration,
}

impl Members {
    /// Starts with the configured members, in a random order; `look_up` finds those that DNS names and reports bad settings.
    pub fn new(settings: EtcdSettings) -> Members {
        Members::drawn(settings, random::fraction)
    }

    /// Starts with the configured members in the order of the settings, for questions that want the same answer each time.
    pub fn in_given_order(settings: EtcdSettings) -> Members {
        Members::drawn(settings, || 0.0)
    }

    fn drawn(mut settings: EtcdSettings, draw: fn() -> f64) -> Members {
        random::shuffle(&mut settings.members, draw);
        let discovers = settings.srv_domain.is_some() || settings.srv_record.is_some();
        let members = if discovers { Vec::new() } else { address::addresses(&settings).unwrap_or_default() };
        Members { settings, draw, members, last: None, next: 0, connection: None, limit: Duration::MAX }
    }

    /// Returns the settings that lead to them.
    pub fn settings(&self) -> &EtcdSettings {
        &self.settings
    }

    /// Sets the time limit for a lookup, a connection, a login, and each request of `ask`; the settings may say less.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Returns the known members, in the order in which to try them.
    pub fn addresses(&self) -> &[MemberAddress] {
        &self.members
    }

    /// Looks up the members and returns their number, at least one. The member that was tried last becomes the last one to try.
    ///
    /// # Errors
    /// DNS names no member, or a configured member is invalid.
    pub async fn look_up(&mut self) -> Result<usize, EtcdFailure> {
        self.members = match discover::discover(&self.settings, self.limit, self.draw).await {
            Some(found) => found?,
            None => address::addresses(&self.settings)?,
        };
        self.members.sort_by_key(|member| Some(member) == self.last.as_ref());
        tracing::debug!(members = self.members.len(), "looked up the etcd members");
        Ok(self.members.len())
    }

    /// Connects to the member at this index and logs in. Replaces any earlier connection.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn connect(&mut self, nth: usize) -> Result<&Connection, EtcdFailure> {
        self.connection = None;
        let member = self.members.get(nth).ok_or_else(|| EtcdFailure::unreachable("no such etcd endpoint"))?;
        self.last = Some(member.clone());
        let connection = Connection::open(member, &self.settings, self.limit).await?;
        tracing::debug!(%member, "connected to etcd");
        Ok(self.connection.insert(connection))
    }

    /// Sends a request to the connected member. If the login has expired, logs in again with a new connection to the same
    /// member, once, and repeats the request; a watch of the earlier connection goes on.
    ///
    /// # Errors
    /// That of the request; or as [`Connection::open`], and the earlier connection stays.
    pub async fn ask<T, F>(&mut self, request: impl Fn(Connection) -> F) -> Result<T, EtcdFailure>
    where
        F: Future<Output = Result<T, EtcdFailure>>,
    {
        match request(self.connection()?.with_deadline(self.limit)).await {
            Err(failure) if failure.kind == FailureKind::Unauthenticated => {
                let connection = Connection::open(self.connection()?.member(), &self.settings, self.limit).await?;
                request(self.connection.insert(connection).with_deadline(self.limit)).await
            }
            answer => answer,
        }
    }

    /// Connects to the next member in turn. Looks the members up again after all of them were tried: DNS may name others. While
    /// it names none, those known so far are tried.
    ///
    /// # Errors
    /// As `look_up` and `connect`.
    pub async fn connect_next(&mut self) -> Result<&Connection, EtcdFailure> {
        self.connection = None;
        if self.next >= self.members.len() {
            self.next = 0;
        }
        if self.next == 0
            && let Err(failure) = self.look_up().await
        {
            if self.members.is_empty() {
                return Err(failure);
            }
            tracing::debug!("trying the etcd members known so far: {}", failure.problem);
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
                EtcdFailure { problem: format!("{}: {}", connection.member(), failure.problem), ..failure }
            }
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(members: &[&str]) -> EtcdSettings {
        EtcdSettings { members: members.iter().map(|text| (*text).to_owned()).collect(), ..EtcdSettings::default() }
    }

    fn hosts(members: &Members) -> Vec<&str> {
        members.addresses().iter().map(|member| member.host.as_str()).collect()
    }

    /// Runs a lookup, which finishes at once if DNS is not asked.
    fn look_up(members: &mut Members) -> Result<usize, EtcdFailure> {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(members.look_up())
    }

    #[test]
    fn many_processes_with_the_same_settings_share_the_members() {
        let settings = settings(&["a", "b", "c"]);
        let mut first: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..6000 {
            let members = Members::new(settings.clone());
            *first.entry(hosts(&members)[0].to_owned()).or_default() += 1;
        }
        // 2000 each, with a standard deviation of 37: a factor of 1.3 between two of them is far away.
        let (most, least) = (first.values().max().unwrap(), first.values().min().unwrap());
        assert!(first.len() == 3 && *most * 10 <= *least * 13, "{first:?}");
    }

    #[test]
    fn an_order_lasts_and_the_member_tried_last_comes_last() {
        let mut members = Members::drawn(settings(&["a", "b", "c"]), || 0.5);
        assert_eq!(hosts(&members), ["b", "c", "a"]);
        assert_eq!(look_up(&mut members).unwrap(), 3);
        assert_eq!(hosts(&members), ["b", "c", "a"]);
        members.last = members.members.first().cloned();
        look_up(&mut members).unwrap();
        assert_eq!(hosts(&members), ["c", "a", "b"]);
    }

    #[test]
    fn the_order_of_the_settings_is_kept_on_request() {
        let mut members = Members::in_given_order(settings(&["a", "b", "c"]));
        look_up(&mut members).unwrap();
        assert_eq!(hosts(&members), ["a", "b", "c"]);
    }
}
