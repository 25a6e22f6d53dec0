//! Explains one key, backend, file or resource: its way from the store to nginx, and what stands in it. Pure. Never shows a value.

use std::collections::BTreeSet;

use crate::model::status::{
    BackendLine, Cause, ChangeStatus, Condition, ConditionKind, ExplainedStep, Explanation, GroupStatus, KeyFacts,
    NginxStatus, ResourceStatus, Status, StatusQuestion, UpstreamStatus,
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
    let meant: Vec<_> = resources.iter().filter(|(_, resource)| is_meant(resource)).collect();
    key(&mut explanation, facts);
    for (group, resource) in meant.iter().take(MAX_NAMED) {
        of_resource(&mut explanation, group, resource);
        let lists = listed.iter().filter(|(list, _)| list.resource == resource.name);
        lists.for_each(|(list, backend)| of_backend(&mut explanation, list, backend));
        let is_whole = facts.readers.is_empty() && listed.is_empty();
        let own = status.upstreams.iter().filter(|list| is_whole && list.resource == resource.name);
        own.take(MAX_NAMED).for_each(|list| of_list(&mut explanation, list));
        let last = status.changes.iter().find(|change| change.resources.contains(&resource.name));
        last.iter().for_each(|change| of_change(&mut explanation, change));
    }
    if let Some(reason) = &facts.skipped {
        explanation.steps.push(step("backend", Some(false), format!("{of} is no backend and is left out: {reason}")));
    } else if !facts.readers.is_empty() && listed.is_empty() {
        let why = match facts.is_rendering {
            true => "a resource that reads it is being rendered",
            false => "a template reads it in a different way, or leaves it out",
        };
        let text = format!("no live list has {of} as a backend: {why}");
        explanation.steps.push(step("backend", None, text));
    }
    let is_one = !facts.readers.is_empty() || !listed.is_empty();
    let (groups, names): (Vec<&GroupStatus>, Vec<&ResourceStatus>) = meant.iter().copied().copied().unzip();
    nginx(&mut explanation, status, &groups);
    explanation.conditions = in_the_way(status, of, is_one.then_some(facts), &names);
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

/// Returns the conditions that concern what was asked for. `one`: what is known of it, if it is one key or backend; others that its
/// resource skips are not in its way.
fn in_the_way(status: &Status, of: &str, one: Option<&KeyFacts>, meant: &[&ResourceStatus]) -> Vec<Condition> {
    let place =
        |cause: &Cause| cause.name().strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
    let drives_nginx = status.groups.iter().any(|group| {
        group.nginx.is_some() && group.resources.iter().any(|member| meant.iter().any(|one| one.name == member.name))
    });
    let concern = |condition: &Condition| {
        let of_resource = meant.iter().any(|resource| condition.resources.contains(&resource.name));
        let of_nginx = drives_nginx && condition.subject == "nginx" && condition.resources.is_empty();
        let is_named = condition.subject == of || condition.causes.iter().any(place);
        match (one, condition.kind) {
            (Some(KeyFacts { skipped: Some(reason), .. }), ConditionKind::KeySkipped) if of_resource => {
                // It may be one of many, and not among those that are named.
                let causes = vec![Cause::Key(of.to_owned())];
                Some(Condition { causes, reason: reason.clone(), ..condition.clone() })
            }
            (Some(_), ConditionKind::KeySkipped) if !is_named => None,
            _ => (is_named || of_resource || of_nginx).then(|| condition.clone()),
        }
    };
    status.conditions.iter().filter_map(concern).collect()
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

fn of_resource(explanation: &mut Explanation, group: &GroupStatus, resource: &ResourceStatus) {
    let ResourceStatus { name, src, dest, keys, state, .. } = resource;
    let text = format!("{name} renders {src} to {dest} from {}", keys.join(", "));
    explanation.steps.push(step("resource", None, text));
    // What is said of the store, of single keys or of the time is no matter of the file.
    let is_elsewhere = |kind: &ConditionKind| {
        matches!(kind, ConditionKind::StoreAway | ConditionKind::KeySkipped | ConditionKind::Slow)
    };
    let against =
        resource.conditions.iter().filter(|kind| kind.question() == StatusQuestion::Sync && !is_elsewhere(kind));
    let against: Vec<&str> = against.map(|kind| kind.label()).collect();
    let is_in_sync = against.is_empty() && state == "in_sync";
    let revision =
        resource.progress.applied_revision.map_or(String::new(), |revision| format!(", applied revision {revision}"));
    let said = match (against.is_empty(), group.applied_at) {
        (true, Some(at)) if is_in_sync && group.resources.len() == 1 => format!("in sync, last confirmed at {at}"),
        (true, _) => state.replace('_', " "),
        (false, _) => format!("not in sync ({})", against.join(", ")),
    };
    explanation.steps.push(step("file", Some(is_in_sync), format!("{dest} is {said}{revision}")));
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
    let BackendLine { address, key, state, since, weight, announcer, connections, last_failure, is_gone } = backend;
    let gone = if *is_gone { ", although the store no longer has it" } else { "" };
    let announcer = announcer.as_ref().map_or(String::new(), |announcer| format!(", announced by {announcer}"));
    let connections = connections.map_or(String::new(), |count| format!(", {} now", counted(count, "connection")));
    let text = format!(
        "{key} is the backend {address} in {}, {state} since {since}, weight {weight}{announcer}{connections}{gone}",
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

fn nginx(explanation: &mut Explanation, status: &Status, groups: &[&GroupStatus]) {
    let is_driven = |nginx: &&NginxStatus| groups.iter().any(|group| group.nginx.as_ref() == Some(&nginx.pid_file));
    for nginx in status.nginx.iter().filter(is_driven) {
        let text = match nginx.master {
            Some(master) => format!(
                "nginx runs as process {master} with {}, {} leaving",
                counted(nginx.workers.len(), "worker"),
                nginx.leaving.len()
            ),
            None => format!("nginx does not run (pid file {})", nginx.pid_file),
        };
        explanation.steps.push(step("nginx", Some(nginx.master.is_some()), text));
    }
}
