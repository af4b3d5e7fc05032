//! What the bench prints: an aligned table, or one JSON object a line. Filled by `main` with the lines of each row.

use crate::measure::{Spread, differences, ratios};
use serde_json::json;

/// One line of the report.
#[derive(Debug)]
pub(crate) struct Line {
    row: &'static str,
    subject: String,
    measure: &'static str,
    unit: &'static str,
    /// None for a subject that was not there to be measured; the note says why.
    spread: Option<Spread>,
    note: String,
}

impl Line {
    /// A measure of a subject, from one value a round.
    pub(crate) fn new(
        row: &'static str,
        subject: impl Into<String>,
        measure: &'static str,
        unit: &'static str,
        values: &[f64],
    ) -> Line {
        Line { row, subject: subject.into(), measure, unit, spread: Spread::of(values), note: String::new() }
    }

    /// `of` in multiples of `to`: each a name and one value a round.
    pub(crate) fn ratio(
        row: &'static str,
        measure: &'static str,
        of: (&str, &[f64]),
        to: (&str, &[f64]),
    ) -> Line {
        let subject = format!("{} : {}", of.0, to.0);
        match ratios(of.1, to.1) {
            Some(ratios) => Line::new(row, subject, measure, "x", &ratios),
            None => Line::new(row, subject, measure, "x", &[]).note("no ratio: a divisor is zero"),
        }
    }

    /// `of` less `from`: each a name and one value a round.
    pub(crate) fn difference(
        row: &'static str,
        measure: &'static str,
        unit: &'static str,
        of: (&str, &[f64]),
        from: (&str, &[f64]),
    ) -> Line {
        Line::new(row, format!("{} - {}", of.0, from.0), measure, unit, &differences(of.1, from.1))
    }

    /// A peer that this machine lacks: loud, so that nobody takes the row for complete.
    pub(crate) fn not_installed(row: &'static str, peer: &str) -> Line {
        Line::not_measured(row, peer, "not installed")
    }

    /// A peer that could not be measured: as loud.
    pub(crate) fn not_measured(row: &'static str, peer: &str, why: &str) -> Line {
        Line::new(row, peer, "", "", &[]).note(format!("*** {peer}: {why}, not measured ***"))
    }

    /// Says something beside, after what is said there already.
    pub(crate) fn note(mut self, note: impl AsRef<str>) -> Line {
        if !self.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(note.as_ref());
        self
    }

    /// Says beside whether the median is as much as is asked for. Never enforced: a slow time is no failure.
    pub(crate) fn at_least(self, asked: f64) -> Line {
        let is_kept = self.spread.is_some_and(|spread| spread.median >= asked);
        self.judged(format!("asked: {asked} or more"), is_kept)
    }

    /// The same of what may not be more.
    pub(crate) fn at_most(self, asked: f64) -> Line {
        let is_kept = self.spread.is_some_and(|spread| spread.median <= asked);
        self.judged(format!("asked: {asked} or less"), is_kept)
    }

    /// The same of what may not be more in any round.
    pub(crate) fn never_above(self, asked: f64) -> Line {
        let is_kept = self.spread.is_some_and(|spread| spread.max <= asked);
        self.judged(format!("asked: {asked} or less each time"), is_kept)
    }

    fn judged(self, asked: String, is_kept: bool) -> Line {
        self.note(format!("{asked}: {}", if is_kept { "kept" } else { "MISSED" }))
    }

    fn cells(&self) -> [String; 7] {
        let (median, min_max) = match self.spread {
            Some(spread) => {
                (number(spread.median), format!("{} – {}", number(spread.min), number(spread.max)))
            }
            None => ("-".to_owned(), String::new()),
        };
        let [row, measure, unit] = [self.row, self.measure, self.unit].map(str::to_owned);
        [row, self.subject.clone(), measure, median, min_max, unit, self.note.clone()]
    }
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    lines: Vec<Line>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Report {
        Report { json, lines: Vec::new() }
    }

