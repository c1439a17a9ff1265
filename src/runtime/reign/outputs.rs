//! What becomes of what the machine decides: frames go into the outboxes, questions to the application's callbacks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::callbacks::{Task, What};
use super::super::clock;
use super::super::link::Link;
use super::super::looks::Look;
use super::super::outbox::Flushed;
use super::{Core, Ended, Reign};
use crate::coordinator::supervisor::{Lack, LinkId, Output, StepDown, Supervisor};
use crate::ident::Tag;
use crate::wire::Notice;
use crate::wire::frame::Message;
use crate::wire::message::ToMember;

/// What is to be done once the lock is released.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Whose outboxes have got something.
    pub(super) touched: Vec<Arc<Link>>,
    /// What the application is asked.
    pub(super) asked: Vec<Task>,
    /// Which members are to be sent a notice.
    pub(super) notices: Vec<(Notice, Vec<Tag>)>,
    /// Whether these live is to be looked at.
    pub(super) look: Option<Look>,
    /// What is to be logged: not under the lock, for a logger may panic, and ask this instance who it is.
    pub(super) notes: Vec<(log::Level, String)>,
}

impl Reign {
    /// Puts what the machine decided into the outboxes, and says what else is to be done.
    pub(super) fn settle(&self, core: &mut Core) -> Settled {
        let mut touched = BTreeSet::new();
        let mut asked = Vec::new();
        let mut notices = Vec::new();
        let mut look = None;
        let mut notes = Vec::new();
        let is_traced = log::max_level() >= log::LevelFilter::Trace;
        loop {
            if core.machine.is_complete() {
                core.machine.close(clock::nanoseconds());
            }
            let outputs = core.machine.take_outputs();
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                if core.ended == Some(Ended::FailStop) {
                    // Nothing of what was decided last reaches anybody.
                    return Settled::default();
                }
                match output {
                    Output::Send(LinkId::LOCAL, frame) => self.tell_own(core, frame),
                    Output::Send(to, frame) => {
                        if is_traced {
                            notes.push((log::Level::Trace, format!("to {}: {frame}", to.0)));
                        }
                        if let Some(link) = core.links.get(&to) {
                            link.outbox.push(&frame);
                            touched.insert(to);
                        }
                    }
                    Output::Cast(links, frame) => {
                        if is_traced {
                            notes.push((log::Level::Trace, format!("to {} connections: {frame}", links.len())));
                        }
                        let mut encoded = Vec::new();
                        frame.encode(&mut encoded);
                        for to in &links {
                            if let Some(link) = core.links.get(to) {
                                link.outbox.push_encoded(&encoded);
                                touched.insert(*to);
                            }
                        }
                        if links.contains(&LinkId::LOCAL) {
                            self.tell_own(core, frame);
                        }
                    }
                    Output::Watch(links) => {
                        for to in links {
                            if let Some(link) = core.links.get(&to) {
                                link.outbox.watch();
                                touched.insert(to);
                            }
                        }
                    }
                    Output::Close(to) => {
                        if let Some(link) = core.links.get(&to) {
                            link.outbox.close();
                            touched.insert(to);
                        }
                    }
                    Output::Cut(to) => {
                        if let Some(link) = core.links.get(&to) {
                            link.cut();
                        }
                    }
                    Output::StepDown(why) => {
                        notes.push((log::Level::Warn, format!("leaving the office to another: {}", sentence(why))));
                        if let StepDown::MustRefuse(membership) = why {
                            self.shared.state().session.yielded_for(membership);
                        }
                        core.ended = Some(match why {
                            StepDown::Stopped => Ended::Left,
                            StepDown::Lacks(_) => Ended::Lacking,
                            StepDown::Forfeited | StepDown::MustRefuse(_) => Ended::SteppedDown,
                        });
                    }
                    Output::Judge(question, entry, frame) => {
                        asked.push(Task { reign: self.own.clone(), question, entry, what: What::Judge(frame) });
                    }
                    Output::Handle(question, entry, bytes) => {
                        asked.push(Task { reign: self.own.clone(), question, entry, what: What::Answer(bytes) });
                    }
                    Output::Notify { id, tags, evicted } => notices.push((Notice { id, evicted }, tags)),
                    Output::Look(ids) => look = Some(Look { reign: self.own.clone(), ids }),
                    // Nobody has said that the office is left to anybody.
                    Output::HandOver(_) => core.heir_waits.come(),
                }
            }
        }
        if core.machine.is_open() {
            self.open();
        }
        let touched = touched.iter().filter_map(|id| core.links.get(id).cloned()).collect();
        Settled { touched, asked, notices, look, notes }
    }

    fn open(&self) {
        if !self.open.swap(true, Ordering::AcqRel) {
            self.shared.opened();
        }
    }

    /// The supervisor's own instance hears like any other, but at once.
    fn tell_own(&self, core: &mut Core, frame: ToMember) {
        let machine = &mut core.machine;
        // If nobody else has to hear of the reign, it is open for whoever wakes up for this.
        if machine.is_open() && matches!(frame, ToMember::Welcome(_) | ToMember::Opened(_)) {
            self.open();
        }
        match self.shared.receive_silently(frame) {
            Ok(replies) => replies.into_iter().for_each(|reply| machine.frame(LinkId::LOCAL, reply)),
            Err(misplaced) => {
                let why =
                    format!("the own member half and the supervisor disagree, leaving the office: {}", misplaced.0);
                self.shared.state().note(log::Level::Error, why);
                core.ended = Some(Ended::FailStop);
            }
        }
    }

    /// Writes what waits in these outboxes, and whatever follows from its being written.
    pub(in crate::runtime) fn flush(&self, mut touched: Vec<Arc<Link>>) {
        while !touched.is_empty() {
            let mut written = Vec::new();
            for link in touched.drain(..) {
                match link.outbox.flush(&link.stream) {
                    Flushed::Quiet => {}
                    Flushed::Written(count) => written.push((link.id, count)),
                    // Its own thread sees the end and tells the machine. That frees nothing: the peer comes back.
                    Flushed::Failed => link.cut(),
                }
            }
            if written.is_empty() {
                return;
            }
            let input = |machine: &mut Supervisor| written.iter().for_each(|(id, count)| machine.written(*id, *count));
            let Some((next, ())) = self.decide(input, |_| ()) else { return };
            touched = next;
        }
    }
}

fn sentence(why: StepDown) -> &'static str {
    match why {
        StepDown::Forfeited => "this instance had forfeited everything before it won",
        StepDown::MustRefuse(_) => {
            "a living member speaks another wire version, or brings numbers that cannot be believed"
        }
        StepDown::Stopped => "this instance was told to stop and did not",
        StepDown::Lacks(Lack::Descriptors) => "this process has too few descriptors to take in those who are awaited",
        StepDown::Lacks(Lack::Threads) => "this process can start too few threads to take in those who are awaited",
    }
}
