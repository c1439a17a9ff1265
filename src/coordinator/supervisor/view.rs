//! How the registry reaches the instances: whole views and their changes.

use super::{LinkId, LinkState, Output, Place, Supervisor, chunk_entries, chunk_forfeits};
use crate::ident::InstanceId;
use crate::wire::message::{EndReason, ToMember, ViewHead, Welcome};

impl Supervisor {
    /// The head of the present view.
    pub(super) fn head(&self) -> ViewHead {
        ViewHead { stamp: self.registry.stamp(), ..self.head }
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
        let members = self.registry.iter().filter_map(|(_, member)| match member.place {
            Place::Here(link) => Some(link),
            _ => None,
        });
        let mut links: Vec<_> = members.chain(self.observers(true)).filter(|link| Some(*link) != except).collect();
        links.sort_unstable();
        self.cast(links, ToMember::Delta(delta));
    }

    /// Writes the whole present view to these connections, and `last`, which uses it.
    pub(super) fn send_view(&mut self, links: &[LinkId], last: ToMember) {
        if links.is_empty() {
            return;
        }
        for forfeits in chunk_forfeits(&self.forfeits) {
            self.cast(links.to_vec(), ToMember::Forfeits(forfeits));
        }
        for entries in chunk_entries(self.registry.view()) {
            self.cast(links.to_vec(), ToMember::Entries(entries));
        }
        self.cast(links.to_vec(), last);
    }

    pub(super) fn welcome_observer(&mut self, link: LinkId) {
        self.send_view(&[link], ToMember::Welcome(self.welcome(Some(self.head()))));
        self.set_state(link, LinkState::Observer { welcomed: true });
    }

    pub(super) fn cast(&mut self, links: Vec<LinkId>, frame: ToMember) {
        let open = |link: &LinkId| {
            self.links.get_mut(link).filter(|found| found.state != LinkState::Closing).map(|found| found.sent += 1)
        };
        let mut open = open;
        let links: Vec<_> = links.into_iter().filter(|link| open(link).is_some()).collect();
        if !links.is_empty() {
            self.outputs.push(Output::Cast(links, frame));
        }
    }
}
