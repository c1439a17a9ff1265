//! Long histories that are right but for one thing.

mod mail;

use std::collections::BTreeMap;

use super::super::chance::Chance;
use super::super::check::{Property, check, sentences};
use super::super::generate::{self, Journals};
use super::super::history::{History, Outcome, PARENT, Process, Put, Read, Written};
use super::super::journal::{Abandoned, Expected, Line, Mode, Patience, Version, What};
use super::super::locks::{Hold, by_name, holds};

/// One history, and what may be changed in it.
struct Mutant<'a> {
    history: &'a History,
    holds: &'a [Hold<'a>],
    chance: Chance,
    journals: Journals,
}

type Mutation = fn(&mut Mutant<'_>) -> Option<()>;

const MUTATIONS: [(&str, Property, Mutation); 31] = [
    ("tokens of two holds exchanged", Property::Tokens, exchange_tokens),
    ("one token twice", Property::Tokens, repeat_token),
    ("granted too early", Property::Exclusion, grant_early),
    ("released too late", Property::Exclusion, release_late),
    ("never released", Property::Exclusion, never_release),
    ("a writer among readers", Property::Sharing, write_among_readers),
    ("all permits at once", Property::Permits, take_all_permits),
    ("overtaken", Property::Order, overtake),
    ("never granted", Property::Turns, never_grant),
    ("gave up what it waited for without end", Property::Turns, give_up),
    ("nobody killed it", Property::Turns, end_by_itself),
    ("lost", Property::Losses, lose),
    ("not told of a death", Property::Abandoned, say_clean),
    ("one version twice", Property::Versions, repeat_version),
    ("versions of two writes exchanged", Property::Versions, exchange_versions),
    ("reads exchanged", Property::Visibility, exchange_reads),
    ("out of thin air", Property::Origin, read_nonsense),
    ("one copy ends without it", Property::Finals, drop_final),
    ("an earlier version expected", Property::Chain, expect_earlier),
    ("refused for nothing", Property::Chain, refuse),
    ("asked twice", Property::Runs, mail::run_again),
    ("refused, and asked", Property::Runs, mail::run_refused),
    ("asked before its time", Property::Runs, mail::run_early),
    ("answers exchanged", Property::Answers, mail::exchange_answers),
    ("answered before it was asked", Property::Answers, mail::answer_early),
    ("answered out of thin air", Property::Answers, mail::drop_run),
    ("never answered", Property::Turns, mail::never_answer),
    ("received by somebody else", Property::Receipts, mail::misdeliver),
    ("received twice", Property::Sequence, mail::receive_again),
    ("received out of order", Property::Sequence, mail::exchange_receipts),
    ("not received", Property::Delivery, mail::drop_receipt),
];

#[test]
fn a_right_history_with_one_thing_changed_is_rejected_for_it() {
    let rules = generate::rules();
    let mut done = BTreeMap::<&str, u32>::new();
    for seed in 100..102 {
        let journals = generate::journals(seed, None);
        let history = History::assemble(&journals).unwrap();
        let holds = holds(&history, &rules);
        for (n, (name, property, mutate)) in MUTATIONS.into_iter().enumerate() {
            let chance = Chance::new(seed * 100 + n as u64);
            let mut mutant = Mutant { history: &history, holds: &holds, chance, journals: journals.clone() };
            if mutate(&mut mutant).is_none() {
                continue;
            }
            let mutated = History::assemble(&mutant.journals).unwrap();
            let found = check(&mutated, &rules);
            let rightly = found.iter().any(|violation| violation.property == property);
            assert!(rightly, "{name}, seed {seed}, is not rejected for {property:?}: {}", sentences(&found));
            *done.entry(name).or_default() += 1;
        }
    }
    for (name, ..) in MUTATIONS {
        assert!(done.contains_key(name), "nowhere can be tried: {name}");
    }
}

impl<'a> Mutant<'a> {
    /// The line of a process of which this is so.
    fn line(&mut self, process: &str, so: impl Fn(&What) -> bool) -> Option<&mut Line> {
        self.journals.get_mut(process)?.iter_mut().find(|line| so(&line.what))
    }

    fn granted(&mut self, hold: &Hold<'_>) -> Option<&mut Line> {
        let number = hold.number;
        self.line(&hold.process.name, |what| matches!(what, What::Granted { ask, .. } if *ask == number))
    }

    fn asked(&mut self, hold: &Hold<'_>) -> Option<&mut Line> {
        let number = hold.number;
        self.line(&hold.process.name, |what| matches!(what, What::Asked { ask, .. } if *ask == number))
    }

    fn releasing(&mut self, hold: &Hold<'_>) -> Option<&mut Line> {
        let number = hold.number;
        self.line(&hold.process.name, |what| matches!(what, What::Releasing { ask } if *ask == number))
    }

    fn set_token(&mut self, hold: &Hold<'_>, to: u64) -> Option<()> {
        let What::Granted { token, .. } = &mut self.granted(hold)?.what else { return None };
        *token = to;
        Some(())
    }

    /// Two holds, one after the other, of one mutex, of which this is so.
    fn pair(&mut self, so: impl Fn(&Hold<'_>, &Hold<'_>) -> bool) -> Option<(&'a Hold<'a>, &'a Hold<'a>)> {
        let holds: &'a [Hold<'a>] = self.holds;
        let names = by_name(holds);
        let mutexes = names.values().filter(|holds| holds[0].ask.name.starts_with('m'));
        let pairs: Vec<_> =
            mutexes.flat_map(|holds| holds.windows(2)).map(|two| (two[0], two[1])).filter(|(a, b)| so(a, b)).collect();
        self.chance.pick(&pairs).copied()
    }

    /// Two holds of one name at the same time, neither of them exclusive.
    fn together(&mut self, wanted: impl Fn(Mode) -> bool) -> Option<&'a Hold<'a>> {
        let holds: &'a [Hold<'a>] = self.holds;
        let overlap = |a: &Hold<'_>, b: &Hold<'_>| {
            a.ask.name == b.ask.name && a.granted < b.granted && b.granted < a.until && b.granted < b.until
        };
        let both = |a: &&Hold<'_>| wanted(a.ask.mode) && holds.iter().any(|b| wanted(b.ask.mode) && overlap(a, b));
        let all: Vec<_> = holds.iter().filter(both).collect();
        self.chance.pick(&all).copied()
    }

    /// The acknowledged writes: of whom, which, of which key, from when to when, under which version.
    fn stored(&self) -> Vec<(String, u64, String, u64, u64, Version)> {
        let of = |process: &Process| {
            let one = |(number, put): (&u64, &Put)| match put.outcome {
                Written::Stored { at, version } => {
                    Some((process.name.clone(), *number, put.key.clone(), put.began, at, version))
                }
                _ => None,
            };
            process.puts.iter().filter_map(one).collect::<Vec<_>>()
        };
        self.history.processes.iter().flat_map(of).collect()
    }

    fn set_version(&mut self, process: &str, number: u64, to: Version) -> Option<()> {
        let line = self.line(process, |what| matches!(what, What::Stored { put, .. } if *put == number))?;
        line.what = What::Stored { put: number, version: to };
        Some(())
    }
}

