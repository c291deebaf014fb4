use crate::check::{ModuleCx, Sink, declare_rule};
use crate::model::NameHash;
use crate::rules::evidence::listed;
use crate::tree::Role;

declare_rule! {
    /// The module exports the functions of a library that it was linked with statically.
    ///
    /// ## What it checks
    ///
    /// The exports of each module for the best-known names of libraries that are often linked statically: OpenSSL, zlib,
    /// libcurl, SQLite, zstd, lz4, libxml2, jemalloc, protobuf-c.
    ///
    /// ## Why it matters
    ///
    /// A static library is meant to be private, and exported it is the opposite: every module that is loaded later, and
    /// each library that it brings, calls this copy instead of its own.
    ///
    /// ## When it fires
    ///
    /// A module is linked with libcrypto.a and exports `EVP_EncryptInit_ex`.
    ///
    /// ## How to fix
    ///
    /// `-Wl,--exclude-libs,ALL` on the link line of the module, or a version script that lists the entry points.
    ///
    /// ## What it cannot see
    ///
    /// Static libraries that it does not know by name; interposed-export finds those that meet somebody.
    ///
    /// ## References
    ///
    /// ld(1), `--exclude-libs`.
    pub(crate) static EXPORTED_THIRD_PARTY_SYMBOLS = {
        code: "PGS217",
        name: "exported-third-party-symbols",
        group: Symbols,
        severity: Warning,
        check: Module(check),
    }
}

/// Libraries and functions that nobody but them defines.
const SIGNATURES: &[(&str, &[&str])] = &[
    ("OpenSSL", &["SSL_CTX_new", "SSL_new", "EVP_EncryptInit_ex", "CRYPTO_malloc", "X509_free"]),
    ("zlib", &["inflateInit_", "inflateInit2_", "deflateInit_", "deflateInit2_"]),
    ("libcurl", &["curl_easy_init", "curl_easy_perform"]),
    ("SQLite", &["sqlite3_open", "sqlite3_open_v2", "sqlite3_prepare_v2"]),
    ("zstd", &["ZSTD_compress", "ZSTD_decompress"]),
    ("lz4", &["LZ4_compress_default", "LZ4_decompress_safe"]),
    ("libxml2", &["xmlReadMemory", "xmlParseDoc"]),
    ("jemalloc", &["mallctl", "malloc_usable_size"]),
    ("protobuf-c", &["protobuf_c_message_unpack"]),
];

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if cx.role() != Role::Module {
        return;
    }
    let Some(symbols) = cx.module().and_then(|module| module.symbols.get()) else { return };
    for (library, names) in SIGNATURES {
        let exported: Vec<&&str> = names
            .iter()
            .filter(|name| symbols.lookup(name.as_bytes(), NameHash::of(name.as_bytes())).next().is_some())
            .collect();
        if exported.is_empty() {
            continue;
        }
        let finding = sink.finding(
            cx.path(),
            library,
            format!(
                "{library} is linked in statically and exported ({}): whatever is loaded later calls this copy.",
                listed(exported)
            ),
        );
        sink.report(
            finding.help("link with -Wl,--exclude-libs,ALL, or list the entry points in a version script"),
        );
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().export("SSL_new").export("SSL_CTX_new"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().weak_import("SSL_new"))
    }

    #[test]
    fn a_library_is_one_finding() {
        let finding = firing().one(&EXPORTED_THIRD_PARTY_SYMBOLS);
        assert_eq!(
            finding.message,
            "OpenSSL is linked in statically and exported (SSL_CTX_new, SSL_new): whatever is loaded later calls this copy."
        );
    }
}
