//! An HTTPS client that offers HTTP/2 or HTTP/1.1 by ALPN, as configured.
//! Never reuses a connection unasked: each request shows which server a new connection reaches.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Method, Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

pub type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The protocols that the client offers by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub version: Version,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// A client with its idea of whom to trust.
#[derive(Clone)]
pub struct Client {
    config: ClientConfig,
    name: ServerName<'static>,
}

impl Client {
    /// Trusts servers called `name` whose certificate leads to `authority`.
    pub fn trusting(authority: CertificateDer<'static>, name: &str) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let config = builder().with_root_certificates(roots).with_no_client_auth();
        Client { config, name: ServerName::try_from(name.to_owned()).unwrap() }
    }

    /// Trusts anybody: for certificates made at start that nobody has signed.
    pub fn trusting_anybody() -> Client {
        let verifier = Arc::new(Anybody(Arc::new(ring::default_provider())));
        let config = builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Client { config, name: ServerName::try_from("localhost").unwrap() }
    }

    /// GET.
    pub async fn get(&self, protocol: Protocol, address: SocketAddr, path: &str) -> Result<Answer, Problem> {
        self.request(protocol, Method::GET, address, path).await
    }

    /// One request on a connection of its own, within ten seconds.
    pub async fn request(
        &self,
        protocol: Protocol,
        method: Method,
        address: SocketAddr,
        path: &str,
    ) -> Result<Answer, Problem> {
        tokio::time::timeout(ANSWER_DEADLINE, self.converse(protocol, method, address, path)).await?
    }

    async fn converse(
        &self,
        protocol: Protocol,
        method: Method,
        address: SocketAddr,
        path: &str,
    ) -> Result<Answer, Problem> {
        self.open(protocol, address).await?.send(method, path).await
    }

    /// Opens a connection that stays open until it is dropped.
    pub async fn open(&self, protocol: Protocol, address: SocketAddr) -> Result<Connection, Problem> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![if protocol == Protocol::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(self.name.clone(), stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let (sender, end) = match (protocol, agreed.as_deref()) {
            (Protocol::Http2, Some(b"h2")) => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
                (Sender::Http2(sender), tokio::spawn(connection))
            }
            (Protocol::Http1, Some(b"http/1.1") | None) => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                (Sender::Http1(sender), tokio::spawn(connection))
            }
            (_, agreed) => return Err(format!("wanted {protocol:?}, the server agreed on {agreed:?}").into()),
        };
        Ok(Connection { sender, end, host: self.name.to_str().into_owned() })
    }
}

/// An open connection.
pub struct Connection {
    sender: Sender,
    /// How the connection ended: Ok if the server closed it in good order.
    end: JoinHandle<hyper::Result<()>>,
    host: String,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Connection {
    /// One request and its whole answer.
    pub async fn send(&mut self, method: Method, path: &str) -> Result<Answer, Problem> {
        let host = &self.host;
        let request = match self.sender {
            Sender::Http1(_) => Request::builder().uri(path).header("host", host),
            Sender::Http2(_) => Request::builder().uri(format!("https://{host}{path}")),
        };
        let request = request.method(method).body(Empty::<Bytes>::new())?;
        let response = match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await?,
            Sender::Http2(sender) => sender.send_request(request).await?,
        };
        let (head, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Answer { version: head.version, status: head.status, headers: head.headers, body })
    }

    /// Reports whether `problem`, with which a request on it failed, is that the server had said GOAWAY without an error before it took the
    /// request up. Every HTTP/2 client then sends the request again by itself (RFC 9113, section 6.8).
    pub async fn was_declined(self, problem: &Problem) -> bool {
        let Some(problem) = problem.downcast_ref::<hyper::Error>() else { return false };
        // The GOAWAY came before the request left: hyper says that it was not sent, and why, at the end of the connection.
        if problem.is_canceled() {
            return matches!(tokio::time::timeout(ANSWER_DEADLINE, self.end).await, Ok(Ok(Ok(()))));
        }
        // It came after the request, with the number of an earlier one.
        let cause = problem.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        cause.is_some_and(|cause| {
            cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR)
        })
    }
}

fn builder() -> tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
