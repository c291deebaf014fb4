//! The ELF part of an inspection: program headers, the dynamic table, versions, notes, what relocations do and
//! what the section headers say.

use object::elf;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::field::{Field, hex, key};
use super::{UnreadableLine, read};
use crate::model::{Elf, GnuProperties, Module, Relro};

/// What only ELF has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ElfFacts {
    /// PT_INTERP.
    #[serde(flatten)]
    pub interpreter: Field<key::Interpreter>,
    /// The program headers, in file order.
    pub segments: Vec<SegmentLine>,
    /// `.dynamic` as the loader reads it, up to DT_NULL and without it; null where there is none.
    pub dynamic: Option<Vec<DynamicLine>>,
    /// The flags of DT_FLAGS, with DT_SYMBOLIC, DT_TEXTREL and DT_BIND_NOW folded in: "DF_BIND_NOW".
    pub flags: Vec<String>,
    /// The flags of DT_FLAGS_1: "DF_1_NOW".
    pub flags_1: Vec<String>,
    /// The versions needed, by library; null where there are none.
    pub version_needs: Option<Vec<VersionNeedLine>>,
    /// The versions defined; null where there are none.
    pub version_definitions: Option<Vec<VersionDefinitionLine>>,
    /// Whether symbols carry versions at all.
    pub has_version_symbols: bool,
    /// PT_GNU_STACK: "rw", "rwx"; null where there is no such header.
    pub stack: Option<String>,
    /// "none", "partial" or "full".
    pub relro: &'static str,
    /// PT_TLS; null where there is none.
    pub tls: Option<TlsFacts>,
    /// What the dynamic relocations do; null where there are none.
    pub relocations: Option<RelocationFacts>,
    /// NT_GNU_BUILD_ID in hex.
    pub build_id: Option<String>,
    /// NT_GNU_ABI_TAG: "Linux 3.2.0".
    pub abi_tag: Option<String>,
    /// NT_GNU_PROPERTY_TYPE_0 in words: "x86 ISA needed: x86-64-v3", "x86 features: IBT, SHSTK".
    pub properties: Vec<String>,
    /// `.note.dlopen`: libraries that the code opens by itself.
    pub dlopen_notes: Vec<DlopenLine>,
    /// What the section headers say; null where there are none.
    pub sections: Option<SectionFacts>,
}

/// One program header.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SegmentLine {
    /// "PT_LOAD".
    pub kind: String,
    /// "r-x".
    pub flags: String,
    /// `p_offset` in bytes.
    pub offset: u64,
    /// `p_vaddr`.
    pub address: u64,
    /// `p_filesz` in bytes.
    pub file_size: u64,
    /// `p_memsz` in bytes.
    pub memory_size: u64,
    /// `p_align`.
    pub align: u64,
}

/// One entry of `.dynamic`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DynamicLine {
    /// Its index.
    pub index: usize,
    /// "DT_NEEDED", or the number in hex.
    pub tag: String,
    /// `d_un`.
    pub value: u64,
}

/// The versions needed of one library.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionNeedLine {
    /// The library.
    #[serde(flatten)]
    pub file: Field<key::FileKey>,
    /// The versions.
    pub versions: Vec<NeedLine>,
}

/// One version needed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NeedLine {
    /// The version.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// VER_FLG_WEAK: its absence is no error.
    pub weak: bool,
}

/// One version defined.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionDefinitionLine {
    /// The version.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// VER_FLG_BASE: the object's own name.
    pub base: bool,
    /// The versions it inherits, escaped.
    pub parents: Vec<String>,
}

/// PT_TLS.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TlsFacts {
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub align: u64,
}

/// What the dynamic relocations do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RelocationFacts {
    /// Entries of DT_RELA and DT_REL, without the PLT's.
    pub count: u64,
    /// Entries of the PLT.
    pub plt: u64,
    /// Addresses that DT_RELR rebases.
    pub relr: u64,
    /// Symbols that they refer to.
    pub symbols: usize,
    /// Relocations in segments that are not writable.
    pub text: u64,
    /// Relocations that need the static TLS block.
    pub static_tls: u64,
}

/// One entry of `.note.dlopen`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DlopenLine {
    /// Alternatives, escaped; the first that opens is used.
    pub sonames: Vec<String>,
    /// "required", "recommended" or "suggested", escaped.
    pub priority: String,
    /// The feature that it serves, escaped.
    pub feature: String,
    /// A sentence for people, escaped.
    pub description: String,
}

/// What the section headers say.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SectionFacts {
    /// Section headers.
    pub count: u32,
    /// Where they and the segments differ.
    pub disagreements: Vec<String>,
    /// Entry points of PostgreSQL that are in `.symtab` and not in the dynamic table, escaped; null where that
    /// table is missing.
    pub hidden_entry_points: Option<Vec<String>>,
}

