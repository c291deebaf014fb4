//! `pgsym audit`: what is wrong in a tree, grouped by file, and what the run looked at.

mod text;

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;
use schemars::JsonSchema;
use serde::Serialize;

pub(super) use self::text::write_told;
use super::field::{Field, key};
use super::verbatim::verbatim;
use crate::check::{Finding, Selection, Severity, check};
use crate::discover::Format;
use crate::name::path_bytes;
use crate::postgres::{Magic, MagicBlock};
use crate::resolve::CpuLevel;
use crate::tree::{LoadOutcome, Role, Server, Tree, TreeFile};

/// The answer of `pgsym audit`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Audit {
    /// The server that the modules were checked against; null where none is known.
    pub server: Option<AuditServer>,
    /// Servers below the paths that were not taken, in path order: where several have modules, none is taken.
    pub other_servers: Vec<OtherServer>,
    /// The modules, in path order.
    pub modules: Vec<AuditModule>,
    /// The findings, by path, code, subject and message.
    pub findings: Vec<AuditFinding>,
    /// Counts.
    pub summary: AuditSummary,
    #[serde(skip)]
    roots: Vec<PathBuf>,
    #[serde(skip)]
    cpu: Option<CpuLevel>,
    /// From which severity on text shows findings one by one; those below are counted, rule by rule.
    #[serde(skip)]
    pub shown_from: Severity,
}

/// A server that was not taken.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OtherServer {
    /// The binary.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
}

/// The server of an audit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditServer {
    /// The binary.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// As `SELECT version()` begins: "15.18"; null where the binary does not say.
    pub version: Option<String>,
    /// The machine it is for.
    pub arch: String,
    /// The architectures that it can run as, where it is a universal file: each is modelled.
    pub slices: Vec<String>,
    /// Its C library: "glibc 2.36".
    pub libc: Option<String>,
}

/// One module.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditModule {
    /// Where it is.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// "elf" or "mach-o"; null where that cannot be told.
    pub format: Option<&'static str>,
    /// The machine it is for; null where it could not be parsed.
    pub arch: Option<String>,
    /// DT_SONAME.
    #[serde(flatten)]
    pub soname: Field<key::Soname>,
    /// The magic block; null where there is none or it could not be read.
    pub magic: Option<ModuleMagic>,
    /// What loading it into the server does.
    pub load: ModuleLoad,
}

/// A module's magic block.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModuleMagic {
    /// PG_VERSION_NUM / 100.
    pub version: u32,
    /// `abi_extra`; null before PostgreSQL 15.
    #[serde(flatten)]
    pub abi: Field<key::Abi>,
    /// The module's name; null before PostgreSQL 18 or where none was given.
    #[serde(flatten)]
    pub name: Field<key::ModuleName>,
    /// The module's version, likewise.
    #[serde(flatten)]
    pub module_version: Field<key::ModuleVersion>,
    /// `len` in bytes.
    pub len: u32,
    /// `funcmaxargs`.
    pub func_max_args: u32,
    /// `indexmaxkeys`.
    pub index_max_keys: u32,
    /// `namedatalen`.
    pub name_data_len: u32,
    /// `float8byval`.
    pub float8_by_value: u32,
}

impl From<&MagicBlock> for ModuleMagic {
    fn from(block: &MagicBlock) -> Self {
        Self {
            version: block.version,
            abi: block.abi().as_ref().into(),
            name: block.module_name.as_ref().into(),
            module_version: block.module_version.as_ref().into(),
            len: block.len,
            func_max_args: block.func_max_args,
            index_max_keys: block.index_max_keys,
            name_data_len: block.name_data_len,
            float8_by_value: block.float8_by_value,
        }
    }
}

/// What loading a module does.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModuleLoad {
    /// Whether it loads.
    pub verdict: Verdict,
    /// What the server says after `ERROR:`, or the loader where no server is known; null where there is no error.
    pub error: Option<String>,
}

/// Whether a module loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It does.
    Loads,
    /// It does not.
    Fails,
    /// It cannot be told: the file or a library cannot be read, or is for another machine than the server.
    Unknown,
}

/// One finding.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditFinding {
    /// The rule's code: "PGS101".
    pub code: &'static str,
    /// The rule's name: "missing-dependency".
    pub name: &'static str,
    /// "error", "warning" or "info".
    pub severity: &'static str,
    /// The file that it is about.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// What in the file.
    pub subject: String,
    /// One sentence: the entry, the value seen, what it leads to.
    pub message: String,
    /// What was seen.
    pub evidence: Vec<AuditEvidence>,
    /// What to do; empty where nothing can be advised.
    pub help: String,
    #[serde(skip)]
    level: Severity,
}

/// One thing that was seen.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditEvidence {
    /// A word or two.
    pub label: &'static str,
    /// What was seen.
    pub text: String,
}

/// Counts of an audit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditSummary {
    /// Binaries looked at.
    pub files: usize,
    /// PostgreSQL modules among them.
    pub modules: usize,
    /// Extensions whose control files belong to the tree.
    pub extensions: usize,
    /// Findings of that severity.
    pub errors: usize,
    /// Findings of that severity.
    pub warnings: usize,
    /// Findings of that severity.
    pub infos: usize,
    /// Findings of rules that were allowed.
    pub suppressed: usize,
}

