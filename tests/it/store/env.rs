//! The environment as a store.

use upstreamd::model::store::StoreSettings;

use super::follower::Follower;

#[test]
fn variables_are_keys_and_come_once_per_wish() {
    let path = std::env::var("PATH").unwrap();
    let follower = Follower::start(StoreSettings::Env, &["/path"]);
    follower.wait_value("/path", Some(&path));
    assert_eq!(follower.seen().tree.len(), 1);
    follower.resync();
    follower.wait("a second snapshot", |seen| seen.snapshots == 2);
    follower.set_directories(&["/no/such/variable"]);
    follower.wait("an empty tree", |seen| seen.tree.is_empty());
    assert_eq!(follower.seen().lost, 0);
}
