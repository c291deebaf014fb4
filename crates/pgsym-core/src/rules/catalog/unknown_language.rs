use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::support::{Concern, Scripts, by_concern, place, server_says};
use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::extension::script::Position;
use crate::extension::sql::Declaration;
use crate::extension::{ExtensionRecord, Required};
use crate::name::Shown;

declare_rule! {
    /// A function, or a DO statement, is in a language that does not exist.
    ///
    /// ## What it checks
    ///
    /// The LANGUAGE of each CREATE FUNCTION, CREATE PROCEDURE and DO. `c`, `internal` and `sql` are built in, `plpgsql` is in
    /// every new database; other languages come from the extension's own scripts, or from an extension that it
    /// requires.
    ///
    /// With `--all-scripts` the other scripts as well: a warning where ALTER EXTENSION UPDATE from an older version, or CREATE
    /// EXTENSION with its VERSION, fails, with the command; a note for scripts that no way to the default version uses.
    ///
    /// ## Why it matters
    ///
    /// A bare name is folded to lower case, a quoted one is not: `LANGUAGE C` and `LANGUAGE 'c'` work, `LANGUAGE 'C'` and
    /// `LANGUAGE "C"` do not. Servers before 9.2 took them all, so old scripts have them.
    ///
    /// ## When it fires
    ///
    /// ```sql
    /// CREATE FUNCTION f() RETURNS int LANGUAGE 'C' AS 'MODULE_PATHNAME';
    /// ```
    ///
    /// It is a warning for a language that another extension may have brought into the database.
    ///
    /// ## How to fix
    ///
    /// Write the language without quotes, or in lower case; name the extension that makes it in `requires`.
    ///
    /// ## What it cannot see
    ///
    /// Languages of required extensions that are not there, or that the question is not about: then nothing is said.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/functioncmds.c `CreateFunction`, `ExecuteDoStmt`.
    pub(crate) static UNKNOWN_LANGUAGE = {
        code: "PGS624",
        name: "unknown-language",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

/// Languages of every new database (src/include/catalog/pg_language.dat; initdb creates plpgsql).
const BUILT_IN: [&[u8]; 4] = [b"c", b"internal", b"plpgsql", b"sql"];

/// The first place where a language is asked for, and how many there are.
struct Use<'a> {
    path: &'a Path,
    position: Position,
    concern: Concern,
    /// The scripts that ask for it and concern the same users, each as often as it does.
    scripts: Vec<&'a Path>,
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let inventory = cx.tree().inventory();
    for record in inventory.in_scope() {
        let uses = uses(record);
        if uses.is_empty() {
            continue;
        }
        let required = inventory.required_by(record);
        let made = made(&required);
        for (language, first) in uses {
            let is_other_spelling = is_other_spelling(language);
            if made.contains(language) || (required.is_partly_unknown && !is_other_spelling) {
                continue;
            }
            let others = match first.scripts.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more statements,"),
            };
            let language = Shown(language);
            let message =
                format!("{}{others} asks for the language {language}.", place(first.path, first.position));
            let finding = sink.finding(first.path, Shown(&record.extension.name), message);
            let finding = server_says(finding, &format!("language \"{language}\" does not exist"));
            let severity = if is_other_spelling { Severity::Error } else { Severity::Warning };
            let scripts = first.scripts.iter().copied();
            let finding = Scripts::new(record).weigh(finding.severity(severity), first.concern, scripts);
            sink.report(finding.help(if is_other_spelling {
                "write the name of the language in lower case: in quotes it is not folded"
            } else {
                "name the extension that makes the language in requires"
            }));
        }
    }
}

/// The language that a statement asks for, where it is not built in.
pub(crate) fn other_language(declaration: &Declaration) -> Option<&[u8]> {
    let language = match declaration {
        Declaration::Create(routine) => routine.language.as_deref(),
        Declaration::Do { language, .. } => Some(language.as_slice()),
        _ => None,
    };
    language.filter(|language| !BUILT_IN.contains(language))
}

/// Whether a language that is not there would be one, were it spelt otherwise.
pub(crate) fn is_other_spelling(language: &[u8]) -> bool {
    BUILT_IN.iter().any(|known| known.eq_ignore_ascii_case(language))
}

