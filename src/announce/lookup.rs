//! Follows which of our addresses leads to etcd, for services whose address is `auto`: networks may come and go. Never
//! connects to etcd.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::model::backoff::Backoff;
use crate::model::store::EtcdSettings;
use crate::world::etcd::Members;
use crate::world::{random, route};

/// Pause between lookups. A lookup sends nothing but, for a host name, a DNS query.
const PAUSE: Duration = Duration::from_secs(15);
/// Longest pause while no route is found.
const MAX_RETRY: Duration = Duration::from_secs(2);

/// Sends the address, and each different one that replaces it, until the receiver is gone.
pub(super) async fn follow(settings: EtcdSettings, found: mpsc::Sender<IpAddr>) {
    let mut members = Members::in_given_order(settings);
    let mut backoff = Backoff::up_to(MAX_RETRY);
    let mut last = None;
    let mut last_problem = String::new();
    loop {
        let pause = match look(&mut members).await {
            Ok(address) => {
                backoff.reset();
                last_problem.clear();
                if last.replace(address) != Some(address) && found.send(address).await.is_err() {
                    return;
                }
                PAUSE
            }
            Err(problem) => {
                if last.is_none() && problem != last_problem {
                    tracing::warn!(
                        "cannot find out what `auto` means, the address of this machine on the way to etcd; trying again: {problem}"
                    );
                    last_problem = problem;
                }
                backoff.next_delay(random::fraction())
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = found.closed() => return,
        }
    }
}

async fn look(members: &mut Members) -> Result<IpAddr, String> {
    members.look_up().await.map_err(|failure| failure.problem)?;
    let mut last = "no etcd endpoint is set".to_owned();
    for member in members.addresses() {
        match route::source_address(&member.host, member.port).await {
            Ok(address) => return Ok(address),
            Err(problem) => last = problem,
        }
    }
    Err(last)
}
