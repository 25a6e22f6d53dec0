//! Follows which of our addresses leads to etcd, for services whose address is `auto`: another network may come and go.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::model::backoff::Backoff;
use crate::model::store::EtcdSettings;
use crate::world::etcd::Members;
use crate::world::{random, route};

/// How often the way is looked at again. Looking sends nothing but, for a host name, a DNS question.
const PAUSE: Duration = Duration::from_secs(15);
/// The longest pause while no way is found.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// Sends the address, and each other one that it later becomes, until nobody listens.
pub(super) async fn follow(settings: EtcdSettings, found: mpsc::Sender<IpAddr>) {
    let mut members = Members::new(settings);
    let mut backoff = Backoff::up_to(LONGEST_RETRY);
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
                    tracing::warn!("the address that leads to etcd is not known yet: {problem}");
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
    for member in members.endpoints() {
        match route::source_address(&member.host, member.port).await {
            Ok(address) => return Ok(address),
            Err(problem) => last = problem,
        }
    }
    Err(last)
}
