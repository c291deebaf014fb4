//! What pgsym says of one slice, in LLVM's lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use object::macho;
use pgsym_core::model::{ExportTarget, ImportUsage, MachO, MachVersion, Module, Ordinal};

use super::Facts;
use super::llvm::{LAZY_BINDER, Llvm};

/// pgsym's side of a comparison.
pub(super) fn facts(module: &Module, detail: &MachO, llvm: &Llvm) -> Facts {
    vec![
        ("load commands", commands(module, detail)),
        ("exports", exports(detail)),
        ("imports", if llvm.is_chained { chained(detail) } else { binds(module, detail) }),
        ("undefined symbols", undefined(module, detail, llvm)),
    ]
}

fn commands(module: &Module, detail: &MachO) -> String {
    let mut out = String::new();
    let mut segments = detail.segments.iter();
    let mut platforms = detail.platforms.iter();
    for (index, command) in detail.commands.iter().enumerate() {
        let kind = command.kind.name().unwrap_or("?");
        let _ = write!(out, "{kind} {}", command.size);
        match command.kind {
            macho::LC_SEGMENT | macho::LC_SEGMENT_64 => {
                if let Some(segment) = segments.next() {
                    let _ = write!(
                        out,
                        " {} {} {} {} {}",
                        segment.name, segment.address, segment.memory_size, segment.offset, segment.file_size
                    );
                }
            }
            macho::LC_RPATH => {
                let path = module.search_paths.iter().find(|path| path.entry as usize == index);
                let _ = write!(out, " {}", path.map_or_else(String::new, |path| path.raw.to_string()));
            }
            macho::LC_UUID => {
                out.push(' ');
                for byte in detail.uuid.unwrap_or_default() {
                    let _ = write!(out, "{byte:02x}");
                }
            }
            macho::LC_BUILD_VERSION => {
                if let Some(entry) = platforms.next() {
                    let platform = match entry.platform {
                        macho::PLATFORM_MACOS => "macos".to_owned(),
                        other => other.0.to_string(),
                    };
                    let _ = write!(out, " {platform} {} {}", entry.minimum, sdk(entry.sdk));
                }
            }
            macho::LC_VERSION_MIN_MACOSX => {
                if let Some(entry) = platforms.next() {
                    let _ = write!(out, " {} {}", entry.minimum, sdk(entry.sdk));
                }
            }
            macho::LC_ID_DYLIB => {
                if let (Some(name), Some(id)) = (&module.soname, &detail.id) {
                    let (current, compatibility) = (three(id.current), three(id.compatibility));
                    let _ = write!(out, " {name} {} {current} {compatibility}", id.timestamp);
                }
            }
            macho::LC_LOAD_DYLIB
            | macho::LC_LOAD_WEAK_DYLIB
            | macho::LC_REEXPORT_DYLIB
            | macho::LC_LOAD_UPWARD_DYLIB
            | macho::LC_LAZY_LOAD_DYLIB => {
                let at = module.needed().iter().position(|dependency| dependency.entry as usize == index);
                if let Some(at) = at {
                    let (name, versions) = (&module.needed()[at].name, detail.dylibs[at].versions);
                    let (current, compatibility) = (three(versions.current), three(versions.compatibility));
                    let _ = write!(out, " {name} {} {current} {compatibility}", versions.timestamp);
                }
            }
            _ => {}
        }
        out.push('\n');
    }
    out
}

fn three(version: MachVersion) -> String {
    format!("{}.{}.{}", version.major(), version.minor(), version.patch())
}

/// LLVM writes "n/a" for an SDK that is not known.
fn sdk(version: MachVersion) -> String {
    if version.0 == 0 { "n/a".to_owned() } else { version.to_string() }
}

