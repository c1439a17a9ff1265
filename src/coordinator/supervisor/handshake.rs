//! How a connection becomes a member's: newcomers, survivors of the last reign, and those that come back in this one.

use super::super::registry::Place;
use super::super::submission::Submission;
use super::{Link, LinkId, LinkState, Output, Phase, StepDown, Supervisor, WIRE_VERSION};
use crate::ident::{InstanceId, Stamp};
use crate::wire::chunk_ids;
use crate::wire::message::{Hello, Join, NameSort, Purpose, Refusal, ToMember};

impl Supervisor {
    pub(super) fn hello(&mut self, link: LinkId, hello: Hello) {
        let id = hello.id;
        if hello.wire != WIRE_VERSION {
            let refusal = Refusal::Wire { supervisor: WIRE_VERSION, client: hello.wire };
            self.refuse(link, refusal);
            if matches!(&self.phase, Phase::Window(w) if w.awaited().chain(w.unnamed()).any(|awaited| awaited == id)) {
                self.step_down(StepDown::MustRefuse);
            }
            return;
        }
        if hello.purpose == Purpose::Observer {
            return self.set_state(link, LinkState::Gathering(Box::new(Submission::new(hello))));
        }
        if let Some((attempt, older)) = self.claimants.get(&id).copied()
            && self.rules.highest_attempt
        {
            if attempt >= hello.attempt {
                return self.cut(link);
            }
            // Its owner has given that connection up, or it would not have made this one.
            self.cut(older);
            if self.registry.get(id).is_some() {
                self.disconnected(id, false);
            }
        }
        self.claimants.insert(id, (hello.attempt, link));
        self.set_state(link, LinkState::Gathering(Box::new(Submission::new(hello))));
    }

    pub(super) fn check_group(&mut self, link: LinkId) {
        let Some(Link { state: LinkState::Gathering(submission), .. }) = self.links.get(&link) else { return };
        if submission.join.as_ref().is_some_and(|join| join.group != self.settings.group) {
            self.refuse(link, Refusal::Group);
        }
    }

    pub(super) fn submitted(&mut self, link: LinkId) {
        let Some(Link { state: LinkState::Gathering(submission), .. }) = self.links.get_mut(&link) else { return };
        let id = submission.hello.id;
        if submission.hello.purpose == Purpose::Observer {
            self.set_state(link, LinkState::Observer { welcomed: false });
            if !self.is_window_open() {
                self.welcome_observer(link);
            }
            return;
        }
        let Some(join) = submission.join.take() else { return };
        if self.registry.get(id).is_none() && self.registry.len() >= self.settings.member_limit as usize {
            return self.refuse(link, Refusal::Full { limit: self.settings.member_limit });
        }
        let Some(Link { state: LinkState::Gathering(submission), .. }) = self
            .links
            .get_mut(&link)
            .map(|found| Link { sent: found.sent, state: std::mem::replace(&mut found.state, LinkState::Member(id)) })
        else {
            return;
        };
        let is_fresh = join.stamp == Stamp::default();
        if self.is_window_open() && !is_fresh {
            self.survivor(link, id, join, *submission);
        } else if matches!(self.registry.get(id).map(|m| m.place), Some(Place::Aside(_))) {
            // Also one that never had a view: its Welcome was lost with its connection, but the others know it already.
            self.returning(link, id, join, *submission);
        } else if is_fresh {
            self.newcomer(link, id, join);
        } else {
            // Set aside beyond the limit, or over the limit in a window: the id has ended and never comes back.
            self.forfeit(link, id);
        }
    }

    fn newcomer(&mut self, link: LinkId, id: InstanceId, join: Join) {
        // A handshake begun anew: nothing that was noted for this id counts, for it never read its Welcome.
        self.grants.forget(id);
        if let Phase::Window(window) = &mut self.phase {
            window.newcomer(id, &join);
        }
        self.registry.put(id, join.profile, Place::Parked(link));
    }

    fn survivor(&mut self, link: LinkId, id: InstanceId, join: Join, submission: Submission) {
        let Phase::Window(window) = &mut self.phase else { return };
        window.survivor(id, &join, &submission, link == LinkId::LOCAL);
        let known = self.registry.in_place(|place| matches!(place, Place::Here(_)));
        let mut names: Vec<_> = known.clone();
        names.push(id);
        self.registry.put(id, join.profile, Place::Here(link));
        self.grants.claim(id, submission.held, submission.wants);
        for ids in chunk_ids(&names) {
            self.send(link, ToMember::Names(NameSort::Heard, ids));
        }
        self.send(link, ToMember::Welcome(self.welcome(None)));
    }

    fn returning(&mut self, link: LinkId, id: InstanceId, join: Join, submission: Submission) {
        self.registry.put(id, join.profile, Place::Here(link));
        self.announce(&[id], Vec::new(), Some(link));
        self.send_view(&[link], ToMember::Welcome(self.welcome(Some(self.head()))));
        // It was welcomed before whoever is being named or still waits for the reign to open.
        let sent = self.links.get(&link).map_or(0, |l| l.sent);
        let opening = match &mut self.phase {
            Phase::Opening(awaiting) => Some(awaiting),
            _ => None,
        };
        for awaiting in opening.into_iter().chain(&mut self.round) {
            awaiting.insert(link, sent);
        }
        self.outputs.push(Output::Watch(vec![link]));
        self.grants.back(id, submission.held, submission.wants);
        self.grants.set_ready(id, true);
    }

    pub(super) fn forfeit(&mut self, link: LinkId, id: InstanceId) {
        self.claimants.remove(&id);
        self.send(link, ToMember::Forfeited);
        self.close_link(link);
    }
}
