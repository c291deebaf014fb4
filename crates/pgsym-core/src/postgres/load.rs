//! What the server says when it loads a module: `internal_load_library` and `incompatible_module_error` of
//! src/backend/utils/fmgr/dfmgr.c, message by message, on top of what the loader does.

use std::fmt;
use std::path::Path;

use super::{MAGIC_FUNCTION, MAGIC_IS_DATA, Magic, MagicBlock, PgFacts};
use crate::error::{FileError, os_text};
use crate::fs::FileKind;
use crate::model::Class;
use crate::name::{Name, path_bytes};
use crate::parse::{Facets, parse};
use crate::resolve::{Attempt, LoadError, LoadErrorKind, ObjectId, Process, dlsym};

/// Whether the server loads a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Up to `_PG_init`, which only running it decides.
    Loads,
    /// It does not, and says this.
    Fails(ServerMessage),
    /// The server's process ends without a message of its own; what ends it.
    Crashes(String),
    /// It cannot be told from the files; why.
    Unknown(String),
}

/// An error message of the server, without its prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerMessage {
    /// After `ERROR:`.
    pub primary: String,
    /// After `DETAIL:`.
    pub detail: Option<String>,
    /// After `HINT:`.
    pub hint: Option<String>,
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERROR:  {}", self.primary)?;
        if let Some(detail) = &self.detail {
            write!(f, "\nDETAIL:  {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nHINT:  {hint}")?;
        }
        Ok(())
    }
}

impl ServerMessage {
    /// A message with neither detail nor hint.
    pub fn plain(primary: impl Into<String>) -> Self {
        Self { primary: primary.into(), detail: None, hint: None }
    }

    /// `dlopen` failed.
    pub fn could_not_load(path: &Path, error: &LoadError) -> Self {
        Self::plain(format!("could not load library \"{}\": {}", shown(path), error.message))
    }

    /// The path does not lead to a file.
    pub fn could_not_access(path: &Path, os: &str) -> Self {
        Self::plain(format!("could not access file \"{}\": {os}", shown(path)))
    }

    /// `dlsym` did not find `Pg_magic_func`.
    pub fn missing_magic_block(path: &Path) -> Self {
        Self {
            primary: format!("incompatible library \"{}\": missing magic block", shown(path)),
            detail: None,
            hint: Some("Extension libraries are required to use the PG_MODULE_MAGIC macro.".to_owned()),
        }
    }
}

fn shown(path: &Path) -> Name {
    Name::from(path_bytes(path))
}

/// What the server says to `LOAD 'path'`, and what its process is then: [`verdict`] after the test that
/// the file is there (`internal_load_library`). No attempt was made where it is not.
pub fn load(process: &Process, path: &Path, expected: Option<&MagicBlock>) -> (Verdict, Option<Attempt>) {
    match process.store().fs().metadata(path) {
        Err(error) => {
            return (Verdict::Fails(ServerMessage::could_not_access(path, &os_text(&error))), None);
        }
        Ok(metadata) if metadata.kind == FileKind::Special => {
            let why = "it is a FIFO, socket or device: opening it may wait without end";
            return (Verdict::Unknown(why.to_owned()), None);
        }
        Ok(_) => {}
    }
    let attempt = process.dlopen(path);
    let verdict = verdict(&attempt.process, attempt.root, attempt.failure.as_ref(), path, expected);
    (verdict, Some(attempt))
}

/// What the server says of a module that was given to `dlopen`: `root` and `failure` are those of the attempt.
/// `expected` is the server's own block; without one, the comparison cannot be made and is left out.
pub fn verdict(
    process: &Process,
    root: Option<ObjectId>,
    failure: Option<&LoadError>,
    path: &Path,
    expected: Option<&MagicBlock>,
) -> Verdict {
    if let Some(error) = failure {
        if let Some(why) = process.env().why_unknown(error) {
            return Verdict::Unknown(why);
        }
        return match error.kind {
            LoadErrorKind::Crash => Verdict::Crashes(error.message.clone()),
            _ => Verdict::Fails(ServerMessage::could_not_load(path, error)),
        };
    }
    let Some(root) = root else { return Verdict::Unknown("it was not loaded".to_owned()) };
    compared(magic_of(process, root), path, expected)
}

