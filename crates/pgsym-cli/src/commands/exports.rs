//! `pgsym exports OBJ…`: a linker's list of exports from objects or archives, for builds without Cargo.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use pgsym_core::exports::{ExportSet, ListFormat, ObjectFile, Problem, Request, objects};
use pgsym_core::limits;
use pgsym_core::report::ExportList;

use super::Status;
use crate::args::Common;
use crate::output::{Output, read_whole};

/// Options of `pgsym exports`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Compiled objects and static archives of one module
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,
    /// The form of the list
    #[arg(long, value_name = "FORM", default_value = "auto")]
    form: Form,
    /// Also export this symbol, which PostgreSQL learns by a string at run time
    #[arg(long, value_name = "NAME")]
    export: Vec<String>,
    /// Keep this symbol inside
    #[arg(long, value_name = "NAME")]
    hide: Vec<String>,
    /// Also list this symbol, which Rust code outside these objects defines with #[unsafe(no_mangle)]
    #[arg(long, value_name = "NAME")]
    rust_export: Vec<String>,
    /// The objects are only a part of the module: no magic block is needed
    #[arg(long)]
    part: bool,
    #[command(flatten)]
    common: Common,
}

/// The form of a list of exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A version script for ELF objects, an exported-symbols list for Mach-O.
    Auto,
    /// `{ global: …; local: *; };`, the only script of a link.
    VersionScript,
    /// `{ global: …; };`, beside another script such as rustc's.
    Addition,
    /// One `_name` per line, for `-exported_symbols_list`.
    ExportedSymbols,
    /// `exports.txt` for `SHLIB_EXPORTS` of PGXS.
    Pgxs,
}

impl Form {
    fn format(self, objects: &[ObjectFile]) -> ListFormat {
        match self {
            Self::Auto if objects.iter().any(|object| object.platform.is_macho) => {
                ListFormat::ExportedSymbols
            }
            Self::Auto | Self::VersionScript => ListFormat::VersionScript,
            Self::Addition => ListFormat::VersionScriptAddition,
            Self::ExportedSymbols => ListFormat::ExportedSymbols,
            Self::Pgxs => ListFormat::PgxsExports,
        }
    }
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let mut found = Vec::new();
        for path in &self.objects {
            let bytes = read_whole(path, limits::LINK_INPUT_BYTES)
                .with_context(|| format!("cannot read {}", path.display()))?;
            objects::read(&path.display().to_string(), &bytes, &mut found).with_context(|| {
                format!("cannot read {}; name objects (.o) or static archives (.a)", path.display())
            })?;
        }
        let request = Request {
            add: self.export.into_iter().collect(),
            hide: self.hide.into_iter().collect(),
            rust: self.rust_export.into_iter().collect(),
            needs_magic: !self.part,
            ..Request::default()
        };
        match ExportSet::plan(&found, &request) {
            Ok(set) => output.write(&ExportList::new(&set, self.form.format(&found)))?,
            Err(problems) => {
                // What a build script says by a function, the command line says by an option.
                let sentence =
                    |problem: &Problem| problem.to_string().replace("rust_export", "--rust-export");
                let sentences: Vec<String> = problems.iter().map(sentence).collect();
                bail!("cannot list the exports: {}", sentences.join("\n"));
            }
        }
        Ok(Status::Clean)
    }
}
