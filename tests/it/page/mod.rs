//! The page at `/`: its text in case files, values that try to be more than text, and the page in a real browser.

mod browser;
mod hostile;
mod samples;
mod site;

use upstreamd::status::page;

use crate::support::cases;

/// The part of the page that depends on the state.
fn body(page: &str) -> String {
    let (_, head) = page.split_once("<title>").unwrap();
    let (head, _) = head.split_once("<style>").unwrap();
    let (_, body) = page.split_once("<body>\n").unwrap();
    let (body, _) = body.rsplit_once("<script>").unwrap();
    format!("<title>{head}{body}")
}

#[test]
fn the_page_of_each_state_is_as_it_was_looked_at() {
    cases::run("page", |case| body(&page::html(&samples::named(case.text("state").trim()))));
}

#[test]
fn every_state_has_a_case() {
    let mut found = Vec::new();
    cases::each("page", |case| found.push(case.text("state").trim().to_owned()));
    found.sort();
    let mut names = samples::NAMES;
    names.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn what_every_page_has_is_under_60_kb_and_a_full_page_is_bounded() {
    let page = page::html(&samples::empty());
    assert!(page.len() < 60_000, "{} bytes", page.len());
    let worst = page::html(&samples::worst());
    assert!(worst.len() < 400_000, "{} bytes", worst.len());
}
