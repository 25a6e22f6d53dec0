//! What counts as taken: proofs, repeats, several askers of one name.

use super::*;

#[test]
fn what_nginx_has_taken_is_known_although_the_set_has_changed_since() {
    let mut walk = Walk::new();
    let first_untaken = |walk: &Walk| walk.answerer.first_untaken(&walk.name, walk.now);
    walk.publish(&["10.0.0.1:81"]);
    assert_eq!(first_untaken(&walk), Some(0), "nobody asks");
    walk.ask(1, 10);
    assert_eq!(first_untaken(&walk), Some(0), "the answer may be lost");
    walk.pass(1000);
    walk.ask(1, 11);
    assert_eq!(first_untaken(&walk), None);
    assert_eq!(walk.publish(&["10.0.0.2:82"]), [1]);
    for port in 83..86 {
        walk.publish(&[&format!("10.0.0.2:{port}")]);
    }
    assert_eq!((first_untaken(&walk), walk.answerer.serial()), (Some(2), 5));
    walk.pass(1000);
    walk.answerer.take_changed();
    assert_eq!(walk.ask(1, 12), Some(vec![85]));
    assert_eq!((first_untaken(&walk), walk.uptake()), (Some(3), Uptake::Asked));
    assert!(walk.answerer.has_news(), "somebody may wait for the second set");
    for port in 100..200 {
        walk.publish(&[&format!("10.0.0.2:{port}")]);
    }
    walk.pass(1000);
    assert_eq!(walk.ask(1, 13), Some(vec![199]));
    assert_eq!(first_untaken(&walk), Some(6), "of very many sets the next one is what counts");
    walk.pass(1000);
    assert_eq!((walk.ask(1, 14), first_untaken(&walk)), (None, None));
    assert_eq!(walk.answerer.first_untaken(&EndpointName::new("other-1"), walk.now), Some(0));
}

#[test]
fn whoever_stops_repeating_a_held_question_does_not_ask() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    walk.pass(7000);
    assert_eq!(walk.uptake(), Uptake::Taken);
    walk.pass(1);
    assert_eq!(walk.uptake(), Uptake::Unasked);
}

#[test]
fn a_repeat_is_answered_again_and_proves_nothing() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    assert!(walk.ask(1, 10).is_some());
    walk.pass(4000);
    assert_eq!(walk.ask(1, 10), Some(vec![81]), "the answer was lost");
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None);
    walk.pass(100);
    assert_eq!(walk.ask(1, 11), None, "a repeat of a held question stays held");
    assert_eq!(walk.publish(&[]), [1], "and is answered once");
}

#[test]
fn a_question_that_has_waited_is_answered_at_once_and_proves_nothing() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None, "held");
    // We hang. Until its questions are read, nginx gives this one up, and the next.
    walk.pass(40_000);
    walk.waiting = Duration::from_secs(2);
    for id in [11, 12] {
        assert_eq!(walk.ask(1, id), Some(vec![81]), "not held");
    }
    assert!(walk.publish(&["10.0.0.2:82"]).is_empty(), "nobody waits for that");
    assert_eq!(walk.ask(1, 12), Some(vec![82]));
    walk.pass(8000);
    walk.waiting = Duration::ZERO;
    assert_eq!(walk.ask(1, 13), Some(vec![82]), "the answer before has reached nobody");
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 14), None);
    assert_eq!(walk.uptake(), Uptake::Taken);
}

#[test]
fn the_answer_to_a_held_question_that_nobody_repeats_proves_nothing() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None, "held");
    walk.pass(40_000);
    assert_eq!(walk.publish(&["10.0.0.2:82"]), [1]);
    walk.pass(8000);
    assert_eq!(walk.ask(1, 12), Some(vec![82]), "nginx has given up the question before");
    assert_eq!(walk.uptake(), Uptake::Asked);
}

#[test]
fn the_newest_asker_decides_and_a_silent_one_does_not() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    // A reload: a new worker asks from a socket of its own.
    assert_eq!(walk.ask(2, 20), Some(vec![81]));
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(1000);
    walk.ask(2, 21);
    assert_eq!(walk.uptake(), Uptake::Taken);
    let mut both = walk.publish(&["10.0.0.2:82"]);
    both.sort_unstable();
    assert_eq!(both, [1, 2], "an old worker that lingers gets the change too");
    walk.pass(1000);
    walk.ask(1, 12);
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(2500);
    assert_eq!(walk.uptake(), Uptake::Taken, "the newer one has been silent for too long");
    walk.pass(2500);
    assert_eq!(walk.uptake(), Uptake::Taken, "the older one's question is held");
    walk.pass(2100);
    assert_eq!(walk.uptake(), Uptake::Unasked);
}

