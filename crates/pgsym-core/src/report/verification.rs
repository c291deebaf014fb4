//! `pgsym verify`: whether a finished module exports exactly what was meant.

use std::io::{self, Write};
use std::path::Path;

use anstyle::Style;
use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;
use super::field::{Field, key};
use super::text::{Palette, WIDTH, count, pad, paint, wrap};
use crate::exports::{Cause, Difference, Verdict};

/// The answer of `pgsym verify`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Verification {
    /// The module.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// The list of intended exports.
    #[serde(flatten)]
    pub map: Field<key::Map>,
    /// Number of names that are exported as meant.
    pub matched: usize,
    /// Missing first, then versioned, then extra; by name.
    pub differences: Vec<ExportDifference>,
    /// Whether extra exports count as differences.
    pub allow_extra: bool,
}

/// One name that is not as it was meant.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExportDifference {
    /// "missing", "versioned" or "extra".
    pub kind: &'static str,
    /// The symbol.
    pub name: String,
    /// Where a missing name was lost: "inside" (linked, but local or hidden), "imported" (only referred to),
    /// "not-linked", or "stripped" (the module does not show); null for the other kinds.
    pub cause: Option<&'static str>,
    /// The version that a versioned name carries; null for the other kinds.
    pub version: Option<String>,
    /// One sentence.
    pub message: String,
}

impl Verification {
    /// The document of a verdict.
    pub fn new(path: &Path, map: &Path, verdict: &Verdict, allow_extra: bool) -> Self {
        let differences = verdict.differences.iter().map(ExportDifference::new).collect();
        Self { path: path.into(), map: map.into(), matched: verdict.matched, differences, allow_extra }
    }

    /// Whether nothing that counts differs.
    pub fn is_good(&self) -> bool {
        self.counting().next().is_none()
    }

    fn counting(&self) -> impl Iterator<Item = &ExportDifference> {
        self.differences.iter().filter(|difference| !self.allow_extra || difference.kind != "extra")
    }
}

impl ExportDifference {
    fn new(difference: &Difference) -> Self {
        let (cause, version) = match difference {
            Difference::Missing { cause, .. } => (Some(cause.as_str()), None),
            Difference::Versioned { version, .. } => (None, Some(version.clone())),
            Difference::Extra { .. } => (None, None),
        };
        let (kind, name) = (difference.kind(), difference.name().to_owned());
        Self { kind, name, cause, version, message: difference.to_string() }
    }
}

/// What to do about the names that are missing, by the causes that occur.
fn remedy(differences: &[ExportDifference]) -> Option<&'static str> {
    let has = |cause: Cause| differences.iter().any(|difference| difference.cause == Some(cause.as_str()));
    if has(Cause::Inside) {
        Some(
            "name the symbols in a version script that the linker in use adds to rustc's (GNU ld never does), and \
             compile them with default visibility; pgsym-build does both",
        )
    } else if has(Cause::NotLinked) || has(Cause::Imported) {
        Some("force each name into the link with -Wl,-u,NAME beside the version script; pgsym-build does so")
    } else {
        None
    }
}

/// Columns before the text: the indent and a label.
const COLUMN: usize = 12;

/// Writes a label and its text, wrapped behind it.
fn write_line(out: &mut dyn Write, style: Style, label: &str, text: &str) -> io::Result<()> {
    for (number, line) in wrap(text, WIDTH - COLUMN).into_iter().enumerate() {
        if number == 0 {
            writeln!(out, "  {}{line}", paint(style, pad(label, COLUMN - 2)))?;
        } else {
            writeln!(out, "{:COLUMN$}{line}", "")?;
        }
    }
    Ok(())
}

impl Document for Verification {
    const COMMAND: &'static str = "verify";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        writeln!(out, "{}", paint(palette.heading, &self.path))?;
        for difference in &self.differences {
            let is_allowed = self.allow_extra && difference.kind == "extra";
            let style = if is_allowed { palette.dim } else { palette.error };
            write_line(out, style, difference.kind, &difference.message)?;
        }
        if let Some(remedy) = remedy(&self.differences) {
            write_line(out, palette.dim, "fix", remedy)?;
        }
        let style = if self.is_good() { palette.good } else { palette.error };
        let differences = count(self.counting().count(), "difference");
        let matched = count(self.matched, "export");
        writeln!(out, "{} as meant by {}, {}", matched, self.map, paint(style, differences))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exports::ModuleExports;

    fn verification(allow_extra: bool) -> Verification {
        let module = ModuleExports {
            exports: [
                ("f".to_owned(), None),
                ("g".to_owned(), Some("V1".to_owned())),
                ("h".to_owned(), None),
            ]
            .into(),
            inside: ["Pg_magic_func".to_owned()].into(),
            has_static_symbols: true,
            ..ModuleExports::default()
        };
        let verdict = module.compare(["Pg_magic_func", "f", "g", "pg_finfo_f"]);
        Verification::new(Path::new("x.so"), Path::new("x.map"), &verdict, allow_extra)
    }

    fn text(document: &Verification) -> String {
        let mut out = Vec::new();
        document.write_text(&mut out, &Palette::plain()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_text_says_where_each_name_was_lost_and_how_to_keep_it() {
        let expected = [
            "x.so",
            "  missing   Pg_magic_func is not exported: it is linked in, but a version script",
            "            or its visibility keeps it inside",
            "  missing   pg_finfo_f is not exported: nothing pulled in the object that",
            "            defines it",
            "  versioned g is exported as g@@V1; a named version node was used by accident",
            "  extra     h is exported and was not meant to be",
            "  fix       name the symbols in a version script that the linker in use adds to",
            "            rustc's (GNU ld never does), and compile them with default",
            "            visibility; pgsym-build does both",
            "1 export as meant by x.map, 4 differences",
            "",
        ];
        assert_eq!(text(&verification(false)), expected.join("\n"));
    }

    #[test]
    fn allowed_extra_exports_are_shown_and_do_not_count() {
        let text = text(&verification(true));
        assert!(text.contains("extra     h is exported"), "{text}");
        assert!(text.ends_with("1 export as meant by x.map, 3 differences\n"), "{text}");
        assert!(!verification(true).is_good());
    }

    #[test]
    fn json_has_every_key_in_every_difference() {
        let json = serde_json::to_value(verification(false)).unwrap();
        for difference in json["differences"].as_array().unwrap() {
            let keys: Vec<&String> = difference.as_object().unwrap().keys().collect();
            assert_eq!(keys.len(), 5, "{keys:?}");
        }
        assert_eq!(json["differences"][0]["cause"], "inside");
        assert_eq!(json["differences"][2]["version"], "V1");
    }
}
