//! Explains one key, backend, file or resource: its way from the store to nginx, and what stands in it. Pure. Never shows a value.

use std::collections::BTreeSet;

use crate::model::status::{
    Axis, BackendLine, Cause, ChangeStatus, Condition, ConditionKind, ExplainedStep, Explanation, GroupStatus,
    KeyFacts, ResourceStatus, Status, UpstreamStatus,
};
use crate::model::text::counted;

/// Most lists, and most resources, that are named.
const MAX_NAMED: usize = 10;

/// Explains something. `facts` are what the stores have if it is a key.
pub fn explain(status: &Status, of: &str, facts: &KeyFacts) -> Explanation {
    let of = of.trim();
    let mut explanation = Explanation { of: of.to_owned(), ..Explanation::default() };
    let resources: Vec<(&GroupStatus, &ResourceStatus)> =
        status.groups.iter().flat_map(|group| group.resources.iter().map(move |resource| (group, resource))).collect();
    let listed: Vec<(&UpstreamStatus, &BackendLine)> = status
        .upstreams
        .iter()
        .flat_map(|list| list.backends.iter().map(move |backend| (list, backend)))
        .filter(|(_, backend)| backend.key == of || backend.address == of)
        .take(MAX_NAMED)
        .collect();
    let is_meant = |resource: &ResourceStatus| {
        resource.name == of
            || resource.name.strip_suffix(".toml") == Some(of)
            || resource.dest == of
            || facts.readers.contains(&resource.name)
            || listed.iter().any(|(list, _)| list.resource == resource.name)
    };
    let meant: Vec<_> = resources.iter().filter(|(_, resource)| is_meant(resource)).take(MAX_NAMED).collect();
    key(&mut explanation, facts);
    let skipped = skipped(status, of);
    for (group, resource) in &meant {
        of_resource(&mut explanation, group, resource);
        let lists = listed.iter().filter(|(list, _)| list.resource == resource.name);
        lists.for_each(|(list, backend)| of_backend(&mut explanation, list, backend));
        let is_whole = facts.readers.is_empty() && listed.is_empty();
        let own = status.upstreams.iter().filter(|list| is_whole && list.resource == resource.name);
        own.take(MAX_NAMED).for_each(|list| of_list(&mut explanation, list));
        let last = status.changes.iter().find(|change| change.resources.contains(&resource.name));
        last.iter().for_each(|change| of_change(&mut explanation, change));
    }
    if let Some(reason) = skipped {
        explanation.steps.push(step("backend", Some(false), format!("{of} is no backend and is left out: {reason}")));
    } else if !facts.readers.is_empty() && listed.is_empty() {
        let text = format!("no live list has {of} as a backend: a template reads it in another way, or leaves it out");
        explanation.steps.push(step("backend", None, text));
    }
    if !meant.is_empty() {
        nginx(&mut explanation, status, meant.iter().map(|(_, resource)| resource.name.as_str()));
    }
    let is_one = !facts.readers.is_empty() || !listed.is_empty();
    let names: Vec<&ResourceStatus> = meant.iter().map(|(_, resource)| *resource).collect();
    explanation.conditions = in_the_way(status, of, is_one, &names);
    explanation.is_known = !meant.is_empty() || !listed.is_empty() || !explanation.conditions.is_empty();
    if !explanation.is_known {
        let text =
            format!("{of} is no key that a resource sees, no backend, no destination and no resource of this agent");
        explanation.steps.push(step("resource", Some(false), text));
    }
    explanation
}

