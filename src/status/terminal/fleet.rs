//! The agents of the fleet in short, as text: who lags, who holds, whose receipt cannot be read. Pure.

use crate::model::status::{AgentLine, FleetReading};
use crate::model::text::counted;

use super::{RED, StatusWriter, YELLOW, one_line};

/// Most agents that are shown, and most resources of each that are named.
const MAX_AGENTS: usize = 10;
const MAX_NAMED: usize = 3;

impl StatusWriter {
    /// Adds the agents, if there is something to say of one.
    pub(super) fn fleet(&mut self, agents: &[AgentLine], reading: Option<&FleetReading>) {
        let Some(reading) = reading.filter(|reading| !agents.is_empty() || reading.problem.is_some()) else { return };
        self.head("Fleet");
        let age = reading.at.map_or("never read".to_owned(), |at| format!("read {}", self.ago(at)));
        if let Some(problem) = &reading.problem {
            let said = self.painted(RED, "the receipts cannot be read");
            self.line(&format!("  {said}: {}", one_line(problem)));
        }
        let is_good = |agent: &&AgentLine| agent.problem.is_none() && agent.held.is_empty() && agent.lagging.is_empty();
        let (good, all) = (agents.iter().filter(is_good).count(), agents.len() + reading.more);
        self.line(&format!("  {good} of {} up to date, {age}", counted(all, "agent")));
        let troubled = || agents.iter().filter(|agent| !is_good(agent));
        troubled().take(MAX_AGENTS).for_each(|agent| self.agent(agent));
        let unshown = troubled().count().saturating_sub(MAX_AGENTS) + reading.more;
        if unshown > 0 {
            self.line(&format!("  and {unshown} more (upstreamd agents)"));
        }
    }

    fn agent(&mut self, agent: &AgentLine) {
        let id = one_line(&agent.id);
        if let Some(problem) = &agent.problem {
            let said = self.painted(RED, "its receipt cannot be read");
            self.line(&format!("  {id}: {said}: {}", one_line(problem)));
        }
        let named = [("holds", &agent.held, agent.held_more), ("lags with", &agent.lagging, agent.lagging_more)];
        for (what, resources, more) in named.into_iter().filter(|(_, resources, _)| !resources.is_empty()) {
            let first: Vec<&str> = resources.iter().take(MAX_NAMED).map(String::as_str).collect();
            let more = more + resources.len() - first.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let what = self.painted(YELLOW, what);
            self.line(&format!("  {id} {what} {}{more}", one_line(&first.join(", "))));
        }
    }
}
