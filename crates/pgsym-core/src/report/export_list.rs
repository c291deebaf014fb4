//! `pgsym exports`: the names that a module built from objects must export, as the list that a linker takes.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;
use super::text::Palette;
use crate::exports::{ExportSet, ListFormat, Provider};

/// The answer of `pgsym exports`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExportList {
    /// The names, sorted by their bytes.
    pub exports: Vec<ListedExport>,
    #[serde(skip)]
    list: String,
}

/// One name to export.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedExport {
    /// The symbol, without the `_` that Mach-O puts before it.
    pub name: String,
    /// What PostgreSQL does with it: "magic", "init", "callback", "function", "finfo" or "other".
    pub class: &'static str,
    /// The object that defines it, with the archive before it; null where it was only asked for.
    pub object: Option<String>,
}

impl ExportList {
    /// The document of a set; text is the list in this form.
    pub fn new(set: &ExportSet, format: ListFormat) -> Self {
        let exports = set
            .iter()
            .map(|(name, export)| ListedExport {
                name: name.to_owned(),
                class: export.class.as_str(),
                object: match &export.provider {
                    Provider::Object(object) => Some(object.clone()),
                    Provider::Rust | Provider::Dependency(_) => None,
                },
            })
            .collect();
        Self { exports, list: format.write(set.names()) }
    }
}

impl Document for ExportList {
    const COMMAND: &'static str = "exports";

    fn write_text(&self, out: &mut dyn Write, _: &Palette) -> io::Result<()> {
        out.write_all(self.list.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exports::{Linkage, ObjectFile, ObjectSymbol, Platform, Request};

    #[test]
    fn the_text_is_the_list_and_nothing_else() {
        let platform =
            Platform { is_macho: false, arch: "x86_64", pointer_width: 64, is_little_endian: true };
        let name = "_PG_init".to_owned();
        let symbols = vec![ObjectSymbol { name, linkage: Linkage::Exportable, is_weak: false }];
        let objects = [ObjectFile { label: "a.o".to_owned(), platform, symbols }];
        let set = ExportSet::plan(&objects, &Request::default()).unwrap();
        let document = ExportList::new(&set, ListFormat::VersionScript);
        let mut out = Vec::new();
        document.write_text(&mut out, &Palette::plain()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\n  global:\n    _PG_init;\n  local:\n    *;\n};\n");
        let json = serde_json::to_value(&document).unwrap();
        let expected =
            serde_json::json!({ "exports": [{ "name": "_PG_init", "class": "init", "object": "a.o" }] });
        assert_eq!(json, expected);
    }
}