/// The languages that are not built in, each with its first use; one that concerns more users goes before.
fn uses(record: &ExtensionRecord) -> BTreeMap<&[u8], Use<'_>> {
    let mut uses: BTreeMap<&[u8], Use<'_>> = BTreeMap::new();
    for script in by_concern(record) {
        let concern = Concern::of(script);
        for (position, declaration) in script.script.iter().flat_map(|script| &script.declarations) {
            let Some(language) = other_language(declaration) else { continue };
            let used = uses.entry(language).or_insert(Use {
                path: &script.path,
                position: *position,
                concern,
                scripts: Vec::new(),
            });
            if used.concern == concern {
                used.scripts.push(&script.path);
            }
        }
    }
    uses
}

/// The languages that the scripts of an extension and of those that it requires make.
pub(crate) fn made<'a>(required: &Required<'a>) -> HashSet<&'a [u8]> {
    let scripts = required.known.iter().flat_map(|record| &record.scripts);
    let declarations = scripts.flat_map(|script| &script.script).flat_map(|script| &script.declarations);
    let made = declarations.filter_map(|(_, declaration)| match declaration {
        Declaration::CreateLanguage(name) => Some(name.as_slice()),
        _ => None,
    });
    made.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function, server};
    use crate::rules::testing::Case;

    fn in_language(language: &str) -> String {
        function("f", "x").replace("LANGUAGE c", &format!("LANGUAGE {language}"))
    }

    pub(crate) fn firing() -> Case {
        case().extension("", &in_language("'C'"))
    }

    pub(crate) fn silent() -> Case {
        case().extension("", &in_language("C"))
    }

    fn severities(control: &str, script: &str) -> Vec<Severity> {
        let findings = case().extension(control, script).run(&UNKNOWN_LANGUAGE);
        findings.iter().map(|finding| finding.severity).collect()
    }

    #[test]
    fn a_quoted_language_is_not_folded() {
        for language in ["'C'", "\"C\"", "U&'\\0043'", "'SQL'", "'PLpgSQL'"] {
            assert_eq!(severities("", &in_language(language)), [Severity::Error], "{language}");
        }
        for language in ["C", "'c'", "\"c\"", "Internal", "PLpgSQL", "SQL"] {
            assert_eq!(severities("", &in_language(language)), [], "{language}");
        }
        assert_eq!(severities("", "DO LANGUAGE 'C' ''"), [Severity::Error]);
        assert_eq!(server(&firing().one(&UNKNOWN_LANGUAGE)), "language \"C\" does not exist");
    }

    #[test]
    fn an_update_script_is_a_warning_when_asked_for() {
        let case = case().extension("", "").file("/pg/share/extension/x--0.9--1.0.sql", in_language("'C'"));
        let case = case.file("/pg/share/extension/x--0.5.sql", in_language("'C'"));
        assert_eq!(case.run(&UNKNOWN_LANGUAGE), []);
        let finding = case.all_scripts().one(&UNKNOWN_LANGUAGE);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.texts("fails"), ["ALTER EXTENSION x UPDATE from version 0.9"]);
    }

    #[test]
    fn another_language_may_be_in_the_database() {
        assert_eq!(severities("", &in_language("plperl")), [Severity::Warning]);
        assert_eq!(severities("requires = plperl", &in_language("plperl")), []);
        assert_eq!(severities("requires = plperl", &in_language("'C'")), [Severity::Error]);
        let made = format!("CREATE TRUSTED LANGUAGE l HANDLER h; {}", in_language("l"));
        assert_eq!(severities("", &made), []);
    }

    #[test]
    fn a_required_extension_makes_its_languages() {
        let with = |language: &str| {
            let makes = format!("CREATE LANGUAGE {language} HANDLER h");
            case()
                .extension("requires = y", &in_language("l"))
                .file("/pg/share/extension/y.control", "default_version = 1")
                .file("/pg/share/extension/y--1.sql", makes)
        };
        assert_eq!(with("l").run(&UNKNOWN_LANGUAGE), []);
        assert_eq!(with("other").one(&UNKNOWN_LANGUAGE).severity, Severity::Warning);
    }
}
