use super::support::place;
use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::Shown;

declare_rule! {
    /// Code in a script creates C functions when it runs, and whether it does cannot be told.
    ///
    /// ## What it checks
    ///
    /// DO blocks and the bodies of functions in scripts that installing the default version runs: CREATE
    /// FUNCTION … LANGUAGE c inside them, in string constants too.
    ///
    /// ## Why it matters
    ///
    /// Such functions depend on the server's version or on what is installed, so no table of functions
    /// lists them. Their symbols must be exported all the same.
    ///
    /// ## When it fires
    ///
    /// `DO $$ BEGIN IF … THEN CREATE FUNCTION f() … LANGUAGE c …; END IF; END $$`
    ///
    /// ## How to fix
    ///
    /// Nothing needs to be fixed; check by hand that the symbols named are exported on every branch.
    ///
    /// ## What it cannot see
    ///
    /// Statements that are put together from pieces are seen, and what they create is not.
    ///
    /// ## References
    ///
    /// PostgreSQL src/pl/plpgsql; the manual, "DO".
    pub(crate) static DYNAMIC_FUNCTION = {
        code: "PGS622",
        name: "dynamic-function",
        group: Catalog,
        severity: Info,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        for script in record.scripts.iter().filter(|script| script.is_reachable()) {
            let Ok(read) = &script.script else { continue };
            for (position, dynamic) in &read.dynamic {
                let at = place(&script.path, *position);
                let link = dynamic.routine.as_ref().and_then(|routine| Some((routine, routine.c_link()?)));
                let (subject, message) = match link {
                    Some((routine, (probin, prosrc))) => (
                        Shown(&routine.name).to_string(),
                        format!(
                            "code at {at} may create {} with the symbol {} of '{}'.",
                            Shown(&routine.name),
                            Shown(prosrc),
                            Shown(probin)
                        ),
                    ),
                    None => (
                        Shown(&record.extension.name).to_string(),
                        format!("code at {at} puts together statements that create C functions."),
                    ),
                };
                sink.report(sink.finding(&script.path, subject, message));
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        let block = format!("DO $$ BEGIN {} END $$;", function("f", "MODULE_PATHNAME"));
        case().extension("module_pathname = 'm'", &block)
    }

    pub(crate) fn silent() -> Case {
        case().extension("", "DO $$ BEGIN UPDATE pg_proc SET probin = 'x'; END $$;")
    }

    #[test]
    fn a_do_block_that_creates_a_function_is_told() {
        let script = format!("DO $$ BEGIN {} END $$;", function("f", "MODULE_PATHNAME"));
        let findings = case().extension("module_pathname = 'm'", &script).run(&DYNAMIC_FUNCTION);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].message.ends_with("may create f with the symbol f of 'm'."),
            "{}",
            findings[0].message
        );
    }

    #[test]
    fn a_do_block_that_creates_nothing_is_not() {
        let script = "DO $$ BEGIN UPDATE pg_proc SET prosrc = 'create language c'; END $$;";
        let findings = case().extension("", script).run(&DYNAMIC_FUNCTION);
        assert_eq!(findings.len(), 1, "the words are there, so it is told that something may be created");
        assert_eq!(case().extension("", "DO $$ BEGIN END $$;").run(&DYNAMIC_FUNCTION), []);
    }
}
