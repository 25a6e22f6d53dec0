//! A small HTTP/1.1 listener for status pages: a bounded number of connections, each with a limit for its headers.
//! Never reads a body and knows no page.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::model::outward::StatusPage;

/// Maximum number of connections at a time; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 64;
/// Time limit for the headers of a request, from the first byte or, on a kept connection, from the last answer.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// Time limit of a connection: a client that does not read the answer must not stay forever.
const CONNECTION_LIMIT: Duration = Duration::from_secs(600);
/// Pause after a failed accept: without a free descriptor, an immediate retry would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time limit for looking up the address's name.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// Binds `host:port`, or `:port` for every address of this machine.
///
/// # Errors
/// There is no such address, or it is in use.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    if let Some(port) = address.strip_prefix(':').and_then(|port| port.parse().ok()) {
        // A host without IPv6 has no `::`.
        return match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
            bound => bound,
        };
    }
    let found = timeout(LOOKUP_LIMIT, lookup_host(address)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    TcpListener::bind(found.collect::<Vec<_>>().as_slice()).await
}

/// Serves pages by path until the task is dropped. HEAD gets the head of the same response.
pub async fn serve<Page, Answering>(listener: TcpListener, page: Page)
where
    Page: Fn(String) -> Answering + Clone + Send + Sync + 'static,
    Answering: Future<Output = StatusPage> + Send,
{
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let page = page.clone();
                tokio::spawn(async move {
                    if timeout(CONNECTION_LIMIT, connection(stream, page)).await.is_err() {
                        tracing::debug!(%remote, "closed a connection to the status pages after {CONNECTION_LIMIT:?}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection for status pages: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<Page, Answering>(stream: TcpStream, page: Page)
where
    Page: Fn(String) -> Answering,
    Answering: Future<Output = StatusPage>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let answering = page(request.uri().path().to_owned());
        async move { Ok::<_, Infallible>(response(answering.await, is_head)) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
    // An error of the client's connection is no failure of ours.
    server.serve_connection(TokioIo::new(stream), service).await.ok();
}

fn response(page: StatusPage, is_head: bool) -> Response<Full<Bytes>> {
    let body = if is_head { String::new() } else { page.body };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(page.content_type));
    response
}
