//! The page in a real browser: in every state, width and scheme, with and without scripts, with changes while somebody looks.

use std::time::Instant;

use upstreamd::model::status::Status;

use super::hostile::{ATTEMPTS, full_of};
use super::samples;
use super::site::Site;
use crate::status::wait_answer;
use crate::support::agent::Sandbox;
use crate::support::chromium::{Chromium, Page, View};
use crate::support::{free_port, package_root};

/// Everything that is wrong with a page as it is shown.
fn faults(page: &Page<'_>, site: &Site) -> Vec<String> {
    let mut faults = page.complaints();
    faults.extend(page.requests().into_iter().filter(|url| !url.starts_with(&site.url) && !url.starts_with("data:")));
    let wide = page.run(
        "[...document.querySelectorAll('body, body *:not(.unseen, .unseen *)')].filter((element) => \
         element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('thead')).map((element) => element.outerHTML)",
    );
    faults.extend(wide.as_array().unwrap().iter().map(|element| format!("beyond the right edge: {element}")));
    faults.extend(
        (page.run("document.documentElement.scrollWidth > innerWidth") == true).then(|| "it scrolls sideways".into()),
    );
    faults
}

/// What a person reads from top to bottom.
fn read(page: &Page<'_>) -> String {
    page.run("document.body.innerText").as_str().unwrap().to_owned()
}

/// What is wrong with this state in every width and scheme.
fn looked_at(name: &str) -> Vec<String> {
    let (chromium, site) = (Chromium::start(), Site::of(samples::named(name)));
    let mut found = Vec::new();
    for view in [View::wide(), View::narrow()] {
        for dark in [false, true] {
            let view = View { dark, ..view };
            let page = chromium.open(&site.url, view);
            page.wait("document.getElementById('live').textContent === 'live'");
            let faults = faults(&page, &site).into_iter().chain(page.barriers());
            found.extend(faults.map(|fault| format!("{name} {view:?}: {fault}")));
        }
    }
    found
}

#[test]
fn a_good_page_has_no_barrier_in_any_width_and_scheme() {
    assert_eq!(looked_at("good"), Vec::<String>::new());
}

#[test]
fn a_bad_page_has_no_barrier_in_any_width_and_scheme() {
    assert_eq!(looked_at("bad"), Vec::<String>::new());
}

#[test]
fn the_worst_page_has_no_barrier_in_any_width_and_scheme() {
    assert_eq!(looked_at("worst"), Vec::<String>::new());
}

#[test]
fn an_empty_page_has_no_barrier_in_any_width_and_scheme() {
    assert_eq!(looked_at("empty"), Vec::<String>::new());
}

#[test]
fn without_scripts_everything_is_there() {
    let (chromium, site) = (Chromium::start(), Site::of(samples::bad()));
    let page = chromium.open(&site.url, View { scripts: false, ..View::wide() });
    let text = read(&page);
    for part in [
        "In sync with the store: no",
        "check refused, removal held, since 03:12:05 (4 min)",
        "Serving: no",
        "no backends, since 03:14:31",
        "host not found in upstream \"10.0.1.l4:9000\"",
        "key /services/api/14, file /etc/nginx/conf.d/api.conf:14",
        "03:16:37 (in 12 s)",
        "Fix the named key or the template",
        "2 of 3 serving",
        "reload the page to see changes",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("server 10.0.1.24:9000"), "a difference is folded");
    page.run("document.querySelectorAll('details').forEach((element) => { element.open = true; })");
    assert!(read(&page).contains("+    server 10.0.1.24:9000;"), "and there");
    assert_eq!(faults(&page, &site), Vec::<String>::new());
}

/// The good state, with one more change.
fn changed() -> Status {
    let mut status = samples::bad();
    status.at.0 += 2;
    status
}

const FOLD: &str = "document.querySelector('details[data-id=\"change 17\"]')";

