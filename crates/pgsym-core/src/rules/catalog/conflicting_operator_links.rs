use std::cmp::Reverse;

use super::support::{place, server_says};
use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::extension::OperatorError;
use crate::extension::catalog::Guard;
use crate::name::Shown;

declare_rule! {
    /// A CREATE OPERATOR that claims the commutator or negator of another operator, or itself as its negator.
    ///
    /// ## What it checks
    ///
    /// COMMUTATOR and NEGATOR of the CREATE OPERATOR statements that installing the default version runs, for operators over
    /// a type that the extension makes. The first operator that names another one as its partner becomes
    /// that one's partner too; a second one that claims it is refused. So are an operator that is its own negator, and one
    /// that exists already.
    ///
    /// ## Why it matters
    ///
    /// Old servers took the statement and kept the first link, so the mistake lay in scripts for years. Since 17, and in
    /// newer minor releases of older majors, CREATE EXTENSION fails. pgsym looks for the message in the
    /// server's binary; without one it is an error from 17 on and a warning before.
    ///
    /// A partner that does not exist yet is made as a shell that points back. 15.20 keeps that link when the operator is
    /// created: its statement may name no other partner, and where it names none nobody else may claim it. 17.10 and
    /// 18.4 forget the shell's link. What only the former refuse is an error for it, a note for the latter, and a warning
    /// where pgsym does not know which a server does.
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
    let facts = cx.tree().server().map(|server| &server.facts);
    let guards = facts.and_then(|facts| facts.guards_operator_links);
    let of_partner = match guards {
        Some(true) => Severity::Error,
        None if inventory.major >= GUARDED_SINCE => Severity::Error,
        None => Severity::Warning,
        Some(false) => Severity::Info,
    };
    let of_shell = match (guards, facts.and_then(|facts| facts.version.as_deref()).and_then(keeps_shells)) {
        (Some(false), _) | (Some(true), Some(false)) => Severity::Info,
        (Some(true), Some(true)) => Severity::Error,
        _ => Severity::Warning,
    };
    let severity = |error: &OperatorError| match error.guard {
        Guard::Every => Severity::Error,
        Guard::Partner => of_partner,
        Guard::Shell => of_shell,
    };
    for record in inventory.in_scope() {
        // The first is the one that the server meets, if it is one of those that refuse it.
        let mut errors: Vec<&OperatorError> = record.operator_errors.iter().collect();
        errors.sort_by_key(|error| Reverse(severity(error)));
        let Some(error) = errors.first() else { continue };
        let severity = severity(error);
        let what = match error.message.strip_prefix("operator ") {
            Some(_) => "makes an operator that cannot be.",
            None => "claims an operator that has another partner.",
        };
        let text = format!("{} {what}", place(&error.script, error.position));
        let finding = sink.finding(&error.script, Shown(&record.extension.name), text).severity(severity);
        let finding = match severity {
            Severity::Error => server_says(finding, &error.message),
            _ => finding.evidence("newer servers", format!("ERROR:  {}", error.message)),
        };
        sink.report(finding.help("name the operator's own commutator and negator"));
    }
}

/// Whether a release keeps the links of a shell, where that is known from the server itself.
fn keeps_shells(version: &str) -> Option<bool> {
    let (major, minor) = version.split_once('.')?;
    let minor: u32 = minor.parse().ok()?;
    match major {
        "15" if minor >= 20 => Some(true),
        "17" if minor <= 10 => Some(false),
        "18" if minor <= 4 => Some(false),
        _ => None,
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

    /// The severity of what a script of these operators has, for servers of which nothing is known but the major.
    fn of(operators: &[(&str, &str)]) -> Option<(Severity, String)> {
        let statement = |(name, links): &(&str, &str)| {
            let links = if links.is_empty() { String::new() } else { format!(", {links}") };
            format!("CREATE OPERATOR {name} (LEFTARG = v, RIGHTARG = v, FUNCTION = f{links});")
        };
        let script: String = operators.iter().map(statement).collect();
        let findings = case().major(17).extension("", &format!("CREATE TYPE v; {script}"));
        let findings = findings.run(&CONFLICTING_OPERATOR_LINKS);
        let finding = findings.first()?;
        let text = &finding.evidence.last().unwrap().text;
        Some((finding.severity, text.trim_start_matches("ERROR:  ").to_owned()))
    }

    /// What PostgreSQL 13.23, 14.23, 15.18, 15.20, 16.14, 17.0, 17.10, 18.0 and 18.4 do.
    #[test]
    fn what_a_shell_brings_along_only_some_servers_keep() {
        let shell = |said: &str| Some((Severity::Warning, format!("{said} operator >>")));
        let com = "commutator operator << is already the commutator of";
        assert_eq!(of(&[("<<", "COMMUTATOR = >>"), (">>", "COMMUTATOR = >>")]), shell(com));
        assert_eq!(of(&[("<<", "COMMUTATOR = >>"), (">>", "COMMUTATOR = <<<")]), shell(com));
        let neg = "negator operator << is already the negator of";
        assert_eq!(of(&[("<<", "NEGATOR = >>"), (">>", "NEGATOR = >=")]), shell(neg));
        let claimed = [("<<", "COMMUTATOR = >>"), (">>", ""), ("<<<", "COMMUTATOR = >>")];
        let said = "commutator operator >> is already the commutator of operator <<";
        assert_eq!(of(&claimed), Some((Severity::Warning, said.to_owned())));

        assert_eq!(of(&[("<<", "COMMUTATOR = >>"), (">>", "")]), None);
        assert_eq!(of(&[("<<", "COMMUTATOR = >>"), (">>", "NEGATOR = <<")]), None);
        let both = "COMMUTATOR = >>, NEGATOR = >>";
        assert_eq!(of(&[("<<", both), (">>", "COMMUTATOR = <<, NEGATOR = <<")]), None);
    }

    #[test]
    fn an_operator_that_cannot_be_is_an_error_everywhere() {
        let own = "operator cannot be its own negator".to_owned();
        let twice = "operator << already exists".to_owned();
        assert_eq!(of(&[("<<", "NEGATOR = <<")]), Some((Severity::Error, own.clone())));
        assert_eq!(of(&[("<<", ""), ("<<", "")]), Some((Severity::Error, twice)));
        let severity = |script: &str| {
            let case = case().major(15).extension("", script);
            case.one(&CONFLICTING_OPERATOR_LINKS).severity
        };
        let alone = "CREATE TYPE v; CREATE OPERATOR < (RIGHTARG = v, FUNCTION = f, NEGATOR = <);";
        assert_eq!(severity(alone), Severity::Error);
        // Servers that do not look at links do not look at shells either.
        let shell = "CREATE OPERATOR > (RIGHTARG = v, FUNCTION = f, NEGATOR = <);";
        assert_eq!(severity(&alone.replace("v; ", &format!("v; {shell}"))), Severity::Warning);
    }

    #[test]
    fn releases_are_known_by_what_they_did() {
        assert_eq!(
            ["15.20", "15.21", "17.10", "18.4"].map(keeps_shells),
            [Some(true), Some(true), Some(false), Some(false)]
        );
        assert_eq!(["15.19", "17.11", "18.6", "19.0", "19beta1"].map(keeps_shells), [None; 5]);
    }
}
