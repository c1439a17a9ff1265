//! Policies, pauses, messages and questions in a world, and what an all-knowing observer demands of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::session::Notice;
use super::super::supervisor::{LinkId, Supervisor};
use super::Fault;
use super::world::{Action, World, owner};
use crate::ident::{InstanceId, Request, Token};
use crate::wire::message::{Order, ToMember, ToSupervisor};

/// One thing that one instance asked for, whatever its id: requests are numbered for its whole life.
type Wish = (usize, Request);

/// The observer's notes.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// How many messages and questions each instance has sent.
    sent: Vec<u8>,
    errands: BTreeMap<Wish, Errand>,
    /// The last message that each instance has heard of each other one.
    heard: BTreeMap<(usize, usize), u8>,
    /// What the applications of the supervisors were asked and have not answered.
    open: Vec<Question>,
    /// What the policy of the present supervisor has allowed, what that of any one has, and what one has denied.
    allowed: BTreeSet<Wish>,
    allowed_once: BTreeSet<Wish>,
    denied: BTreeSet<Wish>,
    granted: BTreeSet<(Wish, Token)>,
    /// Whom each command to pause or to resume was for.
    commands: BTreeMap<Wish, (usize, bool)>,
    /// Whether each instance has to be paused in the end, if that can be known.
    paused: Vec<Option<bool>>,
    /// Whoever has ever been paused: it may have been passed over.
    passed_over: BTreeSet<usize>,
}

/// A message or a question.
#[derive(Clone, Debug)]
struct Errand {
    number: u8,
    sort: Sort,
    /// It has reached somebody; the handler has heard it.
    was_heard: bool,
    /// The sender was told that nobody has heard it and nobody will.
    is_void: bool,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    To(usize),
    ToAll,
    Question,
}

#[derive(Clone, Debug)]
struct Question {
    at: u8,
    number: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// Whether this may be done.
    Judge(Wish),
    /// What the answer is, and whether the handler has begun with it.
    Answer(Wish, bool),
}

/// The recipient that means everybody.
pub(super) const ALL: u8 = u8::MAX;

impl Seen {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            sent: vec![0; slots],
            errands: BTreeMap::new(),
            heard: BTreeMap::new(),
            open: Vec::new(),
            allowed: BTreeSet::new(),
            allowed_once: BTreeSet::new(),
            denied: BTreeSet::new(),
            granted: BTreeSet::new(),
            commands: BTreeMap::new(),
            paused: vec![Some(false); slots],
            passed_over: BTreeSet::new(),
        }
    }

    /// Which message or question says this.
    fn errand(&self, bytes: &[u8]) -> Option<Wish> {
        let &[from, number] = bytes else { return None };
        let mut theirs =
            self.errands.range((usize::from(from), Request::new(0))..=(from.into(), Request::new(u64::MAX)));
        theirs.find(|(_, errand)| errand.number == number).map(|(wish, _)| *wish)
    }

    /// Whether a policy has refused this.
    pub(super) fn was_denied(&self, i: u8, request: Request) -> bool {
        self.denied.contains(&(i.into(), request))
    }

    /// Whether this one may have been passed over in a queue.
    pub(super) fn was_passed_over(&self, i: usize) -> bool {
        self.passed_over.contains(&i)
    }

    /// A reign begins: its policy has said nothing yet.
    pub(super) fn begin_reign(&mut self) {
        self.allowed.clear();
    }

    /// A reign is over, and with it what its application was asked.
    pub(super) fn end_reign(&mut self, at: u8) {
        self.open.retain(|question| question.at != at);
    }

    /// What it was told by a connection that it has given up it may never read.
    pub(super) fn gave_up(&mut self, i: u8) {
        self.paused[usize::from(i)] = None;
    }
}

fn request_of(frame: &ToSupervisor) -> Request {
    match frame {
        ToSupervisor::Acquire(want) => want.request,
        ToSupervisor::Arrive(arrive) => arrive.request,
        ToSupervisor::Put(put) => put.request,
        ToSupervisor::Post(post) => post.request,
        ToSupervisor::Ask(ask) => ask.request,
        other => panic!("nobody is asked about {other}"),
    }
}

