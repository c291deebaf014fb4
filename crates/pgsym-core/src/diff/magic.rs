//! For which server a file is: its machine, and the magic block that a server compares with its own
//! (src/backend/utils/fmgr/dfmgr.c, `internal_load_library`). The old block is that of the server which loads the old build.

use super::Sides;
use super::change::{Change, ChangeKind};
use crate::check::Severity;
use crate::model::Module;
use crate::name::Name;
use crate::postgres::{Magic, MagicBlock, PgFacts, major_words, mismatch};
use crate::tree::TreeFile;

/// Format and architecture. Where both servers are known, loading says whether it is for the right one.
pub(super) fn machine(sides: &Sides<'_>, old: &Module, new: &Module) -> Option<Change> {
    let words = |module: &Module| format!("{} {}", module.format(), module.arch());
    let (from, to) = (words(old), words(new));
    if from == to {
        return None;
    }
    let (severity, leads) = if sides.have_servers() {
        (Severity::Info, "")
    } else {
        (Severity::Error, ": a server that loads the old build refuses the new one")
    };
    let message = format!("It was built for {from} and is for {to}{leads}.");
    Some(Change::new(ChangeKind::Machine, severity, message).values(Some(from), Some(to)))
}

/// The changes of what a server looks for in a module before it takes it.
pub(super) fn compare(
    sides: &Sides<'_>,
    old: &PgFacts,
    new: &PgFacts,
    file: &TreeFile,
    changes: &mut Vec<Change>,
) {
    // Where both servers are known, loading the file says whether they take it.
    let refused = if sides.have_servers() { Severity::Info } else { Severity::Error };
    match (&old.magic, &new.magic) {
        (Magic::Found(old), Magic::Found(new)) => blocks(sides, old, new, file, changes),
        (Magic::Found(_), Magic::Absent) => changes.push(
            Change::new(
                ChangeKind::MagicBlock,
                refused,
                "Pg_magic_func is not exported any more: no server takes the file for a module.",
            )
            .values(Some("exported".to_owned()), None),
        ),
        (Magic::Absent, Magic::Found(_)) => changes.push(
            Change::new(ChangeKind::MagicBlock, Severity::Info, "Pg_magic_func is exported now.")
                .values(None, Some("exported".to_owned())),
        ),
        _ => {}
    }
}

fn blocks(sides: &Sides<'_>, old: &MagicBlock, new: &MagicBlock, file: &TreeFile, changes: &mut Vec<Change>) {
    if let Some(said) = mismatch(&file.path, old, new) {
        let is_major = old.version != new.version;
        let kind = if is_major { ChangeKind::ServerMajor } else { ChangeKind::Abi };
        let is_upgrade = is_major && sides.majors == (Some(old.major()), Some(new.major()));
        let is_info = is_upgrade || sides.have_servers();
        let severity = if is_info { Severity::Info } else { Severity::Error };
        let (from, to, what) = if is_major {
            let words = |block: &MagicBlock| major_words(block.version);
            (words(old), words(new), "for PostgreSQL")
        } else {
            (fields(old, new), fields(new, old), "with")
        };
        let leads = if is_info { "" } else { ": the server that loads the old build refuses the new one" };
        let message = format!("It was built {what} {from} and is {what} {to}{leads}.");
        let mut change = Change::new(kind, severity, message).values(Some(from), Some(to));
        if !is_info {
            change = change.server_says(&said.primary);
            if let Some(detail) = &said.detail {
                change = change.evidence("the server", format!("DETAIL:  {detail}"));
            }
            if is_major {
                change = change.help(
                    "build it with the pg_config of that server; if the server changes too, name both: --old-server, \
                     --new-server, or --pg-version OLD,NEW",
                );
            }
        }
        changes.push(change);
    }
    let mut name = |kind, what: &str, old: Option<&Name>, new: Option<&Name>| {
        let (from, to) = (old.map(ToString::to_string), new.map(ToString::to_string));
        if from != to {
            let words = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            let message = format!("{what} in the magic block was {} and is {}.", words(&from), words(&to));
            changes.push(Change::new(kind, Severity::Info, message).values(from, to));
        }
    };
    name(ChangeKind::ModuleName, "The name", old.module_name.as_ref(), new.module_name.as_ref());
    name(ChangeKind::ModuleVersion, "The version", old.module_version.as_ref(), new.module_version.as_ref());
}

/// The fields of a block in which it differs from another one, as fmgr.h calls them.
fn fields(block: &MagicBlock, other: &MagicBlock) -> String {
    let of = |block: &MagicBlock| {
        [
            ("ABI", block.abi().unwrap_or_default().to_string()),
            ("FUNC_MAX_ARGS", block.func_max_args.to_string()),
            ("INDEX_MAX_KEYS", block.index_max_keys.to_string()),
            ("NAMEDATALEN", block.name_data_len.to_string()),
            ("FLOAT8PASSBYVAL", (block.float8_by_value != 0).to_string()),
            ("length", block.len.to_string()),
        ]
    };
    let differing = of(block).into_iter().zip(of(other)).filter(|(own, other)| own != other);
    let texts: Vec<String> = differing.map(|((name, value), _)| format!("{name} {value}")).collect();
    if texts.is_empty() { "another padding".to_owned() } else { texts.join(", ") }
}
