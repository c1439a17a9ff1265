//! The figures: criterion's, one contender after the other, and a line of a table for which they take turns.

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};

use crate::common::table::Row;

/// Does something so many times and says how long that took. Its processes live as long as it does.
pub(crate) type Runner = Box<dyn FnMut(u32) -> Duration>;

/// One who does what is compared, the floors first.
pub(crate) struct Contender {
    name: &'static str,
    start: Box<dyn Fn() -> Runner>,
}

impl Contender {
    pub(crate) fn new(name: &'static str, start: impl Fn() -> Runner + 'static) -> Self {
        Self { name, start: Box::new(start) }
    }
}

/// Has criterion measure one contender after the other, and then has those that it did measure take turns: so many
/// samples of each, and so often what is measured for one of them.
pub(crate) fn compare<const N: usize>(
    criterion: &mut Criterion,
    name: &str,
    contenders: [Contender; N],
    turns: usize,
    batch: u32,
) -> Option<Row> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    let mut runners = Vec::new();
    let mut names = Vec::new();
    for Contender { name, start } in contenders {
        // Only when asked for: with a filter or --list, this never runs.
        let mut runner = None;
        group.bench_function(name, |bencher| {
            let runner = runner.get_or_insert_with(&start);
            bencher.iter_custom(|count| runner(u32::try_from(count).expect("half a second's worth")));
        });
        if let Some(runner) = runner {
            runners.push(runner);
            names.push(name);
        }
    }
    group.finish();

    let mut row = Row::new(name.to_owned(), names);
    for _ in 0..turns {
        for (runner, samples) in runners.iter_mut().zip(&mut row.samples) {
            samples.push(runner(batch) / batch);
        }
    }
    row.finish()
}

/// Prints the lines below this heading.
pub(crate) fn print(heading: &str, rows: &[Row]) {
    // A filter, or a mere list of names, can leave nothing to compare.
    if !rows.is_empty() {
        println!("\nmedian (10th .. 90th percentile), ratios of medians; {heading}");
    }
    for row in rows {
        println!("{row}");
    }
}

/// Does one thing again and again, all of which counts.
pub(crate) fn repeated(count: u32, act: impl FnMut(u32)) -> Duration {
    let start = Instant::now();
    (0..count).for_each(act);
    start.elapsed()
}
