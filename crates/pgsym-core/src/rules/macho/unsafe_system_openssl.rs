use super::support::{Once, library_entry, slices};
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::name::path_bytes;

declare_rule! {
    /// A file uses the system's libssl or libcrypto.
    ///
    /// ## What it checks
    ///
    /// Libraries named `/usr/lib/libssl…` and `/usr/lib/libcrypto…`.
    ///
    /// ## Why it matters
    ///
    /// macOS has no OpenSSL for others. The unversioned names are stubs that end the process as soon as they are
    /// loaded ("is loading libcrypto in an unsafe way"); the versioned ones are old LibreSSLs that Apple's own programs
    /// were linked with and that go away.
    ///
    /// ## When it fires
    ///
    /// A module was linked with `-lcrypto` on a machine where no OpenSSL came first in the search path.
    ///
    /// ## How to fix
    ///
    /// Link with an OpenSSL of the package's own, best the one that the server uses, and ship it beside the module.
    ///
    /// ## What it cannot see
    ///
    /// Libraries that the code opens by itself, as some bindings do.
    ///
    /// ## References
    ///
    /// Apple's libcrypto stub; rust-openssl issue "is loading libcrypto in an unsafe way".
    pub(crate) static UNSAFE_SYSTEM_OPENSSL = {
        code: "PGS710",
        name: "unsafe-system-openssl",
        group: Macho,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let mut once = Once::default();
    for module in slices(cx) {
        let Some(macho) = module.macho() else { continue };
        for dependency in module.needed() {
            let name = path_bytes(dependency.name.as_path());
            let is_ssl = [&b"/usr/lib/libssl."[..], b"/usr/lib/libcrypto."]
                .iter()
                .any(|start| name.starts_with(start));
            if !is_ssl || !once.is_new(&dependency.name) {
                continue;
            }
            let is_stub = name.ends_with(b"/libssl.dylib") || name.ends_with(b"/libcrypto.dylib");
            let (severity, consequence) = if is_stub {
                (Severity::Error, "macOS ends every process that loads it")
            } else {
                (Severity::Warning, "it is a LibreSSL that only Apple's own programs may count on")
            };
            let message = format!("{}: {consequence}.", library_entry(macho, dependency));
            sink.report(
                sink.finding(cx.path(), &dependency.name, message)
                    .severity(severity)
                    .help("link with the OpenSSL that the server uses, and ship it with the module"),
            );
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.so", &bundle().library("/usr/lib/libcrypto.dylib"))
    }

    pub(crate) fn silent() -> Case {
        Case::mac().image("x.so", &bundle().library("/usr/lib/libz.1.dylib"))
    }

    #[test]
    fn a_versioned_one_is_a_warning() {
        let case = Case::mac().image("x.so", &bundle().library("/usr/lib/libssl.46.dylib"));
        assert_eq!(case.one(&UNSAFE_SYSTEM_OPENSSL).severity, Severity::Warning);
        assert_eq!(firing().one(&UNSAFE_SYSTEM_OPENSSL).severity, Severity::Error);
    }
}
