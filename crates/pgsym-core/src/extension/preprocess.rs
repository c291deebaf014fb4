//! What CREATE EXTENSION does to a script before it parses it: `\echo` lines are blanked and five words are
//! replaced, blindly, inside strings and comments too (src/backend/commands/extension.c,
//! execute_extension_script). The replacements are made for real, because a path with a quote in it changes what
//! the script says; a map leads every offset of the result back to the file.

use std::borrow::Cow;

use bstr::ByteSlice;
use memchr::memmem::Finder;

use crate::error::FileError;
use crate::limits;

/// The values the server would insert.
#[derive(Debug, Clone, Default)]
pub struct Substitutions<'a> {
    /// For `@extowner@`: the role that runs CREATE EXTENSION.
    pub owner: &'a [u8],
    /// For `@extschema@`; `None` for a relocatable extension, whose scripts keep the word.
    pub schema: Option<&'a [u8]>,
    /// For `@extschema:name@`: each required extension and its schema (16 and later).
    pub required_schemas: &'a [(Vec<u8>, Vec<u8>)],
    /// For `MODULE_PATHNAME`; inserted without any quoting.
    pub module_pathname: Option<&'a [u8]>,
}

/// A script as the server's parser gets it.
#[derive(Debug, Clone)]
pub struct Preprocessed<'a> {
    /// The text.
    pub text: Cow<'a, [u8]>,
    /// In order, and all of the text; empty where nothing was replaced.
    pieces: Vec<Piece>,
    /// The schema that servers since August 2023 refuse to insert.
    pub refused_schema: Option<RefusedSchema>,
}

/// A schema with a character in its name that ends or begins some quoting (`quoting_relevant_chars`). Servers of 16 and
/// later, and since 15.4, 14.9, 13.12, 12.16 and 11.21, stop where a script asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSchema {
    /// The required extension whose schema it is; `None` for the script's own.
    pub required: Option<Vec<u8>>,
    /// The first place in the file that asks for it, in bytes.
    pub offset: usize,
}

/// Some lines of a script. What is replaced has no newline in it, so each piece is preprocessed on its own, and the few that
/// are worked on at a time stay in the processor's cache.
#[derive(Debug, Clone)]
struct Piece {
    /// Where it begins in the script.
    input: usize,
    /// Where it begins in the text.
    output: usize,
    /// One per replacement that changed something in it, in the order they were made.
    passes: Vec<Vec<Edit>>,
}

/// In one pass: from `output` on, the text stands `output - input` bytes further than before the pass.
#[derive(Debug, Clone, Copy)]
struct Edit {
    /// Where the inserted value ends in the pass's result.
    output: usize,
    /// Where the replaced word ended in the pass's input.
    input: usize,
    /// Where the inserted value begins in the pass's result.
    value: usize,
    /// Where the replaced word began in the pass's input.
    word: usize,
}

impl Preprocessed<'_> {
    /// Where in the file the byte at `offset` of the text comes from; a byte of an inserted value comes from
    /// the beginning of the word it replaces.
    pub fn original_offset(&self, offset: usize) -> usize {
        let after = self.pieces.partition_point(|piece| piece.output <= offset);
        let Some(piece) = after.checked_sub(1).and_then(|last| self.pieces.get(last)) else { return offset };
        piece.input + before(&piece.passes, offset - piece.output)
    }
}

/// Where a byte stood before these passes.
fn before(passes: &[Vec<Edit>], offset: usize) -> usize {
    passes.iter().rev().fold(offset, |offset, edits| {
        let after = edits.partition_point(|edit| edit.value <= offset);
        match after.checked_sub(1).and_then(|last| edits.get(last)) {
            None => offset,
            Some(edit) if offset < edit.output => edit.word,
            Some(edit) => offset - edit.output + edit.input,
        }
    })
}

/// A piece ends with the first line that ends here or later.
const PIECE: usize = 64 << 10;

/// The text may have as many bytes as the script.
const SCRIPT_BYTES: usize = limits::SCRIPT_BYTES as usize;

