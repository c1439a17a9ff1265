//! What the demonstration prints.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::SystemTime;

use bellwether::{Entry, Name};

use super::fleet::{Configured, Number};
use super::journal::Tally;
use super::pause::Paused;
use super::policy::{FORBIDDEN, Refused};
use super::timeline::{Moment, Timeline, median_and_worst};
use crate::registry;
use crate::table::Table;

/// One change of supervisor, as it is shown.
#[derive(Debug)]
pub(crate) struct Reign {
    /// Who was killed.
    pub(crate) number: Number,
    /// Its process.
    pub(crate) pid: u32,
    /// How many were left.
    pub(crate) survivors: usize,
    /// When what happened.
    pub(crate) timeline: Timeline,
    /// Who was the first to get the lock from the successor.
    pub(crate) grant: Moment,
    /// Which of the survivors came back under another id.
    pub(crate) strangers: Vec<Number>,
    /// How the successor refused what is forbidden.
    pub(crate) refused: Refused,
}

/// Prints the demonstration, part by part.
#[derive(Debug)]
pub(crate) struct Reporter<Out> {
    out: Out,
}

/// How many characters stand for the longest time of a timeline.
const BAR: u64 = 24;

impl<Out: Write> Reporter<Out> {
    pub(crate) const fn new(out: Out) -> Self {
        Self { out }
    }

    /// Says what is about to happen.
    pub(crate) fn opening(&mut self, instances: u16, kills: u16, group: &Name, port: u16) -> io::Result<()> {
        let processes = count(instances.into(), "process elects", "processes elect");
        writeln!(self.out, "{processes} a supervisor: whoever binds port {port}. Their group is {group}.")?;
        if kills > 0 {
            let times = count(kills.into(), "time", "times");
            writeln!(self.out, "SIGKILL hits the supervisor {times}; each time the survivors elect the next.")?;
        }
        writeln!(self.out)
    }

    /// Prints the registry.
    pub(crate) fn registry(&mut self, entries: &[Entry], now: SystemTime) -> io::Result<()> {
        writeln!(self.out, "{}", registry::table(entries, now, 2))
    }

    /// Prints who was killed, and the timeline of what followed.
    pub(crate) fn reign(&mut self, number: u16, reign: &Reign) -> io::Result<()> {
        let Reign { number: victim, pid, survivors, timeline, grant, strangers, refused } = reign;
        writeln!(
            self.out,
            "Kill {number}: instance {victim} (pid {pid}), the supervisor. Microseconds since SIGKILL:\n"
        )?;
        let longest = grant.micros.max(1);
        let mut table = Table::new([""; 4], 2);
        let mut line = |name: &str, moment: Moment, note: String| {
            // Nothing is later than the grant.
            let length = (moment.micros * BAR).div_ceil(longest).min(BAR);
            let bar = "=".repeat(usize::try_from(length).unwrap_or_default());
            table.push([name.to_owned(), format!("{:>7}", moment.micros), bar, note]);
        };
        let Timeline { detected, bound, first_welcome, last_welcome, window_closed } = *timeline;
        line("detected", detected, format!("instance {} is the first to see its connection end", detected.number));
        line("bound", bound, format!("instance {} has the port: it is the supervisor", bound.number));
        if let Some(moment) = first_welcome {
            line("first welcome", moment, format!("instance {} is its subordinate", moment.number));
        }
        if let Some(moment) = last_welcome {
            line("last welcome", moment, format!("instance {} is the last: everyone is connected", moment.number));
        }
        line("window closed", window_closed, everyone(*survivors, strangers));
        line("first grant", *grant, format!("instance {} is the next to have the lock", grant.number));
        let Refused { number, supervisor } = refused;
        let note = format!("instance {supervisor} denies instance {number} the lock \"{FORBIDDEN}\"");
        table.push(["policy".to_owned(), String::new(), String::new(), note]);
        // The first line is the heading, which these columns do not need.
        let text = table.to_string();
        writeln!(self.out, "{}", text.split_once('\n').map_or("", |(_, rows)| rows))
    }

    /// Says that somebody was started.
    pub(crate) fn company(&mut self) -> io::Result<()> {
        writeln!(self.out, "One process was left alone; another has joined it.\n")
    }

