//! The only code that touches disk, sockets, processes and the clock. Knows nothing of templates or of nginx.
//! Rank 3: uses the model alone.

pub mod clock;
pub mod environment;
pub mod etcd;
pub mod folder;
pub mod random;
pub mod watch;
