//! The Mach-O part of an inspection.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::field::{Field, key};
use super::{ModuleFacts, UnreadableLine, read};
use crate::model::{ExportSource, HashKind, ImportSource, MachO, platform_name};

/// What only Mach-O has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MachOFacts {
    /// "MH_BUNDLE", "MH_DYLIB", "MH_EXECUTE" or a number.
    pub file_type: String,
    /// `flags` of the header.
    pub flags: u32,
    /// Whether imports name the library that defines them (MH_TWOLEVEL).
    pub two_level: bool,
    /// Where in the file the slice begins, in bytes.
    pub slice_offset: u64,
    /// Bytes of the slice.
    pub slice_size: u64,
    /// The file's other slices, in file order.
    pub further_slices: Vec<SliceLine>,
    /// LC_UUID in hex.
    pub uuid: Option<String>,
    /// LC_BUILD_VERSION and LC_VERSION_MIN_*.
    pub platforms: Vec<PlatformLine>,
    /// `current_version` of LC_ID_DYLIB.
    pub current_version: Option<String>,
    /// `compatibility_version` of LC_ID_DYLIB.
    pub compatibility_version: Option<String>,
    /// `timestamp` of LC_ID_DYLIB.
    pub timestamp: Option<u32>,
    /// The versions of the libraries, in the order of `needed`.
    pub libraries: Vec<LibraryLine>,
    /// Bytes that `install_name_tool` can use behind the load commands.
    pub header_padding: Option<u64>,
    /// "LC_DYLD_EXPORTS_TRIE", "LC_DYLD_INFO" or "LC_SYMTAB".
    pub export_source: &'static str,
    /// "LC_DYLD_CHAINED_FIXUPS", "LC_DYLD_INFO" or "LC_SYMTAB".
    pub import_source: &'static str,
    /// LC_CODE_SIGNATURE; null where there is none.
    pub signature: Option<SignatureFacts>,
    /// The segments, in file order.
    pub segments: Vec<MachSegmentLine>,
    /// The load commands, in file order.
    pub commands: Vec<CommandLine>,
}

/// A further slice.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SliceLine {
    /// "arm64".
    pub arch: String,
    /// Why it cannot be read; null where it can.
    pub error: Option<String>,
    /// What it says; null where it cannot be read.
    pub facts: Option<Box<ModuleFacts>>,
}

/// One platform.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlatformLine {
    /// "macOS".
    pub platform: &'static str,
    /// The number of the platform.
    pub number: u32,
    /// The oldest release.
    pub minimum: String,
    /// The SDK.
    pub sdk: String,
}

/// The versions of one library.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LibraryLine {
    /// The number that imports name it by; null where they cannot.
    pub ordinal: Option<u32>,
    /// `current_version`.
    pub current_version: String,
    /// `compatibility_version`.
    pub compatibility_version: String,
    /// `timestamp`.
    pub timestamp: u32,
}

/// One segment.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MachSegmentLine {
    /// `segname`.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// `vmaddr`.
    pub address: u64,
    /// `vmsize` in bytes.
    pub memory_size: u64,
    /// `fileoff`: bytes from the start of the slice.
    pub offset: u64,
    /// `filesize` in bytes.
    pub file_size: u64,
    /// `initprot`: "r-x".
    pub protection: String,
    /// Its sections.
    pub sections: usize,
}

/// The code signature.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SignatureFacts {
    /// Identifier of the code directory.
    pub identifier: String,
    /// Team that signed; null for an ad-hoc signature.
    pub team: Option<String>,
    /// Signed by nobody.
    pub ad_hoc: bool,
    /// Renewed by the linker's tools on their own.
    pub linker_signed: bool,
    /// Hardened runtime.
    pub hardened: bool,
    /// The code directories: "SHA-256", how many pages, how many of them were changed.
    pub directories: Vec<DirectoryLine>,
}

/// One code directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DirectoryLine {
    /// "SHA-1", "SHA-256" or "not checked".
    pub hash: &'static str,
    /// Pages hashed.
    pub pages: u32,
    /// Pages whose content has another hash.
    pub stale_pages: u32,
}

/// One load command.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CommandLine {
    /// "LC_SEGMENT_64", or a number.
    pub name: String,
    /// Bytes.
    pub size: u32,
}