    /// Prints what it all comes to.
    pub(crate) fn summary(&mut self, reigns: &[Reign]) -> io::Result<()> {
        let survivals: usize = reigns.iter().map(|reign| reign.survivors).sum();
        let strangers: usize = reigns.iter().map(|reign| reign.strangers.len()).sum();
        let kills = count(reigns.len(), "kill", "kills");
        let elected = count(reigns.len(), "new reign", "new reigns");
        writeln!(
            self.out,
            "{kills}, {elected}; survivors back under their old id: {} of {survivals}.",
            survivals - strangers
        )?;
        let mut table = Table::new(["microseconds", " median", "  worst"], 2);
        let timelines = || reigns.iter().map(|reign| &reign.timeline);
        let rows = [
            ("last welcome", median_and_worst(timelines().filter_map(|t| t.last_welcome).map(|m| m.micros))),
            ("window closed", median_and_worst(timelines().map(|t| t.window_closed.micros))),
            ("first grant", median_and_worst(reigns.iter().map(|reign| reign.grant.micros))),
        ];
        for (name, figures) in rows {
            if let Some((median, worst)) = figures {
                table.push([name.to_owned(), format!("{median:>7}"), format!("{worst:>7}")]);
            }
        }
        if reigns.is_empty() {
            return Ok(());
        }
        write!(self.out, "\n{table}")
    }

    /// Prints what the journal shows, which has no fault.
    pub(crate) fn journal(&mut self, tally: &Tally) -> io::Result<()> {
        let Tally { grants, processes, reigns, unfinished } = *tally;
        let grants = count(grants, "grant", "grants");
        let processes = count(processes, "process", "processes");
        let reigns = count(reigns, "reign", "reigns");
        writeln!(
            self.out,
            "\nOne lock: {grants} to {processes} in {reigns}; the tokens rise, no two had it at a time."
        )?;
        if unfinished > 0 {
            let owners = count(unfinished, "owner was", "owners were");
            writeln!(self.out, "{owners} killed with the lock; the next one was told so.")?;
        }
        Ok(())
    }

    /// Prints how far a configuration has come.
    pub(crate) fn configuration(&mut self, configured: &Configured) -> io::Result<()> {
        let Configured { number, version, copies, micros } = configured;
        let all = if *copies == 1 { "the only copy has".to_owned() } else { format!("all {copies} copies have") };
        writeln!(self.out, "One value: instance {number} writes version {version}; {all} it within {micros} us.")
    }

    /// Prints how often the policy has denied what is forbidden, which is every time.
    pub(crate) fn policy(&mut self, refused: &[Refused]) -> io::Result<()> {
        let supervisors: BTreeSet<Number> = refused.iter().map(|refused| refused.supervisor).collect();
        let tries = count(refused.len(), "try", "tries");
        let supervisors = count(supervisors.len(), "supervisor", "supervisors");
        let denied = refused.len();
        writeln!(self.out, "One policy: {tries} to have the lock \"{FORBIDDEN}\", {denied} denied by {supervisors}.")
    }

    /// Prints what a pause has shown.
    pub(crate) fn pause(&mut self, paused: Paused) -> io::Result<()> {
        let Paused { number, others } = paused;
        writeln!(self.out, "One pause: instance {number} has none of {others} grants, and the lock again when resumed.")
    }
}

