//! Receipts: what an agent says in the store about how far it has come, and what a backend that is to be stopped learns from
//! all of them. Plain data and pure questions; `docs/receipts.md` says what each field promises.

use serde::{Deserialize, Serialize};

use super::key::Revision;
use super::range::KeyRanges;

/// The folder of all receipts in the store: `/upstreamd/agents/<id>`.
pub const FOLDER: &str = "/upstreamd/agents";

/// The form of receipts that is written and understood.
pub const FORMAT: u32 = 1;

/// Whether a key is a receipt's. A change of one is not worth a receipt: it would never end.
pub fn is_receipt(key: &str) -> bool {
    key.strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('/'))
}

/// The key of the receipt of the agent with this id.
pub fn key_of(id: &str) -> String {
    format!("{FOLDER}/{id}")
}

/// How far one agent has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The form that this is written in.
    pub format: u32,
    /// The agent: as in the key.
    pub id: String,
    /// Which upstreamd it is.
    pub version: String,
    /// Reloads of nginx that this process has asked for and seen to take.
    pub generation: u64,
    /// The newest of them that every worker has left behind all earlier ones for; `None` while workers are leaving that were
    /// there before the first.
    pub drained_generation: Option<u64>,
    /// Each resource that sees keys of the store.
    pub resources: Vec<ResourceReceipt>,
}

/// How far one resource has come. Revisions are those of the last change of its keys that was taken up; that of any other key
/// moves none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceReceipt {
    /// Its file below conf.d.
    pub name: String,
    /// The directories of the store that it sees, whole: each key itself and everything below it.
    pub keys: Vec<String>,
    /// How it is known who uses it.
    pub proof: Proof,
    /// The last change of its keys that the agent knows of.
    pub seen: i64,
    /// The last one that was rendered, checked, installed and reloaded.
    pub applied: Option<i64>,
    /// The last one that all workers have begun to serve, earlier ones taking no new connection.
    pub converged: Option<i64>,
    /// The last one that no worker lacks any more: what it took away is in nobody's use.
    pub drained: Option<i64>,
}

/// How it is known who uses a resource's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// nginx's workers are seen to come and go.
    Nginx,
    /// Something is told to read it again, and nobody looks what comes of that: it converges and drains unseen.
    Unseen,
    /// Nothing is reloaded; whoever reads the file does so by itself.
    File,
}

impl Receipt {
    /// Reads a receipt.
    ///
    /// # Errors
    /// A phrase for people: no JSON of this form, or of a form of another time.
    pub fn parse(text: &str) -> Result<Receipt, String> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let position =
            |error: serde_json::Error| format!("no receipt (line {}, column {})", error.line(), error.column());
        match serde_json::from_str::<Form>(text).map_err(position)?.format {
            FORMAT => serde_json::from_str(text).map_err(position),
            other => Err(format!("a receipt of form {other}, which this version does not know")),
        }
    }

    /// As it is stored: one line of JSON.
    pub fn to_text(&self) -> String {
        // Text and numbers alone: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether everything that is known is applied, and nothing older is in use as far as can be seen.
    pub fn standing(&self) -> AgentStanding {
        let behind = |resource: &&ResourceReceipt| resource.applied != Some(resource.seen);
        let draining =
            |resource: &&ResourceReceipt| resource.proof == Proof::Nginx && resource.drained != resource.applied;
        if self.resources.iter().any(|resource| behind(&resource)) {
            AgentStanding::Behind
        } else if self.resources.iter().any(|resource| draining(&resource)) {
            AgentStanding::Draining
        } else {
            AgentStanding::InSync
        }
    }
}

/// How an agent stands to what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentStanding {
    /// Applied, and nothing older is in use as far as can be seen.
    InSync,
    /// Applied, and old workers finish their connections.
    Draining,
    /// A change of the store is not applied: it waits, runs, or has failed.
    Behind,
}

/// What the fleet says of one change of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Agents that see the key, or whose receipt cannot be read.
    pub concerned: usize,
    /// Those of them, by id, that may still use what the change took away.
    pub waiting: Vec<String>,
}

impl Fleet {
    /// Whether every agent that sees the key has left the state before the change behind. Not so where nobody says that it
    /// sees the key: agents without receipts may.
    pub fn has_drained(&self) -> bool {
        self.concerned > 0 && self.waiting.is_empty()
    }
}

/// Whether every live balancer has drained the change of `key` at `revision`, which is the key's own mod_revision. `receipts`
/// are the ids and values of all keys in the folder; a receipt that is gone is of an agent that is gone.
pub fn fleet<'a>(receipts: impl IntoIterator<Item = (&'a str, &'a str)>, key: &str, revision: Revision) -> Fleet {
    let mut fleet = Fleet::default();
    for (id, text) in receipts {
        let has_drained = match Receipt::parse(text) {
            Ok(receipt) => receipt.has_drained(key, revision),
            Err(_) => Some(false),
        };
        match has_drained {
            None => {}
            Some(true) => fleet.concerned += 1,
            Some(false) => {
                fleet.concerned += 1;
                fleet.waiting.push(id.to_owned());
            }
        }
    }
    fleet
}

impl Receipt {
    /// Whether the change of this key at this revision has drained; `None` where no resource sees the key.
    fn has_drained(&self, key: &str, revision: Revision) -> Option<bool> {
        let sees = |resource: &&ResourceReceipt| {
            KeyRanges::of_directories(resource.keys.iter().map(String::as_str)).contains(key)
        };
        let concerned = self.resources.iter().filter(sees);
        concerned.map(|resource| resource.proven() >= Some(revision.0)).reduce(|all, one| all && one)
    }
}

impl ResourceReceipt {
    /// The last change that nobody lacks; for a file that nothing is reloaded for, the last one that is in it.
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
        ResourceReceipt { name, keys, proof, seen, applied: Some(applied), converged, drained }
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
        assert!(Receipt::parse(r#"{"format":2,"new":true}"#).unwrap_err().contains("form 2"));
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
            (vec![], AgentStanding::InSync),
            (vec![web(5, 5, 5)], AgentStanding::InSync),
            (vec![web(5, 5, 4)], AgentStanding::Draining),
            (vec![web(5, 5, 4), web(6, 5, 5)], AgentStanding::Behind),
            (vec![resource("/x", Proof::File, 5, 5, 0), resource("/x", Proof::Unseen, 5, 5, 0)], AgentStanding::InSync),
        ] {
            assert_eq!(receipt(resources).standing(), expected);
        }
    }

    #[track_caller]
    fn check(receipts: &[Vec<ResourceReceipt>], concerned: usize, waiting: &[&str], drained: bool) {
        let texts: Vec<(String, String)> = receipts
            .iter()
            .enumerate()
            .map(|(number, resources)| (number.to_string(), receipt(resources.clone()).to_text()))
            .collect();
        let texts = texts.iter().map(|(id, text)| (id.as_str(), text.as_str()));
        let found = fleet(texts, "/services/web/1", Revision(10));
        assert_eq!((found.concerned, found.has_drained()), (concerned, drained));
        assert_eq!(found.waiting, waiting);
    }

    #[test]
    fn a_change_has_drained_when_every_agent_that_sees_it_says_so() {
        let nginx = |drained| resource("/services/web", Proof::Nginx, 10, 10, drained);
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
        // Nobody knows when it has drained: whoever waits needs a limit.
        check(&[vec![resource("/", Proof::Unseen, 10, 10, 10)]], 1, &["0"], false);
        let unreadable = fleet([("x", "{}")], "/services/web/1", Revision(1));
        assert_eq!((unreadable.concerned, unreadable.waiting.len()), (1, 1));
    }
}
