//! A name or path in JSON. Names under audit need not be UTF-8: they are written lossily, and what they
//! really are stands beside them in hex, so that no program has to guess.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::name::{Name, path_bytes};

/// Which keys a [`Field`] writes.
pub trait Key {
    /// The key of the text.
    const TEXT: &'static str;
    /// The key of the bytes, present when they are not UTF-8: `bytes` for the name that the object is known by.
    const BYTES: &'static str;
    /// What it is, for the schema.
    const ABOUT: &'static str;
}

/// One or two entries of a JSON object; meant to be flattened into it. Null where there is no name.
pub struct Field<K> {
    name: Option<Name>,
    key: PhantomData<K>,
}

impl<K> Field<K> {
    /// No name.
    pub fn null() -> Self {
        Self { name: None, key: PhantomData }
    }

    /// The name, where there is one.
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The name's bytes; none where there is no name.
    pub fn as_bytes(&self) -> &[u8] {
        self.name.as_ref().map_or(&[], Name::as_bytes)
    }

    /// What stands behind the last slash of a path.
    pub(super) fn base_name(&self) -> Name {
        Name::from(self.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default())
    }
}

impl<K> From<&[u8]> for Field<K> {
    fn from(bytes: &[u8]) -> Self {
        Self { name: Some(Name::from(bytes)), key: PhantomData }
    }
}

impl<K> From<&Path> for Field<K> {
    fn from(path: &Path) -> Self {
        path_bytes(path).into()
    }
}

impl<K> From<&Name> for Field<K> {
    fn from(name: &Name) -> Self {
        name.as_bytes().into()
    }
}

impl<K> From<Option<&Name>> for Field<K> {
    fn from(name: Option<&Name>) -> Self {
        Self { name: name.cloned(), key: PhantomData }
    }
}

impl<K> From<Option<&Path>> for Field<K> {
    fn from(path: Option<&Path>) -> Self {
        path.map_or_else(Self::null, Self::from)
    }
}

impl<K> Clone for Field<K> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), key: PhantomData }
    }
}

impl<K> PartialEq for Field<K> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<K> Eq for Field<K> {}

impl<K> PartialOrd for Field<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Field<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}

/// As a person may see it: escaped, never raw.
impl<K> fmt::Display for Field<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => name.fmt(f),
            None => Ok(()),
        }
    }
}

impl<K> fmt::Debug for Field<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl<K: Key> Serialize for Field<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match (&self.name, self.name.as_ref().and_then(Name::to_str)) {
            (None, _) => map.serialize_entry(K::TEXT, &())?,
            (Some(_), Some(text)) => map.serialize_entry(K::TEXT, text)?,
            (Some(name), None) => {
                map.serialize_entry(K::TEXT, &String::from_utf8_lossy(name.as_bytes()))?;
                map.serialize_entry(K::BYTES, &hex(name.as_bytes()))?;
            }
        }
        map.end()
    }
}

impl<K: Key> JsonSchema for Field<K> {
    fn schema_name() -> Cow<'static, str> {
        format!("Field_{}", K::TEXT).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                (K::TEXT): { "type": ["string", "null"], "description": K::ABOUT },
                (K::BYTES): {
                    "type": "string",
                    "pattern": "^([0-9a-f]{2})*$",
                    "description": format!("The bytes of `{}` in hex, where they are not UTF-8.", K::TEXT),
                },
            },
            "required": [K::TEXT],
        })
    }
}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The keys of the documents.
pub mod key {
    use super::Key;

    macro_rules! keys {
        ($($ident:ident = $text:literal, $bytes:literal, $about:literal;)*) => { $(
            #[doc = $about]
            #[derive(Debug, Clone, Copy)]
            pub enum $ident {}

            impl Key for $ident {
                const TEXT: &'static str = $text;
                const BYTES: &'static str = $bytes;
                const ABOUT: &'static str = $about;
            }
        )* };
    }

    keys! {
        NameKey = "name", "bytes", "The name as it stands in the file.";
        PathKey = "path", "bytes", "The path as given or found, with `--root` removed.";
        FoundPath = "path", "path_bytes", "The path of the file that was found.";
        Map = "map", "map_bytes", "The path of the list of intended exports.";
        Soname = "soname", "soname_bytes", "DT_SONAME, or the install name of LC_ID_DYLIB.";
        RequestedBy = "requested_by", "requested_by_bytes", "The path of the object that asks.";
        Element = "element", "element_bytes", "The search path element as it stands in the file.";
        Version = "version", "version_bytes", "The symbol's version.";
        Library = "library", "library_bytes", "The library that the file expects it from.";
        Module = "module", "module_bytes", "The path of the file that was asked about.";
        Interpreter = "interpreter", "interpreter_bytes", "PT_INTERP.";
        Raw = "raw", "bytes", "The string as it stands in the file.";
        RawSymbol = "raw", "raw_bytes", "The symbol as it stands in the file, the compiler's underscore included.";
        FileKey = "file", "bytes", "The file that the versions are expected from.";
        ModuleName = "name", "name_bytes", "What PG_MODULE_MAGIC_EXT says the module is called.";
        ModuleVersion = "module_version", "module_version_bytes", "What PG_MODULE_MAGIC_EXT says its version is.";
        Abi = "abi", "abi_bytes", "`abi_extra` up to its NUL.";
        Function = "function", "bytes", "The function's name.";
        Extension = "extension", "extension_bytes", "The extension's name.";
        ExtensionVersion = "version", "version_bytes", "The extension's version; 1.0--1.1 for what only that update script does.";
        Probin = "probin", "probin_bytes", "The library as SQL names it.";
        Prosrc = "prosrc", "prosrc_bytes", "The symbol.";
        ModuleFile = "module", "module_bytes", "The file that the server would load.";
        ProviderFile = "provider", "provider_bytes", "The library that has the symbol, where the module has it not.";
        OldPath = "old", "old_bytes", "The path of the old file as given or found, with its root removed.";
        NewPath = "new", "new_bytes", "The path of the new file, likewise.";
        OldVersion = "old_version", "old_version_bytes", "The old default version.";
        NewVersion = "new_version", "new_version_bytes", "The new default version.";
        ScriptFile = "script", "script_bytes", "The script that declares it.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_appear_only_where_the_text_is_lossy() {
        let json = |field: Field<key::NameKey>| serde_json::to_string(&field).unwrap();
        assert_eq!(json(Field::from(&b"a.so"[..])), r#"{"name":"a.so"}"#);
        assert_eq!(json(Field::from(&b"a\xff"[..])), "{\"name\":\"a\u{fffd}\",\"bytes\":\"61ff\"}");
        assert_eq!(json(Field::null()), r#"{"name":null}"#);
    }
}
