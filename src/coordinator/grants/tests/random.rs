//! Very many random steps, each compared with the plain model. A failure prints the seed that repeats it.

use super::plain::{Gone, Plain};
use super::*;

const IDS: [InstanceId; 5] = [A, B, C, D, InstanceId::new(5)];

/// Xorshift: a few lines, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("a small number")].clone()
    }
}

/// Names the seed when a check fails.
struct Run {
    seed: u64,
    step: u32,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {:#x} at step {}", self.seed, self.step);
        }
    }
}

struct Pair {
    grants: Grants,
    plain: Plain,
    dice: Dice,
    names: Vec<Resource>,
    /// The last request number of anybody.
    request: u64,
    /// The highest token that was told with a new grant.
    highest: u64,
    /// Which requests had a grant.
    granted: BTreeMap<Key, Token>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let names: Vec<Resource> =
            [Kind::RwLock, Kind::Mutex, Kind::Semaphore, Kind::Once].map(|kind| resource(kind, "n")).to_vec();
        let plain = Plain::new(&names);
        let dice = Dice(seed);
        let mut pair =
            Self { grants: Grants::new(), plain, dice, names, request: 0, highest: 0, granted: BTreeMap::new() };
        pair.grants.close(Epoch::new(1), Token::new(0), false, false);
        pair.plain.close(1, 0, false);
        pair.grants.open();
        pair.plain.open();
        pair
    }

    fn want(&mut self) -> Want {
        self.request += 1;
        // One is shared, one has permits, and now and then somebody asks for what cannot be.
        let at = self.dice.below(4);
        let like = if self.dice.one_in(12) { self.dice.below(4) } else { at };
        let mode = match (like, self.dice.below(3)) {
            (0, 1 | 2) => S,
            (0 | 1 | 3, _) => X,
            _ => permits(self.dice.below(4) as u32 + u32::from(!self.dice.one_in(20)), 3 + self.dice.below(2) as u32),
        };
        Want { request: Request::new(self.request), name: self.names[at as usize].clone(), mode }
    }

    /// Somebody and one of its requests: mostly a live one, so that the steps have effects.
    fn target(&mut self, holding: bool) -> (InstanceId, Request) {
        let who = self.dice.pick(&IDS);
        let (held, wants) = self.plain.claims(who);
        let of: Vec<Request> = if holding {
            held.into_iter().map(|claim| claim.want.request).collect()
        } else {
            wants.into_iter().map(|claim| claim.want.request).collect()
        };
        if of.is_empty() || self.dice.one_in(10) {
            (who, Request::new(self.dice.below(self.request + 2)))
        } else {
            (who, self.dice.pick(&of))
        }
    }

    /// The clock goes on, is set back, or stands.
    fn set_time(&mut self) {
        let now = self.dice.below(1_000_000);
        self.grants.set_time(now);
        self.plain.now = now;
    }

    fn step(&mut self) {
        if self.dice.one_in(3) {
            self.set_time();
        }
        match self.dice.below(100) {
            0..33 => {
                let who = self.dice.pick(&IDS);
                let mut want = self.want();
                if self.dice.one_in(8) {
                    want.request = self.target(false).1;
                }
                self.grants.acquire(who, want.clone());
                self.plain.acquire(who, want);
            }
            33..62 => {
                let (who, request) = self.target(true);
                self.grants.release(who, request);
                self.plain.give_back(who, request, Gone::Released);
            }
            62..64 => {
                let (who, request) = self.target(true);
                self.grants.abandon(who, request);
                self.plain.give_back(who, request, Gone::Abandoned);
            }
            64..68 => {
                let (who, request) = self.target(true);
                self.grants.decline(who, request);
                self.plain.give_back(who, request, Gone::Declined);
            }
            68..75 => {
                let (who, request) = self.target(false);
                self.grants.cancel(who, request);
                self.plain.cancel(who, request);
            }
            75..88 => {
                let (who, ready) = (self.dice.pick(&IDS), !self.dice.one_in(3));
                self.grants.set_ready(who, ready);
                self.plain.set_ready(who, ready);
            }
            88..92 => self.end(),
            92..97 => self.back(),
            97..99 => {
                let (name, limit) = (self.dice.pick(&self.names), self.dice.below(6) as u32);
                self.grants.resize(&name, limit);
                self.plain.resize(&name, limit);
            }
            _ => self.change_reign(),
        }
    }

    fn end(&mut self) {
        let (who, died) = (self.dice.pick(&IDS), self.dice.one_in(2));
        self.grants.end(who, died);
        self.plain.end(who, if died { Gone::Died } else { Gone::Left });
    }

    /// A member is back; its claims differ from what the supervisor knows in every way that a lost connection explains,
    /// and in some that it does not.
    fn back(&mut self) {
        let who = self.dice.pick(&IDS);
        let (held, wants) = self.plain.claims(who);
        let (mut holds, mut waits) = (vec![], vec![]);
        for mut claim in held {
            match self.dice.below(8) {
                0 => {}
                1 => waits.push(WantClaim { want: claim.want, ticket: None }),
                2 => {
                    claim.token = Token::new(claim.token.number() / 2);
                    holds.push(claim);
                }
                _ => holds.push(claim),
            }
        }
        for mut claim in wants {
            match self.dice.below(8) {
                0 => {}
                1 => {
                    claim.ticket = None;
                    waits.push(claim);
                }
                2 => holds.push(HeldClaim { want: claim.want, token: Token::new(1), since: 0 }),
                _ => waits.push(claim),
            }
        }
        if self.dice.one_in(4) {
            let want = self.want();
            waits.push(WantClaim { want, ticket: Some(FIRST) });
        }
        if self.dice.one_in(8) {
            let want = self.want();
            holds.push(HeldClaim { want, token: Token::new(1), since: 0 });
        }
        self.grants.back(who, holds.clone(), waits.clone());
        self.plain.back(who, holds, waits);
    }

    /// The supervisor ends, some members with it, and the others claim what they have.
    fn change_reign(&mut self) {
        let (clean, limited) = (self.dice.one_in(2), self.dice.one_in(3));
        let back: Vec<InstanceId> = IDS.into_iter().filter(|_| !self.dice.one_in(4)).collect();
        self.grants = Grants::new();
        self.set_time();
        for (name, limit) in &self.plain.set {
            self.grants.resize(name, *limit);
        }
        for id in &self.plain.ready {
            self.grants.set_ready(*id, true);
        }
        let mut claimers = vec![];
        for id in &back {
            let (held, wants) = self.plain.claims(*id);
            claimers.extend((!held.is_empty()).then(|| (*id, held.clone())));
            self.grants.claim(*id, held, wants);
        }
        self.plain.succeed(&back, clean && !limited);
        let mut ends = 0;
        for _ in 0..self.dice.below(6) {
            match self.dice.below(5) {
                0 | 1 => {
                    let (who, want) = (self.dice.pick(&IDS), self.want());
                    self.grants.acquire(who, want.clone());
                    self.plain.acquire(who, want);
                }
                2 => {
                    let (who, request) = self.target(true);
                    self.grants.release(who, request);
                    self.plain.give_back(who, request, Gone::Released);
                }
                3 => {
                    let (who, request) = self.target(false);
                    self.grants.cancel(who, request);
                    self.plain.cancel(who, request);
                }
                _ if ends == 0 => {
                    // Of two that died with the same name in hand either may be named.
                    ends += 1;
                    self.end();
                }
                _ => {}
            }
        }
        assert!(self.grants.conflicts().is_empty(), "nobody did anything wrong");
        // Of one that has released something or died since, the plain model does not know what it had claimed.
        claimers.retain(|(who, held)| self.plain.claims(*who).0 == *held);
        if self.dice.one_in(8) && !claimers.is_empty() {
            let (who, _) = self.dice.pick(&claimers);
            self.grants.forget(who);
            self.plain.forfeit(who);
        }
        assert!(self.grants.highest_token().number() <= self.highest, "a claim names a token that nobody was given");
        let (epoch, base) = (self.plain.epoch + 1, self.highest + self.dice.below(3));
        self.grants.close(Epoch::new(epoch), Token::new(base), limited, !clean);
        self.plain.close(epoch, base, limited);
        self.compare();
        for _ in 0..self.dice.below(4) {
            let who = self.dice.pick(&IDS);
            match self.dice.below(3) {
                0 => {
                    let want = self.want();
                    self.grants.acquire(who, want.clone());
                    self.plain.acquire(who, want);
                }
                1 => {
                    self.grants.set_ready(who, true);
                    self.plain.set_ready(who, true);
                }
                _ => self.back(),
            }
            self.compare();
        }
        assert!(!self.grants.is_open());
        self.grants.open();
        self.plain.open();
    }

    fn compare(&mut self) {
        self.grants.check_invariants();
        let told = self.grants.take_told();
        self.note_tokens(&told);
        let lines = |told: Vec<Told>| {
            // The reasons are for people, and across names the order says nothing.
            let line = |Told { to, what }| match what {
                ToMember::Denied(request, _) => format!("{to} denied {request}"),
                what => format!("{to} {what:?}"),
            };
            let mut lines: Vec<String> = told.into_iter().map(line).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(told), lines(std::mem::take(&mut self.plain.told)), "different things are told");
        for name in &self.names {
            let plain = &self.plain.locks[name];
            let mut expected: Vec<Holder> = plain
                .holders
                .iter()
                .map(|holder| Holder {
                    who: holder.who,
                    request: holder.want.request,
                    mode: holder.want.mode,
                    token: Token::new(holder.token),
                    since: holder.since,
                })
                .collect();
            expected.sort_by_key(|holder| (holder.who, holder.request));
            assert_eq!(self.grants.holders(name).collect::<Vec<_>>(), expected, "{name} has other holders");
            let expected: Vec<Waiter> = plain
                .queue
                .iter()
                .map(|waiter| Waiter {
                    who: waiter.who,
                    request: waiter.want.request,
                    mode: waiter.want.mode,
                    ticket: waiter.ticket,
                })
                .collect();
            assert_eq!(self.grants.waiters(name).collect::<Vec<_>>(), expected, "{name} has another queue");
            assert_eq!(self.grants.abandoned(name), plain.flag, "{name} has another flag");
            let used = !plain.holders.is_empty() || !plain.queue.is_empty();
            assert_eq!(self.grants.names().any(|other| other == name), used, "{name} is kept or dropped wrongly");
        }
    }

    /// Every new grant has a token above all before; a repeated one has its own.
    fn note_tokens(&mut self, told: &[Told]) {
        for Told { to, what } in told {
            match what {
                ToMember::Grant(grant) if self.granted.get(&(*to, grant.request)) == Some(&grant.token) => {}
                ToMember::Grant(Grant { request, token, .. }) | ToMember::Token(request, token) => {
                    let known = self.granted.insert((*to, *request), *token);
                    if known != Some(*token) {
                        let rises = token.number() > self.highest || matches!(what, ToMember::Token(..));
                        assert!(rises, "token {token} does not rise above {}", self.highest);
                        self.highest = self.highest.max(token.number());
                    }
                }
                _ => {}
            }
        }
    }
}

