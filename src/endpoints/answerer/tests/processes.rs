//! Who asks: processes that start and end, other users, strangers.

use super::*;

#[test]
fn a_new_process_at_the_socket_of_one_that_has_ended_gets_its_answer() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    let answer = || Some(vec![81]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!((walk.ask(1, 11), walk.worker()), (None, Some(1)));
    // nginx repeats its question until that has an answer.
    walk.pass(3000);
    assert_eq!((walk.ask(1, 12), walk.worker()), (answer(), None), "while a question is held");
    assert_eq!((walk.answerer.wake_at(), walk.answerer.by_asker.len()), (None, 1));
    walk.pass(500);
    walk.ask(2, 20);
    walk.pass(500);
    assert_eq!(walk.ask(1, 13), answer(), "a process has started meanwhile");
    let elsewhere = Asker { socket: 0, address: SocketAddr::from(([10, 0, 0, 7], 30)) };
    let question = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 30);
    walk.pass(500);
    assert!(walk.take(elsewhere, &question, None).is_some());
    walk.pass(500);
    assert_eq!(walk.ask(1, 14), None, "one on a different machine is no reason");
    assert_eq!(walk.worker(), Some(2));
    walk.pass(3000);
    walk.users_are_known = false;
    let question = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 17);
    assert!(walk.take(asker(1), &question, Some(false)).is_some());
    assert_eq!((walk.uptake(), walk.worker()), (Uptake::Unasked, None), "somebody else who is at that socket now");
}

#[test]
fn the_sockets_of_one_start_are_one_process() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    assert_eq!(walk.ask(1, 10), Some(vec![81]));
    walk.pass(200);
    assert_eq!(walk.ask(2, 20), Some(vec![81]), "the next upstream of the same start");
    walk.pass(800);
    assert_eq!(walk.ask(1, 11), None, "held for a change");
    assert_eq!(walk.publish(&["10.0.0.1:82"]), [1], "which it gets at once");
    walk.pass(300);
    walk.ask(3, 30);
    walk.pass(700);
    assert_eq!(walk.ask(1, 12), Some(vec![82]), "a process has started meanwhile");
}

#[test]
fn a_question_after_a_silence_gets_its_answer_and_proves_nothing() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!((walk.ask(1, 11), walk.uptake()), (None, Uptake::Taken));
    assert_eq!(walk.publish(&["10.0.0.1:82"]), [1]);
    // Either the first datagram of a question was lost, or nginx has given up a question whose answer was lost.
    walk.pass(6000);
    assert_eq!((walk.ask(1, 12), walk.uptake()), (Some(vec![82]), Uptake::Asked));
    walk.pass(1000);
    assert_eq!((walk.ask(1, 13), walk.uptake(), walk.worker()), (None, Uptake::Taken, Some(1)));
    walk.publish(&["10.0.0.1:83"]);
    walk.pass(31_000);
    assert_eq!((walk.ask(1, 14), walk.worker()), (Some(vec![83]), None), "nginx is never silent for so long");
    walk.pass(1000);
    assert_eq!((walk.ask(1, 15), walk.worker()), (None, Some(2)));
}

#[test]
fn somebody_who_looks_a_name_up_is_no_worker() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    let began = walk.now;
    walk.ask(1, 10);
    assert_eq!(walk.worker(), None, "it may be anybody");
    walk.pass(1000);
    walk.ask(1, 11);
    assert_eq!(walk.answerer.progress(&walk.name, walk.now).0.map(|worker| worker.since), Some(began));
    assert_eq!(walk.ask(2, 20), Some(vec![81]));
    walk.pass(1000);
    assert_eq!(walk.ask(2, 20), Some(vec![81]), "a repeat");
    assert_eq!(walk.worker(), Some(1));
    walk.pass(3001);
    assert_eq!(walk.uptake(), Uptake::Taken);
}

