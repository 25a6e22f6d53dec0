//! Receipts: each agent's record in the store of the changes that it has applied and drained. Together they say whether a
//! backend may stop. Plain data and pure questions; `docs/receipts.md` says what each field promises.

use serde::{Deserialize, Serialize};

use super::key::Revision;
use super::range::KeyRanges;

/// The folder of all receipts in the store: `/upstreamd/agents/<id>`.
pub const FOLDER: &str = "/upstreamd/agents";

/// The receipt format that is written and understood.
pub const FORMAT: u32 = 1;

/// Largest receipt that is read, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// Returns whether a key is that of a receipt. A change of one causes no new receipt: it would never end.
pub fn is_receipt(key: &str) -> bool {
    key.strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the key of the receipt of the agent with this id.
pub fn key_of(id: &str) -> String {
    format!("{FOLDER}/{id}")
}

/// Progress of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Format of this receipt.
    pub format: u32,
    /// Id of the agent, as in the key.
    pub id: String,
    /// Version of its upstreamd.
    pub version: String,
    /// Reload count: reloads of nginx that this process has asked for and verified.
    pub generation: u64,
    /// Number of the newest of them after which no worker of an earlier configuration is left; `None` while workers from
    /// before the first are still leaving.
    pub drained_generation: Option<u64>,
    /// Progress of each resource that sees keys of the store.
    pub resources: Vec<ResourceReceipt>,
}

/// Progress of one resource. Each revision is that of a change of its own keys; changes of other keys do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceReceipt {
    /// Path of its file below conf.d.
    pub name: String,
    /// The directories of the store that it sees: each key itself and everything below it.
    pub keys: Vec<String>,
    /// Evidence for who uses its file.
    pub proof: Proof,
    /// The last change of its keys that the agent knows of.
    pub seen: i64,
    /// The last one that was rendered, checked, installed and reloaded.
    pub applied: Option<i64>,
    /// The last one after which only workers that serve it accept new connections.
    pub converged: Option<i64>,
    /// The last one that every worker serves: nothing still uses what it removed.
    pub drained: Option<i64>,
    /// Whether a guard holds its file: no change is applied until the store has enough backends again. Left out if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// Evidence for who uses a resource's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// nginx's workers are observed.
    Nginx,
    /// A program reads the file again on request, but is not observed: it converges and drains unseen.
    Unseen,
    /// Nothing is reloaded; the readers of the file notice changes themselves.
    File,
}

/// A key in the folder of receipts, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReceipt {
    /// The last part of the key.
    pub id: String,
    /// The value.
    pub text: String,
    /// The revision at which it was written, or a later one.
    pub written: Revision,
}

impl StoredReceipt {
    /// Reads the receipt.
    ///
    /// # Errors
    /// A phrase for people: the text is no receipt, or one that this agent cannot have written at that revision.
    pub fn read(&self) -> Result<Receipt, String> {
        if self.text.len() > MAX_BYTES {
            return Err(format!("it has {} bytes, and a receipt has {MAX_BYTES} at most", self.text.len()));
        }
        let receipt = Receipt::parse(&self.text)?;
        if receipt.id != self.id {
            return Err("it is the receipt of a different agent".to_owned());
        }
        let is_possible = |resource: &ResourceReceipt| {
            let ResourceReceipt { seen, applied, converged, drained, .. } = resource;
            *seen < self.written.0 && [applied, converged, drained].into_iter().flatten().all(|at| at <= seen)
        };
        match receipt.resources.iter().all(is_possible) {
            true => Ok(receipt),
            false => Err("it mentions revisions that the agent cannot have seen".to_owned()),
        }
    }
}

impl Receipt {
    /// Reads the text of a receipt.
    ///
    /// # Errors
    /// A phrase for people: the text is not JSON of this form, or has a different format.
    fn parse(text: &str) -> Result<Receipt, String> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let position =
            |error: serde_json::Error| format!("no receipt (line {}, column {})", error.line(), error.column());
        match serde_json::from_str::<Form>(text).map_err(position)?.format {
            FORMAT => serde_json::from_str(text).map_err(position),
            other => Err(format!("a receipt of format {other}, which this version does not know")),
        }
    }

    /// Returns the text to store: one line of JSON.
    pub fn to_text(&self) -> String {
        // It holds only text and numbers: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns whether all known changes are applied, and whether anything older is visibly still in use.
    pub fn standing(&self) -> AgentProgress {
        let behind = |resource: &&ResourceReceipt| resource.applied != Some(resource.seen);
        let draining =
            |resource: &&ResourceReceipt| resource.proof == Proof::Nginx && resource.drained != resource.applied;
        if self.resources.iter().any(|resource| behind(&resource)) {
            AgentProgress::Behind
        } else if self.resources.iter().any(|resource| draining(&resource)) {
            AgentProgress::Draining
        } else {
            AgentProgress::InSync
        }
    }
}

