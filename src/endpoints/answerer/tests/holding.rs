//! What is answered at once, what is held, and when held questions are answered.

use super::*;

#[test]
fn an_answer_is_held_until_something_changes() {
    let mut walk = Walk::new();
    assert!(walk.publish(&["10.0.0.1:81"]).is_empty());
    assert_eq!(walk.uptake(), Uptake::Unasked);
    assert_eq!(walk.ask(1, 10), Some(vec![81]), "the first question of an asker is answered at once");
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None);
    assert_eq!(walk.uptake(), Uptake::Taken, "a new question proves that the answer was taken");
    walk.pass(500);
    assert_eq!(walk.publish(&["10.0.0.1:81", "10.0.0.2:82"]), [1], "a change answers at once");
    assert_eq!(walk.uptake(), Uptake::Asked);
    assert!(walk.publish(&["10.0.0.1:81", "10.0.0.2:82"]).is_empty(), "nothing new");
    assert!(walk.publish(&["10.0.0.3:83"]).is_empty(), "nobody asks right now");
    walk.pass(1000);
    assert_eq!(walk.ask(1, 12), Some(vec![83]));
    assert_eq!(walk.uptake(), Uptake::Asked, "the set has changed again since that answer");
    walk.pass(1000);
    assert_eq!(walk.ask(1, 13), None);
    assert_eq!(walk.uptake(), Uptake::Taken);
}

#[test]
fn a_held_question_is_answered_before_nginx_gives_it_up() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    let due = walk.now + HOLD;
    assert_eq!(walk.answerer.wake_at(), Some(due));
    walk.pass(5000);
    assert_eq!(walk.ask(1, 11), None, "a repeat changes nothing");
    assert_eq!(walk.answerer.wake_at(), Some(due));
    walk.pass(3999);
    assert!(walk.tick().is_empty());
    walk.pass(1);
    assert_eq!(walk.tick(), [1]);
    assert_eq!(walk.answerer.wake_at(), None);
    assert_eq!(walk.uptake(), Uptake::Taken, "the set is still the one that it had");
}

#[test]
fn answers_that_are_due_within_a_moment_of_each_other_are_sent_together() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    for port in 1..=5 {
        walk.ask(port, 1);
    }
    walk.pass(1000);
    let mut hold = |port, id| {
        assert_eq!(walk.ask(port, id), None);
        let due = walk.answerer.due.last().map(|(at, ..)| *at);
        let held_for = due.map(|at| at - walk.now);
        walk.pass(100);
        held_for
    };
    let millis = |millis| Some(HOLD - Duration::from_millis(millis));
    assert_eq!([hold(1, 10), hold(2, 20), hold(3, 30)], [millis(0), millis(100), millis(200)]);
    assert_eq!([hold(4, 40), hold(5, 50)], [millis(0), millis(100)], "each within a quarter of a second of the first");
    walk.pass(8500);
    assert_eq!(walk.tick(), [1, 2, 3]);
    walk.pass(299);
    assert!(walk.tick().is_empty());
    walk.pass(1);
    assert_eq!(walk.tick(), [4, 5]);
}

#[test]
fn answers_of_one_moment_are_made_a_few_at_a_time() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    let ports = || 1..=MAX_POLLERS as u16;
    ports().for_each(|port| assert!(walk.ask(port, 10).is_some()));
    walk.pass(1000);
    ports().for_each(|port| assert!(walk.ask(port, 11).is_none()));
    let other = EndpointName::new("other-1");
    walk.answerer.publish(vec![EndpointSet { name: other.clone(), endpoints: endpoints(&["10.0.0.2:82"]) }], walk.now);
    walk.name = other;
    assert!(walk.ask(7, 20).is_some());
    walk.pass(1000);
    assert!(walk.ask(7, 21).is_none());
    walk.pass(9000);
    assert_eq!(walk.tick().len(), MAX_AT_ONCE);
    assert_eq!(walk.answerer.wake_at(), Some(walk.now), "there are more");
    assert_eq!((walk.tick().len(), walk.tick().len()), (MAX_POLLERS + 1 - MAX_AT_ONCE, 0));
}

#[test]
fn of_several_addresses_none_is_asked_twice_for_one_answer() {
    let mut walk = Walk { answerer: Answerer::new(REFUGE.parse().unwrap(), 2), ..Walk::new() };
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    walk.pass(3500);
    assert_eq!(walk.tick(), [1], "before nginx repeats the question at the other address");
}

#[test]
fn a_question_before_the_set_is_known_waits_for_it() {
    let mut walk = Walk::new();
    assert_eq!(walk.ask(1, 10), None, "an error would be taken for an answer");
    assert_eq!(walk.publish(&["10.0.0.1:81"]), [1]);
    walk.answerer.withdraw(&walk.name.clone());
    walk.pass(1000);
    assert_eq!((walk.ask(1, 11), walk.uptake()), (None, Uptake::Unasked));
}

