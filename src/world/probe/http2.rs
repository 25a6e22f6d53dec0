//! Opens an HTTP/2 connection and sends one PING: a server that answers it has read our settings and speaks the protocol.
//! Never sends a request.

use h2::{Ping, Reason};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect;
use super::tls::Connector;
use crate::world::tls::{HTTP_2, SecureStream};

pub(super) async fn look(address: &str, connector: Option<&Connector>) -> Result<(), String> {
    let stream = connect(address).await?;
    let Some(connector) = connector else { return ping(stream).await };
    let exchange = |stream: SecureStream| async {
        // A server without ALPN may continue with any protocol.
        if !stream.speaks(HTTP_2) {
            return Err("TLS: the server does not accept HTTP/2".to_owned());
        }
        ping(stream).await
    };
    connector.look(stream, exchange).await
}

/// Returns the words of a failed exchange. An answer of HTTP/1 reads as a frame that is far too large.
fn broken(error: h2::Error) -> String {
    let is_other = error.reason() == Some(Reason::FRAME_SIZE_ERROR);
    let hint = if is_other { " (hint: this is no HTTP/2; is it http:// or https://?)" } else { "" };
    format!("HTTP/2: {error}{hint}")
}

async fn ping(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
    let (requests, mut connection) = h2::client::handshake(stream).await.map_err(broken)?;
    let mut pings = connection.ping_pong().ok_or("HTTP/2: cannot send a PING")?;
    let result = tokio::select! {
        biased;
        answer = pings.ping(Ping::opaque()) => answer.map(drop).map_err(broken),
        ended = &mut connection => match ended {
            Ok(()) => Err("HTTP/2: the server has closed the connection".to_owned()),
            Err(error) => Err(broken(error)),
        },
    };
    drop(requests);
    result
}
