//! Puts the files that nginx never reads on the board, and looks at them again until it reads them: whoever edits nginx.conf sees that
//! it has helped. Never edits nginx.conf.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::apply::{Context, unread};
use crate::status::Shared;
use crate::world::clock;
use crate::world::tasks;

/// Least pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// A look may take this part of the time: many files of nginx must not become a load.
const REST: u32 = 10;

/// The looks at files that nginx does not read.
#[derive(Default)]
pub(super) struct UnreadLooks(Option<JoinHandle<()>>);

impl UnreadLooks {
    /// Shows the files that a pass has found, and looks at them again as long as there are any.
    pub(super) fn turn(&mut self, context: &Arc<Context>, board: &Shared) {
        let is_running = self.0.as_ref().is_some_and(|looks| !looks.is_finished());
        if context.unread().is_empty() && !is_running {
            return;
        }
        put_on_board(context, board);
        if !is_running {
            self.0 = Some(tasks::spawn(look(Arc::clone(context), board.clone())));
        }
    }
}

async fn look(context: Arc<Context>, board: Shared) {
    let mut pause = PAUSE;
    while !context.unread().is_empty() {
        tokio::time::sleep(pause).await;
        let (looked, start) = (Arc::clone(&context), clock::now());
        // It reads nginx's files, and the loop must not wait for a disk.
        let looking = tasks::spawn_blocking(move || Handle::current().block_on(unread::look_again(&looked)));
        if looking.await.is_err() {
            return;
        }
        pause = PAUSE.max(clock::since(start) * REST);
        put_on_board(&context, &board);
    }
}

fn put_on_board(context: &Context, board: &Shared) {
    let mut lines: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
    for (_, file) in context.unread().all() {
        lines.entry(file.resource).or_default().push(file.line);
    }
    board.with(|board| board.record_unread(&lines, clock::unix_seconds()));
}