fn everyone(survivors: usize, strangers: &[Number]) -> String {
    let (who, ids) = match survivors {
        1 => ("the survivor is".to_owned(), "its old id"),
        count => (format!("all {count} survivors are"), "their old ids"),
    };
    if strangers.is_empty() {
        return format!("{who} back under {ids}");
    }
    let list: Vec<_> = strangers.iter().map(Number::to_string).collect();
    format!("{who} back, but under a new id: instance {}", list.join(", "))
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn moment(micros: u64, number: Number) -> Moment {
        Moment { micros, number }
    }

    const TALLY: Tally = Tally { grants: 214, processes: 5, reigns: 4, unfinished: 0 };

    fn reign() -> Reign {
        let timeline = Timeline {
            detected: moment(100, 2),
            bound: moment(200, 3),
            first_welcome: Some(moment(300, 2)),
            last_welcome: Some(moment(400, 4)),
            window_closed: moment(1200, 4),
        };
        let refused = Refused { number: 4, supervisor: 3 };
        Reign { number: 1, pid: 77, survivors: 3, timeline, grant: moment(1500, 2), strangers: Vec::new(), refused }
    }

    fn printed(print: impl FnOnce(&mut Reporter<&mut Vec<u8>>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut Reporter::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_timeline_is_one_line_per_milestone() {
        let expected = "\
Kill 1: instance 1 (pid 77), the supervisor. Microseconds since SIGKILL:

  detected           100  ==                        instance 2 is the first to see its connection end
  bound              200  ====                      instance 3 has the port: it is the supervisor
  first welcome      300  =====                     instance 2 is its subordinate
  last welcome       400  =======                   instance 4 is the last: everyone is connected
  window closed     1200  ====================      all 3 survivors are back under their old ids
  first grant       1500  ========================  instance 2 is the next to have the lock
  policy                                            instance 3 denies instance 4 the lock \"forbidden\"

";
        assert_eq!(printed(|reporter| reporter.reign(1, &reign())), expected);
    }

    #[test]
    fn a_survivor_alone_is_welcomed_by_nobody() {
        let timeline = Timeline { first_welcome: None, last_welcome: None, ..reign().timeline };
        let text = printed(|reporter| reporter.reign(1, &Reign { timeline, survivors: 1, ..reign() }));
        assert!(!text.contains("welcome") && text.contains("the survivor is back"), "{text}");
    }

    #[test]
    fn a_stranger_is_named_and_counted() {
        let odd = || Reign { strangers: vec![2, 4], ..reign() };
        assert!(printed(|reporter| reporter.reign(1, &odd())).contains("but under a new id: instance 2, 4\n"));
        let expected = "\
2 kills, 2 new reigns; survivors back under their old id: 4 of 6.

  microseconds    median    worst
  last welcome       400      400
  window closed     1200     1200
  first grant       1500     1500
";
        assert_eq!(printed(|reporter| reporter.summary(&[odd(), reign()])), expected);
    }

    #[test]
    fn without_a_kill_there_are_no_figures() {
        let text = printed(|reporter| reporter.summary(&[]));
        assert_eq!(text, "0 kills, 0 new reigns; survivors back under their old id: 0 of 0.\n");
    }

    #[test]
    fn the_journal_is_one_line_unless_somebody_died_at_work() {
        let quiet = "\nOne lock: 214 grants to 5 processes in 4 reigns; the tokens rise, no two had it at a time.\n";
        assert_eq!(printed(|reporter| reporter.journal(&TALLY)), quiet);
        let text = printed(|reporter| reporter.journal(&Tally { unfinished: 2, ..TALLY }));
        assert_eq!(text, format!("{quiet}2 owners were killed with the lock; the next one was told so.\n"));
    }

    #[test]
    fn a_configuration_says_how_many_have_it() {
        let configured = |copies| Configured { number: 5, version: "7.1".to_owned(), copies, micros: 412 };
        for (copies, expected) in [
            (2, "One value: instance 5 writes version 7.1; all 2 copies have it within 412 us.\n"),
            (1, "One value: instance 5 writes version 7.1; the only copy has it within 412 us.\n"),
        ] {
            assert_eq!(printed(|reporter| reporter.configuration(&configured(copies))), expected);
        }
    }

    #[test]
    fn a_policy_is_counted_by_tries_and_supervisors() {
        let refused = |supervisor| Refused { number: 9, supervisor };
        for (tries, expected) in [
            (vec![refused(1)], "1 try to have the lock \"forbidden\", 1 denied by 1 supervisor.\n"),
            (
                vec![refused(1), refused(2), refused(2)],
                "3 tries to have the lock \"forbidden\", 3 denied by 2 supervisors.\n",
            ),
        ] {
            assert_eq!(printed(|reporter| reporter.policy(&tries)), format!("One policy: {expected}"));
        }
    }

    #[test]
    fn everything_is_plain_ascii() {
        let name = Name::new("g").unwrap();
        let text = printed(|reporter| reporter.opening(1, 2, &name, 20_000)) + &printed(|r| r.reign(1, &reign()));
        assert!(text.is_ascii(), "{text}");
    }
}
