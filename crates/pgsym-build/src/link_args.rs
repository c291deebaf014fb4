//! The arguments that make a linker pull in, keep and export the C symbols of a module.
//!
//! ELF: each name is made undefined (`-u`), which pulls its archive member in; a second version script makes it
//! global against rustc's `local: *`; and what a version script exports, `--gc-sections` keeps. The script alone is
//! a trap: it matches a name whose member was never pulled in, and exports nothing.
//! Mach-O: `-u` likewise, and `-exported_symbol`, which adds to rustc's list.

use std::path::{Path, PathBuf};

use crate::linker::{Choice, Linker, Style};

/// What to export, and where it is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exports<'a> {
    /// The names that archives bring, sorted.
    pub(crate) forced: &'a [&'a str],
    /// The names that rustc exports by itself, sorted.
    pub(crate) rust: &'a [&'a str],
    /// A version script with all names.
    pub(crate) whole_map: &'a Path,
    /// A version script with the forced names only.
    pub(crate) forced_map: &'a Path,
}

/// How symbols of the server are left undefined in a macOS module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MacUndefined {
    /// `-undefined dynamic_lookup`: looked up in every loaded image when the module is loaded. A name that the
    /// server does not have shows only then.
    #[default]
    DynamicLookup,
    /// `-bundle -bundle_loader <postgres>`, as PGXS links: bound to the server, and checked against the `postgres`
    /// that `pg_config --bindir` names.
    BundleLoader,
    /// The same, checked against this binary.
    BundleLoaderAt(PathBuf),
}

/// The arguments for an ELF linker.
pub(crate) fn elf(choice: &Choice, exports: Exports<'_>) -> Vec<String> {
    let mut arguments = choice.selecting.clone();
    // mold takes a script that names what is nowhere defined; its --require-defined does not, and pulls in like -u.
    let (option, required) = match choice.linker {
        Linker::Mold => ("--require-defined", [exports.forced, exports.rust].concat()),
        _ => ("-u", exports.forced.to_vec()),
    };
    for name in required {
        arguments.extend(with_value(choice.style, option, name));
    }
    // gold gives a name that rustc's script already has to no second script ("symbol not defined"); lld does, and
    // checks that every name in it is defined.
    let map = match choice.linker {
        Linker::Gold => exports.forced_map,
        _ => exports.whole_map,
    };
    arguments.extend(single(choice.style, &format!("--version-script={}", map.display())));
    arguments
}

/// The arguments for a Mach-O linker, called through clang.
pub(crate) fn mach_o(exports: Exports<'_>, undefined: &MacUndefined, postgres: Option<&Path>) -> Vec<String> {
    let mut arguments = Vec::new();
    for name in exports.forced {
        arguments.push(format!("-Wl,-u,_{name}"));
        arguments.push(format!("-Wl,-exported_symbol,_{name}"));
    }
    let loader = match undefined {
        MacUndefined::DynamicLookup => None,
        MacUndefined::BundleLoader => postgres,
        MacUndefined::BundleLoaderAt(path) => Some(path.as_path()),
    };
    match loader {
        // Past clang, which refuses -bundle beside the -dynamiclib that rustc passes; to the linker the last word
        // counts.
        Some(path) => {
            arguments.push("-Wl,-bundle".to_owned());
            arguments.extend(words(Style::Driver, &["-bundle_loader", &path.display().to_string()]));
        }
        None => arguments.push("-Wl,-undefined,dynamic_lookup".to_owned()),
    }
    arguments
}

fn with_value(style: Style, option: &str, value: &str) -> Vec<String> {
    words(style, &[option, value])
}

fn single(style: Style, option: &str) -> Vec<String> {
    words(style, &[option])
}

