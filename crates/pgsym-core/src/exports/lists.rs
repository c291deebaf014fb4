//! The three forms in which builds keep a list of exported names: a version script (ELF linkers), an
//! exported-symbols list (`ld64`), and PGXS's `exports.txt` (`SHLIB_EXPORTS` of Makefile.shlib).
//!
//! Writing is one name per line, sorted, so that a checked-in copy changes only where the exports do. Reading
//! accepts what people write by hand: comments, several names on a line, sections in any order.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

/// The form of a list of exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// A version script that only adds names: `{ global: a; };`. The second script on a line that already has
    /// one ending in `local: *`, as rustc's does.
    VersionScriptAddition,
    /// A version script that hides everything else: `{ global: a; local: *; };`. The only script of a link.
    VersionScript,
    /// `_a` per line, for `-exported_symbols_list`.
    ExportedSymbols,
    /// `a 1` per line: what Makefile.shlib turns into either of the others.
    PgxsExports,
}

/// Why a list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// Line of the offending word, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl ListFormat {
    /// Writes a list. `names` come sorted; the result ends with a newline.
    pub fn write<'a>(self, names: impl IntoIterator<Item = &'a str>) -> String {
        let mut text = String::new();
        match self {
            Self::VersionScriptAddition | Self::VersionScript => {
                text.push_str("{\n  global:\n");
                for name in names {
                    text.push_str("    ");
                    text.push_str(name);
                    text.push_str(";\n");
                }
                if self == Self::VersionScript {
                    text.push_str("  local:\n    *;\n");
                }
                text.push_str("};\n");
            }
            Self::ExportedSymbols => {
                for name in names {
                    text.push('_');
                    text.push_str(name);
                    text.push('\n');
                }
            }
            Self::PgxsExports => {
                for (index, name) in names.into_iter().enumerate() {
                    // Columns as in src/interfaces/libpq/exports.txt.
                    let _ = writeln!(text, "{name:<25} {}", index + 1);
                }
            }
        }
        text
    }

    /// Tells the form of an existing list: braces make a version script, names followed by numbers
    /// `exports.txt`, and lines that all begin with `_` an exported-symbols list.
    pub fn guess(text: &str) -> Self {
        let mut lines = text.lines().map(without_hash_comment).filter(|line| !line.is_empty()).peekable();
        if text.contains('{') {
            Self::VersionScript
        } else if lines.peek().is_some() && lines.all(|line| line.starts_with('_') && !line.contains(' ')) {
            Self::ExportedSymbols
        } else {
            Self::PgxsExports
        }
    }

    /// Reads the names of a list.
    ///
    /// # Errors
    ///
    /// Patterns (`pg_finfo_*`), which name no single symbol, and text that is not of this form.
    pub fn read(self, text: &str) -> Result<BTreeSet<String>, ListError> {
        match self {
            Self::VersionScript | Self::VersionScriptAddition => read_version_script(text),
            Self::ExportedSymbols => read_lines(text, |word| {
                word.strip_prefix('_').ok_or_else(|| format!("{word:?} does not begin with _"))
            }),
            Self::PgxsExports => read_lines(text, |word| Ok(word)),
        }
    }
}

fn without_hash_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// One name per line, with an ordinal behind it or not.
fn read_lines(
    text: &str,
    name_of: impl Fn(&str) -> Result<&str, String>,
) -> Result<BTreeSet<String>, ListError> {
    let mut names = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let error = |message| ListError { line: index + 1, message };
        let mut words = without_hash_comment(line).split_whitespace();
        let Some(word) = words.next() else { continue };
        if let Some(extra) = words.find(|word| word.parse::<u32>().is_err()) {
            return Err(error(format!("{extra:?} after the name is not an ordinal")));
        }
        let name = name_of(word).map_err(error)?;
        names.insert(checked_name(name).map_err(error)?.to_owned());
    }
    Ok(names)
}

fn checked_name(name: &str) -> Result<&str, String> {
    if super::is_plain_name(name) {
        Ok(name)
    } else if name.contains(['*', '?', '[']) {
        Err(format!("{name:?} is a pattern; write out each name, so that a missing one can be told"))
    } else {
        Err(format!("{name:?} is not a symbol name"))
    }
}

