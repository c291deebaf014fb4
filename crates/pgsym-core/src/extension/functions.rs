//! The binary behind a SQL function: the file that the server would load for `probin`, and whether `dlsym` on its handle
//! finds the function and its `pg_finfo_` record, in the module itself or in a library that it brings
//! (src/backend/utils/fmgr/fmgr.c, fmgr_c_validator; src/backend/catalog/pg_proc.c).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::library_path::{Expansion, LibrarySettings, Loader, candidates, expand};
use crate::fs::{FileId, FileKind, Fs};
use crate::hash::{HashMap, HashSet};
use crate::model::Module;
use crate::name::{Shown, bytes_as_path, shown_path};
use crate::postgres::{FINFO_PREFIX, FinfoRecord, ServerMessage, Verdict};
use crate::resolve::{Libc, dlsym};

/// A module and what it brings, each with the path it was opened by, in the order in which `dlsym` searches.
pub type Objects = Vec<(PathBuf, Arc<Module>)>;

/// What opening a module comes to.
#[derive(Clone, Default)]
pub struct Opened {
    /// The module and what it brings; the module alone where no process is modelled, nothing where it cannot be read.
    pub objects: Objects,
    /// The C library that searches them; none where no process is modelled.
    pub libc: Option<Libc>,
    /// What the server says of it; none where no server is known that would load it.
    pub verdict: Option<Verdict>,
    /// Whether it lacks nothing but symbols, which a module that was loaded before may have.
    pub lacks_symbols: bool,
}

/// Why the server does not load a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It says this.
    Says(ServerMessage),
    /// Its process ends without a message of its own; what ends it.
    Crashes(String),
}

/// A library that SQL names, and what was found for it.
#[derive(Clone)]
pub struct Library {
    /// The name as SQL has it, after `MODULE_PATHNAME` was replaced.
    pub name: Vec<u8>,
    /// The server's search, or its error.
    pub expansion: Result<Expansion, String>,
    /// Files that a later place of the same search holds, and that the found one hides.
    pub hidden: Vec<PathBuf>,
    /// For a name that begins with `$libdir/`: the other file that a search along dynamic_library_path would find.
    pub defeated: Option<PathBuf>,
    /// What opening it comes to; of what is not there, nothing.
    pub opened: Opened,
}

impl Library {
    /// The module's path, when there is a file.
    pub fn path(&self) -> Option<&Path> {
        self.expansion.as_ref().ok().filter(|found| found.found).map(|found| found.path.as_path())
    }

    /// The server's message when there is no file.
    pub fn error(&self) -> Option<String> {
        match &self.expansion {
            Err(message) => Some(message.clone()),
            Ok(expansion) if expansion.found => None,
            Ok(expansion) => Some(format!(
                "could not access file \"{}\": No such file or directory",
                Shown(crate::name::path_bytes(&expansion.path))
            )),
        }
    }

    /// What backs the C function whose symbol is `prosrc`, as `load_external_function` (src/backend/utils/fmgr/dfmgr.c)
    /// looks for it: it loads the file first, and what it says of that is the end.
    pub fn status(&self, prosrc: &[u8]) -> Status {
        match self.symbol_status(prosrc) {
            status @ (Status::ModuleNotFound | Status::ModuleUnreadable) => status,
            _ if self.load_refusal().is_some() => Status::ModuleDoesNotLoad,
            status => status,
        }
    }

    /// The same by the symbols alone, as if the module were loaded.
    pub fn symbol_status(&self, prosrc: &[u8]) -> Status {
        if self.path().is_none() {
            return Status::ModuleNotFound;
        }
        let is_readable = self.objects().first().is_some_and(|(_, module)| module.symbols.get().is_some());
        if !is_readable {
            return Status::ModuleUnreadable;
        }
        let Some(function) = self.provider(prosrc) else { return Status::MissingFunction };
        let Some(record) = self.provider(&[FINFO_PREFIX, prosrc].concat()) else {
            return Status::MissingFinfo;
        };
        if let Some(found) = self.record(record, prosrc) {
            match found.api_version {
                _ if found.is_data => return Status::FinfoIsData,
                Ok(version) if version != 1 => return Status::OtherApiVersion(version),
                Err(_) if found.is_null => return Status::NullRecord,
                _ => {}
            }
        }
        match self.objects().get(function.max(record)) {
            Some((provider, _)) if function.max(record) > 0 => {
                Status::ThroughDependency { provider: provider.clone() }
            }
            _ => Status::Ok,
        }
    }