/// Makes the replacements, in the server's order. Fails where the text would be longer than [`limits::SCRIPT_BYTES`], as a
/// long value in the place of many words makes it.
pub fn preprocess<'a>(script: &'a [u8], values: &Substitutions<'_>) -> Result<Preprocessed<'a>, FileError> {
    let replacements = replacements(values);
    let length = if replacements.iter().any(Replacement::spans_lines) { script.len() } else { PIECE };
    let mut pieces = Vec::with_capacity(script.len() / PIECE + 1);
    let mut text: Option<Vec<u8>> = None;
    let mut input = 0;
    let mut refused: Option<(usize, usize)> = None;
    while let Some(rest) = script.get(input..).filter(|rest| !rest.is_empty()) {
        let line_end = rest.get(length..).and_then(|rest| rest.find_byte(b'\n'));
        let piece = &rest[..line_end.map_or(rest.len(), |end| length + end + 1)];
        let length_so_far = text.as_ref().map_or(input, Vec::len);
        let (replaced, passes, unquotable) =
            replace(piece, &replacements, SCRIPT_BYTES.saturating_sub(length_so_far))?;
        // The server makes one replacement after the other, each in the whole script.
        if let Some((index, at)) = unquotable
            && refused.is_none_or(|(first, _)| index < first)
        {
            refused = Some((index, input + at));
        }
        if text.is_none() && !passes.is_empty() {
            let mut before = Vec::with_capacity(script.len() + script.len() / 64);
            before.extend_from_slice(&script[..input]);
            text = Some(before);
        }
        let output = text.as_ref().map_or(input, Vec::len);
        if let Some(text) = &mut text {
            text.extend_from_slice(&replaced);
        }
        pieces.push(Piece { input, output, passes });
        input += piece.len();
    }
    let refused_schema = refused.map(|(index, offset)| {
        let required = match replacements.get(index) {
            Some(Replacement::Word { verdict: Verdict::RefusedOf(name), .. }) => Some(name.clone()),
            _ => None,
        };
        RefusedSchema { required, offset }
    });
    Ok(match text {
        None => Preprocessed { text: Cow::Borrowed(script), pieces: Vec::new(), refused_schema },
        Some(text) => Preprocessed { text: Cow::Owned(text), pieces, refused_schema },
    })
}

/// One thing that is replaced.
enum Replacement {
    /// Lines that match `^\\echo.*$`, without their newline.
    EchoLines(Finder<'static>),
    /// A word, by a value.
    Word { word: Finder<'static>, value: Vec<u8>, verdict: Verdict },
}

/// What servers since August 2023 do with a value.
enum Verdict {
    /// They insert it.
    Inserted,
    /// They refuse it as the schema of the script's own extension.
    RefusedOwn,
    /// They refuse it as the schema of this required extension.
    RefusedOf(Vec<u8>),
}

/// The characters that no schema may have (`quoting_relevant_chars`).
pub(crate) const QUOTING_RELEVANT: &[u8] = b"\"$'\\";

/// What is replaced, in the server's order.
fn replacements(values: &Substitutions<'_>) -> Vec<Replacement> {
    let word = |word: &[u8], value, verdict| Replacement::Word {
        word: Finder::new(word).into_owned(),
        value,
        verdict,
    };
    let of_schema = |marked: &[u8], schema: &[u8], refused: Verdict| {
        let is_unquotable = schema.find_byteset(QUOTING_RELEVANT).is_some();
        word(marked, quote_identifier(schema), if is_unquotable { refused } else { Verdict::Inserted })
    };
    let mut replacements = vec![
        Replacement::EchoLines(Finder::new(b"\\echo")),
        word(b"@extowner@", quote_identifier(values.owner), Verdict::Inserted),
    ];
    if let Some(schema) = values.schema {
        replacements.push(of_schema(b"@extschema@", schema, Verdict::RefusedOwn));
    }
    for (name, schema) in values.required_schemas {
        let marked = [b"@extschema:".as_slice(), name, b"@"].concat();
        replacements.push(of_schema(&marked, schema, Verdict::RefusedOf(name.clone())));
    }
    if let Some(path) = values.module_pathname {
        replacements.push(word(b"MODULE_PATHNAME", path.to_vec(), Verdict::Inserted));
    }
    replacements
}

impl Replacement {
    /// Whether what it replaces may have a newline in it: an extension's name may, if nobody's has.
    fn spans_lines(&self) -> bool {
        match self {
            Self::EchoLines(_) => false,
            Self::Word { word, .. } => word.needle().contains(&b'\n'),
        }
    }

    /// The places in some lines that it replaces, in order and apart.
    fn places(&self, text: &[u8]) -> Vec<(usize, usize)> {
        match self {
            Self::EchoLines(echo) => echo
                .find_iter(text)
                .filter(|&at| at == 0 || text.get(at - 1) == Some(&b'\n'))
                .map(|at| {
                    let rest = text.get(at..).unwrap_or_default();
                    (at, at + rest.find_byte(b'\n').unwrap_or(rest.len()))
                })
                .collect(),
            Self::Word { word, .. } => {
                // Most of a long script is data without a single `@`, which is told in half the time.
                let first = word.needle().first().and_then(|&first| text.find_byte(first));
                let rest = first.and_then(|first| Some((first, text.get(first..)?)));
                let found = rest.map(|(first, rest)| word.find_iter(rest).map(move |at| first + at));
                found.into_iter().flatten().map(|at| (at, at + word.needle().len())).collect()
            }
        }
    }

    fn value(&self) -> &[u8] {
        match self {
            Self::EchoLines(_) => b"",
            Self::Word { value, .. } => value,
        }
    }
}

/// The result in one piece, what each replacement changed in it, and the first of them that servers refuse, with its place in
/// the piece.
type Replaced<'a> = (Cow<'a, [u8]>, Vec<Vec<Edit>>, Option<(usize, usize)>);

/// Makes the replacements in one piece, which may become `room` bytes long.
fn replace<'a>(
    piece: &'a [u8],
    replacements: &[Replacement],
    room: usize,
) -> Result<Replaced<'a>, FileError> {
    let mut result = Cow::Borrowed(piece);
    let mut passes = Vec::new();
    let mut refused = None;
    for (index, replacement) in replacements.iter().enumerate() {
        let places = replacement.places(&result);
        let Some(&(first, _)) = places.first() else { continue };
        if matches!(
            replacement,
            Replacement::Word { verdict: Verdict::RefusedOwn | Verdict::RefusedOf(_), .. }
        ) {
            refused.get_or_insert_with(|| (index, before(&passes, first)));
        }
        let value = replacement.value();
        let replaced: usize = places.iter().map(|(start, end)| end - start).sum();
        let length = places.len().saturating_mul(value.len()).saturating_add(result.len() - replaced);
        if length > room {
            return Err(FileError::limit(format!(
                "with its words replaced the script has more than {SCRIPT_BYTES} bytes"
            )));
        }
        let mut text = Vec::with_capacity(length);
        let mut edits = Vec::with_capacity(places.len());
        let mut done = 0;
        for (start, end) in places {
            text.extend_from_slice(result.get(done..start).unwrap_or_default());
            let begin = text.len();
            text.extend_from_slice(value);
            edits.push(Edit { output: text.len(), input: end, value: begin, word: start });
            done = end;
        }
        text.extend_from_slice(result.get(done..).unwrap_or_default());
        result = Cow::Owned(text);
        passes.push(edits);
    }
    Ok((result, passes, refused))
}

