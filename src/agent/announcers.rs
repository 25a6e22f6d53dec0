//! Asks the announcers of this machine what they announce, when somebody asks for the status. Never changes anything, and waits for
//! nobody for long.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::model::status::ANNOUNCED_PATH;
use crate::status::announced::AnnouncerAnswer;
use crate::world::{clock, http, tasks};

/// Beginning of the names of their sockets; the number of the process follows.
pub const SOCKET_PREFIX: &str = "announce-";
/// Time limit for all answers together: they are asked side by side.
const LIMIT: Duration = Duration::from_secs(1);
/// Most announcers that are asked.
const MAX_ANNOUNCERS: usize = 64;
/// Largest answer that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// The folders in which announcers may have their sockets.
#[derive(Clone, Debug, Default)]
pub struct AnnouncerPlaces {
    /// In these folders.
    pub folders: Vec<PathBuf>,
    /// In the folders of this folder.
    pub parent: Option<PathBuf>,
    /// Held while somebody looks there: a folder on a network may hang, and gets no second thread.
    pub look: Arc<Mutex<()>>,
}

/// Asks every announcer with a socket in one of these places. Those that no longer run are left out.
pub async fn ask(places: AnnouncerPlaces) -> Vec<AnnouncerAnswer> {
    let is_nowhere = places.folders.is_empty() && places.parent.is_none();
    if is_nowhere {
        return Vec::new();
    }
    let started = clock::now();
    let looking = async {
        let look = Arc::clone(&places.look).lock_owned().await;
        let found = tasks::spawn_blocking(move || {
            let _look = look;
            sockets(&places)
        });
        found.await.unwrap_or_default()
    };
    let Ok(found) = tokio::time::timeout(LIMIT, looking).await else { return Vec::new() };
    let limit = LIMIT.saturating_sub(clock::since(started));
    let mut asking = JoinSet::new();
    for (path, pid) in found {
        asking.spawn(async move {
            let said = match http::get(&path, ANNOUNCED_PATH, limit, MAX_BYTES).await {
                Err(error) if http::is_nobody(&error) => return None,
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Err(format!("no answer in {LIMIT:?}")),
                Err(error) => Err(error.to_string()),
                Ok((200, body)) => Ok(body),
                Ok((status, _)) => Err(format!("it answers with status {status}")),
            };
            Some(AnnouncerAnswer { socket: path.display().to_string(), pid, said })
        });
    }
    let mut answers: Vec<AnnouncerAnswer> = asking.join_all().await.into_iter().flatten().collect();
    answers.sort_by_key(|answer| answer.pid);
    answers
}

fn sockets(places: &AnnouncerPlaces) -> Vec<(PathBuf, u32)> {
    let below = places.parent.iter().flat_map(|parent| http::folders_in(parent));
    let of_folder = |folder: PathBuf| http::sockets_of(&folder, SOCKET_PREFIX, MAX_ANNOUNCERS);
    places.folders.iter().cloned().chain(below).flat_map(of_folder).take(MAX_ANNOUNCERS).collect()
}
