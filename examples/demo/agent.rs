//! upstreamd itself, with the shipped templates: only their settings (ports, certificate paths) are the demo's own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder::{self, Folder};
use super::process::{Process, Roster};
use super::support::free_port;
use super::support::nginx::Nginx;
use super::support::shipped::with_settings;
use super::support::tls::{Authority, ServerFiles};
use super::{Failure, backends};

const WEB_TEMPLATE: &str = include_str!("../../templates/web.conf.tera");
const ECHO_TEMPLATE: &str = include_str!("../../templates/echo.conf.tera");

/// The settings file in the confdir.
const SETTINGS: &str = "upstreamd.toml";

/// Address of the balancer for clients.
#[derive(Clone, Copy)]
pub struct Fronts {
    pub web: SocketAddr,
    pub echo: SocketAddr,
}

/// Writes conf.d and templates.
///
/// # Errors
/// A file cannot be written.
pub fn write_confdir(
    folder: &Folder,
    nginx: &Nginx,
    fronts: Fronts,
    authority: &Authority,
    front_files: &ServerFiles,
) -> Result<PathBuf, Failure> {
    let confdir = folder.sub("confdir")?;
    let (resources, templates) = (folder.sub("confdir/conf.d")?, folder.sub("confdir/templates")?);
    let path = |path: &Path| path.display().to_string();
    let web = with_settings(
        WEB_TEMPLATE,
        &[
            ("listen", &fronts.web.to_string()),
            ("server_name", "localhost"),
            ("certificate", &path(&front_files.certificate)),
            ("certificate_key", &path(&front_files.key)),
            ("backend_name", backends::NANO_CONTAINER),
            ("backend_authority", &path(&authority.certificate_file())),
        ],
    );
    let echo = with_settings(ECHO_TEMPLATE, &[("listen", &fronts.echo.to_string())]);
    fs::write(confdir.join(SETTINGS), "# The demo's own settings: those of this machine do not count.\n")?;
    fs::write(templates.join("web.conf.tera"), web)?;
    fs::write(templates.join("echo.conf.tera"), echo)?;
    for (name, dest) in [("web", nginx.http_file("web.conf")), ("echo", nginx.stream_file("echo.conf"))] {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let text = format!(
            "[template]\nsrc = \"{name}.conf.tera\"\ndest = {}\nkeys = [\"/services/{name}\"]\nmode = \"0644\"\n\
             escape = \"nginx\"\ncheck_cmd = {}\nreload_cmd = {}\n",
            quoted(&path(&dest)),
            quoted(&nginx.check_command()),
            quoted(&nginx.reload_command()),
        );
        fs::write(resources.join(format!("{name}.toml")), text)?;
    }
    Ok(confdir)
}

/// Starts upstreamd in watch mode.
///
/// # Errors
/// It is not built or cannot be started.
pub fn start(
    folder: &Folder,
    confdir: &Path,
    store_arguments: &[String],
    logs: &Path,
    roster: &Roster,
) -> Result<(Process, String), Failure> {
    let mut command = Command::new(folder::program("upstreamd")?);
    // Neither the variables nor the settings files of this machine count.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.arg("--watch").arg("--confdir").arg(confdir).arg("--config-file").arg(confdir.join(SETTINGS));
    command.args(store_arguments);
    command.arg("--state-dir").arg(folder.sub("state")?);
    // Port 53, the default, is for root.
    command.arg("--endpoints-listen").arg(format!("127.0.0.1:{}", free_port()));
    let arguments: Vec<String> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let line = format!("upstreamd {}", arguments.join(" "));
    Ok((Process::start("upstreamd", &mut command, logs, roster)?, line))
}
