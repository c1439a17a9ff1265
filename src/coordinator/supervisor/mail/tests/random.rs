//! Many random steps, each compared with the plain model.

use proptest::prelude::*;

use super::plain::Plain;
use super::*;

const WATCHERS: [LinkId; 2] = [WATCHER, LinkId(51)];
const ALL: [LinkId; 8] = [ME, A, B, C, LinkId(4), LinkId(5), WATCHERS[0], WATCHERS[1]];
const PACE: usize = 500;
const ROOM: usize = 2000;

struct Pair {
    office: Office,
    plain: Plain,
    /// Which messages every sender sent, in its order, with the number that the message bears.
    posted: BTreeMap<LinkId, Vec<u64>>,
    number: u64,
}

impl Pair {
    fn new() -> Self {
        let mut office = Office::of(4);
        office.observe(WATCHER);
        office.supervisor.mail.pace = PACE;
        office.supervisor.mail.room = ROOM;
        Self { office, plain: Plain::new(PACE, ROOM), posted: BTreeMap::new(), number: 0 }
    }

    fn is_connected(&self, link: LinkId) -> bool {
        link == ME || self.office.unwritten.contains_key(&link)
    }

    /// Whom the registry says to be there.
    fn here(&self) -> Vec<LinkId> {
        let place = |member: &super::super::super::super::registry::Member| match member.place {
            Place::Here(link) => Some(link),
            _ => None,
        };
        self.office.supervisor.registry().iter().filter_map(|(_, member)| place(member)).collect()
    }

    fn post(&mut self, sender: LinkId, to: Option<LinkId>, size: usize) {
        let speaks = self.here().contains(&sender) || WATCHERS.contains(&sender);
        if !self.is_connected(sender) || !speaks {
            return;
        }
        self.number += 1;
        self.posted.entry(sender).or_default().push(self.number);
        let here = self.here();
        let recipients: Vec<_> = match to {
            Some(to) => here.into_iter().filter(|link| *link == to).collect(),
            None => here.into_iter().filter(|link| *link != sender).collect(),
        };
        let size = size.max(8);
        self.office.post(sender, self.number, to, size);
        self.plain.post(sender, self.number, to.is_some(), &recipients, size);
    }

    fn write(&mut self, link: LinkId) -> bool {
        let next = self.office.unwritten.get(&link).and_then(VecDeque::front).cloned();
        if let Some(ToMember::Message(..)) = next {
            self.plain.written(link);
        }
        self.office.write(link)
    }

    fn end(&mut self, link: LinkId, gone: bool) {
        if link != ME && self.is_connected(link) {
            self.plain.end(link);
            self.posted.remove(&link);
            self.office.end(link, gone);
        }
    }

    fn come(&mut self, link: LinkId) {
        let known = self.office.supervisor.registry().get(id(link)).is_some();
        if self.is_connected(link) || known {
            return;
        }
        self.plain.sent.remove(&link);
        self.plain.answers.remove(&link);
        self.office.open_link(link);
        if WATCHERS.contains(&link) {
            greet(&mut self.office.supervisor, link, (id(link), 1), Purpose::Observer, Stamp::default());
        } else {
            begin_hello(&mut self.office.supervisor, link, id(link).number(), &[]);
        }
        self.office.say(link, ToSupervisor::ClaimsEnd);
    }

    fn step(&mut self, (what, who, whom, size): (u8, usize, usize, usize)) {
        let (who, whom) = (ALL[who], ALL.get(whom).copied());
        match what {
            0..5 => self.post(who, whom, size),
            5 | 6 => self.post(who, None, size),
            7..12 => drop(self.write(who)),
            12 => while self.write(who) {},
            13 => self.end(who, size % 4 > 0),
            14 => self.come(who),
            _ => {
                let number = self.number.saturating_sub(size as u64 % 6);
                if self.is_connected(who) {
                    self.office.say(who, ToSupervisor::Cancel(request(number)));
                    self.plain.cancel(who, number);
                }
            }
        }
        self.compare();
    }

    fn compare(&self) {
        for link in ALL.into_iter().filter(|link| self.is_connected(*link)) {
            let frames: Vec<_> = self.office.written[&link]
                .iter()
                .chain(self.office.unwritten.get(&link).into_iter().flatten())
                .collect();
            let sent: Vec<_> = frames.iter().filter_map(|frame| numbered(frame)).collect();
            let plain = self.plain.sent.get(&link).cloned().unwrap_or_default();
            assert_eq!(sent.iter().map(|(_, number)| *number).collect::<Vec<_>>(), plain, "to {link:?}");
            for (sender, posted) in &self.posted {
                let theirs = sent.iter().filter(|(from, _)| *from == id(*sender)).map(|(_, number)| number);
                let mut theirs = theirs.filter(|number| posted.contains(number));
                let mut in_order = posted.iter();
                assert!(theirs.all(|number| in_order.any(|posted| posted == number)), "{sender:?} to {link:?}");
            }
            let answers = frames.iter().filter_map(|frame| answer(frame)).collect::<BTreeSet<_>>();
            let count = frames.iter().filter(|frame| answer(frame).is_some()).count();
            assert_eq!(answers.len(), count, "{link:?} is answered twice");
            let plain = self.plain.answers.get(&link).into_iter().flatten();
            assert_eq!(answers, plain.filter_map(answer).collect(), "what {link:?} is told");
            let under_way = self.plain.under_way(link);
            assert!(under_way <= PACE || under_way == 600 + Mail::OVERHEAD, "{under_way} bytes are under way");
        }
    }

    /// Everything is written: everything is answered.
    fn rest(mut self) {
        while ALL.into_iter().any(|link| self.write(link)) {}
        self.compare();
        assert!(self.plain.is_done());
        assert_eq!(self.office.supervisor.mail.boxes.len(), 0);
        assert_eq!(self.office.supervisor.mail.letters.len(), 0);
        assert_eq!(self.office.supervisor.mail.senders.len(), 0);
    }
}

fn numbered(frame: &ToMember) -> Option<(InstanceId, u64)> {
    let ToMember::Message(from, bytes) = frame else { return None };
    Some((*from, u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"))))
}

/// Which request it answers, and how.
fn answer(frame: &ToMember) -> Option<(Request, &'static str, u32)> {
    match frame {
        ToMember::Delivered(request, count) => Some((*request, "delivered", *count)),
        ToMember::Undelivered(request) => Some((*request, "undelivered", 0)),
        ToMember::Interrupted(request) => Some((*request, "interrupted", 0)),
        ToMember::Denied(request, _) => Some((*request, "denied", 0)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_answered_once_and_arrives_once_in_its_order(
        steps in prop::collection::vec((0..17_u8, 0..ALL.len(), 0..ALL.len(), prop_oneof![8..200_usize, Just(600)]), 0..150),
    ) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
        }
        pair.rest();
    }
}
