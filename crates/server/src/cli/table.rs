//! Tables of plain text.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;

/// The side to which a column's cells are aligned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// For text.
    Left,
    /// For numbers.
    Right,
}

/// Rows whose columns are as wide as their widest cell, two spaces apart.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    sides: [Side; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table without rows.
    pub(super) fn new(sides: [Side; COLUMNS]) -> Self {
        Self { sides, rows: Vec::new() }
    }

    /// Appends a row.
    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| plain(&cell)));
    }

    /// Writes the rows, each after `indent`.
    pub(super) fn write(&self, out: &mut dyn Write, indent: &str) -> io::Result<()> {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        for row in &self.rows {
            let mut line = indent.to_owned();
            for ((cell, side), width) in row.iter().zip(self.sides).zip(widths) {
                let space = " ".repeat(width - cell.width());
                match side {
                    Side::Left => line.extend([cell, space.as_str(), "  "]),
                    Side::Right => line.extend([space.as_str(), cell, "  "]),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// `text` on one line, without control characters: the text of a poll must not break a table or control a terminal.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_for_any_text() {
        let mut table = Table::new([Side::Left, Side::Right, Side::Left]);
        for (name, count, note) in [("a", 9, "x"), ("日本", 1_000, ""), ("line\nbreak", 10, "\u{1b}[31m")] {
            table.row([name.to_owned(), count.to_string(), note.to_owned()]);
        }
        let mut out = Vec::new();
        table.write(&mut out, "> ").unwrap();
        let lines = ["> a              9  x", "> 日本        1000", "> line break    10   [31m", ""];
        assert_eq!(String::from_utf8(out).unwrap(), lines.join("\n"));
    }
}
