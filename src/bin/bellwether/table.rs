//! Text in aligned columns, for a plain terminal.

use std::fmt;

use bellwether::text::Plain;

/// A heading and rows. Columns are as wide as their widest cell and two blanks apart.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
    indent: usize,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with this heading, whose lines begin after as many blanks.
    pub(crate) fn new(heading: [&str; COLUMNS], indent: usize) -> Self {
        Self { rows: vec![heading.map(str::to_owned)], indent }
    }

    /// Adds a row. What others chose freely goes through [`plain`] first.
    pub(crate) fn push(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row);
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        for row in &self.rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(f, "{:indent$}{}", "", line.trim_end(), indent = self.indent)?;
        }
        Ok(())
    }
}

/// The longest text that [`plain`] leaves whole, in characters.
const LONGEST: usize = 40;

/// A text that some other process chose, fit for one line, without control of the terminal.
pub(crate) fn escaped(text: &str) -> String {
    Plain(text).to_string()
}

/// The same, fit for one cell: not too long.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = escaped(text);
    if plain.chars().count() > LONGEST {
        plain = plain.chars().take(LONGEST - 3).collect();
        plain.push_str("...");
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["id", "label", "x"], 2);
        table.push(["1".into(), "a long label".into(), "y".into()]);
        table.push(["22222".into(), String::new(), "z".into()]);
        table.push(["3".into(), "büro".into(), String::new()]);
        let lines =
            ["  id     label         x", "  1      a long label  y", "  22222                z", "  3      büro", ""];
        assert_eq!(table.to_string(), lines.join("\n"));
    }

    #[test]
    fn a_foreign_text_cannot_leave_its_cell() {
        for (text, shown) in [
            ("worker 3", "worker 3"),
            ("it's \"B\\C\"", "it's \"B\\C\""),
            ("büro ☂", "büro ☂"),
            ("two\nlines", "two\\nlines"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{202e}turned", "\\u{202e}turned"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain(&"x".repeat(41)), format!("{}...", "x".repeat(37)));
        assert_eq!(plain(&"x".repeat(40)), "x".repeat(40));
    }
}
