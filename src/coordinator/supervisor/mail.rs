//! What the application says to others, on its way: messages, commands, and what the handler answers.
//!
//! Each recipient gets what is for it in one order, and only so much of it is under way at a time; the rest waits here.
//! Otherwise whoever gets much would have as much unwritten as one who does not read, and be cut like one. The bytes are
//! nowhere copied.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(super) use self::letter::Letter;
use super::super::registry::Place;
use super::{LinkId, LinkState, Phase, Supervisor};
use crate::ident::{InstanceId, Request};
use crate::wire::message::{Order, Post, Refusal, ToMember};

mod check;
mod letter;

/// What is on its way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mail {
    /// How many bytes may be under way to one recipient.
    pace: usize,
    /// How many may wait, for all recipients together.
    room: usize,
    /// By number: later ones have higher numbers.
    letters: BTreeMap<u64, Letter>,
    last: u64,
    /// The letters of whoever is to be told what became of them.
    senders: BTreeSet<(LinkId, Request, u64)>,
    /// One for each connection that something is under way to or waits for.
    boxes: BTreeMap<LinkId, Mailbox>,
    waiting_bytes: usize,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Mailbox {
    /// Written and not known to have reached the kernel, in their order.
    under_way: VecDeque<Sent>,
    /// What those cost.
    bytes: usize,
    /// The numbers of those that wait.
    waiting: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sent {
    /// Which frame of the connection it is.
    frame: u64,
    number: u64,
    cost: usize,
}

/// What became of a letter at one recipient.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Reached,
    /// The connection ended before it was known to be written.
    Interrupted,
    /// Nothing was written.
    Undelivered,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            pace: Self::PACE,
            room: Self::ROOM,
            letters: BTreeMap::new(),
            last: 0,
            senders: BTreeSet::new(),
            boxes: BTreeMap::new(),
            waiting_bytes: 0,
        }
    }
}

impl Mail {
    /// Far below what a connection bears, together with the values of the state that may be under way besides.
    const PACE: usize = 2 << 20;
    const ROOM: usize = 64 << 20;
    /// What a letter costs beside its bytes.
    const OVERHEAD: usize = 64;

    /// Whether a letter may go out to this recipient now, behind all that were for it before.
    fn has_room(&self, link: LinkId, cost: usize) -> bool {
        self.boxes.get(&link).is_none_or(|mailbox| mailbox.waiting.is_empty() && mailbox.bears(cost, self.pace))
    }

    /// The next letter that may go out to this recipient. It waits there no more.
    fn next_for(&mut self, link: LinkId) -> Option<u64> {
        let mailbox = self.boxes.get_mut(&link)?;
        let number = *mailbox.waiting.first()?;
        if !mailbox.bears(self.letters.get(&number)?.cost, self.pace) {
            return None;
        }
        mailbox.waiting.pop_first();
        self.waits_less(number);
        Some(number)
    }

    fn waits_less(&mut self, number: u64) {
        if let Some(letter) = self.letters.get_mut(&number) {
            letter.waits -= 1;
            if letter.waits == 0 {
                self.waiting_bytes -= letter.kept;
            }
        }
    }

    /// Notes what became of a letter at one recipient, and gives it back once that is known of all.
    fn settle(&mut self, number: u64, fate: Fate) -> Option<Letter> {
        let letter = self.letters.get_mut(&number)?;
        letter.open -= 1;
        letter.reached += u32::from(fate == Fate::Reached);
        letter.interrupted |= fate == Fate::Interrupted;
        if letter.open > 0 {
            return None;
        }
        let letter = self.letters.remove(&number)?;
        if let Some((link, request)) = letter.sender {
            self.senders.remove(&(link, request, number));
        }
        Some(letter)
    }

    /// Takes out of a mailbox what has reached the kernel with the first `count` frames, in its order.
    fn pop_written(&mut self, link: LinkId, count: u64) -> Option<u64> {
        let mailbox = self.boxes.get_mut(&link)?;
        if mailbox.under_way.front()?.frame > count {
            return None;
        }
        let sent = mailbox.under_way.pop_front()?;
        mailbox.bytes -= sent.cost;
        Some(sent.number)
    }

    /// Whether anything has gone out of which it is not known what became of it, or an answer of the handler waits.
    pub(super) fn is_any_begun(&self) -> bool {
        self.letters.values().any(|letter| letter.replies_to().is_some() || !letter.is_untouched())
    }

