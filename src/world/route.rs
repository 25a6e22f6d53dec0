//! Finds our address on the route to a different host, by the kernel's routing table. Sends nothing except DNS queries for a host name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{UdpSocket, lookup_host};

/// Returns the source address of a connection to `host` (a name, or an address without brackets) and `port`.
///
/// # Errors
/// The name is unknown, or there is no route.
pub async fn source_address(host: &str, port: u16) -> Result<IpAddr, String> {
    let failed = |error: io::Error| format!("cannot find a route to {host}: {error}");
    let mut last = io::Error::other("the name has no address");
    for target in lookup_host((host, port)).await.map_err(failed)? {
        match source_for(target).await {
            Ok(address) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

async fn source_for(target: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connecting a UDP socket sends nothing: it only chooses the route.
    socket.connect(target).await?;
    Ok(socket.local_addr()?.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_this_machine_is_the_loopback() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ask = |host| runtime.block_on(source_address(host, 2379));
        assert_eq!(ask("127.0.0.1"), Ok(Ipv4Addr::LOCALHOST.into()));
        assert!(ask("surely.invalid").unwrap_err().contains("surely.invalid"));
    }
}