const FIRST: Ticket = Ticket { epoch: Epoch::new(0), n: 0 };

#[test]
fn grants_do_what_the_plain_model_does() {
    for round in 1..=60_u64 {
        let mut run = Run { seed: round.wrapping_mul(0x9e37_79b9_7f4a_7c15), step: 0 };
        let mut pair = Pair::new(run.seed);
        for _ in 0..5_000 {
            run.step += 1;
            pair.step();
            pair.compare();
        }
        assert!(pair.granted.len() > 500, "the steps hardly grant anything: {}", pair.granted.len());
    }
}

/// The same inputs in slices of one request, with everything in between: whatever is left to be done contradicts nothing,
/// and in the end all has come to rest.
#[test]
fn grants_in_slices_stay_consistent_and_come_to_rest() {
    for round in 1..=40_u64 {
        let mut run = Run { seed: round.wrapping_mul(0x9e37_79b9_7f4a_7c15), step: 0 };
        let mut pair = Pair::new(run.seed);
        pair.grants = open_in_slices();
        let (mut behind, mut ended) = (0, BTreeMap::new());
        for _ in 0..5_000 {
            run.step += 1;
            pair.step_in_slices(&mut ended);
            behind += u32::from(pair.grants.is_behind());
            pair.grants.check_invariants();
            let told = pair.grants.take_told();
            pair.note_tokens(&told);
            for Told { to, what } in told {
                let granted = matches!(what, ToMember::Grant(_));
                assert!(!granted || pair.grants.is_ready(to), "{to} is granted something and cannot take it");
            }
        }
        assert!(behind > 500, "there is hardly ever anything left: {behind}");
        for _ in 0..1000 {
            pair.grants.go_on();
        }
        assert!(!pair.grants.is_behind());
        pair.grants.check_invariants();
        assert!(pair.granted.len() > 300, "the steps hardly grant anything: {}", pair.granted.len());
    }
}

