//! A secured connection that remembers why the server ended it. In TLS 1.3 a server's word on our certificate comes after the
//! handshake, while HTTP already writes, and HTTP often reports the broken pipe instead. Never opens a connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::Error;

use super::refusal::{self, TlsRefusal};

/// The most that is read in search of the server's word, in bytes. A server that refuses us has sent little else.
const MAX_UNREAD_BYTES: usize = 1024;

/// A server's word about our certificate after the handshake. Clones share it; empty until it says something.
#[derive(Clone, Default)]
pub(crate) struct LateRefusal(Arc<Mutex<Option<TlsRefusal>>>);

impl LateRefusal {
    /// Returns the refusal, if there was one on the newest connection.
    pub(crate) fn get(&self) -> Option<TlsRefusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was said on an earlier connection.
    pub(crate) fn forget(&self) {
        self.set(None);
    }

    fn set(&self, refusal: Option<TlsRefusal>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

/// A connection over TLS, after its handshake.
pub(crate) struct SecureStream {
    inner: TlsStream<TcpStream>,
    late: LateRefusal,
    /// The error of a write, until the server's word is read.
    failed: Option<io::Error>,
}

impl SecureStream {
    /// Returns the connection, whose refusals `late` shows from now on.
    pub(super) fn new(inner: TlsStream<TcpStream>, late: LateRefusal) -> SecureStream {
        SecureStream { inner, late, failed: None }
    }

    /// Returns whether the server agreed to speak this protocol.
    pub(crate) fn speaks(&self, protocol: &[u8]) -> bool {
        self.inner.get_ref().1.alpn_protocol() == Some(protocol)
    }

    fn note(&self, error: &io::Error) {
        if let Some(error @ Error::AlertReceived(_)) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            self.late.set(Some(refusal::of_error(error)));
        }
    }

    /// Writes, unless a write has failed. The server's word may have come before that and not be read yet: fails after it.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TlsStream<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.failed.is_none() {
            match write(Pin::new(&mut self.inner), cx) {
                Poll::Ready(Err(error)) => self.failed = Some(error),
                other => return other,
            }
        }
        let mut bytes = [0; MAX_UNREAD_BYTES];
        let mut rest = ReadBuf::new(&mut bytes);
        while rest.remaining() > 0 {
            let before = rest.filled().len();
            // The other side has closed, so the wait for its last bytes, or for the end, is short.
            match ready!(Pin::new(&mut *self).poll_read(cx, &mut rest)) {
                Ok(()) if rest.filled().len() > before => {}
                _ => break,
            }
        }
        Poll::Ready(Err(self.failed.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())))
    }
}

impl AsyncRead for SecureStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &result {
            self.note(error);
        }
        result
    }
}

impl AsyncWrite for SecureStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}