/// Progress of an agent with the changes that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentProgress {
    /// Applied, and nothing older is visibly in use.
    InSync,
    /// Applied, but old workers still finish their connections.
    Draining,
    /// A change of the store is not applied: it waits, runs, or has failed.
    Behind,
}

/// Progress of all agents with one change of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Agents that see the key, or whose receipt cannot be read.
    pub concerned: usize,
    /// Ids of those that may still use what the change removed.
    pub waiting: Vec<String>,
    /// Ids of those of them whose guard holds a file that uses it: they wait for other backends, not for workers to end.
    pub holding: Vec<String>,
}

impl Fleet {
    /// Returns whether every agent that sees the key has left the state before the change. False if no agent says that it
    /// sees the key: agents without receipts may.
    pub fn has_drained(&self) -> bool {
        self.concerned > 0 && self.waiting.is_empty()
    }
}

/// Returns the progress of all live agents with the change of `key` at `revision`, which is the key's own mod_revision.
/// `receipts` are all keys in the folder; an agent whose receipt is gone is gone.
pub fn fleet(receipts: &[StoredReceipt], key: &str, revision: Revision) -> Fleet {
    let mut fleet = Fleet::default();
    for stored in receipts {
        let progress = match stored.read() {
            Ok(receipt) => receipt.progress(key, revision),
            Err(_) => Some(DrainProgress::Using),
        };
        let Some(progress) = progress else { continue };
        fleet.concerned += 1;
        if progress != DrainProgress::Drained {
            fleet.waiting.push(stored.id.clone());
        }
        if progress == DrainProgress::Holding {
            fleet.holding.push(stored.id.clone());
        }
    }
    fleet
}

/// Progress of one agent with one change of one key; the greatest of its resources counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum DrainProgress {
    /// Nothing still uses what the change removed.
    Drained,
    /// Something may still use it.
    Using,
    /// Something may still use it, and a guard keeps it so.
    Holding,
}

impl Receipt {
    /// Returns the progress with the change of this key at this revision; `None` if no resource sees the key.
    fn progress(&self, key: &str, revision: Revision) -> Option<DrainProgress> {
        let sees = |resource: &&ResourceReceipt| {
            KeyRanges::of_directories(resource.keys.iter().map(String::as_str)).contains(key)
        };
        let progress = |resource: &ResourceReceipt| match resource.proven() >= Some(revision.0) {
            true => DrainProgress::Drained,
            false if resource.held => DrainProgress::Holding,
            false => DrainProgress::Using,
        };
        self.resources.iter().filter(sees).map(progress).max()
    }
}