/// `quote_identifier`, except that a key word stays bare: the readers of this crate know none that is reserved.
fn quote_identifier(name: &[u8]) -> Vec<u8> {
    let is_start = |b: u8| b.is_ascii_lowercase() || b == b'_';
    let is_safe =
        name.first().is_some_and(|&b| is_start(b)) && name.iter().all(|&b| is_start(b) || b.is_ascii_digit());
    if is_safe { name.to_vec() } else { [b"\"", name.replace("\"", "\"\"").as_slice(), b"\""].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Substitutions<'static> {
        Substitutions { owner: b"postgres", schema: Some(b"public"), ..Substitutions::default() }
    }

    #[test]
    fn echo_lines_go_only_from_the_first_column() {
        let script = b"\\echo Use \"CREATE EXTENSION x\" \\quit\r\n \\echo stays\nSELECT 1;\n\\echo end";
        let result = preprocess(script, &values()).unwrap();
        assert_eq!(result.text.as_bstr(), "\n \\echo stays\nSELECT 1;\n");
    }

    #[test]
    fn words_are_replaced_inside_strings_and_comments_too() {
        let values = Substitutions {
            schema: Some(b"My Schema"),
            module_pathname: Some(b"$libdir/x"),
            required_schemas: &[(b"hstore".to_vec(), b"ext".to_vec())],
            ..values()
        };
        let script = b"/* @extschema@ */ @extschema@.f '@extowner@' 'MODULE_PATHNAME' @extschema:hstore@.g";
        let result = preprocess(script, &values).unwrap();
        let expected = "/* \"My Schema\" */ \"My Schema\".f 'postgres' '$libdir/x' ext.g";
        assert_eq!(result.text.as_bstr(), expected);
    }

    #[test]
    fn a_schema_that_cannot_be_quoted_is_told_where_the_script_asks_for_it() {
        let values = Substitutions {
            schema: Some(b"weird$q"),
            required_schemas: &[(b"r".to_vec(), b"it's".to_vec())],
            ..values()
        };
        let refused = |script: &[u8]| {
            let refused = preprocess(script, &values).unwrap().refused_schema?;
            Some((refused.required, refused.offset))
        };
        assert_eq!(refused(b"-- @extowner@ @extschema@"), Some((None, 14)));
        assert_eq!(refused(b"-- @extschema:r@ @extowner@ @extschema@"), Some((None, 28)));
        assert_eq!(refused(b"\\echo @extschema@\n@extschema:r@"), Some((Some(b"r".to_vec()), 18)));
        assert_eq!(refused(b"\\echo @extschema@\n@extschema:x@"), None);
        let script = [b"@extschema:r@\n".as_slice(), &b"-\n".repeat(PIECE), b"@extschema@"].concat();
        assert_eq!(refused(&script), Some((None, script.len() - 11)));
        let quotable = Substitutions { schema: Some(b"My-Schema x"), ..values.clone() };
        assert_eq!(preprocess(b"@extschema@", &quotable).unwrap().refused_schema, None);
    }

    #[test]
    fn what_the_control_file_does_not_give_stays() {
        let values = Substitutions { schema: None, ..values() };
        let script = b"@extschema@ MODULE_PATHNAME @extschema:x@";
        let result = preprocess(script, &values).unwrap();
        assert_eq!(result.text.as_bstr(), script.as_bstr());
        assert!(matches!(result.text, Cow::Borrowed(_)), "nothing is copied when nothing changes");
    }

    #[test]
    fn offsets_lead_back_through_every_pass() {
        let values = Substitutions { module_pathname: Some(b"m"), ..values() };
        let script = b"\\echo x\n1 @extschema@ 2 MODULE_PATHNAME 3 @extowner@ 4";
        let result = preprocess(script, &values).unwrap();
        for word in ["1", "2", "3", "4"] {
            let here = result.text.find(word).unwrap();
            assert_eq!(result.original_offset(here), script.find(word).unwrap(), "{word}");
        }
        assert_eq!(result.original_offset(result.text.find("blic").unwrap()), script.find("@ext").unwrap());
        assert_eq!(result.original_offset(result.text.len()), script.len());
    }

    #[test]
    fn a_long_script_is_as_a_short_one() {
        let values =
            Substitutions { module_pathname: Some(b"$libdir/much-longer-than-the-word"), ..values() };
        // Lines of all lengths around the end of a piece; the first pieces have nothing to replace.
        let mut script = b"1, 2, 3\n".repeat(PIECE / 3);
        for line in 0..20_000 {
            script.extend(b"x".repeat(line % 61));
            script.extend_from_slice(match line % 5 {
                0 => b"\n\\echo @extschema@\n".as_slice(),
                1 => b"@extschema@",
                2 => b"MODULE_PATHNAME\n",
                3 => b"'@extowner@'",
                _ => b"\n",
            });
        }
        let result = preprocess(&script, &values).unwrap();
        assert!(result.pieces.len() > 10);
        let whole: Vec<u8> = script
            .split_inclusive(|&b| b == b'\n')
            .flat_map(|line| if line.starts_with(b"\\echo") { b"\n" } else { line })
            .copied()
            .collect();
        let whole = whole
            .replace("@extowner@", "postgres")
            .replace("@extschema@", "public")
            .replace("MODULE_PATHNAME", "$libdir/much-longer-than-the-word");
        assert!(result.text.as_bstr() == whole.as_bstr());
        for at in result.text.find_iter(b"xx") {
            let original = result.original_offset(at);
            assert_eq!(script[original..original + 2], *b"xx");
        }
        assert_eq!(result.original_offset(result.text.len()), script.len());
    }

    #[test]
    fn a_name_with_a_newline_is_found_across_lines() {
        let values = Substitutions { required_schemas: &[(b"a\nb".to_vec(), b"ext".to_vec())], ..values() };
        let mut script = b"-\n".repeat(PIECE / 2 - 6);
        script.extend_from_slice(b"@extschema:a\nb@.f");
        assert!(preprocess(&script, &values).unwrap().text.ends_with(b"-\next.f"));
    }

    #[test]
    fn what_grows_without_end_is_refused_before_it_is_built() {
        let long = vec![b'x'; 100_000];
        let values = Substitutions { module_pathname: Some(&long), ..values() };
        let one = preprocess(b"'MODULE_PATHNAME'", &values).unwrap();
        assert_eq!(one.text.len(), long.len() + 2);
        // 1.5 MB that would become 10 GB.
        let error = preprocess(&b"MODULE_PATHNAME".repeat(100_000), &values).unwrap_err();
        assert_eq!(error.kind, crate::error::FileErrorKind::Limit);
        let lines = b"MODULE_PATHNAME\n".repeat(100_000);
        assert_eq!(preprocess(&lines, &values).unwrap_err(), error);
    }
}
