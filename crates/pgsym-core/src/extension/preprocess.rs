//! What CREATE EXTENSION does to a script before it parses it: `\echo` lines are blanked and five words are
//! replaced, blindly, inside strings and comments too (src/backend/commands/extension.c,
//! execute_extension_script). The replacements are made for real, because a path with a quote in it changes what
//! the script says; a map leads every offset of the result back to the file.

use std::borrow::Cow;

use bstr::ByteSlice;

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
    /// One per replacement that changed something, in the order they were made.
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
        self.passes.iter().rev().fold(offset, |offset, edits| {
            let after = edits.partition_point(|edit| edit.value <= offset);
            match after.checked_sub(1).and_then(|last| edits.get(last)) {
                None => offset,
                Some(edit) if offset < edit.output => edit.word,
                Some(edit) => offset - edit.output + edit.input,
            }
        })
    }
}

/// Makes the replacements, in the server's order.
pub fn preprocess<'a>(script: &'a [u8], values: &Substitutions<'_>) -> Preprocessed<'a> {
    let mut result = Preprocessed { text: Cow::Borrowed(script), passes: Vec::new() };
    apply(&mut result, echo_lines, b"");
    replace(&mut result, b"@extowner@", &quote_identifier(values.owner));
    if let Some(schema) = values.schema {
        replace(&mut result, b"@extschema@", &quote_identifier(schema));
    }
    for (name, schema) in values.required_schemas {
        let word = [b"@extschema:".as_slice(), name, b"@"].concat();
        replace(&mut result, &word, &quote_identifier(schema));
    }
    if let Some(path) = values.module_pathname {
        replace(&mut result, b"MODULE_PATHNAME", path);
    }
    result
}

/// Lines that match `^\\echo.*$`, without their newline.
fn echo_lines(text: &[u8]) -> Vec<(usize, usize)> {
    text.find_iter(b"\\echo")
        .filter(|&at| at == 0 || text.get(at - 1) == Some(&b'\n'))
        .map(|at| {
            let rest = text.get(at..).unwrap_or_default();
            (at, at + rest.find_byte(b'\n').unwrap_or(rest.len()))
        })
        .collect()
}

fn replace(result: &mut Preprocessed<'_>, word: &[u8], value: &[u8]) {
    apply(result, |text| text.find_iter(word).map(|at| (at, at + word.len())).collect(), value);
}

/// Puts `value` into the places that `find` names, which are in order and apart.
fn apply(result: &mut Preprocessed<'_>, find: impl Fn(&[u8]) -> Vec<(usize, usize)>, value: &[u8]) {
    let places = find(&result.text);
    if places.is_empty() {
        return;
    }
    let mut text = Vec::with_capacity(result.text.len());
    let mut edits = Vec::with_capacity(places.len());
    let mut done = 0;
    for (start, end) in places {
        text.extend_from_slice(result.text.get(done..start).unwrap_or_default());
        let begin = text.len();
        text.extend_from_slice(value);
        edits.push(Edit { output: text.len(), input: end, value: begin, word: start });
        done = end;
    }
    text.extend_from_slice(result.text.get(done..).unwrap_or_default());
    result.text = Cow::Owned(text);
    result.passes.push(edits);
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
        let result = preprocess(script, &values());
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
        let result = preprocess(script, &values);
        let expected = "/* \"My Schema\" */ \"My Schema\".f 'postgres' '$libdir/x' ext.g";
        assert_eq!(result.text.as_bstr(), expected);
    }

    #[test]
    fn what_the_control_file_does_not_give_stays() {
        let values = Substitutions { schema: None, ..values() };
        let script = b"@extschema@ MODULE_PATHNAME @extschema:x@";
        let result = preprocess(script, &values);
        assert_eq!(result.text.as_bstr(), script.as_bstr());
        assert!(matches!(result.text, Cow::Borrowed(_)), "nothing is copied when nothing changes");
    }

    #[test]
    fn offsets_lead_back_through_every_pass() {
        let values = Substitutions { module_pathname: Some(b"m"), ..values() };
        let script = b"\\echo x\n1 @extschema@ 2 MODULE_PATHNAME 3 @extowner@ 4";
        let result = preprocess(script, &values);
        for word in ["1", "2", "3", "4"] {
            let here = result.text.find(word).unwrap();
            assert_eq!(result.original_offset(here), script.find(word).unwrap(), "{word}");
        }
        assert_eq!(result.original_offset(result.text.find("blic").unwrap()), script.find("@ext").unwrap());
        assert_eq!(result.original_offset(result.text.len()), script.len());
    }
}