impl ResourceReceipt {
    /// Returns the last change that is in use everywhere; for a file without a reload, the last one that is in it.
    fn proven(&self) -> Option<i64> {
        match self.proof {
            Proof::Nginx => self.drained,
            Proof::File => self.applied,
            Proof::Unseen => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(keys: &str, proof: Proof, seen: i64, applied: i64, drained: i64) -> ResourceReceipt {
        let (converged, drained) = match proof {
            Proof::Nginx => (Some(applied), Some(drained)),
            Proof::Unseen | Proof::File => (None, None),
        };
        let (name, keys) = ("web.toml".to_owned(), vec![keys.to_owned()]);
        ResourceReceipt { name, keys, proof, seen, applied: Some(applied), converged, drained, held: false }
    }

    fn receipt(resources: Vec<ResourceReceipt>) -> Receipt {
        let (id, version) = ("a".to_owned(), "1".to_owned());
        Receipt { format: FORMAT, id, version, generation: 3, drained_generation: Some(2), resources }
    }

    #[test]
    fn it_is_written_as_strict_json_and_read_back() {
        let receipt = receipt(vec![resource("/services/web", Proof::Nginx, 9, 8, 7)]);
        let text = receipt.to_text();
        assert_eq!(
            text,
            r#"{"format":1,"id":"a","version":"1","generation":3,"drained_generation":2,"resources":[{"name":"web.toml","keys":["/services/web"],"proof":"nginx","seen":9,"applied":8,"converged":8,"drained":7}]}"#
        );
        assert_eq!(Receipt::parse(&text), Ok(receipt));
        assert_eq!(Receipt::parse("secret").unwrap_err(), "no receipt (line 1, column 1)");
        assert_eq!(Receipt::parse(r#"{"format":1}"#).unwrap_err(), "no receipt (line 1, column 12)");
        assert!(Receipt::parse(r#"{"format":2,"new":true}"#).unwrap_err().contains("format 2"));
    }

    #[test]
    fn the_folder_is_exact() {
        assert!(is_receipt("/upstreamd/agents/a") && is_receipt(&key_of("b")));
        for other in ["/upstreamd/agents", "/upstreamd/agents2/a", "/services/upstreamd/agents/a"] {
            assert!(!is_receipt(other), "{other}");
        }
    }

    #[test]
    fn standing_is_the_worst_of_the_resources() {
        let web = |seen, applied, drained| resource("/services/web", Proof::Nginx, seen, applied, drained);
        for (resources, expected) in [
            (vec![], AgentProgress::InSync),
            (vec![web(5, 5, 5)], AgentProgress::InSync),
            (vec![web(5, 5, 4)], AgentProgress::Draining),
            (vec![web(5, 5, 4), web(6, 5, 5)], AgentProgress::Behind),
            (vec![resource("/x", Proof::File, 5, 5, 0), resource("/x", Proof::Unseen, 5, 5, 0)], AgentProgress::InSync),
        ] {
            assert_eq!(receipt(resources).standing(), expected);
        }
    }

    fn stored(id: &str, resources: Vec<ResourceReceipt>) -> StoredReceipt {
        let text = Receipt { id: id.to_owned(), ..receipt(resources) }.to_text();
        StoredReceipt { id: id.to_owned(), text, written: Revision(50) }
    }

    #[track_caller]
    fn check(receipts: &[Vec<ResourceReceipt>], concerned: usize, waiting: &[&str], drained: bool) {
        let numbered = receipts.iter().enumerate();
        let receipts: Vec<_> =
            numbered.map(|(number, resources)| stored(&number.to_string(), resources.clone())).collect();
        let found = fleet(&receipts, "/services/web/1", Revision(10));
        assert_eq!((found.concerned, found.has_drained()), (concerned, drained));
        assert_eq!(found.waiting, waiting);
    }

    #[test]
    fn a_change_has_drained_when_every_agent_that_sees_it_says_so() {
        let nginx = |drained| resource("/services/web", Proof::Nginx, 11, 11, drained);
        let elsewhere = || resource("/services/web2", Proof::Nginx, 3, 3, 3);
        let file = |applied| resource("/services", Proof::File, 10, applied, 0);
        check(&[], 0, &[], false);
        check(&[vec![elsewhere()]], 0, &[], false);
        check(&[vec![nginx(10)]], 1, &[], true);
        check(&[vec![nginx(11)], vec![elsewhere()]], 1, &[], true);
        check(&[vec![nginx(9)], vec![nginx(10)]], 2, &["0"], false);
        check(&[vec![nginx(10), nginx(9)]], 1, &["0"], false);
        check(&[vec![nginx(10), file(10)]], 1, &[], true);
        check(&[vec![nginx(10), file(9)]], 1, &["0"], false);
        // It is unknown when it has drained: a caller that waits needs a limit.
        check(&[vec![resource("/", Proof::Unseen, 10, 10, 10)]], 1, &["0"], false);
        // One that its guard holds waits for other backends.
        let held = |id, drained| stored(id, vec![ResourceReceipt { held: true, ..nginx(drained) }]);
        assert!(held("a", 9).text.ends_with(r#""drained":9,"held":true}]}"#), "{:?}", held("a", 9));
        let found = fleet(&[held("a", 9), held("b", 10)], "/services/web/1", Revision(10));
        assert_eq!((found.waiting, found.holding), (vec!["a".to_owned()], vec!["a".to_owned()]));
    }

    #[test]
    fn a_receipt_that_cannot_be_true_ends_no_drain() {
        let nginx = |seen, applied, drained| vec![resource("/services/web", Proof::Nginx, seen, applied, drained)];
        let honest = stored("a", nginx(10, 10, 10));
        let lies = [
            (StoredReceipt { text: "{}".to_owned(), ..honest.clone() }, "no receipt"),
            (StoredReceipt { id: "b".to_owned(), ..honest.clone() }, "a different agent"),
            (StoredReceipt { written: Revision(10), ..honest.clone() }, "cannot have seen"),
            (stored("a", nginx(10, 10, 11)), "cannot have seen"),
            (stored("a", nginx(10, 11, 10)), "cannot have seen"),
            (StoredReceipt { text: honest.text.clone() + &" ".repeat(MAX_BYTES), ..honest.clone() }, "bytes"),
        ];
        for (lie, words) in &lies {
            let problem = lie.read().unwrap_err();
            assert!(problem.contains(words), "{problem}");
            let found = fleet(std::slice::from_ref(lie), "/services/web/1", Revision(10));
            assert_eq!((found.concerned, found.has_drained()), (1, false), "{lie:?}");
        }
        assert!(fleet(&[honest], "/services/web/1", Revision(10)).has_drained());
    }
}
