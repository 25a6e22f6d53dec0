//! An etcd that a test writes itself: it answers every call with the messages that the test makes up. For answers that no real etcd
//! gives. Understands no request beyond its method.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::{HeaderMap, Response};
use tokio::net::{TcpListener, TcpStream};

/// The answer to one call.
pub enum Answer {
    /// This message.
    One(Vec<u8>),
    /// Messages without end: those with these numbers. The stream stays open after the last.
    Stream(Box<dyn FnMut(usize) -> Option<Vec<u8>> + Send>),
    /// An error of this code with these words, as they are on the wire.
    Refused(u32, &'static str),
}

/// Makes the answer to the nth call of a method, such as `Range`.
type Script = dyn Fn(&str, usize) -> Answer + Send + Sync;

pub struct FakeEtcd {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl FakeEtcd {
    pub fn start(script: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> FakeEtcd {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Script> = Arc::new(script);
        runtime.spawn(async move {
            let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                let (script, calls) = (Arc::clone(&script), Arc::clone(&calls));
                tokio::spawn(async move { serve(stream, &script, &calls).await });
            }
        });
        FakeEtcd { address, _runtime: runtime }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

async fn serve(stream: TcpStream, script: &Arc<Script>, calls: &Arc<std::sync::atomic::AtomicUsize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let answer = script(&method, calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        tokio::spawn(async move {
            // The request's own stream stays open as long as its answer.
            let _request = request;
            answer_with(answer, respond).await;
        });
    }
}

async fn answer_with(answer: Answer, mut respond: h2::server::SendResponse<Bytes>) {
    let head = |code: Option<(u32, &str)>| {
        let head = Response::builder().header("content-type", "application/grpc");
        match code {
            Some((code, words)) => head.header("grpc-status", code).header("grpc-message", words),
            None => head,
        }
    };
    if let Answer::Refused(code, words) = answer {
        respond.send_response(head(Some((code, words))).body(()).unwrap(), true).ok();
        return;
    }
    let Ok(mut body) = respond.send_response(head(None).body(()).unwrap(), false) else { return };
    match answer {
        Answer::One(message) => {
            if send(&mut body, message).await.is_some() {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                body.send_trailers(trailers).ok();
            }
        }
        Answer::Stream(mut message) => {
            for number in 0.. {
                let Some(message) = message(number) else { return std::future::pending().await };
                if send(&mut body, message).await.is_none() {
                    return;
                }
            }
        }
        Answer::Refused(..) => {}
    }
}

/// Sends a message as fast as the client takes it; `None` if it has gone.
async fn send(body: &mut h2::SendStream<Bytes>, message: Vec<u8>) -> Option<()> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let mut framed = Bytes::from(framed);
    while !framed.is_empty() {
        body.reserve_capacity(framed.len());
        let room = poll_fn(|context| body.poll_capacity(context)).await?.ok()?;
        body.send_data(framed.split_to(room.min(framed.len())), false).ok()?;
    }
    Some(())
}

/// A field of a message in Protocol Buffers: text, bytes or a message within it.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    varint(&mut field, content.len() as u64);
    field.extend(content);
    field
}

/// A field that is a number, or 1 for true.
pub fn number(number: u8, value: u64) -> Vec<u8> {
    let mut field = vec![number << 3];
    varint(&mut field, value);
    field
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

/// The header of an answer at this revision.
pub fn header(revision: u64) -> Vec<u8> {
    field(1, &[number(1, 7), number(3, revision), number(4, 2)].concat())
}

/// A key with its value, last changed at this revision.
pub fn pair(key: &str, value: &[u8], revision: u64) -> Vec<u8> {
    [field(1, key.as_bytes()), number(3, revision), field(5, value)].concat()
}

/// The answer to a `Range` with these pairs, perhaps with more to follow.
pub fn range(pairs: &[Vec<u8>], more: bool) -> Vec<u8> {
    let pairs: Vec<Vec<u8>> = pairs.iter().map(|pair| field(2, pair)).collect();
    [header(9), pairs.concat(), number(3, more.into())].concat()
}

/// A message of a watch: the confirmation of a watcher, or puts, perhaps a fragment.
pub fn watch_created() -> Vec<u8> {
    [header(9), number(2, 1), number(3, 1)].concat()
}

pub fn watch_puts(pairs: &[Vec<u8>], is_fragment: bool) -> Vec<u8> {
    let events: Vec<Vec<u8>> = pairs.iter().map(|pair| field(11, &field(2, pair))).collect();
    [header(9), number(2, 1), number(7, is_fragment.into()), events.concat()].concat()
}
