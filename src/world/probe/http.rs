//! One HTTP request: HTTP/1.1 on a connection of its own. Checks the status and the start of the body; never follows a
//! redirect.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::model::service::{HttpCheck, host_and_port};

use super::connect;
use super::tls::Connector;

/// Number of bytes of the body that are searched.
const MAX_BODY_BYTES: usize = 64 * 1024;

pub(super) async fn look(check: &HttpCheck, connector: Option<&Connector>) -> Result<(), String> {
    let stream = connect(&host_and_port(&check.host, check.port)).await?;
    match connector {
        Some(connector) => connector.look(stream, |stream| ask(check, stream)).await,
        None => ask(check, stream).await,
    }
}

async fn ask(check: &HttpCheck, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(&check.path)
        .header(HOST, host_and_port(&check.host, check.port))
        .header(USER_AGENT, "upstreamd")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("HTTP: {error}"))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        judge(check, response).await
    };
    // The end of the connection does not matter, only the response.
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(broken(error)),
        },
    }
}

/// Returns the words of a failed exchange.
fn broken(error: hyper::Error) -> String {
    let hint = if error.is_parse() { " (hint: this is no HTTP/1; is it https://, h2 or h2c?)" } else { "" };
    format!("HTTP: {error}{hint}")
}

async fn judge(check: &HttpCheck, response: Response<Incoming>) -> Result<(), String> {
    let status = response.status().as_u16();
    let (from, to) = check.status;
    if !(from..=to).contains(&status) {
        return Err(format!("HTTP status {status}"));
    }
    let Some(wanted) = &check.body else { return Ok(()) };
    let mut body = response.into_body();
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("HTTP: {error}"))?;
        if let Some(data) = frame.data_ref() {
            let room = MAX_BODY_BYTES - read.len();
            // Many small pieces cost no more than a large one.
            let unsearched = read.len().saturating_sub(wanted.len());
            read.extend_from_slice(&data[..data.len().min(room)]);
            if contains(&read[unsearched..], wanted.as_bytes()) {
                return Ok(());
            }
        }
        if read.len() == MAX_BODY_BYTES {
            break;
        }
    }
    Err("the body does not contain the expected text".to_owned())
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|window| window == wanted)
}
