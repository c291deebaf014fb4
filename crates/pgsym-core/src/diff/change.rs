//! One thing that changed: what it was, what it is, what it leads to.

use crate::check::{Evidence, Severity};
use crate::name::Name;

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub kind: ChangeKind,
    /// What it leads to.
    pub severity: Severity,
    /// One sentence: both values, what they lead to.
    pub message: String,
    /// The old value, where there is a single one.
    pub old: Option<String>,
    /// The new value, likewise.
    pub new: Option<String>,
    /// All that it is about, in byte order: symbols, versions, extensions.
    pub names: Vec<Name>,
    /// What was seen, each with a label.
    pub evidence: Vec<Evidence>,
    /// What to do; empty where nothing can be advised.
    pub help: String,
}

impl Change {
    /// A change of which nothing but the sentence is known.
    pub(super) fn new(kind: ChangeKind, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            kind,
            severity,
            message: message.into(),
            old: None,
            new: None,
            names: Vec::new(),
            evidence: Vec::new(),
            help: String::new(),
        }
    }

    /// The same with both values.
    pub(super) fn values(mut self, old: Option<String>, new: Option<String>) -> Self {
        (self.old, self.new) = (old, new);
        self
    }

    /// The same with what it is about.
    pub(super) fn names<'n>(mut self, names: impl IntoIterator<Item = &'n [u8]>) -> Self {
        self.names = names.into_iter().map(Name::from).collect();
        self.names.sort();
        self.names.dedup();
        self
    }

    /// The same with one more thing that was seen.
    pub(super) fn evidence(mut self, label: &'static str, text: impl Into<String>) -> Self {
        self.evidence.push(Evidence { label, text: text.into() });
        self
    }

    /// The same with what the server says after `ERROR:`.
    pub(super) fn server_says(self, message: &str) -> Self {
        self.evidence("the server", format!("ERROR:  {message}"))
    }

    /// The same with what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// What the order of the changes of one file or extension goes by: the worst first.
    pub(super) fn sort_key(&self) -> impl Ord + '_ {
        (std::cmp::Reverse(self.severity), self.kind, &self.message)
    }
}

macro_rules! kinds {
    ($($(#[doc = $about:literal])* $ident:ident = $word:literal,)*) => {
        /// What changed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ChangeKind {
            $($(#[doc = $about])* $ident,)*
        }

        impl ChangeKind {
            /// The word in JSON and text.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$ident => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// A file that is not there any more.
    Removed = "removed",
    /// C functions that catalogs of databases name, and that the new build does not have.
    CatalogFunction = "catalog-function",
    /// What loading the file comes to.
    Load = "load",
    /// A file that cannot be read any more, or can be now.
    Unreadable = "unreadable",
    /// A file of another kind: a shared object that is a relocatable object now.
    ObjectKind = "object-kind",
    /// A file that is the old one under another name.
    Renamed = "renamed",
    /// A new file.
    Added = "added",
    /// Format or architecture.
    Machine = "machine",
    /// `Pg_magic_func` is there or not.
    MagicBlock = "magic-block",
    /// The major version in the magic block.
    ServerMajor = "server-major",
    /// The other fields that a server compares.
    Abi = "abi",
    /// What PG_MODULE_MAGIC_EXT says the module is called.
    ModuleName = "module-name",
    /// What PG_MODULE_MAGIC_EXT says its version is.
    ModuleVersion = "module-version",
    /// DT_SONAME or the install name.
    Soname = "soname",
    /// A library that is needed now.
    NeededAdded = "needed-added",
    /// A library that is not needed any more.
    NeededRemoved = "needed-removed",
    /// The same libraries in another order.
    NeededOrder = "needed-order",
    /// DT_RPATH, DT_RUNPATH or LC_RPATH.
    SearchPath = "search-path",
    /// The oldest glibc that has every version asked for.
    GlibcFloor = "glibc-floor",
    /// Versions that are asked for of another library.
    LibraryVersion = "library-version",
    /// PT_GNU_STACK.
    ExecutableStack = "executable-stack",
    /// Relocations in code.
    TextRelocations = "text-relocations",
    /// What is read-only after relocation.
    Relro = "relro",
    /// PT_TLS in the static TLS block.
    StaticTls = "static-tls",
    /// GNU_PROPERTY_X86_ISA_1_NEEDED.
    IsaLevel = "isa-level",
    /// Functions that SQL can call.
    FunctionRemoved = "function-removed",
    /// The `pg_finfo_` record of a function that is still there.
    FinfoRemoved = "finfo-removed",
    /// A name that the server looks up.
    EntryPointRemoved = "entry-point-removed",
    /// Other functions.
    ExportRemoved = "export-removed",
    /// Variables.
    DataRemoved = "data-removed",
    /// `api_version` of a finfo record.
    ApiVersion = "api-version",
    /// A function that is a variable now, or the reverse.
    ExportKind = "export-kind",
    /// Global, weak or unique.
    ExportBinding = "export-binding",
    /// The symbol version of an export.
    ExportVersion = "export-version",
    /// `st_size` of a variable.
    DataSize = "data-size",
    /// Functions that SQL can call.
    FunctionAdded = "function-added",
    /// A name that the server looks up.
    EntryPointAdded = "entry-point-added",
    /// Other functions and variables.
    ExportAdded = "export-added",
    /// An extension that is not there any more.
    ExtensionRemoved = "extension-removed",
    /// A new extension.
    ExtensionAdded = "extension-added",
    /// Whether the default version can be installed.
    Installable = "installable",
    /// Versions without a way to the new default version.
    UpdatePath = "update-path",
    /// What updating from the old default version runs, and the server refuses.
    UpdateFails = "update-fails",
    /// `default_version`.
    DefaultVersion = "default-version",
    /// Versions that CREATE EXTENSION takes no longer.
    VersionsRemoved = "versions-removed",
    /// Versions that CREATE EXTENSION takes now.
    VersionsAdded = "versions-added",
    /// `module_pathname`.
    ModulePathname = "module-pathname",
    /// `requires`.
    Requires = "requires",
    /// `superuser`.
    Superuser = "superuser",
    /// `trusted`.
    Trusted = "trusted",
    /// `relocatable`.
    Relocatable = "relocatable",
    /// `schema`.
    Schema = "schema",
}
