//! Lets whoever may open the announcer's socket ask for its status. Never makes it: the loop does, between two steps.

use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::model::outward::{PageBody, PageRequest, StatusPage};
use crate::model::status::{ANNOUNCED_PATH, AnnouncerStatus};
use crate::world::http::{self, PageListener, SocketFile};
use crate::world::tasks;

/// Most questions that wait for the loop; whoever asks beyond that waits.
const MAX_ASKING: usize = 4;

/// The socket at which the announcer is asked, with its file.
#[derive(Debug)]
pub struct AnnouncerSocket {
    /// Where it listens.
    pub listener: UnixListener,
    /// The file, removed at the end.
    pub file: SocketFile,
}

/// The receiver of the status.
pub(super) type StatusReply = oneshot::Sender<AnnouncerStatus>;

/// The socket while it is served; dropped, it is gone.
pub(super) struct Served {
    task: AbortHandle,
    _file: SocketFile,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves the socket, if there is one. Returns the questions.
pub(super) fn serve(socket: Option<AnnouncerSocket>) -> (Option<Served>, mpsc::Receiver<StatusReply>) {
    let (ask, asked) = mpsc::channel(MAX_ASKING);
    let served = socket.map(|AnnouncerSocket { listener, file }| {
        let page = move |request| answer(request, ask.clone());
        // Nobody is sent changes.
        let (_, changes) = watch::channel(0);
        let task = tasks::spawn(http::serve(PageListener::Local(listener), page, changes)).abort_handle();
        Served { task, _file: file }
    });
    (served, asked)
}

async fn answer(request: PageRequest, ask: mpsc::Sender<StatusReply>) -> StatusPage {
    let text = |status, text: &str| StatusPage {
        status,
        content_type: "text/plain; charset=utf-8",
        body: PageBody::Text(text.into()),
        ..StatusPage::default()
    };
    if request.path != ANNOUNCED_PATH {
        return text(404, "404 page not found\n");
    }
    let (reply, status) = oneshot::channel();
    if ask.send(reply).await.is_err() {
        return text(503, "the announcer is ending\n");
    }
    let Ok(status) = status.await else { return text(503, "the announcer is ending\n") };
    let json = serde_json::to_string(&status).unwrap_or_default() + "\n";
    StatusPage { content_type: "application/json", ..text(200, &json) }
}
