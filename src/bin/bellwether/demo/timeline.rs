//! What the reports of all survivors say together about one change of supervisor.

use bellwether::Role;

use super::fleet::Number;
use super::report::{Report, Standing};

/// From the kill to the next reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// The first survivor saw its connection end.
    pub(crate) detected: Moment,
    /// The next supervisor had won the port, by its own account or by that of the first it welcomed.
    pub(crate) bound: Moment,
    /// It had welcomed its first subordinate; `None` if it is alone.
    pub(crate) first_welcome: Option<Moment>,
    /// It had welcomed all of them.
    pub(crate) last_welcome: Option<Moment>,
    /// The window was closed: the last survivor was part of the new reign.
    pub(crate) window_closed: Moment,
}

/// When something happened, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// Microseconds since the kill.
    pub(crate) micros: u64,
    /// The number of the process.
    pub(crate) number: Number,
}

/// How one survivor came into the new reign.
struct Comeback {
    number: Number,
    detected: u64,
    welcomed: u64,
    open: u64,
    standing: Standing,
}

impl Timeline {
    /// The timeline of a kill at this time, from what every survivor has reported since. `None` if one of them is not in
    /// the same reign as the others, or not everything was reported that leads there.
    pub(crate) fn new(killed: u64, logs: &[(Number, &[Report])]) -> Option<Self> {
        let comebacks: Vec<_> =
            logs.iter().map(|(number, log)| Comeback::new(*number, killed, log)).collect::<Option<_>>()?;
        let epoch = comebacks.first()?.standing.epoch;
        let supervisor = comebacks.iter().find(|comeback| comeback.standing.role == Role::Supervisor)?;
        if comebacks.iter().any(|comeback| comeback.standing.epoch != epoch) {
            return None;
        }
        let moment = |number, at: u64| Moment { micros: at.saturating_sub(killed) / 1000, number };
        let welcomes =
            || comebacks.iter().filter(|other| other.number != supervisor.number).map(|c| moment(c.number, c.welcomed));
        let first_welcome = welcomes().min();
        let mut bound = moment(supervisor.number, supervisor.welcomed);
        if let Some(first) = first_welcome {
            // The winner's own thread can be late to hear of the victory. It had won when it welcomed somebody.
            bound.micros = bound.micros.min(first.micros);
        }
        Some(Self {
            detected: comebacks.iter().map(|comeback| moment(comeback.number, comeback.detected)).min()?,
            bound,
            first_welcome,
            last_welcome: welcomes().max(),
            window_closed: comebacks.iter().map(|comeback| moment(comeback.number, comeback.open)).max()?,
        })
    }

    /// The same, knowing when the successor's first grant was used. All of it came before that, however late those who
    /// report it heard of it.
    pub(crate) fn before(mut self, micros: u64) -> Self {
        let Self { detected, bound, first_welcome, last_welcome, window_closed } = &mut self;
        let all = [Some(detected), Some(bound), first_welcome.as_mut(), last_welcome.as_mut(), Some(window_closed)];
        all.into_iter().flatten().for_each(|moment| moment.micros = moment.micros.min(micros));
        self
    }
}

impl Comeback {
    fn new(number: Number, killed: u64, log: &[Report]) -> Option<Self> {
        let (mut detected, mut welcomed, mut comeback) = (None, None, None);
        for report in log {
            match *report {
                // Only the first counts, and only the last of the others: a winner can give way to a second one.
                Report::Disconnected(at) if at >= killed => detected = detected.or(Some(at)),
                Report::Welcomed(at, _) if at >= killed => welcomed = Some(at),
                Report::Reign(open, standing) if open >= killed => {
                    comeback = Some(Self { number, detected: detected?, welcomed: welcomed?, open, standing });
                }
                _ => {}
            }
        }
        comeback
    }
}

/// The middle and the largest of some figures; of an even number of them, the mean of the two in the middle.
pub(crate) fn median_and_worst(figures: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    let mut figures: Vec<u64> = figures.collect();
    figures.sort_unstable();
    let worst = *figures.last()?;
    Some((figures[(figures.len() - 1) / 2].midpoint(figures[figures.len() / 2]), worst))
}

#[cfg(test)]
mod tests {
    use bellwether::{Epoch, InstanceId};

    use super::*;

    fn reign(at: u64, epoch: u64, role: Role) -> Report {
        Report::Reign(at, Standing { epoch: Epoch::new(epoch), id: InstanceId::new(1), role })
    }