/// Why there is no block behind a `Pg_magic_func`.
pub(super) enum Unread {
    /// It is a variable in memory that no processor runs.
    IsData,
    /// Another reason.
    Because(String),
}

impl Unread {
    /// What a reader says instead of a block.
    pub(super) fn of(magic: &FileError) -> Self {
        if magic.message == MAGIC_IS_DATA { Self::IsData } else { Self::Because(magic.to_string()) }
    }
}

/// What the server says of a block that `dlsym` led to, of one that cannot be read, or of none.
pub(super) fn compared(
    magic: Option<Result<MagicBlock, Unread>>,
    path: &Path,
    expected: Option<&MagicBlock>,
) -> Verdict {
    match magic {
        None => Verdict::Fails(ServerMessage::missing_magic_block(path)),
        Some(Err(Unread::IsData)) => {
            Verdict::Crashes(format!("{MAGIC_IS_DATA}, and the server calls it: SIGSEGV"))
        }
        Some(Err(Unread::Because(why))) => Verdict::Unknown(format!("its magic block cannot be read: {why}")),
        Some(Ok(block)) => match expected.and_then(|server| mismatch(path, server, &block)) {
            Some(message) => Verdict::Fails(message),
            None => Verdict::Loads,
        },
    }
}

/// The block that `dlsym(handle, "Pg_magic_func")` leads to: the module's own, or that of the first
/// library of its closure that exports one.
fn magic_of(process: &Process, root: ObjectId) -> Option<Result<MagicBlock, Unread>> {
    let mut provider = None;
    for id in process.closure(root) {
        let Some(object) = process.object(id) else { continue };
        let module = object.module();
        if let Some(error) = module.dependencies.error().or(module.symbols.error()) {
            let why = format!("the symbols of {} are not known: {error}", shown(object.path()));
            return Some(Err(Unread::Because(why)));
        }
        if module.symbols.get().is_some() && dlsym(module, MAGIC_FUNCTION, process.env().libc).is_some() {
            provider = Some(object);
            break;
        }
    }
    let provider = provider?;
    let read = |facts: Option<&PgFacts>| match facts.map(|facts| &facts.magic) {
        Some(Magic::Found(block)) => Ok((**block).clone()),
        Some(Magic::Unknown(why)) => Err(Unread::of(why)),
        Some(Magic::Absent) | None => {
            Err(Unread::Because("the reader does not find what the symbol table names".to_owned()))
        }
    };
    if let Some(facts) = provider.module().postgres.get() {
        return Some(read(Some(facts)));
    }
    // A library outside the tree, which was read for its symbols only.
    let path = process.env().absolute(provider.path())?;
    let module = process
        .store()
        .fs()
        .open(&path)
        .map_err(FileError::from)
        .and_then(|(source, metadata)| parse(&path, metadata, &*source, Facets::POSTGRES));
    Some(match module {
        Ok(module) => read(module.postgres.get()),
        Err(error) => Err(Unread::Because(error.to_string())),
    })
}

/// How the server refuses a block, or nothing when it takes it.
pub fn mismatch(path: &Path, server: &MagicBlock, library: &MagicBlock) -> Option<ServerMessage> {
    if is_accepted(server, library) {
        return None;
    }
    let path = shown(path);
    if server.version != library.version {
        let version = if library.version >= 1000 {
            format!("{}", library.version / 100)
        } else {
            format!("{}.{}", library.version / 100, library.version % 100)
        };
        return Some(ServerMessage {
            primary: format!("incompatible library \"{path}\": version mismatch"),
            detail: Some(format!(
                "Server is version {}, library is version {version}.",
                server.version / 100
            )),
            hint: None,
        });
    }
    if server.abi() != library.abi() {
        let abi = |block: &MagicBlock| block.abi().unwrap_or_default();
        return Some(ServerMessage {
            primary: format!("incompatible library \"{path}\": ABI mismatch"),
            detail: Some(format!("Server has ABI \"{}\", library has \"{}\".", abi(server), abi(library))),
            hint: None,
        });
    }
    let mut details = Vec::new();
    let numbers = [
        ("FUNC_MAX_ARGS", server.func_max_args, library.func_max_args),
        ("INDEX_MAX_KEYS", server.index_max_keys, library.index_max_keys),
        ("NAMEDATALEN", server.name_data_len, library.name_data_len),
    ];
    for (field, server, library) in numbers {
        if server != library {
            details.push(format!("Server has {field} = {server}, library has {library}."));
        }
    }
    if server.float8_by_value != library.float8_by_value {
        let word = |value: u32| if value != 0 { "true" } else { "false" };
        details.push(format!(
            "Server has FLOAT8PASSBYVAL = {}, library has {}.",
            word(server.float8_by_value),
            word(library.float8_by_value)
        ));
    }
    if details.is_empty() {
        details.push("Magic block has unexpected length or padding difference.".to_owned());
    }
    Some(ServerMessage {
        primary: format!("incompatible library \"{path}\": magic block mismatch"),
        detail: Some(details.join("\n")),
        hint: None,
    })
}