impl World {
    /// What an application may send next, and what the one that reigns may command.
    pub(super) fn errands(&self, i: u8, actions: &mut Vec<Action>) {
        let living = || (0..self.instances.len()).filter(|k| self.instances[*k].is_alive()).map(|k| k as u8);
        if self.ghost.control.sent[usize::from(i)] < self.config.errands {
            actions.extend([Action::Ask(i), Action::Post(i, ALL)]);
            actions.extend(living().map(|k| Action::Post(i, k)));
        }
        let instance = &self.instances[usize::from(i)];
        let Some(supervisor) = instance.supervisor.as_ref().filter(|supervisor| supervisor.is_open()) else { return };
        if instance.retiring.is_some() || !instance.session.is_settled() {
            return;
        }
        for k in living() {
            if is_paused(supervisor, self.instances[usize::from(k)].session.id()) {
                actions.push(Action::Resume(i, k));
            } else if self.used[Fault::Pause as usize] < self.config.faults[Fault::Pause as usize] {
                actions.push(Action::Pause(i, k));
            }
        }
    }

    /// What the application of a supervisor has been asked it answers some time.
    pub(super) fn answers(&self, i: u8, actions: &mut Vec<Action>) {
        for (n, question) in self.ghost.control.open.iter().enumerate().filter(|(_, question)| question.at == i) {
            actions.push(match question.what {
                What::Judge(_) => Action::Judge(n as u8, true),
                What::Answer(..) => Action::Answer(n as u8),
            });
        }
    }

    /// What it may refuse instead.
    pub(super) fn refusals(&self, i: u8, actions: &mut Vec<Action>) {
        if self.used[Fault::Deny as usize] < self.config.faults[Fault::Deny as usize] {
            let open = self.ghost.control.open.iter().enumerate();
            let judged = open.filter(|(_, question)| question.at == i && matches!(question.what, What::Judge(_)));
            actions.extend(judged.map(|(n, _)| Action::Judge(n as u8, false)));
        }
    }

    pub(super) fn post(&mut self, i: u8, to: u8) {
        let recipient = (to != ALL).then(|| self.at(to).session.id());
        let sort = if to == ALL { Sort::ToAll } else { Sort::To(to.into()) };
        self.send_errand(i, sort, |session, bytes| session.post(recipient, bytes));
    }

    pub(super) fn question(&mut self, i: u8) {
        self.send_errand(i, Sort::Question, |session, bytes| session.ask(bytes));
    }

    fn send_errand(
        &mut self,
        i: u8,
        sort: Sort,
        say: impl FnOnce(&mut super::super::session::Session, Arc<[u8]>) -> (Request, Option<ToSupervisor>),
    ) {
        let sent = &mut self.ghost.control.sent[usize::from(i)];
        *sent += 1;
        let number = *sent;
        let (request, frame) = say(&mut self.at(i).session, [i, number].into());
        let errand = Errand { number, sort, was_heard: false, is_void: false, is_over: false };
        self.ghost.control.errands.insert((i.into(), request), errand);
        self.say(i, frame);
    }

    pub(super) fn pause(&mut self, i: u8, k: u8, pauses: bool) {
        let to = self.at(k).session.id();
        let order = if pauses { Order::Pause } else { Order::Resume };
        let Some((request, frame)) = self.at(i).session.command(Some(to), order) else { return };
        let seen = &mut self.ghost.control;
        seen.commands.insert((i.into(), request), (k.into(), pauses));
        seen.paused[usize::from(k)] = None;
        seen.passed_over.insert(k.into());
        self.say(i, Some(frame));
    }

    // ------------------------------------------------------------------------------------ the application that reigns

    /// The policy of a supervisor is asked about this.
    pub(super) fn policy_asked(&mut self, at: u8, number: u64, who: InstanceId, frame: &ToSupervisor) {
        let what = What::Judge((owner(who), request_of(frame)));
        self.ghost.control.open.push(Question { at, number, what });
    }

    /// The handler of a supervisor is asked this.
    pub(super) fn handler_asked(
        &mut self,
        at: u8,
        supervisor: &Supervisor,
        number: u64,
        who: InstanceId,
        bytes: &[u8],
    ) {
        let Some(wish) = self.ghost.control.errand(bytes).filter(|(from, _)| *from == owner(who)) else {
            return self.fail(format!("NEVER ASKED: {bytes:?} of {who}"));
        };
        self.check_allowed(wish, "a question");
        if is_paused(supervisor, who) {
            self.fail(format!("PAUSED GETS: the handler hears {wish:?}"));
        }
        self.ghost.control.open.push(Question { at, number, what: What::Answer(wish, false) });
    }

