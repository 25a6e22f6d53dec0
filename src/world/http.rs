//! A small HTTP/1.1 listener for status pages: a bounded number of connections, each with one request and limits for its time. Never
//! reads a body and knows no page.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, lookup_host};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::model::outward::{PageBody, PageRequest, StatusPage};
use crate::world::host;
use crate::world::tasks;

mod local;

pub use local::{SocketFile, bind_local, bind_own, folders_in, get, is_nobody, sockets_of};

/// Maximum number of connections at a time, if the process may have enough descriptors.
const MAX_CONNECTIONS: usize = 64;
/// Time limit for the head of a request, from the beginning of its connection.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for the page, and for the client to read it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Longest life of a stream of events: browsers connect again.
const STREAM_LIMIT: Duration = Duration::from_secs(3600);
/// Pause between two comments in a stream without events: they show which clients are gone.
const STREAM_PAUSE: Duration = Duration::from_secs(15);
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

/// A listener for status pages.
#[derive(Debug)]
pub enum PageListener {
    /// For programs that reach an address.
    Tcp(TcpListener),
    /// For programs of this machine that may open the socket.
    Local(UnixListener),
}

/// A connection of either kind.
trait PageConnection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<Stream: AsyncRead + AsyncWrite + Send + Unpin> PageConnection for Stream {}

impl PageListener {
    async fn accept(&self) -> io::Result<Box<dyn PageConnection>> {
        Ok(match self {
            PageListener::Tcp(listener) => Box::new(listener.accept().await?.0),
            PageListener::Local(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// A connection that has not ended.
struct Client {
    task: AbortHandle,
    progress: Arc<ClientProgress>,
}

/// The stage that a connection has reached.
#[derive(Default)]
struct ClientProgress {
    /// Whether it has sent the head of its request.
    has_asked: AtomicBool,
    /// Whether it gets a stream of events.
    is_stream: AtomicBool,
}

/// Serves pages until the task is dropped, one for each connection. HEAD gets the head of the same response. Whoever asks for
/// changes gets an event for each change of `changes`. If there are too many connections, the oldest that has asked for nothing
/// goes, then the oldest: whoever connects and waits cannot lock others out.
pub async fn serve<Page, Answering>(listener: PageListener, page: Page, changes: watch::Receiver<u64>)
where
    Page: Fn(PageRequest) -> Answering + Clone + Send + Sync + 'static,
    Answering: Future<Output = StatusPage> + Send + 'static,
{
    let room = host::descriptor_share(MAX_CONNECTIONS);
    let mut clients: Vec<Client> = Vec::new();
    let mut tasks = JoinSet::new();
    let mut is_failing = false;
    loop {
        let accepted = listener.accept().await;
        while tasks.try_join_next().is_some() {}
        clients.retain(|client| !client.task.is_finished());
        if !clients.is_empty() && (accepted.is_err() || clients.len() >= room) {
            let idle = clients.iter().position(|client| !client.progress.has_asked.load(Ordering::Relaxed));
            clients.remove(idle.unwrap_or(0)).task.abort();
            // Its descriptor is free only once its task has ended.
            tasks.join_next().await;
        }
        match accepted {
            Ok(stream) => {
                is_failing = false;
                let progress = Arc::new(ClientProgress::default());
                let serving = connection(stream, page.clone(), Arc::clone(&progress), changes.clone());
                clients.push(Client { task: tasks.spawn(serving), progress });
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

async fn connection<Page, Answering>(
    stream: Box<dyn PageConnection>,
    page: Page,
    progress: Arc<ClientProgress>,
    changes: watch::Receiver<u64>,
) where
    Page: Fn(PageRequest) -> Answering,
    Answering: Future<Output = StatusPage>,
{
    let service = service_fn(|request: Request<Incoming>| {
        progress.has_asked.store(true, Ordering::Relaxed);
        let is_head = request.method() == Method::HEAD;
        let answering = (is_head || request.method() == Method::GET).then(|| page(page_request(&request)));
        let (progress, changes) = (&progress, changes.clone());
        async move {
            let Some(answering) = answering else { return Ok::<_, Infallible>(not_allowed()) };
            let page = answering.await;
            progress.is_stream.store(page.body == PageBody::Changes && !is_head, Ordering::Relaxed);
            Ok(response(page, is_head, changes))
        }
    });
    let serving = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    // An error of the client's connection is no failure of ours.
    if timeout(HEAD_LIMIT, &mut serving).await.is_err() && progress.has_asked.load(Ordering::Relaxed) {
        let is_over = timeout(ANSWER_LIMIT, &mut serving).await.is_ok();
        if !is_over && progress.is_stream.load(Ordering::Relaxed) {
            timeout(STREAM_LIMIT, serving).await.ok();
        }
    }
}

fn page_request(request: &Request<Incoming>) -> PageRequest {
    let header =
        |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // A target that is a whole URL names the host itself.
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    PageRequest {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        host: host.or_else(|| header(HOST)),
        known: header(IF_NONE_MATCH).unwrap_or_default(),
    }
}

/// A text that several responses share.
struct SharedText(Arc<str>);

impl AsRef<[u8]> for SharedText {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The body of a response.
type Body = UnsyncBoxBody<Bytes, Infallible>;

fn response(page: StatusPage, is_head: bool, changes: watch::Receiver<u64>) -> Response<Body> {
    let body = match page.body {
        _ if is_head => Full::default().boxed_unsync(),
        PageBody::Text(text) => Full::new(Bytes::from_owner(SharedText(text))).boxed_unsync(),
        PageBody::Changes => stream(changes),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    add(headers, ETAG, page.version);
    add(headers, CONTENT_SECURITY_POLICY, page.security_policy);
    response
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    headers.extend(value.and_then(|value| HeaderValue::try_from(value).ok()).map(|value| (name, value)));
}

/// Returns a body with an event for each change. It ends if the client does not read for a while.
fn stream(mut changes: watch::Receiver<u64>) -> Body {
    let (mut sender, body) = http_body_util::channel::Channel::<Bytes, Infallible>::new(1);
    tasks::spawn(async move {
        let mut event = format!("retry: 2000\nevent: change\ndata: {}\n\n", *changes.borrow_and_update());
        while matches!(timeout(ANSWER_LIMIT, sender.send_data(Bytes::from(event))).await, Ok(Ok(()))) {
            event = match timeout(STREAM_PAUSE, changes.changed()).await {
                Ok(Ok(())) => format!("event: change\ndata: {}\n\n", *changes.borrow_and_update()),
                Ok(Err(_)) => return,
                Err(_) => ":\n\n".to_owned(),
            };
        }
    });
    body.boxed_unsync()
}

fn not_allowed() -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"405 method not allowed\n")).boxed_unsync());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