#[test]
fn an_empty_set_has_the_refuge() {
    let mut walk = Walk::new();
    walk.publish(&[]);
    assert_eq!(walk.ask(1, 10), Some(vec![503]));
}

#[test]
fn what_is_too_long_for_udp_is_fetched_by_tcp_and_counts() {
    let mut walk = Walk::new();
    let many: Vec<String> = (0..780).map(|n| format!("[2001:db8::{n:x}]:{}", 1000 + n)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    walk.publish(&many);
    assert_eq!(walk.ask(1, 10), Some(vec![]), "only the request to come by TCP");
    let bytes = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 10);
    let answer = walk.answerer.take_message(&bytes, walk.now, Some(false)).unwrap();
    assert_eq!(ports(&answer).len(), 780, "as many as a name may have");
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), Some(vec![]), "somebody else has fetched the answer");
    assert_eq!(walk.uptake(), Uptake::Asked);
    let bytes = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 11);
    assert!(walk.answerer.take_message(&bytes, walk.now, Some(true)).is_some());
    walk.pass(1000);
    assert_eq!(walk.ask(1, 12), None, "it has the set, so the question is held");
    assert_eq!(walk.uptake(), Uptake::Taken);
}

#[test]
fn targets_are_answered_and_other_names_are_refused() {
    let mut walk = Walk::new();
    let mut ask = |name: &str, kind| {
        let packet = walk.take(asker(1), &query(name, kind, 5), Some(true))?;
        let message = Message::from_vec(&packet.bytes).unwrap();
        let ttl = message.answers.first().map(|record| record.ttl);
        Some((message.metadata.response_code, message.answers.len(), ttl))
    };
    let found = Some((ResponseCode::NoError, 1, Some(TARGET_TTL_SECONDS)));
    assert_eq!(ask("v4-0a000001.upstreamd.internal", RecordType::A), found);
    assert_eq!(ask("v4-0a000001.upstreamd.internal", RecordType::AAAA), Some((ResponseCode::NoError, 0, None)));
    assert_eq!(ask("set-1.upstreamd.internal", RecordType::A), None);
    for (name, kind) in [
        ("example.com", RecordType::A),
        ("xupstreamd.internal", RecordType::A),
        ("upstreamd.internal", RecordType::A),
        ("a.b.upstreamd.internal", RecordType::A),
        ("_peers._udp.a.upstreamd.internal", RecordType::SRV),
        ("v4-0a000001.upstreamd.internal", RecordType::ANY),
    ] {
        assert_eq!(ask(name, kind), Some((ResponseCode::Refused, 0, None)), "{name}");
    }
}

#[test]
fn targets_in_an_answer_of_an_earlier_run_are_known() {
    let addresses: Vec<String> = (1..100).map(|n| format!("10.0.0.{n}:80")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let [mut earlier, mut walk] = [Walk::new(), Walk::new()];
    for walk in [&mut earlier, &mut walk] {
        walk.publish(&addresses);
    }
    let question = query(&format!("_peers._tcp.{}", earlier.name), RecordType::SRV, 1);
    let answer = Message::from_vec(&earlier.take(asker(1), &question, Some(true)).unwrap().bytes).unwrap();
    assert!(!answer.answers.is_empty());
    for record in answer.answers {
        let RData::SRV(service) = record.data else { panic!("{record:?}") };
        let question = query(&service.target.to_ascii(), RecordType::A, 2);
        assert!(walk.take(asker(1), &question, Some(true)).is_some(), "{}", service.target);
    }
}

#[test]
fn a_question_is_held_while_its_asker_begins_to_ask_for_another_name() {
    let mut walk = Walk::new();
    let [first, early, late] = ["web-1", "web-2", "web-3"].map(EndpointName::new);
    walk.publish(&["10.0.0.1:81"]);
    let ask = |walk: &mut Walk, name: &EndpointName, id: u16| {
        walk.name = name.clone();
        walk.ask(1, id)
    };
    assert_eq!(ask(&mut walk, &early, 20), None, "not published");
    assert!(ask(&mut walk, &first, 10).is_some());
    walk.pass(1000);
    assert_eq!(ask(&mut walk, &first, 11), None, "held");
    // After a restart of ours, nginx repeats its questions one after the other.
    for (name, id) in [(&early, 20), (&late, 30)] {
        walk.name = name.clone();
        walk.publish(&["10.0.0.2:82"]);
        assert!(walk.ask(1, id).is_some());
    }
    walk.name = first;
    assert_eq!(walk.uptake(), Uptake::Taken);
    assert_eq!(walk.publish(&["10.0.0.3:83"]), [1]);
}
