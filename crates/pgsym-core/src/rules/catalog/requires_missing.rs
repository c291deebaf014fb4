use super::support::{on_control, server_says};
use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::extension::{ExtensionRecord, Inventory};
use crate::name::Shown;

declare_rule! {
    /// A required extension is not there, or cannot be installed itself.
    ///
    /// ## What it checks
    ///
    /// The names in `requires`, in the control files of the versions that an installation passes through:
    /// whether a control file of that name is in one of the places that are searched, and whether its
    /// default version can be installed. And whether requirements lead in a circle: of extensions that wait for each
    /// other none can be created, with CASCADE or without.
    ///
    /// ## Why it matters
    ///
    /// `CREATE EXTENSION … CASCADE` fails at the required extension, and without CASCADE nobody could have
    /// created it either. The name is folded to lower case unless it stands in double quotes inside the
    /// value.
    ///
    /// ## When it fires
    ///
    /// ```text
    /// requires = 'PostGIS'
    /// ```
    ///
    /// The value means `postgis`.
    ///
    /// ## How to fix
    ///
    /// Depend on the package that ships the extension; correct the name.
    ///
    /// ## What it cannot see
    ///
    /// Extensions that another package brings later. Where the server's share directory could not be read,
    /// because there is no server or it is known by its version or profile only, the finding is a
    /// warning: nothing says what is installed there. `plpgsql` is in every database.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/extension.c `get_required_extension`; src/bin/initdb/initdb.c
    /// `load_plpgsql`.
    pub(crate) static REQUIRES_MISSING = {
        code: "PGS609",
        name: "requires-missing",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let inventory = cx.tree().inventory();
    let cycles = inventory.requires_cycles();
    for record in inventory.in_scope() {
        if let Some((waiting, last)) = cycles.get(&record.key()) {
            let (waiting, last) = (Shown(waiting), Shown(last));
            let message = if waiting.0 == last.0 {
                format!("{waiting} requires itself.")
            } else {
                format!(
                    "what it requires leads in a circle: {last} requires {waiting}, which waits for {last}."
                )
            };
            let said = format!("cyclic dependency detected between extensions \"{waiting}\" and \"{last}\"");
            let finding = server_says(on_control(sink, record, message), &said);
            sink.report(
                finding.help(format!("take {waiting} out of what {last} requires, or the other way round")),
            );
        }
        let has_all = inventory.site(record).has_all_extensions;
        for name in required(record) {
            let Some(trouble) = trouble(inventory, record, name) else { continue };
            let finding = server_says(on_control(sink, record, trouble.message), &trouble.said);
            let is_certain = has_all || trouble.is_found;
            let severity = if is_certain { Severity::Error } else { Severity::Warning };
            sink.report(finding.severity(severity).help(trouble.help));
        }
    }
}

/// Every name that some step of the installation requires.
fn required(record: &ExtensionRecord) -> Vec<&[u8]> {
    let (mut names, later) = record.required();
    names.extend(later);
    names.sort_unstable();
    names.dedup();
    names
}

/// What is wrong with a required extension.
struct Trouble {
    message: String,
    /// What the server says of it.
    said: String,
    help: String,
    /// Whether the extension is there, and is itself what is wrong.
    is_found: bool,
}

fn trouble(inventory: &Inventory, record: &ExtensionRecord, name: &[u8]) -> Option<Trouble> {
    let help = format!("ship or depend on the extension {}", Shown(name));
    let Some(required) = inventory.find(name, record) else {
        // initdb creates it in template1, and CREATE EXTENSION looks at the database first.
        if name == b"plpgsql" {
            return None;
        }

        let said = format!("extension \"{}\" is not available", Shown(name));
        let in_other_case = inventory
            .extensions
            .iter()
            .find(|other| other.extension.name.eq_ignore_ascii_case(name))
            .map(|other| format!(" There is {}: put it in double quotes.", Shown(&other.extension.name)));
        let message = format!(
            "it requires {}, and no control file of that name is there.{}",
            if name.is_empty() { "\"\"".to_owned() } else { Shown(name).to_string() },
            in_other_case.unwrap_or_default()
        );
        return Some(Trouble { message, said, help, is_found: false });
    };
    let said = required.extension.plan_error()?;
    let message = format!("it requires {}, which cannot be installed.", Shown(name));
    Some(Trouble { message, said, help, is_found: true })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;
    use crate::tree::ServerChoice;

    pub(crate) fn firing() -> Case {
        case().extension("requires = 'y'", "")
    }

    pub(crate) fn silent() -> Case {
        case()
            .extension("requires = 'Y'", "")
            .file("/pg/share/extension/y.control", "default_version = 1")
            .file("/pg/share/extension/y--1.sql", "")
    }

    #[test]
    fn a_name_is_folded_before_it_is_looked_for() {
        let case = case()
            .extension("requires = 'Other'", "")
            .file("/pg/share/extension/Other.control", "default_version = 1")
            .file("/pg/share/extension/Other--1.sql", "");
        let findings = case.run(&REQUIRES_MISSING);
        assert_eq!(server(&findings[0]), "extension \"other\" is not available");
        assert!(findings[0].message.contains("There is Other"), "{}", findings[0].message);
    }

    #[test]
    fn a_required_extension_must_be_installable() {
        let case = case()
            .extension("requires = 'y'", "")
            .file("/pg/share/extension/y.control", "default_version = 1");
        let findings = case.run(&REQUIRES_MISSING);
        assert!(findings[0].message.contains("cannot be installed"), "{}", findings[0].message);
    }

    /// Extensions with their `requires`, and what the server says of each that waits for itself.
    fn circles(extensions: &[(&str, &str)]) -> Vec<String> {
        let add = |case: Case, (name, requires): &(&str, &str)| {
            case.file(
                &format!("/pg/share/extension/{name}.control"),
                format!("default_version = 1\nrequires = '{requires}'"),
            )
            .file(&format!("/pg/share/extension/{name}--1.sql"), "")
        };
        let findings = extensions.iter().fold(case(), add).run(&REQUIRES_MISSING);
        assert!(findings.iter().all(|finding| finding.severity == Severity::Error), "{findings:?}");
        let pair = |finding: &crate::check::Finding| {
            server(finding).replace("cyclic dependency detected between extensions ", "").replace('"', "")
        };
        findings.iter().map(|finding| format!("{}: {}", finding.subject, pair(finding))).collect()
    }

    #[test]
    fn extensions_that_wait_for_each_other_are_told_as_the_server_meets_them() {
        assert_eq!(circles(&[("a", "a")]), ["a: a and a"]);
        assert_eq!(circles(&[("a", "b"), ("b", "a")]), ["a: a and b", "b: b and a"]);
        assert_eq!(
            circles(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "e, b"), ("e", "")]),
            ["a: a and c", "b: b and a", "c: c and b", "d: b and a"]
        );
        assert_eq!(circles(&[("a", "b, c"), ("b", "c"), ("c", "d"), ("d", "")]), [""; 0]);
    }

    #[test]
    fn what_an_update_requires_finds_the_extension_created() {
        let extension = |case: Case, name: &str| {
            let file = |end: &str| format!("/pg/share/extension/{name}{end}");
            case.file(&file(".control"), "default_version = 2")
                .file(&file("--1.sql"), "")
                .file(&file("--1--2.sql"), "")
        };
        let case = extension(extension(case(), "a"), "b")
            .file("/pg/share/extension/a--2.control", "requires = b")
            .file("/pg/share/extension/b--1.control", "requires = a");
        // CREATE EXTENSION b makes a at 1, whose update makes b: the row of a is there by then, that of b is not.
        let findings = case.run(&REQUIRES_MISSING);
        let said: Vec<&str> = findings.iter().map(server).collect();
        assert_eq!(said, [""; 0]);
    }

    #[test]
    fn without_an_installation_it_is_a_warning() {
        let case = case()
            .settings(|settings| settings.server = crate::tree::ServerChoice::None)
            .file("x.control", "default_version = 1\nrequires = 'y'")
            .file("x--1.sql", "");
        assert_eq!(case.one(&REQUIRES_MISSING).severity, Severity::Warning);
    }

    #[test]
    fn what_a_server_has_that_nobody_read_is_a_warning() {
        let stage = |case: Case| {
            case.roots(&["/stage"])
                .file("/stage/share/extension/x.control", "default_version = 1\nrequires = 'y'")
                .file("/stage/share/extension/x--1.sql", "")
        };
        let by_version = stage(case()).settings(|settings| settings.server = ServerChoice::Version(15));
        assert_eq!(by_version.one(&REQUIRES_MISSING).severity, Severity::Warning);
        let by_binary =
            |case: Case| case.settings(|settings| settings.server = ServerChoice::At("/pg".into()));
        assert_eq!(by_binary(stage(case())).one(&REQUIRES_MISSING).severity, Severity::Error);
        // A share directory that holds only what packages brought.
        let partial = by_binary(stage(Case::new().fs(|fs| fs.directory("/pg/share/extension"))));
        assert_eq!(partial.one(&REQUIRES_MISSING).severity, Severity::Warning);
    }

    #[test]
    fn plpgsql_is_in_every_database() {
        assert_eq!(case().extension("requires = 'plpgsql'", "").run(&REQUIRES_MISSING), []);
    }

    #[test]
    fn a_required_extension_that_is_there_is_fine() {
        let case = case()
            .extension("requires = 'y'", "")
            .file("/pg/share/extension/y.control", "default_version = 1")
            .file("/pg/share/extension/y--1.sql", "");
        assert_eq!(case.run(&REQUIRES_MISSING), []);
    }
}
