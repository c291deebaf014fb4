//! The same package for other architectures. What a module would return is known, since the native module of the same
//! name comes from the same source: only FLOAT8PASSBYVAL follows the word size.
//!
//! The packages come by apt with a state directory of its own, so that the machine's architectures and lists stay as
//! they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use pgsym_core::postgres::{Magic, MagicEvidence, PgFacts};

use super::{Address, MODULES, SERVER, describe, evidence, modules, read};
use crate::support::command::{clean, run, run_well};
use crate::support::report::Report;

/// Debian's names.
pub(super) const ARCHITECTURES: [&str; 5] = ["arm64", "armhf", "i386", "ppc64el", "s390x"];

/// Lists and packages over a slow line.
const DOWNLOAD: Duration = Duration::from_mins(20);

/// Downloads and compares.
pub(super) fn compare(work: &Path) -> Result<Report> {
    let apt = Apt::new(&work.join("apt"))?;
    let mut report = Report::default();
    for architecture in ARCHITECTURES {
        let root = apt.extract(architecture)?;
        for path in modules(&root.join(MODULES))? {
            compare_one(architecture, &path, &mut report);
        }
    }
    Ok(report)
}

fn compare_one(architecture: &str, path: &Path, report: &mut Report) {
    let name = path.file_name().unwrap_or_default();
    let native = Path::new("/").join(MODULES).join(name);
    let subject = format!("{architecture} {}", name.to_string_lossy());
    let (foreign, native) = match (read(path), read(&native)) {
        (Ok(foreign), Ok(native)) => (foreign, native),
        (Err(error), _) => return report.same(&subject, "readable", &format!("{error:#}")),
        (_, Err(error)) => return report.not_run(&format!("the native {subject}: {error:#}"), 1),
    };
    let (module, facts) = foreign;
    report.compared(&format!("{architecture} modules {}", evidence(&facts)), 1);
    report.compared(&format!("finfo records of {architecture} modules"), facts.finfo.len());
    let expected = on_words_of(native.1, module.target.pointer_size());
    report.same(&subject, &sorted(&expected), &sorted(&facts));
    // The code of all five machines is decoded, so one way alone is a decoder that failed.
    if let Magic::Found(block) = &facts.magic
        && block.evidence != MagicEvidence::CodeAndData
    {
        report.same(&format!("{subject}: evidence"), "by code and by data", evidence(&facts));
    }
}

/// The native facts as a 32-bit server of major 15 would have them.
fn on_words_of(mut facts: PgFacts, pointer_size: u64) -> PgFacts {
    if let Magic::Found(block) = &mut facts.magic {
        block.float8_by_value = u32::from(pointer_size == 8);
    }
    facts
}

/// Symbols stand in another order on each machine.
fn sorted(facts: &PgFacts) -> String {
    let text = describe(facts, Address::Hidden);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// apt with a state of its own.
struct Apt {
    directory: PathBuf,
    configuration: PathBuf,
}

impl Apt {
    fn new(directory: &Path) -> Result<Self> {
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            let part = directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
        }
        let status = directory.join("state/status");
        fs::write(&status, "").with_context(|| format!("cannot write {}", status.display()))?;
        let configuration = directory.join("apt.conf");
        let here = directory.display();
        let architectures = ARCHITECTURES.map(|architecture| format!("\"{architecture}\";")).join(" ");
        let text = format!(
            "Dir::State \"{here}/state\";\nDir::State::status \"{here}/state/status\";\nDir::Cache \"{here}/cache\";\n\
             APT::Architectures {{ \"amd64\"; {architectures} }};\nAPT::Sandbox::User \"root\";\n"
        );
        fs::write(&configuration, text)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        Ok(Self { directory: directory.to_owned(), configuration })
    }

    /// The files of the server's package, below the directory that is returned.
    fn extract(&self, architecture: &str) -> Result<PathBuf> {
        let root = self.directory.join(architecture);
        if root.join(MODULES).is_dir() {
            return Ok(root);
        }
        if self.downloaded(architecture)?.is_none() {
            self.download(architecture)?;
        }
        let Some(deb) = self.downloaded(architecture)? else {
            bail!("apt-get download left no package of {SERVER}:{architecture}");
        };
        // Unpacked beside and renamed, so that an interrupted run leaves no half of a tree.
        let partial = self.directory.join(format!("{architecture}.partial"));
        run_well(clean("dpkg-deb").arg("-x").arg(&deb).arg(&partial), DOWNLOAD)?;
        fs::rename(&partial, &root).with_context(|| format!("cannot rename {}", partial.display()))?;
        Ok(root)
    }

    fn download(&self, architecture: &str) -> Result<()> {
        let apt_get = || {
            let mut command = clean("apt-get");
            command.env("APT_CONFIG", &self.configuration);
            command
        };
        // A list that fails (a mirror in the middle of an update) matters only if the package is missing then.
        run(apt_get().args(["update", "--quiet"]), DOWNLOAD)?;
        let package = format!("{SERVER}:{architecture}");
        let mut download = apt_get();
        download.args(["download", "--quiet", &package]).current_dir(self.directory.join("packages"));
        run_well(&mut download, DOWNLOAD).with_context(|| format!("cannot download {package}"))?;
        Ok(())
    }

    fn downloaded(&self, architecture: &str) -> Result<Option<PathBuf>> {
        let end = format!("_{architecture}.deb");
        let packages = self.directory.join("packages");
        for entry in fs::read_dir(&packages).with_context(|| format!("cannot list {}", packages.display()))? {
            let name = entry?.file_name();
            let text = name.to_string_lossy();
            if text.starts_with(&format!("{SERVER}_")) && text.ends_with(&end) {
                return Ok(Some(packages.join(&name)));
            }
        }
        Ok(None)
    }
}
