//! The small parts of text output: colours that can be left out, and lines that fit a terminal.

use std::fmt::{self, Display};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::check::Severity;
pub(super) use crate::name::{count, listed};

/// Columns of a line of text. Words longer than that stay whole.
pub const WIDTH: usize = 80;

/// The colours of one output. They only repeat what the words say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Palette {
    pub(super) error: Style,
    pub(super) warning: Style,
    pub(super) info: Style,
    pub(super) good: Style,
    pub(super) heading: Style,
    pub(super) dim: Style,
}

impl Palette {
    /// No colours.
    pub fn plain() -> Self {
        Self::default()
    }

    /// ANSI colours.
    pub fn ansi() -> Self {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Self {
            error: colour(AnsiColor::Red).bold(),
            warning: colour(AnsiColor::Yellow).bold(),
            info: colour(AnsiColor::Blue).bold(),
            good: colour(AnsiColor::Green),
            heading: Style::new().bold(),
            dim: Style::new().dimmed(),
        }
    }

    /// The style of a severity's word.
    pub(super) fn of(&self, severity: Severity) -> Style {
        match severity {
            Severity::Error => self.error,
            Severity::Warning => self.warning,
            Severity::Info => self.info,
        }
    }

    /// "1 error, 2 warnings, 3 notes".
    pub(super) fn severities(&self, errors: usize, warnings: usize, infos: usize) -> String {
        let or_good = |number, style| if number > 0 { style } else { self.good };
        format!(
            "{}, {}, {}",
            paint(or_good(errors, self.error), count(errors, "error")),
            paint(or_good(warnings, self.warning), count(warnings, "warning")),
            count(infos, "note")
        )
    }
}

/// Text in a style.
pub(super) fn paint<T: Display>(style: Style, text: T) -> impl Display {
    Painted(style, text)
}

struct Painted<T>(Style, T);

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:#}", self.0, self.1, self.0)
    }
}

/// Breaks text at spaces into lines of at most `width` characters; a longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut length = 0;
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let columns = word.chars().count();
            if length > 0 && length + 1 + columns > width {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += columns;
        }
        lines.push(line);
    }
    lines
}

/// Writes wrapped text, every line behind `indent` spaces.
pub(super) fn write_wrapped(out: &mut dyn Write, indent: usize, text: &str) -> io::Result<()> {
    for line in wrap(text, WIDTH - indent) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}

/// Columns of the labels before evidence and facts.
pub(super) const LABEL: usize = 11;

/// Writes a label and its text, wrapped behind the label's column. An empty label leaves the column blank.
pub(super) fn write_labelled(
    out: &mut dyn Write,
    palette: &Palette,
    indent: usize,
    label: &str,
    text: &str,
) -> io::Result<()> {
    write_in_column(out, palette, (indent, LABEL.max(label.chars().count())), label, text)
}

/// The same with a column of another width, so that the labels of one group agree.
pub(super) fn write_in_column(
    out: &mut dyn Write,
    palette: &Palette,
    (indent, column): (usize, usize),
    label: &str,
    text: &str,
) -> io::Result<()> {
    let room = WIDTH.saturating_sub(indent + column + 1).max(20);
    for (number, line) in wrap(text, room).into_iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        let padding = column - label.chars().count();
        writeln!(out, "{:indent$}{}{:padding$} {line}", "", paint(palette.dim, label), "")?;
    }
    Ok(())
}

/// Text padded with spaces to a number of columns, and one space at least behind it.
pub(super) fn pad(text: &str, columns: usize) -> String {
    let mut padded = String::with_capacity(text.len().max(columns) + 1);
    padded.push_str(text);
    pad_to(&mut padded, 0, columns);
    padded
}

/// The same for what a line has from `start` on, in bytes.
pub(super) fn pad_to(line: &mut String, start: usize, columns: usize) {
    let taken = line.get(start..).map_or(0, |text| text.chars().count());
    line.extend(std::iter::repeat_n(' ', columns.saturating_sub(taken).max(1)));
}

/// Why no server is known where there are several.
pub(super) fn none_taken(number: usize, first: impl Display) -> String {
    format!("none taken of {number}, such as {first}: name one with --server PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_stay_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a /very/long/path b", 5), ["a", "/very/long/path", "b"]);
        assert_eq!(wrap("a\nb", 5), ["a", "b"]);
    }

    #[test]
    fn a_plain_palette_writes_nothing_around_the_text() {
        assert_eq!(paint(Palette::plain().error, "x").to_string(), "x");
    }

    #[test]
    fn counts_agree_with_their_noun() {
        assert_eq!((count(1, "library"), count(0, "library")), ("1 library".into(), "0 libraries".into()));
    }
}
