//! The sockets of a name server: the room that they have, and connections during a flood of datagrams.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// Answers slower than its askers ask.
#[derive(Default)]
struct Slow {
    datagrams: AtomicUsize,
    is_over: AtomicBool,
    has_waited: AtomicBool,
}

impl Respond for Slow {
    fn datagram(&self, _: usize, _: SocketAddr, _: &[u8], waited: Duration) -> Option<Vec<u8>> {
        self.has_waited.fetch_or(!waited.is_zero(), Ordering::Relaxed);
        self.datagrams.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + Duration::from_micros(100);
        while Instant::now() < until && !self.is_over.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        Some(b"reply".to_vec())
    }

    fn message(&self, _: usize, _: SocketAddr, bytes: &[u8]) -> MessageReply {
        MessageReply::Now(bytes.to_vec())
    }

    fn tick(&self) {}

    fn wake_at(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn a_flood_of_datagrams_from_many_askers_holds_no_connection_up() {
    let listener = DnsListener::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
    let address = listener.addresses()[0];
    let responder = Arc::new(Slow::default());
    listener.serve(Arc::clone(&responder) as Arc<dyn Respond>).unwrap();
    let is_over = &responder.is_over;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let askers = [(); 7].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
            while !is_over.load(Ordering::Relaxed) {
                askers.iter().for_each(|asker| drop(asker.send_to(b"question", address)));
            }
        });
        while responder.datagrams.load(Ordering::Relaxed) < 1000 {
            std::thread::yield_now();
        }
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        connection.write_all(&[0, 2, 7, 7]).unwrap();
        let mut reply = [0; 4];
        let answered = connection.read_exact(&mut reply);
        is_over.store(true, Ordering::Relaxed);
        answered.unwrap();
        assert_eq!(reply, [0, 2, 7, 7]);
        assert!(responder.has_waited.load(Ordering::Relaxed), "the kernel says when a datagram has arrived");
    });
}

#[test]
fn a_socket_that_has_more_room_keeps_it() {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let more = 2 * RECEIVE_BUFFER_BYTES;
    setsockopt(&socket, sockopt::RcvBufForce, &more).or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &more)).unwrap();
    let room = || getsockopt(&socket, sockopt::RcvBuf).unwrap();
    let before = room();
    make_room(&socket);
    assert_eq!(room(), before);
}
