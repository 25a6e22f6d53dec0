//! Whose names may be ours, as long as the store shows nothing, or not all folders.

use hickory_proto::rr::RecordType;

use super::*;
use crate::model::range::KeyRanges;

#[test]
fn what_may_be_ours_is_known_without_a_table() {
    let nothing = NamePlaces::default();
    let may_have = |places: &NamePlaces, name, kind| places.may_have_besides(&nothing, &question(name, kind));
    for (name, kind, expected) in [
        ("x.webapp.dev", RecordType::A, true),
        ("x.svc.internal", RecordType::A, true),
        ("example.org", RecordType::A, false),
        ("1.0.0.10.in-addr.arpa", RecordType::PTR, true),
        ("1.0.0.10.in-addr.arpa", RecordType::A, false),
        ("arpa.example.org", RecordType::PTR, false),
    ] {
        assert_eq!(may_have(&places(), name, kind), expected, "{name} {kind}");
    }
    let without = NamePlaces { domain: None, ..places() };
    assert!(!may_have(&without, "1.0.0.10.in-addr.arpa", RecordType::PTR), "pointers stand below /skydns");
}

#[test]
fn folders_that_the_store_hides_make_only_their_own_names_fail() {
    let within = |services: &str| NamePlaces { services: OwnDomain::parse(services), ..places() };
    for (services, shown, hidden, expected) in [
        ("svc.internal", "/skydns/", "/services/", "x.svc.internal"),
        ("svc.webapp.dev", "/skydns/", "/services/", "x.svc.webapp.dev"),
        ("svc.webapp.dev", "/services/", "/skydns/", "x.webapp.dev 1.0.0.10.in-addr.arpa"),
        ("dev", "/skydns/", "/services/", "x.dev"),
        ("dev", "/services/", "/skydns/", "x.webapp.dev x.svc.webapp.dev 1.0.0.10.in-addr.arpa"),
    ] {
        let places = within(services);
        let shown = places.shown_by(&KeyRanges::of_directories([shown]));
        assert_eq!(places.missing_in(&shown), [hidden], "{services}");
        let fails = |name: &&str| {
            let kind = if name.ends_with("arpa") { RecordType::PTR } else { RecordType::A };
            places.may_have_besides(&shown, &question(name, kind))
        };
        let names = ["x.webapp.dev", "x.svc.internal", "x.svc.webapp.dev", "x.dev", "1.0.0.10.in-addr.arpa"];
        assert_eq!(names.into_iter().filter(fails).collect::<Vec<_>>().join(" "), expected, "{services}");
        assert!(shown.is_any() && !places.shown_by(&KeyRanges::default()).is_any());
        let whole = places.shown_by(&places.ranges());
        assert!(whole == places && !places.may_have_besides(&whole, &question("x.webapp.dev", RecordType::A)));
    }
}