    /// What the bench ran on: head and foot.
    pub(crate) fn machine(&self, machine: &[(&str, String)]) {
        if self.json {
            let fields: serde_json::Map<_, _> =
                machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            println!("{}", json!({ "machine": fields }));
            return;
        }
        for (name, value) in machine {
            println!("{name:<10} {value}");
        }
        println!();
    }

    /// The lines of a row that ended. JSON goes out now; the table waits for its widths.
    pub(crate) fn row(&mut self, lines: Vec<Line>) {
        if !self.json {
            self.lines.extend(lines);
            return;
        }
        for line in lines {
            let spread = line.spread.map(|spread| [spread.median, spread.min, spread.max]);
            let [median, min, max] = spread.map_or([None; 3], |values| values.map(Some));
            println!(
                "{}",
                json!({ "row": line.row, "subject": line.subject, "measure": line.measure, "unit": line.unit,
                    "median": median, "min": min, "max": max, "note": line.note })
            );
        }
    }

    /// Prints the table.
    pub(crate) fn finish(&self) {
        if !self.lines.is_empty() {
            println!("{}", table(&self.lines));
        }
    }
}

fn table(lines: &[Line]) -> String {
    let head = ["row", "subject", "measure", "median", "min – max", "unit", ""].map(str::to_owned);
    let cells: Vec<_> = std::iter::once(head).chain(lines.iter().map(Line::cells)).collect();
    let mut width = [0; 7];
    for (column, width) in width.iter_mut().enumerate() {
        *width = cells.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    }
    let mut out = String::new();
    let mut above = "row";
    for cells in &cells {
        if cells[0] != above {
            out.push('\n');
        }
        above = &cells[0];
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(width).enumerate() {
            match column {
                3 | 4 => line.push_str(&format!("{cell:>width$}  ")), // numbers
                _ => line.push_str(&format!("{cell:<width$}  ")),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Three figures or more: what a round can tell apart.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_rows_stand_apart() {
        let lines = [
            Line::new("rpc", "netkitd", "p50", "µs", &[50.0, 40.0, 120.0]),
            Line::not_installed("rpc", "aria2c"),
            Line::ratio("idle", "VmRSS", ("a", &[1.0]), ("b", &[2.0])).note("half"),
        ];
        assert_eq!(
            table(&lines),
            "row   subject  measure  median    min – max  unit\n\
             \nrpc   netkitd  p50        50.0   40.0 – 120  µs\n\
             rpc   aria2c                 -                     *** aria2c: not installed, not measured ***\n\
             \nidle  a : b    VmRSS      0.50  0.50 – 0.50  x     half\n"
        );
    }

    #[test]
    fn what_is_asked_is_held_against_the_median_or_each_round() {
        let line = || Line::new("rpc", "netkitd", "p50", "ms", &[1.0, 2.0, 30.0]).note("many");
        assert_eq!(line().at_least(2.0).note("x").note, "many; asked: 2 or more: kept; x");
        assert_eq!(line().at_least(2.1).note, "many; asked: 2.1 or more: MISSED");
        assert_eq!(line().at_most(2.0).note, "many; asked: 2 or less: kept");
        assert_eq!(line().at_most(1.9).note, "many; asked: 1.9 or less: MISSED");
        assert_eq!(line().never_above(30.0).note, "many; asked: 30 or less each time: kept");
        assert_eq!(line().never_above(29.9).note, "many; asked: 29.9 or less each time: MISSED");
        assert_eq!(Line::new("rpc", "", "", "", &[]).at_most(1.0).note, "asked: 1 or less: MISSED");
    }

    #[test]
    fn numbers_keep_three_figures() {
        assert_eq!(
            [0.0, 0.123, 1.5, 12.34, 1234.5, -0.5].map(number),
            ["0", "0.12", "1.50", "12.3", "1234", "-0.50"]
        );
    }
}
