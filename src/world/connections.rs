//! The connections of some processes to some addresses, as the kernel lists them in the processes' own network namespace. Only
//! looks; never changes a connection.
//!
//! `/proc/PID/net` shows the sockets of the namespace of that process, and `/proc/PID/fd` whose they are. Without the permission to
//! read the latter, every socket of the namespace that goes to one of the addresses is returned, with no owner. In the namespace of this
//! process the kernel is asked for these sockets alone, which costs a tenth.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;

use crate::model::connection::BackendConnection;
use crate::model::process::Process;

use super::nginx_process::is_alive;

mod sock_diag;

/// Most bytes of a table of sockets that are read: some 400,000 sockets.
const MAX_TABLE_BYTES: u64 = 64 << 20;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 64 << 10;
/// Tables of TCP sockets.
const TCP_TABLES: [&str; 2] = ["tcp", "tcp6"];
/// Tables of UDP sockets: nginx connects its own.
const UDP_TABLES: [&str; 2] = ["udp", "udp6"];

/// A lister, which remembers whose the sockets of the last look were.
#[derive(Debug, Default)]
pub struct ConnectionList {
    /// Owners of sockets by inode; `None` for sockets of other processes.
    owners: BTreeMap<u64, Option<Process>>,
    /// The processes among which the owners were looked for.
    among: BTreeSet<Process>,
    /// Whether the kernel has refused to list sockets to some addresses alone.
    is_refused: bool,
}

/// A socket, as the kernel shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Socket {
    inode: u64,
    remote: SocketAddr,
}

impl ConnectionList {
    /// Returns the connections of these processes to these addresses, whatever their state; `None` if they cannot be seen. Processes
    /// that have ended have none.
    pub fn look(
        &mut self,
        processes: &BTreeSet<Process>,
        remotes: &BTreeSet<SocketAddr>,
    ) -> Option<Vec<BackendConnection>> {
        let mut sockets = BTreeSet::new();
        let own = namespace("self").ok();
        for (namespace, member) in namespaces(processes)? {
            sockets.extend(tables(&UDP_TABLES, remotes, member)?);
            match (own == Some(namespace)).then(|| self.ask(remotes)).flatten() {
                Some(found) => sockets.extend(found),
                None => sockets.extend(tables(&TCP_TABLES, remotes, member)?),
            }
        }
        if !processes.is_subset(&self.among) {
            self.owners.clear();
        }
        self.among.clone_from(processes);
        // A socket that is still there is still the same one's: nobody passes it on.
        let mut unknown: BTreeSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
        self.owners.retain(|inode, _| unknown.remove(inode));
        let is_known = processes.iter().all(|process| self.find_owned(*process, &mut unknown));
        if is_known {
            self.owners.extend(unknown.into_iter().map(|inode| (inode, None)));
        }
        let connection = |Socket { inode, remote }| match self.owners.get(&inode) {
            Some(None) => None,
            Some(owner) => Some(BackendConnection { owner: *owner, remote }),
            None => Some(BackendConnection { owner: None, remote }),
        };
        Some(sockets.into_iter().filter_map(connection).collect())
    }

    /// Asks the kernel for the TCP sockets of this process's namespace; `None` if it does not answer such questions.
    fn ask(&mut self, remotes: &BTreeSet<SocketAddr>) -> Option<Vec<Socket>> {
        if self.is_refused {
            return None;
        }
        let found = sock_diag::tcp_sockets_to(remotes);
        self.is_refused = found.as_ref().is_err_and(is_refusal);
        found.ok()
    }

    /// Moves the sockets of a process from `unknown` to the owners. Returns whether all of its sockets were seen.
    fn find_owned(&mut self, process: Process, unknown: &mut BTreeSet<u64>) -> bool {
        if unknown.is_empty() {
            return true;
        }
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", process.pid)) else { return !is_alive(process) };
        for entry in entries.flatten() {
            let link = match fs::read_link(entry.path()) {
                Ok(link) => link,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return !is_alive(process),
                // It was closed a moment ago.
                Err(_) => continue,
            };
            let Some(inode) = link.to_str().and_then(socket_inode).filter(|inode| unknown.remove(inode)) else {
                continue;
            };
            self.owners.insert(inode, Some(process));
        }
        true
    }
}

