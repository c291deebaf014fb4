//! Broken and oversized extensions, as files: a finding each, in bounded time and memory. The small ones are those of
//! `testdata/sql/broken`, which `cargo xtask oracle functions` has refused by a real server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgsym_core::check::{Finding, Selection, Severity, check};
use pgsym_core::fs::RealFs;
use pgsym_core::tree::{ServerChoice, Settings, Tree};

use super::counting;

/// A server's shared directory, without a server.
struct Share(tempfile::TempDir);

impl Share {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("share/extension")).unwrap();
        fs::create_dir_all(directory.path().join("lib")).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("share/extension").join(name)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn findings(&self) -> Vec<Finding> {
        let mut settings = Settings { server: ServerChoice::None, pg_major: Some(17), ..Settings::default() };
        settings.extensions.search.sharedir = Some(self.0.path().join("share"));
        settings.extensions.search.pkglibdir = Some(self.0.path().join("lib"));
        let tree = Tree::load(Arc::new(RealFs::new()), &[self.0.path().to_owned()], settings).unwrap();
        check(&tree, &Selection::default())
    }

    /// The findings, and that they came quickly and out of little memory.
    fn findings_within(&self, limit: Duration, bytes: usize) -> Vec<Finding> {
        // The counter counts one thread, so this one does all of the work.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        let start = Instant::now();
        let mut findings = Vec::new();
        let peak = counting::peak_of(|| findings = self.findings());
        assert!(start.elapsed() < limit, "{:?}", start.elapsed());
        assert!(peak < bytes, "{peak} bytes");
        drop(pool);
        findings
    }
}

/// Long for anything that is not quadratic, in a build without optimisation on a busy machine.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn every_broken_extension_has_an_error_that_says_what_the_server_says() {
    let share = Share::new();
    let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sql/broken");
    let mut extensions = Vec::new();
    for entry in fs::read_dir(broken).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::copy(&path, share.path(name)).unwrap();
        extensions
            .extend(name.strip_suffix(".control").filter(|name| !name.contains("--")).map(str::to_owned));
    }
    let findings = share.findings_within(SOON, 64 << 20);
    // Which servers refuse an operator is a matter of the release, and here there is no server.
    let is_meant = |finding: &&Finding| finding.severity == Severity::Error || finding.rule.code == "PGS623";
    let errors = findings.iter().filter(is_meant);
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for finding in errors {
        let words = finding
            .evidence
            .iter()
            .filter(|evidence| ["the server", "newer servers"].contains(&evidence.label));
        let name = finding.path.file_stem().unwrap().to_str().unwrap();
        let owner = extensions.iter().find(|owner| {
            name == *owner || name.strip_prefix(owner.as_str()).is_some_and(|rest| rest.starts_with("--"))
        });
        let owner = owner.unwrap_or_else(|| panic!("{finding:?}"));
        said.entry(owner).or_default().extend(words.map(|evidence| evidence.text.as_str()));
    }
    for extension in &extensions {
        let words = said.get(extension.as_str()).unwrap_or_else(|| panic!("nothing is said of {extension}"));
        assert!(words.iter().any(|text| text.starts_with("ERROR:  ")), "{extension}: {words:?}");
    }
    assert!(extensions.len() >= 24, "{extensions:?}");
}

#[test]
fn a_script_of_100_megabytes_is_a_warning_and_is_not_held_in_memory() {
    let share = Share::new();
    share.file("large.control", "default_version = '1'");
    fs::File::create(share.path("large--1.sql")).unwrap().set_len(100 << 20).unwrap();
    let findings = share.findings_within(SOON, 16 << 20);
    let about: Vec<_> = findings.iter().filter(|finding| finding.path.ends_with("large--1.sql")).collect();
    assert_eq!(about.len(), 1, "{findings:#?}");
    assert_eq!((about[0].rule.name, about[0].severity), ("unreadable-script", Severity::Warning));
    // The server takes scripts of up to 1 GB, so nothing may say that this one fails.
    assert!(findings.iter().all(|finding| finding.severity < Severity::Error), "{findings:#?}");
}

#[test]
fn a_chain_of_2000_scripts_is_read_and_no_finding() {
    let share = Share::new();
    share.file("long.control", "default_version = '2000'\nmodule_pathname = '$libdir/long'");
    share.file("long--1.sql", "SELECT 1;");
    for version in 1..2000 {
        let script = "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';";
        share.file(&format!("long--{version}--{}.sql", version + 1), script);
    }
    assert_eq!(share.findings_within(SOON, 64 << 20), []);
}

#[test]
fn updates_from_everywhere_to_everywhere_are_walked_once() {
    let share = Share::new();
    share.file("dense.control", "default_version = 'nowhere'");
    for from in 0..60 {
        for to in 0..60 {
            share.file(&format!("dense--{from}--{to}.sql"), "");
        }
    }
    let findings = share.findings_within(SOON, 64 << 20);
    let names: Vec<_> = findings.iter().map(|finding| finding.rule.name).collect();
    assert!(names.contains(&"no-install-script"), "{names:?}");
}

#[test]
fn many_overloads_and_drops_cost_one_walk() {
    use std::fmt::Write as _;
    const FUNCTIONS: usize = 20_000;
    let mut script = String::from("CREATE TYPE s.t;\n");
    for index in 0..FUNCTIONS {
        writeln!(script, "CREATE FUNCTION f(t{index}, s.t) RETURNS int LANGUAGE sql AS '';").unwrap();
    }
    for index in 0..FUNCTIONS {
        writeln!(script, "DROP TYPE t CASCADE; DROP FUNCTION f(t{index}, a.t); DROP FUNCTION s.f;").unwrap();
    }
    let share = Share::new();
    share.file("busy.control", "default_version = '1'");
    share.file("busy--1.sql", &script);
    assert_eq!(share.findings_within(SOON, 256 << 20), []);
}

#[test]
fn a_library_for_each_function_is_no_more_than_many_libraries() {
    let share = Share::new();
    share.file("x.control", "default_version = 1");
    let function =
        |index| format!("CREATE FUNCTION f{index}() RETURNS int LANGUAGE c AS '$libdir/m{index}';\n");
    share.file("x--1.sql", (0..30_000).map(function).collect::<String>());
    let findings = share.findings_within(SOON, 500 << 20);
    let missing = findings.iter().filter(|finding| finding.rule.code == "PGS610");
    assert_eq!(missing.count(), 30_000);
}
