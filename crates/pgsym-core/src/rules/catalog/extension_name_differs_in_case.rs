use super::support::{on_control, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::{Shown, shown_path};

declare_rule! {
    /// An extension has capital letters in its name, or two extensions differ in nothing else.
    ///
    /// ## What it checks
    ///
    /// The names of the control files.
    ///
    /// ## Why it matters
    ///
    /// `CREATE EXTENSION Foo` looks for `foo.control`. A name with capital letters must be quoted in every
    /// command, and in every `requires`; on a file system that ignores case, two such names are one file.
    ///
    /// ## When it fires
    ///
    /// A package ships `PostGIS.control`, and its users type `CREATE EXTENSION PostGIS`.
    ///
    /// ## How to fix
    ///
    /// Name the control file and the scripts in lower case.
    ///
    /// ## What it cannot see
    ///
    /// Whether the name was chosen on purpose.
    ///
    /// ## References
    ///
    /// PostgreSQL, the manual: "Identifiers and Key Words"; src/backend/commands/extension.c.
    pub(crate) static EXTENSION_NAME_DIFFERS_IN_CASE = {
        code: "PGS619",
        name: "extension-name-differs-in-case",
        group: Catalog,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let inventory = cx.tree().inventory();
    for record in inventory.in_scope() {
        let name = &record.extension.name;
        let folded = name.to_ascii_lowercase();
        if folded == *name {
            continue;
        }
        let other = inventory.find(&folded, record);
        let message = match other {
            Some(other) => format!(
                "without quotes the name means {}, another extension.",
                shown_path(&other.extension.control_path)
            ),
            None => "the name has capital letters: every command must put it in double quotes.".to_owned(),
        };
        let mut finding = on_control(sink, record, message);
        if other.is_none() {
            finding = server_says(finding, &format!("extension \"{}\" is not available", Shown(&folded)));
        }
        sink.report(finding.help("name the control file and the scripts in lower case"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        named("Foo")
    }

    pub(crate) fn silent() -> Case {
        named("foo-2")
    }

    fn named(name: &str) -> Case {
        case()
            .extension("", "")
            .file(&format!("/pg/share/extension/{name}.control"), "default_version = 1")
            .file(&format!("/pg/share/extension/{name}--1.sql"), "")
    }

    #[test]
    fn capital_letters_need_quotes() {
        let findings = named("Foo").run(&EXTENSION_NAME_DIFFERS_IN_CASE);
        assert!(findings[0].message.contains("double quotes"), "{}", findings[0].message);
        let findings = named("X").run(&EXTENSION_NAME_DIFFERS_IN_CASE);
        assert!(findings[0].message.contains("another extension"), "{}", findings[0].message);
    }

    #[test]
    fn lower_case_digits_and_dashes_need_none() {
        assert_eq!(named("foo-2").run(&EXTENSION_NAME_DIFFERS_IN_CASE), []);
    }
}