/// Up to 17 the server compares `len` and all bytes; from 18 `len` and the 52 bytes of `abi_fields`. In both
/// cases that is every field here but name and version.
fn is_accepted(server: &MagicBlock, library: &MagicBlock) -> bool {
    let fields = |block: &MagicBlock| {
        (
            block.len,
            block.version,
            block.func_max_args,
            block.index_max_keys,
            block.name_data_len,
            block.float8_by_value,
            block.abi_extra,
        )
    };
    fields(server) == fields(library)
}

impl MagicBlock {
    /// The block of a server of a major version as the PostgreSQL project releases it, on a machine of a word
    /// size (src/include/fmgr.h, src/include/pg_config_manual.h).
    pub fn standard(major: u32, class: Class) -> Self {
        let is_64 = class == Class::Bits64;
        let mut abi = [0; 32];
        abi[..10].copy_from_slice(b"PostgreSQL");
        Self {
            address: 0,
            evidence: super::MagicEvidence::Data,
            len: match major {
                ..=14 => 24,
                15..=17 => 56,
                _ if is_64 => 72,
                _ => 64,
            },
            version: major * 100,
            func_max_args: 100,
            index_max_keys: 32,
            name_data_len: 64,
            float8_by_value: u32::from(is_64 || major >= 19),
            abi_extra: (major >= 15).then_some(abi),
            module_name: None,
            module_version: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(change: impl FnOnce(&mut MagicBlock)) -> ServerMessage {
        let server = MagicBlock::standard(15, Class::Bits64);
        let mut library = server.clone();
        change(&mut library);
        mismatch(Path::new("/x.so"), &server, &library).unwrap()
    }

    #[test]
    fn an_equal_block_is_accepted() {
        let server = MagicBlock::standard(18, Class::Bits64);
        let mut library = server.clone();
        library.module_name = Some(Name::from("x"));
        assert_eq!(mismatch(Path::new("/x.so"), &server, &library), None);
    }

    #[test]
    fn another_major_is_named_before_anything_else() {
        let message = message(|library| {
            library.version = 1300;
            library.len = 24;
        });
        assert_eq!(message.primary, "incompatible library \"/x.so\": version mismatch");
        assert_eq!(message.detail.as_deref(), Some("Server is version 15, library is version 13."));
    }

    #[test]
    fn versions_before_10_have_two_parts() {
        let message = message(|library| library.version = 906);
        assert_eq!(message.detail.as_deref(), Some("Server is version 15, library is version 9.6."));
    }

    #[test]
    fn another_vendor_is_an_abi_mismatch() {
        let message = message(|library| {
            let mut abi = [0; 32];
            abi[..3].copy_from_slice(b"EDB");
            library.abi_extra = Some(abi);
        });
        assert_eq!(message.detail.as_deref(), Some("Server has ABI \"PostgreSQL\", library has \"EDB\"."));
    }

    #[test]
    fn every_field_that_differs_has_its_line() {
        let message = message(|library| {
            library.name_data_len = 128;
            library.float8_by_value = 0;
        });
        assert_eq!(message.primary, "incompatible library \"/x.so\": magic block mismatch");
        assert_eq!(
            message.detail.as_deref(),
            Some(
                "Server has NAMEDATALEN = 64, library has 128.\nServer has FLOAT8PASSBYVAL = true, library has false."
            )
        );
    }

    #[test]
    fn bytes_behind_the_abi_name_count_too() {
        let message = message(|library| {
            if let Some(abi) = &mut library.abi_extra {
                abi[20] = 1;
            }
        });
        assert_eq!(
            message.detail.as_deref(),
            Some("Magic block has unexpected length or padding difference.")
        );
    }
}
