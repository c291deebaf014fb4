//! Versions 1 to 4: the YAML that tapi writes.
//!
//! ```text
//! --- !tapi-tbd                        a document for each library
//! targets:  [ x86_64-macos, … ]        a key with a value or a list, which may go over several lines
//! exports:                             a section: a list of entries,
//!   - targets: [ x86_64-macos ]        each begun by "-"
//!     symbols: [ _a, '_b' ]
//! ```

use super::{Stub, StubLibrary, Wanted, add};
use crate::error::FileError;
use crate::name::Name;

pub(super) fn parse(text: &str, wanted: &Wanted) -> Result<Stub, FileError> {
    let mut reader = Reader { lines: text.lines(), number: 0 };
    let mut libraries = Vec::new();
    let mut document = Document::default();
    while let Some(line) = reader.next() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') || content.starts_with('%') || content == "..." {
            continue;
        }
        if let Some(tag) = line.strip_prefix("---") {
            libraries.extend(std::mem::take(&mut document).finish(wanted)?);
            document.is_old = !matches!(tag.trim(), "!tapi-tbd" | "!tapi-tbd-v3");
            continue;
        }
        reader.line(line, &mut document)?;
    }
    libraries.extend(document.finish(wanted)?);
    Ok(Stub { libraries })
}

/// One key and its values.
struct Entry<'t> {
    /// The key without indentation that it stands below, or itself.
    section: &'t str,
    /// Which entry of the section, from 0.
    item: usize,
    key: &'t str,
    values: Vec<&'t str>,
}

/// One document as its keys.
#[derive(Default)]
struct Document<'t> {
    /// Versions 1 and 2 write the underscore of Objective-C names.
    is_old: bool,
    section: &'t str,
    item: usize,
    entries: Vec<Entry<'t>>,
}

/// The lines, counted.
struct Reader<'t> {
    lines: std::str::Lines<'t>,
    number: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<&'t str> {
        self.number += 1;
        self.lines.next()
    }

    fn error(&self, what: &str) -> FileError {
        FileError::malformed(format!("line {} of the stub {what}", self.number))
    }

    fn line(&mut self, line: &'t str, document: &mut Document<'t>) -> Result<(), FileError> {
        let is_top = !line.starts_with([' ', '\t', '-']);
        let mut content = line.trim();
        if let Some(rest) = content.strip_prefix("- ") {
            content = rest.trim_start();
            if let Some((_, _)) = key(content) {
                document.item += 1;
            } else {
                // An element of a list that is written one below the other.
                let value = self.scalar(content)?;
                let last = document.entries.last_mut();
                last.ok_or_else(|| self.error("is an element of no list"))?.values.push(value);
                return Ok(());
            }
        }
        let Some((key, value)) = key(content) else {
            return Err(self.error("is neither a key nor an element of a list"));
        };
        if is_top {
            (document.section, document.item) = (key, 0);
        }
        let values = match value {
            "" => Vec::new(),
            _ if value.starts_with('[') => self.list(value)?,
            _ => vec![self.scalar(value)?],
        };
        document.entries.push(Entry { section: document.section, item: document.item, key, values });
        Ok(())
    }

    /// A list from its opening to its closing bracket, over as many lines as it takes.
    fn list(&mut self, first: &'t str) -> Result<Vec<&'t str>, FileError> {
        let mut values = Vec::new();
        let mut rest = first.get(1..).unwrap_or_default();
        loop {
            rest = rest.trim_start();
            match rest.chars().next() {
                None => {
                    rest = self.next().ok_or_else(|| self.error("ends within a list"))?;
                }
                Some(']') => return Ok(values),
                Some(',') => rest = rest.get(1..).unwrap_or_default(),
                Some(quote @ ('\'' | '"')) => {
                    let body = rest.get(1..).unwrap_or_default();
                    let end = body.find(quote).ok_or_else(|| self.error("has a string without an end"))?;
                    values.push(self.plain(body.get(..end).unwrap_or_default())?);
                    rest = body.get(end + 1..).unwrap_or_default();
                }
                Some(_) => {
                    let end = rest.find([',', ']']).unwrap_or(rest.len());
                    values.push(self.scalar(rest.get(..end).unwrap_or_default().trim_end())?);
                    rest = rest.get(end..).unwrap_or_default();
                }
            }
        }
    }

    fn scalar(&self, value: &'t str) -> Result<&'t str, FileError> {
        for quote in ['\'', '"'] {
            if let Some(body) = value.strip_prefix(quote) {
                let body = body.strip_suffix(quote);
                return self.plain(body.ok_or_else(|| self.error("has a string without an end"))?);
            }
        }
        // Anchors, aliases, tags, block scalars, nested collections.
        if value.starts_with(['&', '*', '!', '|', '>', '[', '{', '@', '`', '%']) {
            return Err(self.error("has YAML that no stub has"));
        }
        Ok(value)
    }

    /// What stands between quotes; an escape would make it another name.
    fn plain(&self, value: &'t str) -> Result<&'t str, FileError> {
        if value.contains(['\\', '\'', '"']) {
            return Err(self.error("has a string with an escape"));
        }
        Ok(value)
    }
}

/// `key: value`.
fn key(content: &str) -> Option<(&str, &str)> {
    let (key, value) = content.split_once(':')?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_key && (value.is_empty() || value.starts_with([' ', '\t']))).then(|| (key, value.trim()))
}

impl<'t> Document<'t> {
    /// The library, where the document has something for the target.
    fn finish(self, wanted: &Wanted) -> Result<Option<StubLibrary>, FileError> {
        let values = |section: &str, item: usize, key: &str| -> &[&'t str] {
            let mut entries = self.entries.iter();
            let entry =
                entries.find(|entry| entry.section == section && entry.item == item && entry.key == key);
            entry.map_or(&[], |entry| &*entry.values)
        };
        let is_platform = |platform: &&str| matches!(*platform, "macosx" | "zippered");
        let is_wanted = values("targets", 0, "targets").iter().any(|target| wanted.is_target(target))
            || values("archs", 0, "archs").iter().any(|arch| wanted.is_arch(arch))
                && values("platform", 0, "platform").iter().any(is_platform);
        if !is_wanted {
            return Ok(None);
        }
        let install_name = values("install-name", 0, "install-name").first().copied().unwrap_or_default();
        let mut library = StubLibrary { install_name: Name::from(install_name), ..StubLibrary::default() };
        // The entries of a section stand together, and so do the keys of an entry.
        for group in self.entries.chunk_by(|a, b| (a.section, a.item) == (b.section, b.item)) {
            let Some(section) = group.first().map(|entry| entry.section) else { continue };
            let find = |key: &str| group.iter().find(|entry| entry.key == key).map(|entry| &entry.values);
            let is_wanted = find("targets")
                .is_some_and(|list| list.iter().any(|target| wanted.is_target(target)))
                || find("archs").is_some_and(|list| list.iter().any(|arch| wanted.is_arch(arch)));
            if !is_wanted || !matches!(section, "exports" | "reexports" | "reexported-libraries") {
                continue;
            }
            for entry in group {
                match entry.key {
                    "re-exports" | "libraries" => {
                        library.reexported.extend(entry.values.iter().map(|name| Name::from(*name)));
                    }
                    list if self.is_old && list.starts_with("objc-") => {
                        let names = entry.values.iter().map(|name| name.strip_prefix('_').unwrap_or(name));
                        add(&mut library, list, names)?;
                    }
                    list => add(&mut library, list, &entry.values)?,
                }
            }
        }
        Ok(Some(library))
    }
}
