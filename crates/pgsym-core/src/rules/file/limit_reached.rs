use crate::check::{ModuleCx, Sink, declare_rule};
use crate::error::FileErrorKind;
use crate::resolve::LoadErrorKind;

declare_rule! {
    /// A file has more of something than is read.
    ///
    /// ## What it checks
    ///
    /// Whether one of the bounds that keep a hostile file from using up memory or time was reached, in the file as a
    /// whole or in one of its tables.
    ///
    /// ## Why it matters
    ///
    /// What lies behind the bound was not looked at, so that other rules may be silent about it. The bounds are far
    /// above what any real module was seen to have: a file that reaches one deserves a look.
    ///
    /// ## When it fires
    ///
    /// `.dynamic` has no end within 65,536 entries; there are more than eight million dynamic symbols; directories are
    /// nested deeper than 128.
    ///
    /// ## How to fix
    ///
    /// Find out where the file comes from. If it is sound, report it: the bounds stand in `limits.rs` with their reasons.
    ///
    /// ## What it cannot see
    ///
    /// What a table behind the bound says.
    ///
    /// ## References
    ///
    /// pgsym-core src/limits.rs.
    pub(crate) static LIMIT_REACHED = {
        code: "PGS903",
        name: "limit-reached",
        group: File,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let file = cx.file();
    let whole = file.module.as_ref().err().or(file.format.as_ref().err());
    let tables = cx.module().map(|module| super::unreadable_tables(module)).unwrap_or_default();
    let reached = whole.map(|error| ("the file", error)).into_iter().chain(tables);
    for (what, error) in reached.filter(|(_, error)| error.kind == FileErrorKind::Limit) {
        let message = format!("Not all of {what} was read: {error}.");
        sink.report(sink.finding(cx.path(), what, message).help("find out where the file comes from"));
    }
    let failure = cx.load().and_then(|load| load.failure.as_ref());
    let too_large = failure.filter(|failure| failure.kind == LoadErrorKind::Limit);
    let reason = file.not_loaded.as_ref().map(ToString::to_string);
    if let Some(reason) = reason.or_else(|| too_large.map(|failure| failure.message.clone())) {
        let message = format!("Not all that the file brings was looked at: {reason}.");
        sink.report(sink.finding(cx.path(), "DT_NEEDED", message).help("find out where the files come from"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::Damage;

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().damage(Damage::RepeatNeeded(5000)))
    }

    pub(crate) fn silent() -> Case {
        // Unreadable, but not for its size.
        Case::new().object("x.so", &module().damage(Damage::DynamicOutside))
    }

    #[test]
    fn the_bound_and_the_table_are_named() {
        assert_eq!(
            firing().one(&LIMIT_REACHED).message,
            "Not all of DT_NEEDED was read: there are more than 4096 DT_NEEDED."
        );
    }
}
