//! The agents of a fleet, read from their receipts, as a table for people or JSON for programs. Pure: never asks etcd.

use serde::Serialize;

use crate::model::receipt::{AgentProgress, Proof, Receipt, ResourceReceipt, StoredReceipt};
use crate::model::text;

/// One agent of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetAgent {
    /// Id, as in its key.
    pub id: String,
    /// Its progress; `None` if its receipt cannot be read.
    pub standing: Option<AgentProgress>,
    /// Phrases for what is behind, or the reason why its receipt cannot be read.
    pub lagging: Vec<String>,
    /// Its receipt, if it can be read.
    pub receipt: Option<Receipt>,
}

impl FleetAgent {
    /// Reads the receipt of an agent.
    pub fn read(stored: &StoredReceipt) -> FleetAgent {
        let (standing, lagging, receipt) = match stored.read() {
            Ok(receipt) => (Some(receipt.standing()), lagging(&receipt), Some(receipt)),
            Err(problem) => (None, vec![problem], None),
        };
        FleetAgent { id: stored.id.clone(), standing, lagging, receipt }
    }
}

fn lagging(receipt: &Receipt) -> Vec<String> {
    let phrase = |resource: &ResourceReceipt| {
        let ResourceReceipt { name, seen, applied, drained, .. } = resource;
        match applied {
            None => Some(format!("{name}: nothing applied yet")),
            Some(applied) if applied != seen => Some(format!("{name}: applied {applied}, seen {seen}")),
            Some(applied) if resource.proof == Proof::Nginx && drained.as_ref() != Some(applied) => match drained {
                None => Some(format!("{name}: nothing drained yet, applied {applied}")),
                Some(drained) => Some(format!("{name}: drained {drained}, applied {applied}")),
            },
            Some(_) => None,
        }
    };
    receipt.resources.iter().filter_map(phrase).collect()
}

/// Returns a table with a line for each agent, and an extra line for each further phrase of what is behind.
pub fn table(agents: &[FleetAgent]) -> String {
    let heads = ["AGENT", "STATE", "GENERATION", "DRAINED", "RESOURCES", "LAGGING"].map(str::to_owned);
    let mut rows = vec![heads];
    for agent in agents {
        let standing = match agent.standing {
            Some(AgentProgress::InSync) => "in sync",
            Some(AgentProgress::Draining) => "draining",
            Some(AgentProgress::Behind) => "behind",
            None => "unreadable",
        };
        let receipt = agent.receipt.as_ref();
        let number = |of: Option<u64>| of.map_or("-".to_owned(), |number| number.to_string());
        let id: String = agent.id.escape_debug().collect();
        let mut lagging = agent.lagging.iter().map(|phrase| phrase.escape_debug().collect::<String>());
        rows.push([
            id,
            standing.to_owned(),
            number(receipt.map(|receipt| receipt.generation)),
            number(receipt.and_then(|receipt| receipt.drained_generation)),
            receipt.map_or("-".to_owned(), |receipt| receipt.resources.len().to_string()),
            lagging.next().unwrap_or_default(),
        ]);
        rows.extend(
            lagging.map(|phrase| [String::new(), String::new(), String::new(), String::new(), String::new(), phrase]),
        );
    }
    let widths: Vec<usize> = (0..6).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Returns a JSON array of the agents. Nothing in it reaches a terminal as a command.
pub fn json(agents: &[FleetAgent]) -> String {
    // Only text and numbers: this cannot fail.
    text::json(&format!("{}\n", serde_json::to_string_pretty(agents).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::model::key::Revision;

    fn agent(id: &str, resources: &[(&str, i64, Option<i64>, Option<i64>)]) -> FleetAgent {
        let resources = resources.iter().map(|(name, seen, applied, drained)| ResourceReceipt {
            name: (*name).to_owned(),
            keys: vec!["/services".to_owned()],
            proof: Proof::Nginx,
            seen: *seen,
            applied: *applied,
            converged: *applied,
            drained: *drained,
            held: false,
        });
        let receipt = Receipt {
            format: 1,
            id: id.to_owned(),
            version: "1".to_owned(),
            generation: 12,
            drained_generation: Some(11),
            resources: resources.collect(),
        };
        read(id, &receipt.to_text())
    }

    fn read(id: &str, text: &str) -> FleetAgent {
        FleetAgent::read(&StoredReceipt { id: id.to_owned(), text: text.to_owned(), written: Revision(200) })
    }

    #[test]
    fn a_table_names_who_lags_and_by_what() {
        let agents = [
            agent("balancer-1", &[("web.toml", 120, Some(120), Some(120))]),
            agent("balancer-2", &[("web.toml", 120, Some(120), Some(118)), ("echo.toml", 121, Some(90), Some(90))]),
            agent("edge-3", &[("echo.toml", 9, Some(9), None), ("web.toml", 8, Some(8), Some(8))]),
            agent("new", &[("web.toml", 0, None, None)]),
            read("od\u{1b}d", "secret"),
        ];
        expect![[r#"
            AGENT       STATE       GENERATION  DRAINED  RESOURCES  LAGGING
            balancer-1  in sync     12          11       1
            balancer-2  behind      12          11       2          web.toml: drained 118, applied 120
                                                                    echo.toml: applied 90, seen 121
            edge-3      draining    12          11       2          echo.toml: nothing drained yet, applied 9
            new         behind      12          11       1          web.toml: nothing applied yet
            od\u{1b}d   unreadable  -           -        -          no receipt (line 1, column 1)
        "#]]
        .assert_eq(&table(&agents));
        expect![[r#"
            AGENT  STATE  GENERATION  DRAINED  RESOURCES  LAGGING
        "#]]
        .assert_eq(&table(&[]));
    }

    #[test]
    fn json_holds_the_receipts() {
        let text = json(&[agent("a", &[("web.toml", 2, Some(1), Some(1))]), read("b\u{9b}2J", "")]);
        assert!(text.contains(r"b\u009b2J"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0]["standing"], "behind");
        assert_eq!(value[0]["receipt"]["resources"][0]["seen"], 2);
        assert_eq!(value[1]["standing"], serde_json::Value::Null);
        assert_eq!(value[1]["lagging"][0], "no receipt (line 1, column 0)");
    }
}
