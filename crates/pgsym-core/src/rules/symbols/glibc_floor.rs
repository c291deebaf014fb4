use std::collections::{BTreeMap, BTreeSet};

use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::model::SymbolTable;
use crate::name::{Name, Shown};
use crate::resolve::glibc_release::{Asked, NEWEST};
use crate::rules::evidence::{LISTED, listed};
use crate::tree::Role;

declare_rule! {
    /// A file needs a newer glibc than the oldest that it should run on.
    ///
    /// ## What it checks
    ///
    /// The GLIBC versions in DT_VERNEED of the tree's files against the version given, and which symbols ask for the
    /// newer ones. Names without a number stand for a feature of the loader: `GLIBC_ABI_DT_RELR` is of 2.36,
    /// `GLIBC_ABI_GNU2_TLS`, `GLIBC_ABI_GNU_TLS` and `GLIBC_ABI_DT_X86_64_PLT` are of 2.43. The latter three were added to
    /// the branches of older releases in August 2025 (from 2.38 on, `DT_X86_64_PLT` from 2.33 on): a warning where such
    /// a release is allowed. So is a feature that pgsym does not know, which is newer than 2.43.
    ///
    /// ## Why it matters
    ///
    /// On an older system the loader refuses the file: ``/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found
    /// (required by x.so)``. Building on a newer system than the oldest supported one is enough to get there, without a
    /// new function in the source: 2.38 alone moved `strtol` and its kin to a new version.
    ///
    /// ## When it fires
    ///
    /// `pgsym audit --max-glibc 2.28` meets a module that imports `__isoc23_strtol` at GLIBC_2.38.
    ///
    /// ## How to fix
    ///
    /// Build on the oldest system that is supported, or in its container.
    ///
    /// ## What it cannot see
    ///
    /// Behaviour that changed without a new version; kernels that are too old; libraries outside of the tree, which the
    /// target has in its own versions.
    ///
    /// ## Options
    ///
    /// `--max-glibc MAJOR.MINOR`: the newest version that may be needed. Without it the rule is silent.
    ///
    /// ## References
    ///
    /// glibc elf/dl-version.c, elf/Versions, sysdeps/x86/Versions, sysdeps/x86_64/Versions, sysdeps/i386/Versions; glibc
    /// NEWS.
    pub(crate) static GLIBC_FLOOR = {
        code: "PGS203",
        name: "glibc-floor",
        group: Symbols,
        severity: Error,
        check: Module(check),
    }
}

/// How bad it is to ask for it where no newer glibc than `most` may be asked for.
fn severity_of(asked: Asked, most: (u32, u32)) -> Option<Severity> {
    let Some(since) = asked.since() else { return Some(Severity::Warning) };
    if since <= most {
        return None;
    }
    let is_on_branch = asked.branches().is_some_and(|oldest| oldest <= most);
    Some(if is_on_branch { Severity::Warning } else { Severity::Error })
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let (Some(most), Some(elf)) = (cx.settings().max_glibc, cx.elf()) else { return };
    if cx.role() == Role::Other {
        return;
    }
    // By what is asked for: the name, the file of glibc that it is wanted from, and the symbols that ask for it.
    let mut newer: BTreeMap<Asked, Wanted> = BTreeMap::new();
    for need in elf.version_needs.get().map_or(&[][..], Vec::as_slice) {
        for version in need.versions.iter().filter(|version| !version.is_weak) {
            if let Some(asked) = Asked::of(version.name.as_bytes())
                && let Some(severity) = severity_of(asked, most)
            {
                let wanted = || Wanted {
                    version: &version.name,
                    file: &need.file,
                    severity,
                    symbols: BTreeSet::new(),
                };
                newer.entry(asked).or_insert_with(wanted);
            }
        }
    }
    let symbols = cx.module().and_then(|module| module.symbols.get());
    for symbol in symbols.into_iter().flat_map(SymbolTable::imports) {
        let asked = symbol.version().and_then(|version| Asked::of(version.name.as_bytes()));
        if let Some(wanted) = asked.and_then(|asked| newer.get_mut(&asked)) {
            wanted.symbols.insert(Shown(symbol.name()).to_string());
        }
    }
    // The worst first, of those the newest.
    let mut newer: Vec<(Asked, Wanted<'_>)> = newer.into_iter().collect();
    newer.sort_by_key(|(asked, wanted)| std::cmp::Reverse((wanted.severity, asked.since(), *asked)));
    let Some((asked, first)) = newer.first() else { return };
    let subject = match asked {
        Asked::Release(major, minor) => format!("glibc {major}.{minor}"),
        Asked::Feature(_) | Asked::Unknown => first.version.to_string(),
    };
    let mut finding = sink.finding(cx.path(), subject, message(*asked, first, most)).severity(first.severity);
    for (asked, wanted) in newer.iter().take(LISTED) {
        let version = match asked {
            Asked::Release(major, minor) => format!("{major}.{minor}"),
            Asked::Feature(_) | Asked::Unknown => wanted.version.to_string(),
        };
        let names = if wanted.symbols.is_empty() {
            "no symbol, the file's own format".to_owned()
        } else {
            listed(&wanted.symbols)
        };
        finding = finding.evidence("asks for more", format!("{version}: {names}"));
    }
    sink.report(finding.help(format!("build on a system with glibc {}.{} or older", most.0, most.1)));
}

/// One thing that is asked for and may not be.
struct Wanted<'m> {
    version: &'m Name,
    file: &'m Name,
    severity: Severity,
    symbols: BTreeSet<String>,
}