fn exchange_tokens(m: &mut Mutant<'_>) -> Option<()> {
    let (a, b) = m.pair(|_, _| true)?;
    m.set_token(a, b.token)?;
    m.set_token(b, a.token)
}

fn repeat_token(m: &mut Mutant<'_>) -> Option<()> {
    let all: Vec<_> = m.holds.iter().collect();
    let (a, b) = (*m.chance.pick(&all)?, *m.chance.pick(&all)?);
    if a.token == b.token {
        return None;
    }
    m.set_token(a, b.token)
}

fn grant_early(m: &mut Mutant<'_>) -> Option<()> {
    let (a, b) = m.pair(|a, b| a.until > a.granted + 2 && b.until > b.granted)?;
    m.granted(b)?.at = a.granted + (a.until - a.granted) / 2;
    Some(())
}

fn release_late(m: &mut Mutant<'_>) -> Option<()> {
    let (a, b) = m.pair(|a, b| a.ask.releasing.is_some() && b.until > b.granted)?;
    m.releasing(a)?.at = b.granted + 1;
    Some(())
}

fn never_release(m: &mut Mutant<'_>) -> Option<()> {
    let alive = |a: &Hold<'_>, at: u64| a.process.killed.or(a.process.ended).is_some_and(|end| end > at);
    let (a, _) = m.pair(|a, b| a.ask.releasing.is_some() && b.until > b.granted && alive(a, b.granted))?;
    let number = a.number;
    let lines = m.journals.get_mut(&a.process.name)?;
    lines.retain(|line| !matches!(line.what, What::Releasing { ask } if ask == number));
    Some(())
}

