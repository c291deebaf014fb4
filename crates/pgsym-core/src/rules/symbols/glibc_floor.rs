use std::collections::{BTreeMap, BTreeSet};

use crate::check::{ModuleCx, Sink, declare_rule};
use crate::model::SymbolTable;
use crate::name::Shown;
use crate::rules::evidence::{LISTED, listed};
use crate::tree::Role;

declare_rule! {
    /// A file needs a newer glibc than the oldest that it should run on.
    ///
    /// ## What it checks
    ///
    /// The GLIBC versions in DT_VERNEED of the tree's files against the version given, and which symbols ask for the
    /// newer ones. `GLIBC_ABI_DT_RELR` counts as 2.36.
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
    /// glibc elf/dl-version.c; glibc manual, "Feature Test Macros"; glibc NEWS.
    pub(crate) static GLIBC_FLOOR = {
        code: "PGS203",
        name: "glibc-floor",
        group: Symbols,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let (Some(most), Some(elf)) = (cx.settings().max_glibc, cx.elf()) else { return };
    if cx.role() == Role::Other {
        return;
    }
    // By version: the file of glibc that it is wanted from, and the symbols that ask for it.
    let mut newer: BTreeMap<(u32, u32), (String, BTreeSet<String>)> = BTreeMap::new();
    for need in elf.version_needs.get().map_or(&[][..], Vec::as_slice) {
        for version in need.versions.iter().filter(|version| !version.is_weak) {
            if let Some(number) = glibc_version(version.name.as_bytes()).filter(|number| *number > most) {
                newer.entry(number).or_insert_with(|| (need.file.to_string(), BTreeSet::new()));
            }
        }
    }
    let Some((&(major, minor), (file, _))) = newer.last_key_value() else { return };
    let message = format!(
        "DT_VERNEED asks {file} for glibc {major}.{minor}, and {}.{} is the newest that it may: older systems refuse the \
         file.",
        most.0, most.1
    );
    let finding = sink.finding(cx.path(), format!("glibc {major}.{minor}"), message);
    let symbols = cx.module().and_then(|module| module.symbols.get());
    for symbol in symbols.into_iter().flat_map(SymbolTable::imports) {
        if let Some((_, names)) = symbol
            .version()
            .and_then(|version| glibc_version(version.name.as_bytes()))
            .and_then(|number| newer.get_mut(&number))
        {
            names.insert(Shown(symbol.name()).to_string());
        }
    }
    let mut finding = finding;
    for ((major, minor), (_, names)) in newer.iter().rev().take(LISTED) {
        let names =
            if names.is_empty() { "no symbol, the file's own format".to_owned() } else { listed(names) };
        finding = finding.evidence("asks for more", format!("{major}.{minor}: {names}"));
    }
    sink.report(finding.help(format!("build on a system with glibc {}.{} or older", most.0, most.1)));
}

/// `GLIBC_2.38` as (2, 38); patch levels (`GLIBC_2.2.5`) are no newer than their minor version.
fn glibc_version(name: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    if text == "ABI_DT_RELR" {
        return Some((2, 36));
    }
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::VersionDefault;

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

    #[test]
    fn versions_have_two_numbers_that_count() {
        assert_eq!(glibc_version(b"GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(glibc_version(b"GLIBC_ABI_DT_RELR"), Some((2, 36)));
        assert_eq!(glibc_version(b"GLIBC_PRIVATE"), None);
        assert_eq!(glibc_version(b"GLIBCXX_3.4"), None);
    }
}
