//! `--preflight`: whether the store answers, everything loads, and every resource has keys. Changes nothing.

use std::time::Duration;

use crate::agent::rendering;
use crate::config::settings::Settings;
use crate::model::resource::Resource;
use crate::model::tree::Tree;
use crate::source::health;
use crate::world::{clock, terminal};

use super::exit::Exit;
use super::show;

/// Looks, and says what it finds. A resource without keys is a warning.
pub(super) async fn preflight(settings: Settings) -> Exit {
    let limit = settings.preflight_timeout;
    let deadline = clock::now() + limit;
    let asked = tokio::time::timeout(limit, health::ask(&settings.store)).await;
    let (well, message) = match asked {
        Ok(health) => (health.healthy, health.message),
        Err(_) => (false, format!("no answer in {limit:?}")),
    };
    terminal::print(&format!("store: {message}\n"));
    if !well {
        return Exit::Store;
    }
    let loaded = show::load(&settings);
    terminal::print(&format!("resources: {} loaded, {} problems\n", loaded.members.len(), loaded.problems.len()));
    let rest = deadline.saturating_duration_since(clock::now()).max(Duration::from_millis(1));
    let tree = match show::read_store(&Settings { backend_timeout: rest, ..settings }, &loaded).await {
        Ok(tree) => tree,
        Err(exit) => return exit,
    };
    for member in &loaded.members {
        terminal::print(&format!("{}\n", keys_of(&member.resource, &tree)));
    }
    if loaded.problems.is_empty() { Exit::Done } else { Exit::Configuration }
}

/// How many keys a resource has.
fn keys_of(resource: &Resource, tree: &Tree) -> String {
    match rendering::view(resource, tree).iter().count() {
        _ if resource.ranges.is_empty() => format!("{}: asks for no keys", resource.name),
        0 => {
            let keys: Vec<String> = resource.keys.iter().map(|key| format!("{}{key}", resource.prefix)).collect();
            format!("warning: {}: no key at or below {}", resource.name, keys.join(" "))
        }
        count => format!("{}: {count} keys", resource.name),
    }
}