    /// What the server says after `ERROR:` where a function of this status is created, or called
    /// (src/backend/utils/fmgr/dfmgr.c, `load_external_function`; fmgr.c, `fetch_finfo_record`); nothing where it says
    /// nothing, or where that cannot be told.
    pub fn refusal(&self, status: &Status, prosrc: &[u8]) -> Option<String> {
        let function = Shown(prosrc);
        Some(match status {
            Status::Ok
            | Status::ThroughDependency { .. }
            | Status::ModuleUnreadable
            | Status::FinfoIsData => return None,
            Status::ModuleNotFound => return self.error(),
            Status::ModuleDoesNotLoad => match self.load_refusal()? {
                Refusal::Says(message) => message.primary,
                Refusal::Crashes(_) => return None,
            },
            Status::MissingFunction => {
                let file = self.path().map(|path| shown_path(path).to_string());
                format!("could not find function \"{function}\" in file \"{}\"", file.unwrap_or_default())
            }
            Status::MissingFinfo => {
                format!("could not find function information for function \"{function}\"")
            }
            Status::OtherApiVersion(version) => {
                format!(
                    "unrecognized API version {version} reported by info function \"pg_finfo_{function}\""
                )
            }
            Status::NullRecord => format!("null result from info function \"pg_finfo_{function}\""),
        })
    }

    /// Why the server does not load it, where there is a file and that can be told.
    pub fn load_refusal(&self) -> Option<Refusal> {
        match self.opened.verdict.as_ref()? {
            Verdict::Fails(message) => Some(Refusal::Says(message.clone())),
            Verdict::Crashes(why) => Some(Refusal::Crashes(why.clone())),
            Verdict::Loads | Verdict::Unknown(_) => None,
        }
    }

    /// The module and what it brings.
    pub fn objects(&self) -> &[(PathBuf, Arc<Module>)] {
        &self.opened.objects
    }

    /// The record of a function in an object, where what PostgreSQL finds in it was read.
    fn record(&self, object: usize, prosrc: &[u8]) -> Option<&FinfoRecord> {
        let facts = self.objects().get(object)?.1.postgres.get()?;
        facts.finfo.iter().find(|record| record.function.as_bytes() == prosrc)
    }

    /// What the module itself exports under nearly the names that scripts ask for.
    pub fn near_exports(&self) -> NearExports<'_> {
        let symbols = self.objects().first().and_then(|(_, module)| module.symbols.get());
        let mut near = NearExports::default();
        for symbol in symbols.into_iter().flat_map(|symbols| symbols.exports()) {
            let name = symbol.name();
            if symbol.version().is_some_and(|version| version.is_hidden) {
                near.hidden.insert(name);
            }
            near.folded.entry(name.to_ascii_lowercase()).or_insert(name);
            if let Some(function) = mangled(name) {
                near.mangled.entry(function).or_insert(name);
            }
        }
        near
    }

    /// The index of the first object in which `dlsym` finds a symbol: not one that has a version only, and no default one.
    fn provider(&self, symbol: &[u8]) -> Option<usize> {
        let libc = self.opened.libc.unwrap_or(Libc::NEWEST_GLIBC);
        self.objects().iter().position(|(_, module)| dlsym(module, symbol, libc).is_some())
    }
}

/// The exports of a module by what they would be called if they had been written otherwise.
#[derive(Debug, Default)]
pub struct NearExports<'a> {
    folded: HashMap<Vec<u8>, &'a [u8]>,
    mangled: HashMap<&'a [u8], &'a [u8]>,
    hidden: HashSet<&'a [u8]>,
}

