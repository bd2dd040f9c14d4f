//! Tables for people.

use unicode_width::UnicodeWidthStr;

/// On which side the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Lines of a table with a head, columns two spaces apart.
pub(super) fn lines<const N: usize>(
    columns: [(&str, Align); N],
    rows: &[[String; N]],
) -> Vec<String> {
    let head = columns.map(|(name, _)| name.to_owned());
    let all: Vec<[String; N]> = std::iter::once(&head)
        .chain(rows)
        .map(|row| row.each_ref().map(|c| plain(c)))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|i| {
        all.iter()
            .filter_map(|row| row.get(i))
            .map(|c| c.width())
            .max()
            .unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(columns).zip(widths);
        let padded = cells.map(|((cell, (_, align)), width)| pad(cell, align, width));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

/// Text of a document without what would command the terminal that it is shown on.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A number of bytes in a few characters: `18.1 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, UNITS[0]);
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

fn pad(cell: &str, align: Align, width: usize) -> String {
    let space = " ".repeat(width.saturating_sub(cell.width()));
    match align {
        Align::Left => format!("{cell}{space}"),
        Align::Right => format!("{space}{cell}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let columns = [("NAME", Align::Left), ("N", Align::Right)];
        let rows = [
            ["水路".to_owned(), "12".to_owned()],
            ["a\u{1b}[2J".to_owned(), "3".to_owned()],
        ];
        assert_eq!(
            lines(columns, &rows),
            ["NAME    N", "水路   12", "a\u{fffd}[2J   3"]
        );
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (18_900_000, "18.0 MiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
