use bstr::ByteSlice as _;

use super::{Concern, concerning, current_directory, entry, evidence, with_another, without};
use crate::check::{ModuleCx, Sink, declare_rule};

declare_rule! {
    /// A search path has a dollar sign that begins no token.
    ///
    /// ## What it checks
    ///
    /// Elements of DT_RPATH and DT_RUNPATH with a `$` that is none of `$ORIGIN`, `$LIB`, `$PLATFORM` or the same in
    /// braces, each followed by no letter, digit or underscore.
    ///
    /// ## Why it matters
    ///
    /// The loader takes such text literally: `$ORIGINlib` is a directory of that very name below the server's current
    /// directory, the data directory. The library is not found, and whoever can write there can place one.
    ///
    /// ## When it fires
    ///
    /// `-Wl,-rpath,$ORIGIN/lib` where make or the shell ate a part (`RIGIN/lib`, `$$ORIGIN/lib`), `${ORIGIN/lib`
    /// without its brace, `$origin`.
    ///
    /// ## How to fix
    ///
    /// In a makefile write `-Wl,-rpath,'$$ORIGIN/lib'`; on a finished file `patchelf --set-rpath '$ORIGIN/lib' x.so`, with
    /// the elements that are right.
    ///
    /// ## What it cannot see
    ///
    /// A token that was eaten whole leaves `/lib` or `RIGIN/lib` behind, which is an ordinary directory.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `is_dst`, `_dl_dst_substitute`; ld.so(8), "Dynamic string tokens".
    pub(crate) static MALFORMED_ORIGIN = {
        code: "PGS507",
        name: "malformed-origin",
        group: Packaging,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for (element, _) in concerning(cx, |concern| *concern == Concern::Malformed) {
        let below = if element.text.as_bytes().starts_with(b"/") {
            String::new()
        } else {
            format!(" below {}", current_directory(cx))
        };
        let message = format!(
            "{} has {}, which is no token: the loader searches a directory of that very name{below}.",
            entry(element),
            element.text
        );
        let finding = evidence(cx, element, sink.finding(cx.path(), &element.text, message));
        sink.report(finding.help(match meant(element.text.as_bytes()) {
            Some(meant) => with_another(cx, element, Some(&meant)),
            None => without(cx, element),
        }));
    }
}

/// What was meant, where "origin" is in it: `$ORIGIN/lib` for `$ORIGINlib`, `$$ORIGIN/lib`, `${ORIGIN/lib`, `$origin/lib`.
fn meant(text: &[u8]) -> Option<Vec<u8>> {
    const TOKEN: &[u8] = b"$ORIGIN";
    let at = text.to_ascii_uppercase();
    let at = at.find(&TOKEN[1..])?;
    let is_token = text[..at].iter().all(|byte| b"${".contains(byte)) && at > 0;
    let rest = text[at + TOKEN.len() - 1..].trim_start_with(|c| c == '}' || c == '/');
    let below: &[u8] = if rest.is_empty() { b"" } else { b"/" };
    is_token.then(|| [TOKEN, below, rest].concat())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().runpath("$ORIGINlib"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().runpath("${ORIGIN}"))
    }

    #[test]
    fn what_was_meant_is_written_and_what_cannot_be_guessed_left_out() {
        let help =
            |path: &str| Case::new().object("x.so", &module().runpath(path)).one(&MALFORMED_ORIGIN).help;
        assert_eq!(help("$ORIGINlib:/opt"), "patchelf --set-rpath '$ORIGIN/lib:/opt' x.so");
        assert_eq!(help("${ORIGIN/../lib"), "patchelf --set-rpath '$ORIGIN/../lib' x.so");
        assert_eq!(help("$FOO/lib;touch x"), "patchelf --remove-rpath x.so");
    }

    #[test]
    fn a_near_miss_is_literal_text() {
        assert_eq!(
            firing().one(&MALFORMED_ORIGIN).message,
            ".dynamic[1] DT_RUNPATH has $ORIGINlib, which is no token: the loader searches a directory of that very name \
             below the server's current directory, the data directory."
        );
    }
}
