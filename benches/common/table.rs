//! The table at the end: one line per comparison.

use std::fmt;
use std::time::Duration;

/// One line of the table: the samples of each contender, the floors first.
pub(crate) struct Row {
    label: String,
    names: Vec<&'static str>,
    pub(crate) samples: Vec<Vec<Duration>>,
}

impl Row {
    /// A line without samples yet.
    pub(crate) fn new(label: String, names: Vec<&'static str>) -> Self {
        Self { label, samples: vec![Vec::new(); names.len()], names }
    }

    /// In order of length, which is how percentiles are read. None if nobody was measured.
    pub(crate) fn finish(mut self) -> Option<Self> {
        self.samples.iter_mut().for_each(|samples| samples.sort_unstable());
        (!self.names.is_empty()).then_some(self)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.label)?;
        for (n, (name, samples)) in self.names.iter().zip(&self.samples).enumerate() {
            let semicolon = if n == 0 { "" } else { ";" };
            let [low, median, high] = [10, 50, 90].map(|percent| percentile(samples, percent));
            write!(f, "{semicolon} {name} {median:.2?} ({low:.2?} .. {high:.2?})")?;
            for (floor, samples) in self.names.iter().zip(&self.samples).take(n) {
                let ratio = median.as_secs_f64() / percentile(samples, 50).as_secs_f64();
                write!(f, ", ratio {ratio:.2} to {floor}")?;
            }
        }
        Ok(())
    }
}

/// Of samples in order of length.
fn percentile(samples: &[Duration], percent: usize) -> Duration {
    samples[(samples.len() - 1) * percent / 100]
}
