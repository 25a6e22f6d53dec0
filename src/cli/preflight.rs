//! `--preflight`: checks that the store answers, everything loads, and every resource has keys. Never changes anything.

use std::time::Duration;

use crate::agent::catalog::Member;
use crate::agent::pass::view;
use crate::config::settings::{Settings, Timeouts, table};
use crate::model::resource::Resource;
use crate::model::text::counted;
use crate::model::tree::Tree;
use crate::source::health;
use crate::world::{clock, terminal};

use super::exit::Exit;
use super::show;

/// Checks, and prints its findings. A resource without keys is a warning.
pub(super) async fn preflight(settings: Settings) -> Exit {
    let deadline = clock::now() + settings.timeouts.preflight;
    let left = || deadline.saturating_duration_since(clock::now()).max(Duration::from_millis(1));
    let catalog = show::load(&settings);
    terminal::print(&format!(
        "resources: {} loaded, {}\n",
        catalog.members.len(),
        counted(catalog.problems.len(), "problem")
    ));
    let mut exit = if catalog.problems.is_empty() { Exit::Done } else { Exit::Configuration };
    // The store of the settings, and those of `[backend]` tables.
    for store in &catalog.stores {
        let is_standard = store.settings.is_none();
        let unused = is_standard && store.wanted.all().is_empty() && catalog.stores.len() > 1;
        if unused {
            continue;
        }
        let asked =
            tokio::time::timeout(left(), health::ask(store.settings.as_deref().unwrap_or(&settings.store))).await;
        let (well, message) = match asked {
            Ok(health) => (health.healthy, health.message),
            Err(_) => (false, format!("no answer in {:?}", settings.timeouts.preflight)),
        };
        let name = store.settings.as_ref().map(|settings| format!(" {settings}")).unwrap_or_default();
        terminal::print(&format!("store{name}: {message}\n"));
        if !well {
            exit = Exit::Store;
        }
    }
    if exit == Exit::Store {
        return exit;
    }
    let members: Vec<&Member> = catalog.members.iter().collect();
    let timeouts = Timeouts { store: left(), ..settings.timeouts };
    let settings = Settings { timeouts, ..settings };
    let trees = show::read_stores(&settings, &catalog, &members, &table::PREFLIGHT_TIMEOUT).await;
    for member in members {
        match trees.of(&catalog, member) {
            Ok(tree) => terminal::print(&format!("{}\n", keys_of(&member.resource, &tree))),
            Err(worse) => exit = exit.max(worse),
        }
    }
    exit
}

/// Returns the number of keys of a resource, as text.
fn keys_of(resource: &Resource, tree: &Tree) -> String {
    match view(resource, tree).iter().count() {
        _ if resource.ranges.is_empty() => format!("{}: asks for no keys", resource.id),
        0 => {
            let keys: Vec<String> = resource.keys.iter().map(|key| format!("{}{key}", resource.prefix)).collect();
            format!("warning: {}: no key at or below {}", resource.id, keys.join(" "))
        }
        count => format!("{}: {}", resource.id, counted(count, "key")),
    }
}
