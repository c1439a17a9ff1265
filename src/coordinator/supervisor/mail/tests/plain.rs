//! Mail as simply as it can be said: every letter with what became of it at each recipient, looked through from the
//! beginning every time.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waits,
    Sent,
    Reached,
    Interrupted,
    Undelivered,
}

#[derive(Clone, Debug)]
struct PlainLetter {
    number: u64,
    sender: Option<LinkId>,
    to_one: bool,
    cost: usize,
    kept: usize,
    fates: Vec<(LinkId, State)>,
    answered: bool,
}

#[derive(Debug)]
pub(super) struct Plain {
    pub(super) pace: usize,
    pub(super) room: usize,
    letters: Vec<PlainLetter>,
    /// Which letters were sent on each connection.
    pub(super) sent: BTreeMap<LinkId, Vec<u64>>,
    pub(super) answers: BTreeMap<LinkId, Vec<ToMember>>,
}

impl Plain {
    pub(super) fn new(pace: usize, room: usize) -> Self {
        Self { pace, room, letters: Vec::new(), sent: BTreeMap::new(), answers: BTreeMap::new() }
    }

    fn states(&self, link: LinkId) -> impl Iterator<Item = (&PlainLetter, State)> {
        let at = move |letter: &PlainLetter| letter.fates.iter().find(|(to, _)| *to == link).map(|(_, state)| *state);
        self.letters.iter().filter_map(move |letter| at(letter).map(|state| (letter, state)))
    }

    /// What is under way to this one.
    pub(super) fn under_way(&self, link: LinkId) -> usize {
        self.states(link).filter(|(_, state)| *state == State::Sent).map(|(letter, _)| letter.cost).sum()
    }

    fn fits(&self, link: LinkId, cost: usize) -> bool {
        self.under_way(link) == 0 || self.under_way(link) + cost <= self.pace
    }

    pub(super) fn post(&mut self, sender: LinkId, number: u64, to_one: bool, recipients: &[LinkId], size: usize) {
        let cost = size + Mail::OVERHEAD;
        let waits = |link: &&LinkId| self.states(**link).any(|(_, state)| state == State::Waits);
        let later = recipients.iter().filter(|link| waits(link) || !self.fits(**link, cost)).count();
        let kept = if later > 0 { cost + Mail::OVERHEAD * later } else { 0 };
        let is_waiting = |letter: &&PlainLetter| letter.fates.iter().any(|(_, state)| *state == State::Waits);
        let waiting: usize = self.letters.iter().filter(is_waiting).map(|letter| letter.kept).sum();
        if kept > 0 && waiting + kept > self.room {
            return self.answer(sender, ToMember::Denied(request(number), "".into()));
        }
        let fates = recipients.iter().map(|link| (*link, State::Waits)).collect();
        self.letters.push(PlainLetter { number, sender: Some(sender), to_one, cost, kept, fates, answered: false });
        self.go_on();
    }

    fn answer(&mut self, link: LinkId, answer: ToMember) {
        self.answers.entry(link).or_default().push(answer);
    }

    fn set(&mut self, link: LinkId, from: State, to: State, only: Option<u64>) {
        for letter in self.letters.iter_mut().filter(|letter| only.is_none_or(|number| letter.number == number)) {
            letter.fates.iter_mut().filter(|fate| **fate == (link, from)).for_each(|fate| fate.1 = to);
        }
    }

    fn first(&self, link: LinkId, wanted: State) -> Option<(u64, usize)> {
        let mut found = self.states(link).filter(|(_, state)| *state == wanted);
        found.next().map(|(letter, _)| (letter.number, letter.cost))
    }

    /// Sends what may be sent, and answers what is settled.
    fn go_on(&mut self) {
        let links: BTreeSet<_> = self.letters.iter().flat_map(|letter| &letter.fates).map(|(link, _)| *link).collect();
        for link in links {
            while let Some((number, cost)) = self.first(link, State::Waits)
                && self.fits(link, cost)
            {
                let state = if link == ME { State::Reached } else { State::Sent };
                self.set(link, State::Waits, state, Some(number));
                self.sent.entry(link).or_default().push(number);
            }
        }
        let mut answers = Vec::new();
        for letter in self.letters.iter_mut().filter(|letter| !letter.answered) {
            if letter.fates.iter().any(|(_, state)| matches!(state, State::Waits | State::Sent)) {
                continue;
            }
            letter.answered = true;
            let count = |wanted: State| letter.fates.iter().filter(|(_, state)| *state == wanted).count();
            let request = request(letter.number);
            let answer = match (letter.to_one, count(State::Reached)) {
                (true, 0) if count(State::Interrupted) > 0 => ToMember::Interrupted(request),
                (true, 0) => ToMember::Undelivered(request),
                (_, reached) => ToMember::Delivered(request, reached as u32),
            };
            answers.extend(letter.sender.map(|sender| (sender, answer)));
        }
        answers.into_iter().for_each(|(link, answer)| self.answer(link, answer));
    }

    /// The oldest letter that is under way to this one has reached it.
    pub(super) fn written(&mut self, link: LinkId) {
        let number = self.first(link, State::Sent).map(|(number, _)| number);
        self.set(link, State::Sent, State::Reached, number);
        self.go_on();
    }

    pub(super) fn end(&mut self, link: LinkId) {
        self.letters.iter_mut().filter(|letter| letter.sender == Some(link)).for_each(|letter| letter.sender = None);
        self.set(link, State::Sent, State::Interrupted, None);
        self.set(link, State::Waits, State::Undelivered, None);
        self.go_on();
        self.sent.remove(&link);
        self.answers.remove(&link);
        // Another may come on it, who has nothing to do with all this.
        self.letters.iter_mut().for_each(|letter| {
            letter.fates.iter_mut().filter(|(to, _)| *to == link).for_each(|(to, _)| *to = LinkId(u64::MAX));
        });
    }

    pub(super) fn cancel(&mut self, link: LinkId, number: u64) {
        let untouched = |state: &State| matches!(state, State::Waits | State::Undelivered);
        let goes = |letter: &PlainLetter| {
            let own = letter.sender == Some(link) && letter.number == number && !letter.answered;
            own && letter.fates.iter().all(|(_, state)| untouched(state))
        };
        self.letters.retain(|letter| !goes(letter));
        self.go_on();
    }

    /// Whether everything that was sent is settled.
    pub(super) fn is_done(&self) -> bool {
        self.letters.iter().all(|letter| letter.answered)
    }
}
