//! Which command runs a script. CREATE EXTENSION runs the chain of the default version; the other scripts are there for
//! databases that have an older version, and for those who name one (src/backend/commands/extension.c,
//! `identify_update_path`, `ApplyExtensionUpdates`).

use std::collections::BTreeMap;

use crate::extension::tree::Extension;
use crate::extension::update_graph::Step;
use crate::name::Shown;

/// The command that runs a script; the one that concerns most users where there are several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Run {
    /// The one that was asked about: CREATE EXTENSION, which installs the default version.
    Asked,
    /// ALTER EXTENSION UPDATE, to the default version.
    Update {
        /// The version that the database has: the script's own, where that one's chain has the script.
        from: Vec<u8>,
        /// How many other versions are updated through it.
        others: usize,
    },
    /// CREATE EXTENSION with a VERSION that ALTER EXTENSION UPDATE leads on from.
    InstallOlder,
    /// A command that names the version to install, or to update to; no way from there leads to the default version.
    Named,
}

impl Run {
    /// Whether a database that has some version, or gets it, meets the script on the way to the default version.
    pub fn is_towards_default(&self) -> bool {
        !matches!(self, Self::Named)
    }

    /// The command that runs a step's script.
    pub fn command(&self, extension: &[u8], step: &Step) -> String {
        let extension = Shown(extension);
        match (self, step) {
            (Self::Asked, _) => format!("CREATE EXTENSION {extension}"),
            (Self::Update { from, others: 0 }, _) => {
                format!("ALTER EXTENSION {extension} UPDATE from version {}", Shown(from))
            }
            (Self::Update { from, others }, _) => {
                let others = if *others == 1 { "1 other".to_owned() } else { format!("{others} others") };
                format!("ALTER EXTENSION {extension} UPDATE from version {} and {others}", Shown(from))
            }
            (_, Step::Install(version)) => {
                format!("CREATE EXTENSION {extension} VERSION '{}'", Shown(version))
            }
            (_, Step::Update(from, to)) => {
                format!("ALTER EXTENSION {extension} UPDATE TO '{}' from version {}", Shown(to), Shown(from))
            }
        }
    }
}

/// Who runs the scripts of one extension that installing its default version does not run.
pub(super) struct Runs {
    updates: BTreeMap<Step, Run>,
    /// The versions that some chain leads on from to the default version.
    starts: Vec<Vec<u8>>,
}

impl Runs {
    pub(super) fn new(extension: &Extension) -> Self {
        let mut found = Self { updates: BTreeMap::new(), starts: Vec::new() };
        let default = extension.control.as_ref().ok().and_then(|control| control.default_version.as_deref());
        let Some(default) = default else { return found };
        // "unpackaged" was how CREATE EXTENSION … FROM, which 13 dropped, called loose objects; with a script of its own it
        // is a version.
        let is_version = |from: &[u8]| from != b"unpackaged" || extension.graph.is_installable(from);
        let chains = extension.graph.update_chains(default).filter(|(from, _)| is_version(from));
        for (from, chain) in chains {
            found.starts.push(from.to_vec());
            for step in chain {
                let is_own = matches!(&step, Step::Update(own, _) if own == from);
                match found.updates.entry(step) {
                    std::collections::btree_map::Entry::Vacant(vacant) => {
                        vacant.insert(Run::Update { from: from.to_vec(), others: 0 });
                    }
                    std::collections::btree_map::Entry::Occupied(mut run) => {
                        let Run::Update { from: first, others } = run.get_mut() else { continue };
                        *others += 1;
                        if is_own {
                            *first = from.to_vec();
                        }
                    }
                }
            }
        }
        found
    }

    pub(super) fn of(&self, step: &Step) -> Run {
        match step {
            Step::Install(version) if self.starts.binary_search(version).is_ok() => Run::InstallOlder,
            Step::Install(_) => Run::Named,
            Step::Update(..) => self.updates.get(step).cloned().unwrap_or(Run::Named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::tree::{ControlDirectory, ScriptLayout, find_extensions};
    use crate::fs::MemoryFs;

    fn commands(files: &[&str]) -> Vec<String> {
        let fs = MemoryFs::new().file("/e/x.control", "default_version = '3'");
        let fs = files.iter().fold(fs, |fs, file| fs.file(format!("/e/x--{file}.sql"), ""));
        let place =
            ControlDirectory { path: "/e".into(), layout: ScriptLayout::Beside, is_setting: true, site: 0 };
        let extension = find_extensions(&fs, &[place], 15).0.remove(0);
        let runs = Runs::new(&extension);
        let steps = files.iter().map(|file| match file.split_once("--") {
            Some((from, to)) => Step::Update(from.into(), to.into()),
            None => Step::Install((*file).into()),
        });
        steps.map(|step| runs.of(&step).command(b"x", &step)).collect()
    }

    #[test]
    fn an_update_script_is_run_from_its_own_version_and_those_before() {
        assert_eq!(
            commands(&["3", "0--1", "1--2", "2--3"]),
            [
                "CREATE EXTENSION x VERSION '3'",
                "ALTER EXTENSION x UPDATE from version 0",
                "ALTER EXTENSION x UPDATE from version 1 and 1 other",
                "ALTER EXTENSION x UPDATE from version 2 and 2 others",
            ]
        );
    }

    #[test]
    fn a_script_beside_the_shortest_way_is_run_by_those_who_name_its_version() {
        assert_eq!(
            commands(&["3", "1--2", "2--3", "1--3", "unpackaged--3", "3--4"]),
            [
                "CREATE EXTENSION x VERSION '3'",
                "ALTER EXTENSION x UPDATE TO '2' from version 1",
                "ALTER EXTENSION x UPDATE from version 2",
                "ALTER EXTENSION x UPDATE from version 1",
                "ALTER EXTENSION x UPDATE TO '3' from version unpackaged",
                "ALTER EXTENSION x UPDATE TO '4' from version 3",
            ]
        );
    }

    #[test]
    fn an_install_script_counts_where_a_way_leads_on_from_its_version() {
        let fs = MemoryFs::new()
            .file("/e/x.control", "default_version = '3'")
            .file("/e/x--1.sql", "")
            .file("/e/x--1--3.sql", "")
            .file("/e/x--2.sql", "");
        let place =
            ControlDirectory { path: "/e".into(), layout: ScriptLayout::Beside, is_setting: true, site: 0 };
        let extension = find_extensions(&fs, &[place], 15).0.remove(0);
        let runs = Runs::new(&extension);
        assert_eq!(runs.of(&Step::Install(b"1".to_vec())), Run::InstallOlder);
        assert_eq!(runs.of(&Step::Install(b"2".to_vec())), Run::Named);
    }
}
