//! The steps of a transaction that make a program read its files again and prove that it did. Never touches the files.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::apply::machine::{Done, ReloadProof, Reloaded};
use crate::apply::nginx::Nginx;
use crate::apply::plan::FileAction;
use crate::apply::staging::StagedFile;
use crate::apply::verify::{Progress, Times};
use crate::apply::{Context, failure, plan};
use crate::model::for_each;
use crate::model::generation::{self, GenerationServer};
use crate::model::report::{CommandKind, CommandRun, Stage, StepFailure, Verified};
use crate::model::resource::{CommandLine, Reload, Verify};
use crate::nginx::{installation, words};
use crate::world::clock;
use crate::world::fs::entry::FileEntry;
use crate::world::process::{self, CommandEnd, FinishedCommand};

use super::Transaction;

impl Transaction {
    /// Runs the reload: once per changed file if it names a file, else once; then checks whether anything runs.
    pub(super) async fn reload(&mut self, context: &Context) -> Reloaded {
        let Some(reload) = self.group.reload.clone() else { return Reloaded::Done };
        context.makes_up(&self.group.id);
        if context.nginx_starts_later() && self.nginx.as_ref().is_some_and(|nginx| nginx.master().is_none()) {
            return Reloaded::Done;
        }
        let nginx = self.nginx_in_sight();
        let (before, ticks) = (clock::now(), clock::ticks_since_boot());
        self.watched = nginx.as_ref().and_then(Nginx::watch);
        if let (Some(nginx), None) = (&nginx, &self.watched)
            && (self.report.files.is_empty() || reload == Reload::Nginx)
        {
            return absent(nginx, "");
        }
        let answer = match &reload {
            Reload::Nginx => self.signal_nginx(),
            Reload::Command(command) => {
                let texts = self.reload_texts(command);
                if texts.is_empty() {
                    // Nothing reloads nginx: no proof of that can come.
                    self.watched = None;
                    return Reloaded::Done;
                }
                self.run_command(context, command, texts, nginx.as_ref()).await
            }
        };
        if let (Reloaded::Done, None, Some(nginx)) = (&answer, &self.watched, &nginx) {
            self.watched = nginx.started_since(before, ticks);
        }
        answer
    }

    /// Returns nginx unless the user has switched verification off; the built-in reload needs its master anyway.
    fn nginx_in_sight(&self) -> Option<Nginx> {
        let wanted = self.group.verify == Verify::Auto || self.group.reload == Some(Reload::Nginx);
        self.nginx.clone().filter(|_| wanted)
    }

    fn signal_nginx(&mut self) -> Reloaded {
        let (Some(nginx), Some(watched)) = (&self.nginx, &self.watched) else { return Reloaded::Done };
        self.report.reload_ran = true;
        match nginx.signal(watched.master()) {
            Ok(()) => Reloaded::Done,
            Err(error) => {
                let pid = watched.master().pid;
                let message = format!("failed to send SIGHUP to the nginx master {pid}: {error}");
                Reloaded::Refused(StepFailure::new(Stage::Reload, message))
            }
        }
    }

    async fn run_command(
        &mut self,
        context: &Context,
        command: &CommandLine,
        texts: Vec<String>,
        nginx: Option<&Nginx>,
    ) -> Reloaded {
        self.report.reload_ran = true;
        let (text, finished) = self.run_reload(texts, command.timeout).await;
        let failed = || failure::of_command(Stage::Reload, "reload_cmd", &command.text, &finished);
        match (finished.succeeded(), nginx.filter(|nginx| nginx.master().is_none())) {
            (true, None) => Reloaded::Done,
            (true, Some(nginx)) => absent(nginx, &format!("`{}` succeeded, but ", command.text)),
            (false, Some(nginx)) => absent(nginx, ""),
            // It parses before it signals: nginx has not seen the new files.
            (false, None) if nginx.is_some() && installation::is_plain_signaller(&text) => Reloaded::Refused(failed()),
            (false, None) => {
                let first_time = self.changed().all(|file| !file.existed);
                if nginx.is_none() && (first_time || context.settings.onetime) {
                    Reloaded::NothingRuns { failure: failed(), certain: false }
                } else {
                    Reloaded::Failed(failed())
                }
            }
        }
    }

