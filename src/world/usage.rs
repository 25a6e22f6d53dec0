//! Reads this process's resource usage from the kernel. Only reads; values that cannot be read are left out.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

use crate::model::process::Usage;

use super::proc_stat::ProcStat;

/// Reads the usage from `/proc/self`.
pub fn usage() -> Usage {
    let stat = ProcStat::read("self");
    let number = |field: usize| stat.as_ref()?.field::<f64>(field);
    let of_system = |what: SysconfVar| sysconf(what).ok().flatten().map(|value| value as f64);
    let ticks_per_second = of_system(SysconfVar::CLK_TCK);
    let seconds = |ticks: Option<f64>| Some(ticks? / ticks_per_second?);
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // The soft limit is the first number of its line; `unlimited` is left out.
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    Usage {
        cpu_seconds: seconds(number(14).zip(number(15)).map(|(user, system)| user + system)),
        open_files: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64),
        most_open_files: limit("Max open files"),
        resident_bytes: number(24).zip(of_system(SysconfVar::PAGE_SIZE)).map(|(pages, page)| pages * page),
        virtual_bytes: number(23),
        most_virtual_bytes: limit("Max address space"),
        started_at_unix_seconds: boot.zip(seconds(number(22))).map(|(boot, after)| boot + after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_measured() {
        let usage = usage();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - usage.started_at_unix_seconds.unwrap();
        assert!((-2.0..3600.0).contains(&age), "{age}");
        assert!(usage.resident_bytes.unwrap() > 500_000.0 && usage.virtual_bytes > usage.resident_bytes, "{usage:?}");
        assert!(usage.open_files.unwrap() >= 3.0 && usage.cpu_seconds.is_some(), "{usage:?}");
    }
}
