//! The figures: criterion's, one contender after the other, and a table for which they take turns.

use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use crate::common::is_trial;
use crate::common::table::Row;
use crate::contender::Contender;
use crate::fleet::{Failover, Fleet};

/// How much is measured.
struct Effort {
    /// Numbers of processes, and how many failovers of each the table rests on.
    failovers: &'static [(usize, usize)],
    /// How many joins the table rests on.
    joins: usize,
}

const FULL: Effort = Effort { failovers: &[(2, 20), (8, 20), (64, 10)], joins: 300 };

/// Does everything work? Seconds on a small machine.
const TRIAL: Effort = Effort { failovers: &[(2, 1), (8, 1)], joins: 3 };

/// Measures all contenders and prints the table.
pub(crate) fn measure(contenders: &'static [&'static Contender]) {
    let effort = if is_trial() { TRIAL } else { FULL };
    let mut criterion = Criterion::default().configure_from_args();

    let mut rows = Vec::from_iter(joins(&mut criterion, contenders, effort.joins));
    for &(size, pairs) in effort.failovers {
        rows.extend(failovers(&mut criterion, contenders, size, pairs));
    }
    criterion.final_summary();

    // A filter, or a mere list of names, can leave nothing to compare.
    if !rows.is_empty() {
        println!("\nmedian (10th .. 90th percentile), ratio of medians; failover should stay within 1.5 at 8 and 64");
    }
    for row in rows {
        println!("{row}");
    }
}

/// Until a newcomer is welcomed by a supervisor that lives in another process.
fn joins(criterion: &mut Criterion, contenders: &'static [&'static Contender], pairs: usize) -> Option<Row> {
    let fleets = criterion_figures(criterion, "join", contenders, 1, Duration::from_secs(1), |fleet| fleet.join());
    let mut row = row("join".to_owned(), &fleets);
    for _ in 0..pairs {
        for (fleet, samples) in fleets.iter().zip(&mut row.samples) {
            samples.push(fleet.join());
        }
    }
    row.finish()
}

/// From the supervisor's death until the last survivor is welcomed, and until it is part of an opened reign.
fn failovers(
    criterion: &mut Criterion,
    contenders: &'static [&'static Contender],
    size: usize,
    pairs: usize,
) -> impl Iterator<Item = Row> {
    // Two failovers for each of the ten samples: most of the time goes into restoring the fleet.
    let time = Duration::from_millis(1_500) + u32::try_from(size).expect("few processes") * Duration::from_millis(40);
    let name = format!("failover/{size}");
    let mut fleets = criterion_figures(criterion, &name, contenders, size, time, |fleet| fleet.failover().welcomed);

    let mut welcomed = row(format!("failover {size}"), &fleets);
    let mut reign = row(format!("failover {size} until the reign is open"), &fleets);
    for _ in 0..pairs {
        for (n, fleet) in fleets.iter_mut().enumerate() {
            let sample: Failover = fleet.failover();
            welcomed.samples[n].push(sample.welcomed);
            // The floor has no reign to open; it stays what the others are compared with.
            reign.samples[n].push(sample.reign.unwrap_or(sample.welcomed));
        }
    }
    let reign = if fleets.iter().any(|fleet| fleet.contender().reigns) { reign.finish() } else { None };
    welcomed.finish().into_iter().chain(reign)
}

/// Has criterion measure one contender after the other. The fleets of those that it did measure live on.
fn criterion_figures(
    criterion: &mut Criterion,
    name: &str,
    contenders: &'static [&'static Contender],
    size: usize,
    time: Duration,
    sample: fn(&mut Fleet) -> Duration,
) -> Vec<Fleet> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    group.measurement_time(time);
    let mut fleets = Vec::new();
    for &contender in contenders {
        // Only when asked for: with a filter or --list, this never runs.
        let mut fleet = None;
        group.bench_function(contender.name, |bencher| {
            let fleet = fleet.get_or_insert_with(|| Fleet::start(contender, size));
            bencher.iter_custom(|count| (0..count).map(|_| sample(fleet)).sum());
        });
        fleets.extend(fleet);
    }
    group.finish();
    fleets
}

/// A line of the table for these fleets.
fn row(label: String, fleets: &[Fleet]) -> Row {
    Row::new(label, fleets.iter().map(|fleet| fleet.contender().name).collect())
}
