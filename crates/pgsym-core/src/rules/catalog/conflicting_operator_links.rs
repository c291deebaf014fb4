use super::support::{place, server_says};
use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::name::Shown;

declare_rule! {
    /// A CREATE OPERATOR that claims the commutator or negator of another operator.
    ///
    /// ## What it checks
    ///
    /// COMMUTATOR and NEGATOR of the CREATE OPERATOR statements that installing the default version runs, for operators over
    /// a type that the extension makes. The first operator that names another one as its partner becomes
    /// that one's partner too; a second one that claims it is refused.
    ///
    /// ## Why it matters
    ///
    /// Old servers took the statement and kept the first link, so the mistake lay in scripts for years. Since 17, and in
    /// newer minor releases of older majors, CREATE EXTENSION fails. pgsym looks for the message in the
    /// server's binary; without one it is an error from 17 on and a warning before.
    ///
    /// ## When it fires
    ///
    /// ```sql
    /// CREATE OPERATOR < (LEFTARG = v, RIGHTARG = v, FUNCTION = v_lt, COMMUTATOR = >, NEGATOR = >=);
    /// CREATE OPERATOR > (LEFTARG = v, RIGHTARG = v, FUNCTION = v_gt, COMMUTATOR = <, NEGATOR = >=);
    /// ```
    ///
    /// ## How to fix
    ///
    /// Give each operator its own negator and commutator: that of `>` is `<=`.
    ///
    /// ## What it cannot see
    ///
    /// Operators over types of others, and what follows a DROP … CASCADE, ALTER OPERATOR, DROP OPERATOR or code that mentions
    /// operators.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/catalog/pg_operator.c `OperatorUpd`.
    pub(crate) static CONFLICTING_OPERATOR_LINKS = {
        code: "PGS623",
        name: "conflicting-operator-links",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

/// The first major of which every release looks at the links.
const GUARDED_SINCE: u32 = 17;

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let inventory = cx.tree().inventory();
    let guards = cx.tree().server().and_then(|server| server.facts.guards_operator_links);
    let severity = match guards {
        Some(true) => Severity::Error,
        None if inventory.major >= GUARDED_SINCE => Severity::Error,
        None => Severity::Warning,
        Some(false) => Severity::Info,
    };
    for record in inventory.in_scope() {
        let Some(((path, position), message)) = &record.operator_error else { continue };
        let text = format!("{} claims an operator that has another partner.", place(path, *position));
        let finding = sink.finding(path, Shown(&record.extension.name), text).severity(severity);
        let finding = match severity {
            Severity::Error => server_says(finding, message),
            _ => finding.evidence("newer servers", format!("ERROR:  {message}")),
        };
        sink.report(finding.help("name the operator's own commutator and negator"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;

    fn operators(gt: &str) -> String {
        format!(
            "CREATE TYPE v;\n\
             CREATE OPERATOR < (LEFTARG = v, RIGHTARG = v, FUNCTION = f, COMMUTATOR = >, NEGATOR = >=);\n\
             CREATE OPERATOR > (LEFTARG = v, RIGHTARG = v, FUNCTION = f, COMMUTATOR = <, NEGATOR = {gt});\n"
        )
    }

    pub(crate) fn firing() -> Case {
        case().extension("", &operators(">="))
    }

    pub(crate) fn silent() -> Case {
        case().extension("", &operators("<="))
    }

    fn said(script: &str) -> Option<String> {
        let findings = case().major(17).extension("", script).run(&CONFLICTING_OPERATOR_LINKS);
        findings.first().map(|finding| server(finding).to_owned())
    }

    #[test]
    fn the_second_claim_is_told_in_the_servers_words() {
        let expected = "negator operator >= is already the negator of operator <";
        assert_eq!(said(&operators(">=")).unwrap(), expected);
        assert_eq!(
            said(
                "CREATE TYPE v; CREATE OPERATOR = (LEFTARG = v, RIGHTARG = v, COMMUTATOR = =, NEGATOR = <>);\
                  CREATE OPERATOR <> (LEFTARG = v, RIGHTARG = v, COMMUTATOR = !=, NEGATOR = =);\
                  CREATE OPERATOR # (LEFTARG = v, RIGHTARG = v, COMMUTATOR = =)"
            )
            .unwrap(),
            "commutator operator = is already the commutator of operator ="
        );
    }

    #[test]
    fn what_is_not_followed_is_not_judged() {
        assert_eq!(said(&operators(">=").replace("= v,", "= int,")), None);
        assert_eq!(said(&operators(">=").replace("v;", "v; DROP OPERATOR < (v, v);")), None);
        assert_eq!(said(&operators(">=").replace("v;", "v; DO $$ ALTER OPERATOR $$;")), None);
    }

    #[test]
    fn a_server_that_does_not_look_takes_it() {
        let severity = |case: Case| case.one(&CONFLICTING_OPERATOR_LINKS).severity;
        assert_eq!(severity(firing()), Severity::Info, "the binary has no such message");
        assert_eq!(severity(case().major(15).extension("", &operators(">="))), Severity::Warning);
    }
}
