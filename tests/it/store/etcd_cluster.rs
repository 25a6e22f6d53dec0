//! A cluster of three: members that freeze, die or lose their leader are left for others.

use super::etcd_outage::impatient;
use super::follower::{DEADLINE, Follower};
use crate::support::etcd::{Etcd, cluster};
use crate::support::wait_for;

fn endpoints(members: &[Etcd]) -> Vec<String> {
    members.iter().map(Etcd::url).collect()
}

#[test]
fn a_frozen_member_is_left_for_a_different_one() {
    let mut members = cluster(3);
    members[1].put("/a/x", "0");
    let follower = Follower::start(impatient(&endpoints(&members)), &["/a"]);
    follower.wait_value("/a/x", Some("0"));
    let at = wait_for("the watch", DEADLINE, || members.iter().position(|member| member.watchers() == 1));
    // The first one now is the one that the follower is with.
    members.rotate_left(at);
    members[0].freeze();
    follower.wait("the silence to be noticed", |seen| seen.lost > 0);
    members[1].put("/a/x", "1");
    follower.wait_value("/a/x", Some("1"));
    members[0].thaw();
    members[0].wait_healthy();
    // Whether the follower is with this one or has gone on to the last already, it must end up with what that says.
    members[1].freeze();
    // The frozen one may have led: the others first have to agree on a new leader.
    crate::support::wait_until("a write without the frozen member", std::time::Duration::from_secs(20), || {
        let mut put = std::process::Command::new("etcdctl");
        put.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", members[2].url())).args(["put", "/a/x", "2"]);
        put.output().unwrap().status.success()
    });
    follower.wait_value("/a/x", Some("2"));
    assert_eq!(follower.seen().snapshots, 1, "each member has the same history");
}

#[test]
fn a_member_that_lost_its_leader_is_left_although_it_answers() {
    let mut members = cluster(3);
    members[0].put("/a/x", "0");
    let only_first = Follower::start(impatient(&[members[0].url()]), &["/a"]);
    let all = Follower::start(impatient(&endpoints(&members)), &["/a"]);
    only_first.wait_value("/a/x", Some("0"));
    all.wait_value("/a/x", Some("0"));
    members[1].kill();
    members[2].kill();
    // The first member runs and keeps its connections; only that it must have a leader gives it away.
    only_first
        .wait("a word about the leader", |seen| seen.problems.iter().any(|problem| problem.contains("no leader")));
    all.wait("the loss", |seen| seen.lost > 0);
    members[0].freeze();
    members[1].start_again();
    members[2].start_again();
    members[1].wait_healthy();
    members[1].put("/a/x", "1");
    all.wait_value("/a/x", Some("1"));
    members[0].thaw();
    only_first.wait_value("/a/x", Some("1"));
}

#[test]
fn members_that_are_not_there_are_passed_over() {
    let mut members = cluster(3);
    members[0].put("/a/x", "0");
    members[0].kill();
    // Each begins with a member of its own choice: of so many, some begin with the one that is away.
    let start = || Follower::start(impatient(&endpoints(&members)), &["/a"]);
    let followers: Vec<Follower> = (0..40).map(|_| start()).collect();
    followers.iter().for_each(|follower| follower.wait_value("/a/x", Some("0")));
    assert!(followers.iter().any(|follower| follower.seen().lost >= 1));
    members[2].put("/a/x", "1");
    followers.iter().for_each(|follower| follower.wait_value("/a/x", Some("1")));
}