fn exports(detail: &MachO) -> String {
    let mut lines: Vec<String> = detail
        .exports
        .get()
        .into_iter()
        .flatten()
        .map(|export| {
            let kind = export.flags.kind();
            let address = match export.target {
                // LLVM adds the image's base to all but re-exports.
                ExportTarget::Address(offset) | ExportTarget::Resolver { stub: offset, .. } => {
                    detail.base_address() + offset
                }
                ExportTarget::Reexport { .. } => 0,
            };
            let word = |is: bool, word: &'static str| if is { word } else { "" };
            format!(
                "{} {address:#x}{}{}{}{}",
                export.name,
                word(export.is_reexport(), " re-export"),
                word(export.is_weak_definition(), " weak_def"),
                word(kind == macho::EXPORT_SYMBOL_FLAGS_KIND_THREAD_LOCAL, " per-thread"),
                word(kind == macho::EXPORT_SYMBOL_FLAGS_KIND_ABSOLUTE, " absolute"),
            )
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

fn chained(detail: &MachO) -> String {
    let lines: BTreeSet<String> = detail
        .imports
        .get()
        .into_iter()
        .flatten()
        .map(|import| {
            let ordinal = match import.from {
                Ordinal::SelfImage => 0,
                Ordinal::Executable => -1,
                Ordinal::Flat => -2,
                Ordinal::Weak => -3,
                Ordinal::Library(number) => i64::from(number),
                Ordinal::Unknown(number) => i64::from(number),
            };
            format!("{} {ordinal}{}", import.name, if import.is_weak { " weak_import" } else { "" })
        })
        .collect();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

fn binds(module: &Module, detail: &MachO) -> String {
    let lines: BTreeSet<String> = detail
        .imports
        .get()
        .into_iter()
        .flatten()
        .map(|import| {
            let weak = if import.is_weak { " weak_import" } else { "" };
            let library = library(module, import.from);
            match import.usage {
                ImportUsage::Weak => format!("weak {}", import.name),
                ImportUsage::Lazy => format!("lazy {} {library}", import.name),
                ImportUsage::Bind | ImportUsage::Symbol => format!("bind {} {library}{weak}", import.name),
            }
        })
        .collect();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// `llvm-nm` reads LC_SYMTAB, where pgsym reads what dyld binds; each symbol that is bound stands in both. Of one that
/// is coalesced with other images' weak definitions only LC_SYMTAB names a library, so LLVM's is taken for it.
fn undefined(module: &Module, detail: &MachO, llvm: &Llvm) -> String {
    let of_llvm: BTreeMap<&str, &str> = llvm
        .facts
        .iter()
        .filter(|(aspect, _)| *aspect == "undefined symbols")
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.split_once(' '))
        .collect();
    let lines: BTreeSet<String> = detail
        .imports
        .get()
        .into_iter()
        .flatten()
        .filter(|import| detail.export(import.name.as_bytes()).is_none())
        .filter(|import| import.name != LAZY_BINDER)
        .map(|import| {
            let name = import.name.to_string();
            let library = match import.from {
                Ordinal::Weak => of_llvm.get(&*name).map_or_else(String::new, ToString::to_string),
                Ordinal::Executable => "executable".to_owned(),
                Ordinal::Flat => "dynamically looked up".to_owned(),
                other => library(module, other),
            };
            format!("{name} {library}")
        })
        .collect();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// LLVM's short name of a library (`MachOObjectFile::guessLibraryShortName`): the leaf without `.dylib` and without
/// a version of one character before it, twice; a leaf without `.dylib` as it is, as frameworks have it.
fn library(module: &Module, from: Ordinal) -> String {
    let number = match from {
        Ordinal::SelfImage => return "this-image".to_owned(),
        Ordinal::Executable => return "main-executable".to_owned(),
        Ordinal::Flat => return "flat-namespace".to_owned(),
        Ordinal::Weak => return "weak".to_owned(),
        Ordinal::Unknown(_) => return "<<bad library ordinal>>".to_owned(),
        Ordinal::Library(number) => number,
    };
    let Some(dependency) = module.needed().get(number as usize - 1) else { return String::new() };
    let name = dependency.name.to_string();
    let leaf = name.rsplit('/').next().unwrap_or(&name);
    let Some(stem) = leaf.strip_suffix(".dylib") else { return leaf.to_owned() };
    let without_version = |stem: &str| match stem.as_bytes() {
        [.., b'.', _] => stem[..stem.len() - 2].to_owned(),
        _ => stem.to_owned(),
    };
    without_version(&without_version(stem))
}