/// The way of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A message on a connection.
    Tcp,
}

/// Returns the user id of the socket at `asker` from which our address `asked` is asked, in this network namespace.
///
/// # Errors
/// There is no such socket, or the kernel does not say.
pub(super) fn user_of_asker(transport: Transport, asker: SocketAddr, asked: SocketAddr) -> io::Result<u32> {
    sock_diag::user_of_socket(transport, asker, asked)
}

/// Returns whether an error says that such questions are never answered here: the next may succeed after any other.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
}

/// Returns what tells network namespaces apart: each has a file of its own, and unlike `ns/net` everybody may look at it.
fn namespace(process: &str) -> io::Result<u64> {
    Ok(fs::metadata(format!("/proc/{process}/net/tcp"))?.ino())
}

/// Returns the network namespaces of these processes, with one that lives in each; `None` if one cannot be seen.
fn namespaces(processes: &BTreeSet<Process>) -> Option<BTreeMap<u64, Process>> {
    let mut namespaces = BTreeMap::new();
    for process in processes.iter().filter(|process| is_alive(**process)) {
        match namespace(&process.pid.to_string()) {
            Ok(number) => drop(namespaces.entry(number).or_insert(*process)),
            Err(_) if is_alive(*process) => return None,
            Err(_) => {}
        }
    }
    Some(namespaces)
}

/// Returns the number in `socket:[NUMBER]`.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Returns the sockets to these addresses in tables of a process; `None` if they cannot be seen.
fn tables(tables: &[&str], remotes: &BTreeSet<SocketAddr>, process: Process) -> Option<Vec<Socket>> {
    let mut found = Vec::new();
    for table in tables {
        match read_table(&format!("/proc/{}/net/{table}", process.pid), remotes, &mut found) {
            Ok(()) => {}
            // The kernel has no IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && table.ends_with('6') => {}
            Err(_) if !is_alive(process) => return Some(Vec::new()),
            Err(_) => return None,
        }
    }
    Some(found)
}

fn read_table(path: &str, remotes: &BTreeSet<SocketAddr>, found: &mut Vec<Socket>) -> io::Result<()> {
    let mut table = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?.take(MAX_TABLE_BYTES));
    let mut line = String::new();
    while table.read_line(&mut line)? > 0 {
        // A socket without an inode is nobody's: the kernel winds it up.
        found.extend(parse_line(&line).filter(|socket| socket.inode != 0 && remotes.contains(&socket.remote)));
        line.clear();
    }
    match table.into_inner().limit() {
        0 => Err(io::ErrorKind::FileTooLarge.into()),
        _ => Ok(()),
    }
}

/// Reads a line of a table: `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`.
fn parse_line(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let remote = parse_address(fields.nth(2)?)?;
    Some(Socket { inode: fields.nth(6)?.parse().ok()?, remote })
}

