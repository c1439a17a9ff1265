//! How the registry reaches the instances: whole views and their changes.

use std::collections::BTreeMap;

use super::{LinkId, LinkState, Output, Place, Supervisor, chunk_entries, chunk_forfeits};
use crate::ident::{InstanceId, Nonce, Stamp};
use crate::wire::message::{Delta, EndReason, Entry, ToMember, ViewHead, Welcome};

impl Supervisor {
    /// The head of the present view.
    pub(super) fn head(&self) -> ViewHead {
        ViewHead { stamp: self.registry.stamp(), written: self.state().stamp().n, ..self.head }
    }

    pub(super) fn welcome(&self, view: Option<ViewHead>) -> Welcome {
        Welcome { supervisor: self.settings.me, pid: self.settings.pid, view }
    }

    /// Makes a new view and writes what changed to everyone who has the one before.
    pub(super) fn announce(
        &mut self,
        changed: &[InstanceId],
        ended: Vec<(InstanceId, EndReason)>,
        except: Option<LinkId>,
    ) {
        if self.is_window_open() {
            return;
        }
        let delta = self.registry.change(changed, ended);
        self.cast(self.viewers(except), ToMember::Delta(delta));
    }

    /// The connections of all members that have a view.
    pub(super) fn members(&self) -> Vec<LinkId> {
        let here = |place: Place| matches!(place, Place::Here(_)).then(|| place.link()).flatten();
        self.registry.iter().filter_map(|(_, member)| here(member.place)).collect()
    }

    /// The connections of all that have a view, in their order.
    pub(super) fn viewers(&self, except: Option<LinkId>) -> Vec<LinkId> {
        let all = self.members().into_iter().chain(self.observers(true));
        let mut links: Vec<_> = all.filter(|link| Some(*link) != except).collect();
        links.sort_unstable();
        links
    }

    /// Writes the whole present view to these connections, of the state what each of them lacks, whose copy goes so far,
    /// and what uses it. Those that lack the same get the same frames.
    pub(super) fn send_view(&mut self, to: &[(LinkId, Stamp)], last: impl Fn(ViewHead) -> ToMember) {
        let mut groups: BTreeMap<Option<Stamp>, Vec<LinkId>> = BTreeMap::new();
        for (link, has) in to {
            groups.entry(self.state().since(*has)).or_default().push(*link);
        }
        for (since, links) in groups {
            for forfeits in chunk_forfeits(&self.forfeits) {
                self.cast(links.clone(), ToMember::Forfeits(forfeits));
            }
            for entries in chunk_entries(self.registry.view()) {
                self.cast(links.clone(), ToMember::Entries(entries));
            }
            let values: Vec<_> = self.state().written_since(since).cloned().collect();
            for value in values {
                self.cast(links.clone(), ToMember::Value(value));
            }
            self.cast(links, last(ViewHead { whole: since.is_none(), ..self.head() }));
        }
    }

    /// Welcomes these as part of the reign, with all there is.
    pub(super) fn welcome_all(&mut self, links: &[LinkId]) {
        let whole: Vec<_> = links.iter().map(|link| (*link, Stamp::default())).collect();
        self.welcome_with(&whole);
    }

    /// Welcomes these as part of the reign. Their copies of the state go so far.
    pub(super) fn welcome_with(&mut self, to: &[(LinkId, Stamp)]) {
        let Welcome { supervisor, pid, .. } = self.welcome(None);
        self.send_view(to, |view| ToMember::Welcome(Welcome { supervisor, pid, view: Some(view) }));
    }

    pub(super) fn welcome_observer(&mut self, link: LinkId) {
        self.welcome_all(&[link]);
        if let Some(LinkState::Observer { welcomed, .. }) = self.links.get_mut(&link).map(|found| &mut found.state) {
            *welcomed = true;
        }
    }

    pub(super) fn cast(&mut self, links: Vec<LinkId>, frame: ToMember) {
        let open = |link: &LinkId| {
            self.links.get_mut(link).filter(|found| found.state != LinkState::Closing).map(|found| found.sent += 1)
        };
        let mut open = open;
        let mut links: Vec<_> = links.into_iter().filter(|link| open(link).is_some()).collect();
        if let Some(blinded) = without_nonces(&frame) {
            let (observers, members): (Vec<_>, _) = links.into_iter().partition(|link| self.is_an_observers(*link));
            if !observers.is_empty() {
                self.outputs.push(Output::Cast(observers, blinded()));
            }
            links = members;
        }
        if !links.is_empty() {
            self.outputs.push(Output::Cast(links, frame));
        }
    }
}

/// The frame as an observer gets it, if it names entries: what members prove themselves by is nothing for strangers.
fn without_nonces(frame: &ToMember) -> Option<impl Fn() -> ToMember> {
    let blind = |entries: &[Entry]| -> Vec<Entry> {
        entries.iter().map(|entry| Entry { nonce: Nonce::UNKNOWN, ..entry.clone() }).collect()
    };
    matches!(frame, ToMember::Entries(_) | ToMember::Delta(_)).then_some(move || match frame {
        ToMember::Entries(entries) => ToMember::Entries(blind(entries)),
        ToMember::Delta(delta) => ToMember::Delta(Delta { entries: blind(&delta.entries), ..delta.clone() }),
        other => other.clone(),
    })
}
