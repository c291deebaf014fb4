//! Text-based stubs (`.tbd`): what an SDK has in the place of a system library, whose file no Mac has on its disk.
//! Versions 1 to 4 are YAML, version 5 is JSON; both say the same. A stub holds one library or several: libSystem's
//! has those that it re-exports behind it.
//!
//! The YAML is read by a small reader of its own and not by a YAML library: tapi writes a narrow subset without
//! anchors, tags inside documents or block scalars, and whatever is not of it is refused with its line.

mod json;
mod yaml;

use crate::error::FileError;
use crate::limits;
use crate::model::MachArch;
use crate::name::Name;

/// What a stub says for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// The library itself first.
    pub libraries: Vec<StubLibrary>,
}

/// One library of a stub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StubLibrary {
    /// Its install name.
    pub install_name: Name,
    /// What it exports or re-exports by name, as in the file, sorted.
    pub exports: Vec<Name>,
    /// The install names of the libraries that it re-exports as a whole.
    pub reexported: Vec<Name>,
}

impl StubLibrary {
    /// Whether it lists a symbol, underscore included.
    pub fn exports(&self, symbol: &[u8]) -> bool {
        self.exports.binary_search_by(|export| export.as_bytes().cmp(symbol)).is_ok()
    }
}

/// Reads the part of a stub that is for a macOS process of an architecture. An error where it has none.
pub fn parse(bytes: &[u8], arch: MachArch) -> Result<Stub, FileError> {
    let text = std::str::from_utf8(bytes).map_err(|_| FileError::malformed("the stub is not UTF-8"))?;
    let target = Wanted { arch: arch.name() };
    let mut stub = if text.trim_start().starts_with('{') {
        json::parse(text, &target)
    } else {
        yaml::parse(text, &target)
    }?;
    for library in &mut stub.libraries {
        library.exports.sort();
        library.exports.dedup();
    }
    if stub.libraries.is_empty() {
        return Err(FileError::malformed(format!("the stub has nothing for {arch} on macOS")));
    }
    Ok(stub)
}

/// The target that is asked about.
struct Wanted {
    arch: String,
}

impl Wanted {
    /// `x86_64-macos`; an arm64 process has the arm64e libraries of the shared cache.
    fn is_target(&self, target: &str) -> bool {
        target.split_once('-').is_some_and(|(arch, platform)| self.is_arch(arch) && platform == "macos")
    }

    fn is_arch(&self, arch: &str) -> bool {
        arch == self.arch
            || arch == "arm64e" && self.arch == "arm64"
            || arch == "x86_64h" && self.arch == "x86_64"
    }
}

/// What the name of a list says of the symbols in it: what the linker puts before each, for every symbol that one
/// entry means.
fn prefixes(list: &str) -> Option<&'static [&'static str]> {
    Some(match list {
        "symbols"
        | "weak-symbols"
        | "weak-def-symbols"
        | "thread-local-symbols"
        | "global"
        | "weak"
        | "thread_local" => &[""],
        "objc-classes" | "objc_class" => &["_OBJC_CLASS_$_", "_OBJC_METACLASS_$_"],
        "objc-eh-types" | "objc_eh_type" => &["_OBJC_EHTYPE_$_"],
        "objc-ivars" | "objc_ivar" => &["_OBJC_IVAR_$_"],
        _ => return None,
    })
}