impl Audit {
    /// Runs the selected rules over a tree.
    pub fn new(tree: &Tree, selection: &Selection) -> Self {
        // Allowed rules run too, so that the summary can say how much they kept quiet.
        let everything = Selection { allow: Vec::new(), ..selection.clone() };
        let (findings, suppressed): (Vec<Finding>, Vec<Finding>) =
            check(tree, &everything).into_iter().partition(|finding| selection.includes(finding.rule));
        let verbatim = verbatim(tree);
        let number = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        Self {
            server: tree.server().map(|server| AuditServer::new(server, tree)),
            other_servers: tree
                .other_servers()
                .iter()
                .map(|path| OtherServer { path: tree.shown(path).as_path().into() })
                .collect(),
            modules: tree.modules().map(AuditModule::new).collect(),
            summary: AuditSummary {
                files: tree.files().len(),
                modules: tree.modules().count(),
                extensions: tree.inventory().extensions.iter().filter(|extension| extension.in_scope).count(),
                errors: number(Severity::Error),
                warnings: number(Severity::Warning),
                infos: number(Severity::Info),
                suppressed: suppressed.len(),
            },
            findings: findings.iter().map(|finding| AuditFinding::new(tree, finding, &verbatim)).collect(),
            roots: tree.roots().given().to_vec(),
            shown_from: Severity::Warning,
            cpu: tree.settings().loader.cpu.filter(|_| uses_hwcaps(tree)),
        }
    }

    /// How many findings are at least this bad.
    pub fn count_from(&self, severity: Severity) -> usize {
        let AuditSummary { errors, warnings, infos, .. } = self.summary;
        match severity {
            Severity::Error => errors,
            Severity::Warning => errors + warnings,
            Severity::Info => errors + warnings + infos,
        }
    }
}

impl AuditServer {
    pub(super) fn new(server: &Server, tree: &Tree) -> Self {
        Self {
            path: tree.shown(&server.installation.server).as_path().into(),
            version: server.facts.version.clone(),
            arch: server.module.arch(),
            slices: match tree.dyld_processes() {
                [] | [_] => Vec::new(),
                several => several.iter().map(|process| process.env().arch.name()).collect(),
            },
            libc: tree.process().map(|process| process.env().libc.to_string()),
        }
    }
}

impl AuditModule {
    fn new(file: &TreeFile) -> Self {
        let module = file.module.as_ref().ok();
        let magic = module.and_then(|module| module.postgres.get()).and_then(|facts| match &facts.magic {
            Magic::Found(block) => Some(ModuleMagic::from(&**block)),
            Magic::Absent | Magic::Unknown(_) => None,
        });
        let load = ModuleLoad::new(file);
        Self {
            path: file.shown.as_path().into(),
            format: file.format.as_ref().ok().and_then(|format| format_word(*format)),
            arch: module.map(|module| module.arch()),
            soname: module.and_then(|module| module.soname.as_ref()).into(),
            magic,
            load,
        }
    }
}

impl ModuleLoad {
    /// The server's verdict; without a server, that of the loader on the file as its own process.
    fn new(file: &TreeFile) -> Self {
        let (verdict, error) = match file.outcome() {
            LoadOutcome::Loads => (Verdict::Loads, None),
            LoadOutcome::Fails(message) => (Verdict::Fails, Some(message)),
            LoadOutcome::Unknown(why) => (Verdict::Unknown, why),
        };
        Self { verdict, error }
    }
}

fn format_word(format: Format) -> Option<&'static str> {
    match format {
        Format::Elf => Some("elf"),
        Format::MachO => Some("mach-o"),
        Format::LinkerScript | Format::Empty | Format::Windows | Format::Other => None,
    }
}

impl AuditFinding {
    fn new(tree: &Tree, finding: &Finding, verbatim: &[String]) -> Self {
        let shown = |text: &str| tree.roots().shown_in(text, verbatim);
        Self {
            code: finding.rule.code,
            name: finding.rule.name,
            severity: finding.severity.as_str(),
            level: finding.severity,
            path: tree.shown(&finding.path).as_path().into(),
            subject: shown(&finding.subject),
            message: shown(&finding.message),
            evidence: finding
                .evidence
                .iter()
                .map(|seen| AuditEvidence { label: seen.label, text: shown(&seen.text) })
                .collect(),
            help: shown(&finding.help),
        }
    }
}

/// Whether any module got a library because of the processor it was asked about.
fn uses_hwcaps(tree: &Tree) -> bool {
    let is_hwcaps = |path: &Path| path_bytes(path).contains_str("/glibc-hwcaps/");
    let of_files =
        tree.files().iter().filter(|file| file.role != Role::Other).filter_map(|file| file.load.as_ref());
    of_files
        .map(|load| &load.process)
        .chain(tree.process())
        .any(|process| process.load_order().any(|(_, object)| is_hwcaps(object.path())))
}