/// The grammar of ld(1) "VERSION" as far as C names need it: `[tag] { [label:] name; … } [parent…];`, with
/// `extern "C" { name; … };` inside. Names under `local:` are not exports.
fn read_version_script(text: &str) -> Result<BTreeSet<String>, ListError> {
    let tokens = tokens(text)?;
    let mut names = BTreeSet::new();
    let mut depth = 0_usize;
    let mut is_global = true;
    let mut index = 0;
    while let Some(&(line, token)) = tokens.get(index) {
        let next = tokens.get(index + 1).map(|&(_, token)| token);
        match (token, next) {
            // `extern "C" {` opens a group that only its own `}` closes.
            ("extern", Some(next)) if depth > 0 && next != ";" => {
                index += 1;
                if tokens.get(index + 1).map(|&(_, token)| token) != Some("{") {
                    return Err(ListError { line, message: "extern without a group of names".to_owned() });
                }
            }
            ("{", _) => {
                if depth == 0 {
                    is_global = true;
                }
                depth += 1;
            }
            ("}", _) => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| ListError { line, message: "} without {".to_owned() })?;
            }
            ("global", Some(":")) => {
                is_global = true;
                index += 1;
            }
            ("local", Some(":")) => {
                is_global = false;
                index += 1;
            }
            (";", _) => {}
            _ if depth > 0 && is_global => {
                let name = checked_name(token).map_err(|message| ListError { line, message })?;
                names.insert(name.to_owned());
            }
            // A tag, a parent, or a name under local:.
            _ => {}
        }
        index += 1;
    }
    if depth != 0 {
        let line = text.lines().count();
        return Err(ListError { line, message: "the script ends inside { }".to_owned() });
    }
    Ok(names)
}

/// Words and the punctuation `{ } ; :`, each with its line; comments are `/* */` and `#`.
fn tokens(text: &str) -> Result<Vec<(usize, &str)>, ListError> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").map(|end| end + 2);
            end.ok_or_else(|| ListError { line, message: "comment without an end".to_owned() })?
        } else if first == '#' {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            let length = if "{};:".contains(first) {
                1
            } else {
                let is_end = |c: char| c.is_whitespace() || "{};:#".contains(c);
                rest.find(is_end).unwrap_or(rest.len())
            };
            tokens.push((line, rest[..length].trim_matches('"')));
            length
        };
        let (consumed, after) = rest.split_at(length);
        line += consumed.matches('\n').count();
        rest = after;
    }
    Ok(tokens)
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ListError {}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["Pg_magic_func", "_PG_init", "f"];

    fn read(text: &str) -> Result<Vec<String>, ListError> {
        ListFormat::guess(text).read(text).map(|names| names.into_iter().collect())
    }

    #[test]
    fn every_form_reads_back_what_it_wrote() {
        for format in [
            ListFormat::VersionScriptAddition,
            ListFormat::VersionScript,
            ListFormat::ExportedSymbols,
            ListFormat::PgxsExports,
        ] {
            let text = format.write(NAMES);
            assert_eq!(read(&text).unwrap(), NAMES, "{format:?}:\n{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_set_of_names_survives_every_form(
            names in proptest::collection::btree_set("[A-Za-z_.$][A-Za-z0-9_.$]{0,20}|global|local|extern", 0..20),
        ) {
            for format in [
                ListFormat::VersionScriptAddition,
                ListFormat::VersionScript,
                ListFormat::ExportedSymbols,
                ListFormat::PgxsExports,
            ] {
                let text = format.write(names.iter().map(String::as_str));
                proptest::prop_assert_eq!(format.read(&text).unwrap(), names.clone(), "{}", text);
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-z{};:*/# \n\"\u{e01}]{0,80}") {
            for format in [ListFormat::VersionScript, ListFormat::ExportedSymbols, ListFormat::PgxsExports] {
                let _ = format.read(&text);
            }
            let _ = ListFormat::guess(&text);
        }
    }

    #[test]
    fn an_addition_has_no_local_section_and_one_name_per_line() {
        let text = ListFormat::VersionScriptAddition.write(["a", "b"]);
        assert_eq!(text, "{\n  global:\n    a;\n    b;\n};\n");
        let text = ListFormat::VersionScript.write(["a"]);
        assert_eq!(text, "{\n  global:\n    a;\n  local:\n    *;\n};\n");
    }

    #[test]
    fn a_handwritten_script_is_understood() {
        let text = "/* kham */ KHAM_1 {\n global: a; b; # two\n extern \"C\" { c; };\n local: hidden; *; };\n\
                    KHAM_2 { d; } KHAM_1;";
        assert_eq!(read(text).unwrap(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_pattern_is_refused_with_its_line() {
        let error = read("{\n  global:\n    pg_finfo_*;\n};").unwrap_err();
        assert_eq!(error.line, 3);
        assert!(error.message.contains("is a pattern"), "{error}");
    }

    #[test]
    fn a_broken_script_is_an_error() {
        for text in ["{ global: a;", "{ } }", "{ /* a; }", "{ extern \"C\" a; };"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pgxs_ordinals_and_comments_are_skipped() {
        let text = "# src/interfaces/libpq/exports.txt\nPQconnectdb  1\nPQerrorMessage\n";
        assert_eq!(read(text).unwrap(), ["PQconnectdb", "PQerrorMessage"]);
        assert!(read("PQconnectdb one").is_err());
    }
}
