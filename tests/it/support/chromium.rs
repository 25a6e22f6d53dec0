//! A real Chromium without a window, driven over a pipe (the DevTools protocol). Its profile is a temp folder.
//! It asks for nothing but what a test opens.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use super::{package_root, temp_dir, wait_for};

/// How long an answer may take on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    pub scripts: bool,
}

impl View {
    pub fn wide() -> View {
        View { width: 1440, height: 900, dark: false, scripts: true }
    }

    pub fn narrow() -> View {
        View { width: 320, height: 640, ..View::wide() }
    }
}

/// A running Chromium.
pub struct Chromium {
    child: Child,
    to: RefCell<ChildStdin>,
    from: Receiver<Value>,
    next: Cell<u64>,
    events: RefCell<Vec<Value>>,
    _profile: tempfile::TempDir,
}

impl Chromium {
    pub fn start() -> Chromium {
        let profile = temp_dir();
        // The pipe is at descriptors 3 and 4 of Chromium. Its own sandbox needs more than containers and root give; it opens
        // nothing but our page.
        let flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-pipe \
                     --disable-background-networking --disable-component-update --hide-scrollbars --force-color-profile=srgb";
        let line =
            format!("exec chromium {flags} --user-data-dir=\"$0\" about:blank 3<&0 4>&1 0</dev/null 1>/dev/null");
        let mut command = Command::new("sh");
        command
            .args(["-c", &line])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.process_group(0).spawn().expect("sh starts");
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let messages = BufReader::new(from).split(0);
            for message in messages.map_while(Result::ok) {
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let chromium = Chromium {
            child,
            to: to.into(),
            from: receiver,
            next: Cell::new(1),
            events: RefCell::default(),
            _profile: profile,
        };
        chromium.call("", "Browser.getVersion", &json!({}));
        chromium
    }

    /// Sends a command and returns its result.
    #[track_caller]
    fn call(&self, session: &str, method: &str, parameters: &Value) -> Value {
        let id = self.next.replace(self.next.get() + 1);
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        let mut text = message.to_string().into_bytes();
        text.push(0);
        let problem = "Chromium does not answer; is the Debian package `chromium` installed (`make setup`)?";
        self.to.borrow_mut().write_all(&text).expect(problem);
        let begin = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(begin.elapsed());
            let message = self.from.recv_timeout(left).unwrap_or_else(|error| panic!("{method}: {error}: {problem}"));
            match message["id"] == id {
                true if message["error"].is_object() => panic!("{method}: {}", message["error"]),
                true => return message["result"].clone(),
                false => self.events.borrow_mut().push(message),
            }
        }
    }

    /// Opens a page in a window of its own and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str, view: View) -> Page<'_> {
        let context = self.call("", "Target.createBrowserContext", &json!({}))["browserContextId"].clone();
        let target =
            json!({"url": "about:blank", "browserContextId": context, "width": view.width, "height": view.height});
        let target = self.call("", "Target.createTarget", &target)["targetId"].clone();
        let attached = self.call("", "Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        let page = Page { chromium: self, session: attached["sessionId"].as_str().unwrap().to_owned(), target };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.resize(view.width, view.height);
        let scheme = if view.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        page.call("Emulation.setEmulatedMedia", json!({"features": features}));
        page.call("Emulation.setScriptExecutionDisabled", json!({"value": !view.scripts}));
        let watch = "window.violations = []; addEventListener('securitypolicyviolation', (event) => \
                     violations.push(`${event.violatedDirective} ${event.blockedURI}`));";
        page.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": watch}));
        page.call("Page.navigate", json!({"url": url}));
        wait_for("the page is loaded", DEADLINE, || {
            let state = page.run("document.readyState + ' ' + location.href");
            (state == format!("complete {url}")).then_some(())
        });
        page
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The group that was started with it: its own renderers.
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).ok();
        self.child.wait().ok();
    }
}

/// An open page.
pub struct Page<'a> {
    chromium: &'a Chromium,
    session: String,
    target: Value,
}

impl Page<'_> {
    #[track_caller]
    fn call(&self, method: &str, parameters: Value) -> Value {
        self.chromium.call(&self.session, method, &parameters)
    }

    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Runs a script in the page, waits for what it promises, and returns its value.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        let call = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", call);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until a script returns true.
    #[track_caller]
    pub fn wait(&self, script: &str) {
        let fails = || format!("gave up waiting for: {script}\n{}", self.run("document.body.innerText"));
        super::wait_or(DEADLINE, || (self.run(script) == true).then_some(()), fails);
    }

    /// Presses a key.
    pub fn press(&self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            _ => panic!("no code for {key}"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// The addresses that it has asked for.
    pub fn requests(&self) -> Vec<String> {
        let url = |event: &Value| event["params"]["request"]["url"].as_str().map(str::to_owned);
        self.events("Network.requestWillBeSent").iter().filter_map(url).collect()
    }

    /// What it complained of: errors in the console, exceptions, and what the policy of the page forbids.
    pub fn complaints(&self) -> Vec<String> {
        let kinds = ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
        let mut found: Vec<String> =
            kinds.iter().flat_map(|kind| self.events(kind)).map(|event| event["params"].to_string()).collect();
        found.extend(self.run("window.violations").as_array().into_iter().flatten().map(Value::to_string));
        found
    }

    fn events(&self, method: &str) -> Vec<Value> {
        let is_it = |event: &&Value| event["method"] == method && event["sessionId"] == self.session.as_str();
        self.chromium.events.borrow().iter().filter(is_it).cloned().collect()
    }

    /// What axe-core finds that keeps people from using the page, for the rules of WCAG 2.2 AA and good practice.
    pub fn barriers(&self) -> Vec<String> {
        let lib = package_root().join("target/tools/lib");
        let found = std::fs::read_dir(&lib).into_iter().flatten().flatten();
        let mut scripts = found.map(|python| python.path().join("site-packages/axe_playwright_python/axe.min.js"));
        let script = scripts.find(|script| script.exists());
        let script = script.unwrap_or_else(|| panic!("no axe.min.js below {}: `make tools` fetches it", lib.display()));
        let axe = std::fs::read_to_string(script).unwrap();
        self.run(&format!("{axe}; 0"));
        let answer = self.run(
            "axe.run(document, {resultTypes: ['violations', 'incomplete']}).then((found) => \
             [...found.violations, ...found.incomplete].map((rule) => \
             `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => `${node.html} ${node.failureSummary}`).join(' | ')}`))",
        );
        answer.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    /// A picture of what is in view, in PNG.
    pub fn picture(&self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}));
        base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.chromium.call("", "Target.closeTarget", &json!({"targetId": self.target}));
        }
    }
}