/// Words for the linker. `-Wl` splits at commas, so words with a comma go through `-Xlinker`.
fn words(style: Style, words: &[&str]) -> Vec<String> {
    match style {
        Style::Raw => words.iter().map(|word| (*word).to_owned()).collect(),
        Style::Driver if words.iter().any(|word| word.contains(',')) => {
            words.iter().flat_map(|word| ["-Xlinker".to_owned(), (*word).to_owned()]).collect()
        }
        Style::Driver => vec![format!("-Wl,{}", words.join(","))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORCED: [&str; 2] = ["Pg_magic_func", "f"];

    fn exports() -> Exports<'static> {
        Exports {
            forced: &FORCED,
            rust: &["r"],
            whole_map: Path::new("/out/pg_exports.map"),
            forced_map: Path::new("/out/pgsym_link.map"),
        }
    }

    fn choice(linker: Linker) -> Choice {
        Choice { linker, version: String::new(), style: Style::Driver, selecting: vec![], instead_of: None }
    }

    #[test]
    fn lld_gets_forced_names_and_the_whole_map() {
        assert_eq!(
            elf(&choice(Linker::Lld), exports()),
            ["-Wl,-u,Pg_magic_func", "-Wl,-u,f", "-Wl,--version-script=/out/pg_exports.map"]
        );
    }

    #[test]
    fn mold_must_find_every_name_defined() {
        assert_eq!(
            elf(&choice(Linker::Mold), exports()),
            [
                "-Wl,--require-defined,Pg_magic_func",
                "-Wl,--require-defined,f",
                "-Wl,--require-defined,r",
                "-Wl,--version-script=/out/pg_exports.map"
            ]
        );
    }

    #[test]
    fn gold_gets_no_name_that_rustc_exports() {
        assert_eq!(
            elf(&choice(Linker::Gold), exports()),
            ["-Wl,-u,Pg_magic_func", "-Wl,-u,f", "-Wl,--version-script=/out/pgsym_link.map"]
        );
    }

    #[test]
    fn a_replaced_linker_is_selected_first() {
        let selecting = vec!["-B/sysroot/gcc-ld".to_owned(), "-fuse-ld=lld".to_owned()];
        let choice = Choice { selecting, instead_of: Some(Linker::Bfd), ..choice(Linker::Lld) };
        assert_eq!(elf(&choice, exports())[..2], ["-B/sysroot/gcc-ld", "-fuse-ld=lld"]);
    }

    #[test]
    fn a_linker_without_a_driver_gets_bare_words() {
        let choice = Choice { style: Style::Raw, ..choice(Linker::Lld) };
        assert_eq!(elf(&choice, exports())[..2], ["-u", "Pg_magic_func"]);
    }

    #[test]
    fn a_comma_in_a_path_survives_the_driver() {
        let exports = Exports { whole_map: Path::new("/a,b/x.map"), ..exports() };
        let arguments = elf(&choice(Linker::Lld), exports);
        assert_eq!(arguments[2..], ["-Xlinker", "--version-script=/a,b/x.map"]);
    }

    #[test]
    fn mach_o_adds_to_rustcs_list_and_looks_the_server_up_at_load() {
        assert_eq!(
            mach_o(exports(), &MacUndefined::DynamicLookup, None),
            [
                "-Wl,-u,_Pg_magic_func",
                "-Wl,-exported_symbol,_Pg_magic_func",
                "-Wl,-u,_f",
                "-Wl,-exported_symbol,_f",
                "-Wl,-undefined,dynamic_lookup"
            ]
        );
    }

    #[test]
    fn mach_o_can_bind_to_the_server() {
        let arguments = mach_o(exports(), &MacUndefined::BundleLoader, Some(Path::new("/pg/bin/postgres")));
        assert_eq!(arguments[4..], ["-Wl,-bundle", "-Wl,-bundle_loader,/pg/bin/postgres"]);
        let at = MacUndefined::BundleLoaderAt(PathBuf::from("/a,b/postgres"));
        let arguments = mach_o(exports(), &at, None);
        assert_eq!(
            arguments[4..],
            ["-Wl,-bundle", "-Xlinker", "-bundle_loader", "-Xlinker", "/a,b/postgres"]
        );
    }
}