/// An export that was probably meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NearExport<'a> {
    /// It differs in case: a name without quotes is folded, a link symbol is not.
    OtherCase(&'a [u8]),
    /// It is the name of C++ for a function of this name.
    Mangled(&'a [u8]),
    /// It has this very name and a version that is not the default one, which `dlsym` passes over.
    OtherVersion(&'a [u8]),
}

impl<'a> NearExports<'a> {
    /// The export that stands for a symbol that is not there.
    pub fn of(&self, symbol: &[u8]) -> Option<NearExport<'a>> {
        if let Some(name) = self.hidden.get(symbol) {
            return Some(NearExport::OtherVersion(name));
        }
        let folded = || self.folded.get(&symbol.to_ascii_lowercase()).copied().map(NearExport::OtherCase);
        self.mangled.get(symbol).copied().map(NearExport::Mangled).or_else(folded)
    }
}

/// The function's own name in a name of the Itanium C++ ABI: the last part of `_Z4funcP…` or `_ZN2ns4funcE…`.
fn mangled(name: &[u8]) -> Option<&[u8]> {
    let rest = name.strip_prefix(b"_Z")?;
    let mut rest = rest.strip_prefix(b"N").unwrap_or(rest);
    let is_nested = name.starts_with(b"_ZN");
    let mut last = None;
    loop {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length = std::str::from_utf8(rest.get(..digits)?).ok()?.parse::<usize>();
        let Ok(length) = length else { return last };
        rest = rest.get(digits..)?;
        last = Some(rest.get(..length)?);
        rest = rest.get(length..)?;
        if !is_nested {
            return last;
        }
    }
}

/// What backs a C function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The module exports the function and its record.
    Ok,
    /// There is no such file.
    ModuleNotFound,
    /// There is a file, and its symbols cannot be read.
    ModuleUnreadable,
    /// There is a file, and the server refuses it or dies of it before it looks for a symbol.
    ModuleDoesNotLoad,
    /// Neither the module nor what it brings exports the function.
    MissingFunction,
    /// The function is there, its `pg_finfo_` record is not.
    MissingFinfo,
    /// Both are there, and the record is a variable, which the server calls: the backend dies.
    FinfoIsData,
    /// Both are there, and the record is of this version, which the server does not know.
    OtherApiVersion(u32),
    /// Both are there, and there is no record behind its function: it returns NULL.
    NullRecord,
    /// A library that the module brings exports one of the two; the module itself does not.
    ThroughDependency {
        /// The library.
        provider: PathBuf,
    },
}

impl Status {
    /// The word in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ModuleNotFound => "module-not-found",
            Self::ModuleUnreadable => "module-unreadable",
            Self::ModuleDoesNotLoad => "module-does-not-load",
            Self::MissingFunction => "missing-function",
            Self::MissingFinfo | Self::FinfoIsData => "missing-finfo",
            Self::OtherApiVersion(_) | Self::NullRecord => "other-api-version",
            Self::ThroughDependency { .. } => "through-dependency",
        }
    }
}

/// Searches for a library that SQL names and opens it.
pub(super) fn find_library(
    fs: &dyn Fs,
    settings: &LibrarySettings<'_>,
    loader: Loader,
    name: &[u8],
    open: impl FnOnce(&Path) -> Opened,
) -> Library {
    let expansion = expand(fs, settings, loader, name);
    let mut library = Library {
        name: name.to_vec(),
        expansion,
        hidden: Vec::new(),
        defeated: None,
        opened: Opened::default(),
    };
    let id_of =
        |path: &Path| fs.metadata(path).ok().filter(|found| found.kind == FileKind::File).map(|m| m.id);
    let chosen = library.path().and_then(id_of);
    if let Some(path) = library.path() {
        // The server has one `$libdir`: a staging tree's file takes the place of the installed one, which hides nothing.
        let simple = name.strip_prefix(b"$libdir/").unwrap_or(name);
        let with_suffix = [simple, settings.dlsuffix].concat();
        let holds = |libdir: &&PathBuf| {
            [simple, &with_suffix].into_iter().any(|name| id_of(&libdir.join(bytes_as_path(name))).is_some())
        };
        let libdir = settings.libdirs.iter().find(holds).or(settings.libdirs.first());
        let one = LibrarySettings {
            libdirs: libdir.map(std::slice::from_ref).unwrap_or_default(),
            ..settings.clone()
        };
        let mut hidden: Vec<(FileId, PathBuf)> = candidates(&one, loader, name)
            .into_iter()
            .filter(|candidate| candidate != path)
            .filter_map(|candidate| Some((id_of(&candidate)?, candidate)))
            .filter(|(id, _)| Some(*id) != chosen)
            .collect();
        hidden.dedup_by_key(|(id, _)| *id);
        library.hidden = hidden.into_iter().map(|(_, path)| path).collect();
    }
    // Where the whole search is `$libdir`, a search finds what the prefix says.
    let is_everything = settings.dynamic_library_path == b"$libdir";
    let is_stripped = settings.major >= 18 && loader == Loader::ExternalFunction;
    if let Some(simple) = name.strip_prefix(b"$libdir/")
        && !simple.contains(&b'/')
        && !is_stripped
        && !is_everything
        && let Ok(Expansion { path, found: true, .. }) = expand(fs, settings, loader, simple)
        && id_of(&path) != chosen
    {
        library.defeated = Some(path);
    }
    library.opened = library.path().map(open).unwrap_or_default();
    library
}