fn message(asked: Asked, wanted: &Wanted<'_>, most: (u32, u32)) -> String {
    let Wanted { version, file, severity, .. } = wanted;
    let allowed = format!("{}.{} is the newest that it may", most.0, most.1);
    let branches = asked.branches();
    match (asked.since(), branches) {
        (None, _) => format!(
            "DT_VERNEED asks {file} for {version}, which no glibc known to pgsym has: it is newer than {}.{}, and {allowed}.",
            NEWEST.0, NEWEST.1
        ),
        (Some((major, minor)), Some(oldest)) if *severity < Severity::Error => format!(
            "DT_VERNEED asks {file} for {version}, which is of glibc {major}.{minor} and, since August 2025, on the \
             branches of its releases from {}.{} on; {allowed}: systems with an older build of theirs refuse the file.",
            oldest.0, oldest.1
        ),
        (Some((major, minor)), _) => {
            let release = format!("glibc {major}.{minor}");
            let what =
                if matches!(asked, Asked::Feature(_)) { format!("{version} of {release}") } else { release };
            format!("DT_VERNEED asks {file} for {what}, and {allowed}: older systems refuse the file.")
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::{VersionDefault, VersionNeed};

    /// A C library that has the versions, so that nothing else is wrong.
    fn case() -> Case {
        let libc = ["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.38"]
            .into_iter()
            .fold(crate::rules::testing::library("libc.so.6"), |libc, version| {
                libc.version_definition(version, &[])
            });
        let libc = libc
            .export_versioned("memcpy", "GLIBC_2.2.5", VersionDefault::Default)
            .export_versioned("dlsym", "GLIBC_2.34", VersionDefault::Default)
            .export_versioned("__isoc23_strtol", "GLIBC_2.38", VersionDefault::Default);
        let object = module()
            .import_versioned("memcpy", "libc.so.6", "GLIBC_2.2.5")
            .import_versioned("dlsym", "libc.so.6", "GLIBC_2.34")
            .import_versioned("__isoc23_strtol", "libc.so.6", "GLIBC_2.38");
        Case::new().object("/lib/x86_64-linux-gnu/libc.so.6", &libc).object("x.so", &object)
    }

    pub(crate) fn firing() -> Case {
        case().settings(|settings| settings.max_glibc = Some((2, 28)))
    }

    pub(crate) fn silent() -> Case {
        case().settings(|settings| settings.max_glibc = Some((2, 38)))
    }

    #[test]
    fn the_symbols_that_ask_for_more_are_listed_newest_first() {
        let finding = firing().one(&GLIBC_FLOOR);
        assert_eq!(
            finding.message,
            "DT_VERNEED asks libc.so.6 for glibc 2.38, and 2.28 is the newest that it may: older systems refuse the file."
        );
        assert_eq!(finding.texts("asks for more"), ["2.38: __isoc23_strtol", "2.34: dlsym"]);
    }

    #[test]
    fn without_the_option_nothing_is_asked() {
        assert_eq!(case().run(&GLIBC_FLOOR), []);
    }

    /// A module that asks for a feature, under a C library that has it.
    fn with_feature(feature: &str, most: (u32, u32)) -> Case {
        let libc = crate::rules::testing::library("libc.so.6").version_definition(feature, &[]);
        let object = module().version_requirement("libc.so.6", feature, VersionNeed::Strong);
        Case::new()
            .object("/lib/x86_64-linux-gnu/libc.so.6", &libc)
            .object("x.so", &object)
            .settings(|settings| settings.max_glibc = Some(most))
    }

    #[test]
    fn features_of_the_loader_have_a_release() {
        let severity = |feature: &str, most| {
            with_feature(feature, most).run(&GLIBC_FLOOR).first().map(|finding| finding.severity)
        };
        assert_eq!(severity("GLIBC_ABI_DT_RELR", (2, 35)), Some(Severity::Error));
        assert_eq!(severity("GLIBC_ABI_DT_RELR", (2, 36)), None);
        assert_eq!(severity("GLIBC_ABI_GNU2_TLS", (2, 37)), Some(Severity::Error));
        assert_eq!(severity("GLIBC_ABI_GNU2_TLS", (2, 41)), Some(Severity::Warning));
        assert_eq!(severity("GLIBC_ABI_GNU2_TLS", (2, 43)), None);
        assert_eq!(severity("GLIBC_ABI_DT_X86_64_PLT", (2, 36)), Some(Severity::Warning));
    }

    #[test]
    fn a_feature_is_told_by_its_name_and_release() {
        assert_eq!(
            with_feature("GLIBC_ABI_GNU2_TLS", (2, 28)).one(&GLIBC_FLOOR).message,
            "DT_VERNEED asks libc.so.6 for GLIBC_ABI_GNU2_TLS of glibc 2.43, and 2.28 is the newest that it may: older \
             systems refuse the file."
        );
    }

    #[test]
    fn a_feature_that_is_not_known_is_newer_than_the_list() {
        let finding = with_feature("GLIBC_ABI_QUANTUM", (2, 43)).one(&GLIBC_FLOOR);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(
            finding.message,
            "DT_VERNEED asks libc.so.6 for GLIBC_ABI_QUANTUM, which no glibc known to pgsym has: it is newer than 2.43, and \
             2.43 is the newest that it may."
        );
    }
}