    /// What senders and askers are told when there is no time to wait for more. Who has sent what nobody has got is told
    /// nothing.
    pub(super) fn last_answers(&self) -> Vec<(LinkId, ToMember)> {
        let mut under_way = BTreeSet::new();
        let mut answers = Vec::new();
        for (link, mailbox) in &self.boxes {
            under_way.extend(mailbox.under_way.iter().map(|sent| sent.number));
            // An answer that has gone out lies before the last word on this connection; these do not.
            let waiting = mailbox.waiting.iter().filter_map(|number| self.letters.get(number));
            answers
                .extend(waiting.filter_map(Letter::replies_to).map(|request| (*link, ToMember::Interrupted(request))));
        }
        for (link, request, number) in &self.senders {
            let Some(letter) = self.letters.get(number) else { continue };
            if under_way.contains(number) {
                answers.push((*link, ToMember::Interrupted(*request)));
            } else if !letter.is_untouched() {
                answers.extend(letter.answer());
            }
        }
        answers
    }

    fn drop_if_empty(&mut self, link: LinkId) {
        if self.boxes.get(&link).is_some_and(|mailbox| mailbox.under_way.is_empty() && mailbox.waiting.is_empty()) {
            self.boxes.remove(&link);
        }
    }
}

impl Mailbox {
    /// Whether so much may be under way besides.
    fn bears(&self, cost: usize, pace: usize) -> bool {
        self.bytes == 0 || self.bytes + cost <= pace
    }
}

impl Supervisor {
    /// A message is to go out.
    pub(super) fn post(&mut self, link: LinkId, from: InstanceId, post: Post) {
        if self.is_too_early(link) {
            return;
        }
        let links = self.recipients(link, post.to).into_iter().map(|(_, link)| link).collect();
        self.send_out(ToMember::Message(from, post.bytes), link, post.request, post.to, links);
    }

    /// Nobody has a view yet, so that nobody has anything to say to others. Who does breaks the protocol.
    pub(super) fn is_too_early(&mut self, link: LinkId) -> bool {
        let too_early = self.is_window_open();
        if too_early {
            self.refuse(link, Refusal::Protocol("request before the window is closed".into()));
        }
        too_early
    }

    /// The one that this is for, or all but who says it, as far as they can be written to.
    pub(super) fn recipients(&self, link: LinkId, to: Option<InstanceId>) -> Vec<(InstanceId, LinkId)> {
        let here = |id: InstanceId, place: Place| match place {
            Place::Here(link) if self.is_open_link(link) => Some((id, link)),
            _ => None,
        };
        match to {
            Some(id) => self.registry.get(id).and_then(|member| here(id, member.place)).into_iter().collect(),
            None => {
                let all = self.registry.iter().filter_map(|(id, member)| here(id, member.place));
                all.filter(|(_, other)| *other != link).collect()
            }
        }
    }

