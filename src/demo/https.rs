//! nano-container's connections and responses: `GET /` names the instance in JSON, `/healthz` reports that it is up.
//! Never reads a request body.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::time::{interval_at, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::info;

use super::serve::Stopping;
use super::tls;

/// Deadline of a TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Deadline for the headers of the next request, and so the idle limit of an HTTP/1.1 connection. Longer than our templates
/// let nginx keep an idle connection: nginx closes first, and no request hits a closed connection.
const HEADER_LIMIT: Duration = Duration::from_secs(60);
/// Concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// Longest part of a path that is logged, in characters.
const MAX_LOGGED_PATH: usize = 64;

/// The reason why a connection ended early.
pub type ConnectionProblem = Box<dyn std::error::Error + Send + Sync>;

/// Serves one connection to its end: TLS handshake, then HTTP/2 or HTTP/1.1 as negotiated by ALPN.
///
/// # Errors
/// The handshake or the protocol failed. That is the client's fault and worth a debug line at most.
pub async fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    mut stopping: Stopping,
    acceptor: TlsAcceptor,
    site: Arc<Site>,
) -> Result<(), ConnectionProblem> {
    stream.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await??;
    let n_requests = AtomicU64::new(0);
    let server = http_server(stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2));
    let service = service_fn(|request: Request<Incoming>| {
        n_requests.fetch_add(1, Ordering::Relaxed);
        let response = site.answer(request.method(), request.uri().path());
        info!(
            %remote,
            protocol = ?request.version(),
            method = %request.method(),
            path = request.uri().path().chars().take(MAX_LOGGED_PATH).collect::<String>(),
            status = response.status().as_u16(),
            "request"
        );
        async { Ok::<_, Infallible>(response) }
    });
    let served = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    // hyper bounds the wait for HTTP/1.1 headers; for HTTP/2 an idle or silent connection is closed here.
    let mut idle_check = interval_at(tokio::time::Instant::now() + HEADER_LIMIT, HEADER_LIMIT);
    let (mut n_requests_before, mut ending, mut idle) = (0, false, false);
    loop {
        tokio::select! {
            outcome = served.as_mut() => return outcome,
            () = stopping.wait(), if !ending => {
                ending = true;
                served.as_mut().graceful_shutdown();
            }
            _ = idle_check.tick() => {
                // It was asked to close at the last tick and is still open.
                if idle {
                    return Ok(());
                }
                let n_requests_now = n_requests.load(Ordering::Relaxed);
                idle = n_requests_now == n_requests_before;
                n_requests_before = n_requests_now;
                if idle {
                    ending = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn http_server(http_2: bool) -> auto::Builder<TokioExecutor> {
    let server = auto::Builder::new(TokioExecutor::new());
    // Use what ALPN negotiated: detecting the protocol again would wait for bytes without a deadline.
    let mut server = if http_2 { server.http2_only() } else { server.http1_only() };
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS).keep_alive_interval(HEADER_LIMIT);
    server
}

/// The responses of the service.
pub struct Site {
    home: Bytes,
}

impl Site {
    /// Returns the responses of the instance with this name.
    pub fn new(instance: &str) -> Site {
        let home = serde_json::json!({
            "platform": "docker",
            "language": "rust",
            "result": "bazinga!",
            "instance": instance,
        });
        Site { home: Bytes::from(format!("{home}\n")) }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let text = "text/plain; charset=utf-8";
        let (status, kind, body) = match path {
            "/" | "/healthz" if *method != Method::GET && *method != Method::HEAD => {
                (StatusCode::METHOD_NOT_ALLOWED, text, Bytes::from_static(b"method not allowed\n"))
            }
            "/" => (StatusCode::OK, "application/json", self.home.clone()),
            "/healthz" => (StatusCode::OK, text, Bytes::from_static(b"ok\n")),
            _ => (StatusCode::NOT_FOUND, text, Bytes::from_static(b"not found\n")),
        };
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if *method != Method::HEAD {
            *response.body_mut() = Full::new(body);
        }
        response
    }
}
