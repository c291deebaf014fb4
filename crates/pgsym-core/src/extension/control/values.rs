//! The values of parameters that are not plain text.

use bstr::ByteSlice;

/// `parse_bool` (src/backend/utils/adt/bool.c): unique prefixes, any case.
pub(super) fn parse_bool(value: &[u8]) -> Option<bool> {
    let is = |word: &[u8], least: usize| {
        value.len() >= least && word.get(..value.len()).is_some_and(|word| word.eq_ignore_ascii_case(value))
    };
    if is(b"true", 1) || is(b"yes", 1) || is(b"on", 2) || value == b"1" {
        Some(true)
    } else if is(b"false", 1) || is(b"no", 1) || is(b"off", 2) || value == b"0" {
        Some(false)
    } else {
        None
    }
}

/// `SplitIdentifierString` (src/backend/utils/adt/varlena.c): names folded unless in double quotes.
pub(super) fn split_identifiers(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    const SPACE: &[u8] = b" \t\n\r\x0b\x0c";
    let skip =
        |rest: &mut &[u8]| *rest = rest.trim_start_with(|c| c.is_ascii() && SPACE.contains(&(c as u8)));
    let mut names = Vec::new();
    let mut rest = value;
    skip(&mut rest);
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let mut name;
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            name = Vec::new();
            let mut tail = quoted;
            loop {
                let end = tail.find_byte(b'"')?;
                name.extend_from_slice(tail.get(..end).unwrap_or_default());
                tail = tail.get(end + 1..).unwrap_or_default();
                match tail.strip_prefix(b"\"") {
                    Some(more) => {
                        name.push(b'"');
                        tail = more;
                    }
                    None => break,
                }
            }
            rest = tail;
        } else {
            let length = rest.iter().take_while(|b| **b != b',' && !SPACE.contains(b)).count();
            if length == 0 {
                return None;
            }
            name = rest.get(..length).unwrap_or_default().to_ascii_lowercase();
            rest = rest.get(length..).unwrap_or_default();
        }
        name.truncate(63);
        names.push(name);
        skip(&mut rest);
        match rest.split_first() {
            None => return Some(names),
            Some((b',', tail)) => {
                rest = tail;
                skip(&mut rest);
            }
            Some(_) => return None,
        }
    }
}