/// Returns what can be explained: resources, destinations, and folders of backends. A shell puts a name on a command line as it is, so
/// one with a character that means something to it is left out.
pub fn names(status: &Status) -> BTreeSet<&str> {
    let resources = status.groups.iter().flat_map(|group| &group.resources);
    let resources = resources.flat_map(|resource| [resource.name.as_str(), resource.dest.as_str()]);
    let lists = status.upstreams.iter().flat_map(|list| [list.dest.as_str(), list.folder.as_str()]);
    let is_plain = |name: &&str| {
        name.starts_with(|first: char| first == '/' || first.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@%,".contains(c))
    };
    resources.chain(lists).filter(is_plain).collect()
}

/// Returns the conditions that concern what was asked for. `is_one`: it is one key or backend, and others of its resource are not in
/// its way.
fn in_the_way(status: &Status, of: &str, is_one: bool, meant: &[&ResourceStatus]) -> Vec<Condition> {
    let concerns = |condition: &&Condition| {
        let place =
            |cause: &Cause| cause.name().strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        let of_all = matches!(condition.subject.as_str(), "nginx" | "etcd" | "file");
        let of_resource = !(is_one && condition.kind == ConditionKind::KeySkipped)
            && meant.iter().any(|resource| condition.resources.contains(&resource.name));
        condition.causes.iter().any(place) || condition.subject == of || (!meant.is_empty() && of_all) || of_resource
    };
    status.conditions.iter().filter(concerns).cloned().collect()
}

fn step(step: &str, ok: Option<bool>, text: String) -> ExplainedStep {
    ExplainedStep { step: step.to_owned(), ok, text }
}

fn key(explanation: &mut Explanation, facts: &KeyFacts) {
    for (store, revision, length) in &facts.stores {
        let of = &explanation.of;
        let text = match length {
            Some(length) => format!("{store} has {of} ({}), read at revision {revision}", counted(*length, "byte")),
            None => format!("{store} has no {of} (at revision {revision})"),
        };
        explanation.steps.push(step("store", Some(length.is_some()), text));
    }
}

/// Returns why a key is left out, if it is.
fn skipped(status: &Status, of: &str) -> Option<String> {
    let named = status.conditions.iter().filter(|condition| condition.causes.contains(&Cause::Key(of.to_owned())));
    let reason = |condition: &Condition| {
        let (_, rest) = condition.reason.split_once(&format!("{of}: "))?;
        Some(rest.split("; ").next().unwrap_or(rest).to_owned())
    };
    named.filter_map(reason).next()
}

fn of_resource(explanation: &mut Explanation, group: &GroupStatus, resource: &ResourceStatus) {
    let ResourceStatus { name, src, dest, keys, .. } = resource;
    let text = format!("{name} renders {src} to {dest} from {}", keys.join(", "));
    explanation.steps.push(step("resource", None, text));
    let since = group.applied_at.map_or(String::new(), |at| format!(", last in sync at {at}"));
    let revision = group.applied_revision.map_or("none".to_owned(), |revision| revision.to_string());
    let text = format!("{dest} is {} (applied revision {revision}{since})", group.state.replace('_', " "));
    explanation.steps.push(step("file", Some(group.state == "in_sync"), text));
}

fn of_list(explanation: &mut Explanation, list: &UpstreamStatus) {
    let UpstreamStatus { folder, dest, driven_by, total, serving, in_store, .. } = list;
    let in_store = in_store.map_or(String::new(), |in_store| format!(", the store has {in_store}"));
    let text = format!(
        "{dest} lists {} of {folder}, {serving} of them get traffic{in_store}, changes by {driven_by}",
        counted(*total, "backend")
    );
    explanation.steps.push(step("backend", Some(*serving > 0), text));
}

fn of_backend(explanation: &mut Explanation, list: &UpstreamStatus, backend: &BackendLine) {
    let BackendLine { address, key, state, since, weight, announcer, connections, last_failure } = backend;
    let announcer = announcer.as_ref().map_or(String::new(), |announcer| format!(", announced by {announcer}"));
    let connections = connections.map_or(String::new(), |count| format!(", {} now", counted(count, "connection")));
    let text = format!(
        "{key} is the backend {address} in {}, {state} since {since}, weight {weight}{announcer}{connections}",
        list.dest
    );
    explanation.steps.push(step("backend", Some(matches!(state.as_str(), "up" | "backup")), text));
    if let Some(failure) = last_failure {
        let text = format!("nginx could not reach {address} at {}: {}", failure.at, failure.said);
        explanation.steps.push(step("nginx", None, text));
    }
}

fn of_change(explanation: &mut Explanation, change: &ChangeStatus) {
    let phases: Vec<String> =
        change.phases.iter().map(|phase| format!("{} {:.1} ms", phase.step, phase.milliseconds)).collect();
    let phases = if phases.is_empty() { String::new() } else { format!(" ({})", phases.join(", ")) };
    let cause = match change.keys.named.first() {
        Some(first) if change.keys.named.len() + change.keys.more > 1 => {
            format!("{first} and {} more", change.keys.named.len() + change.keys.more - 1)
        }
        Some(first) => first.clone(),
        None => "conf.d, a template or a retry".to_owned(),
    };
    let attempts = if change.attempts > 1 { format!(", tried {} times", change.attempts) } else { String::new() };
    let problem = if change.problem.is_empty() { String::new() } else { format!(": {}", change.problem) };
    let result = change.result.replace('_', " ");
    let text = format!(
        "its last change, at {} (revision {}), came from {cause}: {result}{phases}{attempts}{problem}",
        change.at, change.revision
    );
    explanation.steps.push(step("change", Some(change.problem.is_empty()), text));
}

fn nginx<'a>(explanation: &mut Explanation, status: &Status, mut names: impl Iterator<Item = &'a str>) {
    let drives = |name: &str| status.upstreams.iter().any(|list| list.resource == name && list.driven_by != "file");
    if !names.any(drives) && status.nginx.is_empty() {
        return;
    }
    let Axis { ok, summary, .. } = &status.service;
    explanation.steps.push(step("nginx", *ok, format!("nginx: {summary}")));
    for nginx in &status.nginx {
        let text = match nginx.master {
            Some(master) => format!(
                "nginx runs as process {master} with {}, {} leaving",
                counted(nginx.workers.len(), "worker"),
                nginx.leaving.len()
            ),
            None => format!("no nginx runs by {}", nginx.pid_file),
        };
        explanation.steps.push(step("nginx", Some(nginx.master.is_some()), text));
    }
}