/// Reads an address such as `0100007F:1F90`: words of the processor's byte order, and the port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::process::{Child, Command, Stdio};

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_kernel_are_read() {
        for (line, expected) in [
            (
                "   0: 0100007F:07E8 0200000A:0050 01 00000000:00000000 00:00000000 00000000 33 0 4711 1 0 20",
                Some((4711, "10.0.0.2:80")),
            ),
            (
                "12: 00000000000000000000000001000000:1F90 B80D0120000000000000000001000000:01BB 01 0:0 00:0 0 0 0 7 2 0",
                Some((7, "[2001:db8::1]:443")),
            ),
            (
                "12: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200000A:0050 01 0:0 00:0 0 0 0 8 2 0",
                Some((8, "10.0.0.2:80")),
            ),
            ("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", None),
            ("   0: 0100007F:07E8 0200000A:0050 01 00000000:00000000", None),
            ("   0: 0100007F:07E8 0200000:0050 01 0:0 00:0 0 33 0 4711 1 0 20", None),
            ("", None),
        ] {
            let expected = expected.map(|(inode, remote)| Socket { inode, remote: remote.parse().unwrap() });
            assert_eq!(parse_line(line), expected, "{line}");
        }
    }

    fn this() -> Process {
        let pid = i32::try_from(std::process::id()).unwrap();
        Process { pid, start_time: super::super::proc_stat::ProcStat::read("self").unwrap().field(22).unwrap() }
    }

    #[test]
    fn own_connections_are_seen_while_they_are_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").ok();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addresses = [listener.local_addr(), udp.local_addr()].map(Result::unwrap).into_iter();
        let remotes: BTreeSet<SocketAddr> = addresses.chain(v6.iter().map(|v6| v6.local_addr().unwrap())).collect();
        let processes = BTreeSet::from([this()]);
        let mut list = ConnectionList::default();
        assert_eq!(list.look(&processes, &remotes), Some(Vec::new()));
        let streams: Vec<TcpStream> = remotes.iter().filter_map(|remote| TcpStream::connect(remote).ok()).collect();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(udp.local_addr().unwrap()).unwrap();
        let mut expected: Vec<BackendConnection> =
            remotes.iter().map(|remote| BackendConnection { owner: Some(this()), remote: *remote }).collect();
        expected.sort();
        for _ in 0..2 {
            let mut found = list.look(&processes, &remotes).unwrap();
            found.sort();
            assert_eq!(found, expected);
        }
        // The tables have the same sockets.
        list.is_refused = true;
        let mut found = list.look(&processes, &remotes).unwrap();
        found.sort();
        assert_eq!(found, expected);
        list.is_refused = false;
        // The same sockets are not those of somebody else.
        let nobody = BTreeSet::from([Process { pid: 1, start_time: 0 }]);
        assert_eq!(list.look(&nobody, &remotes), Some(Vec::new()));
        drop((streams, sender));
        assert_eq!(list.look(&processes, &remotes), Some(Vec::new()));
        // A socket of IPv6 that goes to an address of IPv4.
        let port = listener.local_addr().unwrap().port();
        let _mapped = TcpStream::connect(("::ffff:127.0.0.1", port)).unwrap();
        let expected = vec![BackendConnection { owner: Some(this()), remote: listener.local_addr().unwrap() }];
        for is_refused in [false, true] {
            list.is_refused = is_refused;
            assert_eq!(list.look(&processes, &remotes), Some(expected.clone()));
        }
    }

    /// A process that ends with the test, however that ends.
    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.kill().and_then(|()| self.0.wait()).ok();
        }
    }

    #[test]
    fn only_a_lasting_refusal_ends_the_questions() {
        for (code, expected) in [(1, true), (95, true), (24, false), (105, false), (12, false)] {
            assert_eq!(is_refusal(&io::Error::from_raw_os_error(code)), expected, "{code}");
        }
    }

    #[test]
    fn connections_in_another_network_namespace_are_seen() {
        let script = "ip link set lo up && exec 3<>/dev/udp/127.0.0.1/9 && echo ready && exec sleep 1000";
        let unshare = ["-rn", "bash", "-c", script];
        let mut child = Ended(Command::new("unshare").args(unshare).stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "ready\n" {
            assert!(!nix::unistd::geteuid().is_root(), "no network namespace");
            eprintln!("this test needs a network namespace: nothing was tested");
            return;
        }
        let pid = i32::try_from(child.0.id()).unwrap();
        let stat = super::super::proc_stat::ProcStat::read(pid).unwrap();
        let process = Process { pid, start_time: stat.field(22).unwrap() };
        let remote = "127.0.0.1:9".parse().unwrap();
        let found = ConnectionList::default().look(&[this(), process].into(), &[remote].into());
        assert_eq!(found, Some(vec![BackendConnection { owner: Some(process), remote }]));
    }
}