    /// Whether anything that is sent to this connection is written to it.
    pub(super) fn is_open_link(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|found| found.state != LinkState::Closing)
    }

    /// Sends what one connection says to these, and tells it what became of that.
    pub(super) fn send_out(
        &mut self,
        frame: ToMember,
        link: LinkId,
        request: Request,
        to: Option<InstanceId>,
        links: Vec<LinkId>,
    ) {
        if !self.hand_out(Letter::new(frame, Some((link, request)), to), links) {
            self.send(link, ToMember::Denied(request, "too much waits to be delivered".into()));
        }
    }

    /// Sends a letter to these, or lets it wait where much is under way or before the reign is open. `false`: too much
    /// waits already, and nothing was sent to anybody.
    pub(super) fn hand_out(&mut self, mut letter: Letter, mut links: Vec<LinkId>) -> bool {
        if letter.frame == ToMember::Command(Order::Stop) {
            // Who is told to stop may leave at once, and with the supervisor goes what it has not said yet.
            letter.own_last = links.contains(&LinkId::LOCAL);
            links.retain(|link| *link != LinkId::LOCAL);
        }
        let is_open = matches!(self.phase, Phase::Open);
        let goes = |link: &LinkId| letter.cost == 0 || is_open && self.mail.has_room(*link, letter.cost);
        let (now, later): (Vec<_>, Vec<_>) = links.into_iter().partition(goes);
        if !later.is_empty() {
            letter.kept = letter.cost + Mail::OVERHEAD * later.len();
        }
        if letter.kept > 0 && self.mail.waiting_bytes + letter.kept > self.mail.room {
            return false;
        }
        letter.waits = later.len();
        letter.open = now.len() + later.len();
        if letter.open == 0 {
            self.finish(letter);
            return true;
        }
        self.mail.last += 1;
        let number = self.mail.last;
        self.mail.waiting_bytes += letter.kept;
        if let Some((link, request)) = letter.sender {
            self.mail.senders.insert((link, request, number));
        }
        self.mail.letters.insert(number, letter);
        for link in later {
            self.mail.boxes.entry(link).or_default().waiting.insert(number);
        }
        self.set_out(number, now);
        true
    }

    fn set_out(&mut self, number: u64, links: Vec<LinkId>) {
        let Some(letter) = self.mail.letters.get(&number) else { return };
        let (frame, cost) = (letter.frame.clone(), letter.cost);
        match links[..] {
            [link] => self.send(link, frame),
            _ => self.cast(links.clone(), frame),
        }
        let awaiting = self.await_writes(links.iter().copied());
        for link in links {
            match awaiting.get(&link) {
                Some(frame) => {
                    let mailbox = self.mail.boxes.entry(link).or_default();
                    mailbox.bytes += cost;
                    mailbox.under_way.push_back(Sent { frame: *frame, number, cost });
                }
                // What the own instance is written is written.
                None => self.settle(number, Fate::Reached),
            }
        }
    }

    fn settle(&mut self, number: u64, fate: Fate) {
        if let Some(letter) = self.mail.settle(number, fate) {
            self.finish(letter);
        }
    }

    /// It is known what became of a letter.
    fn finish(&mut self, mut letter: Letter) {
        // What the own instance is written is written.
        letter.reached += u32::from(letter.own_last);
        if let Some((link, answer)) = letter.answer() {
            self.send(link, answer);
        }
        if letter.own_last {
            self.send(LinkId::LOCAL, letter.frame);
        }
    }

    /// Sends what waited for this recipient, as far as may be.
    fn refill(&mut self, link: LinkId) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        while let Some(number) = self.mail.next_for(link) {
            self.set_out(number, vec![link]);
        }
        self.mail.drop_if_empty(link);
    }

    /// The reign is open: sends what has waited for that.
    pub(super) fn deliver(&mut self) {
        for link in self.mail.boxes.keys().copied().collect::<Vec<_>>() {
            self.refill(link);
        }
    }

    /// The first `count` frames of a connection were written.
    pub(super) fn mail_written(&mut self, link: LinkId, count: u64) {
        while let Some(number) = self.mail.pop_written(link, count) {
            self.settle(number, Fate::Reached);
        }
        self.refill(link);
    }

    /// The sender waits no more. What was sent to nobody yet is not sent to anybody.
    pub(super) fn cancel_post(&mut self, link: LinkId, request: Request) {
        let all = self.mail.senders.range((link, request, 0)..=(link, request, u64::MAX));
        for number in all.map(|(.., number)| *number).collect::<Vec<_>>() {
            if !self.mail.letters.get(&number).is_some_and(Letter::is_untouched) {
                continue;
            }
            self.mail.senders.remove(&(link, request, number));
            self.mail.waiting_bytes -= self.mail.letters.remove(&number).map_or(0, |letter| letter.kept);
            let waited = |(link, mailbox): (&LinkId, &mut Mailbox)| mailbox.waiting.remove(&number).then_some(*link);
            for link in self.mail.boxes.iter_mut().filter_map(waited).collect::<Vec<_>>() {
                self.refill(link);
                self.mail.drop_if_empty(link);
            }
        }
    }

    /// Nothing more is written to this connection, but what was may still arrive.
    pub(super) fn return_waiting(&mut self, link: LinkId) {
        let Some(mailbox) = self.mail.boxes.get_mut(&link) else { return };
        for number in std::mem::take(&mut mailbox.waiting) {
            self.mail.waits_less(number);
            self.settle(number, Fate::Undelivered);
        }
        self.mail.drop_if_empty(link);
    }

    /// Who has left has done what it was told, if it was told to stop: that has reached it, whoever is first to say so.
    pub(super) fn note_stopped(&mut self, link: LinkId) {
        let Mail { boxes, letters, .. } = &mut self.mail;
        let Some(mailbox) = boxes.get_mut(&link) else { return };
        let is_stop = |sent: &Sent| {
            letters.get(&sent.number).is_some_and(|letter| letter.frame == ToMember::Command(Order::Stop))
        };
        let stops: Vec<_> = mailbox.under_way.iter().copied().filter(is_stop).collect();
        // Nothing of it is counted: it costs nothing.
        mailbox.under_way.retain(|sent| !is_stop(sent));
        stops.into_iter().for_each(|sent| self.settle(sent.number, Fate::Reached));
        self.mail.drop_if_empty(link);
    }

    /// A connection has ended. What it sent goes on, and nobody is told what became of that.
    pub(super) fn forget_mail(&mut self, link: LinkId) {
        let first = (link, Request::new(0), 0);
        let own = self.mail.senders.range(first..=(link, Request::new(u64::MAX), u64::MAX));
        for sent in own.copied().collect::<Vec<_>>() {
            self.mail.senders.remove(&sent);
            if let Some(letter) = self.mail.letters.get_mut(&sent.2) {
                letter.sender = None;
            }
        }
        let under_way = self.mail.boxes.get_mut(&link).map(|mailbox| {
            mailbox.bytes = 0;
            std::mem::take(&mut mailbox.under_way)
        });
        for sent in under_way.into_iter().flatten() {
            self.settle(sent.number, Fate::Interrupted);
        }
        self.return_waiting(link);
        self.mail.drop_if_empty(link);
    }
}

#[cfg(test)]
pub(super) mod tests;
