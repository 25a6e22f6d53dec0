//! A small HTTP/1.1 listener for status pages: a bounded number of connections, each with one request and limits for its time.
//! Never reads a body and knows no page.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::model::outward::StatusPage;

/// Maximum number of connections at a time, if the process may have enough descriptors.
const MAX_CONNECTIONS: usize = 64;
/// The share of its descriptors that the process has for connections: all others are for its work.
const DESCRIPTOR_SHARE: u64 = 8;
/// Time limit for the head of a request, from the beginning of its connection.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for the page, and for the client to read it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
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

/// A connection that has not ended.
struct Client {
    task: AbortHandle,
    /// Whether it has sent the head of its request.
    has_asked: Arc<AtomicBool>,
}

/// Serves pages by path until the task is dropped, one for each connection. HEAD gets the head of the same response. If there are
/// too many connections, the oldest that has asked for nothing goes: whoever connects and waits cannot lock others out.
pub async fn serve<Page, Answering>(listener: TcpListener, page: Page)
where
    Page: Fn(String) -> Answering + Clone + Send + Sync + 'static,
    Answering: Future<Output = StatusPage> + Send + 'static,
{
    let room = room();
    let mut clients: Vec<Client> = Vec::new();
    let mut tasks = JoinSet::new();
    let mut is_failing = false;
    loop {
        let accepted = listener.accept().await;
        while tasks.try_join_next().is_some() {}
        clients.retain(|client| !client.task.is_finished());
        if !clients.is_empty() && (accepted.is_err() || clients.len() >= room) {
            let idle = clients.iter().position(|client| !client.has_asked.load(Ordering::Relaxed));
            clients.remove(idle.unwrap_or(0)).task.abort();
            // Its descriptor is free only once its task has ended.
            tasks.join_next().await;
        }
        match accepted {
            Ok((stream, _)) => {
                is_failing = false;
                let has_asked = Arc::new(AtomicBool::new(false));
                let task = tasks.spawn(connection(stream, page.clone(), Arc::clone(&has_asked)));
                clients.push(Client { task, has_asked });
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!("cannot accept a connection for status pages: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns how many connections there may be.
fn room() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let share = descriptors.and_then(|descriptors| usize::try_from(descriptors / DESCRIPTOR_SHARE).ok());
    share.unwrap_or(MAX_CONNECTIONS).clamp(1, MAX_CONNECTIONS)
}

async fn connection<Page, Answering>(stream: TcpStream, page: Page, has_asked: Arc<AtomicBool>)
where
    Page: Fn(String) -> Answering,
    Answering: Future<Output = StatusPage>,
{
    let service = service_fn(|request: Request<Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        let is_head = request.method() == Method::HEAD;
        let answering = (is_head || request.method() == Method::GET).then(|| page(request.uri().path().to_owned()));
        async move {
            Ok::<_, Infallible>(match answering {
                Some(answering) => response(answering.await, is_head),
                None => not_allowed(),
            })
        }
    });
    let serving = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    // An error of the client's connection is no failure of ours.
    if timeout(HEAD_LIMIT, &mut serving).await.is_err() && has_asked.load(Ordering::Relaxed) {
        timeout(ANSWER_LIMIT, serving).await.ok();
    }
}

fn response(page: StatusPage, is_head: bool) -> Response<Full<Bytes>> {
    let body = if is_head { String::new() } else { page.body };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    response
}

fn not_allowed() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"405 method not allowed\n")));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
