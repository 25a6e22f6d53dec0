//! Connects to one member: plain, or over TLS. Each setting of TLS works without the others.
//! Reads the PEM files again for every connection; never caches them.

use std::path::Path;
use std::sync::Arc;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::{Channel, Endpoint as Transport, Uri};
use tower::{Service, service_fn};

use super::{MemberAddress, failure};
use crate::model::etcd::EtcdFailure;
use crate::model::store::{EtcdSettings, Scheme, TlsSettings};
use crate::world::tasks;
use crate::world::tls::{self, HTTP_2, LateRefusal, TlsRefusal};

/// Connects to `member`, the way `prepare` wants the transport to be. `late` shows what the server refuses after that.
pub(super) async fn connect(
    member: &MemberAddress,
    settings: &EtcdSettings,
    late: &LateRefusal,
    prepare: impl FnOnce(Transport) -> Transport,
) -> Result<Channel, EtcdFailure> {
    let cannot = |failure: EtcdFailure| EtcdFailure {
        problem: format!("cannot connect to {member}: {}", failure.problem),
        ..failure
    };
    let unusable = |problem: String| cannot(EtcdFailure::refused(problem));
    let transport = Transport::from_shared(member.to_string()).map_err(|error| unusable(error.to_string()))?;
    let transport = prepare(transport);
    if member.scheme == Scheme::Http {
        return transport.connect().await.map_err(|error| cannot(failure::cause(&error)));
    }
    let tls = settings.tls.clone().unwrap_or_default();
    let config = read_files(tls).await.map_err(unusable)?;
    let name = member.server_name.as_ref().unwrap_or(&member.host);
    let name = ServerName::try_from(name.clone())
        .map_err(|_| unusable(format!("`{name}` is not a valid server name for TLS")))?;
    let mut dialler = HttpConnector::new();
    dialler.enforce_http(false);
    dialler.set_nodelay(true);
    let shared = late.clone();
    let connector = service_fn(move |uri: Uri| {
        shared.forget();
        let (dial, config, name, late) = (dialler.call(uri), Arc::clone(&config), name.clone(), shared.clone());
        async move {
            let stream = tls::secure(config, name, dial.await?.into_inner(), late).await?;
            if !stream.speaks(HTTP_2) {
                return Err(TlsRefusal::new("the server does not agree to speak HTTP/2 over TLS").into());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(TokioIo::new(stream))
        }
    });
    let why = |error| late.get().map_or_else(|| failure::cause(&error), |refusal| failure::of_refusal(&refusal));
    transport.connect_with_connector(connector).await.map_err(|error| cannot(why(error)))
}

/// Most reads of files at a time: one in a folder that does not respond may never end.
static READS: Semaphore = Semaphore::const_new(8);

/// Reads the certificates on a thread of its own: a folder that does not respond holds up nothing but this connection.
async fn read_files(tls: TlsSettings) -> Result<Arc<ClientConfig>, String> {
    let held = READS.try_acquire().map_err(|_| "earlier reads of the certificate files have not ended".to_owned())?;
    let read = move || {
        let _held = held;
        let mut config = tls::client(tls.ca.as_deref(), tls.insecure, identity(&tls)?)?;
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok(Arc::new(config))
    };
    tasks::spawn_blocking(read).await.map_err(|error| error.to_string())?
}

/// Returns the files of our certificate and its key, if there is one.
fn identity(tls: &TlsSettings) -> Result<Option<(&Path, &Path)>, &'static str> {
    match (&tls.cert, &tls.key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (Some(_), None) => Err("a client certificate is set without a client key"),
        (None, Some(_)) => Err("a client key is set without a client certificate"),
    }
}