#[test]
fn each_upstream_that_asks_for_a_name_has_to_take_it() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.answerer.set_upstreams(&walk.name.clone(), 2);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    assert_eq!(walk.uptake(), Uptake::Asked, "where is the other one?");
    for id in 20..22 {
        walk.ask(2, id);
        walk.pass(1000);
    }
    assert_eq!(walk.uptake(), Uptake::Taken);
    walk.publish(&["10.0.0.2:82"]);
    walk.pass(1000);
    walk.ask(2, 22);
    assert_eq!(walk.uptake(), Uptake::Asked, "the first one may still use the former set");
    walk.ask(1, 12);
    assert_eq!(walk.uptake(), Uptake::Taken);
    // A reload: both of the new worker count.
    for id in 30..32 {
        walk.ask(3, id);
        walk.ask(4, id);
        walk.pass(1000);
    }
    walk.publish(&["10.0.0.3:83"]);
    walk.pass(1000);
    for (port, expected) in [(2, Uptake::Asked), (3, Uptake::Asked), (4, Uptake::Taken)] {
        walk.ask(port, 40);
        assert_eq!(walk.uptake(), expected, "{port}");
    }
}

#[test]
fn a_worker_with_several_upstreams_has_one_address_whoever_asks_first() {
    let seen = |ports: [u16; 2]| {
        let mut walk = Walk::new();
        walk.publish(&["10.0.0.1:81"]);
        walk.answerer.set_upstreams(&walk.name.clone(), 2);
        for port in ports {
            assert_eq!(walk.worker(), None);
            walk.ask(port, 10);
            walk.pass(1000);
            walk.ask(port, 11);
        }
        walk.answerer.progress(&walk.name, walk.now).0.map(|worker| (worker.number, worker.address.port()))
    };
    assert_eq!((seen([1, 2]), seen([2, 1])), (Some((2, 1)), Some((2, 1))));
}

#[test]
fn a_worker_that_asks_at_several_addresses_is_one() {
    let mut walk = Walk { answerer: Answerer::new(REFUGE.parse().unwrap(), 2), ..Walk::new() };
    walk.publish(&["10.0.0.1:81"]);
    for round in 0..3 {
        for socket in 0..2 {
            if walk.ask_at(socket, 10 + u16::try_from(socket).unwrap(), 10 * round + 1).is_none() {
                walk.pass(3500);
                walk.tick();
            }
            walk.pass(1000);
        }
    }
    assert_eq!((walk.worker(), walk.uptake()), (Some(1), Uptake::Taken));
    // A reload.
    for id in 1..3 {
        walk.ask_at(0, 20, id);
        walk.pass(1000);
    }
    assert_eq!(walk.worker(), Some(2));
}

#[test]
fn two_upstreams_that_ask_at_two_addresses_are_two_workers() {
    let mut walk = Walk { answerer: Answerer::new(REFUGE.parse().unwrap(), 2), ..Walk::new() };
    walk.publish(&["10.0.0.1:81"]);
    walk.answerer.set_upstreams(&walk.name, 2);
    let ports = [[1, 2], [3, 4]];
    for round in 0..4_u16 {
        for (socket, ports) in ports.iter().enumerate() {
            let are_held = ports.map(|port| walk.ask_at(socket, port, 10 * round + port).is_none());
            if are_held.contains(&true) {
                walk.pass(3500);
                walk.tick();
            }
            walk.pass(1001);
        }
    }
    assert_eq!(walk.worker(), Some(2));
}

#[test]
fn nginx_that_asks_three_addresses_in_turn_is_not_silent() {
    let mut walk = Walk { answerer: Answerer::new(REFUGE.parse().unwrap(), 3), ..Walk::new() };
    walk.publish(&["10.0.0.1:81"]);
    for port in 1..=3_u16 {
        assert!(walk.ask_at(usize::from(port) - 1, port, port).is_some());
        walk.pass(1001);
    }
    assert_eq!((walk.ask_at(0, 1, 4), walk.uptake()), (None, Uptake::Taken));
    assert_eq!(walk.publish(&["10.0.0.1:82"]), [1], "pushed");
}