#[test]
fn another_users_questions_are_answered_and_change_nothing() {
    let mut walk = Walk::new();
    assert_eq!(walk.ask(STRANGER, 1), None, "a name that is not published yet");
    assert!(walk.publish(&["10.0.0.1:81"]).is_empty());
    for id in 2..5 {
        assert_eq!(walk.ask(STRANGER, id), Some(vec![81]), "nothing is held");
        assert_eq!((walk.uptake(), walk.worker()), (Uptake::Unasked, None));
        walk.pass(1000);
    }
    walk.ask(1, 10);
    walk.publish(&["10.0.0.2:82"]);
    walk.ask(STRANGER, 5);
    walk.ask(STRANGER, 6);
    assert_eq!(walk.uptake(), Uptake::Asked, "nginx has not taken it yet");
}

#[test]
fn who_counted_before_nginx_was_known_is_judged_again() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.users_are_known = false;
    for port in [1, STRANGER] {
        walk.ask(port, 1);
    }
    walk.pass(1000);
    for port in [1, STRANGER] {
        assert_eq!(walk.ask(port, 2), None, "held");
    }
    assert_eq!(walk.worker(), Some(2));
    walk.users_are_known = true;
    assert_eq!(walk.ask(STRANGER, 2), Some(vec![81]));
    assert_eq!((walk.ask(1, 2), walk.worker()), (None, Some(1)));
    assert_eq!(walk.publish(&["10.0.0.2:82"]), [1], "only nginx has a question that is held");
}

#[test]
fn a_socket_that_was_silent_may_be_somebody_elses() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 1);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 2), None, "held");
    let question = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 2);
    let must_identify = |walk: &Walk| {
        let DnsMessage::Question(question) = message::read(&question) else { panic!("no question") };
        let asked = Asked::of(&question);
        walk.answerer.must_identify(asker(1), &(question, asked), walk.now)
    };
    assert!(!must_identify(&walk));
    walk.pass(8000);
    assert!(must_identify(&walk));
    assert!(walk.take(asker(1), &question, Some(false)).is_some(), "it is answered");
    assert_eq!((walk.uptake(), walk.worker()), (Uptake::Unasked, None), "and changes nothing");
    assert_eq!((walk.answerer.wake_at(), walk.answerer.by_asker.len()), (None, 0));
}

#[test]
fn strangers_cannot_fill_the_memory() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    for port in 1..=2000 {
        walk.ask(port, 1);
        walk.pass(1);
    }
    let name = walk.name.clone();
    assert_eq!(walk.answerer.names[&name].pollers.len(), named::MAX_POLLERS);
    walk.name = EndpointName::new("unknown");
    for port in 1..=5000 {
        walk.ask(port, 1);
    }
    assert_eq!(walk.answerer.early.len(), MAX_EARLY);
    walk.pass(7001);
    walk.ask(5001, 1);
    assert_eq!(walk.answerer.early.len(), 1, "the others do not ask any more");
    walk.pass(7001);
    assert!(walk.publish(&["10.0.0.1:81"]).is_empty());
}

#[test]
fn workers_that_are_gone_are_forgotten_but_for_the_newest() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    for (port, id) in [(1, 10), (1, 11), (2, 20), (2, 21)] {
        walk.ask(port, id);
        walk.pass(1000);
    }
    let askers = |walk: &mut Walk| {
        walk.tick();
        walk.answerer.forget_gone(walk.now);
        assert_eq!(walk.answerer.by_asker.len(), walk.answerer.names[&walk.name].pollers.len());
        walk.answerer.by_asker.iter().map(|(asker, _)| asker.address.port()).collect::<Vec<_>>()
    };
    assert_eq!(askers(&mut walk), [1, 2]);
    walk.pass(9000);
    assert_eq!(askers(&mut walk), [1, 2], "both were answered just now");
    walk.pass(31_000);
    assert_eq!(askers(&mut walk), [2]);
    assert_eq!(walk.worker(), Some(2), "whoever asks next is compared with it");
}

#[test]
fn the_next_owner_of_a_port_gets_no_answer_to_older_questions() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None, "held");
    walk.name = EndpointName::new("other-1");
    walk.publish(&["10.0.0.2:82"]);
    walk.pass(8000);
    assert_eq!(walk.ask(1, 20), Some(vec![82]));
    walk.pass(2000);
    assert_eq!(walk.tick(), [] as [u16; 0]);
    assert!(walk.answerer.by_asker.len() == 1);
}