    pub(super) fn judge(&mut self, n: u8, allows: bool) {
        let Question { at, number, what } = self.ghost.control.open.remove(n.into());
        let What::Judge(wish) = what else { return };
        if self.is_wanted(at, number) {
            let seen = &mut self.ghost.control;
            if allows {
                seen.allowed.insert(wish);
                seen.allowed_once.insert(wish);
            } else {
                seen.denied.insert(wish);
            }
        }
        let verdict = if allows { Ok(()) } else { Err("no".into()) };
        self.supervise(at, |supervisor| supervisor.judged(number, verdict));
    }

    /// The handler begins with a question, or answers it.
    pub(super) fn answer(&mut self, n: u8) {
        let Question { at, number, what } = self.ghost.control.open.remove(n.into());
        let What::Answer(wish, begun) = what else { return };
        if begun {
            let Some(errand) = self.ghost.control.errands.get(&wish) else { return };
            let bytes: Arc<[u8]> = [wish.0 as u8, errand.number].into();
            return self.supervise(at, |supervisor| supervisor.handled(number, Ok(bytes)));
        }
        let mut begins = false;
        self.supervise(at, |supervisor| begins = supervisor.begin(number));
        // What nobody waits for the handler does not hear.
        if !begins {
            return;
        }
        let Some(errand) = self.ghost.control.errands.get_mut(&wish) else { return };
        let (was_heard, is_void) = (std::mem::replace(&mut errand.was_heard, true), errand.is_void);
        if was_heard || is_void {
            self.fail(format!("HEARD TWICE: {wish:?}, heard before: {was_heard}, void: {is_void}"));
        }
        self.ghost.control.open.push(Question { at, number, what: What::Answer(wish, true) });
    }

    fn is_wanted(&self, at: u8, number: u64) -> bool {
        let supervisor = self.instances[usize::from(at)].supervisor.as_ref();
        supervisor.is_some_and(|supervisor| supervisor.is_wanted(number))
    }

    fn check_allowed(&mut self, wish: Wish, what: &str) {
        if self.config.judges && !self.ghost.control.allowed.contains(&wish) {
            self.fail(format!("NOT ASKED: {what} of {}, request {}", wish.0, wish.1));
        }
    }

    // -------------------------------------------------------------------------------------------- what is said and heard

    /// A supervisor says something.
    pub(super) fn control_said(&mut self, i: u8, supervisor: &Supervisor, link: LinkId, frame: &ToMember) {
        let whose = if link == LinkId::LOCAL { Some(self.at(i).session.id()) } else { supervisor.behind(link) };
        match (frame, whose) {
            (ToMember::Grant(grant), Some(id)) => {
                let wish = (owner(id), grant.request);
                // Who is back is told again what it was granted.
                if self.ghost.control.granted.insert((wish, grant.token)) {
                    self.check_allowed(wish, "a grant");
                    if is_paused(supervisor, id) {
                        self.fail(format!("PAUSED GETS: {id} is granted {}", grant.request));
                    }
                }
            }
            (ToMember::Message(from, bytes), _) => match self.ghost.control.errand(bytes) {
                Some(wish) if wish.0 == owner(*from) => self.check_allowed(wish, "a message"),
                _ => self.fail(format!("NEVER SENT: {bytes:?} of {from}")),
            },
            (ToMember::Value(value), _) => {
                // Of an earlier reign, unless it is a write of this one.
                let wish = (owner(value.writer), value.request);
                if self.config.judges && !self.ghost.control.allowed_once.contains(&wish) {
                    self.fail(format!("NOT ASKED: a write of {}, request {}", wish.0, wish.1));
                }
            }
            (ToMember::Delivered(request, _), Some(id)) => self.check_delivered((owner(id), *request)),
            _ => {}
        }
    }

    /// That a message has reached somebody means that it was heard, or lies in a buffer that will be read.
    fn check_delivered(&mut self, wish: Wish) {
        let Some(Errand { sort: Sort::To(to), number, .. }) = self.ghost.control.errands.get(&wish) else { return };
        let (to, number) = (*to, *number);
        let heard = self.ghost.control.heard.get(&(to, wish.0)).is_some_and(|last| *last >= number);
        let bytes = [wish.0 as u8, number];
        let is_it = |frame: &ToMember| matches!(frame, ToMember::Message(_, said) if **said == bytes);
        let mut pipes = self.pipes.iter().filter(|pipe| usize::from(pipe.client) == to);
        // Whoever has closed its side, or is dead, has it as far as its supervisor can know.
        let fine = pipes.any(|pipe| !pipe.client_open || pipe.down.iter().any(is_it));
        if !heard && !fine && self.instances[to].is_alive() {
            self.fail(format!("NOT DELIVERED: {wish:?} to {to}"));
        }
    }

