//! What journals say of resources whose commands are edited, and with them their group.

use std::fs;
use std::slice;

use upstreamd::apply::machine::{Next, Step};
use upstreamd::apply::transaction::{self, Begun, Request};
use upstreamd::apply::{Context, Settings, preview, recovery};
use upstreamd::model::report::{Outcome, Report};
use upstreamd::model::resource::{OnReloadFailure, Resource};

use crate::apply::{Place, block_on, names_request_with, request};

/// Runs a transaction of the only group of conf.d.
fn run(context: &Context, request: &Request) -> Report {
    context.set_groups(slice::from_ref(&request.group));
    block_on(transaction::run(context, request.clone()))
}

/// A request for these names with an edition of the commands.
fn edition(place: &Place, edition: &str, names: &[&str]) -> Request {
    names_request_with(place, names, "x", &format!("true {edition} {{{{.src}}}}"))
}

/// A context of a process without a state folder.
fn without_folder() -> Context {
    Context::new(Settings::default())
}

#[test]
fn an_earlier_group_takes_no_file_of_the_administrator() {
    for hands_over in [true, false] {
        let place = Place::new();
        let context = place.context();
        let run = |request: &Request| match hands_over {
            true => run(&context, request),
            false => block_on(transaction::run(&context, request.clone())),
        };
        let [first, edited] = ["first", "edited"].map(|words| edition(&place, words, &["shop"]));
        for request in [&first, &edited, &edition(&place, "edited", &[])] {
            assert_eq!(run(request).outcome, Outcome::Applied);
        }
        let left = fs::read_dir(place.path("state/groups")).unwrap().count();
        assert_eq!((place.read("shop.conf"), left), (None, if hands_over { 1 } else { 2 }));
        fs::write(place.path("out/shop.conf"), "mine").unwrap();
        let report = run(&edited);
        assert!(report.dropped[0].1.message.contains("upstreamd has not written it"), "{report:?}");
        assert_eq!(place.read("shop.conf").as_deref(), Some("mine"));
    }
}

#[test]
fn commands_that_come_back_find_the_files_of_those_in_between() {
    for context in [true, false] {
        let place = Place::new();
        let context = if context { place.context() } else { without_folder() };
        assert_eq!(run(&context, &edition(&place, "first", &["shop"])).outcome, Outcome::Applied);
        assert_eq!(run(&context, &edition(&place, "edited", &["shop", "blog"])).outcome, Outcome::Applied);
        // A guard holds `blog`: it is not rendered.
        let mut held = edition(&place, "first", &["shop", "blog"]);
        held.rendered.truncate(1);
        run(&context, &held);
        let report = run(&context, &edition(&place, "first", &["shop"]));
        assert_eq!((report.removed, place.read("blog.conf")), (vec![place.path("out/blog.conf")], None));
    }
}

#[test]
fn an_owed_reload_goes_over_to_the_corrected_command() {
    for has_folder in [true, false] {
        let place = Place::new();
        let context = if has_folder { place.context() } else { without_folder() };
        let resource = |reload: &str| {
            let resource = place.resource("a", Some("true {{.src}}"), Some(reload));
            Resource { on_reload_failure: OnReloadFailure::Keep, ..resource }
        };
        let wrong = run(&context, &request(&[resource("flase")], &["x"]));
        assert!(matches!(wrong.outcome, Outcome::ReloadOwed { .. }), "{wrong:?}");
        let mut right = request(&[resource(&place.note("reload"))], &["x"]);
        if has_folder {
            // Its guard holds the file.
            right.rendered.clear();
        }
        for _ in 0..2 {
            assert!(run(&context, &right).outcome.is_final());
        }
        assert_eq!(place.log(), ["reload"]);
    }
}

#[test]
fn a_drifted_file_is_ours_for_a_preview_and_after_an_edit() {
    let place = Place::new();
    let context = place.context();
    assert_eq!(run(&context, &edition(&place, "first", &["shop"])).outcome, Outcome::Applied);
    fs::write(place.path("out/shop.conf"), "by hand").unwrap();
    let edited = edition(&place, "edited", &["shop"]);
    assert!(preview::preview(&context, &edited.rendered[0]).unwrap().differs);
    assert_eq!(run(&context, &edited).outcome, Outcome::Applied);
    assert_eq!(place.read("shop.conf").as_deref(), Some("x"));
}

