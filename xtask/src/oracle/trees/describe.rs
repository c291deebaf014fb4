//! The description of a tree: which files lie where, what each library says about itself, how the host is linked and
//! started, and what it opens.

use serde::Serialize;

/// Whose rules the tree is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Family {
    Glibc,
    Musl,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Tree {
    pub(super) seed: u64,
    pub(super) family: Family,
    /// In the order in which they are laid: links after what they link to.
    pub(super) entries: Vec<Entry>,
    pub(super) host: Host,
    /// Relative to the root.
    pub(super) working_directory: &'static str,
    /// `LD_LIBRARY_PATH`
    pub(super) library_path: Option<String>,
    /// Arguments of dlopen.
    pub(super) opens: Vec<String>,
}

/// A path of the tree, relative to its root, and what is there.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) content: Content,
}

#[derive(Clone, Debug, Serialize)]
pub(super) enum Content {
    Library(Library),
    /// The link's text.
    Symlink(String),
    /// Of this earlier entry.
    HardLink(String),
    /// Of this earlier entry.
    Copy(String),
    Bad(Bad),
    Directory,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Library {
    pub(super) soname: Option<String>,
    pub(super) needed: Vec<Needed>,
    /// Functions it defines, of [`SYMBOLS`].
    pub(super) defines: Vec<&'static str>,
    pub(super) uses: Vec<Use>,
    /// The version of everything it defines.
    pub(super) version: Option<&'static str>,
    pub(super) search: Search,
    pub(super) no_default_libraries: bool,
    pub(super) maker: Maker,
}

/// One DT_NEEDED.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Needed {
    pub(super) name: String,
    /// The version of the symbols that the library showed when it was linked.
    pub(super) version: Option<&'static str>,
}

/// A call of a function of another library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Use {
    pub(super) symbol: &'static str,
    pub(super) strength: Strength,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Strength {
    /// Called: a slot of the PLT.
    Strong,
    /// Compared with zero before the call: a slot of the GOT.
    Weak,
}

/// The functions of a tree.
pub(super) const SYMBOLS: [&str; 3] = ["s1", "s2", "s3"];

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Search {
    pub(super) rpath: Option<String>,
    pub(super) runpath: Option<String>,
}

/// Who writes a library's file. The testkit's builder writes what no linker does: both kinds of search path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Maker {
    Bfd,
    Gold,
    Lld,
    Mold,
    Builder,
}

/// What stands where a library is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Bad {
    Empty,
    /// 20 bytes of an ELF header.
    Short,
    /// Fewer than 64 bytes of text.
    ShortText,
    /// A linker script of more than 64 bytes.
    LinkerScript,
    OtherClass,
    OtherMachine,
    WrongEndian,
    WrongVersion,
    WrongOsAbi,
    WrongAbiVersion,
    GnuOsAbi,
    WrongPhEntSize,
    Directory,
    DanglingLink,
    LinkLoop,
    /// A link to a path below a regular file.
    LinkThroughFile,
    /// Mode 000.
    Unreadable,
    Relocatable,
    Executable,
    PieExecutable,
    NoOpen,
    /// Only the ELF header.
    HeaderOnly,
    /// No PT_LOAD that holds anything.
    NoDynamic,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Host {
    pub(super) needed: Vec<String>,
    pub(super) search: Search,
    pub(super) no_default_libraries: bool,
    /// How the file `app/host` is started.
    pub(super) start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Start {
    Absolute,
    /// Through the symbolic link `start/host`.
    ThroughLink,
}

pub(super) const HOST: &str = "app/host";
pub(super) const HOST_LINK: &str = "start/host";
