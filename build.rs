//! How the release binary is linked: less of it is resident, because what seldom runs lies together, and fewer pages are
//! written to when it starts. Only hints; without them the program is the same, and `UPSTREAMD_PLAIN_LINK=1` leaves them out.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a build script")]

use std::env;
use std::process::Command;

fn main() {
    name_commit();
    println!("cargo::rerun-if-changed=packaging/seldom.ld");
    println!("cargo::rerun-if-env-changed=UPSTREAMD_PLAIN_LINK");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let release_for_this_linux = is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && env::var("HOST") == env::var("TARGET");
    // GNU ld and lld know the script; a linker of the builder's own choice may not.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let own_linker = env::var_os("RUSTC_LINKER").is_some() || flags.contains("fuse-ld=");
    if !release_for_this_linux || own_linker || env::var_os("UPSTREAMD_PLAIN_LINK").is_some() {
        return;
    }
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bin=upstreamd=-T{here}/packaging/seldom.ld");
    if glibc_is_at_least(2, 36) {
        println!("cargo::rustc-link-arg-bin=upstreamd=-Wl,-z,pack-relative-relocs");
    }
}

/// Sets `UPSTREAMD_GIT_SHA`, which `--version` and the log show, in a release build from a git checkout. A builder without one may set
/// the variable.
fn name_commit() {
    println!("cargo::rerun-if-env-changed=UPSTREAMD_GIT_SHA");
    let log = ".git/logs/HEAD";
    if env::var_os("UPSTREAMD_GIT_SHA").is_some() || !env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        return;
    }
    if std::path::Path::new(log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    let found = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    if let Some(commit) = found.ok().filter(|output| output.status.success()) {
        println!("cargo::rustc-env=UPSTREAMD_GIT_SHA={}", String::from_utf8_lossy(&commit.stdout).trim());
    }
}

/// Relocations can be packed since glibc 2.36, and the program then starts with no older one:
/// <https://sourceware.org/glibc/wiki/Release/2.36>.
fn glibc_is_at_least(major: u32, minor: u32) -> bool {
    let Ok(output) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.trim().trim_start_matches("glibc ").split('.').map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().flatten(), numbers.next().flatten());
    found >= (Some(major), Some(minor))
}