    fn subordinate(detected: u64, welcomed: u64, open: u64) -> Vec<Report> {
        vec![
            Report::Disconnected(detected),
            Report::Welcomed(welcomed, Role::Subordinate),
            reign(open, 2, Role::Subordinate),
        ]
    }

    fn supervisor(detected: u64, bound: u64, open: u64) -> Vec<Report> {
        vec![
            Report::Disconnected(detected),
            Report::Welcomed(bound, Role::Supervisor),
            reign(open, 2, Role::Supervisor),
        ]
    }

    const fn moment(micros: u64, number: Number) -> Moment {
        Moment { micros, number }
    }

    #[test]
    fn a_timeline_is_the_firsts_and_lasts_of_all_survivors() {
        let logs = [
            subordinate(13_000, 19_000, 31_000),
            supervisor(12_000, 15_000, 28_000),
            subordinate(14_000, 25_999, 30_000),
        ];
        let logs: Vec<_> = (2..).zip(logs.iter().map(Vec::as_slice)).collect();
        let expected = Timeline {
            detected: moment(2, 3),
            bound: moment(5, 3),
            first_welcome: Some(moment(9, 2)),
            last_welcome: Some(moment(15, 4)),
            window_closed: moment(21, 2),
        };
        assert_eq!(Timeline::new(10_000, &logs), Some(expected));
    }

    #[test]
    fn a_single_survivor_welcomes_nobody() {
        let log = supervisor(12_000, 15_000, 28_000);
        let timeline = Timeline::new(10_000, &[(2, &log)]).unwrap();
        assert_eq!((timeline.first_welcome, timeline.last_welcome), (None, None));
    }

    #[test]
    fn a_winner_that_gave_way_is_not_the_one_that_bound() {
        let mut log = vec![Report::Disconnected(11_000), Report::Welcomed(12_000, Role::Supervisor)];
        log.extend(subordinate(13_000, 19_000, 31_000));
        let other = supervisor(12_500, 15_000, 28_000);
        let timeline = Timeline::new(10_000, &[(2, &log), (3, &other)]).unwrap();
        assert_eq!((timeline.detected, timeline.bound), (moment(1, 2), moment(5, 3)));
    }

    #[test]
    fn nobody_is_welcomed_before_somebody_has_won() {
        let (late, other) = (supervisor(12_000, 19_000, 28_000), subordinate(12_000, 16_000, 28_000));
        let timeline = Timeline::new(10_000, &[(2, &late), (3, &other)]).unwrap();
        assert_eq!((timeline.bound, timeline.first_welcome), (moment(6, 2), Some(moment(6, 3))));
    }

    #[test]
    fn nothing_is_granted_before_the_window_is_closed() {
        let (winner, other) = (supervisor(12_000, 15_000, 28_000), subordinate(12_000, 19_000, 29_000));
        let timeline = Timeline::new(10_000, &[(2, &winner), (3, &other)]).unwrap();
        assert_eq!(timeline.before(19), timeline);
        let late = timeline.before(7);
        assert_eq!((late.detected, late.bound), (timeline.detected, timeline.bound));
        assert_eq!((late.last_welcome, late.window_closed), (Some(moment(7, 3)), moment(7, 3)));
    }

    #[test]
    fn what_is_incomplete_has_no_timeline() {
        let (whole, other) = (supervisor(12_000, 15_000, 28_000), subordinate(12_000, 16_000, 28_000));
        let before = 20_000;
        for (killed, logs) in [
            (10_000, vec![]),
            (10_000, vec![(2, &whole[..2])]),
            (10_000, vec![(2, &other[..])]),
            (10_000, vec![(2, &whole[..]), (3, &[])]),
            (10_000, vec![(2, &whole[..]), (3, &other[1..])]),
            (10_000, vec![(2, &whole[..]), (3, &[Report::Disconnected(1), reign(20_000, 3, Role::Subordinate)])]),
            (before, vec![(2, &whole[..])]),
        ] {
            assert_eq!(Timeline::new(killed, &logs), None, "{logs:?}");
        }
    }

    #[test]
    fn medians_are_in_the_middle() {
        for (figures, expected) in
            [(vec![], None), (vec![3], Some((3, 3))), (vec![9, 1], Some((5, 9))), (vec![7, 1, 2], Some((2, 7)))]
        {
            assert_eq!(median_and_worst(figures.into_iter()), expected);
        }
    }
}
