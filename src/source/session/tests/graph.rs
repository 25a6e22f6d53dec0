//! Every edge from one action to the next, by trying all inputs in all orders, against the picture in `docs/states.md`.

use std::collections::BTreeSet;

use super::*;

const PAGE: &str = include_str!("../../../../docs/states.md");

/// Inputs that are tried in a row. Longer rows bring no edge that is not seen by then.
const DEPTH: usize = 7;

fn name(action: Action) -> &'static str {
    match action {
        Action::Discover => "Discover",
        Action::Connect(_) => "Connect",
        Action::List => "List",
        Action::Verify => "Verify",
        Action::Watch(_) => "Watch",
        Action::Follow => "Follow",
        Action::Wait(_) => "Wait",
        Action::Rest => "Rest",
    }
}

/// What may come of an action.
fn inputs(action: Action) -> Vec<Input> {
    let behind = Header { raft_term: 1, ..header(1) };
    let failures = |kinds: &[FailureKind]| kinds.iter().map(|kind| failed(*kind)).collect::<Vec<_>>();
    let mut inputs = match action {
        Action::Discover => vec![Input::Discovered(2)],
        Action::Connect(_) => vec![Input::Connected],
        Action::List => vec![listed(10)],
        Action::Verify => {
            vec![
                Input::Verified { header: header(20), same: true },
                Input::Verified { header: header(20), same: false },
            ]
        }
        Action::Watch(_) => {
            vec![Input::Watching { header: header(20), watchers: 1 }, Input::Watching { header: behind, watchers: 1 }]
        }
        Action::Follow => {
            vec![Input::Advanced { revision: Revision(20), mark: mark(20) }, Input::Progress(behind), Input::TooLoud]
        }
        Action::Wait(_) => return vec![Input::Waited],
        Action::Rest => return Vec::new(),
    };
    inputs.extend(failures(match action {
        Action::Watch(_) | Action::Follow => {
            &[FailureKind::Unreachable, FailureKind::Compacted, FailureKind::Unauthenticated, FailureKind::Denied]
        }
        Action::List => &[FailureKind::Unreachable, FailureKind::Compacted, FailureKind::Unauthenticated],
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
    for input in inputs(before) {
        past.push(input);
        let after = replay(follow, endpoints, past).doing();
        edges.insert(format!("{} --> {}", name(before), name(after)));
        walk(follow, endpoints, past, edges);
        past.pop();
    }
    let mut asked = replay(follow, endpoints, past);
    asked.ask(true);
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
