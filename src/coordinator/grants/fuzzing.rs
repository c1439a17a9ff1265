//! What the fuzz target checks: every sequence of inputs leaves the grants consistent, and their tokens rise.

use std::collections::BTreeMap;

use super::Grants;
use super::lock::Key;
use crate::coordinator::rules::Rules;
use crate::ident::{Epoch, InstanceId, Kind, Name, Request, Resource, Ticket, Token};
use crate::wire::message::{Grant, HeldClaim, Mode, ToMember, Want, WantClaim};

/// Four bytes are one input: which, of whom, under which number, and what of. After each the grants are checked.
pub fn grants(data: &[u8]) {
    let rules = Rules { step: 4, slice: 2, ..Rules::ALL };
    let mut grants = Grants::new().with_rules(rules);
    let mut reign = 1;
    let mut highest = Token::new(0);
    let mut granted: BTreeMap<Key, Token> = BTreeMap::new();
    for input in data.chunks_exact(4) {
        let [what, who, request, of] = [input[0], input[1], input[2], input[3]];
        let who = InstanceId::new(u64::from(who % 6));
        let want = Want { request: Request::new(u64::from(request % 8)), name: name(of), mode: mode(of) };
        let request = want.request;
        let token = Token::new(u64::from(input[2]));
        let held = HeldClaim { want: want.clone(), token, since: 0 };
        let ticket = Ticket { epoch: Epoch::new(u64::from(input[1])), n: u64::from(input[2]) };
        let wait = WantClaim { want: want.clone(), ticket: (of >= 128).then_some(ticket) };
        match what % 17 {
            0 | 1 => grants.acquire(who, want),
            2 => grants.cancel(who, request),
            3 => grants.release(who, request),
            4 if of >= 128 => grants.abandon(who, request),
            4 => grants.release(who, request),
            5 => grants.decline(who, request),
            6 => grants.set_ready(who, true),
            7 => grants.set_ready(who, false),
            8 => grants.end(who, of >= 128),
            9 => grants.back(who, vec![held], vec![]),
            10 => grants.back(who, vec![], vec![wait]),
            11 => grants.claim(who, vec![held], vec![wait]),
            12 => grants.forget(who),
            13 => grants.resize(&want.name, u32::from(input[1])),
            14 => {
                for id in grants.conflicts() {
                    grants.forget(id);
                }
                grants.close(Epoch::new(u64::from(input[2])), grants.highest_token().max(highest), of >= 128, of >= 64);
                grants.open();
            }
            15 if grants.is_short() => grants.raise(grants.highest()),
            15 if grants.is_behind() => grants.go_on(),
            15 => grants.set_time(u64::from(of)),
            _ => {
                // The next reign: whoever is there brings what it has.
                let mut next = Grants::new().with_rules(rules);
                for id in (0..6).map(InstanceId::new) {
                    let held = grants.held_by(id).map(|(name, holder)| HeldClaim {
                        want: Want { request: holder.request, name: name.clone(), mode: holder.mode },
                        token: holder.token,
                        since: holder.since,
                    });
                    next.claim(id, held.collect(), vec![]);
                    next.set_ready(id, true);
                }
                if grants.is_open() {
                    assert!(next.conflicts().is_empty(), "the holders of one reign contradict each other in the next");
                }
                reign += 1;
                highest = highest.max(next.highest_token());
                next.close(Epoch::new(reign), Token::new(highest.number() + rules.step), of >= 128, of >= 64);
                next.open();
                grants = next;
            }
        }
        grants.check_invariants();
        for told in grants.take_told() {
            if let ToMember::Grant(Grant { request, token, .. }) | ToMember::Token(request, token) = told.what {
                let known = granted.insert((told.to, request), token) == Some(token);
                assert!(
                    known || token > highest || grants.holds(told.to, request, token),
                    "token {token} was given before"
                );
                highest = highest.max(token);
            }
        }
    }
}

impl Grants {
    /// Whether this is held so: who is back is told its token again, whatever it was told since.
    fn holds(&self, who: InstanceId, request: Request, token: Token) -> bool {
        self.held_by(who).any(|(_, holder)| holder.request == request && holder.token == token)
    }
}

fn name(of: u8) -> Resource {
    let kind = [Kind::Mutex, Kind::RwLock, Kind::Semaphore, Kind::Once, Kind::Value][usize::from(of % 5)];
    // It cannot fail, and if it could there would be nothing to check.
    let text = if of & 32 == 0 { "a" } else { "b" };
    Resource::new(kind, Name::new(text).unwrap_or_else(|_| unreachable!("a letter is a name")))
}

fn mode(of: u8) -> Mode {
    match of % 5 {
        0 | 3 if of & 8 == 0 => Mode::Exclusive,
        1 if of & 8 == 0 => Mode::Shared,
        2 if of & 8 == 0 => Mode::Permits { count: u32::from(of & 3), limit: 4 },
        _ => [Mode::Exclusive, Mode::Shared, Mode::Permits { count: 1, limit: 2 }][usize::from(of / 5 % 3)],
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs};

    use super::*;

    /// Some short histories: what, who, request, of what.
    const SEEDS: [(&str, &[[u8; 4]]); 5] = [
        (
            "locks",
            &[[14, 0, 1, 0], [6, 1, 0, 0], [6, 2, 0, 0], [0, 1, 1, 0], [0, 2, 1, 0], [3, 1, 1, 0], [8, 2, 0, 200]],
        ),
        (
            "permits",
            &[[14, 0, 1, 0], [6, 1, 0, 0], [0, 1, 1, 2], [0, 1, 2, 2], [0, 1, 3, 2], [13, 1, 0, 2], [3, 1, 1, 0]],
        ),
        ("claims", &[[11, 1, 5, 0], [11, 2, 9, 0], [0, 3, 1, 0], [14, 0, 20, 200], [6, 3, 0, 0], [3, 2, 1, 0]]),
        (
            "back",
            &[[14, 0, 1, 0], [6, 1, 0, 0], [0, 1, 1, 1], [7, 1, 0, 0], [10, 1, 1, 129], [9, 1, 1, 1], [6, 1, 0, 0]],
        ),
        (
            "reigns",
            &[[14, 0, 1, 0], [6, 1, 0, 0], [0, 1, 1, 0], [16, 0, 0, 200], [15, 0, 0, 0], [5, 1, 1, 0], [16, 0, 0, 0]],
        ),
    ];

    /// Fails when a seed is not committed as it is here. `SEEDS=write cargo test seeds` writes them.
    #[test]
    fn committed_seeds_of_the_grants_are_replayed() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/grants");
        let write = env::var_os("SEEDS").is_some_and(|word| word == "write");
        if write {
            fs::create_dir_all(&corpus).expect("the corpus is writable");
        } else if !corpus.exists() {
            // The published crate comes without the fuzz targets.
            return;
        }
        for (name, seed) in SEEDS {
            let path = corpus.join(format!("seed-{name}"));
            let seed = seed.concat();
            if write {
                fs::write(&path, &seed).expect("the corpus is writable");
            }
            assert_eq!(fs::read(&path).ok(), Some(seed), "{}", path.display());
        }
        for file in fs::read_dir(&corpus).expect("a folder").flatten() {
            grants(&fs::read(file.path()).expect("a seed"));
        }
    }

    #[test]
    fn any_sequence_of_inputs_leaves_the_grants_consistent() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..2_000 {
            let mut data = Vec::new();
            for _ in 0..100 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                data.extend_from_slice(&state.to_be_bytes()[..4]);
            }
            grants(&data);
        }
    }
}
