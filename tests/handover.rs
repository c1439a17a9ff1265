//! Newer and newer versions of the program come and take the office over, while all contend for locks, wait in queues,
//! ask the handler and send messages. Nobody is killed. Afterwards the journals are judged.
//!
//! Now and then, on a machine that is very busy, the heir is so late that another one takes the office. It is not offered
//! to the same heir again; nothing is lost then either, and the next version has it.
//!
//! `BELLWETHER_HANDOVERS=n` lets so many come instead of a hundred.

mod checker;
mod fleet;

use std::collections::VecDeque;

use checker::check::Forfeits;
use checker::journal::What;
use checker::records::Records;
use fleet::schedules::assert_ids_kept;
use fleet::{Fleet, Joining, Line, Member, check_reigns, eventually};

/// How many copies of the first version stay all the time: so many keep a lock each, and as many wait for one of these.
const KEEPERS: usize = 2;

/// How many of the newer ones are there at any time; the oldest of them that does not reign leaves when one more has come.
const NEWER: usize = 2;

#[test]
fn b9_c5_a_hundred_newer_versions_take_over_under_contention_and_nothing_is_lost() {
    let rounds = std::env::var("BELLWETHER_HANDOVERS").map_or(100, |text| text.parse().expect("a number"));
    let fleet = Fleet::with("limit=none");
    let mut office = Changing::new(&fleet);
    for version in 2..rounds + 2 {
        office.hand_over(version);
        if office.newer.len() > NEWER {
            office.retire();
        }
    }
    office.judge(rounds);
}

/// A program of which newer versions come.
struct Changing<'f> {
    fleet: &'f Fleet,
    records: Records,
    /// Of the first version: those that keep locks, and those that wait for them.
    keepers: Vec<Copy>,
    waiters: Vec<Copy>,
    newer: VecDeque<Copy>,
    /// Those that have left.
    gone: Vec<Copy>,
    /// Who reigns, and the first epoch and the present one.
    supervisor: String,
    first: u64,
    epoch: u64,
    /// How often the heir was too late.
    missed: usize,
}

/// One process of it.
struct Copy {
    name: String,
    joining: Joining,
    member: Member,
}

impl<'f> Changing<'f> {
    fn new(fleet: &'f Fleet) -> Self {
        let records = Records::new(fleet, "hand-overs");
        let old = |n: usize, options: String| Copy::start(fleet, &records, format!("old{n}"), 1, n, &options);
        let keepers: Vec<_> = (0..KEEPERS).map(|n| old(n, format!("keep=kept{n}"))).collect();
        keepers.iter().for_each(|keeper| _ = keeper.member.expect(0, "keeps", &[]));
        let waiters: Vec<_> = (0..KEEPERS).map(|n| old(KEEPERS + n, format!("await=kept{n}"))).collect();
        let supervisor = keepers.iter().find(|copy| copy.member.status().role == "Supervisor");
        let supervisor = supervisor.expect("one of the first reigns");
        let (supervisor, epoch) = (supervisor.name.clone(), supervisor.member.status().epoch);
        let (newer, gone) = (VecDeque::new(), Vec::new());
        Self { fleet, records, keepers, waiters, newer, gone, supervisor, first: epoch, epoch, missed: 0 }
    }

    fn all(&self) -> impl Iterator<Item = &Copy> {
        self.keepers.iter().chain(&self.waiters).chain(&self.newer)
    }

    fn members(&self) -> Vec<Member> {
        self.all().map(|copy| copy.member.clone()).collect()
    }

    /// A newer version comes while all are at work, reigns, and finds everything as it was.
    fn hand_over(&mut self, version: usize) {
        let before = self.records.written();
        eventually("the work goes on", || self.records.written() > before + 10_000);
        self.records.note(What::Yielding { process: self.supervisor.clone() });
        let heir = Copy::start(self.fleet, &self.records, format!("new{version}"), version, version, "");
        // It may have come so late to its first words that it reigned already.
        let reign = |event: &Line| {
            let tells = ["came", "reign"].contains(&event.kind()) && event.number("epoch") > self.epoch;
            tells.then(|| event.number("epoch"))
        };
        self.epoch = heir.member.event(0, "the reign after the hand-over", reign);
        for copy in self.all() {
            let (epoch, ..) = copy.member.reign_after(self.epoch - 1);
            assert_eq!(epoch, self.epoch, "that reign is over");
        }
        self.newer.push_back(heir);
        let reigns = self.all().find(|copy| copy.member.status().role == "Supervisor").expect("one of them reigns");
        self.supervisor = reigns.name.clone();
        self.missed += usize::from(self.supervisor != self.newer[self.newer.len() - 1].name);
        let heir = &self.newer[self.newer.len() - 1].member;
        for (n, keeper) in self.keepers.iter().enumerate() {
            heir.await_holder(&format!("mutex kept{n}"), &keeper.member);
            heir.await_queue(&format!("mutex kept{n}"), 1);
        }
        assert_ids_kept(&self.members());
    }

    /// The oldest of the newer ones that do not reign ends its work and leaves.
    fn retire(&mut self) {
        let oldest = self.newer.iter().position(|copy| copy.name != self.supervisor);
        let Some(copy) = oldest.and_then(|oldest| self.newer.remove(oldest)) else { return };
        copy.member.say("calm");
        copy.joining.answer().unwrap_or_else(|error| panic!("{} failed: {error}", copy.name));
        copy.member.ask("depart").unwrap_or_else(|error| panic!("{} cannot leave: {error}", copy.name));
        copy.member.process.say("exit");
        // The next change of reign does not overtake its departure.
        for other in self.all() {
            other.member.expect(0, "ended", &[("id", &copy.member.id)]);
        }
        self.gone.push(copy);
    }

    fn judge(self, rounds: usize) {
        assert!(self.keepers.iter().chain(&self.waiters).all(|copy| copy.member.events(0, "lost").is_empty()));
        self.keepers.iter().for_each(|keeper| _ = keeper.member.ask("unblock").unwrap());
        let rest: Vec<_> = self.all().map(|copy| (copy.name.as_str(), &copy.joining)).collect();
        let members: Vec<_> = self.all().chain(&self.gone).map(|copy| copy.member.clone()).collect();
        let reigns = check_reigns(&members).range(self.first + 1..).count();
        println!("{rounds} hand-overs, {reigns} reigns, {} heirs too late", self.missed);
        assert_eq!(reigns, rounds);
        assert!(self.missed * 10 <= rounds, "{} heirs did not take the office", self.missed);
        for member in &members {
            let ended = member.events(0, "ended");
            assert!(ended.iter().all(|event| event.text("reason") == "Left"), "{} was told {ended:?}", member.id);
        }
        let weight = self.records.judge(&rest, Forfeits::Never);
        assert!(weight.grants > rounds && weight.ordered > 0 && weight.refused == 0, "{weight:?}");
        assert!(weight.answered > weight.interrupted && weight.received > weight.sent, "{weight:?}");
    }
}

impl Copy {
    fn start(fleet: &Fleet, records: &Records, name: String, version: usize, seed: usize, options: &str) -> Self {
        let options = format!("version={version} seed={seed} threads=3 longest=60 {options}");
        let joining = records.begin(fleet, &name, &options);
        let mut member = joining.member();
        member.id = member.expect(0, "came", &[]).text("id");
        Self { name, joining, member }
    }
}