#[test]
fn a_journal_that_its_group_has_written_since_is_taken_over_as_it_is() {
    let place = Place::new();
    let context = place.context();
    let [first, edited] = ["first", "edited"].map(|words| edition(&place, words, &["shop"]));
    assert_eq!(run(&context, &first).outcome, Outcome::Applied);
    context.set_groups(slice::from_ref(&edited.group));
    // A different group comes first, and then the end of a transaction that ran while conf.d was read.
    let other = request(&[place.resource("b", None, Some("true"))], &["y"]);
    block_on(transaction::run(&context, other));
    block_on(transaction::run(&context, edition(&place, "first", &["shop", "late"])));
    block_on(transaction::run(&context, edited.clone()));
    assert_eq!((place.read("shop.conf").as_deref(), place.read("late.conf")), (Some("x"), None));
}

/// Begins a transaction and drops it once its files are in place, as a pass that is given up does.
fn cut_off(context: &Context, request: &Request) {
    block_on(async {
        let Begun::Running(mut transaction, mut step) = transaction::begin(context, request.clone()).await else {
            panic!("nothing to do")
        };
        while !matches!(step, Step::Reload(_)) {
            let Next::Do(next) = transaction.perform(context, step).await else { panic!("it ended") };
            step = next;
        }
    });
}

#[test]
fn what_a_group_left_half_done_is_undone_before_the_next_begins() {
    for has_folder in [true, false] {
        let place = Place::new();
        let context = if has_folder { place.context() } else { without_folder() };
        let [first, edited] = ["first", "edited"].map(|words| edition(&place, words, &["shop"]));
        context.set_groups(slice::from_ref(&first.group));
        cut_off(&context, &first);
        assert_eq!(run(&context, &edited).outcome, Outcome::Applied);
        let next = if has_folder { place.context() } else { context };
        let healed = block_on(recovery::recover_all(&next, [], []));
        assert_eq!((healed.groups.len(), place.read("shop.conf").as_deref()), (0, Some("x")), "{healed:?}");
        // A reload that nobody had asked for would have been owed.
        assert_eq!((run(&next, &edited).outcome, place.log().len()), (Outcome::Unchanged, 1));
        assert_eq!(place.litter(), [""; 0]);
    }
}

#[test]
fn a_group_that_still_runs_is_asked_when_it_has_ended() {
    let place = Place::new();
    let context = place.context();
    let [first, edited] = ["first", "edited"].map(|words| edition(&place, words, &["shop"]));
    context.set_groups(slice::from_ref(&first.group));
    block_on(async {
        let Begun::Running(mut transaction, mut step) = transaction::begin(&context, first).await else {
            panic!("nothing to do")
        };
        context.set_groups(slice::from_ref(&edited.group));
        let more = [Request { rendered: Vec::new(), instance_files: Vec::new(), ..edited.clone() }];
        let outcome = loop {
            if matches!(step, Step::Reload(_)) {
                assert_eq!(transaction::run(&context, more[0].clone()).await.outcome, Outcome::Unchanged);
                assert_eq!(place.read("shop.conf").as_deref(), Some("x"), "nobody undoes what still runs");
            }
            match transaction.perform(&context, step).await {
                Next::Do(next) => step = next,
                Next::End(outcome) => break outcome,
            }
        };
        transaction.end(&context, outcome);
    });
    // Now its file is known: without its name it goes.
    let report = block_on(transaction::run(&context, edition(&place, "edited", &[])));
    assert_eq!((report.removed, place.read("shop.conf")), (vec![place.path("out/shop.conf")], None));
}

#[test]
fn a_pass_that_began_before_conf_d_was_read_takes_nothing_over() {
    let place = Place::new();
    let context = place.context();
    assert_eq!(run(&context, &edition(&place, "first", &["shop"])).outcome, Outcome::Applied);
    let edited = edition(&place, "edited", &[]);
    // The group has these commands already, with a different member.
    let before = place.resource("a", Some("true edited {{.src}}"), Some(&place.note("reload")));
    let before = request(&[before], &["x"]);
    assert_eq!(before.group.id, edited.group.id);
    context.set_groups(slice::from_ref(&edited.group));
    assert_eq!(block_on(transaction::run(&context, before)).outcome, Outcome::Applied);
    let report = block_on(transaction::run(&context, edited));
    assert_eq!((report.removed, place.read("shop.conf")), (vec![place.path("out/shop.conf")], None));
}