impl MachOFacts {
    pub(super) fn new(macho: &MachO, unreadable: &mut Vec<UnreadableLine>) -> Self {
        let signature = read(&macho.signature, "code signature", unreadable);
        for fault in &macho.faults {
            unreadable.push(UnreadableLine { table: "load commands", reason: fault.to_string() });
        }
        Self {
            file_type: macho.file_type.name().map_or_else(|| macho.file_type.0.to_string(), str::to_owned),
            flags: macho.flags,
            two_level: macho.is_two_level(),
            slice_offset: macho.slice.offset,
            slice_size: macho.slice.size,
            further_slices: macho
                .further_slices
                .iter()
                .map(|slice| SliceLine {
                    arch: slice.arch.name(),
                    error: slice.module.as_ref().err().map(ToString::to_string),
                    facts: slice.module.as_ref().ok().map(|module| Box::new(ModuleFacts::new(module))),
                })
                .collect(),
            uuid: macho.uuid.map(|uuid| {
                uuid.iter().fold(String::new(), |mut text, byte| {
                    // Writing into a string cannot fail.
                    let _ = write!(text, "{byte:02x}");
                    text
                })
            }),
            platforms: macho
                .platforms
                .iter()
                .map(|entry| PlatformLine {
                    platform: platform_name(entry.platform),
                    number: entry.platform.0,
                    minimum: entry.minimum.to_string(),
                    sdk: entry.sdk.to_string(),
                })
                .collect(),
            current_version: macho.id.map(|id| id.current.to_string()),
            compatibility_version: macho.id.map(|id| id.compatibility.to_string()),
            timestamp: macho.id.map(|id| id.timestamp),
            libraries: macho
                .dylibs
                .iter()
                .map(|dylib| LibraryLine {
                    ordinal: dylib.ordinal,
                    current_version: dylib.versions.current.to_string(),
                    compatibility_version: dylib.versions.compatibility.to_string(),
                    timestamp: dylib.versions.timestamp,
                })
                .collect(),
            header_padding: macho.header_padding,
            export_source: match macho.export_source {
                ExportSource::ExportsTrie => "LC_DYLD_EXPORTS_TRIE",
                ExportSource::DyldInfo => "LC_DYLD_INFO",
                ExportSource::SymbolTable => "LC_SYMTAB",
            },
            import_source: match macho.import_source {
                ImportSource::ChainedFixups => "LC_DYLD_CHAINED_FIXUPS",
                ImportSource::DyldInfo => "LC_DYLD_INFO",
                ImportSource::SymbolTable => "LC_SYMTAB",
            },
            signature: signature.map(|signature| SignatureFacts {
                identifier: signature.identifier.to_string(),
                team: signature.team.as_ref().map(ToString::to_string),
                ad_hoc: signature.is_ad_hoc,
                linker_signed: signature.is_linker_signed,
                hardened: signature.is_hardened,
                directories: signature
                    .directories
                    .iter()
                    .map(|directory| DirectoryLine {
                        hash: match directory.hash {
                            HashKind::Sha1 => "SHA-1",
                            HashKind::Sha256 => "SHA-256",
                            HashKind::Other(_) => "not checked",
                        },
                        pages: directory.pages,
                        stale_pages: directory.stale.map_or(0, |stale| stale.count),
                    })
                    .collect(),
            }),
            segments: macho
                .segments
                .iter()
                .map(|segment| MachSegmentLine {
                    name: (&segment.name).into(),
                    address: segment.address,
                    memory_size: segment.memory_size,
                    offset: segment.offset,
                    file_size: segment.file_size,
                    protection: protection_words(segment.protection),
                    sections: segment.sections.len(),
                })
                .collect(),
            commands: macho
                .commands
                .iter()
                .map(|command| CommandLine {
                    name: command.kind.name().map_or_else(|| format!("{:#x}", command.kind.0), str::to_owned),
                    size: command.size,
                })
                .collect(),
        }
    }

    /// The facts as labelled lines.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let namespace = if self.two_level { "two-level namespace" } else { "flat namespace" };
        lines.push(("image", format!("{}, {namespace}", self.file_type)));
        if !self.further_slices.is_empty() {
            let others: Vec<&str> = self.further_slices.iter().map(|slice| &*slice.arch).collect();
            let offset = self.slice_offset;
            lines.push(("slice", format!("at offset {offset:#x}; the file also has {}", others.join(", "))));
        }
        for entry in &self.platforms {
            lines.push((
                "platform",
                format!("{} {} and later, built with SDK {}", entry.platform, entry.minimum, entry.sdk),
            ));
        }
        if let (Some(current), Some(compatibility)) = (&self.current_version, &self.compatibility_version) {
            lines.push(("version", format!("{current}, compatible with {compatibility}")));
        }
        lines.extend(self.uuid.clone().map(|uuid| ("uuid", uuid)));
        lines.push((
            "tables",
            format!("exports from {}, imports from {}", self.export_source, self.import_source),
        ));
        lines.extend(
            self.header_padding.map(|bytes| ("padding", format!("{bytes} bytes behind the load commands"))),
        );
        let signature = self.signature.as_ref().map_or_else(
            || "none".to_owned(),
            |signature| {
                let by = match &signature.team {
                    Some(team) => format!("by team {team}"),
                    None if signature.ad_hoc => "ad hoc".to_owned(),
                    None => "without a team".to_owned(),
                };
                let directories = signature.directories.iter().map(|directory| {
                    let stale = directory.stale_pages;
                    let state =
                        if stale == 0 { "all as signed".to_owned() } else { format!("{stale} changed") };
                    format!("{}: {} pages, {state}", directory.hash, directory.pages)
                });
                format!("{by}; {}", directories.collect::<Vec<_>>().join("; "))
            },
        );
        lines.push(("signature", signature));
        lines
    }
}

/// `initprot` as `ls` would write it: VM_PROT_READ, VM_PROT_WRITE, VM_PROT_EXECUTE.
fn protection_words(protection: u32) -> String {
    "rwx"
        .chars()
        .enumerate()
        .map(|(bit, letter)| if protection & 1 << bit != 0 { letter } else { '-' })
        .collect()
}
