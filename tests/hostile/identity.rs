//! Strangers that speak under the ids of others: nothing of it concerns anybody but themselves.

use bellwether::ident::Nonce;
use bellwether::wire::message::{Hello, NameSort, Purpose, ToMember, ToSupervisor, Trust};

use super::fleet::locks::Waiting;
use super::*;

/// Two subordinates, one of which holds a lock that the other waits for, and the supervisor.
struct Case {
    fleet: Fleet,
    agreed: Agreed,
    supervisor: Member,
    holder: Member,
    waiter: Member,
    waiting: Waiting,
}

impl Case {
    fn new(options: &str) -> Self {
        let fleet = Fleet::with(options);
        let mut members = fleet.members(3, "");
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        let (holder, waiter) = (members.remove(0), members.remove(0));
        holder.lock("g", "mutex catalog").unwrap();
        let waiting = waiter.queue("g", "mutex catalog", 0);
        Self { fleet, agreed, supervisor, holder, waiter, waiting }
    }

    /// Everything that a stranger can say under this id, each for a connection of its own.
    fn words(&self, id: InstanceId) -> Vec<Vec<u8>> {
        let stamp = Stamp { epoch: Epoch::new(self.agreed.epoch), n: 1 };
        let ids = [&self.supervisor, &self.holder, &self.waiter].map(|member| member.id.parse().unwrap());
        let names = ToSupervisor::Names(NameSort::Known, ids.map(|id| (id, Nonce::new(7))).to_vec());
        let newcomer = [join(&self.fleet.group), ToSupervisor::ClaimsEnd];
        let survivor = [join_from(&self.fleet.group, stamp), names, ToSupervisor::ClaimsEnd];
        let mut words = Vec::new();
        for attempt in [1, 2, 1 << 20, u64::MAX] {
            for purpose in [Purpose::Member, Purpose::Observer] {
                let hello = Hello {
                    wire: WIRE_VERSION,
                    purpose,
                    trust: Trust::Open,
                    id,
                    attempt: Attempt::new(attempt),
                    nonce: Nonce::new(7),
                };
                let hello = encoded(&[ToSupervisor::Hello(hello)]);
                words.push(hello.clone());
                words.push([hello.clone(), encoded(&newcomer)].concat());
                words.push([hello, encoded(&survivor)].concat());
            }
        }
        words
    }

    /// The lock is where it was, and everybody's calls return.
    fn assert_kept(&self, members: &[&Member]) {
        for member in members {
            member.lock("other", "mutex other within=25000").unwrap();
            member.unlock("other").unwrap();
        }
        assert!(self.holder.is_held("g") && !self.waiting.is_over());
        self.waiter.await_queue("mutex catalog", 1);
        self.holder.unlock("g").unwrap();
        self.waiting.granted();
        for member in members {
            assert_eq!(member.events(0, "forfeited").len(), 0, "{}", member.id);
            assert_eq!(member.events(0, "lost").len(), 0, "{}", member.id);
        }
    }
}

/// Says this, hangs up, and hears what the supervisor has to say to that.
pub(super) fn say_and_hang_up(port: u16, words: &[u8]) -> Vec<ToMember> {
    let mut stream = connect(port);
    stream.write_all(words).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    answers(stream)
}

fn speak_under_the_id_of(whose: fn(&Case) -> &Member) {
    let case = Case::new("limit=300");
    let id: InstanceId = whose(&case).id.parse().unwrap();
    for words in case.words(id) {
        let frames = say_and_hang_up(case.fleet.port, &words);
        assert!(matches!(frames[..], [] | [ToMember::Refused(Refusal::Taken)] | [ToMember::Forfeited]), "{frames:?}");
    }
    let all = [&case.supervisor, &case.holder, &case.waiter];
    case.assert_kept(&all);
    for member in all {
        assert_eq!(member.events(0, "disconnected").len(), 0, "{}", member.id);
    }
}

#[test]
fn a_stranger_under_the_id_of_a_holder_takes_nothing_from_it() {
    speak_under_the_id_of(|case| &case.holder);
}

#[test]
fn a_stranger_under_the_id_of_the_supervisor_does_not_silence_it() {
    speak_under_the_id_of(|case| &case.supervisor);
}

#[test]
fn strangers_under_the_id_of_a_holder_take_nothing_from_it_in_a_failover() {
    let case = Case::new("limit=none");
    let words: Vec<_> = case.words(case.holder.id.parse().unwrap());
    let port = case.fleet.port;
    let mut next = 0;
    let nuisance = Nuisance::new(move || {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let _ = stream.write_all(&words[next % words.len()]);
            next += 1;
        }
    });
    case.supervisor.process.kill();
    case.supervisor.process.reap();
    case.fleet.agree(&[case.holder.clone(), case.waiter.clone()]);
    drop(nuisance);
    case.assert_kept(&[&case.holder, &case.waiter]);
}