fn write_among_readers(m: &mut Mutant<'_>) -> Option<()> {
    let hold = m.together(|mode| mode == Mode::Shared)?;
    let What::Asked { mode, .. } = &mut m.asked(hold)?.what else { return None };
    *mode = Mode::Exclusive;
    Some(())
}

fn take_all_permits(m: &mut Mutant<'_>) -> Option<()> {
    let hold = m.together(|mode| matches!(mode, Mode::Permits(_)))?;
    let What::Asked { mode, .. } = &mut m.asked(hold)?.what else { return None };
    *mode = Mode::Permits(5);
    Some(())
}

fn overtake(m: &mut Mutant<'_>) -> Option<()> {
    let history = m.history;
    let quiet = |from: u64, until: u64| {
        history.processes.iter().filter_map(|process| process.killed).all(|at| at < from || at > until)
    };
    let mut all = Vec::new();
    for snapshot in &history.snapshots {
        // Somebody who waits alone in its process, and was seen.
        let [(id, mode), ..] = &snapshot.waiters[..] else { continue };
        let Some(process) =
            history.processes.iter().find(|process| process.stops.is_empty() && process.ids.contains(id))
        else {
            continue;
        };
        let mine = |hold: &&Hold<'_>| {
            let during = hold.ask.asked < snapshot.began && hold.granted > snapshot.ended;
            hold.process.name == process.name && hold.ask.name == snapshot.name && during && hold.ask.mode == *mode
        };
        let waits: Vec<_> = m.holds.iter().filter(mine).collect();
        let gave_up = process.asks.values().any(|ask| matches!(ask.outcome, Outcome::GaveUp { .. }));
        let [first] = waits[..] else { continue };
        let named = snapshot.waiters.iter().filter(|(other, _)| other == id).count();
        if gave_up || named != 1 {
            continue;
        }
        let later = |b: &&Hold<'_>| {
            let between = b.ask.asked > snapshot.ended && b.ask.asked < first.granted;
            b.ask.name == snapshot.name && between && quiet(first.ask.asked, b.granted.max(first.granted))
        };
        all.extend(m.holds.iter().filter(later).map(|later| (first, later)));
    }
    let (first, later) = *m.chance.pick(&all)?;
    m.set_token(first, later.token)?;
    m.set_token(later, first.token)
}

fn never_grant(m: &mut Mutant<'_>) -> Option<()> {
    let all: Vec<_> = m.holds.iter().filter(|hold| hold.process.lived()).collect();
    let hold = *m.chance.pick(&all)?;
    let of_it = |what: &What| match what {
        What::Granted { ask, .. } | What::Releasing { ask } => *ask == hold.number,
        _ => false,
    };
    m.journals.get_mut(&hold.process.name)?.retain(|line| !of_it(&line.what));
    Some(())
}

fn give_up(m: &mut Mutant<'_>) -> Option<()> {
    let endless = |hold: &&Hold<'_>| hold.ask.patience == Patience::Endless;
    let all: Vec<_> = m.holds.iter().filter(endless).collect();
    let hold = *m.chance.pick(&all)?;
    let number = hold.number;
    m.granted(hold)?.what = What::GaveUp { ask: number };
    let lines = m.journals.get_mut(&hold.process.name)?;
    lines.retain(|line| !matches!(line.what, What::Releasing { ask } if ask == number));
    Some(())
}

fn end_by_itself(m: &mut Mutant<'_>) -> Option<()> {
    let parent = m.journals.get_mut(PARENT)?;
    let kills: Vec<_> = (0..parent.len()).filter(|n| matches!(parent[*n].what, What::Killing { .. })).collect();
    parent.remove(*m.chance.pick(&kills)?);
    Some(())
}

fn lose(m: &mut Mutant<'_>) -> Option<()> {
    let all: Vec<_> = m.holds.iter().collect();
    let hold = *m.chance.pick(&all)?;
    let line = Line { at: hold.granted + 1, what: What::Lost { ask: hold.number } };
    m.journals.get_mut(&hold.process.name)?.push(line);
    Some(())
}

fn say_clean(m: &mut Mutant<'_>) -> Option<()> {
    let mut all = Vec::new();
    for (_, mut holds) in by_name(m.holds) {
        holds.sort_by_key(|hold| hold.token);
        let dead = |hold: &Hold<'_>| !hold.process.lived() && hold.ask.releasing.is_none();
        let exclusive = |hold: &Hold<'_>| hold.ask.mode == Mode::Exclusive;
        all.extend(holds.windows(2).filter(|two| exclusive(two[0]) && dead(two[0])).map(|two| two[1]));
    }
    let next = *m.chance.pick(&all)?;
    let What::Granted { abandoned, .. } = &mut m.granted(next)?.what else { return None };
    *abandoned = Abandoned::Clean;
    Some(())
}