fn open_in_slices() -> Grants {
    let mut grants = Grants::new().with_rules(Rules { slice: 1, ..Rules::ALL });
    grants.close(Epoch::new(1), Token::new(0), false, false);
    grants.open();
    grants
}

impl Pair {
    /// One of its requests, as the grants have it.
    fn own(&mut self, who: InstanceId, holding: bool) -> Request {
        let held = self.grants.held_by(who).map(|(_, holder)| holder.request);
        let of: Vec<_> = if holding {
            held.collect()
        } else {
            let waits = self.names.iter().flat_map(|name| self.grants.waiters(name));
            waits.filter(|waiter| waiter.who == who).map(|waiter| waiter.request).collect()
        };
        if of.is_empty() { Request::new(0) } else { self.dice.pick(&of) }
    }

    fn step_in_slices(&mut self, ended: &mut BTreeMap<InstanceId, InstanceId>) {
        // Under another id after each end, so that an id that has ended is not used again.
        let slot = self.dice.pick(&IDS);
        let who = *ended.entry(slot).or_insert(slot);
        match self.dice.below(100) {
            0..35 => {
                let want = self.want();
                self.grants.acquire(who, want);
            }
            35..50 => {
                let request = self.own(who, true);
                self.grants.release(who, request);
            }
            50..55 => {
                let request = self.own(who, false);
                self.grants.cancel(who, request);
            }
            55..65 => {
                let ready = !self.dice.one_in(3);
                self.grants.set_ready(who, ready);
            }
            65..70 => {
                let died = self.dice.one_in(2);
                self.grants.end(who, died);
                ended.insert(slot, InstanceId::new(who.number() + 100));
            }
            70..72 => {
                let (name, limit) = (self.dice.pick(&self.names), self.dice.below(6) as u32);
                self.grants.resize(&name, limit);
            }
            72..74 => {
                let request = self.own(who, false);
                self.grants.inquire(who, request);
            }
            _ => self.grants.go_on(),
        }
    }
}