/// Adds the symbols of one list.
fn add(
    library: &mut StubLibrary,
    list: &str,
    names: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<(), FileError> {
    let Some(prefixes) = prefixes(list) else { return Ok(()) };
    for name in names {
        let name = name.as_ref();
        // Orders for the linker: `$ld$hide$os10.4$_foo`.
        if name.starts_with("$ld$") {
            continue;
        }
        for prefix in prefixes {
            library.exports.push(Name::from(format!("{prefix}{name}").as_str()));
        }
        if library.exports.len() > limits::STUB_SYMBOLS {
            return Err(FileError::limit("the symbols of one stub"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "--- !tapi-tbd
tbd-version:     4
targets:         [ x86_64-macos, arm64e-macos, arm64-maccatalyst ]
install-name:    '/usr/lib/libSystem.B.dylib'
current-version: 1345.120.2
parent-umbrella:
  - targets:         [ x86_64-macos ]
    umbrella:        System
reexported-libraries:
  - targets:         [ x86_64-macos, arm64e-macos ]
    libraries:       [ '/usr/lib/system/libc.dylib',
                       \"/usr/lib/system/libm.dylib\" ]
exports:
  - targets:         [ x86_64-macos ]
    symbols:         [ _only_intel, '$ld$hide$os10.4$_gone' ]
  - targets:         [ x86_64-macos, arm64e-macos ]
    symbols:         [ _both,
                       __x ]
    weak-symbols:    [ _weak ]
    thread-local-symbols: [ _tls ]
    objc-classes:    [ NSThing ]
reexports:
  - targets:         [ arm64e-macos ]
    symbols:         [ _elsewhere ]
undefineds:
  - targets:         [ arm64e-macos ]
    symbols:         [ _not_mine ]
--- !tapi-tbd
tbd-version:     4
targets:         [ arm64e-macos ]
install-name:    /usr/lib/system/libc.dylib
exports:
  - targets:
      - arm64e-macos
    symbols:
      - _malloc
      - _free
...
";

    fn names(library: &StubLibrary) -> Vec<&str> {
        library.exports.iter().map(|name| name.to_str().unwrap()).collect()
    }

    #[test]
    fn version_4_is_read_for_one_target() {
        let stub = parse(V4.as_bytes(), MachArch::ARM64).unwrap();
        let main = &stub.libraries[0];
        assert_eq!(main.install_name, "/usr/lib/libSystem.B.dylib");
        assert_eq!(
            names(main),
            [
                "_OBJC_CLASS_$_NSThing",
                "_OBJC_METACLASS_$_NSThing",
                "__x",
                "_both",
                "_elsewhere",
                "_tls",
                "_weak"
            ]
        );
        assert_eq!(
            main.reexported,
            ["/usr/lib/system/libc.dylib", "/usr/lib/system/libm.dylib"].map(Name::from)
        );
        assert_eq!(stub.libraries[1].install_name, "/usr/lib/system/libc.dylib");
        assert_eq!(names(&stub.libraries[1]), ["_free", "_malloc"]);
        let intel = parse(V4.as_bytes(), MachArch::X86_64).unwrap();
        assert!(intel.libraries[0].exports(b"_only_intel") && !intel.libraries[0].exports(b"_elsewhere"));
        assert_eq!(intel.libraries.len(), 1);
    }

    #[test]
    fn version_3_names_architectures_and_a_platform() {
        let stub = "--- !tapi-tbd-v3\narchs: [ x86_64 ]\nplatform: macosx\ninstall-name: /usr/lib/libz.1.dylib\n\
            exports:\n  - archs: [ x86_64 ]\n    re-exports: [ /usr/lib/liby.dylib ]\n    symbols: [ _inflate ]\n    \
            weak-def-symbols: [ _w ]\n...\n";
        let parsed = parse(stub.as_bytes(), MachArch::X86_64).unwrap();
        assert_eq!(names(&parsed.libraries[0]), ["_inflate", "_w"]);
        assert_eq!(parsed.libraries[0].reexported, [Name::from("/usr/lib/liby.dylib")]);
        let ios = stub.replace("macosx", "ios");
        assert!(parse(ios.as_bytes(), MachArch::X86_64).unwrap_err().message.contains("nothing for x86_64"));
        assert!(parse(stub.as_bytes(), MachArch::ARM64).is_err());
    }

    #[test]
    fn version_5_is_json() {
        let stub = r#"{ "tapi_tbd_version": 5, "main_library": {
            "target_info": [ { "target": "arm64-macos", "min_deployment": "13" } ],
            "install_names": [ { "name": "/usr/lib/libz.1.dylib" } ],
            "reexported_libraries": [ { "names": [ "/usr/lib/liby.dylib" ] } ],
            "exported_symbols": [ { "data": { "global": [ "_d" ], "objc_class": [ "C" ] } },
                { "targets": [ "x86_64-macos" ], "text": { "global": [ "_intel" ] } } ],
            "reexported_symbols": [ { "text": { "weak": [ "_r" ] } } ] },
          "libraries": [ { "target_info": [ { "target": "arm64-macos" } ],
            "install_names": [ { "name": "/usr/lib/liby.dylib" } ] } ] }"#;
        let stub = parse(stub.as_bytes(), MachArch::ARM64).unwrap();
        assert_eq!(names(&stub.libraries[0]), ["_OBJC_CLASS_$_C", "_OBJC_METACLASS_$_C", "_d", "_r"]);
        assert_eq!(stub.libraries[1].install_name, "/usr/lib/liby.dylib");
    }

    #[test]
    fn what_tapi_does_not_write_is_refused_with_its_line() {
        for (text, words) in [
            ("--- !tapi-tbd\ntargets: [ x86_64-macos\n", "ends within a list"),
            ("--- !tapi-tbd\nsymbols: &a [ _x ]\n", "line 2"),
            ("--- !tapi-tbd\nsymbols: [ [ _x ] ]\n", "line 2"),
            ("--- !tapi-tbd\n\n!!binary x\n", "line 3"),
            ("--- !tapi-tbd\nsymbols: |\n  text\n", "line 2"),
            ("key: *alias\n", "line 1"),
            ("{ \"tapi_tbd_version\": 5 ", "EOF"),
        ] {
            let error = parse(text.as_bytes(), MachArch::X86_64).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        assert!(parse(b"\xff", MachArch::X86_64).is_err());
        assert!(parse(b"", MachArch::X86_64).is_err());
    }
}