    /// An application hears something.
    pub(super) fn control_heard(&mut self, i: u8, notice: &Notice) {
        let me = usize::from(i);
        match notice {
            Notice::Message(from, bytes) => self.message_heard(me, owner(*from), bytes),
            Notice::Delivered(request, count) => {
                if let Some((k, pauses)) = self.ghost.control.commands.remove(&(me, *request)) {
                    // What was commanded since may have reached it or not.
                    let later = (me, *request)..=(me, Request::new(u64::MAX));
                    let is_last = !self.ghost.control.commands.range(later).any(|(_, (other, _))| *other == k);
                    self.ghost.control.paused[k] = (*count == 1 && is_last).then_some(pauses);
                }
                self.over((me, *request), false);
            }
            Notice::Interrupted(request) => {
                if let Some((k, _)) = self.ghost.control.commands.remove(&(me, *request)) {
                    self.ghost.control.paused[k] = None;
                }
                self.over((me, *request), false);
            }
            Notice::Undelivered(request) => {
                self.ghost.control.commands.remove(&(me, *request));
                self.over((me, *request), true);
            }
            Notice::Denied(request, _) => self.over((me, *request), true),
            Notice::Replied(request, bytes) => {
                let errand = self.ghost.control.errands.get(&(me, *request));
                if errand.is_none_or(|errand| **bytes != [i, errand.number] || !errand.was_heard) {
                    self.fail(format!("WRONG REPLY: {bytes:?} to request {request} of {i}, {errand:?}"));
                }
                self.over((me, *request), false);
            }
            Notice::Failed(request, why) => self.fail(format!("FAILED: request {request} of {i}: {why}")),
            _ => {}
        }
    }

    fn message_heard(&mut self, me: usize, from: usize, bytes: &[u8]) {
        let Some(errand) = self.ghost.control.errand(bytes).and_then(|wish| self.ghost.control.errands.get_mut(&wish))
        else {
            return self.fail(format!("NEVER SENT: {bytes:?} of {from}"));
        };
        errand.was_heard = true;
        let (number, is_void) = (errand.number, errand.is_void);
        let is_for_me = match errand.sort {
            Sort::To(to) => to == me,
            Sort::ToAll => from != me,
            Sort::Question => false,
        };
        let last = self.ghost.control.heard.insert((me, from), number).unwrap_or_default();
        if !is_for_me || is_void || last >= number {
            self.fail(format!(
                "MESSAGE: {me} hears {number} of {from} after {last}; void: {is_void}, its own: {is_for_me}"
            ));
        }
    }

    /// It was answered, for good.
    fn over(&mut self, wish: Wish, nobody_hears: bool) {
        let Some(errand) = self.ghost.control.errands.get_mut(&wish) else { return };
        let was_over = std::mem::replace(&mut errand.is_over, true);
        errand.is_void = nobody_hears;
        if was_over || nobody_hears && errand.was_heard {
            let errand = errand.clone();
            self.fail(format!("ANSWERED WRONG: {wish:?}, over before: {was_over}, {errand:?}"));
        }
    }

    /// What is wrong when nothing is left to do. Of who is paused everything may still wait.
    pub(super) fn control_unrest(&self, supervisor: &Supervisor) -> Option<String> {
        let living = self.instances.iter().enumerate().filter(|(_, instance)| instance.is_alive());
        for (i, instance) in living {
            let paused = is_paused(supervisor, instance.session.id());
            let demanded = self.ghost.control.paused[i].unwrap_or(paused);
            if instance.session.profile().paused != paused || demanded != paused {
                return Some(format!("PAUSE FORGOTTEN: {i}, demanded: {demanded}, in the registry: {paused}"));
            }
            let mut theirs = self.ghost.control.errands.iter().filter(|((from, _), _)| *from == i);
            if !paused && (instance.session.errands().next().is_some() || theirs.any(|(_, errand)| !errand.is_over)) {
                return Some(format!("ERRAND FORGOTTEN: {i} waits for {:?}", instance.session.errands().next()));
            }
        }
        None
    }
}

/// Whether the registry says so.
pub(super) fn is_paused(supervisor: &Supervisor, id: InstanceId) -> bool {
    supervisor.registry().get(id).is_some_and(|member| member.profile.paused)
}

mod tests;