#[test]
fn a_change_appears_and_what_the_reader_has_unfolded_stays() {
    let (chromium, site) = (Chromium::start(), Site::of(samples::good()));
    let page = chromium.open(&site.url, View { height: 300, ..View::wide() });
    page.wait("document.getElementById('live').textContent === 'live'");
    page.run(&format!("{FOLD}.open = true; {FOLD}.querySelector('summary').focus(); {FOLD}.scrollIntoView()"));
    let top =
        |page: &Page<'_>| page.run(&format!("Math.round({FOLD}.getBoundingClientRect().top) + 0")).as_i64().unwrap();
    let before = top(&page);
    page.run("document.getElementById('stores').marked = true");
    site.change(changed());
    page.wait("document.querySelector('main').innerText.includes('check refused')");
    assert_eq!(page.run("document.title"), "In sync: no · serving: no – upstreamd");
    assert_eq!(page.run("document.getElementById('news').textContent"), "In sync: no · serving: no – upstreamd");
    assert_eq!(page.run(&format!("{FOLD}.open")), true, "it stays unfolded");
    assert_eq!(
        page.run(&format!("document.activeElement === {FOLD}.querySelector('summary')")),
        true,
        "and has the focus"
    );
    assert!((top(&page) - before).abs() <= 1, "and its place: {before} {}", top(&page));
    assert_eq!(page.run("document.getElementById('stores').marked"), true, "what has not changed is not replaced");
    // What somebody copies is not taken away.
    page.run("getSelection().selectAllChildren(document.querySelector('.reason'))");
    site.change(samples::good());
    page.wait("document.getElementById('live').textContent.includes('selected text')");
    assert!(read(&page).contains("host not found"));
    page.run("getSelection().removeAllRanges()");
    page.wait("!document.querySelector('main').innerText.includes('host not found')");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
fn no_value_of_the_store_becomes_an_element_of_the_page() {
    let (chromium, site) = (Chromium::start(), Site::of(full_of("x")));
    let page = chromium.open(&site.url, View::wide());
    let elements =
        || page.run("document.querySelectorAll('*').length + ' ' + document.querySelectorAll('[id]').length");
    let expected = elements();
    // As a page that is opened, and as a change that comes later.
    for (number, hostile) in ATTEMPTS.into_iter().enumerate() {
        let mut status = full_of(hostile);
        status.at.0 += number as u64;
        let now = status.at;
        site.change(status);
        page.wait(&format!("document.getElementById('live').textContent === 'live' && document.getElementById('asof').innerHTML.includes('{}')", now));
        assert_eq!(elements(), expected, "{hostile}");
        let opened = chromium.open(&site.url, View::narrow());
        let found =
            opened.run("document.querySelectorAll('*').length + ' ' + document.querySelectorAll('[id]').length");
        assert_eq!(found, expected, "{hostile}");
        assert_eq!(faults(&opened, &site), Vec::<String>::new(), "{hostile}");
    }
    assert_eq!(faults(&page, &site), Vec::<String>::new());
}

#[test]
fn a_page_that_hears_nothing_says_since_when_and_recovers() {
    let (chromium, site) = (Chromium::start(), Site::of(samples::good()));
    let page = chromium.open(&site.url, View::wide());
    page.wait("document.getElementById('live').textContent === 'live'");
    page.wait("Number.parseInt(document.querySelector('#upstreams .age').textContent) > 0");
    site.set_broken(true);
    page.wait("document.getElementById('live').textContent.startsWith('no answer from the agent since 03:16:25 UTC')");
    site.set_broken(false);
    site.change(samples::bad());
    page.wait("document.getElementById('live').textContent === 'live'");
    page.wait("document.querySelector('main').innerText.includes('host not found')");
}

#[test]
fn a_keyboard_reaches_every_fold_and_link() {
    let (chromium, site) = (Chromium::start(), Site::of(samples::good()));
    let page = chromium.open(&site.url, View::wide());
    let count = page.run("document.querySelectorAll('summary, a').length").as_u64().unwrap();
    let mut seen = 0;
    for _ in 0..count {
        page.press("Tab");
        seen += u64::from(page.run("document.activeElement.matches('summary, a')") == true);
    }
    assert_eq!(seen, count);
    page.run("document.querySelector('.change summary').focus()");
    page.press("Enter");
    page.wait("document.querySelector('.change').open");
}

/// `cargo test -- --nocapture` shows how long a change of the store takes until a person sees it.
#[test]
fn the_page_of_a_real_agent_follows_it() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "check_cmd = \"sh -c 'if grep bad {{.src}}; then exit 1; fi'\"");
    sandbox.set_store("v: {x: one, y: \"<b>bold</b>\"}\n");
    let port = free_port();
    let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    let answer = wait_answer(port, "/", 200);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("content-security-policy"), Some(upstreamd::status::page::POLICY.as_str()));
    sandbox.wait_output("app", "one\n<b>bold</b>\n");
    let chromium = Chromium::start();
    let page = chromium.open(&format!("http://127.0.0.1:{port}/"), View::wide());
    page.wait("document.getElementById('live').textContent === 'live'");
    let fold = "document.querySelector('details[data-id=\"change 1\"]')";
    page.wait(&format!("{fold} !== null"));
    page.run(&format!("{fold}.open = true"));
    assert!(read(&page).contains("+<b>bold</b>"), "a value is text: {}", read(&page));
    let begin = Instant::now();
    sandbox.set_store("v: {x: bad}\n");
    page.wait("document.querySelector('main').innerText.includes('check refused')");
    println!("a refused check is on the page after {:?}", begin.elapsed());
    assert!(read(&page).contains("In sync with the store: no"), "{}", read(&page));
    assert_eq!(page.run(&format!("{fold}.open")), true);
    let begin = Instant::now();
    sandbox.set_store("v: {x: two}\n");
    page.wait("document.title.startsWith('In sync: yes')");
    println!("its end is on the page after {:?}", begin.elapsed());
    assert!(!read(&page).contains("check refused"), "{}", read(&page));
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "writes the pictures of docs/status.md; make them small with: pngquant --force --ext .png 48 docs/status/*.png"]
fn pictures_for_the_docs() {
    let chromium = Chromium::start();
    let wide = View { width: 1280, height: 860, ..View::wide() };
    let views = [
        ("bad", samples::bad(), wide),
        ("good", samples::good(), View { height: 560, dark: true, ..wide }),
        ("narrow", samples::bad(), View { width: 360, height: 760, ..wide }),
    ];
    for (name, status, view) in views {
        let site = Site::of(status);
        let page = chromium.open(&site.url, view);
        page.wait("document.getElementById('live').textContent === 'live'");
        std::fs::write(package_root().join(format!("docs/status/{name}.png")), page.picture()).unwrap();
    }
}