    /// Returns the commands that reload: one, or one for each file if it names a file. None if it does and the group has no file.
    fn reload_texts(&mut self, command: &CommandLine) -> Vec<String> {
        if !command.names_a_file() {
            let nowhere = Path::new("");
            return vec![command.shell_text(nowhere, nowhere)];
        }
        let own: BTreeSet<&PathBuf> = self.group.destinations().collect();
        // A name of the store was refused if it means something to a shell, and what it had made is removed now.
        let is_harmless = |dest: &PathBuf| {
            own.contains(dest) || dest.file_name().and_then(OsStr::to_str).is_some_and(for_each::is_plain)
        };
        let mut unnamed = Vec::new();
        let mut texts = Vec::new();
        let owes_all = self.journal.reload_owed || self.changed().next().is_none();
        for file in self.files.iter().filter(|file| owes_all || file.action != FileAction::Keep) {
            match file.action != FileAction::Remove || is_harmless(file.dest()) {
                true => texts.push(command.shell_text(&file.target.path(), file.dest())),
                false => unnamed.push(file.dest()),
            }
        }
        let here: BTreeSet<&PathBuf> = self.files.iter().map(StagedFile::dest).collect();
        let made = self.journal.made.iter().filter(|(resource, _)| self.group.has_member(resource));
        let present: BTreeSet<&PathBuf> = self.group.destinations().chain(made.flat_map(|(_, made)| made)).collect();
        let others = self.journal.files.keys().filter(|dest| present.contains(dest) && !here.contains(dest));
        // Nobody knows for which of the files it is owed.
        for dest in others.filter(|_| owes_all) {
            // A link that others may have made leads to a name of theirs.
            match FileEntry::find(dest).ok().filter(|_| is_harmless(dest)) {
                Some(target) => texts.push(command.shell_text(&target.path(), dest)),
                None => unnamed.push(dest),
            }
        }
        let warnings = unnamed.into_iter().map(|dest| {
            format!(
                "reload_cmd is not run for `{}`: its name means something to a shell, or it is a link that other users may have made",
                dest.display()
            )
        });
        self.report.warnings.extend(warnings);
        texts
    }

    /// Runs these commands up to the first one that fails. Returns the last one, and how it ended.
    async fn run_reload(&mut self, texts: Vec<String>, timeout: Option<Duration>) -> (String, FinishedCommand) {
        let nothing = FinishedCommand { end: CommandEnd::Exited(0), output: String::new(), elapsed: Duration::ZERO };
        let mut last = (String::new(), nothing);
        for text in texts {
            let finished = process::run_shell(&text, timeout).await;
            let (elapsed, succeeded) = (finished.elapsed, finished.succeeded());
            self.report.commands.push(CommandRun { kind: CommandKind::Reload, elapsed, succeeded });
            last = (text, finished);
            if !succeeded {
                break;
            }
        }
        last
    }

    /// Proves that the reload took effect, if nginx was reloaded.
    pub(super) async fn verify(&mut self) -> ReloadProof {
        let (Some(nginx), Some(watched)) = (&self.nginx, self.watched.take()) else { return ReloadProof::Done };
        if self.group.verify == Verify::Off {
            return ReloadProof::Done;
        }
        let asked_at = watched.asked_at();
        let evidence = nginx.evidence(&watched);
        let said = |message: &str, output: String| StepFailure {
            at: Stage::Verify,
            message: message.to_owned(),
            output: words::masked_message(&output),
            place: None,
        };
        match nginx.verify(watched, self.check_time, &self.generations()).await {
            Progress::Waiting => ReloadProof::Done,
            Progress::Refused(words) => {
                ReloadProof::Refused(said("nginx refused the new configuration and keeps the previous one", words))
            }
            Progress::Broken(words) => {
                ReloadProof::Failed(said("nginx does not serve with the new configuration", words))
            }
            Progress::Done { times, leaving, serving } => {
                if times.converged.is_none() {
                    self.report
                        .warnings
                        .push("an old worker of nginx has not begun to shut down after the reload".into());
                }
                let Times { accepted, healthy, converged, generation } = times;
                let evidence = Some(evidence).filter(|_| converged.is_some());
                let verified =
                    Verified { accepted, healthy, converged, generation, serving, leaving, asked_at, evidence };
                let previous = nginx.previous_master();
                // Drained means that no worker serves the previous configuration.
                self.report.verified = Some(verified).filter(|_| previous.is_none());
                previous.map_or(ReloadProof::Done, |master| {
                    ReloadProof::HalfDone(StepFailure::new(
                        Stage::Verify,
                        format!(
                            "nginx's program is being replaced: the previous master {} still serves the previous configuration",
                            master.pid
                        ),
                    ))
                })
            }
        }
    }

    /// Returns the expected answers of servers: the generations in the files that are in place now.
    fn generations(&self) -> Vec<(GenerationServer, String)> {
        let asked = |file: &StagedFile| {
            let endpoint = file.resource.generation.clone()?;
            let live = file.target.read().ok().flatten()?;
            Some((endpoint, generation::own(&live.bytes, plan::hash)?))
        };
        self.files.iter().filter_map(asked).collect()
    }

    /// Reloads the files that were put back, and proves it once.
    pub(super) async fn reload_old(&mut self, context: &Context) -> Done {
        let done = match self.reload(context).await {
            Reloaded::Done => self.verify().await.into_done(),
            failed => failed.into_done(),
        };
        self.reloaded_old = done.is_ok();
        done
    }
}

fn absent(nginx: &Nginx, before: &str) -> Reloaded {
    let message = format!(
        "{before}nginx is not running (no master by `{}`); it reads the files when it starts",
        nginx.pid_file().display()
    );
    Reloaded::NothingRuns { failure: StepFailure::new(Stage::Reload, message), certain: true }
}