fn repeat_version(m: &mut Mutant<'_>) -> Option<()> {
    let stored = m.stored();
    let (a, b) = (m.chance.pick(&stored)?.clone(), m.chance.pick(&stored)?.clone());
    if a.5 == b.5 {
        return None;
    }
    m.set_version(&a.0, a.1, b.5)
}

fn exchange_versions(m: &mut Mutant<'_>) -> Option<()> {
    let stored = m.stored();
    let a = m.chance.pick(&stored)?.clone();
    let after: Vec<_> = stored.into_iter().filter(|b| b.2 == a.2 && b.3 > a.4).collect();
    let b = m.chance.pick(&after)?.clone();
    m.set_version(&a.0, a.1, b.5)?;
    m.set_version(&b.0, b.1, a.5)
}

fn exchange_reads(m: &mut Mutant<'_>) -> Option<()> {
    let mut all = Vec::new();
    for process in &m.history.processes {
        for a in &process.reads {
            let later = |b: &&Read| b.key == a.key && b.began > a.ended && a.found.is_some() && b.found > a.found;
            all.extend(process.reads.iter().filter(later).map(|b| (process.name.clone(), a, b)));
        }
    }
    let (process, a, b) = m.chance.pick(&all)?.clone();
    for (one, other) in [(a, b), (b, a)] {
        let line = m
            .journals
            .get_mut(&process)?
            .iter_mut()
            .find(|line| line.at == one.ended && matches!(&line.what, What::Read { key, .. } if *key == one.key))?;
        line.what = What::Read { began: one.began, key: one.key.clone(), found: other.found.clone() };
    }
    Some(())
}

fn read_nonsense(m: &mut Mutant<'_>) -> Option<()> {
    let so = |what: &What| matches!(what, What::Read { found: Some(_), .. });
    let names: Vec<_> = m.journals.iter().filter(|(_, lines)| lines.iter().any(|line| so(&line.what))).collect();
    let name = m.chance.pick(&names)?.0.clone();
    let What::Read { found: Some((_, value)), .. } = &mut m.line(&name, so)?.what else { return None };
    value.push_str("-but-not-quite");
    Some(())
}

fn drop_final(m: &mut Mutant<'_>) -> Option<()> {
    let survivors: Vec<_> = m.history.processes.iter().filter(|process| process.lived()).collect();
    let name = m.chance.pick(&survivors)?.name.clone();
    let line = m.line(&name, |what| matches!(what, What::Final { found: Some(_), .. }))?;
    let What::Final { key, .. } = &line.what else { return None };
    line.what = What::Final { key: key.clone(), found: None };
    Some(())
}

fn expect_earlier(m: &mut Mutant<'_>) -> Option<()> {
    let stored = m.stored();
    let mut all = Vec::new();
    for a in &stored {
        let put = &m.history.processes.iter().find(|process| process.name == a.0)?.puts[&a.1];
        // Two of the key before it: it replaced the second, and is made to have expected the first.
        let mut before: Vec<_> = stored.iter().filter(|b| b.2 == a.2 && b.5 < a.5).map(|b| b.5).collect();
        before.sort_unstable();
        if let ([.., first, _], Expected::This(_)) = (&before[..], put.expected) {
            all.push((a.0.clone(), a.1, *first));
        }
    }
    let (process, number, version) = m.chance.pick(&all)?.clone();
    let line = m.line(&process, |what| matches!(what, What::Putting { put, .. } if *put == number))?;
    let What::Putting { expected, .. } = &mut line.what else { return None };
    *expected = Expected::This(version);
    Some(())
}

fn refuse(m: &mut Mutant<'_>) -> Option<()> {
    let mut all = Vec::new();
    for process in &m.history.processes {
        for (number, put) in &process.puts {
            if let (Expected::This(expected), Written::Conflict { .. }) = (put.expected, put.outcome) {
                all.push((process.name.clone(), *number, expected));
            }
        }
    }
    let (process, number, version) = m.chance.pick(&all)?.clone();
    let line = m.line(&process, |what| matches!(what, What::Conflict { put, .. } if *put == number))?;
    line.what = What::Conflict { put: number, version };
    Some(())
}
