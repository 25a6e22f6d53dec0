//! TLS to a backend: verified by the system's authorities, by those of a file, or not at all. A file is read again when it has
//! changed. Never sends a request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::model::service::CheckTls;
use crate::world::host::{self, FileStamp};
use crate::world::tasks;
use crate::world::tls::{self, LateRefusal, SecureStream, TlsRefusal};

/// TLS settings, shared by all checks that verify alike: the system's authorities alone take more memory than a hundred
/// checks. Clones share them.
#[derive(Clone, Default)]
pub struct TlsConfigs(Arc<Mutex<BTreeMap<(CheckTls, Protocol), KnownConfig>>>);

/// The last files that were read for a way to verify. Locked while somebody reads: a file on a network may hang, and gets no second thread.
type KnownConfig = Arc<tokio::sync::Mutex<Option<(Option<FileStamp>, Arc<ClientConfig>)>>>;

/// The protocol inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    /// HTTP/1.1, also for servers without ALPN.
    Http1,
    /// HTTP/2, which the server must accept by ALPN.
    Http2,
}

impl Protocol {
    /// Returns how the check of the same protocol without TLS is written.
    fn without_tls(self) -> &'static str {
        match self {
            Protocol::Http1 => "http://",
            Protocol::Http2 => "h2c",
        }
    }
}

impl TlsConfigs {
    /// Looks at the file beside the checks, which it must not hold up.
    async fn get(&self, tls: &CheckTls, protocol: Protocol) -> Result<Arc<ClientConfig>, String> {
        let tls = tls.clone();
        let known = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry((tls.clone(), protocol)).or_default())
        };
        let mut known = known.lock_owned().await;
        let looking = tasks::spawn_blocking(move || {
            let stamp = tls.ca.as_deref().and_then(host::file_stamp);
            if let Some((_, config)) = known.as_ref().filter(|(before, _)| *before == stamp) {
                return Ok(Arc::clone(config));
            }
            // Also if that fails: what the file said before counts no longer.
            *known = None;
            let config = Arc::new(config(&tls, protocol)?);
            *known = Some((stamp, Arc::clone(&config)));
            Ok(config)
        });
        looking.await.unwrap_or_else(|error| Err(format!("the task that reads the CA file failed: {error}")))
    }
}

/// A connector for TLS to one server.
pub(super) struct Connector {
    tls: CheckTls,
    /// Its name or address.
    host: String,
    protocol: Protocol,
    configs: TlsConfigs,
}

impl Connector {
    /// Returns a connector for the server with this name or address.
    pub(super) fn new(tls: &CheckTls, host: &str, protocol: Protocol, configs: &TlsConfigs) -> Connector {
        Connector { tls: tls.clone(), host: host.to_owned(), protocol, configs: configs.clone() }
    }

    /// Secures the connection, and makes one exchange on it.
    pub(super) async fn look<T: Future<Output = Result<(), String>>>(
        &self,
        stream: TcpStream,
        exchange: impl FnOnce(SecureStream) -> T,
    ) -> Result<(), String> {
        let late = LateRefusal::default();
        let stream = self.secure(stream, &late).await?;
        exchange(stream).await.map_err(|problem| late.get().map_or(problem, |refusal| format!("TLS: {refusal}")))
    }

    async fn secure(&self, stream: TcpStream, late: &LateRefusal) -> Result<SecureStream, String> {
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| format!("`{}` is not a valid server name for TLS", self.host))?;
        let secured = tls::secure(self.configs.get(&self.tls, self.protocol).await?, name, stream, late.clone());
        secured.await.map_err(|refusal| match refusal == TlsRefusal::no_tls() {
            true => format!("TLS: {refusal} (hint: check it with {})", self.protocol.without_tls()),
            false => format!("TLS: {refusal}"),
        })
    }
}

fn config(tls: &CheckTls, protocol: Protocol) -> Result<ClientConfig, String> {
    let mut config = tls::client(tls.ca.as_deref(), tls.insecure, None)?;
    if protocol == Protocol::Http2 {
        config.alpn_protocols = vec![tls::HTTP_2.to_vec()];
    }
    Ok(config)
}
