//! Tables for people: columns as wide as what stands in them, without those in which nothing stands. Where the terminal is
//! too narrow, the least important columns are left out; a name is never cut, since it is there to be typed.

use crate::output::escape_line;
use unicode_width::UnicodeWidthStr;

/// Between columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// Of columns that do not fit the highest goes first; those of 0 stay.
    pub rank: u8,
    /// Whether it is a number: its end stands in line.
    pub number: bool,
}

impl Column {
    /// A column of words.
    pub(crate) const fn words(title: &'static str, rank: u8) -> Column {
        Column { title, rank, number: false }
    }

    /// A column of numbers.
    pub(crate) const fn numbers(title: &'static str, rank: u8) -> Column {
        Column { title, rank, number: true }
    }
}

/// The lines of a table, its titles first; none where there are no rows. What is in the cells can't act on a terminal.
#[must_use]
pub(crate) fn lines(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let titles = columns.iter().map(|column| column.title.to_owned()).collect();
    let cells = |row: &Vec<String>| row.iter().map(|cell| escape_line(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows.iter().map(cells)).collect();
    let widest = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max();
    let is_used = |at: usize| rows.iter().skip(1).any(|row| row.get(at).is_some_and(|cell| !cell.is_empty()));
    let mut shown: Vec<(usize, &Column, usize)> = (columns.iter().enumerate())
        .filter(|(at, _)| is_used(*at))
        .map(|(at, column)| (at, column, widest(at).unwrap_or_default()))
        .collect();
    let total = |shown: &[(usize, &Column, usize)]| {
        shown.iter().map(|(_, _, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while width.is_some_and(|width| total(&shown) > width)
        && let Some(least) = shown.iter().map(|(_, column, _)| column.rank).max().filter(|rank| *rank > 0)
    {
        shown.retain(|(_, column, _)| column.rank != least);
    }
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (at, column, width) in &shown {
            let cell = row.get(*at).map_or("", String::as_str);
            let fill = " ".repeat(width.saturating_sub(cell.width()));
            let (before, after) = if column.number { (&*fill, "") } else { ("", &*fill) };
            line.push_str(&format!("{before}{cell}{after}{:GAP$}", ""));
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::words("NAME", 0),
        Column::words("ADDRESS", 1),
        Column::numbers("QUEUE", 2),
        Column::words("NOTE", 3),
    ];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![row(["小明", "10.0.0.9", "7", ""]), row(["bob\u{1b}", "", "12", ""])]
    }

    #[test]
    fn columns_stand_in_line_whatever_the_script() {
        assert_eq!(
            lines(&COLUMNS, &rows(), None),
            ["NAME       ADDRESS   QUEUE", "小明       10.0.0.9      7", "bob\\u{1b}               12"]
        );
        assert!(lines(&COLUMNS, &[], None).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_left_out_but_never_cut() {
        let titles = |width| lines(&COLUMNS, &rows(), Some(width)).remove(0);
        assert_eq!(titles(26), "NAME       ADDRESS   QUEUE");
        assert_eq!(titles(25), "NAME       ADDRESS");
        assert_eq!(titles(18), "NAME");
        assert_eq!(lines(&COLUMNS, &rows(), Some(1))[2], "bob\\u{1b}");
    }
}
