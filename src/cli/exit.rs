//! The exit codes. They are the program's own: the status of a check or reload command is never passed on. Only a supervised
//! command, the one after `--`, decides the exit code itself.

use nix::sys::signal::Signal;

/// The reason for the program's end, in order of seriousness: if several resources failed, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done, or nothing to do; help and version too.
    Done,
    /// 1: `diff` found differences.
    Differences,
    /// 2: the command line or the environment is wrong.
    Usage,
    /// 3: a settings file, a file of conf.d or a template is wrong.
    Configuration,
    /// 4: the store could not be read, or refused some of the keys.
    Store,
    /// 5: a template could not be rendered.
    Render,
    /// 6: a check command, or `output_format`, refused a rendered file.
    Check,
    /// 7: a file could not be written.
    Write,
    /// 8: a reload failed or had no effect.
    Reload,
    /// 9: another upstreamd holds the state folder.
    Lock,
    /// 10: something failed and could not be rolled back.
    Stuck,
    /// 11: another announcer holds the key.
    KeyTaken,
    /// 12: `status`: a guard keeps the last good file.
    Guarded,
    /// 13: `status`: nginx does not run, an upstream has no backend, or the backend of an announcer fails its check.
    NotServing,
    /// 14: `status`: no agent answers, or an announcer does not.
    AgentAway,
    /// 15: `status`: a change is under way.
    UnderWay,
}

impl Exit {
    /// All codes, in order.
    pub const ALL: [Exit; 16] = [
        Exit::Done,
        Exit::Differences,
        Exit::Usage,
        Exit::Configuration,
        Exit::Store,
        Exit::Render,
        Exit::Check,
        Exit::Write,
        Exit::Reload,
        Exit::Lock,
        Exit::Stuck,
        Exit::KeyTaken,
        Exit::Guarded,
        Exit::NotServing,
        Exit::AgentAway,
        Exit::UnderWay,
    ];

    /// Returns the code for the operating system.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Differences => 1,
            Exit::Usage => 2,
            Exit::Configuration => 3,
            Exit::Store => 4,
            Exit::Render => 5,
            Exit::Check => 6,
            Exit::Write => 7,
            Exit::Reload => 8,
            Exit::Lock => 9,
            Exit::Stuck => 10,
            Exit::KeyTaken => 11,
            Exit::Guarded => 12,
            Exit::NotServing => 13,
            Exit::AgentAway => 14,
            Exit::UnderWay => 15,
        }
    }

    /// Returns the meaning as a phrase.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done, or nothing to do",
            Exit::Differences => "diff found differences",
            Exit::Usage => "the command line or the environment is wrong",
            Exit::Configuration => "a settings file, conf.d or a template is wrong; status: or a file is never read",
            Exit::Store => "the store could not be read, or refused some of the keys",
            Exit::Render => "a template could not be rendered",
            Exit::Check => "a check refused a rendered file; status: or a key is no backend",
            Exit::Write => "a file could not be written",
            Exit::Reload => "a reload failed or had no effect; status: or is owed",
            Exit::Lock => "another upstreamd holds the state folder",
            Exit::Stuck => "something failed and could not be undone",
            Exit::KeyTaken => "another announcer holds the key",
            Exit::Guarded => "status: a guard keeps the last good file",
            Exit::NotServing => "status: nginx does not run, or backends are missing or unhealthy",
            Exit::AgentAway => "status: no agent answers, or an announcer does not",
            Exit::UnderWay => "status: a change is under way",
        }
    }
}

/// The end of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With one of its own codes.
    Own(Exit),
    /// With the exit status of the supervised command.
    Command(u8),
    /// As a program that this signal ends: with 128 plus its number, as shells say it.
    Signal(u8),
}

impl Ending {
    /// Returns how a round ends: with this code, unless a signal ended it early.
    pub fn of_round(exit: Exit, interrupted: Option<Signal>) -> Ending {
        interrupted.map_or(Ending::Own(exit), |signal| Ending::Signal(signal as u8))
    }
}

impl From<Exit> for Ending {
    fn from(exit: Exit) -> Ending {
        Ending::Own(exit)
    }
}

impl From<Ending> for std::process::ExitCode {
    fn from(ending: Ending) -> std::process::ExitCode {
        match ending {
            Ending::Own(exit) => exit.into(),
            Ending::Command(status) => std::process::ExitCode::from(status),
            Ending::Signal(number) => std::process::ExitCode::from(128 + number),
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> std::process::ExitCode {
        std::process::ExitCode::from(exit.code())
    }
}
