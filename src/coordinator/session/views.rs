//! How the views of the registry reach this instance: whole ones, with which it becomes part of a reign, and their changes.

use std::collections::{BTreeMap, BTreeSet};

use super::bounds::Cost;
use super::{Connection, Effect, Misplaced, Notice, Session};
use crate::ident::{InstanceId, Stamp, Token};
use crate::wire::message::{Delta, EndReason, Opened, ViewHead, Welcome};

impl Session {
    pub(super) fn welcomed(&mut self, welcome: &Welcome, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        if self.standing != Connection::Greeted {
            return Err(Misplaced("second welcome"));
        }
        let fresh = self.is_fresh();
        if fresh && welcome.view.is_none() {
            return Err(Misplaced("newcomer welcomed without a view"));
        }
        welcome.view.as_ref().map_or(Ok(()), |head| self.replica.check(head))?;
        self.supervisor = Some(welcome.supervisor);
        self.standing = Connection::Welcomed;
        effects.push(Effect::Tell(Notice::Welcomed(welcome.supervisor)));
        if let Some(view) = welcome.view {
            self.settle(view, &[], effects);
        }
        if fresh {
            self.ask_again(effects);
        }
        Ok(())
    }

    pub(super) fn opened(&mut self, opened: Opened, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        if self.standing != Connection::Welcomed {
            return Err(Misplaced("opened outside a window"));
        }
        self.replica.check(&opened.view)?;
        self.supervisor = Some(opened.supervisor);
        self.settle(opened.view, &opened.departed, effects);
        Ok(())
    }

    /// Takes the whole view made of the parts.
    pub(super) fn settle(&mut self, head: ViewHead, departed: &[(InstanceId, EndReason)], effects: &mut Vec<Effect>) {
        effects.push(Effect::ShowMembership);
        self.forfeits = std::mem::take(&mut self.forfeit_parts);
        let view: BTreeMap<_, _> = std::mem::take(&mut self.parts).into_iter().map(|entry| (entry.id, entry)).collect();
        self.view_cost = Cost::of_entries(view.values());
        self.parts_cost = Cost::default();
        let old = std::mem::replace(&mut self.view, view);
        self.note_pause();
        self.heard.clear();
        let heard = std::mem::take(&mut self.departed);
        self.forget_heirs();
        self.stamp = head.stamp;
        self.epoch = self.epoch.max(head.stamp.epoch);
        self.base = self.base.max(head.base);
        self.standing = Connection::Settled;
        if let Some(supervisor) = self.supervisor {
            effects.push(Effect::Tell(Notice::Reign(head.stamp.epoch, supervisor)));
        }
        self.confirm_grants(effects);
        self.survey_again(effects);
        for (id, entry) in old.iter().filter(|(id, _)| !self.view.contains_key(id)) {
            let said = departed.iter().find(|(ended, _)| ended == id).map(|(_, reason)| *reason);
            // An observer is sent no reasons, and has heard how its supervisor left.
            let reason = said.or_else(|| heard.get(id).copied()).unwrap_or(EndReason::Failed);
            effects.push(Effect::Tell(Notice::Ended(entry.clone(), reason, self.predecessor)));
        }
        for (id, entry) in &self.view {
            match old.get(id) {
                None => effects.push(Effect::Tell(Notice::Joined(entry.clone()))),
                Some(before) if before != entry => effects.push(Effect::Tell(Notice::Changed(entry.clone()))),
                Some(_) => {}
            }
        }
        self.settle_state(&head, effects);
        self.arrive_again(effects);
        self.say_errands(effects);
    }

    /// What the registry says of this instance is what it brings to the next supervisor, under a new id as well.
    fn note_pause(&mut self) {
        if let Some(own) = self.view.get(&self.id) {
            self.profile.paused = own.profile.paused;
        }
    }

    pub(super) fn rebased(&mut self, base: Token) -> Result<(), Misplaced> {
        if self.standing != Connection::Settled {
            return Err(Misplaced("base of no reign"));
        }
        self.base = self.base.max(base);
        Ok(())
    }

    pub(super) fn changed(&mut self, delta: Delta, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        let next = Stamp { n: self.stamp.n.wrapping_add(1), ..self.stamp };
        if self.standing != Connection::Settled || delta.stamp != next {
            return Err(Misplaced("change of another view"));
        }
        let before = delta.ended.iter().map(|(id, _)| id).chain(delta.entries.iter().map(|entry| &entry.id));
        let before: BTreeSet<_> = before.collect();
        let before = Cost::of_entries(before.into_iter().filter_map(|id| self.view.get(id)));
        self.view_cost = self.view_cost.without(before).and(Cost::of_entries(&delta.entries)).of_a_view()?;
        self.stamp = next;
        for (id, reason) in delta.ended {
            if let Some(entry) = self.view.remove(&id) {
                effects.push(Effect::Tell(Notice::Ended(entry, reason, self.supervisor)));
            }
        }
        for entry in delta.entries {
            effects.push(Effect::Tell(match self.view.insert(entry.id, entry.clone()) {
                None => Notice::Joined(entry),
                Some(_) => Notice::Changed(entry),
            }));
        }
        self.note_pause();
        Ok(())
    }

    /// The id has ended. What was held is lost; what was waited for is asked for again under the new id.
    pub(super) fn forfeit(&mut self, effects: &mut Vec<Effect>) {
        self.lose_all(effects);
        self.forget_state(effects);
        // The old view stays for the comparison with the next one; without a stamp it is no knowledge any more.
        self.stamp = Stamp::default();
        self.forfeits.clear();
        self.heard.clear();
        self.departed.clear();
        effects.push(Effect::Tell(Notice::Forfeited));
        effects.push(Effect::Rename);
    }
}