impl ElfFacts {
    pub(super) fn new(facts: &Elf, module: &Module, unreadable: &mut Vec<UnreadableLine>) -> Self {
        for error in &facts.unreadable_entries {
            unreadable
                .push(UnreadableLine { table: "a string of the dynamic table", reason: error.to_string() });
        }
        let names = elf::machine_names(module.target.machine);
        let segments = facts.segments.iter().map(|segment| SegmentLine {
            kind: names
                .pt
                .name(elf::ProgramType(segment.kind))
                .map_or_else(|| format!("{:#x}", segment.kind), str::to_owned),
            flags: permission_words(segment.flags),
            offset: segment.offset,
            address: segment.address,
            file_size: segment.file_size,
            memory_size: segment.memory_size,
            align: segment.align,
        });
        let dynamic = read(&facts.dynamic, "dynamic table", unreadable).map(|entries| {
            let line = |(index, entry): (usize, &crate::model::DynamicEntry)| DynamicLine {
                index,
                tag: names
                    .dt
                    .name(elf::DynamicTag(entry.tag))
                    .map_or_else(|| format!("{:#x}", entry.tag), str::to_owned),
                value: entry.value,
            };
            entries.iter().enumerate().map(line).collect()
        });
        let needs = read(&facts.version_needs, "DT_VERNEED", unreadable).map(|needs| {
            let line = |need: &crate::model::VersionNeed| VersionNeedLine {
                file: (&need.file).into(),
                versions: need
                    .versions
                    .iter()
                    .map(|version| NeedLine { name: (&version.name).into(), weak: version.is_weak })
                    .collect(),
            };
            needs.iter().map(line).collect()
        });
        let definitions = read(&facts.version_definitions, "DT_VERDEF", unreadable).map(|definitions| {
            let line = |definition: &crate::model::VersionDefinition| VersionDefinitionLine {
                name: (&definition.name).into(),
                base: definition.is_base,
                parents: definition.parents.iter().map(ToString::to_string).collect(),
            };
            definitions.iter().map(line).collect()
        });
        let relocations =
            read(&facts.relocations, "relocations", unreadable).map(|relocations| RelocationFacts {
                count: relocations.count,
                plt: relocations.plt_count,
                relr: relocations.relr_count,
                symbols: relocations.symbols.len(),
                text: relocations.text.map_or(0, |text| text.count),
                static_tls: relocations.static_tls,
            });
        let sections = read(&facts.sections, "section headers", unreadable);
        let hidden = sections
            .and_then(|sections| read(&sections.hidden_entry_points, ".symtab", unreadable))
            .map(|names| names.iter().map(ToString::to_string).collect());
        Self {
            interpreter: read(&facts.interpreter, "PT_INTERP", unreadable).into(),
            segments: segments.collect(),
            dynamic,
            flags: df_names(facts.flags),
            flags_1: df_1_names(facts.flags_1),
            version_needs: needs,
            version_definitions: definitions,
            has_version_symbols: facts.has_version_symbols,
            stack: facts.stack_flags.map(permission_words),
            relro: match facts.relro {
                Relro::None => "none",
                Relro::Partial => "partial",
                Relro::Full => "full",
            },
            tls: facts.tls.map(|tls| TlsFacts { size: tls.size, align: tls.align }),
            relocations,
            build_id: read(&facts.build_id, "NT_GNU_BUILD_ID", unreadable).map(|id| hex(id)),
            abi_tag: read(&facts.abi_tag, "NT_GNU_ABI_TAG", unreadable).map(|tag| {
                let [major, minor, patch] = tag.kernel;
                let os = if tag.os == 0 { "Linux".to_owned() } else { format!("system {}", tag.os) };
                format!("{os} {major}.{minor}.{patch}")
            }),
            properties: read(&facts.properties, "NT_GNU_PROPERTY_TYPE_0", unreadable)
                .map(property_words)
                .unwrap_or_default(),
            dlopen_notes: read(&facts.dlopen_notes, ".note.dlopen", unreadable)
                .map(|notes| notes.iter().map(DlopenLine::new).collect())
                .unwrap_or_default(),
            sections: sections.map(|sections| SectionFacts {
                count: sections.count,
                disagreements: sections.disagreements.iter().map(ToString::to_string).collect(),
                hidden_entry_points: hidden,
            }),
        }
    }
}

impl DlopenLine {
    fn new(note: &crate::model::DlopenNote) -> Self {
        Self {
            sonames: note.sonames.iter().map(ToString::to_string).collect(),
            priority: note.priority.to_string(),
            feature: note.feature.to_string(),
            description: note.description.to_string(),
        }
    }
}

/// `p_flags` as `ls` would write them.
fn permission_words(flags: u32) -> String {
    [(elf::PF_R, 'r'), (elf::PF_W, 'w'), (elf::PF_X, 'x')]
        .into_iter()
        .map(|(flag, letter)| if flags & flag.0 != 0 { letter } else { '-' })
        .collect()
}

fn df_names(flags: u64) -> Vec<String> {
    let mut list = Vec::new();
    let rest = elf::DynamicFlags::NAMES.names(elf::DynamicFlags(flags), |_, name| list.push(name.to_owned()));
    list.extend((rest != 0).then(|| format!("{rest:#x}")));
    list
}

fn df_1_names(flags: u64) -> Vec<String> {
    let mut list = Vec::new();
    let rest =
        elf::DynamicFlags1::NAMES.names(elf::DynamicFlags1(flags), |_, name| list.push(name.to_owned()));
    list.extend((rest != 0).then(|| format!("{rest:#x}")));
    list
}

fn property_words(properties: &GnuProperties) -> Vec<String> {
    let bits = |value: u32, names: &[&str]| {
        let known = names.iter().enumerate().filter(|(bit, _)| value & (1 << bit) != 0);
        let mut words: Vec<String> = known.map(|(_, name)| (*name).to_owned()).collect();
        let rest = value >> names.len();
        words.extend((rest != 0).then(|| format!("{:#x}", rest << names.len())));
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    };
    let isa = ["baseline", "x86-64-v2", "x86-64-v3", "x86-64-v4"];
    [
        ("x86 ISA needed", properties.x86_isa_needed, &isa[..]),
        ("x86 ISA used", properties.x86_isa_used, &isa[..]),
        ("x86 features", properties.x86_features, &["IBT", "SHSTK"][..]),
        ("aarch64 features", properties.aarch64_features, &["BTI", "PAC"][..]),
    ]
    .into_iter()
    .filter_map(|(label, value, names)| Some(format!("{label}: {}", bits(value?, names))))
    .collect()
}
