//! Compares every edge from one action to the next, found by all inputs in all orders, with the picture in `docs/states.md`.

use std::collections::BTreeSet;

use super::*;

const PAGE: &str = include_str!("../../../../docs/states.md");

/// Number of inputs that are tried in a row. Longer rows yield no new edge.
const DEPTH: usize = 7;

fn name(action: SessionAction) -> &'static str {
    match action {
        SessionAction::Discover => "Discover",
        SessionAction::Connect(_) => "Connect",
        SessionAction::List => "List",
        SessionAction::CheckHistory => "CheckHistory",
        SessionAction::Watch(_) => "Watch",
        SessionAction::Follow => "Follow",
        SessionAction::Probe => "Probe",
        SessionAction::Wait(_) => "Wait",
        SessionAction::Rest => "Rest",
    }
}

/// Returns the possible outcomes of an action. Without `follow`, nobody probes.
fn inputs(action: SessionAction, follow: bool) -> Vec<Input> {
    let behind = Header { raft_term: 1, ..header(1) };
    let failures = |kinds: &[FailureKind]| kinds.iter().map(|kind| failed(*kind)).collect::<Vec<_>>();
    let mut inputs = match action {
        SessionAction::Discover => vec![Input::Discovered(2)],
        SessionAction::Connect(_) => vec![Input::Connected],
        SessionAction::List => vec![listed(10), Input::AllRefused],
        SessionAction::CheckHistory => {
            vec![
                Input::Verified { header: header(20), same: true },
                Input::Verified { header: header(20), same: false },
            ]
        }
        SessionAction::Watch(_) => {
            vec![Input::Watching { header: header(20), watchers: 1 }, Input::Watching { header: behind, watchers: 1 }]
        }
        SessionAction::Follow => {
            let advanced = Input::Advanced { revision: Revision(20), mark: mark(20) };
            vec![advanced, Input::Progress(behind), Input::TooLoud, Input::ProbeDue]
        }
        SessionAction::Probe => vec![Input::Probed { granted: true }, Input::Probed { granted: false }],
        SessionAction::Wait(_) => return vec![Input::Waited],
        SessionAction::Rest if follow => return vec![Input::ProbeDue],
        SessionAction::Rest => return Vec::new(),
    };
    inputs.extend(failures(match action {
        SessionAction::Watch(_) | SessionAction::Follow => {
            &[FailureKind::Unreachable, FailureKind::Compacted, FailureKind::Unauthenticated, FailureKind::Denied]
        }
        SessionAction::List => &[FailureKind::Unreachable, FailureKind::Compacted, FailureKind::Unauthenticated],
        SessionAction::CheckHistory => &[FailureKind::Unreachable, FailureKind::Unauthenticated, FailureKind::Denied],
        _ => &[FailureKind::Unreachable, FailureKind::Unauthenticated],
    }));
    inputs
}

fn replay(follow: bool, endpoints: usize, inputs: &[Input]) -> Session {
    let mut session = Session::new(follow, true, endpoints);
    for input in inputs {
        session.step(input.clone(), 1.0);
    }
    session
}

fn walk(follow: bool, endpoints: usize, past: &mut Vec<Input>, edges: &mut BTreeSet<String>) {
    let before = replay(follow, endpoints, past).doing();
    if past.len() == DEPTH {
        return;
    }
    for input in inputs(before, follow) {
        past.push(input);
        let after = replay(follow, endpoints, past).doing();
        edges.insert(format!("{} --> {}", name(before), name(after)));
        walk(follow, endpoints, past, edges);
        past.pop();
    }
    let mut asked = replay(follow, endpoints, past);
    asked.ask(false);
    if name(asked.doing()) != name(before) {
        edges.insert(format!("{} --> {}", name(before), name(asked.doing())));
    }
}

#[test]
fn the_picture_has_every_edge_and_no_other() {
    let mut edges = BTreeSet::new();
    for (follow, endpoints) in [(true, 0), (true, 2), (false, 1)] {
        edges.insert(format!("[*] --> {}", name(Session::new(follow, true, endpoints).doing())));
        walk(follow, endpoints, &mut Vec::new(), &mut edges);
    }
    let picture = PAGE.split("## The etcd session").nth(1).unwrap().split("```").nth(1).unwrap();
    let drawn: BTreeSet<String> = picture
        .lines()
        .filter(|line| line.contains("-->"))
        .map(|line| line.split(" : ").next().unwrap().trim().to_owned())
        .collect();
    assert_eq!(drawn, edges, "docs/states.md draws {drawn:#?}, the session takes {edges:#?}");
}
